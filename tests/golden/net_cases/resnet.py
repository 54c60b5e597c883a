"""ResNet V1 and V2 of research/slim: those with names, and small ones for all arguments."""

from nets import resnet_utils, resnet_v1, resnet_v2
from oracle import slim, tf

MODULES = {1: resnet_v1, 2: resnet_v2}
# (base depth, units, stride) of each block; some units keep their depth and some do not.
SMALL = ((1, 3, 2), (2, 2, 2), (3, 2, 2), (4, 2, 1))


def network(version, layers, **kwargs):
    """A network with a name, under its arg_scope with a decay that moves the statistics."""
    function = getattr(MODULES[version], f"resnet_v{version}_{layers}")

    def build(images, num_classes, is_training):
        with slim.arg_scope(resnet_utils.resnet_arg_scope(batch_norm_decay=0.9)):
            return function(images, num_classes, is_training, **kwargs)

    return build


def small(version, is_bounded=False, **kwargs):
    """A network of four small blocks."""
    module = MODULES[version]

    def build(images, num_classes, is_training):
        block = getattr(module, f"resnet_v{version}_block")
        blocks = [block(f"block{i}", *sizes) for i, sizes in enumerate(SMALL, 1)]
        bounded = {"use_bounded_activations": True} if is_bounded else {}
        with (
            slim.arg_scope(resnet_utils.resnet_arg_scope(batch_norm_decay=0.9)),
            slim.arg_scope([module.bottleneck], **bounded),
        ):
            function = getattr(module, f"resnet_v{version}")
            return function(images, blocks, num_classes, is_training, **kwargs)

    return build


def in_float64(build):
    """The network on float64 images, for training: see `check_training_in_float64`."""
    return lambda images, *arguments: build(tf.cast(images, tf.float64), *arguments)


TREES = {
    f"resnet_v{version}_{layers}": (network(version, layers), (1, 224, 224, 3), 1001)
    for version in (1, 2)
    for layers in (50, 101, 152, 200)
}

# V2's biases but the last are normalized away, so that their gradients are rounding errors.
NOT_ZERO = r"weights|gamma|beta|moving|logits"
DENSE = {"global_pool": False, "spatial_squeeze": False}
VALUES = {
    "resnet_v1_50": (
        network(1, 50, depth_multiplier=0.3, min_base_depth=24),
        (2, 65, 48, 3),
        11,
        False,
    ),
    "resnet_v2_50": (network(2, 50), (1, 33, 48, 3), 11, False),
    "resnet_v1_stored": (
        small(1, output_stride=16, store_non_strided_activations=True, **DENSE),
        (2, 65, 81, 3),
        5,
        False,
    ),
    "resnet_v1_bounded": (small(1, is_bounded=True), (2, 40, 33, 3), 5, False),
    **{
        f"resnet_v{version}_{name}": case
        for version in (1, 2)
        for name, case in {
            "small_train": (in_float64(small(version)), (4, 65, 48, 3), 7, True, NOT_ZERO),
            "atrous": (small(version, output_stride=8, **DENSE), (2, 65, 81, 3), 5, False),
            "atrous_all": (small(version, output_stride=4, **DENSE), (1, 33, 30, 3), None, False),
            "rootless": (small(version, include_root_block=False), (2, 16, 17, 6), None, False),
            "rootless_atrous": (
                small(version, include_root_block=False, output_stride=2, **DENSE),
                (1, 16, 17, 6),
                3,
                False,
            ),
        }.items()
    },
}
