"""Initial values of variables, under TF-Slim's and TensorFlow's names and with their formulas.

An initializer is called as `initializer(key, shape, dtype)`, which is JAX's own convention: those
of this module work as `kernel_init` in Flax, and every function of `jax.nn.initializers` works in
jslim. So does a function with TensorFlow's signature, `(shape, dtype=None, partition_info=None)`;
inside such a function the initializers of this module take TensorFlow's arguments too. Each is
immutable and hashes and compares by value, so an `arg_scope` can hold it.

The key comes from the model's `init`. With a `seed` it comes from the seed, and the values are the
same in every `init`. The dtype is the variable's; the argument `dtype` is the default of calls
without one. Half precision values are drawn in float32 and then cast.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.context import context
from jslim.core.initial_values import NamedInitializer, fans

__all__ = [
    "constant_initializer",
    "glorot_uniform_initializer",
    "ones_initializer",
    "random_normal_initializer",
    "random_uniform_initializer",
    "truncated_normal_initializer",
    "variance_scaling_initializer",
    "xavier_initializer",
    "xavier_initializer_conv2d",
    "zeros_initializer",
]

Initializer = Callable[..., jax.Array]

_MODES = ("FAN_IN", "FAN_OUT", "FAN_AVG")


@dataclasses.dataclass(frozen=True, repr=False)
class zeros_initializer(NamedInitializer):
    """Fills a variable of any dtype with 0.

    >>> zeros_initializer()(None, (2,), jnp.int32).tolist()
    [0, 0]
    """

    takes_key = False
    dtype: DTypeLike | None = None

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        return jnp.zeros(shape, dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class ones_initializer(NamedInitializer):
    """Fills a variable of any dtype with 1.

    >>> ones_initializer()(None, (2,)).tolist()
    [1.0, 1.0]
    """

    takes_key = False
    dtype: DTypeLike | None = None

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        return jnp.ones(shape, dtype)


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class constant_initializer(NamedInitializer):
    """Fills a variable with a number, or gives it the values of an array.

    Differs from TensorFlow: a list shorter than the variable is an error, where TensorFlow
    repeats its last number.

    Args:
      value: A number, or an array or nested list with as many elements as the variable, which
        is copied and reshaped to the variable's shape in row-major order.
      dtype: The default of calls without a dtype.
      verify_shape: Whether the shape of `value` must be that of the variable.

    Raises:
      TypeError: `value` does not hold numbers.
      ValueError: At the call: the number of elements differs.

    >>> constant_initializer([1.0, 2.0])(None, (2, 1)).tolist()
    [[1.0], [2.0]]
    """

    takes_key = False
    # Bytes compare and hash by value, and Python caches their hash.
    _data: bytes
    _dtype: np.dtype
    _shape: tuple[int, ...]
    dtype: DTypeLike | None
    verify_shape: bool

    def __init__(
        self,
        value: ArrayLike | Sequence[object] = 0.0,
        dtype: DTypeLike | None = None,
        verify_shape: bool = False,
    ):
        array = np.asarray(value)
        if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == bool):
            where, accepted = "constant_initializer", "a number or an array of numbers"
            raise checks.refusal(where, "value", accepted, f"{value!r:.60}", kind=TypeError)
        vars(self).update(
            _data=array.tobytes(), _dtype=array.dtype, _shape=array.shape,
            dtype=dtype, verify_shape=verify_shape,
        )  # fmt: skip

    @property
    def value(self) -> np.ndarray:
        """The value as a read-only array."""
        return np.frombuffer(self._data, self._dtype).reshape(self._shape)

    def __repr__(self) -> str:
        size = math.prod(self._shape)
        text = self.value.tolist() if size <= 8 else f"{self._dtype.name}{list(self._shape)}"
        return f"constant_initializer({text})"

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        value = self.value.astype(jax.dtypes.canonicalize_dtype(dtype))
        if self.verify_shape and value.shape != shape:
            raise ValueError(
                f"constant_initializer: verify_shape is set, but the variable has shape {shape} "
                f"and the value has shape {self._shape}; give both the same shape"
            )
        if value.shape == ():
            return jnp.full(shape, value)
        if value.size != math.prod(shape):
            raise ValueError(
                f"constant_initializer: a variable of shape {shape} has "
                f"{math.prod(shape)} elements, but the value has shape {self._shape}; give as "
                "many values as elements, or one number"
            )
        return jnp.asarray(value.reshape(shape))


class _Random(NamedInitializer):
    """Draws with at least 32 bits, and casts to the dtype of the variable."""

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        name = type(self).__name__
        if key is None:
            raise TypeError(
                f"{name}: there is no key to draw with; call it as initializer(key, shape, dtype), "
                "or give it a seed"
            )
        dtype = jax.dtypes.canonicalize_dtype(dtype)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{name}: random values are made for floating point dtypes only, got {dtype.name} "
                f"for a variable of shape {shape}; give it a zeros, ones or constant initializer"
            )
        wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
        return _draw(key, shape, wide, self._distribution(shape)).astype(dtype)

    def _distribution(self, shape: tuple[int, ...]) -> "_Distribution":
        raise NotImplementedError


class _Distribution(NamedTuple):
    """What to draw from: `unit` numbers times `scale` plus `shift`, or between two limits."""

    kind: Literal["normal", "truncated_normal", "uniform"]
    first: float  # the scale, or the lower limit
    second: float  # the shift, or the upper limit


# Below, numbers are drawn in sizes that are powers of two.
_LEAST_DRAWN, _MOST_PADDED = 1 << 10, 1 << 22


def _draw(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike, given: _Distribution
) -> jax.Array:
    """Numbers of a distribution; they do not depend on how the shape is padded.

    To compile a draw takes half a second, for each shape anew. Threefry's numbers depend on their
    place alone, so outside a trace a power of two of them is drawn, and the first ones are taken.
    """
    if not context().draws:
        return jnp.zeros(shape, dtype)
    kind, *bounds = given
    size = math.prod(shape)
    padded = max(_LEAST_DRAWN, 1 << max(size - 1, 0).bit_length())
    if isinstance(key, jax.core.Tracer) or padded > _MOST_PADDED or not _depends_on_place(key):
        return _drawn(key, kind, shape, dtype, *bounds)
    return _first(_drawn(key, kind, (padded,), dtype, *bounds), shape)


def _depends_on_place(key: jax.Array) -> bool:
    """Whether the first numbers of a longer draw are those of a shorter one."""
    is_threefry = str(jax.random.key_impl(key)) in ("fry", "threefry2x32")
    return is_threefry and getattr(jax.config, "jax_threefry_partitionable", True)


@functools.partial(jax.jit, static_argnames=("kind", "shape", "dtype"))
def _drawn(
    key: jax.Array, kind: str, shape: tuple[int, ...], dtype: DTypeLike, first: float, second: float
) -> jax.Array:
    if kind == "uniform":
        return jax.random.uniform(key, shape, dtype, first, second)
    if kind == "normal":
        return jax.random.normal(key, shape, dtype) * first + second
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * first + second


@functools.partial(jax.jit, static_argnames="shape")
def _first(numbers: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return numbers[: math.prod(shape)].reshape(shape)


@dataclasses.dataclass(frozen=True, repr=False)
class truncated_normal_initializer(_Random):
    """Draws from a normal distribution cut off at two standard deviations.

    Args:
      mean: Mean of the distribution.
      stddev: Standard deviation before the cut; that of the samples is 0.8796 times as large.
      seed, dtype: See the module.

    >>> samples = truncated_normal_initializer(stddev=0.5)(jax.random.key(0), (1000,))
    >>> bool(jnp.abs(samples).max() <= 1.0), bool(jnp.abs(samples.std() - 0.44) < 0.05)
    (True, True)
    """

    mean: float = 0.0
    stddev: float = 1.0
    seed: int | None = None
    dtype: DTypeLike | None = None

    def _distribution(self, shape: tuple[int, ...]) -> _Distribution:
        return _Distribution("truncated_normal", float(self.stddev), float(self.mean))


@dataclasses.dataclass(frozen=True, repr=False)
class random_normal_initializer(_Random):
    """Draws from a normal distribution.

    Args:
      mean: Mean of the distribution.
      stddev: Standard deviation of the distribution.
      seed, dtype: See the module.

    >>> samples = random_normal_initializer(mean=3.0)(jax.random.key(0), (1000,))
    >>> bool(jnp.abs(samples.mean() - 3.0) < 0.2)
    True
    """

    mean: float = 0.0
    stddev: float = 1.0
    seed: int | None = None
    dtype: DTypeLike | None = None

    def _distribution(self, shape: tuple[int, ...]) -> _Distribution:
        return _Distribution("normal", float(self.stddev), float(self.mean))


@dataclasses.dataclass(frozen=True, repr=False)
class random_uniform_initializer(_Random):
    """Draws from a uniform distribution over `[minval, maxval)`.

    Args:
      minval: Lower bound, included.
      maxval: Upper bound, excluded; None is 1.
      seed, dtype: See the module.

    Raises:
      ValueError: `minval` is above `maxval`.

    >>> samples = random_uniform_initializer(-2.0, -1.0)(jax.random.key(0), (1000,))
    >>> bool(samples.min() >= -2.0), bool(samples.max() < -1.0)
    (True, True)
    """

    minval: float = 0.0
    maxval: float | None = 1.0
    seed: int | None = None
    dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        if self.minval > self._maxval:
            raise ValueError(
                f"random_uniform_initializer: minval {self.minval} is above maxval "
                f"{self.maxval}; give them in the other order"
            )

    @property
    def _maxval(self) -> float:
        return 1.0 if self.maxval is None else self.maxval

    def _distribution(self, shape: tuple[int, ...]) -> _Distribution:
        return _Distribution("uniform", float(self.minval), float(self._maxval))


@dataclasses.dataclass(frozen=True, repr=False)
class variance_scaling_initializer(_Random):
    """Draws with a variance of `factor / n`, where `n` counts the connections of a unit.

    The defaults are those of He et al. (2015), https://arxiv.org/abs/1502.01852. Without `uniform`
    the distribution is a normal one, cut off at two standard deviations of
    `sqrt(1.3 * factor / n)`. The 1.3 is TF-Slim's rounded correction for the cut; the values of
    `jax.nn.initializers` are 0.3 % smaller.

    Args:
      factor: Multiplier of the variance, not negative.
      mode: Which `n` to take: `'FAN_IN'` (`shape[-2]` times the kernel's window), `'FAN_OUT'`
        (`shape[-1]` times the window) or `'FAN_AVG'` (the mean of both).
      uniform: Whether to draw from `[-limit, limit)` with `limit = sqrt(3 * factor / n)`.
      seed, dtype: See the module.

    Raises:
      TypeError: `mode` is not one of the three; at the call: the dtype is not floating.
      ValueError: `factor` is negative.

    >>> initializer = variance_scaling_initializer(factor=3.0, uniform=True)
    >>> kernel = initializer(jax.random.key(0), (3, 3, 4, 8))
    >>> bool(0.48 < kernel.max() < 0.5)  # the limit is sqrt(3 * 3 / (3 * 3 * 4))
    True
    """

    factor: float = 2.0
    mode: str = "FAN_IN"
    uniform: bool = False
    seed: int | None = None
    dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        where, accepted = "variance_scaling_initializer", f"one of {', '.join(_MODES)}"
        if self.mode not in _MODES:
            raise checks.refusal(where, "mode", accepted, repr(self.mode), kind=TypeError)
        checks.not_negative(where, "factor", self.factor)

    def _distribution(self, shape: tuple[int, ...]) -> _Distribution:
        fan_in, fan_out = fans(shape)
        n = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "FAN_AVG": (fan_in + fan_out) / 2}[self.mode]
        variance = float(self.factor) / max(n, 1)  # n is 0 only where there is nothing to draw
        if self.uniform:
            limit = math.sqrt(3.0 * variance)
            return _Distribution("uniform", -limit, limit)
        return _Distribution("truncated_normal", math.sqrt(1.3 * variance), 0.0)


def xavier_initializer(
    uniform: bool = True, seed: int | None = None, dtype: DTypeLike | None = None
) -> variance_scaling_initializer:
    """Keeps the variance of activations and gradients about the same; the default of layers.

    Glorot and Bengio (2010), https://proceedings.mlr.press/v9/glorot10a.html.

    Args:
      uniform: Whether to draw from `[-limit, limit)` with `limit = sqrt(6 / (fan_in + fan_out))`;
        otherwise from a truncated normal distribution of about the same variance.
      seed, dtype: See the module.

    Returns:
      `variance_scaling_initializer(1.0, 'FAN_AVG', uniform)`.

    >>> xavier_initializer()
    variance_scaling_initializer(factor=1.0, mode='FAN_AVG', uniform=True)
    """
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed, dtype)


xavier_initializer_conv2d = xavier_initializer


def glorot_uniform_initializer(
    seed: int | None = None, dtype: DTypeLike | None = None
) -> variance_scaling_initializer:
    """TensorFlow's default for a floating variable: the values of `xavier_initializer()`."""
    return xavier_initializer(True, seed, dtype)


_tf_slim_names.answer_in(__name__)
