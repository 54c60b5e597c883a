"""Inception V1 to V4 and Inception-ResNet V2 of research/slim, without dropout."""

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

TREES = {
    "inception_v1": (network("inception_v1"), (1, 224, 224, 3), 1000),
    "inception_v3": (network("inception_v3"), (1, 299, 299, 3), 1000),
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
}
