"""S3D-G: Inception V1 for videos, with separate convolutions in space and time, and gates.

    with slim.arg_scope(s3dg.s3dg_arg_scope()):
        logits, end_points = s3dg.s3dg(videos)

Xie et al., "Rethinking spatiotemporal feature learning: speed-accuracy trade-offs in video
classification" (2017), https://arxiv.org/abs/1712.04851, figure 3 and section 4.
"""

import functools
from collections.abc import Collection

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.errors import did_you_mean
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import conv3d, max_pool3d, softmax
from jslim.nets import _common, i3d_utils, inception_v1
from jslim.nets._common import Function, Head, Outputs, Scope
from jslim.nets.i3d_utils import conv3d_spatiotemporal
from jslim.nets.inception_utils import Variant


def s3dg_arg_scope(
    weight_decay: float = 1e-7, batch_norm_decay: float = 0.999, batch_norm_epsilon: float = 0.001
) -> ArgScope:
    """The defaults of S3D-G: batch normalization, L2 on weights, separable convolutions.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return i3d_utils.i3d_arg_scope(
        weight_decay, batch_norm_decay, batch_norm_epsilon, separable_conv3d=True
    )


def self_gating(input_tensor: jax.Array, scope: str, data_format: str = "NDHWC") -> jax.Array:
    """Weights each channel of a video by a gate that depends on the whole video.

    Differs from TF-Slim: the videos need not be square.

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
        biases_initializer=None,
        data_format=data_format,
        weights_initializer=truncated_normal_initializer(stddev=0.01),
        scope=f"{scope}/self_gating/transformer_W",
        **_common.LINEAR,
    )
    return jax.nn.sigmoid(weights) * input_tensor


# The size of the windows and their steps, in frames, height and width.
_POOLS = {
    "MaxPool_2a_3x3": ([1, 3, 3], [1, 2, 2]),
    "MaxPool_3a_3x3": ([1, 3, 3], [1, 2, 2]),
    "MaxPool_4a_3x3": ([3, 3, 3], [2, 2, 2]),
    "MaxPool_5a_2x2": ([2, 2, 2], [2, 2, 2]),
}
_WITH_3X3 = ["Conv2d_2c_3x3", *inception_v1.MODULES]


def _check_name(argument: str, name: str, names: Collection[str]) -> None:
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
    scope: Scope = "InceptionV1",
) -> Outputs:
    """S3D-G, or under its arg_scope I3D, without the classifier.

    Differs from TF-Slim: an unknown place to start at is an error; TF-Slim treats it as None.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`, or with channels second if
        NCDHW.
      first_temporal_kernel_size: Size in time of the first kernel: 1, 3, 5 or 7 frames.
      temporal_conv_startat: The first end point with 3x3 convolutions over 3 frames instead of 1:
        Conv2d_2c_3x3, or a name that starts with Mixed; None for no such end point.
      gating_startat: The first end point with gates, in the same way.
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
      ValueError: `inputs` are not a batch of videos, or an argument has another value than above.
    """
    i3d_utils.check_videos(inputs, "s3dg_base", data_format)
    checks.one_of(
        "s3dg_base", "first_temporal_kernel_size", first_temporal_kernel_size, (1, 3, 5, 7)
    )
    checks.number("s3dg_base", "depth_multiplier", depth_multiplier, above=0)
    _check_name("final_endpoint", final_endpoint, inception_v1.PARTS)
    if temporal_conv_startat is not None:
        _check_name("temporal_conv_startat", temporal_conv_startat, _WITH_3X3)
    if gating_startat is not None:
        _check_name("gating_startat", gating_startat, _WITH_3X3)

    depth = Variant(depth_multiplier, min_depth).depth
    net, end_points = inputs, {}
    frames, gate = 1, None
    module: Function = i3d_utils.inception_block_v1_3d
    with (
        variable_scope(scope, "InceptionV1"),
        arg_scope([conv3d], weights_initializer=truncated_normal_initializer(stddev=0.01)),
        i3d_utils.same_size_scope_3d(data_format),
    ):
        for name in inception_v1.PARTS:
            if name == temporal_conv_startat:
                frames = 3
            if name == gating_startat:
                gate = functools.partial(self_gating, data_format=data_format)
            if name in _POOLS:
                net = max_pool3d(net, *_POOLS[name], scope=name)
            elif name == "Conv2d_1a_7x7":
                size = [first_temporal_kernel_size, 7, 7]
                net = conv3d_spatiotemporal(net, depth(64), size, 2, separable=False, scope=name)
            elif name == "Conv2d_2b_1x1":
                net = conv3d(net, depth(64), [1, 1, 1], scope=name)
            elif name == "Conv2d_2c_3x3":
                net = conv3d_spatiotemporal(net, depth(192), [frames, 3, 3], scope=name)
                net = net if gate is None else gate(net, scope=name)
            else:
                net = module(
                    net,
                    *map(depth, inception_v1.MODULES[name]),
                    temporal_kernel_size=frames,
                    self_gating_fn=gate,
                    data_format=data_format,
                    scope=name,
                )
            end_points[name] = net
            if name == final_endpoint:
                break
    return net, end_points


@_common.with_image_size(224, s3dg_base)
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
    prediction_fn: Function = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    data_format: str = "NDHWC",
    scope: str = "InceptionV1",
) -> Outputs:
    """Inception V1 for videos, with separate convolutions in space and time, and gates.

    The variables have the names of Inception V1. Differs from TF-Slim: `num_classes` may be None
    or 0, and NCDHW is normalized by channel.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`, or with channels second if
        NCDHW. Up to 224x224 pixels give one prediction per video.
      num_classes: Number of logits; None or 0 for the pooled features.
      final_endpoint: The end point of `s3dg_base` that is classified.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, frames, height, width, channels]`;
      and the end points of `s3dg_base`, Logits and Predictions as a dict.

    Raises:
      ValueError: As `s3dg_base`; or the videos are too large to squeeze.
    """
    i3d_utils.check_videos(inputs, "s3dg", data_format)
    head = Head(num_classes, spatial_squeeze, False, dropout_keep_prob, prediction_fn)
    with _common.network_scope(scope, "InceptionV1", reuse, is_training) as opened:
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
        return i3d_utils.classify_videos(net, end_points, head, opened.name)
