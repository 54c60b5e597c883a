"""Transposed convolutions, which enlarge images and volumes."""

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
    Pair,
    Parameters,
    Regularizer,
)
from jslim.layers.activations import relu


def _convolve_transposed(
    name: str,
    default_scope: str,
    dims: int,
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair,
    padding: str,
    data_format: str | None,
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
    with variable_scope(scope, default_scope, reuse=reuse) as sc:
        where = f"{name} at {sc.name!r}"
        num_outputs = _common.check_num_outputs(where, num_outputs)
        images = _common.as_floating(where, inputs, dtype)
        channels_first = _common.is_channels_first(where, data_format, dims)
        _common.check_images(where, images, channels_first, dims)
        is_same = _common.is_same(where, padding)
        size = _common.integers(where, "kernel_size", dims, kernel_size)
        steps = _common.integers(where, "stride", dims, stride)
        channel_axis = 1 if channels_first else images.ndim - 1
        parameters = Parameters(images.dtype, param_dtype, trainable, variables_collections)
        shape = (*size, num_outputs, images.shape[channel_axis])
        weights = parameters("weights", shape, weights_initializer, weights_regularizer)
        outputs = _common.finish(
            _lowering.convolve_transposed(images, weights, steps, is_same, channels_first),
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
def convolution2d_transpose(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: str = "SAME",
    data_format: str = "NHWC",
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
    """Enlarges images: the transpose (the gradient) of `conv2d`. Also called `conv2d_transpose`.

    Along one axis input `i` adds its product with kernel tap `j` to output `i * stride + j`.
    Inputs [1, 2, 3] with kernel [1, 10, 100] and stride 2 give [1, 10, 102, 20, 203, 30, 300] if
    VALID and the first six of these if SAME.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      num_outputs: Number of filters.
      kernel_size: Height and width of the kernel, in pixels; one number for both.
      stride: How many times larger the result is.
      padding: 'SAME' (default): the result has `height * stride` rows; 'VALID': it has
        `max(kernel_height - stride, 0)` more. Columns likewise.
      data_format: 'NHWC' or 'NCHW'.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[height, width, num_outputs, channels]`: outputs before
        inputs, as in TensorFlow; default Xavier uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[num_outputs]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      scope: Name of the variable scope, default `Conv2d_transpose`, made unique.
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      `[batch, new_height, new_width, num_outputs]`, or with channels second if NCHW.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not images, or an argument is not one of the above.
    """
    return _convolve_transposed(
        "conv2d_transpose",
        "Conv2d_transpose",
        2,
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
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
def convolution3d_transpose(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: str = "SAME",
    data_format: str = "NDHWC",
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
    """Enlarges volumes: the transpose (the gradient) of `conv3d`. Also called `conv3d_transpose`.

    Args: those of `conv2d_transpose`, where
      inputs: `[batch, depth, height, width, channels]`, or with channels second if NCDHW.
      kernel_size, stride: One number, or depth, height and width.
      data_format: 'NDHWC' or 'NCDHW'.
      weights_initializer: For `weights`, `[depth, height, width, num_outputs, channels]`.
      scope: Name of the variable scope, default `Conv3d_transpose`, made unique.

    Returns:
      `[batch, new_depth, new_height, new_width, num_outputs]`, or with channels second if NCDHW.

    Raises:
      TypeError, ValueError: As `conv2d_transpose`.
    """
    return _convolve_transposed(
        "conv3d_transpose",
        "Conv3d_transpose",
        3,
        inputs,
        num_outputs,
        kernel_size,
        stride,
        padding,
        data_format,
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


conv2d_transpose = convolution2d_transpose
conv3d_transpose = convolution3d_transpose
