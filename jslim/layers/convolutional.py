"""Convolutions of sequences, images and volumes.

Every layer here does the same four things in this order: the linear operation; biases, or
`normalizer_fn` in their place; `activation_fn`; adding the result to `outputs_collections`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jslim.core.arg_scope import add_arg_scope
from jslim.core.model import Reuse, variable_scope
from jslim.layers import _common, _lowering, utils
from jslim.layers._common import (
    XAVIER,
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Normalizer,
    Padding,
    Pair,
    Parameters,
    Regularizer,
)
from jslim.layers.activations import relu


def _convolve(
    name: str,
    dims: int | None,
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    data_format: str | None,
    rate: Pair,
    activation_fn: Activation,
    normalizer_fn: Normalizer,
    normalizer_params: Mapping[str, Any] | None,
    weights_initializer: Initializer,
    weights_regularizer: Regularizer,
    biases_initializer: Initializer,
    biases_regularizer: Regularizer,
    reuse: Reuse,
    variables_collections: Collections,
    outputs_collections: str | Sequence[str] | None,
    trainable: bool,
    scope: str | None,
    dtype: Any,
    param_dtype: Any,
) -> jax.Array:
    """The body of all convolutions; without `dims` the rank of the inputs decides."""
    with variable_scope(scope, "Conv", reuse=reuse) as sc:
        where = f"{name} at {sc.name!r}"
        num_outputs = _common.check_num_outputs(where, num_outputs)
        images, windows, channels_first = _common.images_and_windows(
            where, inputs, dtype, kernel_size, stride, padding, rate, data_format, dims
        )
        channel_axis = 1 if channels_first else images.ndim - 1
        parameters = Parameters(images.dtype, param_dtype, trainable, variables_collections)
        shape = (*windows.size, images.shape[channel_axis], num_outputs)
        weights = parameters("weights", shape, weights_initializer, weights_regularizer)
        outputs = _common.finish(
            _lowering.convolve(images, weights, windows, channels_first),
            parameters,
            channel_axis,
            biases_initializer,
            biases_regularizer,
            normalizer_fn,
            normalizer_params,
            activation_fn,
        )
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


@add_arg_scope
def convolution(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = "SAME",
    data_format: str | None = None,
    rate: Pair = 1,
    activation_fn: Activation = relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    conv_dims: int | None = None,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """A convolution over 1, 2 or 3 spatial dimensions, as many as the inputs have.

    It is a cross-correlation: the kernel is not flipped. An `arg_scope` on one of `convolution`,
    `conv1d`, `conv2d` and `conv3d` does not touch the others; their default names share a counter.

    Args:
      inputs: `[batch, *spatial, channels]`, or `[batch, channels, *spatial]` if `data_format`
        says so; the spatial dimensions are width; height and width; or depth, height and width.
      num_outputs: Number of filters.
      kernel_size: Size of the kernel in each spatial dimension, in pixels; one number for all.
      stride: Step from one window to the next, likewise.
      padding: 'SAME' (default; an odd pixel of padding goes after), 'VALID', or how many pixels
        of zeros to add: a pair `(before, after)` for each spatial dimension.
      data_format: 'NWC', 'NHWC', 'NDHWC' (default) or 'NCW', 'NCHW', 'NCDHW', by rank.
      rate: Step between the pixels of a window (atrous convolution); not together with `stride`.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[*kernel_size, channels, num_outputs]`; default Xavier
        uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[num_outputs]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether `weights` and `biases` are trained; the normalizer has its own.
      scope: Name of the variable scope, default `Conv`, made unique.
      conv_dims: 1, 2 or 3 to insist on so many spatial dimensions.
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      `[batch, *new_spatial, num_outputs]`, or with channels second.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: Their rank is wrong; an argument is not one of the above; the window does not
        fit; `stride` and `rate` are both above 1.
    """
    if conv_dims not in (None, 1, 2, 3):
        raise ValueError(
            f"convolution: conv_dims must be 1, 2, 3, or None to go by the rank of the inputs, "
            f"got {conv_dims!r}"
        )
    return _convolve(
        "convolution",
        conv_dims,
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        dtype,
        param_dtype,
    )


@add_arg_scope
def convolution1d(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = "SAME",
    data_format: str | None = None,
    rate: Pair = 1,
    activation_fn: Activation = relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """A convolution along one dimension. Also called `conv1d`.

    Args: those of `convolution`, where
      inputs: `[batch, width, channels]`, or `[batch, channels, width]` if NCW.
      kernel_size, stride, rate: One number, or a sequence of one.
      padding: 'SAME' (default), 'VALID' or `[(before, after)]`.
      data_format: 'NWC' (default) or 'NCW'.
      weights_initializer: For `weights`, `[width, channels, num_outputs]`.

    Returns:
      `[batch, new_width, num_outputs]`, or with channels second if NCW.

    Raises:
      TypeError, ValueError: As `convolution`.
    """
    return _convolve(
        "conv1d",
        1,
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        dtype,
        param_dtype,
    )


@add_arg_scope
def convolution2d(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = "SAME",
    data_format: str | None = None,
    rate: Pair = 1,
    activation_fn: Activation = relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """A 2-D convolution (cross-correlation: the kernel is not flipped). Also called `conv2d`.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      num_outputs: Number of filters.
      kernel_size: Height and width of the kernel, in pixels; one number for both.
      stride: Step from one window to the next, in pixels.
      padding: 'SAME' (default; an odd pixel of padding goes after), 'VALID', or how many pixels
        of zeros to add: `[(above, below), (left, right)]`.
      data_format: 'NHWC' (default) or 'NCHW'.
      rate: Step between the pixels of a window (atrous convolution); not together with `stride`.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[height, width, channels, num_outputs]`; default
        Xavier uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[num_outputs]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether `weights` and `biases` are trained; the normalizer has its own.
      scope: Name of the variable scope, default `Conv`, made unique.
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      `[batch, new_height, new_width, num_outputs]`, or with channels second if NCHW.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not images; an argument is not one of the above; the window does not
        fit; `stride` and `rate` are both above 1.
    """
    return _convolve(
        "conv2d",
        2,
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        dtype,
        param_dtype,
    )


@add_arg_scope
def convolution3d(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = "SAME",
    data_format: str | None = None,
    rate: Pair = 1,
    activation_fn: Activation = relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """A convolution over volumes. Also called `conv3d`.

    Args: those of `convolution`, where
      inputs: `[batch, depth, height, width, channels]`, or with channels second if NCDHW.
      kernel_size, stride, rate: One number, or depth, height and width.
      padding: 'SAME' (default), 'VALID' or three pairs `(before, after)`.
      data_format: 'NDHWC' (default) or 'NCDHW'.
      weights_initializer: For `weights`, `[depth, height, width, channels, num_outputs]`.

    Returns:
      `[batch, new_depth, new_height, new_width, num_outputs]`, or with channels second if NCDHW.

    Raises:
      TypeError, ValueError: As `convolution`.
    """
    return _convolve(
        "conv3d",
        3,
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
        rate,
        activation_fn,
        normalizer_fn,
        normalizer_params,
        weights_initializer,
        weights_regularizer,
        biases_initializer,
        biases_regularizer,
        reuse,
        variables_collections,
        outputs_collections,
        trainable,
        scope,
        dtype,
        param_dtype,
    )


conv1d = convolution1d
conv2d = convolution2d
conv3d = convolution3d
