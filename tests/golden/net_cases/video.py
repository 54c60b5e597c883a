"""I3D and S3D-G of research/slim, without dropout."""

from unittest import mock

from nets import i3d as i3d_module
from nets import i3d_utils
from nets import s3dg as s3dg_module
from oracle import slim, tf
from tensorflow.python.ops import nn


def network(function, arg_scope, scope_arguments=(), **kwargs):
    """The network under its arg_scope."""

    def build(videos, num_classes, is_training):
        with slim.arg_scope(arg_scope(**dict(scope_arguments))):
            return function(
                videos, num_classes, is_training=is_training, dropout_keep_prob=1.0, **kwargs
            )

    return build


def i3d(scope_arguments=(), **kwargs):
    return network(i3d_module.i3d, i3d_module.i3d_arg_scope, scope_arguments, **kwargs)


def s3dg(scope_arguments=(), **kwargs):
    return network(s3dg_module.s3dg, s3dg_module.s3dg_arg_scope, scope_arguments, **kwargs)


# A decay that moves the statistics by more than the tolerance.
TRAINED = {"batch_norm_epsilon": 0.01, "batch_norm_decay": 0.9, "weight_decay": 0.01}
# The variables whose gradients and moving statistics are kept: of the first and the last layers,
# and of a module in the middle.
ENDS = r"V1/Conv2d_|/Mixed_(4b|5c)|Logits"


def pool3d_by(pool2d):
    """A 3-D pool in space and then in time, for float64, which TensorFlow's own ones lack."""

    def pool3d(videos, ksize, strides, padding, **_):
        batch, frames, height, width, channels = videos.shape.as_list()
        net = tf.reshape(videos, [batch * frames, height, width, channels])
        net = pool2d(net, [1, *ksize[2:]], [1, *strides[2:]], padding)
        _, height, width, _ = net.shape.as_list()
        net = tf.reshape(net, [batch, frames, height * width, channels])
        net = pool2d(net, [1, ksize[1], 1, 1], [1, strides[1], 1, 1], padding)
        return tf.reshape(net, [batch, -1, height, width, channels])

    return pool3d


def in_float64(build):
    """The network on float64 videos, for training: see `check_training_in_float64`."""

    def build_in_float64(videos, *arguments):
        with (
            mock.patch.object(nn, "max_pool3d", pool3d_by(tf.nn.max_pool2d)),
            mock.patch.object(nn, "avg_pool3d", pool3d_by(tf.nn.avg_pool2d)),
            # It refuses float64, and its values are replaced by seeded ones.
            mock.patch.object(i3d_utils, "center_initializer", tf.zeros_initializer),
        ):
            return build(tf.cast(videos, tf.float64), *arguments)

    return build_in_float64


TREES = {
    "i3d": (i3d(), (1, 64, 224, 224, 3), 1000),
    "s3dg": (s3dg(), (1, 64, 224, 224, 3), 1000),
}

VALUES = {
    "i3d": (i3d(), (1, 9, 48, 56, 3), 11, False),
    "i3d_train": (in_float64(i3d(TRAINED)), (4, 4, 33, 33, 3), 7, True, ENDS),
    "i3d_separable": (i3d({"separable_conv3d": True}), (1, 4, 32, 32, 3), 11, False),
    "s3dg": (s3dg(), (1, 9, 48, 48, 3), 11, False),
    "s3dg_train": (
        in_float64(s3dg(TRAINED, depth_multiplier=0.25, min_depth=20)),
        (4, 4, 33, 33, 3),
        7,
        True,
        ENDS,
    ),
    "s3dg_arguments": (
        s3dg(
            first_temporal_kernel_size=5,
            temporal_conv_startat="Mixed_3c",
            gating_startat="Mixed_4b",
            final_endpoint="Mixed_4c",
            depth_multiplier=0.25,
            min_depth=10,
            spatial_squeeze=False,
        ),
        (2, 6, 128, 128, 3),
        5,
        False,
    ),
}
