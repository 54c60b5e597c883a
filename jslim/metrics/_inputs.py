"""What metrics do to their inputs first: one shape for predictions, labels and weights."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jslim.metrics._accumulators import statistics_dtype


def to_statistics(values: ArrayLike) -> jax.Array:
    """Real numbers of any type in the type that metrics compute in."""
    return jnp.asarray(values).astype(statistics_dtype())


def to_rank(array: ArrayLike, ndim: int) -> jax.Array:
    """The array, without its last axis where that has size 1 and is one more than `ndim`."""
    array = jnp.asarray(array)
    return array[..., 0] if array.ndim == ndim + 1 and array.shape[-1] == 1 else array


def to_pair(
    where: str,
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str] = ("predictions", "labels"),
) -> tuple[jax.Array, jax.Array]:
    """Two arrays of one shape; either may have a last axis of 1 that the other lacks."""
    one, other = to_rank(first, np.ndim(second)), to_rank(second, np.ndim(first))
    if one.shape != other.shape:
        message = (
            f"{where}: {names[0]} of shape {np.shape(first)} and {names[1]} of shape "
            f"{np.shape(second)} do not match; both need one shape, where a last axis of 1 may be "
            "missing"
        )
        if one.ndim == other.ndim + 1:
            message += f"; if {names[0]} are scores per class, take jnp.argmax({names[0]}, -1)"
        raise ValueError(message)
    return one, other


def to_weights(where: str, weights: ArrayLike | None, shape: tuple[int, ...]) -> jax.Array | None:
    """Weights ready to broadcast to values of `shape`.

    As in TF-Slim a scalar, the same rank with axes of 1, one axis of 1 too many, or the last axis
    missing. Further last axes may be missing too, so that a weight per example fits any values.
    """
    if weights is None:
        return None
    aligned = to_rank(weights, len(shape))
    if aligned.ndim > 0:
        aligned = _append_axes(aligned, len(shape))
    fits = aligned.ndim <= len(shape) and all(
        size in (1, wanted) for size, wanted in zip(aligned.shape, shape, strict=False)
    )
    if not fits:
        raise ValueError(
            f"{where}: weights of shape {np.shape(weights)} do not broadcast to values of shape "
            f"{shape}; give a scalar, or one weight for each entry of the leading axes (axes of 1 "
            "broadcast)"
        )
    return to_statistics(aligned)


def weight_of_each(weights: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
    """An array of `shape` from weights that broadcast to it; ones for None."""
    return jnp.broadcast_to(to_statistics(1) if weights is None else weights, shape)


def multiply_weights(first: ArrayLike | None, second: ArrayLike | None) -> ArrayLike | None:
    """The product of two weights, where None is 1 and missing last axes count as 1."""
    if first is None or second is None:
        return second if first is None else first
    rank = max(np.ndim(first), np.ndim(second))
    one, other = (_append_axes(to_statistics(given), rank) for given in (first, second))
    try:
        return one * other
    except (TypeError, ValueError):
        raise ValueError(
            f"Metric.on: the weights given to update(), of shape {np.shape(first)}, and the "
            f"selected ones, of shape {np.shape(second)}, do not broadcast to each other; give "
            "both one entry for each entry of the leading axes"
        ) from None


def _append_axes(array: jax.Array, rank: int) -> jax.Array:
    """The array with axes of 1 at the end, up to `rank`."""
    return array.reshape(array.shape + (1,) * (rank - array.ndim))
