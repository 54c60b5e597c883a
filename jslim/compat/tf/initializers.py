"""`tf.initializers`: values that variables start with. TensorFlow's random numbers are others."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jslim.compat.tf import _missing
from jslim.core import checks
from jslim.core.initial_values import NamedInitializer, fans
from jslim.initializers import constant_initializer as constant
from jslim.initializers import glorot_uniform_initializer as glorot_uniform
from jslim.initializers import ones_initializer as ones
from jslim.initializers import random_normal_initializer as random_normal
from jslim.initializers import random_uniform_initializer as random_uniform
from jslim.initializers import truncated_normal_initializer as truncated_normal
from jslim.initializers import zeros_initializer as zeros

__all__ = [
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "uniform_unit_scaling",
    "variance_scaling",
    "zeros",
]

_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("normal", "truncated_normal", "untruncated_normal", "uniform")


@dataclasses.dataclass(frozen=True, repr=False)
class variance_scaling(NamedInitializer):
    """Draws with a variance of `scale / n`, n counting the connections of a unit.

    `slim.variance_scaling_initializer` has other arguments, and a rounded number in its formula.

    Args:
      scale: Multiplier of the variance, above 0.
      mode: Which n to take: 'fan_in', 'fan_out' or 'fan_avg'.
      distribution: 'truncated_normal' (which 'normal' also means), 'untruncated_normal', 'uniform'.
      seed, dtype: See `jslim.initializers`.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None
    dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        where = "tf.variance_scaling_initializer"
        checks.number(where, "scale", self.scale, above=0)
        checks.one_of(where, "mode", self.mode, _MODES)
        checks.one_of(where, "distribution", self.distribution, _DISTRIBUTIONS)

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(n, 1))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return jax.random.uniform(_given(key), shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return jax.random.normal(_given(key), shape, dtype) * deviation
        # The deviation of a normal distribution that is cut off at two of its deviations.
        unit = jax.random.truncated_normal(_given(key), -2.0, 2.0, shape, dtype)
        return unit * (deviation / 0.87962566103423978)


def glorot_normal(seed: int | None = None, dtype: DTypeLike | None = None) -> variance_scaling:
    return variance_scaling(1.0, "fan_avg", "truncated_normal", seed, dtype)


def he_normal(seed: int | None = None) -> variance_scaling:
    return variance_scaling(2.0, "fan_in", "truncated_normal", seed)


def he_uniform(seed: int | None = None) -> variance_scaling:
    return variance_scaling(2.0, "fan_in", "uniform", seed)


def lecun_normal(seed: int | None = None) -> variance_scaling:
    return variance_scaling(1.0, "fan_in", "truncated_normal", seed)


def lecun_uniform(seed: int | None = None) -> variance_scaling:
    return variance_scaling(1.0, "fan_in", "uniform", seed)


@dataclasses.dataclass(frozen=True, repr=False)
class uniform_unit_scaling(NamedInitializer):
    """Draws from `[-limit, limit)` with `limit = factor * sqrt(3 / n)`, n the inputs of a unit."""

    factor: float = 1.0
    seed: int | None = None
    dtype: DTypeLike | None = None

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        limit = self.factor * math.sqrt(3 / max(math.prod(shape[:-1]), 1))
        return jax.random.uniform(_given(key), shape, dtype, -limit, limit)


@dataclasses.dataclass(frozen=True, repr=False)
class orthogonal(NamedInitializer):
    """Draws a matrix whose rows or columns are of length `gain` and at right angles."""

    gain: float = 1.0
    seed: int | None = None
    dtype: DTypeLike | None = None

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        return jax.nn.initializers.orthogonal(self.gain)(_given(key), shape, dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class identity(NamedInitializer):
    """The unit matrix, times `gain`."""

    gain: float = 1.0
    dtype: DTypeLike | None = None

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        rows, columns = shape
        return self.gain * jnp.eye(rows, columns, dtype=dtype)


def _given(key: jax.Array | None) -> jax.Array:
    return checks.given("initializer", "key", key, "call it as initializer(key, shape, dtype)")


__getattr__ = _missing.answering("tf.initializers", __name__)
