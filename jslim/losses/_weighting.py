"""What all losses share: checking their arguments, and the weighted mean."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core.access import is_running
from jslim.core.arguments import explained
from jslim.losses._collections import add_loss

Values: TypeAlias = ArrayLike | Sequence[object] | None  # also (nested) lists of numbers


def as_array(op: str, name: str, value: Values, dtype: DTypeLike | None = jnp.float32) -> jax.Array:
    """`value` as an array of `dtype` (its own if None). Refuses the outputs of a network."""
    if isinstance(value, (tuple, dict)):
        raise TypeError(
            f"{op}: {name} must be one array, got a {type(value).__name__}; a network function "
            "returns (logits, end_points), so unpack it: logits, end_points = "
            "vgg.vgg_16(images)"
        )
    return checks.numbers_in(op, name, checks.given(op, name, value, "give an array"), dtype)


def as_pair(op: str, **arguments: Values) -> tuple[jax.Array, jax.Array]:
    """Two arguments, predictions and labels, as float32 arrays of one shape."""
    arrays = {name: as_array(op, name, value) for name, value in arguments.items()}
    first, second = arrays.values()
    hint = "reshape one of them"
    if op == "softmax_cross_entropy" and second.ndim < first.ndim:
        hint = "class numbers go to sparse_softmax_cross_entropy, or through one_hot_encoding"
    checks.same_shape(op, hint, **arrays)
    return first, second


def as_weights(op: str, weights: Values, shape: tuple[int, ...]) -> jax.Array:
    """Weights in float32 with as many axes as `shape`, each of that length or of length 1."""
    hint = "give 1.0 to weigh every element alike"
    weights = checks.numbers_in(
        op, "weights", checks.given(op, "weights", weights, hint), jnp.float32
    )
    given = weights.shape
    while len(given) > len(shape) and given[-1] == 1:
        given = given[:-1]
    fits = len(given) <= len(shape) and all(
        length in (1, wanted) for length, wanted in zip(given, shape, strict=False)
    )
    if not fits:
        accepted = ["a scalar", *(f"of shape {shape[: i + 1]}" for i in range(len(shape)))]
        raise ValueError(
            f"{op}: weights must be {' or '.join(accepted)} (or have length 1 along some of those "
            f"axes), got shape {weights.shape}; weights line up with the first axes"
        )
    return weights.reshape(given + (1,) * (len(shape) - len(given)))


def known(value: Values) -> np.ndarray | None:
    """`value` as a NumPy array, or None if it is traced or in another process."""
    try:
        return np.asarray(value) if getattr(value, "is_fully_addressable", True) else None
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        return None


def mean_loss(
    op: str,
    formula: Callable[[jax.Array, jax.Array], jax.Array],
    weights: Values,
    scope: str,
    **arguments: Values,
) -> jax.Array:
    """The weighted mean of `formula(predictions, labels)`, collected."""
    arrays = as_pair(op, **arguments)
    with jax.named_scope(scope):
        return weighted_mean(op, formula(*arrays), weights, scope)


def weighted_mean(op: str, losses: jax.Array, weights: Values, scope: str) -> jax.Array:
    """The mean of `losses` over the elements whose weight is not 0, collected."""
    if isinstance(weights, (int, float)) and weights == 1:
        # The usual case, without a dozen operations whose result is known.
        total = lax.reduce_sum(losses, range(losses.ndim))
        return collect(lax.div(total, np.float32(max(losses.size, 1))), scope)
    weights = as_weights(op, weights, losses.shape)
    elements_per_weight = losses.size // max(weights.size, 1)
    num_present = jnp.sum(weights != 0, dtype=jnp.float32) * elements_per_weight
    total = jnp.sum(losses * weights)
    return collect(jnp.where(num_present > 0, total / jnp.maximum(num_present, 1), 0.0), scope)


def collect(loss: jax.Array, scope: str) -> jax.Array:
    """`loss`, which the running model, if any, collects."""
    if is_running():
        add_loss(loss, scope=scope)
    return loss


@explained
def compute_weighted_loss(
    losses: Values, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The weighted mean of element-wise losses, collected like any other loss.

    Args:
      losses: Of any shape, `[batch, ...]`.
      weights: Scalar, `[batch]` or up to the full shape: see `jslim.losses`.
      scope: Name for `get_losses`; default `weighted_loss`.

    Returns:
      A float32 scalar (TF-Slim gives the type of `losses`).

    Raises:
      ValueError: Weights are None or do not fit.
      TypeError: Losses are a tuple.

    >>> float(compute_weighted_loss([4., 2., 9.], weights=[1., 2., 0.]))
    4.0
    """
    op = "compute_weighted_loss"
    return weighted_mean(op, as_array(op, "losses", losses), weights, scope or "weighted_loss")
