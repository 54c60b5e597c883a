"""The arguments of the networks: TF-Slim's names, order and defaults, each described once."""

import inspect
import re

import jax
import jax.numpy as jnp
import pytest

from jslim.layers import softmax
from jslim.nets import mobilenet_v3, nets_factory, resnet_v1

IMAGES = jnp.ones((1, 8, 8, 3))
SMALL = {
    "num_classes": 10,
    "is_training": False,
    "dropout_keep_prob": 0.5,
    "prediction_fn": softmax,
}
LARGE = {
    "num_classes": 1000,
    "is_training": True,
    "dropout_keep_prob": 0.5,
    "spatial_squeeze": True,
}

INCEPTION = {
    "num_classes": 1000,
    "is_training": True,
    "dropout_keep_prob": 0.8,
}
VIDEO = {
    "dropout_keep_prob": 0.8,
    "is_training": True,
    "prediction_fn": softmax,
    "spatial_squeeze": True,
    "reuse": None,
}

RESNET = {
    "num_classes": None,
    "is_training": True,
    "global_pool": True,
    "output_stride": None,
    "spatial_squeeze": True,
}
RESNET_V1 = {
    **RESNET,
    "store_non_strided_activations": False,
    "min_base_depth": 8,
    "depth_multiplier": 1,
}

MOBILENET_V1 = {
    "num_classes": 1000,
    "dropout_keep_prob": 0.999,
    "is_training": True,
    "min_depth": 8,
    "depth_multiplier": 1.0,
    "conv_defs": None,
    "prediction_fn": softmax,
    "spatial_squeeze": True,
    "reuse": None,
    "scope": "MobilenetV1",
    "global_pool": False,
}

# `num_classes` has no default there.
NASNET = {"num_classes": inspect.Parameter.empty, "is_training": True}
PNASNET = {**NASNET, "final_endpoint": None, "config": None}

MOBILENET_V2 = {
    "num_classes": 1001,
    "depth_multiplier": 1.0,
    "scope": "MobilenetV2",
    "conv_defs": None,
    "finegrain_classification_mode": False,
    "min_depth": None,
    "divisible_by": None,
    "activation_fn": None,
    "kwargs": inspect.Parameter.empty,
}
MOBILENET_V3 = {
    "num_classes": 1001,
    "depth_multiplier": 1.0,
    "scope": "MobilenetV3",
    "conv_defs": mobilenet_v3.V3_LARGE,
    "finegrain_classification_mode": False,
    "use_groupnorm": False,
    "groups": 8,  # which research/slim takes from `kwargs`
    "kwargs": inspect.Parameter.empty,
}


