"""Convolutions of sequences, images and volumes: one body, and an op for each rank."""

from collections.abc import Mapping, Sequence

import jax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.names import Reuse
from jslim.layers import _common, _lowering
from jslim.layers._common import (
    ANY_RANK,
    IMAGES,
    VOLUMES,
    WAVES,
    XAVIER,
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Normalizer,
    Padding,
    Pair,
    Rank,
    Regularizer,
)
from jslim.layers._frame import Call, layer
from jslim.layers.activations import relu


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
    outputs_collections: str | Sequence[str] | None = None,
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
        of zeros to add: a list of one pair `(before, after)` for each spatial dimension.
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
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      `[batch, {new_space}, num_outputs]`, or with channels second.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: Their rank is wrong; an argument is not one of the above; the window does not
        fit; `stride` and `rate` are both above 1.
    """
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    images = call.images(call.floating(inputs), conv_dims)
    windows = call.windows(images, kernel_size, stride, padding, rate)
    shape = (*windows.size, call.channels(images), num_outputs)
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    return _lowering.convolve(images, weights, windows, call.channels_first)


def _scope(given: Mapping[str, object]) -> str:
    if (dims := given.get("conv_dims")) is not None:
        accepted = "1, 2, 3, or None to go by the rank of the inputs"
        checks.one_of("convolution", "conv_dims", dims, (1, 2, 3), accepted)
    return "Conv"


def _op(rank: Rank, name: str, short: str) -> layer:
    is_any = rank is ANY_RANK
    return layer(
        _scope,
        name,
        short,
        rank=rank,
        fixed={} if is_any else {"conv_dims": rank.dims},
        words={
            "called": "" if is_any else f" Also called `{short}`.",
            "conv_dims": _CONV_DIMS if is_any else "",
        },
        computes_in_dtype=True,
    )


_CONV_DIMS = "\n      conv_dims: 1, 2 or 3 to insist on so many spatial dimensions."

convolution = _op(ANY_RANK, "convolution", "convolution")(_convolve)
conv1d = convolution1d = _op(WAVES, "convolution1d", "conv1d")(_convolve)
conv2d = convolution2d = _op(IMAGES, "convolution2d", "conv2d")(_convolve)
conv3d = convolution3d = _op(VOLUMES, "convolution3d", "conv3d")(_convolve)
