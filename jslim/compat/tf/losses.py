"""`tf.losses`: labels first. In a model function each adds itself to the model's losses.

`slim.losses` has the predictions first. `weights` are a number, or have as many axes as the losses,
each of the same length or of length 1.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim import losses as _slim
from jslim.compat.tf import _missing, _nn_losses
from jslim.compat.tf._op import Values, array, either
from jslim.core import checks
from jslim.core.access import is_running
from jslim.core.names import LOSSES as _LOSSES


class Reduction:
    """How the losses of elements become one."""

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = "weighted_mean"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    SUM_OVER_NONZERO_WEIGHTS = SUM_BY_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple[str, ...]:
        return (cls.NONE, cls.SUM, cls.MEAN, cls.SUM_OVER_BATCH_SIZE, cls.SUM_BY_NONZERO_WEIGHTS)


_MEAN_OF_COUNTED = Reduction.SUM_BY_NONZERO_WEIGHTS


def compute_weighted_loss(
    losses: Values,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """The losses by their weights, reduced to one; by default the mean of those not weighed 0.

    Raises:
      ValueError: The weights do not fit; there is no such reduction.
    """
    where = "tf.losses.compute_weighted_loss"
    checks.one_of(where, "reduction", reduction, Reduction.all())
    values = array(losses)
    factors = _fitting(where, weights, values)
    weighed = (values.astype(jnp.float32) * factors).astype(values.dtype)
    whole = jnp.broadcast_to(factors, values.shape)
    if reduction == Reduction.NONE:
        loss = weighed
    elif reduction == Reduction.SUM:
        loss = jnp.sum(weighed)
    elif reduction == Reduction.SUM_OVER_BATCH_SIZE:
        loss = jnp.sum(weighed) / max(values.size, 1)
    else:
        counts = whole if reduction == Reduction.MEAN else (whole != 0).astype(jnp.float32)
        loss = _divided(jnp.sum(weighed), jnp.sum(counts))
    _collect(loss, loss_collection, scope or "weighted_loss")
    return loss


def _fitting(where: str, weights: Values, values: jax.Array) -> jax.Array:
    factors = array(weights).astype(jnp.float32)
    lengths = [(a, b) for a, b in zip(factors.shape, values.shape, strict=False)]
    if factors.ndim and (factors.ndim != values.ndim or any(a not in (1, b) for a, b in lengths)):
        accepted = f"a number, or of shape {values.shape} with some lengths 1"
        raise checks.refusal(where, "weights", accepted, f"shape {factors.shape}")
    return factors


def _divided(total: jax.Array, count: jax.Array) -> jax.Array:
    return jnp.where(count == 0, 0, total / jnp.where(count == 0, 1, count))


def _collect(loss: jax.Array, collection: str | None, scope: str) -> None:
    if collection is None or not is_running():
        return
    if loss.ndim:
        # TF adds it as it is; the sum of such a collection is the sum of all elements.
        loss = jnp.sum(loss)
    _slim.add_loss(loss, collection, scope=scope)


def _as_pair(where: str, **given: Values | None) -> tuple[jax.Array, jax.Array]:
    hint = "labels come first in tf.losses"
    arrays = {name: array(checks.given(where, name, value)) for name, value in given.items()}
    checks.same_shape(where, hint, **arrays)
    first, second = arrays.values()
    return first.astype(jnp.float32), second.astype(jnp.float32)


def _elementwise(
    name: str,
    formula: Callable[[jax.Array, jax.Array], jax.Array],
    labels: Values | None,
    predictions: Values | None,
    more: tuple[Any, ...],
) -> jax.Array:
    weights, scope, loss_collection, reduction = more
    z, p = _as_pair(f"tf.losses.{name}", labels=labels, predictions=predictions)
    return compute_weighted_loss(formula(z, p), weights, scope or name, loss_collection, reduction)


def absolute_difference(
    labels: Values,
    predictions: Values,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """`|predictions - labels|`."""
    more = (weights, scope, loss_collection, reduction)
    return _elementwise(
        "absolute_difference", lambda z, p: jnp.maximum(p - z, z - p), labels, predictions, more
    )


def mean_squared_error(
    labels: Values,
    predictions: Values,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """`(predictions - labels) ** 2`."""
    more = (weights, scope, loss_collection, reduction)
    return _elementwise(
        "mean_squared_error", lambda z, p: jnp.square(p - z), labels, predictions, more
    )


def huber_loss(
    labels: Values,
    predictions: Values,
    weights: Values = 1.0,
    delta: float = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """Half the squared error up to a distance of `delta`, and a line beyond."""

    def formula(z: jax.Array, p: jax.Array) -> jax.Array:
        distance = jnp.abs(p - z)
        near = jnp.minimum(distance, delta)
        return 0.5 * near * near + delta * (distance - near)

    more = (weights, scope, loss_collection, reduction)
    return _elementwise("huber_loss", formula, labels, predictions, more)


def log_loss(
    labels: Values,
    predictions: Values,
    weights: Values = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """The cross entropy of yes-or-no decisions whose probabilities are given."""

    def formula(z: jax.Array, p: jax.Array) -> jax.Array:
        return -z * jnp.log(p + epsilon) - (1 - z) * jnp.log(1 - p + epsilon)

    more = (weights, scope, loss_collection, reduction)
    return _elementwise("log_loss", formula, labels, predictions, more)


def hinge_loss(
    labels: Values,
    logits: Values,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """`max(0, 1 - logits * (2 * labels - 1))`."""
    z, x = _as_pair("tf.losses.hinge_loss", labels=labels, logits=logits)
    losses = jax.nn.relu(1 - (2 * z - 1) * x)
    return compute_weighted_loss(losses, weights, scope or "hinge_loss", loss_collection, reduction)


def cosine_distance(
    labels: Values,
    predictions: Values,
    axis: int | None = None,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
    dim: int | None = None,
) -> jax.Array:
    """`1 - sum(predictions * labels)` over an axis, for vectors of length 1."""
    where = "tf.losses.cosine_distance"
    z, p = _as_pair(where, labels=labels, predictions=predictions)
    over = checks.given(where, "axis", either(where, axis=axis, dim=dim))
    losses = 1 - jnp.sum(z * p, axis=over, keepdims=True)
    name = scope or "cosine_distance_loss"
    return compute_weighted_loss(losses, weights, name, loss_collection, reduction)


def mean_pairwise_squared_error(
    labels: Values,
    predictions: Values,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
) -> jax.Array:
    """The squared error of the differences between the elements of an example.

    An example with one element has none. `slim.losses` divides by another number of pairs.
    """
    where = "tf.losses.mean_pairwise_squared_error"
    z, p = _as_pair(where, labels=labels, predictions=predictions)
    difference = p - z
    factors = _fitting(where, weights, difference) if array(weights).ndim else array(weights)
    over = tuple(range(1, difference.ndim))
    present = jnp.broadcast_to(factors != 0, difference.shape).astype(jnp.float32)
    count = jnp.sum(present, over, keepdims=True)
    squares = jnp.sum(jnp.square(difference), over, keepdims=True)
    sums = jnp.sum(difference, over, keepdims=True)
    pairs = 2 * _divided(squares, jnp.maximum(count - 1, 0))
    pairs -= 2 * _divided(jnp.square(sums), jnp.maximum(count * (count - 1), 0))
    loss = jnp.where(jnp.sum(count) > 0, jnp.sum(pairs * factors), 0)
    _collect(loss, loss_collection, scope or "mean_pairwise_squared_error")
    return loss


def sigmoid_cross_entropy(
    multi_class_labels: Values,
    logits: Values,
    weights: Values = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """The cross entropy of yes-or-no decisions; smoothing moves labels towards 1/2."""
    where = "tf.losses.sigmoid_cross_entropy"
    z, x = _as_pair(where, multi_class_labels=multi_class_labels, logits=logits)
    if label_smoothing:
        z = z * (1 - label_smoothing) + 0.5 * label_smoothing
    losses = _nn_losses.sigmoid_cross_entropy_with_logits(labels=z, logits=x)
    name = scope or "sigmoid_cross_entropy_loss"
    return compute_weighted_loss(losses, weights, name, loss_collection, reduction)


def softmax_cross_entropy(
    onehot_labels: Values,
    logits: Values,
    weights: Values = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """The cross entropy of distributions over classes; smoothing spreads a share of each label."""
    where = "tf.losses.softmax_cross_entropy"
    z, x = _as_pair(where, onehot_labels=onehot_labels, logits=logits)
    if label_smoothing:
        z = z * (1 - label_smoothing) + label_smoothing / x.shape[-1]
    losses = _nn_losses.softmax_cross_entropy_with_logits(labels=z, logits=x)
    name = scope or "softmax_cross_entropy_loss"
    return compute_weighted_loss(losses, weights, name, loss_collection, reduction)


def sparse_softmax_cross_entropy(
    labels: Values,
    logits: Values,
    weights: Values = 1.0,
    scope: str | None = None,
    loss_collection: str | None = _LOSSES,
    reduction: str = _MEAN_OF_COUNTED,
) -> jax.Array:
    """The cross entropy of class numbers, of shape `[batch]` or `[batch, 1]`."""
    classes, x = array(labels), array(logits)
    if classes.ndim == x.ndim and classes.shape[-1] == 1:
        classes = classes[..., 0]
    losses = _nn_losses.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=x)
    factors = array(weights)
    if factors.ndim == losses.ndim + 1 and factors.shape[-1] == 1:
        factors = factors[..., 0]
    name = scope or "sparse_softmax_cross_entropy_loss"
    return compute_weighted_loss(losses, factors, name, loss_collection, reduction)


def add_loss(loss: Values, loss_collection: str | None = _LOSSES) -> None:
    """Adds a loss that was computed elsewhere to the losses of the running model."""
    if loss_collection is not None:
        _slim.add_loss(array(loss), loss_collection)


def get_losses(scope: str | None = None, loss_collection: str = _LOSSES) -> list[jax.Array]:
    """The losses of the running model so far."""
    return _slim.get_losses(scope, loss_collection)


def get_regularization_losses(scope: str | None = None) -> list[jax.Array]:
    """The penalties of the running model's variables, one for each variable."""
    return _slim.get_regularization_losses(scope)


def get_regularization_loss(
    scope: str | None = None, name: str = "total_regularization_loss"
) -> jax.Array:
    """The sum of the penalties; 0 if nothing is regularized."""
    return _slim.get_regularization_loss(scope, name)


def get_total_loss(
    add_regularization_losses: bool = True, name: str = "total_loss", scope: str | None = None
) -> jax.Array:
    """The sum of the losses of the running model, with the penalties."""
    if scope is None:
        return _slim.get_total_loss(add_regularization_losses, name)
    losses = get_losses(scope)
    if add_regularization_losses:
        losses = [*losses, *get_regularization_losses(scope)]
    return sum(losses, start=jnp.zeros((), jnp.float32))


__getattr__ = _missing.answering("tf.losses", __name__)
