"""The VGG networks A, D (16 layers) and E (19 layers), all of convolutions.

    with slim.arg_scope(vgg.vgg_arg_scope()):
        logits, end_points = vgg.vgg_16(images)

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition"
(2014), https://arxiv.org/abs/1409.1556, table 1.
"""

from typing import Any

import jax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import zeros_initializer
from jslim.layers import conv2d, dropout, fully_connected, max_pool2d, repeat
from jslim.layers.utils import convert_collection_to_dict
from jslim.nets._common import (
    EndPoints,
    check_images,
    classify_by_convolution,
    with_image_size,
)
from jslim.regularizers import l2_regularizer


def vgg_arg_scope(weight_decay: float = 0.0005) -> ArgScope:
    """The defaults that the VGG networks were made with: L2 on all weights.

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
        arg_scope([conv2d], padding="SAME") as scope,
    ):
        return scope


def _vgg(name: str, repetitions: tuple[int, int, int, int, int]) -> Any:
    """The network with so many convolutions in its five blocks, under its name."""

    @with_image_size(224)
    def vgg(
        inputs: jax.Array,
        num_classes: int | None = 1000,
        is_training: bool = True,
        dropout_keep_prob: float = 0.5,
        spatial_squeeze: bool = True,
        reuse: Reuse = None,
        scope: str = name,
        fc_conv_padding: str = "VALID",
        global_pool: bool = False,
    ) -> tuple[jax.Array, EndPoints]:
        """Five blocks of 3x3 convolutions with pooling, and a classifier of convolutions.

        Args:
          inputs: Images, `[batch, height, width, channels]`, 224x224 pixels or more; 224 to
            255 give one prediction an image.
          num_classes: How many logits to give; None or 0 for the features `fc7`.
          is_training: Whether to drop features.
          dropout_keep_prob: The share of features that dropout keeps, in (0, 1].
          spatial_squeeze: Whether the logits lose their height and width, which then must be 1.
          reuse: Whether the variables exist already, as for `slim.variable_scope`.
          scope: The variable scope.
          fc_conv_padding: Padding of `fc6`. 'SAME' takes images of 32x32 pixels or more and
            gives a map of a 32nd of their size, 'VALID' one smaller by 6.
          global_pool: Whether to average `fc7` over height and width, so that images of any
            size give one prediction. Not part of the paper.

        Returns:
          The logits, `[batch, num_classes]` (with their height and width in the middle if
          `spatial_squeeze` is False), or the features, `[batch, height, width, 4096]`; and the
          end points 'SCOPE/conv1/conv1_1' to 'SCOPE/fc8' as a dict.

        Raises:
          ValueError: The images are not a batch, too small, or too large to squeeze.
        """
        if str(fc_conv_padding).upper() == "SAME":
            check_images(inputs, name, 32)
        else:
            check_images(inputs, name, 224, ", or pass fc_conv_padding='SAME'")
        with variable_scope(scope, name, reuse=reuse) as opened:
            collection = opened.original_name_scope + "_end_points"
            with arg_scope([conv2d, max_pool2d], outputs_collections=collection):
                net = inputs
                depths = (64, 128, 256, 512, 512)
                for block, (count, depth) in enumerate(zip(repetitions, depths, strict=True), 1):
                    net = repeat(net, count, conv2d, depth, [3, 3], scope=f"conv{block}")
                    net = max_pool2d(net, [2, 2], scope=f"pool{block}")
                net = conv2d(net, 4096, [7, 7], padding=fc_conv_padding, scope="fc6")
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
            )

    vgg.__name__ = vgg.__qualname__ = name
    return vgg


vgg_a = _vgg("vgg_a", (1, 1, 2, 2, 2))
vgg_16 = vgg_d = _vgg("vgg_16", (2, 2, 3, 3, 3))
vgg_19 = vgg_e = _vgg("vgg_19", (2, 2, 4, 4, 4))
