"""The VGG networks A, D (16 layers) and E (19 layers), with convolutions only.

    with slim.arg_scope(vgg.vgg_arg_scope()):
        logits, end_points = vgg.vgg_16(images)

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition"
(2014), https://arxiv.org/abs/1409.1556, table 1.
"""

import jax

from jslim.core.arg_scope import ArgScope
from jslim.layers import conv2d, max_pool2d, repeat
from jslim.nets._common import Network
from jslim.nets._convolutional import convolutional_network, plain_arg_scope


def vgg_arg_scope(weight_decay: float = 0.0005) -> ArgScope:
    """The defaults of the VGG networks: L2 on all weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return plain_arg_scope(weight_decay)


def _vgg(name: str, *repetitions: int) -> Network:
    """The network with these numbers of 3x3 convolutions in its five blocks."""

    def features(net: jax.Array) -> jax.Array:
        depths = (64, 128, 256, 512, 512)
        for block, (count, depth) in enumerate(zip(repetitions, depths, strict=True), 1):
            net = repeat(net, count, conv2d, depth, [3, 3], scope=f"conv{block}")
            net = max_pool2d(net, [2, 2], scope=f"pool{block}")
        return net

    return convolutional_network(name, __name__, 224, 224, features, fc6=(4096, 7))


vgg_a = _vgg("vgg_a", 1, 1, 2, 2, 2)
vgg_16 = vgg_d = _vgg("vgg_16", 2, 2, 3, 3, 3)
vgg_19 = vgg_e = _vgg("vgg_19", 2, 2, 4, 4, 4)
