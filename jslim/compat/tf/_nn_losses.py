"""Losses of `tf.nn`: one for each example or element; `labels` and `logits` go by name.

`(logits, labels)`, the order before TensorFlow 1.0, is taken too.
"""

import jax
import jax.numpy as jnp

from jslim.compat.tf._op import Values, array, either, op, say_old_order
from jslim.core import checks


def _both(
    where: str, first: Values | None, labels: Values | None, logits: Values | None
) -> tuple[jax.Array, jax.Array]:
    """Labels and logits as arrays; without names they are taken in the order before TensorFlow 1.0.

    TensorFlow 1 refuses that, so that nobody who means another order gives them so.
    """
    if first is not None and labels is not None and logits is None:
        say_old_order(f"{where}(logits, labels)", f"{where}(labels=labels, logits=logits)")
        labels, logits = labels, first
    elif first is not None or labels is None or logits is None:
        raise ValueError(f"{where}: give labels=... and logits=..., both by name")
    return array(labels), array(logits)


def _cross_entropy(labels: jax.Array, logits: jax.Array, axis: int) -> jax.Array:
    log_probabilities = jax.nn.log_softmax(logits, axis)
    return -jnp.sum(labels.astype(logits.dtype) * log_probabilities, axis)


@op
def softmax_cross_entropy_with_logits(
    _sentinel: Values | None = None,
    labels: Values | None = None,
    logits: Values | None = None,
    dim: int = -1,
    name: str | None = None,
    axis: int | None = None,
) -> jax.Array:
    """The cross entropies of examples; no gradient reaches the labels."""
    classes, scores = _both("tf.nn.softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    fixed = jax.lax.stop_gradient(classes)
    return _cross_entropy(fixed, scores, dim if axis is None else axis)


@op
def softmax_cross_entropy_with_logits_v2(
    labels: Values,
    logits: Values,
    axis: int | None = None,
    name: str | None = None,
    dim: int | None = None,
) -> jax.Array:
    """The cross entropies of examples; gradients reach the labels too."""
    chosen = either("tf.nn.softmax_cross_entropy_with_logits_v2", axis=axis, dim=dim)
    return _cross_entropy(array(labels), array(logits), -1 if chosen is None else chosen)


@op
def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Values | None = None,
    labels: Values | None = None,
    logits: Values | None = None,
    name: str | None = None,
) -> jax.Array:
    """The cross entropies of examples whose class numbers are given; NaN for no class."""
    where = "tf.nn.sparse_softmax_cross_entropy_with_logits"
    classes, scores = _both(where, _sentinel, labels, logits)
    own = jnp.take_along_axis(
        jax.nn.log_softmax(scores), classes[..., None], axis=-1, mode="fill", fill_value=jnp.nan
    )[..., 0]
    return jnp.where((classes >= 0) & (classes < scores.shape[-1]), -own, jnp.nan)


@op
def sigmoid_cross_entropy_with_logits(
    _sentinel: Values | None = None,
    labels: Values | None = None,
    logits: Values | None = None,
    name: str | None = None,
    *,
    targets: Values | None = None,
) -> jax.Array:
    """The cross entropies of yes-or-no decisions, element by element; `targets` are `labels`."""
    where = "tf.nn.sigmoid_cross_entropy_with_logits"
    z, x = _both(where, _sentinel, either(where, labels=labels, targets=targets), logits)
    return jnp.maximum(x, 0) - x * z.astype(x.dtype) + jnp.log1p(jnp.exp(jnp.minimum(x, -x)))


@op
def weighted_cross_entropy_with_logits(
    labels: Values | None = None,
    logits: Values | None = None,
    pos_weight: Values | None = None,
    name: str | None = None,
    targets: Values | None = None,
) -> jax.Array:
    """`sigmoid_cross_entropy_with_logits`, where a yes counts `pos_weight` times."""
    where = "tf.nn.weighted_cross_entropy_with_logits"
    z = array(checks.given(where, "labels", either(where, labels=labels, targets=targets)))
    x = array(checks.given(where, "logits", logits))
    factor = 1 + (array(checks.given(where, "pos_weight", pos_weight)) - 1) * z
    return (1 - z) * x + factor * (jnp.log1p(jnp.exp(jnp.minimum(x, -x))) + jnp.maximum(-x, 0))
