"""Normalizing each example, or groups of its channels, by their own mean and variance.

The statistics of a group are made of sums for each channel, and the derivatives of sums of the
array itself and not of differences from the mean: on XLA's CPU backend a sum over axes around one
that stays, or of such differences, takes three times as long.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from jslim.layers import _lowering
from jslim.layers._normalizing import Over, inverse_deviation, like

Moments = tuple[jax.Array, jax.Array]


@dataclasses.dataclass(frozen=True)
class Groups(Over):
    """Statistics over axes of each example, and over groups of consecutive channels if any."""

    epsilon: float = 0.0
    number: int = 1  # of groups
    channels_axis: int | None = None  # one of those kept

    @property
    def place(self) -> int:
        """The axis of the channels in the statistics."""
        return 0 if self.channels_axis is None else self.kept.index(self.channels_axis)

    def size(self, array: jax.Array) -> int:
        """The number of channels in a group."""
        return 1 if self.channels_axis is None else array.shape[self.channels_axis] // self.number

    def of_channels(self, values: jax.Array, array: jax.Array) -> jax.Array:
        """A value for each channel, from one for each group or for each channel."""
        is_of_groups = self.size(array) > 1 and values.shape[self.place] == self.number
        return jnp.repeat(values, self.size(array), self.place) if is_of_groups else values

    def spread(self, values: jax.Array, array: jax.Array) -> jax.Array:
        return super().spread(self.of_channels(values, array), array)

    def mean(self, array: jax.Array) -> jax.Array:
        total, size = self.sum(array), self.size(array)
        if size > 1:
            shape = list(total.shape)
            shape[self.place : self.place + 1] = [self.number, size]
            total = lax.reduce_sum(lax.reshape(total, shape), [self.place + 1])
        return lax.mul(total, like(total, 1 / (size * self.count(array))))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _moments(groups: Groups, array: jax.Array) -> Moments:
    """Mean and variance of each group."""
    mean = groups.mean(array)

    def variance(array: jax.Array) -> jax.Array:
        return groups.variance(array, mean)

    def in_one_pass_where_exact(array: jax.Array) -> jax.Array:
        in_one_pass = dataclasses.replace(groups, has_one_pass=True).variance(array, mean)
        # Its rounding errors are of the size of those of the mean's square.
        most = lax.add(in_one_pass, like(in_one_pass, groups.epsilon))
        most = lax.mul(most, like(in_one_pass, 16.0))
        is_exact = lax.reduce_and(lax.le(lax.square(mean), most), range(mean.ndim))
        return lax.cond(is_exact, lambda array: in_one_pass, variance, array)

    # A second pass over the last axes costs less than a branch.
    if groups.has_one_pass or groups.channels_axis is None:
        return mean, variance(array)
    return mean, _lowering.on_platform(
        "one_pass_for_groups", in_one_pass_where_exact, variance, array
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

    Both are `[channels]`, and may be given if there are groups of channels.
    """
    mean, variance = _moments(groups, array)
    gain = groups.of_channels(inverse_deviation(variance, groups.epsilon), array)
    mean = groups.of_channels(mean, array)
    offset = lax.full_like(mean, 0.0)
    if gamma is not None:
        gain = lax.mul(gain, lax.broadcast_in_dim(gamma, gain.shape, [groups.place]))
    if beta is not None:
        offset = lax.broadcast_in_dim(beta, mean.shape, [groups.place])
    return _apply(groups, array, mean, gain, offset)
