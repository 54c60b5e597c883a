"""I3D: Inception V1 for videos, with every convolution one over space and time.

    with slim.arg_scope(i3d.i3d_arg_scope()):
        logits, end_points = i3d.i3d(videos)

Carreira and Zisserman, "Quo vadis, action recognition? A new model and the Kinetics dataset"
(2017), https://arxiv.org/abs/1705.07750, figure 3.
"""

from collections.abc import Callable

import jax

from jslim.core.arg_scope import ArgScope
from jslim.core.names import Reuse, VariableScope
from jslim.layers import softmax
from jslim.nets._common import EndPoints, Head, described, network_scope, with_image_size
from jslim.nets.i3d_utils import check_videos, classify_videos, video_arg_scope
from jslim.nets.s3dg import s3dg_base


def i3d_arg_scope(
    weight_decay: float = 1e-7,
    batch_norm_decay: float = 0.999,
    batch_norm_epsilon: float = 0.001,
    use_renorm: bool = False,
    separable_conv3d: bool = False,
) -> ArgScope:
    """The defaults that I3D was made with: batch normalization and L2 on weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      use_renorm: Whether to normalize in training by `renorm` of `batch_norm`.
      separable_conv3d: Whether convolutions after the first are one in space and one in time.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return video_arg_scope(
        weight_decay, batch_norm_decay, batch_norm_epsilon, use_renorm, separable_conv3d
    )


def i3d_base(
    inputs: jax.Array,
    final_endpoint: str = "Mixed_5c",
    scope: str | VariableScope | None = "InceptionV1",
) -> tuple[jax.Array, EndPoints]:
    """I3D without its classifier.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`.
      final_endpoint: The end point to stop at, one of those of `s3dg_base`.
      scope: The variable scope.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. At Mixed_5c it has
      an 8th of the frames and a 32nd of the height and width, rounded up, with 1024 channels.

    Raises:
      ValueError: As `s3dg_base`.
    """
    return s3dg_base(
        inputs,
        first_temporal_kernel_size=7,
        gating_startat=None,
        final_endpoint=final_endpoint,
        scope=scope,
    )


@with_image_size(224)
@described(i3d_base)
def i3d(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    dropout_keep_prob: float = 0.8,
    is_training: bool = True,
    prediction_fn: Callable[..., jax.Array] = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: str = "InceptionV1",
) -> tuple[jax.Array, EndPoints]:
    """Inception V1 with a third dimension, time, in all its kernels.

    Its variables have the names of Inception V1. Differs from TF-Slim: it has a mode without
    classes.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`. Up to 224x224 pixels give one
        prediction a video.
      num_classes: How many logits to give; None or 0 for the pooled features.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, frames, height, width, 1024]`; and
      the end points of `i3d_base`, Logits and Predictions as a dict.

    Raises:
      ValueError: The inputs are not a batch of videos, or too large to squeeze.
    """
    check_videos(inputs, "i3d")
    head = Head(num_classes, spatial_squeeze, False, dropout_keep_prob, prediction_fn)
    with network_scope(scope, "InceptionV1", reuse, is_training) as opened:
        net, end_points = i3d_base(inputs, scope=opened)
        return classify_videos(net, end_points, head, opened.name)
