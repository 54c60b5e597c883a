"""Losses of classifiers: cross entropies and the hinge loss."""

import jax
import jax.numpy as jnp
import numpy as np

from jslim.core import checks
from jslim.core.arguments import explained
from jslim.losses._weighting import (
    Values,
    as_array,
    as_pair,
    as_weights,
    known,
    mean_loss,
    weighted_mean,
)

_LAYOUT = "[batch, ..., num_classes]"


@explained
def softmax_cross_entropy(
    logits: Values,
    onehot_labels: Values,
    weights: Values = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
) -> jax.Array:
    """The mean cross entropy between softmax(logits) and distributions over classes.

    Gradients reach the logits only, as in TF-Slim. A logit of minus infinity rules its class out.

    Args:
      logits: `[batch, num_classes]`, or with more axes before the last.
      onehot_labels: The same shape; any real, integer or bool type.
      weights: Scalar, or `[batch]`: see `jslim.losses`.
      label_smoothing: In [0, 1]: the share of each label's mass that is spread over all classes.
      scope: Name for `get_losses`; default `softmax_cross_entropy_loss`, numbered if taken.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes differ, weights do not fit, or label_smoothing is out of range.
      TypeError: Logits or labels are a tuple: what a network returned was not unpacked.

    >>> round(float(softmax_cross_entropy([[1., 2., 3.], [0., 0., 0.]], [[0, 0, 1], [1, 0, 0]])), 6)
    0.753109
    """
    op = "softmax_cross_entropy"

    def cross_entropy(x: jax.Array, z: jax.Array) -> jax.Array:
        checks.rank(op, "logits", x, _LAYOUT, "add a batch axis")
        z = jax.lax.stop_gradient(_smooth(op, z, label_smoothing, towards=1 / x.shape[-1]))
        # A class without mass adds nothing, also where it is ruled out: 0 * -inf would be nan.
        return -jnp.sum(jnp.where(z == 0, 0, z * jax.nn.log_softmax(x)), axis=-1)

    pair = {"logits": logits, "onehot_labels": onehot_labels}
    return mean_loss(op, cross_entropy, weights, scope or f"{op}_loss", **pair)


