"""Convolutions of images, ordinary and transposed.

Every layer here does the same four things in this order: the linear operation; biases, or
`normalizer_fn` in their place; `activation_fn`; adding the result to `outputs_collections`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jslim._arg_scope import add_arg_scope
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
from jslim.model import Reuse, variable_scope


@add_arg_scope
def convolution2d(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: str = "SAME",
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
      padding: 'SAME' (default; an odd pixel of padding goes after) or 'VALID'.
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
    with variable_scope(scope, "Conv", reuse=reuse) as sc:
        where = f"conv2d at {sc.name!r}"
        num_outputs = _common.check_num_outputs(where, num_outputs)
        channels_first = _common.is_channels_first(where, data_format)
        images, windows = _common.images_and_windows(
            where, inputs, dtype, kernel_size, stride, padding, rate, channels_first
        )
        channel_axis = 1 if channels_first else 3
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
    with variable_scope(scope, "Conv2d_transpose", reuse=reuse) as sc:
        where = f"conv2d_transpose at {sc.name!r}"
        num_outputs = _common.check_num_outputs(where, num_outputs)
        images = _common.as_floating(where, inputs, dtype)
        channels_first = _common.is_channels_first(where, data_format)
        _common.check_images(where, images, channels_first)
        is_same = _common.is_same(where, padding)
        size = _common.pair(where, "kernel_size", kernel_size)
        steps = _common.pair(where, "stride", stride)
        channel_axis = 1 if channels_first else 3
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


conv2d = convolution2d
conv2d_transpose = convolution2d_transpose
