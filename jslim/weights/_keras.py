"""Keras's names for the variables of TF-Slim's networks.

The layouts are TF-Slim's, but for what is a dense layer in one and a convolution in the other. The
files of `keras.applications` were written by several versions of Keras: names are compared without
case, `/` and `_` are one, and layers that Keras numbers are taken in their order.
"""

import re
from collections.abc import Iterable

import numpy as np

from jslim.weights._rules import Names, Rule, translated

_LEAVES = {
    "weights": "kernel",
    "depthwise_weights": "depthwise_kernel",
    "pointwise_weights": "pointwise_kernel",
    "biases": "bias",
}
# A translation is the layer of a convolution, and after a `|` that of its batch normalization.
_VGG: list[Rule] = [
    (r"conv\d/conv(\d)_(\d)", r"block\1_conv\2"),
    (r"fc6", "fc1"),
    (r"fc7", "fc2"),
    (r"fc8", "predictions"),
]
_MOBILENET_V1: list[Rule] = [
    (r"Conv2d_0", "conv1|conv1_bn"),
    (r"Conv2d_(\d+)_depthwise", r"conv_dw_\1|conv_dw_\1_bn"),
    (r"Conv2d_(\d+)_pointwise", r"conv_pw_\1|conv_pw_\1_bn"),
    (r"Logits/Conv2d_1c_1x1", "conv_preds"),
]
_MOBILENET_V2: list[Rule] = [
    (r"Conv", "Conv1|bn_Conv1"),
    (r"Conv_1", "Conv_1|Conv_1_bn"),
    (r"expanded_conv/(\w+)", r"expanded_conv_\1|expanded_conv_\1_BN"),
    (r"expanded_conv_(\d+)/(\w+)", r"block_\1_\2|block_\1_\2_BN"),
    (r"Logits/Conv2d_1c_1x1", "predictions"),
]
_MOBILENET_V3: list[Rule] = [
    (r"Conv", "conv|conv_bn"),
    (r"Conv_1", "conv_1|conv_1_bn"),
    (r"Conv_2", "conv_2"),
    (r"(expanded_conv\w*)/squeeze_excite/Conv", r"\1_squeeze_excite_conv"),
    (r"(expanded_conv\w*)/squeeze_excite/Conv_1", r"\1_squeeze_excite_conv_1"),
    (r"(expanded_conv\w*)/(\w+)", r"\1_\2|\1_\2_bn"),
    (r"Logits/Conv2d_1c_1x1", "logits"),
]
# Nearly all layers of the next two are numbered.
_INCEPTION_V3: list[Rule] = [(r"Logits/Conv2d_1c_1x1", "predictions")]
_INCEPTION_RESNET_V2: list[Rule] = [
    (r"Repeat\w*/(block\d+_\d+)/Conv2d_1x1", r"\1_conv"),
    (r"Block8/Conv2d_1x1", "block8_10_conv"),
    (r"Conv2d_7b_1x1", "conv_7b|conv_7b_bn"),
    (r"Logits/Logits", "predictions"),
]


def _nasnet(cells: int) -> list[Rule]:
    """The rules of a NASNet with so many cells between two reductions."""

    def cell(match: re.Match[str]) -> tuple[str, str]:
        """The kind of the cell, and its identifier."""
        kind, number = match[1], int(match[2])
        if kind == "cell_stem_":
            return "reduction", f"stem_{number + 1}"
        if kind == "reduction_cell_":
            return "reduction", f"reduce_{(number + 1) * cells}"
        return "normal", str(number + (number >= cells))

    def of(template: str) -> "Rule":
        pattern, translation = template.split(" -> ")

        def layer(match: re.Match[str]) -> str:
            kind, block = cell(match)
            return match.expand(translation).replace("KIND", kind) + f"_{block}"

        return rf"(cell_|reduction_cell_|cell_stem_)(\d+)/{pattern}", layer

    def separable(match: re.Match[str]) -> str:
        (kind, block), side, place = cell(match), match[4], int(match[3]) + 1
        if kind == "reduction" and place == 5:
            place = 4  # Keras's name for the left half of the last pair
        part = "conv_{}_bn" if match[5] == "bn_sep" else "conv_{}"
        return f"separable_{part.format(match[6])}_{kind}_{side}{place}_{block}"

    return [
        (r"conv0", "stem_conv1"),
        (r"conv0_bn", "stem_bn1"),
        of("1x1 -> KIND_conv_1"),
        of("beginning_bn -> KIND_bn_1"),
        of("prev_1x1 -> adjust_conv_projection"),
        of("(?:prev|final_path)_bn -> adjust_bn"),
        of(r"path(\d)_conv -> adjust_conv_\3"),
        (
            r"(cell_|reduction_cell_|cell_stem_)(\d+)/comb_iter_(\d)/(left|right)"
            r"/(separable|bn_sep)_\dx\d_(\d)",
            separable,
        ),
        (r"final_layer/FC", "predictions"),
    ]


