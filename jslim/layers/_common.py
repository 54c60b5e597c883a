"""What the layers share: checks of arguments, dtypes, and the steps after the linear operation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim import model
from jslim.initializers import xavier_initializer, zeros_initializer
from jslim.layers import utils
from jslim.variables import model_variable

XAVIER = xavier_initializer()
ZEROS = zeros_initializer()

Activation = Callable[[jax.Array], jax.Array] | None
Normalizer = Callable[..., jax.Array] | None
Initializer = Callable[..., jax.Array] | None
Regularizer = Callable[[jax.Array], jax.Array | None] | None
Collections = Sequence[str] | Mapping[str, Any] | None
Pair = int | Sequence[int]


def op_name(scope: str | None, default: str) -> str:
    """The name of an op that has no variables; such an op also works outside a model function."""
    name = scope or default
    return model.unique_op_name(name) if model.is_running() else name


def as_floating(where: str, inputs: Any, dtype: Any = None) -> jax.Array:
    """`inputs` as an array of floating `dtype`, by default of its own."""
    array = inputs if isinstance(inputs, jax.Array) else jnp.asarray(inputs)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{where}: inputs must be floating point, got {array.dtype.name}; convert them first, "
            "images for example by inputs.astype('float32') / 255"
        )
    return array if dtype is None else cast(array, floating_dtype(where, dtype))


def floating_dtype(where: str, dtype: Any) -> Any:
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"{where}: dtype must be a floating point type, got {jnp.dtype(dtype).name}"
        )
    return jnp.dtype(dtype)


def at_least_float32(dtype: Any) -> Any:
    """The dtype for parameters and statistics of a layer that computes in `dtype`."""
    return jnp.dtype(dtype) if jnp.finfo(dtype).bits > 32 else jnp.dtype(jnp.float32)


def cast(array: jax.Array, dtype: Any) -> jax.Array:
    return array if array.dtype == dtype else lax.convert_element_type(array, dtype)


def static_bool(where: str, name: str, value: Any) -> bool:
    """`value` as a bool, which must not depend on traced values."""
    try:
        return bool(value)
    except jax.errors.TracerBoolConversionError:
        raise TypeError(
            f"{where}: {name} must be a Python bool, got a traced array; mark it as static "
            f"(jax.jit(f, static_argnames={name!r})) or fix it with functools.partial"
        ) from None


def is_channels_first(where: str, data_format: str | None) -> bool:
    if data_format not in (None, "NHWC", "NCHW"):
        raise ValueError(f"{where}: data_format must be 'NHWC' or 'NCHW', got {data_format!r}")
    return data_format == "NCHW"


def check_images(where: str, inputs: jax.Array, channels_first: bool) -> None:
    if inputs.ndim != 4:
        axes = "channels, height, width" if channels_first else "height, width, channels"
        hint = "add a batch axis" if inputs.ndim == 3 else "reshape them"
        raise ValueError(
            f"{where}: inputs must be [batch, {axes}], got shape {inputs.shape}; {hint}"
        )


def integers(where: str, name: str, count: int, value: Pair) -> tuple[int, ...]:
    """`value` as `count` positive integers; the error names the argument."""
    try:
        return utils.n_positive_integers(count, value)
    except ValueError as error:
        raise ValueError(f"{where}: {name} {error}") from None


def pair(where: str, name: str, value: Pair) -> tuple[int, int]:
    first, second = integers(where, name, 2, value)
    return first, second


def check_num_outputs(where: str, num_outputs: Any) -> int:
    if not isinstance(num_outputs, Integral) or num_outputs < 1:
        raise ValueError(
            f"{where}: num_outputs must be a positive integer, got {num_outputs!r}; "
            "convert it with int(...) if it was computed"
        )
    return int(num_outputs)


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or a pool lie, for each spatial dimension."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    rate: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after
    count: tuple[int, ...]  # the spatial shape of the output


def windows(
    where: str,
    spatial: Sequence[int],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: str,
    rate: tuple[int, ...] | None = None,
) -> Windows:
    """The windows over inputs of shape `spatial`, by TensorFlow's SAME and VALID rules."""
    rate = rate or (1,) * len(size)
    same = is_same(where, padding)
    paddings, counts = [], []
    for length, taps, step, spread in zip(spatial, size, stride, rate, strict=True):
        extent = (taps - 1) * spread + 1
        count = -(-length // step) if same else (length - extent) // step + 1
        total = max((count - 1) * step + extent - length, 0) if same else 0
        if count < 1:
            raise ValueError(
                f"{where}: a window of {size} (rate {rate}) does not fit into inputs of "
                f"{tuple(spatial)} without padding; use padding='SAME', a smaller window or "
                "larger inputs"
            )
        paddings.append((total // 2, total - total // 2))  # the odd one goes after
        counts.append(count)
    return Windows(size, stride, rate, tuple(paddings), tuple(counts))


def is_same(where: str, padding: str) -> bool:
    if not isinstance(padding, str) or padding.upper() not in ("SAME", "VALID"):
        raise ValueError(f"{where}: padding must be 'SAME' or 'VALID', got {padding!r}")
    return padding.upper() == "SAME"


def images_and_windows(
    where: str,
    inputs: Any,
    dtype: Any,
    kernel_size: Pair,
    stride: Pair,
    padding: str,
    rate: Pair,
    channels_first: bool,
) -> tuple[jax.Array, Windows]:
    """Checked inputs of a convolution, and where its windows lie."""
    images = as_floating(where, inputs, dtype)
    check_images(where, images, channels_first)
    spatial = images.shape[2:] if channels_first else images.shape[1:3]
    size, steps = pair(where, "kernel_size", kernel_size), pair(where, "stride", stride)
    spread = pair(where, "rate", rate)
    if max(steps) > 1 and max(spread) > 1:
        raise ValueError(
            f"{where}: stride and rate cannot both be above 1, got stride={steps} and "
            f"rate={spread}; use one of them"
        )
    return images, windows(where, spatial, size, steps, padding, spread)


@dataclass(frozen=True)
class Parameters:
    """Makes the variables of one layer, in the scope that is current."""

    dtype: Any  # what the layer computes in
    param_dtype: Any  # what the variables are stored in; None for at least float32
    trainable: bool
    collections: Collections

    def __call__(
        self, name: str, shape: Sequence[int], initializer: Initializer, regularizer: Regularizer
    ) -> jax.Array:
        """The variable, cast to what the layer computes in."""
        value = model_variable(
            name,
            shape,
            self.param_dtype or at_least_float32(self.dtype),
            initializer,
            regularizer,
            self.trainable,
            utils.get_variable_collections(
                self.collections, "weights" if name.endswith("_weights") else name
            ),
        )
        return cast(value, self.dtype)


def add_biases(outputs: jax.Array, biases: jax.Array, channel_axis: int) -> jax.Array:
    return lax.add(outputs, lax.broadcast_in_dim(biases, outputs.shape, (channel_axis,)))


def finish(
    outputs: jax.Array,
    parameters: Parameters,
    channel_axis: int,
    biases_initializer: Initializer,
    biases_regularizer: Regularizer,
    normalizer_fn: Normalizer,
    normalizer_params: Mapping[str, Any] | None,
    activation_fn: Activation,
) -> jax.Array:
    """What follows the linear operation: a normalizer or biases, then the activation."""
    if normalizer_fn is not None:
        outputs = normalizer_fn(outputs, **(normalizer_params or {}))
    elif biases_initializer is not None:
        shape = (outputs.shape[channel_axis],)
        biases = parameters("biases", shape, biases_initializer, biases_regularizer)
        outputs = add_biases(outputs, biases, channel_axis)
    return outputs if activation_fn is None else activation_fn(outputs)
