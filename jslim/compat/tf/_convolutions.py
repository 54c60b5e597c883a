"""Convolutions of `tf.nn`, computed as jslim's layers compute theirs."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jslim.compat.tf._op import Values, array, either, op, shape_of
from jslim.core import checks
from jslim.layers import _lowering
from jslim.layers._windows import Windows, windows

Steps = int | Sequence[int] | None


def channels_first(where: str, data_format: str | None) -> bool:
    known = ("NHWC", "NCHW", "NWC", "NCW", "NDHWC", "NCDHW")
    checks.one_of(where, "data_format", data_format, (None, *known))
    return bool(data_format) and str(data_format).startswith("NC")


def spatial(
    where: str, name: str, value: Any, dims: int, is_first: bool = False
) -> tuple[int, ...]:
    """The steps of the spatial axes: of one number, a number for each of them, or for all axes."""
    if value is None:
        return (1,) * dims
    steps = shape_of(where, value, name)
    if len(steps) == dims + 2:
        apart = (steps[0], steps[1]) if is_first else (steps[0], steps[-1])
        if apart != (1, 1):
            hint = "windows do not move over examples and channels"
            raise checks.refusal(where, name, "1 for batch and channels", f"{list(steps)}", hint)
        return steps[2:] if is_first else steps[1:-1]
    return steps * dims if len(steps) == 1 else steps


def _padding(where: str, padding: Any, dims: int, is_first: bool) -> Any:
    given = checks.given(where, "padding", padding, "give 'SAME' or 'VALID'")
    if isinstance(given, str):
        return given
    pairs = [tuple(pair) for pair in given]
    return pairs[2:] if is_first else pairs[1 : dims + 1]


def placed_windows(
    where: str,
    images: jax.Array,
    size: tuple[int, ...],
    strides: Any,
    padding: Any,
    data_format: str | None,
    rate: Any = None,
) -> Windows:
    dims, is_first = len(size), channels_first(where, data_format)
    if images.ndim != dims + 2:
        raise checks.refusal(where, "the input", f"of rank {dims + 2}", f"shape {images.shape}")
    return windows(
        where,
        images.shape[2:] if is_first else images.shape[1:-1],
        size,
        spatial(where, "strides", strides, dims, is_first),
        _padding(where, padding, dims, is_first),
        spatial(where, "dilations", rate, dims, is_first),
        is_first,
    )


def _convolved(
    where: str,
    value: Values,
    kernel: Values | None,
    strides: Any,
    padding: Any,
    data_format: str | None,
    rate: Any = None,
) -> jax.Array:
    images, weights = array(value), array(checks.given(where, "filter", kernel))
    placed = placed_windows(where, images, weights.shape[:-2], strides, padding, data_format, rate)
    return _lowering.convolve(images, weights.astype(images.dtype), placed)


@op
def conv2d(
    input: Values,
    filter: Values | None = None,
    strides: Steps = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Steps = (1, 1, 1, 1),
    name: str | None = None,
    filters: Values | None = None,
) -> jax.Array:
    """A convolution of images with a kernel `[height, width, in, out]`."""
    kernel = either("tf.nn.conv2d", filter=filter, filters=filters)
    return _convolved("tf.nn.conv2d", input, kernel, strides, padding, data_format, dilations)


@op
def conv1d(
    value: Values | None = None,
    filters: Values | None = None,
    stride: Steps = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool | None = None,
    data_format: str | None = None,
    name: str | None = None,
    input: Values | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """A convolution of sequences with a kernel `[width, in, out]`."""
    where = "tf.nn.conv1d"
    given = either(where, value=value, input=input)
    return _convolved(where, given, filters, stride, padding, data_format, dilations)


@op
def conv3d(
    input: Values,
    filter: Values | None = None,
    strides: Steps = None,
    padding: Any = None,
    data_format: str = "NDHWC",
    dilations: Steps = (1, 1, 1, 1, 1),
    name: str | None = None,
    filters: Values | None = None,
) -> jax.Array:
    """A convolution of volumes with a kernel `[depth, height, width, in, out]`."""
    kernel = either("tf.nn.conv3d", filter=filter, filters=filters)
    return _convolved("tf.nn.conv3d", input, kernel, strides, padding, data_format, dilations)


@op
def convolution(
    input: Values,
    filter: Values,
    padding: Any,
    strides: Steps = None,
    dilation_rate: Steps = None,
    name: str | None = None,
    data_format: str | None = None,
    filters: Values | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """A convolution of sequences, images or volumes."""
    where = "tf.nn.convolution"
    kernel = either(where, filter=filter, filters=filters)
    rate = either(where, dilation_rate=dilation_rate, dilations=dilations)
    return _convolved(where, input, kernel, strides, padding, data_format, rate)


@op
def atrous_conv2d(
    value: Values, filters: Values, rate: int, padding: Any, name: str | None = None
) -> jax.Array:
    """A convolution whose windows skip `rate - 1` pixels between two of theirs."""
    return _convolved("tf.nn.atrous_conv2d", value, filters, 1, padding, None, rate)


@op
def depthwise_conv2d(
    input: Values,
    filter: Values,
    strides: Steps,
    padding: Any,
    rate: Steps = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """Each channel by filters of its own, `[height, width, channels, multiplier]`."""
    where = "tf.nn.depthwise_conv2d"
    images, kernel = array(input), array(filter)
    chosen = either(where, rate=rate, dilations=dilations)
    placed = placed_windows(where, images, kernel.shape[:2], strides, padding, data_format, chosen)
    return _lowering.convolve_depthwise(images, kernel.astype(images.dtype), placed)


def depthwise_conv2d_native(
    input: Values,
    filter: Values,
    strides: Steps,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Steps = (1, 1, 1, 1),
    name: str | None = None,
) -> jax.Array:
    return depthwise_conv2d(
        input, filter, strides, padding, data_format=data_format, dilations=dilations
    )


def separable_conv2d(
    input: Values,
    depthwise_filter: Values,
    pointwise_filter: Values,
    strides: Steps,
    padding: Any,
    rate: Steps = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """`depthwise_conv2d`, and a convolution of 1x1 pixels that mixes the channels."""
    chosen = either("tf.nn.separable_conv2d", rate=rate, dilations=dilations)
    features = depthwise_conv2d(
        input, depthwise_filter, strides, padding, chosen, data_format=data_format
    )
    return conv2d(features, pointwise_filter, 1, "VALID", data_format=data_format or "NHWC")


def _transposed(
    where: str,
    value: Values,
    kernel: Values | None,
    output_shape: Values | None,
    strides: Any,
    padding: Any,
    data_format: str | None,
) -> jax.Array:
    """The gradient of a convolution by its inputs, of any output shape that fits."""
    images, weights = array(value), array(checks.given(where, "filter", kernel))
    dims, is_first = weights.ndim - 2, channels_first(where, data_format)
    step = spatial(where, "strides", strides, dims, is_first)
    shape = shape_of(where, checks.given(where, "output_shape", output_shape), "output_shape")
    lengths = shape[2:] if is_first else shape[1:-1]
    channels = weights.shape[-2]
    batch = images.shape[0]
    full = (batch, channels, *lengths) if is_first else (batch, *lengths, channels)
    placed = windows(where, lengths, weights.shape[:-2], step, padding, None, is_first)
    count = images.shape[2:] if is_first else images.shape[1:-1]
    if placed.count != tuple(count):
        raise checks.refusal(
            where,
            "output_shape",
            f"one whose convolution has the shape of the input, {tuple(count)}",
            f"{tuple(lengths)}, whose convolution has {placed.count}",
        )
    letters = "DHW"[-dims:]
    order = (f"NC{letters}" if is_first else f"N{letters}C", f"{letters}IO")

    def forward(large: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            large, weights.astype(images.dtype), step, placed.padding,
            dimension_numbers=(order[0], order[1], order[0]),
        )  # fmt: skip

    transpose = jax.linear_transpose(forward, jax.ShapeDtypeStruct(full, images.dtype))
    return transpose(images)[0]


@op
def conv2d_transpose(
    value: Values | None = None,
    filter: Values | None = None,
    output_shape: Values | None = None,
    strides: Steps = None,
    padding: str = "SAME",
    data_format: str = "NHWC",
    name: str | None = None,
    input: Values | None = None,
    filters: Values | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """The transpose of `conv2d`; kernel `[height, width, out, in]`."""
    where = "tf.nn.conv2d_transpose"
    given = either(where, value=value, input=input)
    kernel = either(where, filter=filter, filters=filters)
    if dilations is not None and set(np.ravel(dilations)) != {1}:
        raise checks.refusal(where, "dilations", "1", repr(dilations))
    return _transposed(where, given, kernel, output_shape, strides, padding, data_format)


@op
def conv3d_transpose(
    value: Values,
    filter: Values | None = None,
    output_shape: Values | None = None,
    strides: Steps = None,
    padding: str = "SAME",
    data_format: str = "NDHWC",
    name: str | None = None,
    input: Values | None = None,
    filters: Values | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """The transpose of `conv3d`; kernel `[depth, height, width, out, in]`."""
    where = "tf.nn.conv3d_transpose"
    kernel = either(where, filter=filter, filters=filters)
    if dilations is not None and set(np.ravel(dilations)) != {1}:
        raise checks.refusal(where, "dilations", "1", repr(dilations))
    given = value if input is None else input
    return _transposed(where, given, kernel, output_shape, strides, padding, data_format)
