"""MobileNet V3, and its relative for the Edge TPU.

    with slim.arg_scope(mobilenet_v3.training_scope()):
        logits, end_points = mobilenet_v3.large(images)

Howard et al., "Searching for MobileNetV3" (2019), https://arxiv.org/abs/1905.02244, tables 1 and 2.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jslim.core.arg_scope import add_arg_scope
from jslim.layers import avg_pool2d, batch_norm, conv2d, group_norm
from jslim.nets import _common, conv_blocks
from jslim.nets import mobilenet as lib
from jslim.nets._common import Function, Outputs, Scope, variant
from jslim.nets.conv_blocks import expand_input_by_factor, expanded_conv
from jslim.nets.mobilenet import op

training_scope = lib.training_scope


def hard_swish(x: jax.Array) -> jax.Array:
    """`x * relu6(x + 3) / 6`, equation 2 of the paper; an array like `x`.

    >>> [round(v, 4) for v in hard_swish(jax.numpy.array([1.0, 4.0])).tolist()]
    [0.6667, 4.0]
    """
    return x * jax.nn.relu6(x + 3.0) * (1 / 6)


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """`relu6(x + 3) * 0.16667`, as in the published weights; an array like `x`.

    >>> [round(v, 4) for v in hard_sigmoid(jax.numpy.array([-3.0, 0.0, 3.0])).tolist()]
    [0.0, 0.5, 1.0]
    """
    return jax.nn.relu6(x + 3.0) * 0.16667


# `conv_blocks.squeeze_excite` as the paper has it.
squeeze_excite = functools.partial(
    conv_blocks.squeeze_excite, squeeze_factor=4, gating_fn=hard_sigmoid
)


def _squeeze_expansion(expansion_tensor: jax.Array, input_tensor: jax.Array) -> jax.Array:
    return squeeze_excite(expansion_tensor)


def reduce_to_1x1(
    input_tensor: jax.Array,
    default_size: int = 7,
    stride: int = 1,
    padding: str = "VALID",
    scope: str | None = None,
) -> jax.Array:
    """Averages a square map as a whole, and any other map by windows.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      default_size: Height and width of the windows if the map is not square.
      stride: Stride of the windows.
      padding: Padding of the windows, 'VALID' or 'SAME'.
      scope: Name of the op.

    Returns:
      `[batch, 1, 1, channels]`, or `[batch, new_height, new_width, channels]`.

    Raises:
      ValueError: The map is not square and smaller than a window.

    >>> reduce_to_1x1(jax.numpy.ones((2, 14, 21, 3)), stride=7).shape
    (2, 2, 3, 3)
    """
    height, width = input_tensor.shape[1:3]
    size = height if height == width else default_size
    if padding == "VALID" and min(height, width) < size:
        raise ValueError(
            f"reduce_to_1x1: a map of {height}x{width} is not square, and smaller than the window "
            f"of {size}x{size}; use square images, larger ones, or stop before this layer by "
            "final_endpoint"
        )
    return avg_pool2d(input_tensor, [size, size], stride=stride, padding=padding, scope=scope)


def mbv3_op(
    ef: float,
    n: int,
    k: int,
    s: int = 1,
    act: Function = jax.nn.relu,
    se: Function | None = None,
    **kwargs: Any,
) -> lib.Op:
    """A block of MobileNet V3, for a definition.

    Args:
      ef: Factor of the number of channels in the expansion.
      n: Number of channels of the result.
      k: Height and width of the depthwise kernel.
      s: Stride of the depthwise convolution.
      act: Activation of expansion and depthwise convolution.
      se: Function before the projection, the `expansion_transform` of `expanded_conv`.
      **kwargs: Further arguments of `expanded_conv`.

    >>> mbv3_op(ef=4, n=24, k=3, s=2).params["kernel_size"]
    (3, 3)
    """
    return op(
        expanded_conv,
        expansion_size=expand_input_by_factor(ef),
        kernel_size=(k, k),
        stride=s,
        num_outputs=n,
        inner_activation_fn=act,
        expansion_transform=se,
        **kwargs,
    )


# `mbv3_op` with squeeze and excitation.
mbv3_op_se = functools.partial(mbv3_op, se=_squeeze_expansion)


def _fused_conv(
    input_tensor: jax.Array,
    kernel_size: Sequence[int],
    stride: int = 1,
    rate: int = 1,
    use_explicit_padding: bool = False,
    **kwargs: Any,
) -> jax.Array:
    """`expanded_conv` whose expansion is a strided `kernel_size` convolution."""
    return expanded_conv(
        input_tensor,
        stride=stride,
        depthwise_location=None,
        expansion_fn=functools.partial(
            conv2d,
            kernel_size=kernel_size,
            stride=stride,
            rate=rate,
            padding=_common.fixed_padding(kernel_size, rate) if use_explicit_padding else "SAME",
        ),
        **kwargs,
    )


def mbv3_fused(ef: float, n: int, k: int, s: int = 1, **kwargs: Any) -> lib.Op:
    """A block with a k x k expansion and no depthwise convolution.

    As in research/slim, with `ef` 1 there is only the 1x1 projection, and `k` and `s` mean nothing.
    Differs from research/slim: the block takes part in `output_stride` and explicit padding.

    Args:
      ef: Factor of the number of channels in the expansion.
      n: Number of channels of the result.
      k: Height and width of the kernel of the expansion.
      s: Stride of the expansion.
      **kwargs: Further arguments of `mbv3_op`.
    """
    return mbv3_op(ef, n, k, s, **kwargs)._replace(op=_fused_conv)


def _defaults(normalizer_fn: Function, **arguments: Any) -> lib.Defaults:
    return {
        (expanded_conv,): {"normalizer_fn": normalizer_fn, "residual": True},
        lib.LAYERS: {"normalizer_fn": normalizer_fn, "activation_fn": jax.nn.relu},
        (normalizer_fn,): arguments,
    }


# The arguments of the layers, by layer, with batch and with group normalization.
DEFAULTS = _defaults(batch_norm, center=True, scale=True)
DEFAULTS_GROUP_NORM = _defaults(group_norm, groups=8)


def _first(channels: int, **params: Any) -> lib.Op:
    return op(conv2d, stride=2, num_outputs=channels, kernel_size=(3, 3), **params)


def _pointwise(channels: int, **params: Any) -> lib.Op:
    return op(conv2d, num_outputs=channels, kernel_size=(1, 1), **params)


# The numbers of a block are those of the paper's tables: factor of the expansion, channels of the
# result, size of the kernel, and a stride other than 1.
def _large(k: int, act: Function, block_se: Callable[..., lib.Op]) -> lib.Definition:
    """Table 1; the arguments differ in the minimalistic network."""
    spec = [
        _first(16, activation_fn=act),
        mbv3_op(1, 16, 3),
        mbv3_op(4, 24, 3, 2),
        mbv3_op(3, 24, 3),
        block_se(3, 40, k, 2),
        *[block_se(3, 40, k)] * 2,
        mbv3_op(6, 80, 3, 2, act),
        mbv3_op(2.5, 80, 3, act=act),
        *[mbv3_op(184 / 80, 80, 3, act=act)] * 2,
        *[block_se(6, 112, 3, act=act)] * 2,
        block_se(6, 160, k, 2, act),
        *[block_se(6, 160, k, act=act)] * 2,
        _pointwise(960, activation_fn=act),
        op(reduce_to_1x1),
        _pointwise(1280, activation_fn=act, normalizer_fn=None),
    ]
    return {"defaults": DEFAULTS, "spec": spec}


def _small(k: int, act: Function, block_se: Callable[..., lib.Op]) -> lib.Definition:
    """Table 2; the arguments differ in the minimalistic network."""
    spec = [
        _first(16, activation_fn=act),
        block_se(1, 16, 3, 2),
        mbv3_op(72 / 16, 24, 3, 2),
        mbv3_op(88 / 24, 24, 3),
        block_se(4, 40, k, 2, act),
        *[block_se(6, 40, k, act=act)] * 2,
        *[block_se(3, 48, k, act=act)] * 2,
        block_se(6, 96, k, 2, act),
        *[block_se(6, 96, k, act=act)] * 2,
        _pointwise(576, activation_fn=act),
        op(reduce_to_1x1),
        _pointwise(1024, activation_fn=act, normalizer_fn=None),
    ]
    return {"defaults": DEFAULTS, "spec": spec}


# The networks of the paper.
V3_LARGE = _large(5, hard_swish, mbv3_op_se)
V3_SMALL = _small(5, hard_swish, mbv3_op_se)
# Without squeeze and excitation, hard swish and 5x5 convolutions, which are slow on some hardware.
V3_LARGE_MINIMALISTIC = _large(3, jax.nn.relu, mbv3_op)
V3_SMALL_MINIMALISTIC = _small(3, jax.nn.relu, mbv3_op)
# The early layers have full convolutions instead of depthwise ones.
V3_EDGETPU: lib.Definition = {
    "defaults": DEFAULTS,
    "spec": [
        _first(32),
        mbv3_fused(1, 16, 3),
        mbv3_fused(8, 32, 3, 2),
        *[mbv3_fused(4, 32, 3)] * 3,
        mbv3_fused(8, 48, 3, 2),
        *[mbv3_fused(4, 48, 3)] * 3,
        mbv3_op(8, 96, 3, 2),
        *[mbv3_op(4, 96, 3)] * 3,
        mbv3_op(8, 96, 3, residual=False),
        *[mbv3_op(4, 96, 3)] * 3,
        mbv3_op(8, 160, 5, 2),
        *[mbv3_op(4, 160, 5)] * 3,
        mbv3_op(8, 192, 3),
        _pointwise(1280),
    ],
}


def _half_as_wide(conv_defs: lib.ConvDefs, layers: slice) -> lib.Definition:
    """Halves the channels of the last layers, for detection (section 6.3 of the paper)."""
    spec = list(conv_defs["spec"])
    spec[layers] = [
        layer._replace(params={**layer.params, "num_outputs": layer.params["num_outputs"] // 2})
        for layer in spec[layers]
    ]
    return {**conv_defs, "spec": spec}


# With the last layers half as wide, for the detection of objects.
V3_LARGE_DETECTION = _half_as_wide(V3_LARGE, slice(13, 17))
V3_SMALL_DETECTION = _half_as_wide(V3_SMALL, slice(9, 13))


@_common.with_image_size(224, lib.mobilenet)
@add_arg_scope
def mobilenet(
    input_tensor: jax.Array,
    num_classes: int | None = 1001,
    depth_multiplier: float = 1.0,
    scope: Scope = "MobilenetV3",
    conv_defs: lib.ConvDefs | None = None,
    finegrain_classification_mode: bool = False,
    use_groupnorm: bool = False,
    *,
    groups: int = 8,
    **kwargs: Any,
) -> Outputs:
    """The layers of a definition of MobileNet V3, and a linear classifier.

    The default mode is inference; `training_scope` or `is_training` change it.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`. V3's own definitions take square
        images, or height and width of 193 pixels or more.
      depth_multiplier: Factor of all numbers of channels, above 0.
      conv_defs: The definition: `V3_LARGE` (the default), `V3_SMALL`, `V3_LARGE_MINIMALISTIC`,
        `V3_SMALL_MINIMALISTIC`, `V3_EDGETPU`, `V3_LARGE_DETECTION`, `V3_SMALL_DETECTION`, or your
        own, described in `slim.nets.mobilenet`.
      finegrain_classification_mode: Whether the multiplier does not change the last layer.
      use_groupnorm: Whether to use group normalization instead of batch normalization.
      groups: Number of groups of channels for `use_groupnorm`.
      **kwargs: Further arguments of `slim.nets.mobilenet.mobilenet`: `prediction_fn`, `reuse`,
        `base_only`, `use_reduce_mean_for_pooling`, `final_endpoint`, `output_stride`,
        `use_explicit_padding`, `is_training`.

    Returns:
      The logits, `[batch, num_classes]`, the features, `[batch, 1, 1, channels]`, or the map of
      the last layer; and the end points layer_1 and so on (19 of the large, 15 of the small
      network, 24 for the Edge TPU), layer_2/depthwise_output and so on, global_pool, Logits,
      Predictions as a dict.

    Raises:
      TypeError: An argument is unknown.
      ValueError: The images are not a batch, or neither square nor large enough; an argument has
        another value than above.
    """
    lib.refuse_multiplier("mobilenet_v3", kwargs)
    conv_defs = V3_LARGE if conv_defs is None else conv_defs
    if use_groupnorm:
        conv_defs = {**conv_defs, "defaults": _defaults(group_norm, groups=groups)}
    if finegrain_classification_mode:
        *layers, last = conv_defs["spec"]
        last = last._replace(multiplier_func=lambda params, multiplier: None)
        conv_defs = {**conv_defs, "spec": [*layers, last]}
    kwargs |= {"conv_defs": conv_defs, "multiplier": depth_multiplier}
    return lib.mobilenet(input_tensor, num_classes, scope=scope, **kwargs)


@add_arg_scope
def mobilenet_base(
    input_tensor: jax.Array, depth_multiplier: float = 1.0, **kwargs: Any
) -> Outputs:
    """MobileNet V3 without its classifier.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`.
      depth_multiplier: Factor of all numbers of channels, above 0.
      **kwargs: Further arguments of `mobilenet`.

    Returns:
      The output of the last layer, or of `final_endpoint`: 'layer_17' of the large and 'layer_13'
      of the small network come before the pooling; and the end points of all layers as a dict.

    Raises:
      TypeError, ValueError: As `mobilenet`.
    """
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


large = variant(mobilenet, "large", conv_defs=V3_LARGE)
small = variant(mobilenet, "small", conv_defs=V3_SMALL)
large_minimalistic = variant(mobilenet, "large_minimalistic", conv_defs=V3_LARGE_MINIMALISTIC)
small_minimalistic = variant(mobilenet, "small_minimalistic", conv_defs=V3_SMALL_MINIMALISTIC)
# As in the published weights for this multiplier, the last layer keeps its channels.
_THREE_QUARTERS = {"depth_multiplier": 0.75, "finegrain_classification_mode": True}
large_075 = variant(large, "large_075", **_THREE_QUARTERS)
small_075 = variant(small, "small_075", **_THREE_QUARTERS)
large_123 = variant(large, "large_123", depth_multiplier=1.23)
edge_tpu = variant(mobilenet, "edge_tpu", conv_defs=V3_EDGETPU, scope="MobilenetEdgeTPU")
edge_tpu_075 = variant(edge_tpu, "edge_tpu_075", **_THREE_QUARTERS)
