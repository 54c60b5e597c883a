"""The layers that `benchmarks.layers` times: each in jslim, in Flax Linen, PyTorch and TF-Slim.

PyTorch's functions take `(torch, weights, x)` with `x` as it lays images out in memory for the CPU
(NCHW, channels last), TF-Slim's take `(slim, x)`. Its batch_norm does not run on those TensorFlow
releases that can share a process with JAX.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax

import jslim as slim

BATCH = 8


@dataclass(frozen=True)
class Case:
    """One layer on inputs of one shape, which occurs `count` times in the network it is from."""

    name: str
    group: str
    shape: tuple[int, ...]
    slim: Callable[[jax.Array], jax.Array]
    linen: nn.Module
    torch: Callable[[Any, Mapping[str, Any], Any], Any] | None = None
    tf_slim: Callable[[Any, Any], Any] | None = None
    count: int = 1


class Separable(nn.Module):
    """A depthwise and a 1x1 convolution, as Linen's users write them."""

    channels: int
    features: int
    size: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = depthwise_linen(self.channels, self.size, self.stride)(x)
        return nn.Conv(self.features, (1, 1), use_bias=False)(x)


def depthwise_linen(channels: int, size: int, stride: int) -> nn.Module:
    return nn.Conv(channels, (size, size), stride, feature_group_count=channels, use_bias=False)


def conv(
    group: str, side: int, inputs: int, outputs: int, size: int, stride: int = 1, count: int = 1
) -> Case:
    arguments = {"activation_fn": None, "biases_initializer": None, "stride": stride}

    def in_torch(torch: Any, weights: Mapping[str, Any], x: Any) -> Any:
        x = same_padded(torch, x, size, stride)
        return torch.nn.functional.conv2d(x, weights["weights"], stride=stride)

    return Case(
        f"conv {size}x{size}{f'/{stride}' if stride > 1 else ''} to {outputs}",
        group,
        (BATCH, side, side, inputs),
        functools.partial(slim.conv2d, num_outputs=outputs, kernel_size=size, **arguments),
        nn.Conv(outputs, (size, size), stride, use_bias=False),
        in_torch,
        lambda tf_slim, x: tf_slim.conv2d(x, outputs, size, **arguments),
        count,
    )


def depthwise(side: int, channels: int, stride: int = 1, count: int = 1, size: int = 3) -> Case:
    arguments = {"activation_fn": None, "biases_initializer": None, "stride": stride}

    def in_torch(torch: Any, weights: Mapping[str, Any], x: Any) -> Any:
        x = same_padded(torch, x, size, stride)
        kernel = weights["depthwise_weights"]
        return torch.nn.functional.conv2d(x, kernel, stride=stride, groups=channels)

    return Case(
        f"depthwise {size}x{size}{f'/{stride}' if stride > 1 else ''}",
        f"depthwise {size}x{size}",
        (BATCH, side, side, channels),
        functools.partial(slim.separable_conv2d, num_outputs=None, kernel_size=size, **arguments),
        depthwise_linen(channels, size, stride),
        in_torch,
        lambda tf_slim, x: tf_slim.separable_conv2d(x, None, size, 1, **arguments),
        count,
    )


def separable(side: int, channels: int, outputs: int, stride: int = 1, count: int = 1) -> Case:
    arguments = {"activation_fn": None, "biases_initializer": None, "stride": stride}

    def in_torch(torch: Any, weights: Mapping[str, Any], x: Any) -> Any:
        x = same_padded(torch, x, 3, stride)
        kernel = weights["depthwise_weights"]
        x = torch.nn.functional.conv2d(x, kernel, stride=stride, groups=channels)
        return torch.nn.functional.conv2d(x, weights["pointwise_weights"])

    return Case(
        f"separable 3x3{f'/{stride}' if stride > 1 else ''} to {outputs}",
        "separable",
        (BATCH, side, side, channels),
        functools.partial(slim.separable_conv2d, num_outputs=outputs, kernel_size=3, **arguments),
        Separable(channels, outputs, 3, stride),
        in_torch,
        lambda tf_slim, x: tf_slim.separable_conv2d(x, outputs, 3, 1, **arguments),
        count,
    )


