"""MobileNet V2: inverted residual blocks with linear bottlenecks.

    with slim.arg_scope(mobilenet_v2.training_scope()):
        logits, end_points = mobilenet_v2.mobilenet(images)

Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks" (2018),
https://arxiv.org/abs/1801.04381, table 2.
"""

import functools
from collections.abc import Iterable
from typing import Any

import jax

from jslim.core.arg_scope import add_arg_scope, arg_scope
from jslim.layers import batch_norm, conv2d, group_norm, separable_conv2d
from jslim.nets import mobilenet as lib
from jslim.nets._common import Activation, Function, Outputs, Scope, variant, with_image_size
from jslim.nets.conv_blocks import expand_input_by_factor, expanded_conv
from jslim.nets.mobilenet import op

training_scope = lib.training_scope


def _blocks(rows: Iterable[tuple[int, int, int]]) -> list[lib.Op]:
    """The rows of the paper's table: channels, repetitions, stride of the first."""
    return [
        op(expanded_conv, stride=stride if i == 0 else 1, num_outputs=depth)
        for depth, repetitions, stride in rows
        for i in range(repetitions)
    ]


def _defaults(normalizer_fn: Function) -> lib.Defaults:
    return {
        lib.LAYERS: {"normalizer_fn": normalizer_fn, "activation_fn": jax.nn.relu6},
        (expanded_conv,): {
            "expansion_size": expand_input_by_factor(6),
            "split_expansion": 1,
            "normalizer_fn": normalizer_fn,
            "residual": True,
        },
        (conv2d, separable_conv2d): {"padding": "SAME"},
    }


_ROWS = ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
# The network of the paper.
V2_DEF: lib.Definition = {
    "defaults": {(batch_norm,): {"center": True, "scale": True}, **_defaults(batch_norm)},
    "spec": [
        op(conv2d, stride=2, num_outputs=32, kernel_size=[3, 3]),
        op(expanded_conv, expansion_size=expand_input_by_factor(1, 1), num_outputs=16),
        *_blocks(_ROWS),
        op(conv2d, num_outputs=1280, kernel_size=[1, 1]),
    ],
}
# The same with group normalization.
V2_DEF_GROUP_NORM: lib.Definition = {**V2_DEF, "defaults": _defaults(group_norm)}


@with_image_size(224, lib.mobilenet)
@add_arg_scope
def mobilenet(
    input_tensor: jax.Array,
    num_classes: int | None = 1001,
    depth_multiplier: float = 1.0,
    scope: Scope = "MobilenetV2",
    conv_defs: lib.ConvDefs | None = None,
    finegrain_classification_mode: bool = False,
    min_depth: int | None = None,
    divisible_by: int | None = None,
    activation_fn: Activation = None,
    **kwargs: Any,
) -> Outputs:
    """A convolution, seventeen inverted residual blocks, a convolution and a linear classifier.

    The default mode is inference; `training_scope` or `is_training` change it.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`, of any size.
      depth_multiplier: Factor of all numbers of channels, above 0.
      conv_defs: The definition, described in `slim.nets.mobilenet`; default `V2_DEF`.
      finegrain_classification_mode: Whether a multiplier below 1 does not change the last layer.
      min_depth: The least number of channels of a layer, default 8.
      divisible_by: Numbers of channels are rounded to multiples of it, default 8.
      activation_fn: Replaces ReLU6.
      **kwargs: Further arguments of `slim.nets.mobilenet.mobilenet`: `prediction_fn`, `reuse`,
        `base_only`, `use_reduce_mean_for_pooling`, `final_endpoint`, `output_stride`,
        `use_explicit_padding`, `is_training`.

    Returns:
      The logits, `[batch, num_classes]`, the features, `[batch, 1, 1, 1280]`, or the map of the
      last layer; and the end points layer_1 to layer_19, layer_2/depthwise_output and so on,
      global_pool, Logits, Predictions as a dict.

    Raises:
      TypeError: An argument is unknown.
      ValueError: The images are not a batch; an argument has another value than above.
    """
    lib.refuse_multiplier("mobilenet_v2", kwargs)
    conv_defs = V2_DEF if conv_defs is None else conv_defs
    if finegrain_classification_mode and depth_multiplier < 1:
        *layers, last = conv_defs["spec"]
        depth = last.params["num_outputs"] / depth_multiplier
        last = last._replace(params={**last.params, "num_outputs": depth})
        conv_defs = {**conv_defs, "spec": [*layers, last]}
    if activation_fn is not None:
        defaults = dict(conv_defs.get("defaults", {}))
        defaults[lib.LAYERS] = {**defaults.get(lib.LAYERS, {}), "activation_fn": activation_fn}
        conv_defs = {**conv_defs, "defaults": defaults}
    with lib.safe_arg_scope([lib.depth_multiplier], min_depth=min_depth, divisible_by=divisible_by):
        kwargs |= {"conv_defs": conv_defs, "multiplier": depth_multiplier}
        return lib.mobilenet(input_tensor, num_classes, scope=scope, **kwargs)


mobilenet_v2_140 = variant(mobilenet, "mobilenet_v2_140", depth_multiplier=1.4)
_fine = functools.partial(variant, mobilenet, finegrain_classification_mode=True)
mobilenet_v2_050 = _fine("mobilenet_v2_050", depth_multiplier=0.50)
mobilenet_v2_035 = _fine("mobilenet_v2_035", depth_multiplier=0.35)


@add_arg_scope
def mobilenet_base(
    input_tensor: jax.Array, depth_multiplier: float = 1.0, **kwargs: Any
) -> Outputs:
    """MobileNet V2 without its classifier.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`, of any size.
      depth_multiplier: Factor of all numbers of channels, above 0.
      **kwargs: Further arguments of `mobilenet`.

    Returns:
      The map of the last layer, a 32nd of the images' height and width, rounded up, with 1280
      channels; and the end points layer_1 to layer_19 and layer_2/depthwise_output and so on.

    Raises:
      TypeError, ValueError: As `mobilenet`.
    """
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


@add_arg_scope
def mobilenet_base_group_norm(
    input_tensor: jax.Array, depth_multiplier: float = 1.0, groups: int = 8, **kwargs: Any
) -> Outputs:
    """`mobilenet_base` with group normalization instead of batch normalization.

    Args:
      input_tensor: Images, `[batch, height, width, channels]`, of any size.
      depth_multiplier: Factor of all numbers of channels, above 0.
      groups: Number of groups of channels.
      **kwargs: Further arguments of `mobilenet`.

    Returns:
      The same as `mobilenet_base`.

    Raises:
      TypeError, ValueError: As `mobilenet`.
    """
    with arg_scope([group_norm], groups=groups):
        return mobilenet_base(input_tensor, depth_multiplier, conv_defs=V2_DEF_GROUP_NORM, **kwargs)
