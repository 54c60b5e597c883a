"""MobileNet V1: separable convolutions with normalization between their two halves.

    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        logits, end_points = mobilenet_v1.mobilenet_v1(images)

Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications"
(2017), https://arxiv.org/abs/1704.04861, table 1.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import batch_norm, conv2d, dropout, separable_conv2d, softmax
from jslim.nets._common import (
    EndPoints,
    Head,
    check_images,
    described,
    fixed_padding,
    network_scope,
    variant,
    with_image_size,
)
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


MOBILENETV1_CONV_DEFS: list[Conv | DepthSepConv] = [
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
    normalizer_fn: Callable[..., jax.Array] | None = batch_norm,
) -> ArgScope:
    """The defaults that MobileNet V1 was made with: batch normalization, ReLU6, L2 on weights.

    Args:
      is_training: Of batch normalization; None leaves it as it is. The network sets its own.
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      stddev: Standard deviation of the initial weights.
      regularize_depthwise: Whether the penalty is on depthwise kernels too.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      batch_norm_updates_collections: As for `batch_norm`.
      normalizer_fn: What follows each convolution.

    Returns:
      A scope for `slim.arg_scope`.
    """
    params: dict[str, Any] = {
        "center": True,
        "scale": True,
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
    }
    if is_training is not None:
        params["is_training"] = is_training
    regularizer = l2_regularizer(weight_decay)
    with (
        arg_scope(
            [conv2d, separable_conv2d],
            weights_initializer=truncated_normal_initializer(stddev=stddev),
            activation_fn=jax.nn.relu6,
            normalizer_fn=normalizer_fn,
        ),
        arg_scope([batch_norm], **params),
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
    conv_defs: Sequence[Conv | DepthSepConv] | None = None,
    output_stride: int | None = None,
    use_explicit_padding: bool = False,
    scope: str | VariableScope | None = None,
) -> tuple[jax.Array, EndPoints]:
    """MobileNet V1 without its classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, of any size.
      final_endpoint: The end point to stop at: Conv2d_0, Conv2d_1_depthwise, Conv2d_1_pointwise
        and so on.
      min_depth: The least number of channels of a layer.
      depth_multiplier: What the numbers of channels are multiplied by, above 0.
      conv_defs: The layers; default those of the paper.
      output_stride: How many times smaller than the images the map is at most: 8, 16 or 32.
        Later layers are dilated in place of strided. None for what the strides come to.
      use_explicit_padding: Whether what a layer pads depends on its kernel alone, and not on the
        size of the map.
      scope: The variable scope, default `MobilenetV1`.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict.

    Raises:
      ValueError: There is no such end point; the multiplier or `output_stride` is not one of the
        above; a layer of `conv_defs` is not a `Conv` or `DepthSepConv`.
    """
    where = "mobilenet_v1_base"
    checks.number(where, "depth_multiplier", depth_multiplier, above=0)
    if output_stride not in (None, 8, 16, 32):
        raise ValueError(f"{where}: output_stride must be None, 8, 16 or 32, got {output_stride}")
    layers = conv_defs or MOBILENETV1_CONV_DEFS
    names = [name for index, layer in enumerate(layers) for name in _names(where, index, layer)]
    checks.known(where, "end point", final_endpoint, names)

    def padding(kernel: Sequence[int], rate: int = 1) -> str | list[tuple[int, int]]:
        return fixed_padding(kernel, rate) if use_explicit_padding else "SAME"

    net = inputs
    end_points: EndPoints = {}
    current, rate = 1, 1
    with variable_scope(scope, "MobilenetV1"):
        for index, layer in enumerate(layers):
            depth = max(int(layer.depth * depth_multiplier), min_depth)
            stride, layer_rate = layer.stride, 1
            if output_stride is not None and current == output_stride:
                stride, layer_rate = 1, rate
                rate *= layer.stride
            else:
                current *= layer.stride
            for name in _names(where, index, layer):
                if isinstance(layer, Conv):
                    net = conv2d(
                        net,
                        depth,
                        layer.kernel,
                        stride=layer.stride,
                        padding=padding(layer.kernel),
                        scope=name,
                    )
                elif name.endswith("_depthwise"):
                    net = separable_conv2d(
                        net,
                        None,
                        layer.kernel,
                        depth_multiplier=1,
                        stride=stride,
                        rate=layer_rate,
                        padding=padding(layer.kernel, layer_rate),
                        scope=name,
                    )
                else:
                    net = conv2d(net, depth, [1, 1], stride=1, padding="SAME", scope=name)
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


@with_image_size(224)
@described(mobilenet_v1_base)
def mobilenet_v1(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    dropout_keep_prob: float = 0.999,
    is_training: bool = True,
    min_depth: int = 8,
    depth_multiplier: float = 1.0,
    conv_defs: Sequence[Conv | DepthSepConv] | None = None,
    prediction_fn: Callable[..., jax.Array] | None = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: str | VariableScope | None = "MobilenetV1",
    global_pool: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """A convolution, thirteen separable ones, and a linear classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, of any size; up to 224 give one
        prediction an image.
      num_classes: How many logits to give; None or 0 for the pooled features.
      conv_defs: The layers; default those of the paper. They must end in 'Conv2d_13_pointwise'.
      prediction_fn: Makes the end point 'Predictions' of `(logits, scope='Predictions')`; None
        for none.
      scope: The variable scope.
      global_pool: Whether to average over the whole map and not over windows of 7x7, so that
        images of any size give one prediction.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, channels]`; and the end
      points of `mobilenet_v1_base`, AvgPool_1a or global_pool, Logits, Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too large to squeeze; what `mobilenet_v1_base`
        raises.
    """
    check_images(inputs, "mobilenet_v1", 1)
    head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob, prediction_fn)
    with network_scope(scope, "MobilenetV1", reuse, is_training) as opened:
        net, end_points = mobilenet_v1_base(
            inputs,
            scope=opened,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            conv_defs=conv_defs,
        )
        with variable_scope("Logits"):
            window = [min(side, 7) for side in net.shape[1:3]]
            net = head.pool(net, end_points, "AvgPool_1a", window, scope="AvgPool_1a")
            if not num_classes:
                return net, end_points
            net = dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            logits = head.logits(net, opened.name, "Conv2d_1c_1x1")
        return head.predict(logits, end_points)


mobilenet_v1_075 = variant(mobilenet_v1, "mobilenet_v1_075", depth_multiplier=0.75)
mobilenet_v1_050 = variant(mobilenet_v1, "mobilenet_v1_050", depth_multiplier=0.50)
mobilenet_v1_025 = variant(mobilenet_v1, "mobilenet_v1_025", depth_multiplier=0.25)