def same_padded(torch: Any, x: Any, size: int, stride: int) -> Any:
    """Padded by TensorFlow's rule, which PyTorch's strided convolutions do not know."""
    before_and_after = []
    for length in reversed(x.shape[2:]):
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        before_and_after += [total // 2, total - total // 2]
    return torch.nn.functional.pad(x, before_and_after) if any(before_and_after) else x


def batch_norm(side: int, channels: int) -> Case:
    def in_torch(torch: Any, weights: Mapping[str, Any], x: Any) -> Any:
        return torch.nn.functional.batch_norm(
            x,
            weights["moving_mean"],
            weights["moving_variance"],
            weights["gamma"],
            weights["beta"],
            training=True,
            momentum=0.001,
            eps=0.001,
        )

    return Case(
        "batch_norm in training",
        "batch_norm",
        (BATCH, side, side, channels),
        functools.partial(slim.batch_norm, scale=True),
        nn.BatchNorm(use_running_average=False, momentum=0.999, epsilon=0.001),
        in_torch,
    )


def frozen_batch_norm(side: int, channels: int) -> Case:
    return Case(
        "batch_norm frozen",
        "batch_norm",
        (BATCH, side, side, channels),
        functools.partial(slim.batch_norm, scale=True, is_training=False),
        nn.BatchNorm(use_running_average=True, epsilon=0.001),
    )


def pool(kind: str, side: int, channels: int, size: int, stride: int, padding: str) -> Case:
    layer = {"max": slim.max_pool2d, "avg": slim.avg_pool2d}[kind]
    of_linen = {
        "max": nn.max_pool,
        "avg": functools.partial(nn.avg_pool, count_include_pad=False),
    }[kind]
    window, strides = (size, size), (stride, stride)

    def in_torch(torch: Any, weights: Mapping[str, Any], x: Any) -> Any:
        del weights
        function = getattr(torch.nn.functional, f"{kind}_pool2d")
        return function(x, size, stride)

    return Case(
        f"{kind}_pool {size}x{size}/{stride} {padding}",
        f"{kind}_pool",
        (BATCH, side, side, channels),
        functools.partial(layer, kernel_size=size, stride=stride, padding=padding),
        Function(
            functools.partial(of_linen, window_shape=window, strides=strides, padding=padding)
        ),
        in_torch if padding == "VALID" else None,
        lambda tf_slim, x: getattr(tf_slim, f"{kind}_pool2d")(x, size, stride, padding),
    )


class Function(nn.Module):
    """A function as a module without variables."""

    function: Callable[[jax.Array], jax.Array]

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)


def other_layers() -> list[Case]:
    images = (BATCH, 28, 28, 256)
    group = "others"
    return [
        Case(
            "fully_connected to 1000",
            group,
            (64, 2048),
            functools.partial(slim.fully_connected, num_outputs=1000, activation_fn=None),
            nn.Dense(1000),
            lambda torch, weights, x: torch.addmm(weights["biases"], x, weights["weights"]),
            lambda tf_slim, x: tf_slim.fully_connected(x, 1000, activation_fn=None),
        ),
        Case(
            "conv2d_transpose 3x3/2 to 64",
            group,
            (BATCH, 28, 28, 64),
            functools.partial(
                slim.conv2d_transpose,
                num_outputs=64,
                kernel_size=3,
                stride=2,
                activation_fn=None,
                biases_initializer=None,
            ),
            nn.ConvTranspose(64, (3, 3), (2, 2), use_bias=False, transpose_kernel=True),
            None,
            lambda tf_slim, x: tf_slim.conv2d_transpose(
                x, 64, 3, 2, activation_fn=None, biases_initializer=None
            ),
        ),
        Case(
            "conv1d 3 to 128",
            group,
            (BATCH, 512, 64),
            functools.partial(slim.conv1d, num_outputs=128, kernel_size=3, activation_fn=None),
            nn.Conv(128, (3,)),
        ),
        Case(
            "conv3d 3x3x3 to 32",
            group,
            (2, 8, 28, 28, 16),
            functools.partial(slim.conv3d, num_outputs=32, kernel_size=3, activation_fn=None),
            nn.Conv(32, (3, 3, 3)),
        ),
        Case(
            "layer_norm of the channels",
            group,
            images,
            functools.partial(slim.layer_norm, begin_norm_axis=-1),
            nn.LayerNorm(epsilon=1e-12),
            None,
            lambda tf_slim, x: tf_slim.layer_norm(x, begin_norm_axis=-1),
        ),
        Case(
            "group_norm in 32 groups",
            group,
            images,
            slim.group_norm,
            nn.GroupNorm(32, epsilon=1e-6),
            lambda torch, weights, x: torch.nn.functional.group_norm(
                x, 32, weights["gamma"], weights["beta"], 1e-6
            ),
            lambda tf_slim, x: tf_slim.group_norm(x),
        ),
        Case(
            "instance_norm",
            group,
            images,
            slim.instance_norm,
            nn.InstanceNorm(epsilon=1e-6),
            lambda torch, weights, x: torch.nn.functional.instance_norm(
                x, None, None, weights["gamma"], weights["beta"], eps=1e-6
            ),
            lambda tf_slim, x: tf_slim.instance_norm(x),
        ),
    ]


