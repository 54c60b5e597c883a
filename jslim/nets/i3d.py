"""I3D: Inception V1 for videos, with convolutions over space and time.

    with slim.arg_scope(i3d.i3d_arg_scope()):
        logits, end_points = i3d.i3d(videos)

Carreira and Zisserman, "Quo vadis, action recognition? A new model and the Kinetics dataset"
(2017), https://arxiv.org/abs/1705.07750, figure 3.
"""

import jax

from jslim.core.names import Reuse
from jslim.layers import softmax
from jslim.nets import _common, i3d_utils
from jslim.nets._common import Function, Head, Outputs, Scope
from jslim.nets.s3dg import s3dg_base

i3d_arg_scope = i3d_utils.i3d_arg_scope


def i3d_base(
    inputs: jax.Array, final_endpoint: str = "Mixed_5c", scope: Scope = "InceptionV1"
) -> Outputs:
    """I3D without its classifier.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`.
      final_endpoint: The end point to stop at, as for `s3dg_base`.
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


@_common.with_image_size(224, i3d_base)
def i3d(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    dropout_keep_prob: float = 0.8,
    is_training: bool = True,
    prediction_fn: Function = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: str = "InceptionV1",
) -> Outputs:
    """Inception V1 with a third dimension, time, in all its kernels.

    The variables have the names of Inception V1. Differs from TF-Slim: `num_classes` may be None
    or 0.

    Args:
      inputs: Videos, `[batch, frames, height, width, channels]`. Up to 224x224 pixels give one
        prediction per video.
      num_classes: Number of logits; None or 0 for the pooled features.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, frames, height, width, 1024]`; and
      the end points of `i3d_base`, Logits and Predictions as a dict.

    Raises:
      ValueError: The inputs are not a batch of videos, or they are too large to squeeze.
    """
    i3d_utils.check_videos(inputs, "i3d")
    head = Head(num_classes, spatial_squeeze, False, dropout_keep_prob, prediction_fn)
    with _common.network_scope(scope, "InceptionV1", reuse, is_training) as opened:
        net, end_points = i3d_base(inputs, scope=opened)
        return i3d_utils.classify_videos(net, end_points, head, opened.name)
