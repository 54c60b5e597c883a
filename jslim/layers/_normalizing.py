"""What the normalizers share: statistics of an array, and its normalization by them."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.layers._defaults import ONES, ZEROS
from jslim.layers._frame import Call
from jslim.layers._types import Initializer, Regularizer

Value = TypeVar("Value")
Arguments = tuple[jax.Array, jax.Array | None, jax.Array | None]
Normalized = tuple[jax.Array, jax.Array, jax.Array]


def by_name(
    where: str, argument: str, given: Mapping[str, Value] | None, names: Sequence[str]
) -> Mapping[str, Value]:
    """A dict argument, whose keys must be among `names`."""
    if given is None:
        return {}
    checks.instance(where, argument, given, Mapping, f"a dict by name ({', '.join(names)})")
    kinds = checks.kinds_of([argument.removesuffix("s")])
    for name, value in given.items():
        checks.known(where, f"{argument} for", name, names)
        for kind in kinds.values():
            checks.function_of(where, f"{argument}[{name!r}]", value, kind)
    return given


def like(array: jax.Array, value: float) -> np.ndarray:
    """`value` in the dtype of `array`."""
    return np.asarray(value, array.dtype)[()]


def inverse_deviation(variance: jax.Array, epsilon: float) -> jax.Array:
    return lax.rsqrt(lax.add(variance, like(variance, epsilon)))


def scale_and_shift(
    array: jax.Array, gamma: jax.Array | None, beta: jax.Array | None, axes: Sequence[int]
) -> jax.Array:
    """`array * gamma + beta`, where both have the axes `axes` of the array."""
    if gamma is not None:
        array = lax.mul(array, lax.broadcast_in_dim(gamma, array.shape, axes))
    if beta is not None:
        array = lax.add(array, lax.broadcast_in_dim(beta, array.shape, axes))
    return array


def scale_parameters(
    call: Call,
    shape: tuple[int, ...],
    wanted: Mapping[str, bool],
    initializers: Mapping[str, Initializer] | None = None,
    regularizers: Mapping[str, Regularizer] | None = None,
) -> dict[str, jax.Array | None]:
    """The parameters `gamma` and `beta`, made in the order of `wanted`; None if not wanted."""
    initializers, regularizers = initializers or {}, regularizers or {}
    made: dict[str, jax.Array | None] = dict.fromkeys(wanted)
    for name, is_wanted in wanted.items():
        if is_wanted:
            initializer = initializers.get(name, ONES if name == "gamma" else ZEROS)
            made[name] = call.parameter(name, shape, initializer, regularizers.get(name))
    return made


@dataclass(frozen=True)
class Over:
    """The axes that statistics are taken over: all of an array but some, and mesh axes."""

    kept: tuple[int, ...]  # the axes of the statistics, in order
    axis_name: str | tuple[str, ...] | None = None
    has_one_pass: bool = False  # the variance as E[x ** 2] - E[x] ** 2

    def spread(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """Statistics in the shape of `array`."""
        return lax.broadcast_in_dim(values, array.shape, self.kept)

    def count(self, array: jax.Array) -> int:
        """The number of elements that each statistic is taken over, on all devices."""
        devices = lax.axis_size(self.axis_name) if self.axis_name else 1
        return math.prod(array.shape[axis] for axis in self._reduced(array)) * devices

    def sum(self, array: jax.Array) -> jax.Array:
        total = lax.reduce_sum(array, self._reduced(array))
        return lax.psum(total, self.axis_name) if self.axis_name else total

    def mean(self, array: jax.Array) -> jax.Array:
        return lax.mul(self.sum(array), like(array, 1 / self.count(array)))

    def variance(self, array: jax.Array, mean: jax.Array) -> jax.Array:
        if self.has_one_pass:
            variance = lax.sub(self.mean(lax.square(array)), lax.square(mean))
            return lax.max(variance, like(variance, 0.0))  # rounding can make it negative
        return self.mean(lax.square(lax.sub(array, self.spread(mean, array))))

    def _reduced(self, array: jax.Array) -> list[int]:
        return [axis for axis in range(array.ndim) if axis not in self.kept]


# The derivative is written out because its transpose needs two sums over the array where the
# automatic one takes four: with gradients 0.56 to 1.0 of the time (8x112x112x64 to 32x28x28x32,
# CPU, jax 0.10.2), and half the time to trace. As a jvp it still allows forward mode.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def normalize(
    over: Over, epsilon: float, array: jax.Array, gamma: jax.Array | None, beta: jax.Array | None
) -> Normalized:
    """The array, normalized by its own mean and variance, times gamma plus beta; mean; variance.

    Mean and variance are constants for the gradient. `gamma` and `beta` have their shape.
    """
    mean, variance, _, scale, deviations = _parts(over, epsilon, array, gamma)
    return scale_and_shift(deviations, scale, beta, over.kept), mean, variance


def _parts(
    over: Over, epsilon: float, array: jax.Array, gamma: jax.Array | None
) -> tuple[jax.Array, ...]:
    """Mean, variance, inverse deviation, that times gamma, and differences from the mean."""
    mean = over.mean(array)
    variance = over.variance(array, mean)
    inverse = inverse_deviation(variance, epsilon)
    scale = inverse if gamma is None else lax.mul(gamma, inverse)
    return mean, variance, inverse, scale, lax.sub(array, over.spread(mean, array))


@normalize.defjvp
def _normalize_jvp(
    over: Over, epsilon: float, primals: Arguments, tangents: Arguments
) -> tuple[Normalized, Normalized]:
    array, gamma, beta = primals
    array_dot, gamma_dot, beta_dot = tangents
    mean, variance, inverse, scale, deviations = _parts(over, epsilon, array, gamma)
    outputs = scale_and_shift(deviations, scale, beta, over.kept)

    # outputs = deviations * scale + beta. All that multiplies the deviations goes into one factor,
    # and all that is constant for a statistic into one term: the transpose has one sum for each.
    share = lax.mul(scale, like(scale, -1 / over.count(array)))
    term = lax.mul(share, over.sum(array_dot))
    factor = lax.mul(lax.mul(share, lax.square(inverse)), over.sum(lax.mul(array_dot, deviations)))
    if gamma_dot is not None:
        factor = lax.add(factor, lax.mul(gamma_dot, inverse))
    if beta_dot is not None:
        term = lax.add(term, beta_dot)
    moved = deviations
    if over.has_one_pass:
        # The transpose then sums products with the array itself: XLA's CPU backend writes the
        # deviations out for such a sum. This rounds off less than the variance does.
        moved = array
        term = lax.sub(term, lax.mul(mean, factor))
    outputs_dot = lax.add(
        lax.mul(array_dot, over.spread(scale, array)),
        scale_and_shift(moved, factor, term, over.kept),
    )
    still = np.zeros(mean.shape, mean.dtype)
    return (outputs, mean, variance), (outputs_dot, still, still)  # type: ignore[return-value]


def normalize_weighted(
    over: Over, epsilon: float, array: jax.Array, weights: jax.Array
) -> Normalized:
    """The array normalized by its weighted mean and variance; the mean; the variance.

    `weights` are `[batch]`. If they are all zero, so are the mean and the variance.
    """
    spread = lax.broadcast_in_dim(weights, array.shape, (0,))
    total = over.sum(spread)
    is_empty = lax.eq(total, like(total, 0.0))
    share = lax.select(
        is_empty,
        lax.full_like(total, 0.0),
        lax.integer_pow(lax.select(is_empty, lax.full_like(total, 1.0), total), -1),
    )
    mean = lax.mul(over.sum(lax.mul(spread, array)), share)
    deviations = lax.sub(array, over.spread(mean, array))
    variance = lax.mul(over.sum(lax.mul(spread, lax.square(deviations))), share)
    outputs = scale_and_shift(deviations, inverse_deviation(variance, epsilon), None, over.kept)
    return outputs, mean, variance