# Keras's models.
NETWORKS: dict[str, Names] = {
    "VGG16": Names("vgg_16", _VGG, "predictions"),
    "VGG19": Names("vgg_19", _VGG, "predictions"),
    "InceptionV3": Names("inception_v3", _INCEPTION_V3, "predictions"),
    "InceptionResNetV2": Names("inception_resnet_v2", _INCEPTION_RESNET_V2, "predictions"),
    "MobileNet": Names("mobilenet_v1", _MOBILENET_V1, "conv_preds"),
    "MobileNetV2": Names("mobilenet_v2", _MOBILENET_V2, "predictions"),
    "MobileNetV3Large": Names("mobilenet_v3_large", _MOBILENET_V3, "logits"),
    "MobileNetV3Small": Names("mobilenet_v3_small", _MOBILENET_V3, "logits"),
    "NASNetLarge": Names("nasnet_large", _nasnet(6), "predictions"),
    "NASNetMobile": Names("nasnet_mobile", _nasnet(4), "predictions"),
}
_NUMBERED = ("InceptionV3", "InceptionResNetV2")
_CONVOLUTIONAL_HEADS = ("MobileNet", "MobileNetV3Large", "MobileNetV3Small")
# The blocks of networks whose layers are numbered, in the order of the computation.
_ORDER = ("Conv2d_", "Mixed_5", "Repeat/", "Mixed_6", "Repeat_1/", "Mixed_7", "Repeat_2/", "Block8")


def _place(scope: str) -> tuple[int, list[tuple[int, str]]]:
    """Sorts the scopes of an Inception network in the order of the computation."""
    block = next(place for place, start in enumerate(_ORDER) if scope.startswith(start))
    parts = re.findall(r"(\d+)|(\D+)", scope)
    return block, [(int(number or 0), text) for number, text in parts]


def names_of(model: str, scopes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Keras's `layer/variable` of variables, by their scope and the last part of their name."""
    rules = NETWORKS[model].rules
    scopes = set(scopes)
    plain = {scope.removesuffix("/BatchNorm") for scope, _ in scopes}
    layers = {scope: translated(rules, scope) for scope in plain}
    if model in _NUMBERED:
        numbered = [s for s in plain if layers[s] is None and not s.startswith("AuxLogits/")]
        for number, scope in enumerate(sorted(numbered, key=_place)):
            layers[scope] = f"conv2d:{number}|batch_normalization:{number}"
    names = {}
    for scope, leaf in scopes:
        found = layers[scope.removesuffix("/BatchNorm")]
        if found is not None:
            layer, _, normalizer = found.partition("|")
            theirs = _LEAVES.get(leaf, leaf)
            if (scope, "pointwise_weights") not in scopes:
                theirs = theirs.removeprefix("depthwise_")
            names[scope, leaf] = f"{normalizer if scope.endswith('/BatchNorm') else layer}/{theirs}"
    return names


def plain_names(names: Iterable[str], model: str) -> dict[str, str]:
    """`{name as from names_of, in small letters: name in a file}`, for any version of Keras."""
    numbers: dict[str, set[int]] = {"conv2d": set(), "batch_normalization": set()}
    split = {}
    for name in names:
        *layers, leaf = name.removesuffix(":0").split("/")
        # NASNet's layers are within scopes that some versions write, and have names of their own.
        layer = layers[-1] if model.startswith("NASNet") else "/".join(layers)
        found = re.fullmatch(r"(?:.*/)?(conv2d|batch_normalization)(?:_(\d+))?", layer)
        if found:
            numbers[found[1]].add(int(found[2] or 0))
        split[name] = layer, leaf, found
    separable = {layer for layer, leaf, _ in split.values() if leaf == "pointwise_kernel"}
    plain = {}
    for name, (layer, leaf, found) in split.items():
        if leaf == "depthwise_kernel" and layer not in separable:
            leaf = "kernel"  # what Keras 3 calls that of a depthwise convolution
        if found:
            order = sorted(numbers[found[1]])
            layer = f"{found[1]}:{order.index(int(found[2] or 0))}"
        else:
            layer = layer.lower().replace("/batchnorm", "_bn").replace("/", "_")
        plain[f"{layer}/{leaf}"] = name
    return plain


def numbered(layer: str) -> str:
    """The name of a layer in a new process of Keras 3: `conv2d:2` is `conv2d_2`."""
    return layer.removesuffix(":0").replace(":", "_")


def to_tf_slim(array: np.ndarray, shape: tuple[int, ...], *, is_first_of_vgg: bool) -> np.ndarray:
    """An array of Keras in TF-Slim's layout; the published VGG takes images as BGR."""
    return (array[:, :, ::-1] if is_first_of_vgg else array).reshape(shape)


def from_tf_slim(
    array: np.ndarray, model: str, scope: str, leaf: str, *, is_head: bool
) -> np.ndarray:
    """An array of TF-Slim in Keras's layout."""
    if scope == "conv1/conv1_1" and leaf == "weights":
        return array[:, :, ::-1]
    is_dense = scope in ("fc6", "fc7", "fc8") or (is_head and model not in _CONVOLUTIONAL_HEADS)
    if is_dense and array.ndim == 4:
        return array.reshape(-1, array.shape[-1])
    return array
