"""OverFeat, the fast one of its two networks, all of convolutions.

    with slim.arg_scope(overfeat.overfeat_arg_scope()):
        logits, end_points = overfeat.overfeat(images)

Sermanet et al., "OverFeat: integrated recognition, localization and detection using convolutional
networks" (2013), https://arxiv.org/abs/1312.6229, table 1.
"""

import jax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import (
    constant_initializer,
    truncated_normal_initializer,
    zeros_initializer,
)
from jslim.layers import conv2d, dropout, fully_connected, max_pool2d
from jslim.layers.utils import convert_collection_to_dict
from jslim.nets._common import (
    EndPoints,
    check_images,
    classify_by_convolution,
    with_image_size,
)
from jslim.regularizers import l2_regularizer


def overfeat_arg_scope(weight_decay: float = 0.0005) -> ArgScope:
    """The defaults that OverFeat was made with: L2 on all weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    with (
        arg_scope(
            [conv2d, fully_connected],
            activation_fn=jax.nn.relu,
            weights_regularizer=l2_regularizer(weight_decay),
            biases_initializer=zeros_initializer(),
        ),
        arg_scope([conv2d], padding="SAME"),
        arg_scope([max_pool2d], padding="VALID") as scope,
    ):
        return scope


@with_image_size(231)
def overfeat(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    is_training: bool = True,
    dropout_keep_prob: float = 0.5,
    spatial_squeeze: bool = True,
    scope: str = "overfeat",
    global_pool: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """Five convolutions with pooling, and three more in place of fully connected layers.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 231x231 pixels or more; 231 to 262
        give one prediction an image.
      num_classes: How many logits to give; None or 0 for the features `fc7`.
      is_training: Whether to drop features.
      dropout_keep_prob: The share of features that dropout keeps, in (0, 1].
      spatial_squeeze: Whether the logits lose their height and width, which then must be 1.
      scope: The variable scope.
      global_pool: Whether to average `fc7` over height and width, so that images of any size
        give one prediction. Not part of the paper.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, 4096]`; and the end
      points 'SCOPE/conv1' to 'SCOPE/fc8' as a dict.

    Raises:
      ValueError: The images are not a batch, too small, or too large to squeeze.
    """
    check_images(inputs, "overfeat", 231)
    with variable_scope(scope, "overfeat") as opened:
        collection = opened.original_name_scope + "_end_points"
        with arg_scope([conv2d, max_pool2d], outputs_collections=collection):
            net = conv2d(inputs, 64, [11, 11], 4, padding="VALID", scope="conv1")
            net = max_pool2d(net, [2, 2], scope="pool1")
            net = conv2d(net, 256, [5, 5], padding="VALID", scope="conv2")
            net = max_pool2d(net, [2, 2], scope="pool2")
            net = conv2d(net, 512, [3, 3], scope="conv3")
            net = conv2d(net, 1024, [3, 3], scope="conv4")
            net = conv2d(net, 1024, [3, 3], scope="conv5")
            net = max_pool2d(net, [2, 2], scope="pool5")
            with arg_scope(
                [conv2d],
                weights_initializer=truncated_normal_initializer(stddev=0.005),
                biases_initializer=constant_initializer(0.1),
            ):
                net = conv2d(net, 3072, [6, 6], padding="VALID", scope="fc6")
                net = dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout6")
                net = conv2d(net, 4096, [1, 1], scope="fc7")
                return classify_by_convolution(
                    net,
                    convert_collection_to_dict(collection, clear_collection=True),
                    num_classes,
                    scope=opened.name,
                    is_training=is_training,
                    dropout_keep_prob=dropout_keep_prob,
                    spatial_squeeze=spatial_squeeze,
                    global_pool=global_pool,
                    biases_initializer=zeros_initializer(),
                )
