"""S3D-G: Inception V1 for videos, with convolutions in space and time apart, and gates.

    with slim.arg_scope(s3dg.s3dg_arg_scope()):
        logits, end_points = s3dg.s3dg(videos)

Xie et al., "Rethinking spatiotemporal feature learning: speed-accuracy trade-offs in video
classification" (2017), https://arxiv.org/abs/1712.04851, figure 3 and section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.errors import did_you_mean
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import conv3d, max_pool3d, softmax
from jslim.nets._common import EndPoints, Head, described, network_scope, with_image_size
from jslim.nets.i3d_utils import (
    SelfGating,
    check_videos,
    classify_videos,
    conv3d_spatiotemporal,
    inception_block_v1_3d,
    same_size_scope_3d,
    video_arg_scope,
)


def s3dg_arg_scope(
    weight_decay: float = 1e-7,
    batch_norm_decay: float = 0.999,
    batch_norm_epsilon: float = 0.001,
) -> ArgScope:
    """The defaults that S3D-G was made with: batch normalization, L2, separable convolutions.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return video_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon, False, True)


def self_gating(input_tensor: jax.Array, scope: str, data_format: str = "NDHWC") -> jax.Array:
    """Weights each channel of a video by what is in the whole video.

    Differs from TF-Slim: it takes videos that are not square.

    Args:
      input_tensor: `[batch, frames, height, width, channels]`, or with channels second if NCDHW.
      scope: The variables are in 'SCOPE/self_gating/transformer_W'.
      data_format: 'NDHWC' or 'NCDHW'.

    Returns:
      An array of the shape of `input_tensor`.

    Source: section 4.4 of the paper.
    """
    channels = data_format.index("C")
    space = tuple(axis for axis in range(1, 5) if axis != channels)
    weights = conv3d(
        jnp.mean(input_tensor, space, keepdims=True),
        input_tensor.shape[channels],
        [1, 1, 1],
        activation_fn=None,
        normalizer_fn=None,
        biases_initializer=None,
        data_format=data_format,
        weights_initializer=truncated_normal_initializer(stddev=0.01),
        scope=f"{scope}/self_gating/transformer_W",
    )
    return jax.nn.sigmoid(weights) * input_tensor


@dataclass(frozen=True)
class _Style:
    """How the layers are made at a place of the network."""

    depth: Callable[[int], int]  # the number of filters for one in the table
    first_frames: int  # size in time of the first kernel
    frames: int  # size in time of the 3x3 kernels
    gate: SelfGating | None
    data_format: str


_Part = Callable[[jax.Array, str, _Style], jax.Array]


def _first(net: jax.Array, scope: str, style: _Style) -> jax.Array:
    size = [style.first_frames, 7, 7]
    return conv3d_spatiotemporal(net, style.depth(64), size, 2, separable=False, scope=scope)


def _pointwise(net: jax.Array, scope: str, style: _Style) -> jax.Array:
    return conv3d(net, style.depth(64), [1, 1, 1], scope=scope)


def _second(net: jax.Array, scope: str, style: _Style) -> jax.Array:
    net = conv3d_spatiotemporal(net, style.depth(192), [style.frames, 3, 3], scope=scope)
    return net if style.gate is None else style.gate(net, scope=scope)


def _max_pool(frames: int, size: int, time_stride: int) -> _Part:
    def part(net: jax.Array, scope: str, style: _Style) -> jax.Array:
        return max_pool3d(net, [frames, size, size], [time_stride, 2, 2], scope=scope)

    return part


def _module(d0: int, d1: tuple[int, int], d2: tuple[int, int], pooled: int) -> _Part:
    """A module by its row in the table of Inception V1."""

    def part(net: jax.Array, scope: str, style: _Style) -> jax.Array:
        return inception_block_v1_3d(
            net,
            num_outputs_0_0a=style.depth(d0),
            num_outputs_1_0a=style.depth(d1[0]),
            num_outputs_1_0b=style.depth(d1[1]),
            num_outputs_2_0a=style.depth(d2[0]),
            num_outputs_2_0b=style.depth(d2[1]),
            num_outputs_3_0b=style.depth(pooled),
            temporal_kernel_size=style.frames,
            self_gating_fn=style.gate,
            data_format=style.data_format,
            scope=scope,
        )

    return part


_PARTS: dict[str, _Part] = {
    "Conv2d_1a_7x7": _first,
    "MaxPool_2a_3x3": _max_pool(1, 3, 1),
    "Conv2d_2b_1x1": _pointwise,
    "Conv2d_2c_3x3": _second,
    "MaxPool_3a_3x3": _max_pool(1, 3, 1),
    "Mixed_3b": _module(64, (96, 128), (16, 32), 32),
    "Mixed_3c": _module(128, (128, 192), (32, 96), 64),
    "MaxPool_4a_3x3": _max_pool(3, 3, 2),
    "Mixed_4b": _module(192, (96, 208), (16, 48), 64),
    "Mixed_4c": _module(160, (112, 224), (24, 64), 64),
    "Mixed_4d": _module(128, (128, 256), (24, 64), 64),
    "Mixed_4e": _module(112, (144, 288), (32, 64), 64),
    "Mixed_4f": _module(256, (160, 320), (32, 128), 128),
    "MaxPool_5a_2x2": _max_pool(2, 2, 2),
    "Mixed_5b": _module(256, (160, 320), (32, 128), 128),
    "Mixed_5c": _module(384, (192, 384), (48, 128), 128),
}
_WITH_3X3 = [name for name in _PARTS if name == "Conv2d_2c_3x3" or name.startswith("Mixed")]


