"""Metrics that keep all values, up to a fixed number."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks, reprs
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, Value, labels_first, metric, value_metric
from jslim.metrics._decisions import count_rejected, value_unless
from jslim.metrics._inputs import to_statistics, to_weights, weight_of_each
from jslim.metrics._thresholds import scored_metric
from jslim.metrics.curves import CURVES


class GatheredState(NamedTuple):
    """Rows one after the other, of which the first `size` are filled.

    `lost` counts the rows that found no room, and `rejected` the examples that do not fit (always 0
    for plain values).
    """

    rows: dict[str, jax.Array]
    size: jax.Array
    lost: jax.Array
    rejected: accumulators.Sum

    def __repr__(self) -> str:
        return reprs.state_repr(self)


def _room(state: GatheredState) -> int:
    (room,) = {rows.shape[0] for rows in state.rows.values()}
    return room


def _empty(where: str, max_size: int, **rows: jax.ShapeDtypeStruct) -> Callable[[], GatheredState]:
    """Makes the state before any data, with room for `max_size` rows of these shapes and types."""
    room = checks.count(where, "max_size", max_size)

    def init() -> GatheredState:
        arrays = {name: jnp.zeros((room, *row.shape), row.dtype) for name, row in rows.items()}
        size, lost = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        return GatheredState(arrays, size, lost, accumulators.zero())

    return init


def _appended(a: GatheredState, b: GatheredState) -> GatheredState:
    """The rows of `a` and then those of `b`, as many as there is room for in `a`."""
    room = _room(a)
    # Rows that are empty or find no room are dropped by a place outside. No row that is held moves,
    # so that an update costs as much as its batch.
    index = jnp.arange(_room(b), dtype=jnp.int32)
    place = jnp.where(index < b.size, a.size + index, room)
    rows = {name: held.at[place].set(b.rows[name], mode="drop") for name, held in a.rows.items()}
    whole = a.size + b.size
    size = jnp.minimum(whole, room)
    rejected = accumulators.add(a.rejected, b.rejected)
    return GatheredState(rows, size, a.lost + b.lost + whole - size, rejected)


def _batch(
    rows: dict[str, jax.Array], weights: jax.Array | None, rejected: accumulators.Sum
) -> GatheredState:
    """Rows of a batch as a state, those of weight 0 left out."""
    (count,) = {array.shape[0] for array in rows.values()}
    size, none = jnp.asarray(count, jnp.int32), jnp.zeros((), jnp.int32)
    if weights is not None and count:
        kept = jnp.broadcast_to(weights, (count,)) != 0
        order = jnp.argsort(~kept, stable=True)
        rows = {name: array[order] for name, array in rows.items()}
        size = jnp.sum(kept, dtype=jnp.int32)
    return GatheredState(rows, size, none, rejected)


def _unless_lost(where: str, state: GatheredState, value: Callable[[], Value]) -> Value:
    """The value, or an error where rows found no room; within `jax.jit`, NaN."""

    def message() -> str:
        lost, room = int(state.lost), _room(state)
        return (
            f"{where}: there were {lost} examples more than the {room} there is room for; give "
            f"max_size={room + lost} or more"
        )

    return value_unless(state.lost, value, message)


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

    Differs from TF-Slim: the state has a fixed size. So size, shape and type are given here, and
    more values than that are an error; TF-Slim left them out.

    Args:
        max_size: The largest number of values; it must be given.
        shape: The shape of one value, without the axis along which they are joined.
        dtype: The type in which they are kept.
        axis: The axis of `values` along which they are joined.

    `update(state, values, *, weights=None)`:
        values: `[batch, *shape]`, or the batch at `axis`.
        weights: One for each, `[batch]`; values of weight 0 are left out, and other weights
            do not count.

    Returns:
        A metric with a value `[number of values, *shape]`; within `jax.jit`, in which shapes are
        fixed, `[max_size, *shape]` with zeros at the end. `merge(a, b)` puts `b` behind `a`.

    Raises:
        TypeError: There is no `max_size`.
        ValueError: `max_size` is below 1, or there is no such `axis`; by `update`, if the values
            have another shape; by `finalize`, if there were more than `max_size`.

    >>> metric = streaming_concat(max_size=5)
    >>> state = metric.update(metric.init(), [1.0, 2.0, 3.0], weights=[1, 0, 1])
    >>> metric.finalize(state).tolist()
    [1.0, 3.0]
    """
    shape = tuple(shape)
    if max_size is None:
        raise TypeError(
            f"{where}: max_size must be given, since the state keeps its size; give the number of "
            "values there will be at the most"
        )
    init = _empty(where, max_size, values=jax.ShapeDtypeStruct(shape, dtype))
    hint = f"shape={shape} is the shape of one value; leave out the axis that joins the values"
    checks.number(where, "axis", axis, at_least=0, at_most=len(shape), hint=hint)
    layout = (*shape[:axis], "batch", *shape[axis:])

    def batch(values: ArrayLike, weights: ArrayLike | None) -> GatheredState:
        values = jnp.asarray(values)
        if values.shape != (*shape[:axis], *values.shape[axis : axis + 1], *shape[axis:]):
            hint = f"give the shape of one to {where}(shape=...)"
            accepted = f"of shape {layout}"
            raise checks.refusal(where, "values", accepted, str(values.shape), hint)
        values = jnp.moveaxis(values, axis, 0).astype(dtype)
        aligned = to_weights(where, weights, values.shape[:1])
        return _batch({"values": values}, aligned, accumulators.zero())

    def finalize(state: GatheredState) -> jax.Array:
        def value() -> jax.Array:
            try:
                rows = state.rows["values"][: int(state.size)]
            except jax.errors.ConcretizationTypeError:
                rows = state.rows["values"]
            return jnp.moveaxis(rows, 0, axis)

        return _unless_lost(where, state, value)

    return value_metric(init, batch, finalize, _appended)


