"""The VGG networks A, D (16 layers) and E (19 layers), all of convolutions.

    with slim.arg_scope(vgg.vgg_arg_scope()):
        logits, end_points = vgg.vgg_16(images)

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition"
(2014), https://arxiv.org/abs/1409.1556, table 1.
"""

from collections.abc import Callable

import jax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse
from jslim.initializers import zeros_initializer
from jslim.layers import conv2d, max_pool2d, repeat
from jslim.nets._common import (
    EndPoints,
    Head,
    check_images,
    described,
    named,
    network_scope,
    with_image_size,
)
from jslim.nets._convolutional import classify, plain_arg_scope


def vgg_arg_scope(weight_decay: float = 0.0005) -> ArgScope:
    """The defaults that the VGG networks were made with: L2 on all weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return plain_arg_scope(weight_decay, zeros_initializer())


def _vgg(
    name: str, repetitions: tuple[int, int, int, int, int]
) -> Callable[..., tuple[jax.Array, EndPoints]]:
    """The network with these numbers of convolutions in its blocks, under its name."""

    @named(name, __name__)
    @with_image_size(224)
    @described()
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
        head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob)
        with network_scope(scope, name, reuse) as opened:
            collection = opened.original_name_scope + "_end_points"
            with arg_scope([conv2d, max_pool2d], outputs_collections=collection):
                net = inputs
                depths = (64, 128, 256, 512, 512)
                for block, (count, depth) in enumerate(zip(repetitions, depths, strict=True), 1):
                    net = repeat(net, count, conv2d, depth, [3, 3], scope=f"conv{block}")
                    net = max_pool2d(net, [2, 2], scope=f"pool{block}")
                net = conv2d(net, 4096, [7, 7], padding=fc_conv_padding, scope="fc6")
                return classify(net, collection, head, opened.name, is_training=is_training)

    return vgg


vgg_a = _vgg("vgg_a", (1, 1, 2, 2, 2))
vgg_16 = vgg_d = _vgg("vgg_16", (2, 2, 3, 3, 3))
vgg_19 = vgg_e = _vgg("vgg_19", (2, 2, 4, 4, 4))