def _check_name(argument: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(
            f"s3dg_base: {argument} cannot be {name!r}{did_you_mean(str(name), names)} "
            f"(there are {', '.join(names)})"
        )


def s3dg_base(
    inputs: jax.Array,
    first_temporal_kernel_size: int = 3,
    temporal_conv_startat: str | None = "Conv2d_2c_3x3",
    gating_startat: str | None = "Conv2d_2c_3x3",
    final_endpoint: str = "Mixed_5c",
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    data_format: str = "NDHWC",
    scope: str | VariableScope | None = "InceptionV1",
) -> tuple[jax.Array, EndPoints]:
    """S3D-G, or under its arg_scope I3D, without the classifier.

    Differs from TF-Slim: an unknown place to start at is an error, where there it is as None.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`, or with channels second if
        NCDHW.
      first_temporal_kernel_size: Size in time of the first kernel: 1, 3, 5 or 7 frames.
      temporal_conv_startat: The first end point whose 3x3 convolutions see 3 frames and not 1:
        Conv2d_2c_3x3, or one named Mixed; None for nowhere.
      gating_startat: The first end point with gates: one of the same, or None.
      final_endpoint: The end point to stop at: Conv2d_1a_7x7, MaxPool_2a_3x3, Conv2d_2b_1x1,
        Conv2d_2c_3x3, MaxPool_3a_3x3, Mixed_3b, Mixed_3c, MaxPool_4a_3x3, Mixed_4b to Mixed_4f,
        MaxPool_5a_2x2, Mixed_5b or Mixed_5c.
      min_depth: The least number of filters of a convolution.
      depth_multiplier: Factor of all numbers of filters, above 0.
      data_format: 'NDHWC' or 'NCDHW'.
      scope: The variable scope.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. At Mixed_5c it has
      an 8th of the frames and a 32nd of the height and width, rounded up.

    Raises:
      ValueError: `inputs` are not a batch of videos, or an argument is not one of the above.
    """
    check_videos(inputs, "s3dg_base", data_format)
    checks.one_of(
        "s3dg_base", "first_temporal_kernel_size", first_temporal_kernel_size, (1, 3, 5, 7)
    )
    checks.number("s3dg_base", "depth_multiplier", depth_multiplier, above=0)
    _check_name("final_endpoint", final_endpoint, list(_PARTS))
    if temporal_conv_startat is not None:
        _check_name("temporal_conv_startat", temporal_conv_startat, _WITH_3X3)
    if gating_startat is not None:
        _check_name("gating_startat", gating_startat, _WITH_3X3)

    def depth(filters: int) -> int:
        return max(int(filters * depth_multiplier), min_depth)

    def gate(net: jax.Array, scope: str) -> jax.Array:
        return self_gating(net, scope, data_format)

    net, end_points = inputs, {}
    frames, gating = 1, None
    with (
        variable_scope(scope, "InceptionV1"),
        arg_scope([conv3d], weights_initializer=truncated_normal_initializer(stddev=0.01)),
        same_size_scope_3d(data_format),
    ):
        for name, part in _PARTS.items():
            if name == temporal_conv_startat:
                frames = 3
            if name == gating_startat:
                gating = gate
            style = _Style(depth, first_temporal_kernel_size, frames, gating, data_format)
            net = end_points[name] = part(net, name, style)
            if name == final_endpoint:
                break
    return net, end_points


@with_image_size(224)
@described(s3dg_base)
def s3dg(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    first_temporal_kernel_size: int = 3,
    temporal_conv_startat: str | None = "Conv2d_2c_3x3",
    gating_startat: str | None = "Conv2d_2c_3x3",
    final_endpoint: str = "Mixed_5c",
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    dropout_keep_prob: float = 0.8,
    is_training: bool = True,
    prediction_fn: Callable[..., jax.Array] = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    data_format: str = "NDHWC",
    scope: str = "InceptionV1",
) -> tuple[jax.Array, EndPoints]:
    """Inception V1 for videos, with convolutions in space and time apart, and gates.

    Its variables have the names of Inception V1. Differs from TF-Slim: it has a mode without
    classes, and in NCDHW normalizes by channel.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`, or with channels second if
        NCDHW. Up to 224x224 pixels give one prediction a video.
      num_classes: How many logits to give; None or 0 for the pooled features.
      final_endpoint: The end point of `s3dg_base` that is classified.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, frames, height, width, channels]`;
      and the end points of `s3dg_base`, Logits and Predictions as a dict.

    Raises:
      ValueError: As `s3dg_base`; or the videos are too large to squeeze.
    """
    check_videos(inputs, "s3dg", data_format)
    head = Head(num_classes, spatial_squeeze, False, dropout_keep_prob, prediction_fn)
    with network_scope(scope, "InceptionV1", reuse, is_training) as opened:
        net, end_points = s3dg_base(
            inputs,
            first_temporal_kernel_size,
            temporal_conv_startat,
            gating_startat,
            final_endpoint,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            scope=opened,
        )
        if data_format == "NCDHW":
            net = lax.transpose(net, (0, 2, 3, 4, 1))
        return classify_videos(net, end_points, head, opened.name)