# Counts are those of research/slim's networks at 224x224.
_ONE_BY_ONE = "1x1 of ResNet-50"
CASES: list[Case] = [
    # MobileNet V1: (side, channels, stride, count) of the depthwise layers.
    depthwise(112, 32),
    depthwise(112, 64, 2),
    depthwise(56, 128),
    depthwise(56, 128, 2),
    depthwise(28, 256),
    depthwise(28, 256, 2),
    depthwise(14, 512, 1, 5),
    depthwise(14, 512, 2),
    depthwise(7, 1024),
    depthwise(28, 88, size=5),
    depthwise(28, 88, size=7),
    separable(112, 32, 64),
    separable(56, 128, 256, 2),
    separable(28, 256, 256),
    separable(14, 512, 512, 1, 5),
    conv(_ONE_BY_ONE, 56, 64, 64, 1),
    conv(_ONE_BY_ONE, 56, 256, 64, 1, count=2),
    conv(_ONE_BY_ONE, 56, 64, 256, 1, count=3),
    conv(_ONE_BY_ONE, 28, 64, 256, 1),
    conv(_ONE_BY_ONE, 28, 256, 128, 1),
    conv(_ONE_BY_ONE, 28, 512, 128, 1, count=3),
    conv(_ONE_BY_ONE, 28, 128, 512, 1, count=3),
    conv(_ONE_BY_ONE, 28, 256, 512, 1),
    conv(_ONE_BY_ONE, 14, 128, 512, 1),
    conv(_ONE_BY_ONE, 14, 512, 256, 1),
    conv(_ONE_BY_ONE, 14, 1024, 256, 1, count=5),
    conv(_ONE_BY_ONE, 14, 256, 1024, 1, count=5),
    conv(_ONE_BY_ONE, 14, 512, 1024, 1),
    conv(_ONE_BY_ONE, 7, 256, 1024, 1),
    conv(_ONE_BY_ONE, 7, 1024, 512, 1),
    conv(_ONE_BY_ONE, 7, 2048, 512, 1, count=2),
    conv(_ONE_BY_ONE, 7, 512, 2048, 1, count=3),
    conv(_ONE_BY_ONE, 7, 1024, 2048, 1),
    conv("other convolutions", 112, 3, 64, 7, 2),
    conv("other convolutions", 56, 64, 64, 3),
    conv("other convolutions", 28, 128, 128, 3, 2),
    conv("other convolutions", 14, 256, 256, 3),
    conv("other convolutions", 7, 512, 512, 3),
    conv("other convolutions", 56, 256, 512, 1, 2),
    batch_norm(112, 64),
    batch_norm(56, 256),
    batch_norm(28, 512),
    batch_norm(7, 2048),
    frozen_batch_norm(56, 256),
    pool("max", 112, 64, 3, 2, "SAME"),
    pool("max", 56, 128, 2, 2, "VALID"),
    pool("max", 28, 256, 3, 1, "SAME"),
    pool("avg", 56, 128, 2, 2, "VALID"),
    pool("avg", 28, 256, 3, 1, "SAME"),
    pool("avg", 7, 1024, 7, 1, "VALID"),
    *other_layers(),
]
