"""NASNet and PNASNet of research/slim, without dropout and dropped paths where they train."""

from nets.nasnet import nasnet, pnasnet
from oracle import slim, tf


def network(module, name, config="mobile_imagenet_config", fields=(), **kwargs):
    """The network under its arg_scope with a decay that moves the statistics."""
    function = getattr(module, f"build_{name}")
    arg_scope = getattr(module, f"{name}_arg_scope")

    def build(images, num_classes, is_training):
        chosen = getattr(module, config)()
        for field, value in dict(fields).items():
            chosen.set_hparam(field, value)
        # TensorFlow has no fused batch normalization in float64.
        fused = images.dtype != tf.float64
        with (
            slim.arg_scope(arg_scope(batch_norm_decay=0.9)),
            slim.arg_scope([slim.batch_norm], fused=fused),
        ):
            return function(images, num_classes, is_training, config=chosen, **kwargs)

    return build


def in_float64(build):
    """The network on float64 images, for training: see `check_training_in_float64`."""
    return lambda images, *arguments: build(tf.cast(images, tf.float64), *arguments)


CONFIGS = {
    "nasnet_cifar": (nasnet, "cifar_config", 32, 10),
    "nasnet_mobile": (nasnet, "mobile_imagenet_config", 224, 1001),
    "nasnet_large": (nasnet, "large_imagenet_config", 331, 1001),
    "pnasnet_mobile": (pnasnet, "mobile_imagenet_config", 224, 1001),
    "pnasnet_large": (pnasnet, "large_imagenet_config", 331, 1001),
}
TREES = {
    name: (network(module, name, config), (1, size, size, 3), classes)
    for name, (module, config, size, classes) in CONFIGS.items()
}

SMALL = {"num_cells": 2, "num_conv_filters": 8}
TRAINED = {**SMALL, "drop_path_keep_prob": 1.0, "dense_dropout_keep_prob": 1.0}
BOUNDED = {**SMALL, "num_conv_filters": 12, "use_bounded_activation": True}
FIRST_AND_LAST = r"conv0|stem|cell_(0|1)/|final|aux"
VALUES = {
    "nasnet_mobile": (network(nasnet, "nasnet_mobile", fields=SMALL), (1, 63, 72, 3), 11, False),
    "nasnet_cifar_train": (
        in_float64(network(nasnet, "nasnet_cifar", "cifar_config", TRAINED)),
        (4, 24, 24, 3),
        7,
        True,
        r"l1_stem|cell_(0|1)/|final|aux",
    ),
    "nasnet_large": (
        network(
            nasnet,
            "nasnet_large",
            "large_imagenet_config",
            {**BOUNDED, "num_cells": 3, "filter_scaling_rate": 1.5},
        ),
        (1, 65, 65, 3),
        11,
        False,
    ),
    "nasnet_mobile_stopped": (
        network(
            nasnet,
            "nasnet_mobile",
            fields={
                **SMALL,
                "num_cells": 3,
                "stem_multiplier": 0.5,
                "skip_reduction_layer_input": 1,
            },
            final_endpoint="Reduction_Cell_1",
        ),
        (2, 33, 33, 3),
        None,
        False,
    ),
    "pnasnet_mobile": (
        network(pnasnet, "pnasnet_mobile", fields=SMALL),
        (1, 63, 72, 3),
        11,
        False,
    ),
    "pnasnet_large_train": (
        in_float64(network(pnasnet, "pnasnet_large", "large_imagenet_config", TRAINED)),
        (3, 72, 72, 3),
        7,
        True,
        FIRST_AND_LAST,
    ),
    "pnasnet_mobile_far": (
        network(
            pnasnet,
            "pnasnet_mobile",
            fields={**BOUNDED, "num_cells": 5, "skip_reduction_layer_input": 0},
            final_endpoint="Cell_3",
        ),
        (2, 33, 33, 3),
        None,
        False,
    ),
}
