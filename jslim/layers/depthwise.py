"""Convolutions of each channel by itself: separable ones, and one filter for all channels."""

from collections.abc import Mapping

import jax
from jax import lax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.names import Reuse
from jslim.layers import _common, _lowering
from jslim.layers._defaults import XAVIER, ZEROS, relu
from jslim.layers._frame import Call, layer
from jslim.layers._types import Activation, Collections, Initializer, Names, Normalizer, Regularizer
from jslim.layers._windows import Padding, Pair


@layer("ConvInPlane", shown="conv2d_in_plane", computes_in_dtype=True)
def convolution2d_in_plane(
    call: Call,
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = "SAME",
    activation_fn: Activation = relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, object] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: Names = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Convolves every channel with the same 2-D filter. Also called `conv2d_in_plane`.

    Args:
      inputs: `[batch, height, width, channels]`.
      kernel_size: Height and width of the filter, in pixels; one number for both.
      stride: Step from one window to the next, in pixels.
      padding: 'SAME' (default), 'VALID', or how many pixels of zeros to add: `[(above, below),
        (left, right)]`.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[height, width, 1, 1]`; default Xavier uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[channels]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      scope: Name of the variable scope, default `ConvInPlane`, made unique.
      dtype: Dtype of the computation, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      `[batch, new_height, new_width, channels]`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` are not images, an argument is not as above, or the window does not fit.

    >>> import jax.numpy as jnp
    >>> import jslim as slim
    >>> model = slim.Model(
    ...     lambda x: conv2d_in_plane(x, 2, weights_initializer=slim.ones_initializer())
    ... )
    >>> image = jnp.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    >>> model.init_with_output(jax.random.key(0), image)[0].ravel().tolist()
    [10.0, 6.0, 7.0, 4.0]
    """
    images = call.images(call.floating(inputs))
    windows = call.windows(images, kernel_size, stride, padding)
    shape = (*windows.size, 1, 1)
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    every_channel = (*windows.size, call.channels(images), 1)
    weights = lax.broadcast_in_dim(weights, every_channel, range(4))
    return _lowering.convolve_depthwise(images, weights, windows)


@layer("SeparableConv2d", shown="separable_conv2d", computes_in_dtype=True)
def separable_convolution2d(
    call: Call,
    inputs: jax.Array,
    num_outputs: int | None,
    kernel_size: Pair,
    depth_multiplier: int = 1,
    stride: Pair = 1,
    padding: Padding = "SAME",
    data_format: str = "NHWC",
    rate: Pair = 1,
    activation_fn: Activation = relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, object] | None = None,
    weights_initializer: Initializer = XAVIER,
    pointwise_initializer: Initializer = None,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: Names = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Filters each channel by itself, then mixes the channels by a 1x1 convolution.

    Biases, normalizer and activation follow the second step only. Also called `separable_conv2d`.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      num_outputs: Number of filters of the 1x1 convolution; None for no such convolution.
      kernel_size: Height and width of the depthwise kernel, in pixels; one number for both.
      depth_multiplier: Number of depthwise filters for each channel.
      stride: Step from one window to the next, in pixels.
      padding: 'SAME' (default), 'VALID', or how many pixels of zeros to add: `[(above, below),
        (left, right)]`.
      data_format: 'NHWC' or 'NCHW'.
      rate: Step between the pixels of a window (atrous convolution); not together with `stride`.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `depthwise_weights`, `[height, width, channels, depth_multiplier]`;
        default Xavier uniform.
      pointwise_initializer: For `pointwise_weights`, `[1, 1, channels * depth_multiplier,
        num_outputs]`; default that of the depthwise weights.
      weights_regularizer: Penalty on both kernels.
      biases_initializer: For `biases`, `[output channels]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name,
        in which 'weights' stands for both kernels.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained; the normalizer has its own.
      scope: Name of the variable scope, default `SeparableConv2d`, made unique.
      dtype: Dtype of the computation, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      `[batch, new_height, new_width, num_outputs]`, or with channels second if NCHW. Without
      `num_outputs` there are `channels * depth_multiplier` channels, those of one input channel
      next to each other.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` are not images; an argument is not as above; the window does not fit;
        `stride` and `rate` are both above 1.
    """
    images = call.images(call.floating(inputs))
    windows = call.windows(images, kernel_size, stride, padding, rate)
    channels = call.channels(images)
    (multiplier,) = checks.positive_integers(call.where, "depth_multiplier", depth_multiplier, 1)
    shape = (*windows.size, channels, multiplier)
    kernel = call.parameter("depthwise_weights", shape, weights_initializer, weights_regularizer)
    outputs = _lowering.convolve_depthwise(images, kernel, windows)
    if num_outputs is None:
        return outputs
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    shape = (1, 1, channels * multiplier, num_outputs)
    initializer = weights_initializer if pointwise_initializer is None else pointwise_initializer
    weights = call.parameter("pointwise_weights", shape, initializer, weights_regularizer)
    pixels = call.windows(outputs, 1, 1, "VALID")
    return _lowering.convolve(outputs, weights, pixels)


conv2d_in_plane = convolution2d_in_plane
separable_conv2d = separable_convolution2d
