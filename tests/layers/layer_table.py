"""The table of layers that `test_layers_table.py` goes through: one row a layer."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jslim as slim

IMAGES = (8, 5, 6, 3)
VOLUMES = (8, 4, 3, 5, 3)
WAVES = (8, 7, 3)
ROWS = (8, 3)


@dataclass(frozen=True)
class Row:
    """What a layer is called with and what must come of it.

    Every layer takes `[batch, ...]` with batch 8, and works on each example by itself unless
    `is_per_example` says otherwise.
    """

    layer: Callable  # of the inputs; also takes `scope`
    shape: tuple[int, ...]  # of the inputs
    scope: str  # the default one
    variables: list[str]  # in the order they are made
    has_outputs_collections: bool = True
    has_variables_collections: bool = True
    has_dtypes: bool = True  # `dtype` and `param_dtype`
    has_reuse: bool = True
    are_model_variables: bool = True
    is_arg_scoped: bool = True
    is_per_example: bool = True  # False where examples are mixed, or the batch is not axis 0


TABLE = {
    "conv2d": Row(
        functools.partial(slim.conv2d, num_outputs=4, kernel_size=3),
        IMAGES,
        "Conv",
        ["weights", "biases"],
    ),
    "conv2d_1x1": Row(
        functools.partial(slim.conv2d, num_outputs=4, kernel_size=1, stride=2),
        IMAGES,
        "Conv",
        ["weights", "biases"],
    ),
    "convolution": Row(
        functools.partial(slim.convolution, num_outputs=4, kernel_size=3),
        IMAGES,
        "Conv",
        ["weights", "biases"],
    ),
    "convolution_of_waves": Row(
        functools.partial(slim.convolution, num_outputs=4, kernel_size=1, stride=2),
        WAVES,
        "Conv",
        ["weights", "biases"],
    ),
    "conv1d": Row(
        functools.partial(slim.conv1d, num_outputs=4, kernel_size=3),
        WAVES,
        "Conv",
        ["weights", "biases"],
    ),
    "conv3d": Row(
        functools.partial(slim.conv3d, num_outputs=4, kernel_size=2),
        VOLUMES,
        "Conv",
        ["weights", "biases"],
    ),
    "conv3d_transpose": Row(
        functools.partial(slim.conv3d_transpose, num_outputs=4, kernel_size=3, stride=2),
        VOLUMES,
        "Conv3d_transpose",
        ["weights", "biases"],
    ),
    "conv2d_normalized": Row(
        functools.partial(
            slim.conv2d,
            num_outputs=4,
            kernel_size=3,
            normalizer_fn=slim.batch_norm,
            normalizer_params={"is_training": False, "scale": True},
        ),
        IMAGES,
        "Conv",
        [
            "weights",
            "BatchNorm/gamma",
            "BatchNorm/beta",
            "BatchNorm/moving_mean",
            "BatchNorm/moving_variance",
        ],
    ),
    "conv2d_in_plane": Row(
        functools.partial(slim.conv2d_in_plane, kernel_size=3),
        IMAGES,
        "ConvInPlane",
        ["weights", "biases"],
    ),
    "conv2d_transpose": Row(
        functools.partial(slim.conv2d_transpose, num_outputs=4, kernel_size=3, stride=2),
        IMAGES,
        "Conv2d_transpose",
        ["weights", "biases"],
    ),
    "separable_conv2d": Row(
        functools.partial(slim.separable_conv2d, num_outputs=4, kernel_size=3),
        IMAGES,
        "SeparableConv2d",
        ["depthwise_weights", "pointwise_weights", "biases"],
    ),
    "separable_conv2d_depthwise": Row(
        functools.partial(slim.separable_conv2d, num_outputs=None, kernel_size=3),
        IMAGES,
        "SeparableConv2d",
        ["depthwise_weights", "biases"],
    ),
    "fully_connected": Row(
        functools.partial(slim.fully_connected, num_outputs=4),
        ROWS,
        "fully_connected",
        ["weights", "biases"],
    ),
    "linear": Row(
        functools.partial(slim.linear, num_outputs=4),
        ROWS,
        "fully_connected",
        ["weights", "biases"],
        is_arg_scoped=False,
    ),
    "relu": Row(
        functools.partial(slim.relu, num_outputs=4),
        ROWS,
        "fully_connected",
        ["weights", "biases"],
        is_arg_scoped=False,
    ),
    "relu6": Row(
        functools.partial(slim.relu6, num_outputs=4),
        ROWS,
        "fully_connected",
        ["weights", "biases"],
        is_arg_scoped=False,
    ),
    "elu": Row(
        functools.partial(slim.elu, num_outputs=4),
        ROWS,
        "fully_connected",
        ["weights", "biases"],
        is_arg_scoped=False,
    ),
    "spatial_softmax": Row(
        lambda x, scope=None, **kwargs: slim.spatial_softmax(x, name=scope, **kwargs),
        IMAGES,
        "spatial_softmax",
        ["temperature"],
        has_outputs_collections=False,
        has_reuse=False,
        is_arg_scoped=False,
    ),
    "maxout": Row(
        functools.partial(slim.maxout, num_units=1),
        IMAGES,
        "MaxOut",
        [],
        has_outputs_collections=False,
    ),
    "images_to_sequence": Row(
        slim.images_to_sequence, IMAGES, "ImagesToSequence", [], is_per_example=False
    ),
    "sequence_to_images": Row(
        functools.partial(slim.sequence_to_images, height=2),
        (8, 4, 3),
        "SequenceToImages",
        [],
        is_per_example=False,
    ),
    "scale_gradient": Row(
        lambda x, scope=None: slim.scale_gradient(x, 0.5),
        ROWS,
        "",
        [],
        has_outputs_collections=False,
        is_arg_scoped=False,
    ),
    "legacy_fully_connected": Row(
        lambda x, scope=None, **kwargs: slim.legacy_fully_connected(x, 4, name=scope, **kwargs),
        ROWS,
        "fully_connected",
        ["weights", "bias"],
        has_outputs_collections=False,
        has_variables_collections=False,
        has_dtypes=False,
        has_reuse=False,
        are_model_variables=False,
        is_arg_scoped=False,
    ),
    "batch_norm": Row(
        functools.partial(slim.batch_norm, is_training=False, scale=True),
        IMAGES,
        "BatchNorm",
        ["gamma", "beta", "moving_mean", "moving_variance"],
    ),
    "batch_norm_renorm": Row(
        functools.partial(slim.batch_norm, is_training=False, renorm=True),
        IMAGES,
        "BatchNorm",
        [
            "beta",
            "moving_mean",
            "moving_variance",
            "moving_stddev",
            "renorm_mean",
            "renorm_stddev",
        ],
    ),
    "layer_norm": Row(slim.layer_norm, IMAGES, "LayerNorm", ["beta", "gamma"]),
    "instance_norm": Row(slim.instance_norm, IMAGES, "InstanceNorm", ["beta", "gamma"]),
    "group_norm": Row(
        functools.partial(slim.group_norm, groups=3), IMAGES, "GroupNorm", ["beta", "gamma"]
    ),
    "gdn": Row(
        lambda x, scope=None, **kwargs: slim.gdn(x, name=scope, **kwargs),
        IMAGES,
        "gdn",
        ["reparam_beta", "reparam_gamma"],
        has_outputs_collections=False,
        has_variables_collections=False,
        is_arg_scoped=False,
    ),
    "bias_add": Row(slim.bias_add, IMAGES, "BiasAdd", ["biases"]),
    "max_pool2d": Row(functools.partial(slim.max_pool2d, kernel_size=2), IMAGES, "MaxPool2D", []),
    "avg_pool2d": Row(functools.partial(slim.avg_pool2d, kernel_size=2), IMAGES, "AvgPool2D", []),
    "max_pool3d": Row(functools.partial(slim.max_pool3d, kernel_size=2), VOLUMES, "MaxPool3D", []),
    "avg_pool3d": Row(functools.partial(slim.avg_pool3d, kernel_size=2), VOLUMES, "AvgPool3D", []),
    "max_pool": Row(
        functools.partial(slim.pool, kernel_size=2, pooling_type="MAX", dilation_rate=2),
        WAVES,
        "max_pool",
        [],
    ),
    "avg_pool": Row(
        functools.partial(slim.pool, kernel_size=2, pooling_type="AVG", padding="SAME"),
        IMAGES,
        "avg_pool",
        [],
    ),
    "dropout": Row(functools.partial(slim.dropout, is_training=False), ROWS, "Dropout", []),
    "flatten": Row(slim.flatten, IMAGES, "Flatten", []),
    "softmax": Row(slim.softmax, ROWS, "softmax", [], has_outputs_collections=False),
    "unit_norm": Row(
        functools.partial(slim.unit_norm, dim=1),
        ROWS,
        "UnitNorm",
        [],
        has_outputs_collections=False,
    ),
}

# What has no row: several arguments, no array as result, or integers; each has tests of its own.
OTHERS = {
    "GDN",  # the class of gdn
    "RevBlock",
    "bucketize",
    "dense_to_sparse",
    "frozen_batch_norm",  # a context
    "legacy_linear",  # legacy_fully_connected by another name
    "legacy_relu",
    "one_hot_encoding",
    "poincare_normalize",
    "recompute_grad",
    "recompute_scopes",
    "repeat",
    "rev_block",
    "stack",
}
