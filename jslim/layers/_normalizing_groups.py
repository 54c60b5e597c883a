"""Normalizing groups of the channels of each example by their own mean and variance.

A group's statistics are made of sums for each channel, and a channel's result is `x * gain +
offset`, as in TensorFlow. So arrays of images are only summed, for each example and channel, and
multiplied by values for each of these: on XLA's CPU backend a sum over axes around one that stays,
or of differences to such values, takes three times as long.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import jax
from jax import lax

from jslim.layers._normalizing import inverse_deviation, like

Moments = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class Groups:
    """So many groups of consecutive channels, and the axes that they are normalized over."""

    number: int
    channels_axis: int
    reduced: tuple[int, ...]  # beside the channels
    has_one_pass: bool  # the variance as E[x ** 2] - E[x] ** 2, however inexact
    epsilon: float

    def kept(self, array: jax.Array) -> list[int]:
        return [axis for axis in range(array.ndim) if axis not in self.reduced]

    def spread(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """A value for each channel in the shape of `array`."""
        return lax.broadcast_in_dim(values, array.shape, self.kept(array))

    def of_channels(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """A value for each channel from one for each group."""
        place, size = self._place_and_size(array)
        shape = list(values.shape)
        shape.insert(place + 1, size)
        axes = [axis for axis in range(len(shape)) if axis != place + 1]
        values = lax.broadcast_in_dim(values, shape, axes)
        return lax.reshape(values, [array.shape[axis] for axis in self.kept(array)])

    def mean(self, array: jax.Array) -> jax.Array:
        """The mean of each group."""
        place, size = self._place_and_size(array)
        total = lax.reduce_sum(array, self.reduced)
        if size > 1:
            shape = list(total.shape)
            shape[place : place + 1] = [self.number, size]
            total = lax.reduce_sum(lax.reshape(total, shape), [place + 1])
        count = size * math.prod(array.shape[axis] for axis in self.reduced)
        return lax.mul(total, like(total, 1 / count))

    def _place_and_size(self, array: jax.Array) -> tuple[int, int]:
        """Which axis of the sums is that of the channels, and how many make a group."""
        place = self.kept(array).index(self.channels_axis)
        return place, array.shape[self.channels_axis] // self.number


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _moments(groups: Groups, array: jax.Array) -> Moments:
    """Mean and variance of each group."""
    mean = groups.mean(array)

    def in_two_passes(array: jax.Array) -> jax.Array:
        middle = groups.spread(groups.of_channels(mean, array), array)
        return groups.mean(lax.square(lax.sub(array, middle)))

    is_cpu = jax.default_backend() == "cpu"
    if not (groups.has_one_pass or is_cpu):
        return mean, in_two_passes(array)  # a branch costs more there
    square = lax.square(mean)
    variance = lax.sub(groups.mean(lax.square(array)), square)
    variance = lax.max(variance, like(variance, 0.0))  # rounding can make it negative
    if groups.has_one_pass:
        return mean, variance
    # Its rounding errors are those of the mean's square.
    most = lax.mul(lax.add(variance, like(variance, groups.epsilon)), like(variance, 16.0))
    is_exact = lax.reduce_and(lax.le(square, most), range(square.ndim))
    return mean, lax.cond(is_exact, lambda array: variance, in_two_passes, array)


@_moments.defjvp
def _moments_jvp(
    groups: Groups, primals: tuple[Any], tangents: tuple[Any]
) -> tuple[Moments, Moments]:
    (array,), (array_dot,) = primals, tangents
    mean, variance = _moments(groups, array)
    mean_dot = groups.mean(array_dot)
    product = lax.sub(groups.mean(lax.mul(array, array_dot)), lax.mul(mean, mean_dot))
    return (mean, variance), (mean_dot, lax.mul(product, like(product, 2.0)))


def normalize_groups(
    groups: Groups, array: jax.Array, gamma: jax.Array | None, beta: jax.Array | None
) -> jax.Array:
    """The array normalized by the statistics of its groups, times `gamma` plus `beta`."""
    mean, variance = _moments(groups, array)
    gain = inverse_deviation(variance, groups.epsilon)
    offset = lax.neg(lax.mul(mean, gain))
    gain, offset = groups.of_channels(gain, array), groups.of_channels(offset, array)
    axis = (groups.kept(array).index(groups.channels_axis),)
    if gamma is not None:
        gamma = lax.broadcast_in_dim(gamma, gain.shape, axis)
        gain, offset = lax.mul(gain, gamma), lax.mul(offset, gamma)
    if beta is not None:
        offset = lax.add(offset, lax.broadcast_in_dim(beta, offset.shape, axis))
    return lax.add(lax.mul(array, groups.spread(gain, array)), groups.spread(offset, array))
