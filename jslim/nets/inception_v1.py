"""Inception V1, also called GoogLeNet.

    with slim.arg_scope(inception_v1.inception_v1_arg_scope()):
        logits, end_points = inception_v1.inception_v1(images)

Szegedy et al., "Going deeper with convolutions" (2014), https://arxiv.org/abs/1409.4842, table 1;
with batch normalization, without its auxiliary classifiers, and as in TF-Slim with 3x3 in place
of its 5x5 convolutions.
"""

from collections.abc import Callable

import jax

from jslim.core.arg_scope import arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import conv2d, dropout, fully_connected, softmax
from jslim.nets._common import (
    EndPoints,
    Head,
    check_images,
    described,
    network_scope,
    with_image_size,
)
from jslim.nets.inception_utils import (
    Part,
    build,
    conv,
    inception_arg_scope,
    max_pool,
    mixed,
    without,
)

inception_v1_arg_scope = inception_arg_scope


def _module(
    d0: int, d1: tuple[int, int], d2: tuple[int, int], pooled: int, last: str | None = None
) -> Part:
    """A module by its row in the paper's table; `last` names the last layer of branch 2."""
    return mixed(
        [conv(d0, 1)],
        [conv(d1[0], 1), conv(d1[1], 3)],
        [conv(d2[0], 1), conv(d2[1], 3, scope=last)],
        [max_pool(3), conv(pooled, 1)],
    )


_ROOT: dict[str, Part] = {
    "Conv2d_1a_7x7": conv(64, 7, stride=2),
    "MaxPool_2a_3x3": max_pool(3, stride=2),
    "Conv2d_2b_1x1": conv(64, 1),
    "Conv2d_2c_3x3": conv(192, 3),
    "MaxPool_3a_3x3": max_pool(3, stride=2),
}
_PARTS: dict[str, Part] = {
    **_ROOT,
    "Mixed_3b": _module(64, (96, 128), (16, 32), 32),
    "Mixed_3c": _module(128, (128, 192), (32, 96), 64),
    "MaxPool_4a_3x3": max_pool(3, stride=2),
    "Mixed_4b": _module(192, (96, 208), (16, 48), 64),
    "Mixed_4c": _module(160, (112, 224), (24, 64), 64),
    "Mixed_4d": _module(128, (128, 256), (24, 64), 64),
    "Mixed_4e": _module(112, (144, 288), (32, 64), 64),
    "Mixed_4f": _module(256, (160, 320), (32, 128), 128),
    "MaxPool_5a_2x2": max_pool(2, stride=2),
    # The name that its variables have in every checkpoint.
    "Mixed_5b": _module(256, (160, 320), (32, 128), 128, last="Conv2d_0a_3x3"),
    "Mixed_5c": _module(384, (192, 384), (48, 128), 128),
}


@described()
def inception_v1_base(
    inputs: jax.Array,
    final_endpoint: str = "Mixed_5c",
    include_root_block: bool = True,
    scope: str | VariableScope | None = "InceptionV1",
) -> tuple[jax.Array, EndPoints]:
    """Inception V1 without its classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, or what the first module takes.
      final_endpoint: The end point to stop at: Conv2d_1a_7x7, MaxPool_2a_3x3, Conv2d_2b_1x1,
        Conv2d_2c_3x3, MaxPool_3a_3x3, Mixed_3b, Mixed_3c, MaxPool_4a_3x3, Mixed_4b to Mixed_4f,
        MaxPool_5a_2x2, Mixed_5b or Mixed_5c.
      include_root_block: Whether to begin with the five layers before Mixed_3b.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. At Mixed_5c the map
      is a 32nd of the images' height and width, rounded up, with 1024 channels.

    Raises:
      ValueError: There is no such end point, or `inputs` are not a batch of images.
    """
    parts = _PARTS if include_root_block else without(_PARTS, _ROOT)
    with (
        variable_scope(scope, "InceptionV1"),
        arg_scope(
            [conv2d, fully_connected],
            weights_initializer=truncated_normal_initializer(stddev=0.01),
        ),
    ):
        return build("inception_v1_base", inputs, parts, final_endpoint)


@with_image_size(224)
@described(inception_v1_base)
def inception_v1(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    prediction_fn: Callable[..., jax.Array] = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: str = "InceptionV1",
    global_pool: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """Nine modules of convolutions of several sizes side by side, and a linear classifier.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 193x193 pixels or more; 193 to 224 give
        one prediction an image.
      num_classes: How many logits to give; None or 0 for the pooled features.
      global_pool: Whether to average over the whole map and not over windows of 7x7, so that
        images of any size give one prediction.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, 1024]`; and the end
      points of `inception_v1_base`, AvgPool_0a_7x7 or global_pool, Logits, Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, too small, or too large to squeeze.
    """
    check_images(inputs, "inception_v1", 1 if global_pool else 193, ", or pass global_pool=True")
    head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob, prediction_fn)
    with network_scope(scope, "InceptionV1", reuse, is_training) as opened:
        net, end_points = inception_v1_base(inputs, scope=opened)
        with variable_scope("Logits"):
            name = "AvgPool_0a_7x7"
            net = head.pool(net, end_points, name, (7, 7), stride=1, scope=name)
            if not num_classes:
                return net, end_points
            net = dropout(net, dropout_keep_prob, scope="Dropout_0b")
            return head.predict(head.logits(net, opened.name, "Conv2d_0c_1x1"), end_points)
