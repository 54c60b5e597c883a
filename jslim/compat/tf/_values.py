"""What makes an array: numbers, lists, ranges, and other arrays in another type.

Arguments, defaults and numbers are those of TensorFlow 1. `name` is accepted and does nothing.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._op import Values, array, dtype_of, known, op, shape_of
from jslim.core import checks


@op
def constant(
    value: Values,
    dtype: DTypeLike | None = None,
    shape: Sequence[int] | None = None,
    name: str = "Const",
    verify_shape: bool = False,
) -> jax.Array:
    """The value as an array; a number, or the last one of a list, fills the rest of `shape`."""
    filled = array(value, dtype)
    if shape is None:
        return filled
    wanted = shape_of("tf.constant", shape)
    if verify_shape and filled.shape != wanted:
        raise checks.refusal("tf.constant", "value", f"of shape {wanted}", f"shape {filled.shape}")
    flat = filled.reshape(-1)
    missing = int(np.prod(wanted)) - flat.size
    if missing < 0:
        got = f"{flat.size} elements"
        raise checks.refusal("tf.constant", "value", f"of at most shape {wanted}", got)
    return jnp.concatenate([flat, jnp.repeat(flat[-1:], missing)]).reshape(wanted)


@op
def convert_to_tensor(
    value: Values,
    dtype: DTypeLike | None = None,
    name: str | None = None,
    preferred_dtype: DTypeLike | None = None,
    dtype_hint: DTypeLike | None = None,
) -> jax.Array:
    return array(value, dtype)


@op
def identity(input: Values, name: str | None = None) -> jax.Array:
    return array(input)


@op
def placeholder_with_default(
    input: Values, shape: Sequence[int | None], name: str | None = None
) -> jax.Array:
    """The default, for nothing is fed: make what is fed an argument of the model function."""
    return array(input)


@op
def stop_gradient(input: Values, name: str | None = None) -> jax.Array:
    return jax.lax.stop_gradient(array(input))


@op
def zeros(shape: Values, dtype: DTypeLike = jnp.float32, name: str | None = None) -> jax.Array:
    return jnp.zeros(shape_of("tf.zeros", shape), dtype_of(dtype))


@op
def ones(shape: Values, dtype: DTypeLike = jnp.float32, name: str | None = None) -> jax.Array:
    return jnp.ones(shape_of("tf.ones", shape), dtype_of(dtype))


@op
def zeros_like(
    tensor: Values, dtype: DTypeLike | None = None, name: str | None = None, optimize: bool = True
) -> jax.Array:
    return jnp.zeros_like(array(tensor), dtype_of(dtype))


@op
def ones_like(
    tensor: Values, dtype: DTypeLike | None = None, name: str | None = None, optimize: bool = True
) -> jax.Array:
    return jnp.ones_like(array(tensor), dtype_of(dtype))


@op
def fill(dims: Values, value: Values, name: str | None = None) -> jax.Array:
    return jnp.full(shape_of("tf.fill", dims, "dims"), array(value))


@op
def eye(
    num_rows: int,
    num_columns: int | None = None,
    batch_shape: Sequence[int] | None = None,
    dtype: DTypeLike = jnp.float32,
    name: str | None = None,
) -> jax.Array:
    batch = () if batch_shape is None else shape_of("tf.eye", batch_shape, "batch_shape")
    rows = jnp.eye(
        int(num_rows), None if num_columns is None else int(num_columns), dtype=dtype_of(dtype)
    )
    return jnp.broadcast_to(rows, (*batch, *rows.shape))


@op
def range(
    start: Values,
    limit: Values | None = None,
    delta: Values = 1,
    dtype: DTypeLike | None = None,
    name: str = "range",
) -> jax.Array:
    """The numbers from `start` up to `limit`, which is not included; one number is the limit."""
    ends = (0, start) if limit is None else (start, limit)
    first, last, step = (known("tf.range", "a bound", end) for end in (*ends, delta))
    are_whole = all(np.issubdtype(n.dtype, np.integer) for n in (first, last, step))
    wanted = dtype or (jnp.int32 if are_whole else jnp.float32)
    return jnp.arange(first, last, step, dtype=dtype_of(wanted))


@op
def linspace(start: Values, stop: Values, num: int, name: str | None = None) -> jax.Array:
    """Numbers at one distance from each other, the first and the last one exact.

    Whole numbers are whole, as in TensorFlow; `jnp.linspace` rounds in between.
    """
    count = int(known("tf.linspace", "num", num))
    first, last = array(start), array(stop)
    step = (last - first) / max(count - 1, 1)
    inner = first + jnp.arange(count - 1, dtype=step.dtype) * step
    return jnp.append(inner, last if count > 1 else first)


lin_space = linspace


@op
def cast(x: Values, dtype: DTypeLike, name: str | None = None) -> jax.Array:
    """The array in another type; floating numbers are cut off, not rounded, to whole ones."""
    return array(x).astype(dtype_of(dtype))


@op
def saturate_cast(value: Values, dtype: DTypeLike, name: str | None = None) -> jax.Array:
    """`cast` of what lies in the range of the type, and its ends for what lies outside."""
    wanted, given = jnp.dtype(dtype_of(dtype)), array(value)
    whole = jnp.issubdtype(wanted, jnp.integer)
    limits = jnp.iinfo(wanted) if whole else jnp.finfo(wanted)
    return jnp.clip(given, limits.min, limits.max).astype(wanted)


def to_float(x: Values, name: str = "ToFloat") -> jax.Array:
    return cast(x, jnp.float32)


def to_double(x: Values, name: str = "ToDouble") -> jax.Array:
    """`cast` to float64, which is float32 unless JAX is told otherwise (`jax_enable_x64`)."""
    return cast(x, jnp.float64)


def to_int32(x: Values, name: str = "ToInt32") -> jax.Array:
    return cast(x, jnp.int32)


def to_int64(x: Values, name: str = "ToInt64") -> jax.Array:
    """`cast` to int64, which is int32 unless JAX is told otherwise (`jax_enable_x64`)."""
    return cast(x, jnp.int64)