@pytest.mark.parametrize(
    ("name", "first", "defaults"),
    [
        ("mobilenet_v2", "input_tensor", MOBILENET_V2),
        ("mobilenet_v2_140", "input_tensor", {**MOBILENET_V2, "depth_multiplier": 1.4}),
        ("mobilenet_v3_large", "input_tensor", MOBILENET_V3),
        (
            "mobilenet_v3_small_075",
            "input_tensor",
            {
                **MOBILENET_V3,
                "conv_defs": mobilenet_v3.V3_SMALL,
                "depth_multiplier": 0.75,
                "finegrain_classification_mode": True,
            },
        ),
        ("nasnet_cifar", "images", {**NASNET, "config": None, "current_step": None}),
        ("nasnet_mobile", "images", {**PNASNET, "current_step": None}),
        ("nasnet_large", "images", {**PNASNET, "current_step": None}),
        ("pnasnet_mobile", "images", PNASNET),
        ("pnasnet_large", "images", PNASNET),
        ("mobilenet_v1", "inputs", MOBILENET_V1),
        *(
            (f"mobilenet_v1_{n}", "inputs", {**MOBILENET_V1, "depth_multiplier": int(n) / 100})
            for n in ("075", "050", "025")
        ),
        *(
            (name, "inputs", {**arguments, "reuse": None, "scope": name})
            for version, arguments in ((1, RESNET_V1), (2, RESNET))
            for name in (f"resnet_v{version}_{n}" for n in (50, 101, 152, 200))
        ),
        ("lenet", "images", {**SMALL, "scope": "LeNet"}),
        ("cifarnet", "images", {**SMALL, "scope": "CifarNet"}),
        *(
            (name, "inputs", {**LARGE, "scope": name, "global_pool": False})
            for name in ("alexnet_v2", "overfeat")
        ),
        *(
            (
                name,
                "inputs",
                {
                    **LARGE,
                    "reuse": None,
                    "scope": name,
                    "fc_conv_padding": "VALID",
                    "global_pool": False,
                },
            )
            for name in ("vgg_a", "vgg_16", "vgg_19")
        ),
        ("i3d", "inputs", {"num_classes": 1000, **VIDEO, "scope": "InceptionV1"}),
        (
            "s3dg",
            "inputs",
            {
                "num_classes": 1000,
                "first_temporal_kernel_size": 3,
                "temporal_conv_startat": "Conv2d_2c_3x3",
                "gating_startat": "Conv2d_2c_3x3",
                "final_endpoint": "Mixed_5c",
                "min_depth": 16,
                "depth_multiplier": 1.0,
                **VIDEO,
                "data_format": "NDHWC",
                "scope": "InceptionV1",
            },
        ),
        (
            "inception_v1",
            "inputs",
            {
                **INCEPTION,
                "prediction_fn": softmax,
                "spatial_squeeze": True,
                "reuse": None,
                "scope": "InceptionV1",
                "global_pool": False,
            },
        ),
        (
            "inception_v2",
            "inputs",
            {
                **INCEPTION,
                "min_depth": 16,
                "depth_multiplier": 1.0,
                "prediction_fn": softmax,
                "spatial_squeeze": True,
                "reuse": None,
                "scope": "InceptionV2",
                "global_pool": False,
            },
        ),
        (
            "inception_v3",
            "inputs",
            {
                **INCEPTION,
                "min_depth": 16,
                "depth_multiplier": 1.0,
                "prediction_fn": softmax,
                "spatial_squeeze": True,
                "reuse": None,
                "create_aux_logits": True,
                "scope": "InceptionV3",
                "global_pool": False,
            },
        ),
        (
            "inception_v4",
            "inputs",
            {
                **INCEPTION,
                "num_classes": 1001,
                "reuse": None,
                "scope": "InceptionV4",
                "create_aux_logits": True,
            },
        ),
        (
            "inception_resnet_v2",
            "inputs",
            {
                **INCEPTION,
                "num_classes": 1001,
                "reuse": None,
                "scope": "InceptionResnetV2",
                "create_aux_logits": True,
                "activation_fn": jax.nn.relu,
            },
        ),
    ],
)
def test_network_signature_is_that_of_tf_slim(name, first, defaults):
    build = nets_factory.networks_map[name]
    inputs, *others = inspect.signature(build).parameters.values()
    names = name, f"build_{name}", name.removesuffix("_v2"), name.removeprefix("mobilenet_v3_")
    assert build.__name__ in names
    assert inputs.name == first
    assert [(p.name, p.default) for p in others] == list(defaults.items())


def test_arguments_that_a_version_lacks_are_refused_with_its_name():
    with pytest.raises(TypeError, match=r"^resnet_v2_50\(\) .* argument 'min_base_depth'$"):
        nets_factory.networks_map["resnet_v2_50"](IMAGES, 10, min_base_depth=8)
    with pytest.raises(TypeError, match=r"^alexnet_v2\(\) .* argument: 'inputs'$"):
        nets_factory.networks_map["alexnet_v2"]()


@pytest.mark.parametrize("name", nets_factory.list_networks())
def test_help_describes_each_argument_once(name):
    build = nets_factory.get_network(name).build
    described = re.findall(r"^  \*{0,2}(\w+): ", inspect.cleandoc(build.__doc__), re.MULTILINE)
    arguments = list(inspect.signature(build).parameters)
    assert [argument for argument in described if argument in arguments] == arguments


def test_arguments_that_networks_share_are_described_as_elsewhere():
    described = inspect.cleandoc(resnet_v1.resnet_v1_50.__doc__)
    assert "\n  num_classes: Number of logits; None or 0 for the features.\n" in described
    assert "\n  output_stride: Ratio of the sizes of images and features" in described