def _scored_metric(where: str, max_size: int, value: Callable[..., Value]) -> Metric:
    """A metric of all predictions, truth values and weights; rows behind the size have weight 0."""
    number = jax.ShapeDtypeStruct((), accumulators.statistics_dtype())

    def batch(
        scores: jax.Array, truth: jax.Array, fits: jax.Array, weights: jax.Array | None
    ) -> GatheredState:
        # A NaN of weight 0 must not come into the sums.
        each = jnp.where(fits, weight_of_each(weights, scores.shape), 0).reshape(-1)
        rows = {
            "predictions": jnp.where(fits, scores, 0).reshape(-1),
            "truth": to_statistics(truth).reshape(-1),
            "weights": each,
        }
        return _batch(rows, each, count_rejected(fits, weights))

    return scored_metric(
        where,
        _empty(where, max_size, predictions=number, truth=number, weights=number),
        batch,
        lambda state: _unless_lost(where, state, lambda: value(**state.rows)),
        merge=_appended,
    ).on(labels_first)


def _at_ends(values: jax.Array, is_end: jax.Array) -> jax.Array:
    """Growing values; within a group of ties, the value at the end of the group before."""
    return jax.lax.cummax(jnp.where(is_end, values, 0))


@metric
def streaming_dynamic_auc(where: str, max_size: int = 1 << 16, curve: str = "ROC") -> Metric:
    """The exact area under the ROC or precision-recall curve, with every prediction a threshold.

    Differs from TF-Slim: the state has a fixed size; it computes in float32.

    Args:
        max_size: The largest number of examples.
        curve: 'ROC' or 'PR', by the trapezoidal rule.

    `update(state, labels, predictions, *, weights=None)`:
        labels: bool, or 0 and 1, of any shape.
        predictions: Real numbers of the same shape, not only in [0, 1].
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 unless there are true and false examples.

    Raises:
        ValueError: By `finalize`, if there were more than `max_size`, a label was neither 0 nor 1,
            or a prediction was NaN.
        TypeError: By `update`, if the data is neither bool nor real numbers.

    >>> metric = streaming_dynamic_auc()
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """
    checks.one_of(where, "curve", curve, CURVES)

    def value(predictions: jax.Array, truth: jax.Array, weights: jax.Array) -> jax.Array:
        # Rows behind the size have no weight, so their place does not matter.
        order = jnp.argsort(-predictions, stable=True)
        p, t, w = predictions[order], truth[order], weights[order]
        is_end = jnp.append(p[1:] != p[:-1], True)
        tp = _at_ends(jnp.cumsum(w * t), is_end)
        fp = _at_ends(jnp.cumsum(w * (1 - t)), is_end)
        all_true, all_false = tp[-1], fp[-1]
        recall = accumulators.divide(tp, all_true)
        if curve == "ROC":
            x, y, first_y = accumulators.divide(fp, all_false), recall, 0
        else:
            precision = jnp.where(tp + fp > 0, accumulators.divide(tp, tp + fp), 1)
            x, y, first_y = recall, precision, 1
        x, y = jnp.pad(x, (1, 0)), jnp.pad(y, (1, 0), constant_values=first_y)
        return jnp.where((all_true > 0) & (all_false > 0), jnp.trapezoid(y, x), 0)

    return _scored_metric(where, max_size, value)


class AucData(NamedTuple):
    """The value of `auc_with_confidence_intervals`."""

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
        max_size: The largest number of examples.
        alpha: The probability that the interval holds the true area, in (0, 1).
        logit_transformation: Whether the interval is computed for the logit of the area, which
            keeps it within [0, 1].

    Returns:
        A metric with an `AucData` as its value; zeros unless there are true and false examples. An
        area of 0 or 1 is its own interval, since there is no variance.

    Raises:
        ValueError: `alpha` is not in (0, 1); what `streaming_dynamic_auc` raises.
        TypeError: As `streaming_dynamic_auc`.

    >>> metric = auc_with_confidence_intervals()
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> [round(float(limit), 3) for limit in metric.finalize(state)]
    [0.75, 0.069, 0.992]
    """
    checks.number(where, "alpha", alpha, above=0, below=1)
    epsilon = 1e-7

    def value(predictions: jax.Array, truth: jax.Array, weights: jax.Array) -> AucData:
        order = jnp.argsort(predictions, stable=True)
        p, t, w = predictions[order], truth[order], weights[order]
        true, false = w * t, w * (1 - t)
        total_1, total_0 = jnp.sum(true), jnp.sum(false)
        group = jnp.cumsum(jnp.pad(p[1:] != p[:-1], (1, 0)))

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
            logit = jnp.log(auc / (1 - auc + epsilon))
            step = z * error / (auc * (1 - auc + epsilon))
            low, high = (1 / (1 + jnp.exp(-x) + epsilon) for x in (logit + step, logit - step))
        else:
            low, high = auc + z * error, auc - z * error
        is_extreme = (auc == 0) | (auc == 1)
        is_defined = (total_0 > 0) & (total_1 > 0) & (total_0 + total_1 >= 1)
        limits = jnp.where(is_extreme, auc, jnp.stack([auc, low, high]))
        return AucData(*jnp.where(is_defined, limits, 0))

    return _scored_metric(where, max_size, value)
