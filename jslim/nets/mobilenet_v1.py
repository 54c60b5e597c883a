"""MobileNet V1: depthwise and 1x1 convolutions, each with batch normalization.

    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        logits, end_points = mobilenet_v1.mobilenet_v1(images)

Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications"
(2017), https://arxiv.org/abs/1704.04861, table 1.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import batch_norm, conv2d, separable_conv2d, softmax
from jslim.nets import _common
from jslim.nets._common import Function, Head, Outputs, Scope, variant
from jslim.regularizers import l2_regularizer


class Conv(NamedTuple):
    """A convolution."""

    kernel: Sequence[int]
    stride: int
    depth: int


class DepthSepConv(NamedTuple):
    """A depthwise convolution and a 1x1 one, each with normalization and activation."""

    kernel: Sequence[int]
    stride: int
    depth: int


# The layers of a network, in order.
ConvDefs = Sequence[Conv | DepthSepConv]
# The layers of the paper.
MOBILENETV1_CONV_DEFS: ConvDefs = [
    Conv([3, 3], 2, 32),
    DepthSepConv([3, 3], 1, 64),
    DepthSepConv([3, 3], 2, 128),
    DepthSepConv([3, 3], 1, 128),
    DepthSepConv([3, 3], 2, 256),
    DepthSepConv([3, 3], 1, 256),
    DepthSepConv([3, 3], 2, 512),
    *[DepthSepConv([3, 3], 1, 512)] * 5,
    DepthSepConv([3, 3], 2, 1024),
    DepthSepConv([3, 3], 1, 1024),
]


def mobilenet_v1_arg_scope(
    is_training: bool | None = True,
    weight_decay: float = 0.00004,
    stddev: float = 0.09,
    regularize_depthwise: bool = False,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    batch_norm_updates_collections: str | None = "update_ops",
    normalizer_fn: Function | None = batch_norm,
) -> ArgScope:
    """The defaults of MobileNet V1: batch normalization, ReLU6, L2 on weights.

    Args:
      is_training: Mode of batch normalization; None leaves it as it is. The network sets its own.
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      stddev: Standard deviation of the initial weights.
      regularize_depthwise: Whether the penalty applies to depthwise kernels too.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      batch_norm_updates_collections: As for `batch_norm`.
      normalizer_fn: Normalizer of each convolution.

    Returns:
      A scope for `slim.arg_scope`.
    """
    regularizer = l2_regularizer(weight_decay)
    with (
        arg_scope(
            [conv2d, separable_conv2d],
            weights_initializer=truncated_normal_initializer(stddev=stddev),
            activation_fn=jax.nn.relu6,
            normalizer_fn=normalizer_fn,
        ),
        arg_scope(
            [batch_norm],
            center=True,
            scale=True,
            decay=batch_norm_decay,
            epsilon=batch_norm_epsilon,
            updates_collections=batch_norm_updates_collections,
        ),
        _common.safe_arg_scope([batch_norm], is_training=is_training),
        arg_scope([conv2d], weights_regularizer=regularizer),
        arg_scope(
            [separable_conv2d], weights_regularizer=regularizer if regularize_depthwise else None
        ) as scope,
    ):
        return scope


def mobilenet_v1_base(
    inputs: jax.Array,
    final_endpoint: str = "Conv2d_13_pointwise",
    min_depth: int = 8,
    depth_multiplier: float = 1.0,
    conv_defs: ConvDefs | None = None,
    output_stride: int | None = None,
    use_explicit_padding: bool = False,
    scope: Scope = None,
) -> Outputs:
    """MobileNet V1 without its classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, of any size.
      final_endpoint: The end point to stop at: Conv2d_0, Conv2d_1_depthwise, Conv2d_1_pointwise
        and so on.
      min_depth: The least number of channels of a layer.
      depth_multiplier: Factor of all numbers of channels, above 0.
      conv_defs: The layers, by default those of the paper.
      output_stride: The largest ratio of the sizes of images and map: 8, 16 or 32. Layers that
        would exceed it are dilated instead of strided. None for the product of all strides.
      use_explicit_padding: Whether padding depends on the kernel only, not on the size of the map.
      scope: The variable scope, default `MobilenetV1`.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict.

    Raises:
      ValueError: The end point is unknown; the multiplier or `output_stride` has another value than
        above; a layer of `conv_defs` is neither a `Conv` nor a `DepthSepConv`.
    """
    where = "mobilenet_v1_base"
    checks.number(where, "depth_multiplier", depth_multiplier, above=0)
    checks.one_of(where, "output_stride", output_stride, (None, 8, 16, 32))
    layers = conv_defs or MOBILENETV1_CONV_DEFS
    names = [_names(where, index, layer) for index, layer in enumerate(layers)]
    checks.known(where, "end point", final_endpoint, list(itertools.chain(*names)))

    def padding(kernel: Sequence[int], rate: int = 1) -> str | list[tuple[int, int]]:
        return _common.fixed_padding(kernel, rate) if use_explicit_padding else "SAME"

    net, end_points = inputs, {}
    steps = _common.strides_and_rates((layer.stride for layer in layers), output_stride)
    with variable_scope(scope, "MobilenetV1"):
        for layer, of_layer, (stride, rate) in zip(layers, names, steps, strict=True):
            kernel, depth = layer.kernel, max(int(layer.depth * depth_multiplier), min_depth)
            for name in of_layer:
                if name.endswith("_depthwise"):
                    pads = padding(kernel, rate)
                    net = separable_conv2d(
                        net, None, kernel, 1, stride, pads, rate=rate, scope=name
                    )
                elif name.endswith("_pointwise"):
                    net = conv2d(net, depth, [1, 1], scope=name)
                else:
                    net = conv2d(net, depth, kernel, layer.stride, padding(kernel), scope=name)
                end_points[name] = net
                if name == final_endpoint:
                    return net, end_points
    return net, end_points


def _names(where: str, index: int, layer: Conv | DepthSepConv) -> list[str]:
    """The end points of a layer."""
    if isinstance(layer, Conv):
        return [f"Conv2d_{index}"]
    if isinstance(layer, DepthSepConv):
        return [f"Conv2d_{index}_depthwise", f"Conv2d_{index}_pointwise"]
    raise ValueError(
        f"{where}: each of conv_defs must be a Conv or a DepthSepConv, got {layer!r} at {index}"
    )


@_common.with_image_size(224, mobilenet_v1_base)
def mobilenet_v1(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    dropout_keep_prob: float = 0.999,
    is_training: bool = True,
    min_depth: int = 8,
    depth_multiplier: float = 1.0,
    conv_defs: ConvDefs | None = None,
    prediction_fn: Function | None = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: Scope = "MobilenetV1",
    global_pool: bool = False,
) -> Outputs:
    """A convolution, thirteen separable ones, and a linear classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, of any size; up to 224x224 pixels give one
        prediction per image.
      num_classes: Number of logits; None or 0 for the pooled features.
      conv_defs: The layers, by default those of the paper. The last must be 'Conv2d_13_pointwise'.
      prediction_fn: Called as `prediction_fn(logits, scope='Predictions')`; its result is the end
        point 'Predictions'. None for no such end point.
      scope: The variable scope.
      global_pool: Whether to average over the whole map instead of windows of 7x7, so that images
        of any size give one prediction.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, channels]`; and the end
      points of `mobilenet_v1_base`, AvgPool_1a or global_pool, Logits, Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too large to squeeze; or as `mobilenet_v1_base`.
    """
    _common.check_images(inputs, "mobilenet_v1", 1)
    head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob, prediction_fn)
    with _common.network_scope(scope, "MobilenetV1", reuse, is_training) as opened:
        net, end_points = mobilenet_v1_base(
            inputs,
            scope=opened,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            conv_defs=conv_defs,
        )
        layers = ("AvgPool_1a", "Dropout_1b", "Conv2d_1c_1x1")
        return head.classify(net, end_points, opened.name, 7, layers)


mobilenet_v1_075 = variant(mobilenet_v1, "mobilenet_v1_075", depth_multiplier=0.75)
mobilenet_v1_050 = variant(mobilenet_v1, "mobilenet_v1_050", depth_multiplier=0.50)
mobilenet_v1_025 = variant(mobilenet_v1, "mobilenet_v1_025", depth_multiplier=0.25)
