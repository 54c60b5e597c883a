"""What the normalizers share: statistics of an array, and normalizing it by its own ones."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np
from jax import lax

from jslim.core.errors import did_you_mean
from jslim.initializers import ones_initializer
from jslim.layers._common import ZEROS, Initializer, Regularizer
from jslim.layers._frame import Call

ONES = ones_initializer()
Value = TypeVar("Value")
Arguments = tuple[jax.Array, jax.Array | None, jax.Array | None]
Normalized = tuple[jax.Array, jax.Array, jax.Array]


def by_name(
    where: str, argument: str, given: Mapping[str, Value] | None, names: Sequence[str]
) -> Mapping[str, Value]:
    """A dict argument, whose keys have to be among `names`."""
    for name in given or {}:
        if name not in names:
            raise ValueError(
                f"{where}: {argument} has no parameter {name!r}{did_you_mean(name, names)} (there "
                f"are {', '.join(names)})"
            )
    return given or {}


def like(array: jax.Array, value: float) -> np.ndarray:
    """`value` in the dtype of `array`."""
    return np.asarray(value, array.dtype)[()]


def inverse_deviation(variance: jax.Array, epsilon: float) -> jax.Array:
    return lax.rsqrt(lax.add(variance, like(variance, epsilon)))


def scale_and_shift(
    array: jax.Array, scale: jax.Array | None, shift: jax.Array | None, axes: Sequence[int]
) -> jax.Array:
    """`array * scale + shift`; `scale` and `shift` have the axes `axes` of the array."""
    if scale is not None:
        array = lax.mul(array, lax.broadcast_in_dim(scale, array.shape, axes))
    if shift is not None:
        array = lax.add(array, lax.broadcast_in_dim(shift, array.shape, axes))
    return array


def scale_parameters(
    call: Call,
    shape: tuple[int, ...],
    wanted: Mapping[str, bool],
    initializers: Mapping[str, Initializer] | None = None,
    regularizers: Mapping[str, Regularizer] | None = None,
) -> dict[str, jax.Array | None]:
    """Makes those of `gamma` and `beta` that are wanted, in this order, and None for the other."""
    initializers, regularizers = initializers or {}, regularizers or {}
    made: dict[str, jax.Array | None] = dict.fromkeys(wanted)
    for name, is_wanted in wanted.items():
        if is_wanted:
            initializer = initializers.get(name, ONES if name == "gamma" else ZEROS)
            made[name] = call.parameter(name, shape, initializer, regularizers.get(name))
    return made


@dataclass(frozen=True)
class Over:
    """What statistics are taken over: all axes of an array but some, and mesh axes."""

    kept: tuple[int, ...]  # the axes of the statistics, in order
    axis_name: str | tuple[str, ...] | None = None
    has_one_pass: bool = False  # the variance as E[x ** 2] - E[x] ** 2

    def spread(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """Statistics in the shape of `array`."""
        return lax.broadcast_in_dim(values, array.shape, self.kept)

    def count(self, array: jax.Array) -> int:
        """How many elements each statistic is of, on all devices."""
        devices = lax.axis_size(self.axis_name) if self.axis_name else 1
        return math.prod(array.shape[axis] for axis in self._reduced(array)) * devices

    def sum(self, array: jax.Array) -> jax.Array:
        total = lax.reduce_sum(array, self._reduced(array))
        return lax.psum(total, self.axis_name) if self.axis_name else total

    def mean(self, array: jax.Array) -> jax.Array:
        return lax.mul(self.sum(array), like(array, 1 / self.count(array)))

    def moments(self, array: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean = self.mean(array)
        if self.has_one_pass:
            variance = lax.sub(self.mean(lax.square(array)), lax.square(mean))
            # Rounding can make the difference negative.
            return mean, lax.max(variance, like(variance, 0.0))
        deviations = lax.sub(array, self.spread(mean, array))
        return mean, self.mean(lax.square(deviations))

    def _reduced(self, array: jax.Array) -> list[int]:
        return [axis for axis in range(array.ndim) if axis not in self.kept]


# The derivative is written out because its transpose needs two sums over the array where the
# automatic one takes four: with gradients 0.56 to 1.0 of the time (8x112x112x64 to 32x28x28x32,
# CPU, jax 0.10.2), and half the time to trace. As a jvp it still allows forward mode.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def normalize(
    over: Over, epsilon: float, array: jax.Array, gamma: jax.Array | None, beta: jax.Array | None
) -> Normalized:
    """The array normalized by its own mean and variance; the mean; the variance.

    Mean and variance are constants for the gradient.
    `gamma` and `beta`, which the result is scaled and shifted by, have the shape of the statistics.
    """
    mean, variance = over.moments(array)
    inverse = inverse_deviation(variance, epsilon)
    outputs = scale_and_shift(
        lax.sub(array, over.spread(mean, array)),
        inverse if gamma is None else lax.mul(gamma, inverse),
        beta,
        over.kept,
    )
    return outputs, mean, variance


@normalize.defjvp
def _normalize_jvp(
    over: Over, epsilon: float, primals: Arguments, tangents: Arguments
) -> tuple[Normalized, Normalized]:
    array, gamma, beta = primals
    array_dot, gamma_dot, beta_dot = tangents
    mean, variance = over.moments(array)
    inverse = inverse_deviation(variance, epsilon)
    scale = inverse if gamma is None else lax.mul(gamma, inverse)
    deviations = lax.sub(array, over.spread(mean, array))
    outputs = scale_and_shift(deviations, scale, beta, over.kept)

    # outputs = deviations * scale + beta. What multiplies the deviations goes into one factor,
    # and what is the same for a whole statistic into one term: the transpose has one sum for each.
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
        # deviations out for such a sum. What this rounds away is less than in the variance.
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

    `weights` are `[batch]`. Where they are all zero, so are the mean and the variance.
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
