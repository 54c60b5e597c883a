"""The Inception networks for tests, and the shapes of their end points."""

import functools

import jslim as slim
from jslim.layers import batch_norm
from jslim.nets import inception, nets_factory


def network(name, **kwargs):
    """The network in inference, under the arg_scope of the factory."""
    num_classes = kwargs.pop("num_classes", 11)
    return functools.partial(nets_factory.get_network_fn(name, num_classes), **kwargs)


def base(name, **kwargs):
    """The network without its classifiers, in inference."""

    def net(images):
        with (
            slim.arg_scope(nets_factory.arg_scopes_map[name]()),
            slim.arg_scope([batch_norm], is_training=False),
        ):
            return getattr(inception, f"{name}_base")(images, **kwargs)

    return net


def own_size(name):
    size = nets_factory.get_network(name).image_size
    return 2, size, size, 3


def map_sizes(end_points):
    return {name: (value.shape[1], value.shape[-1]) for name, value in end_points.items()}


# Height and channels of the maps at the network's own image size.
END_POINTS = {
    "inception_v1": {
        "Conv2d_1a_7x7": (112, 64),
        "MaxPool_2a_3x3": (56, 64),
        "Conv2d_2b_1x1": (56, 64),
        "Conv2d_2c_3x3": (56, 192),
        "MaxPool_3a_3x3": (28, 192),
        "Mixed_3b": (28, 256),
        "Mixed_3c": (28, 480),
        "MaxPool_4a_3x3": (14, 480),
        "Mixed_4b": (14, 512),
        "Mixed_4c": (14, 512),
        "Mixed_4d": (14, 512),
        "Mixed_4e": (14, 528),
        "Mixed_4f": (14, 832),
        "MaxPool_5a_2x2": (7, 832),
        "Mixed_5b": (7, 832),
        "Mixed_5c": (7, 1024),
    },
    "inception_v2": {
        "Conv2d_1a_7x7": (112, 64),
        "MaxPool_2a_3x3": (56, 64),
        "Conv2d_2b_1x1": (56, 64),
        "Conv2d_2c_3x3": (56, 192),
        "MaxPool_3a_3x3": (28, 192),
        "Mixed_3b": (28, 256),
        "Mixed_3c": (28, 320),
        "Mixed_4a": (14, 576),
        "Mixed_4b": (14, 576),
        "Mixed_4c": (14, 576),
        "Mixed_4d": (14, 576),
        "Mixed_4e": (14, 576),
        "Mixed_5a": (7, 1024),
        "Mixed_5b": (7, 1024),
        "Mixed_5c": (7, 1024),
    },
    "inception_v3": {
        "Conv2d_1a_3x3": (149, 32),
        "Conv2d_2a_3x3": (147, 32),
        "Conv2d_2b_3x3": (147, 64),
        "MaxPool_3a_3x3": (73, 64),
        "Conv2d_3b_1x1": (73, 80),
        "Conv2d_4a_3x3": (71, 192),
        "MaxPool_5a_3x3": (35, 192),
        "Mixed_5b": (35, 256),
        "Mixed_5c": (35, 288),
        "Mixed_5d": (35, 288),
        "Mixed_6a": (17, 768),
        "Mixed_6b": (17, 768),
        "Mixed_6c": (17, 768),
        "Mixed_6d": (17, 768),
        "Mixed_6e": (17, 768),
        "Mixed_7a": (8, 1280),
        "Mixed_7b": (8, 2048),
        "Mixed_7c": (8, 2048),
    },
    "inception_v4": {
        "Conv2d_1a_3x3": (149, 32),
        "Conv2d_2a_3x3": (147, 32),
        "Conv2d_2b_3x3": (147, 64),
        "Mixed_3a": (73, 160),
        "Mixed_4a": (71, 192),
        **{f"Mixed_5{letter}": (35, 384) for letter in "abcde"},
        **{f"Mixed_6{letter}": (17, 1024) for letter in "abcdefgh"},
        **{f"Mixed_7{letter}": (8, 1536) for letter in "abcd"},
    },
    "inception_resnet_v2": {
        "Conv2d_1a_3x3": (149, 32),
        "Conv2d_2a_3x3": (147, 32),
        "Conv2d_2b_3x3": (147, 64),
        "MaxPool_3a_3x3": (73, 64),
        "Conv2d_3b_1x1": (73, 80),
        "Conv2d_4a_3x3": (71, 192),
        "MaxPool_5a_3x3": (35, 192),
        "Mixed_5b": (35, 320),
        "Mixed_6a": (17, 1088),
        "PreAuxLogits": (17, 1088),
        "Mixed_7a": (8, 2080),
        "Conv2d_7b_1x1": (8, 1536),
    },
}
# The end points of the classifiers: height (or the only feature axis) and channels.
_WITH_AUX = {
    "AuxLogits": (1000, 1000),
    "global_pool": (1, 1536),
    "PreLogitsFlatten": (1536, 1536),
    "Logits": (1000, 1000),
    "Predictions": (1000, 1000),
}
CLASSIFIERS = {
    "inception_v1": {
        "AvgPool_0a_7x7": (1, 1024),
        "Logits": (1000, 1000),
        "Predictions": (1000, 1000),
    },
    "inception_v2": {
        "AvgPool_1a": (1, 1024),
        "PreLogits": (1, 1024),
        "Logits": (1000, 1000),
        "Predictions": (1000, 1000),
    },
    "inception_v3": {
        "AuxLogits": (1000, 1000),
        "AvgPool_1a": (1, 2048),
        "PreLogits": (1, 2048),
        "Logits": (1000, 1000),
        "Predictions": (1000, 1000),
    },
    "inception_v4": _WITH_AUX,
    "inception_resnet_v2": _WITH_AUX,
}
# The features that they classify.
FEATURES = {
    "inception_v1": "AvgPool_0a_7x7",
    "inception_v2": "AvgPool_1a",
    "inception_v3": "AvgPool_1a",
    "inception_v4": "global_pool",
    "inception_resnet_v2": "global_pool",
}
