"""Normalizing each example, or groups of its channels, by their own mean and variance.

A group's statistics are made of sums for each channel, and the derivatives of sums of the array
itself and not of differences to a mean of each example: on XLA's CPU backend a sum over axes around
one that stays, or of differences to such values, takes three times as long.
"""

import functools
import math
from dataclasses import dataclass

import jax
from jax import lax

from jslim.layers import _lowering
from jslim.layers._normalizing import inverse_deviation, like

Moments = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class Groups:
    """Axes that are normalized over, and groups of consecutive channels if there are any."""

    reduced: tuple[int, ...]  # beside the channels of a group
    epsilon: float
    number: int | None = None  # of groups
    channels_axis: int | None = None
    has_one_pass: bool = False  # the variance as E[x ** 2] - E[x] ** 2, however inexact

    def kept(self, array: jax.Array) -> list[int]:
        return [axis for axis in range(array.ndim) if axis not in self.reduced]

    def spread(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """A value for each channel in the shape of `array`."""
        return lax.broadcast_in_dim(values, array.shape, self.kept(array))

    def of_channels(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """A value for each channel from one for each group."""
        place, size = self.place_and_size(array)
        if size == 1:
            return values
        shape = list(values.shape)
        shape.insert(place + 1, size)
        axes = [axis for axis in range(len(shape)) if axis != place + 1]
        values = lax.broadcast_in_dim(values, shape, axes)
        return lax.reshape(values, [array.shape[axis] for axis in self.kept(array)])

    def mean(self, array: jax.Array) -> jax.Array:
        """The mean of each group."""
        place, size = self.place_and_size(array)
        total = lax.reduce_sum(array, self.reduced)
        if size > 1:
            shape = list(total.shape)
            shape[place : place + 1] = [shape[place] // size, size]
            total = lax.reduce_sum(lax.reshape(total, shape), [place + 1])
        count = size * math.prod(array.shape[axis] for axis in self.reduced)
        return lax.mul(total, like(total, 1 / count))

    def place_and_size(self, array: jax.Array) -> tuple[int, int]:
        """Which axis of the sums is that of the channels, and how many make a group."""
        if self.channels_axis is None or self.number is None:
            return 0, 1
        place = self.kept(array).index(self.channels_axis)
        return place, array.shape[self.channels_axis] // self.number


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _moments(groups: Groups, array: jax.Array) -> Moments:
    """Mean and variance of each group."""
    mean = groups.mean(array)

    def in_two_passes(array: jax.Array) -> jax.Array:
        middle = groups.spread(groups.of_channels(mean, array), array)
        return groups.mean(lax.square(lax.sub(array, middle)))

    def in_one_pass(array: jax.Array) -> tuple[jax.Array, jax.Array]:
        square = lax.square(mean)
        variance = lax.sub(groups.mean(lax.square(array)), square)
        return lax.max(variance, like(variance, 0.0)), square  # rounding can make it negative

    def in_one_pass_where_exact(array: jax.Array) -> jax.Array:
        variance, square = in_one_pass(array)
        # Its rounding errors are those of the mean's square.
        most = lax.mul(lax.add(variance, like(variance, groups.epsilon)), like(variance, 16.0))
        is_exact = lax.reduce_and(lax.le(square, most), range(square.ndim))
        return lax.cond(is_exact, lambda array: variance, in_two_passes, array)

    if groups.has_one_pass:
        return mean, in_one_pass(array)[0]
    # A second pass over the last axes costs less than a branch.
    if groups.channels_axis is None:
        return mean, in_two_passes(array)
    return mean, _lowering.on_platform(
        "one_pass_for_groups", in_one_pass_where_exact, in_two_passes, array
    )


@_moments.defjvp
def _moments_jvp(
    groups: Groups, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[Moments, Moments]:
    (array,), (array_dot,) = primals, tangents
    mean, variance = _moments(groups, array)
    mean_dot = groups.mean(array_dot)
    product = lax.sub(groups.mean(lax.mul(array, array_dot)), lax.mul(mean, mean_dot))
    return (mean, variance), (mean_dot, lax.mul(product, like(product, 2.0)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _apply(
    groups: Groups, array: jax.Array, mean: jax.Array, gain: jax.Array, offset: jax.Array
) -> jax.Array:
    """`(array - mean) * gain + offset`, with values for each channel."""
    outputs = lax.sub(array, groups.spread(mean, array))
    outputs = lax.mul(outputs, groups.spread(gain, array))
    return lax.add(outputs, groups.spread(offset, array))


@_apply.defjvp
def _apply_jvp(
    groups: Groups, primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    array, mean, gain, _ = primals
    array_dot, mean_dot, gain_dot, offset_dot = tangents
    shift = lax.add(lax.mul(mean_dot, gain), lax.mul(mean, gain_dot))
    outputs_dot = lax.add(
        lax.mul(array_dot, groups.spread(gain, array)),
        lax.mul(array, groups.spread(gain_dot, array)),
    )
    outputs_dot = lax.add(outputs_dot, groups.spread(lax.sub(offset_dot, shift), array))
    return _apply(groups, *primals), outputs_dot


def normalize_groups(
    groups: Groups,
    array: jax.Array,
    gamma: jax.Array | None = None,
    beta: jax.Array | None = None,
) -> jax.Array:
    """The array normalized by the statistics of its groups, times `gamma` plus `beta`.

    These two are of the channels, and may be given if there are groups of such.
    """
    mean, variance = _moments(groups, array)
    gain = groups.of_channels(inverse_deviation(variance, groups.epsilon), array)
    mean = groups.of_channels(mean, array)
    axis = [groups.place_and_size(array)[0]]
    if gamma is not None:
        gain = lax.mul(gain, lax.broadcast_in_dim(gamma, gain.shape, axis))
    if beta is None:
        offset = lax.full_like(mean, 0.0)
    else:
        offset = lax.broadcast_in_dim(beta, mean.shape, axis)
    return _apply(groups, array, mean, gain, offset)
