"""Networks of the zoo as a user of Flax Linen writes them, for the benchmarks.

Each takes the number of classes, whether it is trained and the `dtype` to compute in, which goes to
every layer as in Flax's own examples. A layer without it would compute in float32.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Pair = tuple[int, int]


class Conv(nn.Module):
    """A convolution, batch normalization and an activation."""

    features: int
    size: Pair
    stride: int = 1
    padding: Any = "SAME"
    groups: int = 1
    activation: Any = nn.relu
    scale: bool = True
    train: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(
            self.features,
            self.size,
            self.stride,
            padding=self.padding,
            feature_group_count=self.groups,
            use_bias=False,
            dtype=self.dtype,
        )(x)
        x = nn.BatchNorm(
            not self.train,
            momentum=0.997,
            epsilon=0.001,
            use_scale=self.scale,
            dtype=self.dtype,
        )(x)
        return x if self.activation is None else self.activation(x)


class ResNet50(nn.Module):
    """ResNet V1 of 50 layers, with the stride in the last unit of a block as in TF-Slim."""

    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = functools.partial(Conv, train=self.train, dtype=self.dtype)
        x = conv(64, (7, 7), 2, [(3, 3), (3, 3)])(x)
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for depth, units, last in ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
            for unit in range(units):
                stride = last if unit == units - 1 else 1
                shortcut = x[:, ::stride, ::stride]
                if x.shape[-1] != 4 * depth:
                    shortcut = conv(4 * depth, (1, 1), stride, activation=None)(x)
                padding = "SAME" if stride == 1 else [(1, 1), (1, 1)]
                y = conv(depth, (1, 1))(x)
                y = conv(depth, (3, 3), stride, padding)(y)
                y = conv(4 * depth, (1, 1), activation=None)(y)
                x = nn.relu(shortcut + y)
        x = jnp.mean(x, (1, 2))
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


class ResNet50V2(nn.Module):
    """ResNet V2 of 50 layers, with the stride in the last unit of a block as in TF-Slim."""

    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = functools.partial(Conv, train=self.train, dtype=self.dtype)
        norm = functools.partial(
            nn.BatchNorm, not self.train, momentum=0.997, epsilon=0.001, dtype=self.dtype
        )
        plain = functools.partial(nn.Conv, dtype=self.dtype)
        x = plain(64, (7, 7), 2, padding=[(3, 3), (3, 3)])(x)
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for depth, units, last in ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
            for unit in range(units):
                stride = last if unit == units - 1 else 1
                active = nn.relu(norm()(x))
                shortcut = x[:, ::stride, ::stride]
                if x.shape[-1] != 4 * depth:
                    shortcut = plain(4 * depth, (1, 1), stride)(active)
                padding = "SAME" if stride == 1 else [(1, 1), (1, 1)]
                y = conv(depth, (1, 1))(active)
                y = conv(depth, (3, 3), stride, padding)(y)
                x = shortcut + plain(4 * depth, (1, 1))(y)
        x = jnp.mean(nn.relu(norm()(x)), (1, 2))
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


class Vgg16(nn.Module):
    """VGG-16, for images of any size."""

    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for count, depth in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
            for _ in range(count):
                x = nn.relu(nn.Conv(depth, (3, 3), dtype=self.dtype)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(4096, (7, 7), dtype=self.dtype)(x))
        x = nn.relu(nn.Conv(4096, (1, 1), dtype=self.dtype)(x))
        return nn.Dense(self.num_classes, dtype=self.dtype)(jnp.mean(x, (1, 2)))


class MobileNetV1(nn.Module):
    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = functools.partial(Conv, train=self.train, dtype=self.dtype, activation=nn.relu6)
        x = conv(32, (3, 3), 2)(x)
        depths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
        for index, depth in enumerate(depths):
            stride = 2 if index in (1, 3, 5, 11) else 1
            x = conv(x.shape[-1], (3, 3), stride, groups=x.shape[-1])(x)
            x = conv(depth, (1, 1))(x)
        return nn.Dense(self.num_classes, dtype=self.dtype)(jnp.mean(x, (1, 2)))


class MobileNetV2(nn.Module):
    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = functools.partial(Conv, train=self.train, dtype=self.dtype, activation=nn.relu6)
        x = conv(32, (3, 3), 2)(x)
        groups = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2))
        for depth, count, first in (*groups, (320, 1, 1)):
            for index in range(count):
                stride = first if index == 0 else 1
                y = x
                inner = x.shape[-1] * (1 if depth == 16 else 6)
                if inner > x.shape[-1]:
                    y = conv(inner, (1, 1))(y)
                y = conv(inner, (3, 3), stride, groups=inner)(y)
                y = conv(depth, (1, 1), activation=None)(y)
                x = x + y if stride == 1 and x.shape[-1] == depth else y
        x = conv(1280, (1, 1))(x)
        return nn.Dense(self.num_classes, dtype=self.dtype)(jnp.mean(x, (1, 2)))


Branch = Sequence[Any]  # (features, size) or (features, size, stride, padding)


class InceptionV3(nn.Module):
    """Inception V3 without its auxiliary classifier."""

    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = functools.partial(Conv, train=self.train, dtype=self.dtype, scale=False)

        def branch(x: jax.Array, *layers: Any) -> jax.Array:
            for features, size, *rest in layers:
                x = conv(features, (size, size) if isinstance(size, int) else size, *rest)(x)
            return x

        def pooled(x: jax.Array) -> jax.Array:
            return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)

        def halved(x: jax.Array) -> jax.Array:
            return nn.max_pool(x, (3, 3), (2, 2), "VALID")

        half = (2, "VALID")
        x = branch(x, (32, 3, *half), (32, 3, 1, "VALID"), (64, 3))
        x = branch(halved(x), (80, 1), (192, 3, 1, "VALID"))
        x = halved(x)
        for depth in (32, 64, 64):
            parts = [
                branch(x, (64, 1)),
                branch(x, (48, 1), (64, 5)),
                branch(x, (64, 1), (96, 3), (96, 3)),
                branch(pooled(x), (depth, 1)),
            ]
            x = jnp.concatenate(parts, -1)
        parts = [
            branch(x, (384, 3, *half)),
            branch(x, (64, 1), (96, 3), (96, 3, *half)),
            halved(x),
        ]
        x = jnp.concatenate(parts, -1)
        row, column = (1, 7), (7, 1)
        for d in (128, 160, 160, 192):
            parts = [
                branch(x, (192, 1)),
                branch(x, (d, 1), (d, row), (192, column)),
                branch(x, (d, 1), (d, column), (d, row), (d, column), (192, row)),
                branch(pooled(x), (192, 1)),
            ]
            x = jnp.concatenate(parts, -1)
        parts = [
            branch(x, (192, 1), (320, 3, *half)),
            branch(x, (192, 1), (192, row), (192, column), (192, 3, *half)),
            halved(x),
        ]
        x = jnp.concatenate(parts, -1)
        for _ in range(2):
            first, second = branch(x, (384, 1)), branch(x, (448, 1), (384, 3))
            sides = [branch(y, (384, size)) for y in (first, second) for size in ((1, 3), (3, 1))]
            x = jnp.concatenate([branch(x, (320, 1)), *sides, branch(pooled(x), (192, 1))], -1)
        return nn.Dense(self.num_classes, dtype=self.dtype)(jnp.mean(x, (1, 2)))


class LeNet(nn.Module):
    """LeNet, without dropout."""

    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for name, features in (("conv1", 32), ("conv2", 64)):
            x = nn.relu(nn.Conv(features, (5, 5), name=name, dtype=self.dtype)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Dense(1024, name="fc3", dtype=self.dtype)(x.reshape(len(x), -1)))
        return nn.Dense(self.num_classes, name="fc4", dtype=self.dtype)(x)


class CifarNet(nn.Module):
    """CifarNet, without dropout."""

    decayed = ("fc3", "fc4")
    num_classes: int
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(64, (5, 5), name="conv1", dtype=self.dtype)(x))
        x = _normalized_locally(nn.max_pool(x, (2, 2), (2, 2)))
        x = nn.relu(nn.Conv(64, (5, 5), name="conv2", dtype=self.dtype)(x))
        x = nn.max_pool(_normalized_locally(x), (2, 2), (2, 2)).reshape(len(x), -1)
        for name, features in (("fc3", 384), ("fc4", 192)):
            x = nn.relu(nn.Dense(features, name=name, dtype=self.dtype)(x))
        return nn.Dense(self.num_classes, name="logits", dtype=self.dtype)(x)


def _normalized_locally(x: jax.Array) -> jax.Array:
    window, sides = (1, 1, 1, 9), ((0, 0), (0, 0), (0, 0), (4, 4))
    sums = jax.lax.reduce_window(jnp.square(x), 0.0, jax.lax.add, window, (1, 1, 1, 1), sides)
    return x / (1 + 0.001 / 9 * sums) ** 0.75


LINEN_NETS: dict[str, Any] = {
    "lenet": LeNet,
    "cifarnet": CifarNet,
    "resnet_v1_50": ResNet50,
    "resnet_v2_50": ResNet50V2,
    "inception_v3": InceptionV3,
    "vgg_16": Vgg16,
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
}
