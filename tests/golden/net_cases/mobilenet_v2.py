"""MobileNet V2 of research/slim, without dropout."""

from nets.mobilenet import conv_blocks, mobilenet, mobilenet_v2
from oracle import slim, tf

# Statistics that one step moves by more than the tolerance.
SCOPE = {"bn_decay": 0.9, "weight_decay": 0.01, "dropout_keep_prob": 1.0}
# Every kind of layer and of argument that V2's own definition does not use.
CONV_DEFS = {
    "defaults": mobilenet_v2.V2_DEF["defaults"],
    "overrides": {(slim.conv2d,): {"activation_fn": tf.nn.relu}},
    "spec": [
        mobilenet.op(slim.conv2d, num_outputs=32, kernel_size=[3, 3], stride=2),
        mobilenet.op(
            conv_blocks.split_separable_conv2d,
            num_outputs=32,
            stride=2,
            normalizer_fn=slim.batch_norm,
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            num_outputs=48,
            split_expansion=3,
            split_projection=2,
            depthwise_activation_fn=tf.nn.elu,
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            num_outputs=24,
            stride=2,
            depthwise_location="input",
            expansion_size=100,
            inner_activation_fn=tf.nn.elu,
            scope="second",
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            num_outputs=24,
            depthwise_location="output",
            kernel_size=(5, 5),
            depthwise_channel_multiplier=1,
            residual=lambda input_tensor, output_tensor: output_tensor - input_tensor,
            expansion_transform=lambda expansion_tensor, input_tensor: conv_blocks.squeeze_excite(
                expansion_tensor, pool=2, squeeze_input_tensor=input_tensor
            ),
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            multiplier_func=lambda params, multiplier: None,
            num_outputs=20,
            depthwise_location=None,
            residual=False,
            expansion_transform=lambda expansion_tensor, input_tensor: conv_blocks.squeeze_excite(
                expansion_tensor, pool=9
            ),
        ),
    ],
}


def v2(name="mobilenet", scope_arguments=(), **kwargs):
    """The network under its training scope."""
    function = getattr(mobilenet_v2, name)

    def build(images, num_classes, is_training):
        arguments = SCOPE | dict(scope_arguments)
        if not name.startswith("mobilenet_base"):
            kwargs["num_classes"] = num_classes
        with slim.arg_scope(mobilenet_v2.training_scope(is_training=is_training, **arguments)):
            return function(images, **kwargs)

    return build


def in_float64(build):
    """The network on float64 images, for training: see `check_training_in_float64`."""
    return lambda images, *arguments: build(tf.cast(images, tf.float64), *arguments)


# Of the first and last layers and some between; but the beta of a projection, which the next layers
# normalize away, has a gradient of rounding errors.
KEPT = r"^(?!.*project/BatchNorm/beta).*(V2/(Conv|Conv_1|expanded_conv(_(1|9|16))?)/|Logits)"
TREES = {
    name: (v2(function), (1, 224, 224, 3), 1001)
    for name, function in {
        "mobilenet_v2": "mobilenet",
        "mobilenet_v2_140": "mobilenet_v2_140",
        "mobilenet_v2_050": "mobilenet_v2_050",
        "mobilenet_v2_035": "mobilenet_v2_035",
    }.items()
}
VALUES = {
    "mobilenet_v2": (v2(), (1, 64, 48, 3), 11, False),
    "mobilenet_v2_fine": (
        v2(
            depth_multiplier=0.2,
            finegrain_classification_mode=True,
            min_depth=6,
            divisible_by=4,
            activation_fn=tf.nn.elu,
            use_reduce_mean_for_pooling=True,
            prediction_fn=None,
        ),
        (2, 33, 65, 3),
        5,
        False,
    ),
    "mobilenet_v2_train": (
        in_float64(v2(depth_multiplier=0.25)),
        (4, 64, 48, 3),
        7,
        True,
        KEPT,
    ),
    "mobilenet_v2_atrous": (
        v2(
            "mobilenet_base",
            depth_multiplier=0.1,
            output_stride=8,
            use_explicit_padding=True,
            final_endpoint="layer_16",
        ),
        (1, 64, 50, 3),
        None,
        False,
    ),
    "mobilenet_v2_group_norm": (
        v2("mobilenet_base_group_norm", depth_multiplier=0.1, groups=4),
        (1, 33, 32, 3),
        None,
        False,
    ),
    "mobilenet_v2_defined": (
        v2(conv_defs=CONV_DEFS, depth_multiplier=0.5),
        (2, 40, 56, 3),
        5,
        False,
    ),
}
