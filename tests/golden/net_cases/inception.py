"""Inception V1 to V4 and Inception-ResNet V2 of research/slim, without dropout."""

from unittest import mock

from nets import inception
from oracle import slim, tf


def network(name, arg_scope="inception_v3_arg_scope", **kwargs):
    """The network under the arg_scope that the factory of research/slim gives it."""
    function = getattr(inception, name)

    def build(images, num_classes, is_training):
        arguments = {"num_classes": num_classes, "is_training": is_training, **kwargs}
        with slim.arg_scope(getattr(inception, arg_scope)(batch_norm_decay=DECAY)):
            return function(images, dropout_keep_prob=1.0, **arguments)

    return build


def in_float64(build):
    """The network on float64 images, for training: see `check_training_in_float64`."""
    return lambda images, *arguments: build(tf.cast(images, tf.float64), *arguments)


def shortened(build):
    """The network with no layer repeated more than twice, so that a step can be tested fast."""

    def repeat(inputs, repetitions, *args, **kwargs):
        return slim_repeat(inputs, min(repetitions, 2), *args, **kwargs)

    slim_repeat = slim.repeat

    def build_shortened(*arguments):
        with mock.patch.object(slim, "repeat", repeat):
            return build(*arguments)

    return build_shortened


def base(name, arg_scope="inception_v3_arg_scope", **kwargs):
    """The network without its classifier, in inference."""

    def build(images, num_classes, is_training):
        del num_classes
        with (
            slim.arg_scope(getattr(inception, arg_scope)()),
            slim.arg_scope([slim.batch_norm], is_training=is_training),
        ):
            return getattr(inception, name)(images, **kwargs)

    return build


# A decay that moves the statistics by more than the tolerance.
DECAY = 0.9
# The variables whose gradients and moving statistics are kept: of the first and the last layers,
# and of the modules where something is special.
ENDS = r"/Conv2d_[1247]|/Mixed_(5b|6a|7)|Logits"

RESNET = "inception_resnet_v2_arg_scope"

TREES = {
    "inception_resnet_v2": (network("inception_resnet_v2", RESNET), (1, 299, 299, 3), 1001),
    "inception_v1": (network("inception_v1"), (1, 224, 224, 3), 1000),
    "inception_v2": (network("inception_v2"), (1, 224, 224, 3), 1000),
    "inception_v3": (network("inception_v3"), (1, 299, 299, 3), 1000),
    "inception_v4": (network("inception_v4"), (1, 299, 299, 3), 1001),
}

VALUES = {
    "inception_v1": (
        network("inception_v1", spatial_squeeze=False),
        (1, 193, 225, 3),
        11,
        False,
    ),
    "inception_v1_train": (
        in_float64(network("inception_v1", global_pool=True)),
        (4, 40, 48, 3),
        7,
        True,
        ENDS,
    ),
    "inception_v1_base": (
        base("inception_v1_base", include_root_block=False, final_endpoint="Mixed_4b"),
        (1, 15, 14, 192),
        None,
        False,
    ),
    "inception_v2": (
        network("inception_v2", depth_multiplier=0.3, min_depth=20),
        (2, 49, 224, 3),
        11,
        False,
    ),
    "inception_v2_map": (
        network("inception_v2", spatial_squeeze=False),
        (1, 33, 257, 3),
        11,
        False,
    ),
    "inception_v2_train": (
        in_float64(network("inception_v2", depth_multiplier=0.25, min_depth=20, global_pool=True)),
        (4, 40, 48, 3),
        7,
        True,
        r"V2/Conv2d_|/Mixed_(4a|5c)|Logits",
    ),
    "inception_v2_base": (
        base(
            "inception_v2_base",
            use_separable_conv=False,
            depth_multiplier=0.5,
            final_endpoint="Mixed_4a",
        ),
        (1, 45, 35, 3),
        None,
        False,
    ),
    "inception_v3": (network("inception_v3"), (1, 139, 107, 3), 11, False),
    "inception_v3_map": (
        network("inception_v3", depth_multiplier=0.3, min_depth=20, spatial_squeeze=False),
        (1, 107, 363, 3),
        11,
        False,
    ),
    "inception_v3_without_aux": (
        network("inception_v3", depth_multiplier=0.1, create_aux_logits=False, global_pool=True),
        (2, 75, 80, 3),
        11,
        False,
    ),
    "inception_v3_train": (
        in_float64(network("inception_v3", depth_multiplier=0.5, min_depth=24)),
        (4, 107, 115, 3),
        7,
        True,
        ENDS,
    ),
    "inception_v4": (network("inception_v4"), (1, 139, 107, 3), 11, False),
    "inception_v4_train": (
        in_float64(network("inception_v4")),
        (2, 107, 107, 3),
        7,
        True,
        r"V4/Conv2d_|/Mixed_(4a|5b|7d)|Logits",
    ),
    "inception_resnet_v2": (
        network("inception_resnet_v2", RESNET),
        (1, 107, 139, 3),
        11,
        False,
    ),
    "inception_resnet_v2_aligned": (
        base(
            "inception_resnet_v2_base",
            RESNET,
            output_stride=8,
            align_feature_maps=True,
            activation_fn=tf.nn.relu6,
            final_endpoint="PreAuxLogits",
        ),
        (1, 33, 41, 3),
        None,
        False,
    ),
    "inception_resnet_v2_train": (
        in_float64(shortened(network("inception_resnet_v2", RESNET))),
        (2, 107, 107, 3),
        7,
        True,
        r"V2/Conv2d_|/Mixed_5b|/block(35_1|17_2)/|/Block8|Logits",
    ),
}