@explained
def sparse_softmax_cross_entropy(
    logits: Values, labels: Values, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The mean cross entropy between softmax(logits) and class numbers.

    A label outside [0, num_classes) raises if its value is known, and makes the loss NaN inside
    `jit`, where nothing can raise. Differs from TF-Slim: such a label is allowed if its weight is
    0, so that `weights=labels != 255` leaves out the examples with label 255.

    Args:
      logits: `[batch, num_classes]`, or with more axes before the last.
      labels: Integers, `[batch]` or `[batch, 1]`.
      weights: Scalar, or `[batch]`: see `jslim.losses`.
      scope: Name for `get_losses`; default `sparse_softmax_cross_entropy_loss`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit, or a known label is out of range.
      TypeError: Labels are not integers, or logits are a tuple.

    >>> round(float(sparse_softmax_cross_entropy([[1., 2., 3.], [0., 0., 0.]], [2, 0])), 6)
    0.753109
    """
    op = "sparse_softmax_cross_entropy"
    x, numbers = as_array(op, "logits", logits), as_array(op, "labels", labels, dtype=None)
    checks.rank(op, "logits", x, _LAYOUT, "add a batch axis")
    if numbers.dtype != bool:
        accepted = "integers, the numbers of the classes"
        hint = "one-hot or soft labels go to softmax_cross_entropy"
        if numbers.ndim < x.ndim:
            hint = "convert them with labels.astype('int32')"
        checks.integers(op, "labels", numbers, accepted, hint)
    *rows, num_classes = x.shape
    of, hint = f" for logits of shape {x.shape}", "one-hot labels go to softmax_cross_entropy"
    checks.shape(op, "labels", numbers, tuple(rows), (*rows, 1), of=of, hint=hint)
    numbers = numbers.reshape(rows).astype(jnp.int32)
    row_weights = as_weights(op, weights, tuple(rows))
    counted, weighed = known(labels), known(weights)
    if counted is not None and weighed is not None:
        counts = weighed.reshape(row_weights.shape) != 0
        _check_labels(op, counted.reshape(rows), counts, num_classes)
    scope = scope or f"{op}_loss"
    with jax.named_scope(scope):
        is_label = jax.nn.one_hot(numbers, num_classes, dtype=bool)
        losses = -jnp.sum(jax.nn.log_softmax(x), axis=-1, where=is_label)
        is_valid = (numbers >= 0) & (numbers < num_classes)
        losses = jnp.where(is_valid | (row_weights == 0), losses, jnp.nan)
        return weighted_mean(op, losses, row_weights, scope)


@explained
def sigmoid_cross_entropy(
    logits: Values,
    multi_class_labels: Values,
    weights: Values = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
) -> jax.Array:
    """The mean cross entropy of independent yes-or-no decisions, `sigmoid(logits)` each.

    Args:
      logits: `[batch, num_classes]`, or any other shape.
      multi_class_labels: The same shape, in [0, 1].
      weights: Scalar, `[batch]` or up to the full shape: see `jslim.losses`.
      label_smoothing: In [0, 1]: how far labels are moved towards 0.5.
      scope: Name for `get_losses`; default `sigmoid_cross_entropy_loss`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes differ, weights do not fit, or label_smoothing is out of range.
      TypeError: Logits or labels are a tuple.

    >>> round(float(sigmoid_cross_entropy([[0., 2.]], [[1, 0]])), 6)
    1.410038
    """
    op = "sigmoid_cross_entropy"

    def cross_entropy(x: jax.Array, z: jax.Array) -> jax.Array:
        z = _smooth(op, z, label_smoothing, towards=0.5)
        # log(1 + e^x) - x z without overflow, and without losing log(1 + e^-x) beside a large x.
        # JAX's derivative of |x| at 0 is 1, that of min(x, -x) is 0, as the gradient needs there.
        return jnp.maximum(x, 0) - x * z + jnp.log1p(jnp.exp(jnp.minimum(x, -x)))

    pair = {"logits": logits, "multi_class_labels": multi_class_labels}
    return mean_loss(op, cross_entropy, weights, scope or f"{op}_loss", **pair)


@explained
def log_loss(
    predictions: Values,
    labels: Values = None,
    weights: Values = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,
) -> jax.Array:
    """The mean cross entropy of yes-or-no decisions whose probabilities are given.

    For logits use `sigmoid_cross_entropy`, which is exact for probabilities near 0 and 1.

    Args:
      predictions: Probabilities in [0, 1], any shape.
      labels: The same shape, in [0, 1].
      weights: Scalar, `[batch]` or up to the full shape: see `jslim.losses`.
      epsilon: Added to the arguments of logarithms, so that 0 is allowed.
      scope: Name for `get_losses`; default `log_loss`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes differ, labels are missing, or weights do not fit.
      TypeError: Predictions or labels are a tuple.

    >>> round(float(log_loss([0.9, 0.1], [1, 0])), 6)
    0.10536
    """

    def cross_entropy(p: jax.Array, z: jax.Array) -> jax.Array:
        return -z * jnp.log(p + epsilon) - (1 - z) * jnp.log(1 - p + epsilon)

    pair = {"predictions": predictions, "labels": labels}
    return mean_loss("log_loss", cross_entropy, weights, scope or "log_loss", **pair)


@explained
def hinge_loss(logits: Values, labels: Values = None, scope: str | None = None) -> jax.Array:
    """The hinge losses `max(0, 1 - logits * (2 * labels - 1))`, element by element.

    As in TF-Slim they are neither averaged nor collected; `compute_weighted_loss` does both.

    Args:
      logits: Of any shape; above 0 means yes.
      labels: The same shape, 0 or 1.
      scope: Names the operations in a profile; default `hinge_loss`.

    Returns:
      Float32, the shape of `logits`.

    Raises:
      ValueError: Shapes differ, or labels are missing.
      TypeError: Logits or labels are a tuple.

    >>> hinge_loss([2., 0.5, -1.], [1, 1, 0]).tolist()
    [0.0, 0.5, 0.0]
    """
    x, z = as_pair("hinge_loss", logits=logits, labels=labels)
    with jax.named_scope(scope or "hinge_loss"):
        return jax.nn.relu(1 - (2 * z - 1) * x)


def _smooth(op: str, labels: jax.Array, label_smoothing: float, towards: float) -> jax.Array:
    checks.number(
        op, "label_smoothing", label_smoothing, at_least=0, at_most=1, hint="0 turns it off"
    )
    if label_smoothing == 0:
        return labels
    return labels * (1 - label_smoothing) + label_smoothing * towards


def _check_labels(op: str, labels: np.ndarray, counts: np.ndarray, num_classes: int) -> None:
    """Raises for a label out of range where it counts."""
    is_wrong = ((labels < 0) | (labels >= num_classes)) & counts
    if is_wrong.any():
        index = [int(i) for i in np.argwhere(is_wrong)[0]]
        raise ValueError(
            f"{op}: labels must be in [0, {num_classes}), got {labels[tuple(index)]} at {index}; "
            "fix the labels, give the network more classes, or give such examples weight 0"
        )
