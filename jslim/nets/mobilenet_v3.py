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
from jslim.core.names import VariableScope
from jslim.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    fully_connected,
    group_norm,
    separable_conv2d,
)
from jslim.nets import conv_blocks
from jslim.nets import mobilenet as lib
from jslim.nets._common import EndPoints, described, fixed_padding, variant, with_image_size
from jslim.nets.conv_blocks import expand_input_by_factor, expanded_conv
from jslim.nets.mobilenet import op

training_scope = lib.training_scope

Function = Callable[..., jax.Array]


def hard_swish(x: jax.Array) -> jax.Array:
    """`x * relu6(x + 3) / 6`, equation 2 of the paper; an array like `x`."""
    return x * jax.nn.relu6(x + 3.0) * (1 / 6)


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """`relu6(x + 3) * 0.16667`, which the weights were trained with; an array like `x`."""
    return jax.nn.relu6(x + 3.0) * 0.16667


squeeze_excite = functools.partial(
    conv_blocks.squeeze_excite,
    squeeze_factor=4,
    inner_activation_fn=jax.nn.relu,
    gating_fn=hard_sigmoid,
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
    """The mean of a square map, and the means of windows of any other map.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      default_size: Height and width of the windows where the map is not square.
      stride: Of the windows.
      padding: Of the windows, 'VALID' or 'SAME'.
      scope: The name of the pooling.

    Returns:
      `[batch, 1, 1, channels]`, or `[batch, new_height, new_width, channels]`.

    Raises:
      ValueError: The map is not square and smaller than a window.
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
      ef: How many times more channels the expansion has.
      n: Number of channels of the result.
      k: Height and width of the depthwise convolution.
      s: Its stride.
      act: What follows expansion and depthwise convolution.
      se: What comes before the projection: `expansion_transform` of `expanded_conv`.
      **kwargs: Further arguments of `expanded_conv`.
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


mbv3_op_se = functools.partial(mbv3_op, se=_squeeze_expansion)


def _fused_conv(
    input_tensor: jax.Array,
    kernel_size: Sequence[int],
    stride: int = 1,
    rate: int = 1,
    use_explicit_padding: bool = False,
    **kwargs: Any,
) -> jax.Array:
    """`expanded_conv` whose expansion is the strided `kernel_size` convolution too."""
    return expanded_conv(
        input_tensor,
        stride=stride,
        depthwise_location=None,
        expansion_fn=functools.partial(
            conv2d,
            kernel_size=kernel_size,
            stride=stride,
            rate=rate,
            padding=fixed_padding(kernel_size, rate) if use_explicit_padding else "SAME",
        ),
        **kwargs,
    )


def mbv3_fused(ef: float, n: int, k: int, s: int = 1, **kwargs: Any) -> lib.Op:
    """A block whose expansion is a k x k convolution, in place of a depthwise one.

    Where `ef` is 1 there is no expansion, and nothing of the block has `k` or `s` but a 1x1
    projection, as in research/slim. Differs from it: the block takes part in `output_stride` and
    in explicit padding; there its stride stayed.

    Args:
      ef: How many times more channels the expansion has.
      n: Number of channels of the result.
      k: Height and width of the expansion.
      s: Its stride.
      **kwargs: Further arguments of `mbv3_op`.
    """
    return mbv3_op(ef, n, k, s, **kwargs)._replace(op=_fused_conv)


def _defaults(normalizer_fn: Function, **arguments: Any) -> lib.Defaults:
    return {
        (expanded_conv,): {"normalizer_fn": normalizer_fn, "residual": True},
        (conv2d, fully_connected, separable_conv2d): {
            "normalizer_fn": normalizer_fn,
            "activation_fn": jax.nn.relu,
        },
        (normalizer_fn,): arguments,
    }


DEFAULTS = _defaults(batch_norm, center=True, scale=True)
DEFAULTS_GROUP_NORM = _defaults(group_norm, groups=8)


def _large(large_kernel: int, act: Function, block_se: Callable[..., lib.Op]) -> lib.Definition:
    """Table 1, with what the minimalistic network has otherwise."""
    k = large_kernel
    return {
        "defaults": DEFAULTS,
        "spec": [
            op(conv2d, stride=2, num_outputs=16, kernel_size=(3, 3), activation_fn=act),
            mbv3_op(ef=1, n=16, k=3),
            mbv3_op(ef=4, n=24, k=3, s=2),
            mbv3_op(ef=3, n=24, k=3),
            block_se(ef=3, n=40, k=k, s=2),
            *[block_se(ef=3, n=40, k=k)] * 2,
            mbv3_op(ef=6, n=80, k=3, s=2, act=act),
            mbv3_op(ef=2.5, n=80, k=3, act=act),
            *[mbv3_op(ef=184 / 80, n=80, k=3, act=act)] * 2,
            *[block_se(ef=6, n=112, k=3, act=act)] * 2,
            block_se(ef=6, n=160, k=k, s=2, act=act),
            *[block_se(ef=6, n=160, k=k, act=act)] * 2,
            *_head(960, 1280, act),
        ],
    }


def _small(large_kernel: int, act: Function, block_se: Callable[..., lib.Op]) -> lib.Definition:
    """Table 2, with what the minimalistic network has otherwise."""
    k = large_kernel
    return {
        "defaults": DEFAULTS,
        "spec": [
            op(conv2d, stride=2, num_outputs=16, kernel_size=(3, 3), activation_fn=act),
            block_se(ef=1, n=16, k=3, s=2),
            mbv3_op(ef=72 / 16, n=24, k=3, s=2),
            mbv3_op(ef=88 / 24, n=24, k=3),
            block_se(ef=4, n=40, k=k, s=2, act=act),
            *[block_se(ef=6, n=40, k=k, act=act)] * 2,
            *[block_se(ef=3, n=48, k=k, act=act)] * 2,
            block_se(ef=6, n=96, k=k, s=2, act=act),
            *[block_se(ef=6, n=96, k=k, act=act)] * 2,
            *_head(576, 1024, act),
        ],
    }


def _head(before_pooling: int, after_pooling: int, act: Function) -> list[lib.Op]:
    return [
        op(conv2d, stride=1, kernel_size=[1, 1], num_outputs=before_pooling, activation_fn=act),
        op(reduce_to_1x1, default_size=7, stride=1, padding="VALID"),
        op(
            conv2d,
            stride=1,
            kernel_size=[1, 1],
            num_outputs=after_pooling,
            normalizer_fn=None,
            activation_fn=act,
        ),
    ]


V3_LARGE: lib.Definition = _large(5, hard_swish, mbv3_op_se)
V3_SMALL: lib.Definition = _small(5, hard_swish, mbv3_op_se)
# Without squeeze and excitation, hard swish and 5x5 convolutions, which some hardware is slow at.
V3_LARGE_MINIMALISTIC: lib.Definition = _large(3, jax.nn.relu, mbv3_op)
V3_SMALL_MINIMALISTIC: lib.Definition = _small(3, jax.nn.relu, mbv3_op)
# With full convolutions in place of depthwise ones in the early layers.
V3_EDGETPU: lib.Definition = {
    "defaults": DEFAULTS,
    "spec": [
        op(conv2d, stride=2, num_outputs=32, kernel_size=(3, 3)),
        mbv3_fused(ef=1, n=16, k=3),
        mbv3_fused(ef=8, n=32, k=3, s=2),
        *[mbv3_fused(ef=4, n=32, k=3)] * 3,
        mbv3_fused(ef=8, n=48, k=3, s=2),
        *[mbv3_fused(ef=4, n=48, k=3)] * 3,
        mbv3_op(ef=8, n=96, k=3, s=2),
        *[mbv3_op(ef=4, n=96, k=3)] * 3,
        mbv3_op(ef=8, n=96, k=3, residual=False),
        *[mbv3_op(ef=4, n=96, k=3)] * 3,
        mbv3_op(ef=8, n=160, k=5, s=2),
        *[mbv3_op(ef=4, n=160, k=5)] * 3,
        mbv3_op(ef=8, n=192, k=3),
        op(conv2d, stride=1, num_outputs=1280, kernel_size=(1, 1)),
    ],
}


def _half_as_wide(conv_defs: lib.ConvDefs, layers: slice) -> lib.Definition:
    """Without what detection has no use for in the last layers (section 6.3 of the paper)."""
    spec = list(conv_defs["spec"])
    spec[layers] = [
        layer._replace(params={**layer.params, "num_outputs": layer.params["num_outputs"] // 2})
        for layer in spec[layers]
    ]
    return {**conv_defs, "spec": spec}


V3_LARGE_DETECTION = _half_as_wide(V3_LARGE, slice(13, 17))
V3_SMALL_DETECTION = _half_as_wide(V3_SMALL, slice(9, 13))


@with_image_size(224)
@add_arg_scope
@described(lib.mobilenet)
def mobilenet(
    input_tensor: jax.Array,
    num_classes: int | None = 1001,
    depth_multiplier: float = 1.0,
    scope: str | VariableScope | None = "MobilenetV3",
    conv_defs: lib.ConvDefs | None = None,
    finegrain_classification_mode: bool = False,
    use_groupnorm: bool = False,
    *,
    groups: int = 8,
    **kwargs: Any,
) -> tuple[jax.Array, EndPoints]:
    """The layers of a definition of MobileNet V3, and a linear classifier.

    It is built for inference, unless `training_scope` or `is_training` say otherwise.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`; with V3's own definitions square
        ones, or of 193 pixels and more in height and width.
      depth_multiplier: What the numbers of channels are multiplied by, above 0.
      conv_defs: The definition: `V3_LARGE` (the default), `V3_SMALL`, `V3_LARGE_MINIMALISTIC`,
        `V3_SMALL_MINIMALISTIC`, `V3_EDGETPU`, those for detectors, or one of your own as described
        in `slim.nets.mobilenet`.
      finegrain_classification_mode: Whether the multiplier leaves the last layer as it is.
      use_groupnorm: Whether to normalize by groups of channels in place of the batch.
      groups: How many groups those are.
      **kwargs: Further arguments of `slim.nets.mobilenet.mobilenet`: `prediction_fn`, `reuse`,
        `base_only`, `use_reduce_mean_for_pooling`, `final_endpoint`, `output_stride`,
        `use_explicit_padding`, `is_training`.

    Returns:
      The logits, `[batch, num_classes]`, the features, `[batch, 1, 1, channels]`, or the map of
      the last layer; and the end points layer_1 and so on (19 of the large, 15 of the small
      network, 24 for the Edge TPU), layer_2/depthwise_output and so on, global_pool, Logits,
      Predictions as a dict.

    Raises:
      TypeError: There is no such argument.
      ValueError: The images are not a batch, or neither square nor large enough; an argument is
        not one of the above.
    """
    lib.refuse_multiplier("mobilenet_v3", kwargs)
    conv_defs = V3_LARGE if conv_defs is None else conv_defs
    if use_groupnorm:
        conv_defs = {**conv_defs, "defaults": _defaults(group_norm, groups=groups)}
    if finegrain_classification_mode:
        *layers, last = conv_defs["spec"]
        last = last._replace(multiplier_func=lambda params, multiplier: None)
        conv_defs = {**conv_defs, "spec": [*layers, last]}
    return lib.mobilenet(
        input_tensor,
        num_classes=num_classes,
        conv_defs=conv_defs,
        scope=scope,
        multiplier=depth_multiplier,
        **kwargs,
    )


@add_arg_scope
def mobilenet_base(
    input_tensor: jax.Array, depth_multiplier: float = 1.0, **kwargs: Any
) -> tuple[jax.Array, EndPoints]:
    """MobileNet V3 without its classifier.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`.
      depth_multiplier: What the numbers of channels are multiplied by, above 0.
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
# As in the weights that were published for this multiplier, the last layer is not reduced.
_THREE_QUARTERS = {"depth_multiplier": 0.75, "finegrain_classification_mode": True}
large_075 = variant(large, "large_075", **_THREE_QUARTERS)
small_075 = variant(small, "small_075", **_THREE_QUARTERS)
large_123 = variant(large, "large_123", depth_multiplier=1.23)
edge_tpu = variant(mobilenet, "edge_tpu", conv_defs=V3_EDGETPU, scope="MobilenetEdgeTPU")
edge_tpu_075 = variant(edge_tpu, "edge_tpu_075", **_THREE_QUARTERS)
