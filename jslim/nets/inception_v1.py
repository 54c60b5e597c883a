"""Inception V1, also called GoogLeNet.

    with slim.arg_scope(inception_v1.inception_v1_arg_scope()):
        logits, end_points = inception_v1.inception_v1(images)

Szegedy et al., "Going deeper with convolutions" (2014), https://arxiv.org/abs/1409.4842, table 1;
with batch normalization and without auxiliary classifiers. As in TF-Slim, the 5x5 convolutions are
3x3.
"""

import jax

from jslim.core.arg_scope import arg_scope
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import conv2d, fully_connected, softmax
from jslim.nets import _common, inception_utils
from jslim.nets._common import Function, Head, Outputs, Scope
from jslim.nets.inception_utils import Part, conv, max_pool, mixed

inception_v1_arg_scope = inception_utils.inception_arg_scope


# The filters of each module, as in the paper's table: of branch 0, of the two convolutions of
# branch 1 and of branch 2, and of branch 3.
MODULES = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def _modules(prefix: str) -> dict[str, Part]:
    return {name: _module(name) for name in MODULES if name.startswith(prefix)}


def _module(name: str) -> Part:
    d0, reduce1, d1, reduce2, d2, pooled = MODULES[name]
    # This layer has an irregular name in every checkpoint.
    last = "Conv2d_0a_3x3" if name == "Mixed_5b" else None
    return mixed(
        [conv(d0, 1)],
        [conv(reduce1, 1), conv(d1, 3)],
        [conv(reduce2, 1), conv(d2, 3, scope=last)],
        [max_pool(3), conv(pooled, 1)],
    )


_ROOT: dict[str, Part] = {
    "Conv2d_1a_7x7": conv(64, 7, stride=2),
    "MaxPool_2a_3x3": max_pool(3, stride=2),
    "Conv2d_2b_1x1": conv(64, 1),
    "Conv2d_2c_3x3": conv(192, 3),
    "MaxPool_3a_3x3": max_pool(3, stride=2),
}
# The parts of the network by end point, in order.
PARTS: dict[str, Part] = {
    **_ROOT,
    **_modules("Mixed_3"),
    "MaxPool_4a_3x3": max_pool(3, stride=2),
    **_modules("Mixed_4"),
    "MaxPool_5a_2x2": max_pool(2, stride=2),
    **_modules("Mixed_5"),
}


@_common.described()
def inception_v1_base(
    inputs: jax.Array,
    final_endpoint: str = "Mixed_5c",
    include_root_block: bool = True,
    scope: Scope = "InceptionV1",
) -> Outputs:
    """Inception V1 without its classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, or without root block the inputs of the
        first module.
      final_endpoint: The end point to stop at: Conv2d_1a_7x7, MaxPool_2a_3x3, Conv2d_2b_1x1,
        Conv2d_2c_3x3, MaxPool_3a_3x3, Mixed_3b, Mixed_3c, MaxPool_4a_3x3, Mixed_4b to Mixed_4f,
        MaxPool_5a_2x2, Mixed_5b or Mixed_5c.
      include_root_block: Whether to begin with the five layers before Mixed_3b.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. At Mixed_5c the map
      is a 32nd of the images' height and width, rounded up, with 1024 channels.

    Raises:
      ValueError: The end point is unknown, or `inputs` are not a batch of images.
    """
    parts = PARTS if include_root_block else inception_utils.without(PARTS, _ROOT)
    with (
        variable_scope(scope, "InceptionV1"),
        arg_scope(
            [conv2d, fully_connected], weights_initializer=truncated_normal_initializer(stddev=0.01)
        ),
    ):
        return inception_utils.build("inception_v1_base", inputs, parts, final_endpoint)


@_common.with_image_size(224, inception_v1_base)
def inception_v1(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    prediction_fn: Function = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: str = "InceptionV1",
    global_pool: bool = False,
) -> Outputs:
    """Nine modules of convolutions of several sizes side by side, and a linear classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 193x193 pixels or more; up to 224x224
        give one prediction per image.
      num_classes: Number of logits; None or 0 for the pooled features.
      global_pool: Whether to average over the whole map instead of windows of 7x7, so that images
        of any size give one prediction.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, 1024]`; and the end
      points of `inception_v1_base`, AvgPool_0a_7x7 or global_pool, Logits, Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, too small, or too large to squeeze.
    """
    remedy = ", or pass global_pool=True"
    _common.check_images(inputs, "inception_v1", 1 if global_pool else 193, remedy)
    head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob, prediction_fn)
    with _common.network_scope(scope, "InceptionV1", reuse, is_training) as opened:
        net, end_points = inception_v1_base(inputs, scope=opened)
        layers = ("AvgPool_0a_7x7", "Dropout_0b", "Conv2d_0c_1x1")
        return head.classify(net, end_points, opened.name, 7, layers, stride=1)
