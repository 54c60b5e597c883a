"""MobileNet V3 of research/slim and its relative for the Edge TPU, without dropout."""

from nets.mobilenet import mobilenet_v3
from oracle import slim, tf

# Statistics that one step moves by more than the tolerance.
SCOPE = {"bn_decay": 0.9, "weight_decay": 0.01, "dropout_keep_prob": 1.0}


def v3(name, **kwargs):
    """The network under its training scope; `num_classes` None gives `mobilenet_base`'s."""
    function = getattr(mobilenet_v3, name)

    def build(images, num_classes, is_training):
        arguments = dict(kwargs) if num_classes is None else {"num_classes": num_classes, **kwargs}
        with slim.arg_scope(mobilenet_v3.training_scope(is_training=is_training, **SCOPE)):
            return function(images, **arguments)

    return build


def in_float64(build):
    """The network on float64 images, for training: see `check_training_in_float64`."""
    return lambda images, *arguments: build(tf.cast(images, tf.float64), *arguments)


THREE_QUARTERS = {"depth_multiplier": 0.75, "finegrain_classification_mode": True}
TREES = {
    name: (v3(function, **kwargs), (1, 224, 224, 3), 1001)
    for name, (function, kwargs) in {
        "mobilenet_v3_large": ("large", {}),
        "mobilenet_v3_small": ("small", {}),
        "mobilenet_v3_large_minimalistic": ("large_minimalistic", {}),
        "mobilenet_v3_small_minimalistic": ("small_minimalistic", {}),
        "mobilenet_v3_large_075": ("large", THREE_QUARTERS),
        "mobilenet_v3_small_075": ("small", THREE_QUARTERS),
        "mobilenet_v3_large_123": ("large", {"depth_multiplier": 1.23}),
        "mobilenet_edgetpu": ("edge_tpu", {}),
        "mobilenet_edgetpu_075": ("edge_tpu_075", {}),
    }.items()
}
# Of the first and last layers and some between; but the beta of a projection, which the next layers
# normalize away, has a gradient of rounding errors.
KEPT = r"^(?!.*project/BatchNorm/beta).*((V3|TPU)/(Conv|Conv_1|expanded_conv(_(1|4|10))?)/|Logits)"
VALUES = {
    "mobilenet_v3_large": (v3("large", depth_multiplier=0.5), (1, 64, 64, 3), 11, False),
    "mobilenet_v3_small": (v3("small"), (2, 33, 33, 3), 5, False),
    "mobilenet_v3_large_minimalistic": (
        v3("large_minimalistic", depth_multiplier=1.23),
        (1, 33, 33, 3),
        5,
        False,
    ),
    "mobilenet_v3_small_minimalistic": (
        v3(
            "small_minimalistic",
            finegrain_classification_mode=True,
            prediction_fn=None,
            depth_multiplier=0.2,
        ),
        # Not square: the pooling has windows of 7x7.
        (1, 224, 256, 3),
        5,
        False,
    ),
    "mobilenet_v3_group_norm": (
        v3("small", use_groupnorm=True, groups=4, depth_multiplier=0.5),
        (1, 64, 64, 3),
        5,
        False,
    ),
    "mobilenet_v3_detection": (
        v3(
            "mobilenet_base",
            conv_defs=mobilenet_v3.V3_SMALL_DETECTION,
            output_stride=16,
            final_endpoint="layer_13",
        ),
        (1, 64, 50, 3),
        None,
        False,
    ),
    "mobilenet_v3_train": (
        in_float64(v3("small", depth_multiplier=0.5)),
        (4, 64, 64, 3),
        7,
        True,
        KEPT,
    ),
    "mobilenet_edgetpu": (v3("edge_tpu_075"), (1, 33, 48, 3), 5, False),
    "mobilenet_edgetpu_train": (
        in_float64(v3("edge_tpu", depth_multiplier=0.25)),
        (4, 64, 48, 3),
        7,
        True,
        KEPT,
    ),
}
