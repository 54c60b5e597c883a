"""A residual network of bottlenecks, 53 convolutions with batch norm at full depth, twice.

He et al. (2015), https://arxiv.org/abs/1512.03385.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

import jslim as slim

_DECAY, _EPSILON = 0.9, 1e-5


def resnet_slim(
    images: jax.Array, units: tuple[int, ...], width: int, num_classes: int
) -> jax.Array:
    """As a model function: `units` bottlenecks a block, `width` channels in the first."""
    with (
        slim.arg_scope([slim.batch_norm], decay=_DECAY, epsilon=_EPSILON, scale=True),
        slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm),
    ):
        net = slim.conv2d(images, width, [7, 7], stride=2, scope="conv1")
        net = slim.max_pool2d(net, [3, 3], stride=2, padding="SAME", scope="pool1")
        for block, count in enumerate(units, start=1):
            for unit in range(1, count + 1):
                stride = 2 if unit == 1 and block > 1 else 1
                with slim.variable_scope(f"block{block}/unit_{unit}"):
                    net = _bottleneck(net, width * 2 ** (block - 1), stride)
        net = jnp.mean(net, axis=(1, 2))
        return slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")


def _bottleneck(inputs: jax.Array, depth: int, stride: int) -> jax.Array:
    shortcut = inputs
    if inputs.shape[-1] != 4 * depth or stride > 1:
        shortcut = slim.conv2d(
            inputs, 4 * depth, [1, 1], stride=stride, activation_fn=None, scope="shortcut"
        )
    net = slim.conv2d(inputs, depth, [1, 1], scope="conv1")
    net = slim.conv2d(net, depth, [3, 3], stride=stride, scope="conv2")
    net = slim.conv2d(net, 4 * depth, [1, 1], activation_fn=None, scope="conv3")
    return jax.nn.relu(net + shortcut)


_conv = functools.partial(nn.Conv, use_bias=False)
_norm = functools.partial(
    nn.BatchNorm, use_running_average=False, momentum=_DECAY, epsilon=_EPSILON
)


class _LinenBottleneck(nn.Module):
    depth: int
    stride: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        strides = (self.stride, self.stride)
        shortcut = inputs
        if inputs.shape[-1] != 4 * self.depth or self.stride > 1:
            shortcut = _conv(4 * self.depth, (1, 1), strides, name="shortcut")(inputs)
            shortcut = _norm(name="shortcut/BatchNorm")(shortcut)
        net = nn.relu(
            _norm(name="conv1/BatchNorm")(_conv(self.depth, (1, 1), name="conv1")(inputs))
        )
        net = _conv(self.depth, (3, 3), strides, name="conv2")(net)
        net = nn.relu(_norm(name="conv2/BatchNorm")(net))
        net = _norm(name="conv3/BatchNorm")(_conv(4 * self.depth, (1, 1), name="conv3")(net))
        return nn.relu(net + shortcut)


class ResNetLinen(nn.Module):
    """The same as Linen modules."""

    units: tuple[int, ...]
    width: int
    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        net = _conv(self.width, (7, 7), (2, 2), name="conv1")(images)
        net = nn.relu(_norm(name="conv1/BatchNorm")(net))
        net = nn.max_pool(net, (3, 3), strides=(2, 2), padding="SAME")
        for block, count in enumerate(self.units, start=1):
            for unit in range(1, count + 1):
                stride = 2 if unit == 1 and block > 1 else 1
                net = _LinenBottleneck(
                    self.width * 2 ** (block - 1), stride, name=f"block{block}/unit_{unit}"
                )(net)
        net = jnp.mean(net, axis=(1, 2))
        return nn.Dense(self.num_classes, name="logits")(net)
