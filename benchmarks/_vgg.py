"""A network of 3x3 convolutions with biases, pools and dense layers, twice.

Simonyan and Zisserman (2014), https://arxiv.org/abs/1409.1556. Without dropout, so that both
compute the same numbers.
"""

import flax.linen as nn
import jax

import jslim as slim


def vgg_slim(
    images: jax.Array, repeats: tuple[int, ...], width: int, dense: int, num_classes: int
) -> jax.Array:
    """As a model function: `repeats` convolutions before each pool, `width` channels at first."""
    net = images
    for block, count in enumerate(repeats, start=1):
        depth = width * min(2 ** (block - 1), 8)
        net = slim.repeat(net, count, slim.conv2d, depth, [3, 3], scope=f"conv{block}")
        net = slim.max_pool2d(net, [2, 2], scope=f"pool{block}")
    net = slim.flatten(net)
    net = slim.stack(net, slim.fully_connected, [dense, dense], scope="fc")
    return slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")


class VggLinen(nn.Module):
    """The same as a Linen module."""

    repeats: tuple[int, ...]
    width: int
    dense: int
    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        net = images
        for block, count in enumerate(self.repeats, start=1):
            depth = self.width * min(2 ** (block - 1), 8)
            for index in range(1, count + 1):
                name = f"conv{block}/conv{block}_{index}"
                net = nn.relu(nn.Conv(depth, (3, 3), name=name)(net))
            net = nn.max_pool(net, (2, 2), strides=(2, 2))
        net = net.reshape((net.shape[0], -1))
        for index in (1, 2):
            net = nn.relu(nn.Dense(self.dense, name=f"fc/fc_{index}")(net))
        return nn.Dense(self.num_classes, name="logits")(net)
