"""What the layers share: names, dtypes and checks."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core.access import is_running
from jslim.core.scopes import unique_op_name, variable_scope


def op_name(scope: str | None, default: str) -> str:
    """The name of an op that has no variables; such an op also works outside a model function."""
    name = scope or default
    return unique_op_name(name) if is_running() else name


def scope_name(scope: str | None, default: str) -> str:
    """The same for an op that has a variable scope in TF-Slim: a given name is not numbered."""
    if not is_running():
        return scope or default
    with variable_scope(scope, default) as opened:
        return opened.name


def as_floating(where: str, inputs: ArrayLike, dtype: DTypeLike | None = None) -> jax.Array:
    """The inputs as a floating array, in `dtype` if that is given."""
    if isinstance(inputs, int):
        hint = "they are the first argument"
        raise checks.refusal(where, "inputs", "an array", repr(inputs), hint, TypeError)
    array = inputs if isinstance(inputs, jax.Array) else checks.numbers_in(where, "inputs", inputs)
    hint = "convert them first, images for example by inputs.astype('float32') / 255"
    checks.floating(where, "inputs", array, hint=hint)
    return array if dtype is None else cast(array, floating_dtype(where, dtype))


def floating_dtype(where: str, dtype: DTypeLike) -> np.dtype:
    checks.floating_dtype(where, "dtype", dtype)
    return jnp.dtype(dtype)


def at_least_float32(dtype: DTypeLike) -> np.dtype:
    """The dtype for parameters and statistics of a layer that computes in `dtype`."""
    return jnp.dtype(dtype) if jnp.finfo(dtype).bits > 32 else jnp.dtype(jnp.float32)


def cast(array: jax.Array, dtype: DTypeLike) -> jax.Array:
    return array if array.dtype == dtype else lax.convert_element_type(array, dtype)


def static_bool(where: str, name: str, value: object) -> bool:
    """`value` as a bool, which must not depend on traced values."""
    if isinstance(value, str):
        raise checks.refusal(where, name, "True or False", repr(value), kind=TypeError)
    try:
        return bool(value)
    except jax.errors.TracerBoolConversionError:
        raise TypeError(
            f"{where}: {name} must be a Python bool, got a traced array; mark it as static "
            f"(jax.jit(f, static_argnames={name!r})) or fix it with functools.partial"
        ) from None


def check_num_outputs(where: str, num_outputs: float, name: str = "num_outputs") -> int:
    hint = "convert it with int(...) if it was computed"
    return checks.positive_integer(where, name, num_outputs, hint)


def add_biases(outputs: jax.Array, biases: jax.Array, channel_axis: int) -> jax.Array:
    return lax.add(outputs, lax.broadcast_in_dim(biases, outputs.shape, (channel_axis,)))
