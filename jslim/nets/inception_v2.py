"""Inception V2: V1 with batch normalization and 3x3 convolutions only.

    with slim.arg_scope(inception_v2.inception_v2_arg_scope()):
        logits, end_points = inception_v2.inception_v2(images)

Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
covariate shift" (2015), https://arxiv.org/abs/1502.03167, figure 5.
"""

import jax

from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import separable_conv2d, softmax
from jslim.nets import _common, inception_utils
from jslim.nets._common import Function, Head, Outputs, Scope
from jslim.nets.inception_utils import Layer, Part, Variant, avg_pool, conv, max_pool, mixed

inception_v2_arg_scope = inception_utils.inception_arg_scope


def _separable_7x7(net: jax.Array, scope: str, variant: Variant) -> jax.Array:
    """The first layer. The arg_scope does not apply to it, so it has biases."""
    filters = variant.depth(64)
    normal = truncated_normal_initializer(stddev=1.0)
    multiplier = min(filters // 3, 8)
    return separable_conv2d(
        net, filters, [7, 7], multiplier, 2, weights_initializer=normal, scope=scope
    )


def _reduce(filters: int) -> Layer:
    return conv(filters, 1, stddev=0.09)


def _module(
    d0: int, d1: tuple[int, int], d2: tuple[int, int], pooled: int, pool: Layer | None = None
) -> Part:
    """A module by its row in the paper's table; `pool` is by default an average."""
    return mixed(
        [conv(d0, 1)],
        [_reduce(d1[0]), conv(d1[1], 3)],
        [_reduce(d2[0]), conv(d2[1], 3), conv(d2[1], 3)],
        [pool or avg_pool(3), conv(pooled, 1, stddev=0.1)],
    )


def _half(reduce0: int, d0: int, reduce1: int, d1: int) -> Part:
    """A module that halves the map, by its row in the table."""
    return mixed(
        [_reduce(reduce0), conv(d0, 3, stride=2)],
        [_reduce(reduce1), conv(d1, 3), conv(d1, 3, stride=2)],
        [max_pool(3, stride=2)],
    )


_ROOT: dict[str, Part] = {
    "Conv2d_1a_7x7": _separable_7x7,
    "MaxPool_2a_3x3": max_pool(3, stride=2),
    "Conv2d_2b_1x1": conv(64, 1, stddev=0.1),
    "Conv2d_2c_3x3": conv(192, 3),
    "MaxPool_3a_3x3": max_pool(3, stride=2),
}
_PARTS: dict[str, Part] = {
    **_ROOT,
    "Mixed_3b": _module(64, (64, 64), (64, 96), 32),
    "Mixed_3c": _module(64, (64, 96), (64, 96), 64),
    "Mixed_4a": _half(128, 160, 64, 96),
    "Mixed_4b": _module(224, (64, 96), (96, 128), 128),
    "Mixed_4c": _module(192, (96, 128), (96, 128), 128),
    "Mixed_4d": _module(160, (128, 160), (128, 160), 96),
    "Mixed_4e": _module(96, (128, 192), (160, 192), 96),
    "Mixed_5a": _half(128, 192, 192, 256),
    "Mixed_5b": _module(352, (192, 320), (160, 224), 128),
    "Mixed_5c": _module(352, (192, 320), (192, 224), 128, pool=max_pool(3)),
}
_PARTS_WITHOUT_SEPARABLE: dict[str, Part] = {
    **_PARTS,
    "Conv2d_1a_7x7": conv(64, 7, stride=2, stddev=1.0),
}


@_common.described()
def inception_v2_base(
    inputs: jax.Array,
    final_endpoint: str = "Mixed_5c",
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    use_separable_conv: bool = True,
    data_format: str = "NHWC",
    include_root_block: bool = True,
    scope: Scope = None,
) -> Outputs:
    """Inception V2 without its classifier.

    Differs from TF-Slim: NCHW is normalized by channel; TF-Slim normalizes it by column.

    Args:
      inputs: Images, `[batch, height, width, channels]`, or with channels second if NCHW; without
        root block the inputs of the first module.
      final_endpoint: The end point to stop at: Conv2d_1a_7x7, MaxPool_2a_3x3, Conv2d_2b_1x1,
        Conv2d_2c_3x3, MaxPool_3a_3x3, Mixed_3b, Mixed_3c, Mixed_4a to Mixed_4e or Mixed_5a to
        Mixed_5c.
      min_depth: The least number of filters of a convolution.
      depth_multiplier: Factor of all numbers of filters, above 0.
      use_separable_conv: Whether the first layer is a separable convolution, with biases and
        without batch normalization, or an ordinary one.
      data_format: 'NHWC', or 'NCHW' without separable convolution.
      include_root_block: Whether to begin with the five layers before Mixed_3b.
      scope: The variable scope, default `InceptionV2`, made unique.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. At Mixed_5c the map
      is a 32nd of the images' height and width, rounded up, with 1024 channels.

    Raises:
      ValueError: The end point is unknown; `depth_multiplier` is not positive; `data_format` is
        unknown, or NCHW with a separable convolution; `inputs` are not a batch of images.
    """
    if data_format == "NCHW" and use_separable_conv:
        raise ValueError(
            "inception_v2_base: the separable convolution takes data_format 'NHWC' only, got "
            "'NCHW'; pass use_separable_conv=False"
        )
    parts = _PARTS if use_separable_conv else _PARTS_WITHOUT_SEPARABLE
    if not include_root_block:
        parts = inception_utils.without(parts, _ROOT)
    with variable_scope(scope, "InceptionV2"):
        variant = Variant(depth_multiplier, min_depth, data_format)
        return inception_utils.build("inception_v2_base", inputs, parts, final_endpoint, variant)


@_common.with_image_size(224, inception_v2_base)
def inception_v2(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    prediction_fn: Function = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: str = "InceptionV2",
    global_pool: bool = False,
) -> Outputs:
    """Ten modules of convolutions of several sizes side by side, and a linear classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`; up to 256x256 pixels give one prediction
        per image.
      num_classes: Number of logits; None or 0 for the pooled features.
      global_pool: Whether to average over the whole map instead of windows of 7x7, so that images
        of any size give one prediction.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, 1024]`; and the end
      points of `inception_v2_base`, AvgPool_1a or global_pool, PreLogits, Logits, Predictions as
      a dict.

    Raises:
      ValueError: The images are not a batch, or too large to squeeze; `depth_multiplier` is not
        positive.
    """
    inception_utils.check_variant("inception_v2", Variant(depth_multiplier, min_depth))
    _common.check_images(inputs, "inception_v2", 1)
    head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob, prediction_fn)
    with _common.network_scope(scope, "InceptionV2", reuse, is_training) as opened:
        net, end_points = inception_v2_base(
            inputs, min_depth=min_depth, depth_multiplier=depth_multiplier, scope=opened
        )
        return head.classify(net, end_points, opened.name, 7, keeps_dropped=True)
