"""MobileNet V1 of research/slim, without dropout."""

from nets import mobilenet_v1
from oracle import slim, tf

ARG_SCOPE = {"batch_norm_decay": 0.9}
CONV_DEFS = [
    mobilenet_v1.Conv([5, 3], 2, 6),
    *[mobilenet_v1.DepthSepConv([3, 3], 1 + i % 2, 8 + i) for i in range(12)],
    mobilenet_v1.DepthSepConv([1, 3], 1, 9),
]


def v1(name="mobilenet_v1", scope_arguments=(), **kwargs):
    """The network under its arg_scope with a decay that moves the statistics."""
    function = getattr(mobilenet_v1, name)

    def build(images, num_classes, is_training):
        arguments = ARG_SCOPE | dict(scope_arguments)
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training, **arguments)):
            return function(images, num_classes, 1.0, is_training, **kwargs)

    return build


def v1_base(**kwargs):
    def build(images, num_classes, is_training):
        del num_classes
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training)):
            return mobilenet_v1.mobilenet_v1_base(images, **kwargs)

    return build


def in_float64(build):
    """The network on float64 images, for training: see `check_training_in_float64`."""
    return lambda images, *arguments: build(tf.cast(images, tf.float64), *arguments)


DECAYED = {"weight_decay": 0.01, "regularize_depthwise": True}
TREES = {
    name: (v1(name), (1, 224, 224, 3), 1000)
    for name in ("mobilenet_v1", "mobilenet_v1_075", "mobilenet_v1_050", "mobilenet_v1_025")
}
VALUES = {
    "mobilenet_v1": (v1(), (1, 64, 48, 3), 11, False),
    "mobilenet_v1_025": (
        v1("mobilenet_v1_025", spatial_squeeze=False),
        (1, 65, 256, 3),
        11,
        False,
    ),
    "mobilenet_v1_defined": (
        v1(conv_defs=CONV_DEFS, depth_multiplier=0.5, min_depth=5, global_pool=True),
        (2, 50, 33, 3),
        4,
        False,
    ),
    "mobilenet_v1_train": (
        in_float64(v1(scope_arguments=DECAYED, depth_multiplier=0.25, min_depth=12)),
        (4, 64, 64, 3),
        7,
        True,
        r"Conv2d_(0|1|5|13)|Logits",
    ),
    "mobilenet_v1_atrous": (
        v1_base(output_stride=8, depth_multiplier=0.25, use_explicit_padding=True),
        (1, 65, 50, 3),
        None,
        False,
    ),
    "mobilenet_v1_explicit": (
        v1_base(
            final_endpoint="Conv2d_6_depthwise",
            depth_multiplier=0.1,
            min_depth=6,
            use_explicit_padding=True,
        ),
        (2, 40, 37, 3),
        None,
        False,
    ),
    "mobilenet_v1_atrous_16": (
        v1_base(output_stride=16, depth_multiplier=0.25, final_endpoint="Conv2d_12_pointwise"),
        (1, 64, 50, 3),
        None,
        False,
    ),
}
