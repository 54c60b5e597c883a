"""Convolutions of sequences, images and volumes, and their transposes: an op for each rank."""

from collections.abc import Mapping

import jax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.names import Reuse
from jslim.layers import _common, _lowering
from jslim.layers._defaults import XAVIER, ZEROS, relu
from jslim.layers._frame import Call, layer
from jslim.layers._ranks import ANY_RANK, IMAGES, VOLUMES, WAVES, Rank
from jslim.layers._types import Activation, Collections, Initializer, Names, Normalizer, Regularizer
from jslim.layers._windows import Padding, Pair, is_same


def _convolve(
    call: Call,
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = "SAME",
    data_format: str | None = None,
    rate: Pair = 1,
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
    conv_dims: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """A convolution of {things}.{called}

    It is a cross-correlation: the kernel is not flipped. An `arg_scope` on one of `convolution`,
    `conv1d`, `conv2d` and `conv3d` does not touch the others; their default names share a counter.

    Args:
      inputs: `[batch, {space}, channels]`, or `[batch, channels, {space}]`
        if {first}.
      num_outputs: Number of filters.
      kernel_size: Size of the kernel in pixels: {space}; one number for all.
      stride: Step from one window to the next in pixels, in the same form.
      padding: 'SAME' (default; an odd pixel of padding goes after), 'VALID', or how many pixels
        of zeros to add: a list with a pair `(before, after)` for each spatial dimension.
      data_format: {last} (default) or {first}.
      rate: Step between the pixels of a window (atrous convolution); not together with `stride`.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[{space}, channels, num_outputs]`; default
        Xavier uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[num_outputs]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether `weights` and `biases` are trained; the normalizer has its own.
      scope: Name of the variable scope, default `Conv`, made unique.{conv_dims}
      dtype: Dtype of the computation, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      `[batch, {new_space}, num_outputs]`, or with channels second.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` have a wrong rank; an argument is not as above; the window does not fit;
        `stride` and `rate` are both above 1.
    """
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    images = call.images(call.floating(inputs), conv_dims)
    windows = call.windows(images, kernel_size, stride, padding, rate)
    shape = (*windows.size, call.channels(images), num_outputs)
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    return _lowering.convolve(images, weights, windows)


def _scope(given: Mapping[str, object]) -> str:
    if (dims := given.get("conv_dims")) is not None:
        accepted = "1, 2, 3, or None to go by the rank of the inputs"
        checks.one_of("convolution", "conv_dims", dims, (1, 2, 3), accepted)
    return "Conv"


def _op(rank: Rank) -> layer:
    fixed = {"conv_dims": rank.dims}
    words = {"called": f" Also called `conv{rank.dims}d`.", "conv_dims": ""}
    name, shown = f"convolution{rank.dims}d", f"conv{rank.dims}d"
    return layer(_scope, name, shown, rank, fixed=fixed, words=words, computes_in_dtype=True)


_CONV_DIMS = (
    "\n      conv_dims: The number of spatial dimensions that `inputs` must have: 1, 2 or 3."
)
_ANY = {"called": "", "conv_dims": _CONV_DIMS}

convolution = layer(_scope, "convolution", rank=ANY_RANK, words=_ANY, computes_in_dtype=True)(
    _convolve
)
conv1d = convolution1d = _op(WAVES)(_convolve)
conv2d = convolution2d = _op(IMAGES)(_convolve)
conv3d = convolution3d = _op(VOLUMES)(_convolve)


def _convolve_transposed(
    call: Call,
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: str = "SAME",
    data_format: str = "NHWC",
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
    """Enlarges {things}: the transpose (the gradient) of `{ordinary}`. Also called `{short}`.

    Along one axis input `i` adds its product with kernel tap `j` to output `i * stride + j`.
    Inputs [1, 2, 3] with kernel [1, 10, 100] and stride 2 give [1, 10, 102, 20, 203, 30, 300] if
    VALID and the first six of these if SAME.

    Args:
      inputs: `[batch, {space}, channels]`, or `[batch, channels, {space}]`
        if {first}.
      num_outputs: Number of filters.
      kernel_size: Size of the kernel in pixels: {space}; one number for all.
      stride: The factor by which the result is larger, in the same form.
      padding: 'SAME' (default): the result is `stride` times as large as the inputs; 'VALID': it
        has `max(kernel_size - stride, 0)` pixels more along each axis.
      data_format: {last} (default) or {first}.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[{space}, num_outputs, channels]`: outputs
        before inputs, as in TensorFlow; default Xavier uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[num_outputs]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      scope: Name of the variable scope, default `{default_scope}`, made unique.
      dtype: Dtype of the computation, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      `[batch, {new_space}, num_outputs]`, or with channels second if {first}.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` are not {things}, or an argument is not as above.
    """
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    images = call.images(call.floating(inputs))
    dims = images.ndim - 2
    size = checks.positive_integers(call.where, "kernel_size", kernel_size, dims)
    steps = checks.positive_integers(call.where, "stride", stride, dims)
    shape = (*size, num_outputs, call.channels(images))
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    is_same_padding = is_same(call.where, padding)
    return _lowering.convolve_transposed(
        images, weights, steps, is_same_padding, call.channels_first
    )


def _transposed(rank: Rank) -> layer:
    scope = f"Conv{rank.dims}d_transpose"
    name, shown = f"convolution{rank.dims}d_transpose", f"conv{rank.dims}d_transpose"
    words = {"ordinary": f"conv{rank.dims}d", "short": shown, "default_scope": scope}
    return layer(scope, name, shown, rank, words=words, computes_in_dtype=True)


conv2d_transpose = convolution2d_transpose = _transposed(IMAGES)(_convolve_transposed)
conv3d_transpose = convolution3d_transpose = _transposed(VOLUMES)(_convolve_transposed)
