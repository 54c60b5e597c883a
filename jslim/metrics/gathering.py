"""Metrics that keep all values, up to the number that their state has room for."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.metrics._accumulators import statistics_dtype
from jslim.metrics._core import Metric, Value, metric, pair_metric
from jslim.metrics._decisions import to_scored, value_unless
from jslim.metrics._inputs import Given, to_statistics, to_weights, weight_of_each
from jslim.metrics._thresholds import NO_NUMBER, check_curve


class GatheredState(NamedTuple):
    """Rows one after the other, the first `size` of the room; and how many more there were."""

    rows: dict[str, jax.Array]
    size: jax.Array
    lost: jax.Array


def _empty(shapes: Mapping[str, tuple[tuple[int, ...], DTypeLike]], max_size: int) -> GatheredState:
    rows = {name: jnp.zeros((max_size, *shape), dtype) for name, (shape, dtype) in shapes.items()}
    return GatheredState(rows, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def _appended(a: GatheredState, b: GatheredState) -> GatheredState:
    """The rows of `a` and then those of `b`, as many as there is room for in `a`."""
    (room,) = {rows.shape[0] for rows in a.rows.values()}
    (others,) = {rows.shape[0] for rows in b.rows.values()}
    # Where there is no row or no room, the place is outside: an update costs what its batch does.
    index = jnp.arange(others, dtype=jnp.int32)
    place = jnp.where(index < b.size, a.size + index, room)
    rows = {name: held.at[place].set(b.rows[name], mode="drop") for name, held in a.rows.items()}
    whole = a.size + b.size
    size = jnp.minimum(whole, room)
    return GatheredState(rows, size, a.lost + b.lost + whole - size)


def _batch(rows: dict[str, jax.Array], weights: jax.Array | None) -> GatheredState:
    """Rows of a batch as a state, those of weight 0 left out."""
    (count,) = {array.shape[0] for array in rows.values()}
    size, none = jnp.asarray(count, jnp.int32), jnp.zeros((), jnp.int32)
    if weights is not None and count:
        kept = jnp.broadcast_to(weights, (count,)) != 0
        order = jnp.argsort(~kept, stable=True)
        rows = {name: array[order] for name, array in rows.items()}
        size = jnp.sum(kept, dtype=jnp.int32)
    return GatheredState(rows, size, none)


def _host_or_nan(
    where: str, state: GatheredState, value: Callable[[], Value], rejected: jax.Array | None = None
) -> Value:
    """The value, or an error where rows did not fit; within `jax.jit`, NaN."""
    bad = state.lost if rejected is None else state.lost + rejected

    def message() -> str:
        lost = int(state.lost)
        if not lost:
            return f"{where}: of the examples given, {int(bad)} {NO_NUMBER}."
        (room,) = {rows.shape[0] for rows in state.rows.values()}
        return (
            f"{where}: there were {lost} examples more than the {room} there is room for; give "
            f"max_size={room + lost} or more."
        )

    return value_unless(bad, value, message)


def _check_size(where: str, max_size: int) -> int:
    if max_size < 1:
        raise ValueError(f"{where}: max_size must be at least 1, got {max_size}.")
    return max_size


@metric
def streaming_concat(
    where: str,
    max_size: int | None = None,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = np.float32,
    *,
    axis: int = 0,
) -> Metric:
    """All values one after the other.

    Differs from TF-Slim: the state has a fixed size, so the room, the shape and the type are given
    before; more values than there is room for are an error, where TF-Slim left them out.

    Args:
        max_size: How many values there is room for; it must be given.
        shape: The shape of one, which lacks the axis along which they are joined.
        dtype: The type they are kept in.
        axis: The axis of `values` along which they are joined.

    `update(state, values, *, weights=None)`:
        values: `[batch, *shape]`, or the batch at `axis`.
        weights: One for each, `[batch]`; values of weight 0 are left out, and other weights
            do not count.

    Returns:
        A metric with a value `[number of values, *shape]`; within `jax.jit`, where a shape must be
        known, `[max_size, *shape]` with zeros behind. Merging puts the second behind the first.

    Raises:
        TypeError: There is no `max_size`.
        ValueError: `max_size` is below 1, or there is no such `axis`; by `update`, if the values
            have another shape; by `finalize`, if there was no room for some.
    """
    shape = tuple(shape)
    if max_size is None:
        raise TypeError(
            f"{where}: max_size must be given, since the state keeps its size; give the number of "
            "values there will be at the most"
        )
    room = _check_size(where, max_size)
    if not 0 <= axis <= len(shape):
        raise ValueError(
            f"{where}: axis must be one of 0 to {len(shape)}, got {axis}; shape={shape} is that of "
            "one value, without the axis along which they are joined."
        )

    def init() -> GatheredState:
        return _empty({"values": (shape, dtype)}, room)

    def update(
        state: GatheredState, values: ArrayLike, *, weights: ArrayLike | None = None
    ) -> GatheredState:
        values = jnp.asarray(values)
        if (
            values.ndim != len(shape) + 1
            or (*values.shape[:axis], *values.shape[axis + 1 :]) != shape
        ):
            wanted = (*shape[:axis], "batch", *shape[axis:])
            raise ValueError(
                f"{where}: values must be of shape {wanted}, got {values.shape}; give "
                f"the shape of one to {where}(shape=...)."
            )
        values = jnp.moveaxis(values, axis, 0)
        aligned = to_weights(where, weights, values.shape[:1])
        return _appended(state, _batch({"values": values.astype(dtype)}, aligned))

    def finalize(state: GatheredState) -> jax.Array:
        def value() -> jax.Array:
            try:
                rows = state.rows["values"][: int(state.size)]
            except jax.errors.ConcretizationTypeError:
                rows = state.rows["values"]
            return jnp.moveaxis(rows, 0, axis)

        if not jnp.issubdtype(dtype, jnp.floating):
            try:
                int(state.lost)
            except jax.errors.ConcretizationTypeError:
                return value()  # which has no NaN
        return _host_or_nan(where, state, value)

    return Metric(init, update, finalize, _appended)


class ScoredState(NamedTuple):
    """Predictions, truth and weights of all examples, and how many were none."""

    examples: GatheredState
    rejected: jax.Array


def _scored_metric(where: str, max_size: int, value: Callable[..., Value]) -> Metric:
    """A metric of all predictions, truth values and weights; rows behind the size have weight 0."""
    _check_size(where, max_size)

    def init() -> ScoredState:
        shapes = dict.fromkeys(("predictions", "truth", "weights"), ((), statistics_dtype()))
        return ScoredState(_empty(shapes, max_size), jnp.zeros((), jnp.int32))

    def batch(given: Given) -> ScoredState:
        scores, truth, fits, aligned = to_scored(where, given)
        fits &= ~jnp.isnan(scores)
        each = weight_of_each(aligned, scores.shape)
        rejected = jnp.sum(~fits & (each != 0), dtype=jnp.int32)
        # A NaN of weight 0 must not come into the sums.
        each = jnp.where(fits, each, 0).reshape(-1)
        rows = {
            "predictions": jnp.where(fits, scores, 0).reshape(-1),
            "truth": to_statistics(truth).reshape(-1),
            "weights": each,
        }
        return ScoredState(_batch(rows, each), rejected)

    def finalize(state: ScoredState) -> Value:
        return _host_or_nan(
            where, state.examples, lambda: value(**state.examples.rows), state.rejected
        )

    def merge(a: ScoredState, b: ScoredState) -> ScoredState:
        return ScoredState(_appended(a.examples, b.examples), a.rejected + b.rejected)

    return pair_metric(where, init, batch, finalize, labels_first=True, merge=merge)


def _at_ends(values: jax.Array, is_end: jax.Array) -> jax.Array:
    """Growing values, in each group of ties those at its end, from the end of the last on."""
    return jax.lax.cummax(jnp.where(is_end, values, 0))


@metric
def streaming_dynamic_auc(where: str, max_size: int = 1 << 16, curve: str = "ROC") -> Metric:
    """The exact area under the ROC or precision-recall curve, with every prediction a threshold.

    Differs from TF-Slim: the state has a fixed size; it computes in float32.

    Args:
        max_size: How many examples there is room for.
        curve: 'ROC' or 'PR', by the trapezoidal rule.

    `update(state, labels, predictions, *, weights=None)`:
        labels: bool, or 0 and 1, of any shape.
        predictions: Real numbers of the same shape, not only in [0, 1].
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there are not both true and false examples.

    Raises:
        ValueError: By `finalize`, if there was no room for some, a label was neither 0 nor 1, or a
            prediction was NaN.
        TypeError: By `update`, if the data is neither bool nor real numbers.
    """
    check_curve(where, curve)

    def value(predictions: jax.Array, truth: jax.Array, weights: jax.Array) -> jax.Array:
        # What is behind the size sorts last: it has no weight, so where it stands does not matter.
        order = jnp.argsort(-predictions, stable=True)
        p, t, w = predictions[order], truth[order], weights[order]
        is_end = jnp.concatenate([p[1:] != p[:-1], jnp.ones(1, bool)])
        tp = _at_ends(jnp.cumsum(w * t), is_end)
        fp = _at_ends(jnp.cumsum(w * (1 - t)), is_end)
        all_true, all_false = tp[-1], fp[-1]
        is_defined = (all_true > 0) & (all_false > 0)
        whole = tp + fp
        if curve == "ROC":
            x = fp / jnp.where(all_false > 0, all_false, 1)
            y = tp / jnp.where(all_true > 0, all_true, 1)
            start = jnp.zeros(1, x.dtype), jnp.zeros(1, x.dtype)
        else:
            x = tp / jnp.where(all_true > 0, all_true, 1)
            y = jnp.where(whole > 0, tp / jnp.where(whole > 0, whole, 1), 1)
            start = jnp.zeros(1, x.dtype), jnp.ones(1, x.dtype)
        x, y = (jnp.concatenate(pair) for pair in zip(start, (x, y), strict=True))
        area = jnp.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2)
        return jnp.where(is_defined, area, 0)

    return _scored_metric(where, max_size, value)


class AucData(NamedTuple):
    """What `auc_with_confidence_intervals` gives."""

    auc: jax.Array
    lower: jax.Array
    upper: jax.Array


@metric
def auc_with_confidence_intervals(
    where: str, max_size: int = 1 << 16, alpha: float = 0.95, logit_transformation: bool = True
) -> Metric:
    """The exact area under the ROC curve, with limits of its confidence interval.

    By placement values: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more
    correlated receiver operating characteristic curves" (1988); computed as by Sun and Xu (2014).

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_dynamic_auc`.

    Args:
        max_size: How many examples there is room for.
        alpha: The probability that the interval holds the true area, in (0, 1).
        logit_transformation: Whether the interval is that of the area's logit, and so within
            [0, 1].

    Returns:
        A metric with an `AucData` as its value; zeros where there are not both true and false
        examples. An area of 0 or 1 is its own interval, since there is no variance.

    Raises:
        ValueError: `alpha` is not in (0, 1); what `streaming_dynamic_auc` raises.
        TypeError: As `streaming_dynamic_auc`.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"{where}: alpha must be in (0, 1), got {alpha}.")
    epsilon = 1e-7

    def value(predictions: jax.Array, truth: jax.Array, weights: jax.Array) -> AucData:
        order = jnp.argsort(predictions, stable=True)
        p, t, w = predictions[order], truth[order], weights[order]
        true, false = w * t, w * (1 - t)
        total_1, total_0 = jnp.sum(true), jnp.sum(false)
        is_new = jnp.concatenate([jnp.zeros(1, bool), p[1:] != p[:-1]])
        group = jnp.cumsum(is_new)

        def placement(of_others: jax.Array, total: jax.Array) -> jax.Array:
            """The share of the others below, and half of those that tie."""
            in_group = jnp.zeros_like(of_others).at[group].add(of_others)
            below = jnp.cumsum(in_group) - in_group
            return ((below + in_group / 2) / (total + epsilon))[group]

        for_true, for_false = placement(false, total_0), placement(true, total_1)
        auc_0 = jnp.sum(false * (1 - for_false)) / (total_0 + epsilon)
        auc_1 = jnp.sum(true * for_true) / (total_1 + epsilon)
        auc = jnp.where(total_0 < total_1, auc_1, auc_0)
        var_0 = jnp.sum(false * (1 - for_false - auc_0) ** 2) / (total_0 - 1 + epsilon)
        var_1 = jnp.sum(true * (for_true - auc_1) ** 2) / (total_1 - 1 + epsilon)
        error = jnp.sqrt(var_0 / (total_0 + epsilon) + var_1 / (total_1 + epsilon))
        z = jax.scipy.special.ndtri(jnp.asarray((1 - alpha) / 2, auc.dtype))
        if logit_transformation:
            estimate = jnp.log(auc / (1 - auc + epsilon))
            step = z * error / (auc * (1 - auc + epsilon))
            low, high = (
                1 / (1 + jnp.exp(-x) + epsilon) for x in (estimate + step, estimate - step)
            )
        else:
            low, high = auc + z * error, auc - z * error
        is_extreme = (auc == 0) | (auc == 1)
        is_defined = (total_0 > 0) & (total_1 > 0) & (total_0 + total_1 >= 1)

        def limit(found: jax.Array) -> jax.Array:
            return jnp.where(is_defined, jnp.where(is_extreme, auc, found), 0)

        return AucData(limit(auc), limit(low), limit(high))

    return _scored_metric(where, max_size, value)
