"""What metrics do to their inputs first: one shape for predictions, labels and weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.metrics._accumulators import statistics_dtype


class Given(NamedTuple):
    """What the `update` of a metric of predictions and labels was given."""

    predictions: ArrayLike
    labels: ArrayLike
    weights: ArrayLike | None


def to_statistics(values: ArrayLike) -> jax.Array:
    """Real numbers of any type in the type that metrics compute in."""
    return jnp.asarray(values).astype(statistics_dtype())


def to_pair(
    where: str,
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str] = ("predictions", "labels"),
) -> tuple[jax.Array, jax.Array]:
    """Two arrays of one shape; either may have a last axis of 1 that the other lacks."""
    first, second = jnp.asarray(first), jnp.asarray(second)
    given = first.shape, second.shape
    if first.ndim == second.ndim + 1 and first.shape[-1] == 1:
        first = first[..., 0]
    elif second.ndim == first.ndim + 1 and second.shape[-1] == 1:
        second = second[..., 0]
    if first.shape != second.shape:
        message = (
            f"{where}: {names[0]} of shape {given[0]} and {names[1]} of shape {given[1]} do not "
            "match; both need one shape, where a last axis of 1 may be missing"
        )
        if first.ndim == second.ndim + 1:
            message += f"; if {names[0]} are scores per class, take jnp.argmax({names[0]}, -1)"
        raise ValueError(message + ".")
    return first, second


def check_ids(where: str, name: str, ids: jax.Array, remedy: str = "") -> None:
    """Raises TypeError unless they are integers."""
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"{where}: {name} must be integer class ids, got {ids.dtype}{remedy}.")


def to_weights(where: str, weights: ArrayLike | None, shape: tuple[int, ...]) -> jax.Array | None:
    """Weights ready to broadcast to values of `shape`.

    As in TF-Slim a scalar, the same rank with axes of 1, one axis of 1 too many, or the last axis
    missing. Further last axes may be missing too, so that a weight per example fits any values.
    """
    if weights is None:
        return None
    weights = jnp.asarray(weights)
    given = weights.shape
    if weights.ndim == len(shape) + 1 and given[-1] == 1:
        weights = weights[..., 0]
    if weights.ndim > 0:
        weights = _append_axes(weights, len(shape))
    fits = weights.ndim <= len(shape) and all(
        size in (1, wanted) for size, wanted in zip(weights.shape, shape, strict=False)
    )
    if not fits:
        raise ValueError(
            f"{where}: weights of shape {given} do not broadcast to values of shape {shape}; give "
            "a scalar, or one weight for each entry of the leading axes (axes of 1 broadcast)."
        )
    return to_statistics(weights)


def weight_of_each(weights: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
    """An array of `shape` from weights that broadcast to it; ones for None."""
    if weights is None:
        return jnp.ones(shape, statistics_dtype())
    return jnp.broadcast_to(weights, shape)


def multiply_weights(first: ArrayLike | None, second: ArrayLike | None) -> ArrayLike | None:
    """The product of two weights, where None is 1 and missing last axes count as 1."""
    if first is None or second is None:
        return second if first is None else first
    first, second = to_statistics(first), to_statistics(second)
    given = first.shape, second.shape
    rank = max(first.ndim, second.ndim)
    first, second = _append_axes(first, rank), _append_axes(second, rank)
    try:
        jnp.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        raise ValueError(
            f"Metric.on: the weights given to update(), of shape {given[0]}, and the selected "
            f"ones, of shape {given[1]}, do not broadcast to each other; give both one entry for "
            "each entry of the leading axes."
        ) from None
    return first * second


def _append_axes(array: jax.Array, rank: int) -> jax.Array:
    """Axes of 1 at the end, up to `rank`."""
    return array.reshape(array.shape + (1,) * (rank - array.ndim))
