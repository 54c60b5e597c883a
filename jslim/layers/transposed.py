"""Transposed convolutions, which enlarge images and volumes: one body, and an op for each rank."""

from collections.abc import Mapping, Sequence

import jax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.names import Reuse
from jslim.layers import _common, _lowering
from jslim.layers._common import (
    IMAGES,
    VOLUMES,
    XAVIER,
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Normalizer,
    Pair,
    Rank,
    Regularizer,
)
from jslim.layers._frame import Call, layer
from jslim.layers.activations import relu


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
    outputs_collections: str | Sequence[str] | None = None,
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
      stride: How many times larger the result is, in the same form.
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
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      `[batch, {new_space}, num_outputs]`, or with channels second if {first}.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not {things}, or an argument is not one of the above.
    """
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    images = call.images(call.floating(inputs))
    is_same = _common.is_same(call.where, padding)
    dims = images.ndim - 2
    size = checks.positive_integers(call.where, "kernel_size", kernel_size, dims)
    steps = checks.positive_integers(call.where, "stride", stride, dims)
    shape = (*size, num_outputs, call.channels(images))
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    return _lowering.convolve_transposed(images, weights, steps, is_same, call.channels_first)


def _op(rank: Rank) -> layer:
    scope, short = f"Conv{rank.dims}d_transpose", f"conv{rank.dims}d_transpose"
    ordinary = f"conv{rank.dims}d"
    return layer(
        scope,
        f"convolution{rank.dims}d_transpose",
        short,
        rank=rank,
        words={"ordinary": ordinary, "short": short, "default_scope": scope},
        computes_in_dtype=True,
    )


conv2d_transpose = convolution2d_transpose = _op(IMAGES)(_convolve_transposed)
conv3d_transpose = convolution3d_transpose = _op(VOLUMES)(_convolve_transposed)
