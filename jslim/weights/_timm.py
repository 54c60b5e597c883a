"""timm's names for the variables of TF-Slim's networks.

timm keeps arrays in PyTorch's layout: `[out, in, height, width]` for convolutions and `[out, in]`
for products of matrices.
"""

import re
from collections.abc import Iterable

import numpy as np

from jslim.weights._rules import Names, Rule, nth, translated

_LEAVES = {
    **dict.fromkeys(("weights", "depthwise_weights", "pointwise_weights", "gamma"), "weight"),
    **dict.fromkeys(("biases", "beta"), "bias"),
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_PARTS = {"depthwise_weights": "depthwise_conv2d", "pointwise_weights": "pointwise_conv2d"}

_INCEPTION_V3: list[Rule] = [
    (r"(Conv2d_\d\w_\dx\d)", r"\1.*"),
    (r"(Mixed_[567]\w)/Branch_3/.*", r"\1.branch_pool.*"),
    (r"Mixed_6a/Branch_0/.*", "Mixed_6a.branch3x3.*"),
    (r"Mixed_6a/Branch_1/Conv2d_1a_.*", "Mixed_6a.branch3x3dbl_3.*"),
    (r"Mixed_7a/Branch_0/Conv2d_0a_.*", "Mixed_7a.branch3x3_1.*"),
    (r"Mixed_7a/Branch_0/Conv2d_1a_.*", "Mixed_7a.branch3x3_2.*"),
    (r"Mixed_7a/Branch_1/Conv2d_1a_.*", "Mixed_7a.branch7x7x3_4.*"),
    (r"Mixed_7a/Branch_1/Conv2d_0(\w)_.*", lambda m: f"Mixed_7a.branch7x7x3_{nth(m[1]) + 1}.*"),
    (r"(Mixed_\d\w)/Branch_0/.*", r"\1.branch1x1.*"),
    (r"(Mixed_5\w)/Branch_1/\w+_1x1", r"\1.branch5x5_1.*"),
    (r"(Mixed_5\w)/Branch_1/\w+_5x5", r"\1.branch5x5_2.*"),
    (
        r"(Mixed_5\w/Branch_2|Mixed_6a/Branch_1)/Conv2d_0(\w)_.*",
        lambda m: f"{m[1][:8]}.branch3x3dbl_{nth(m[2]) + 1}.*",
    ),
    (r"(Mixed_6\w)/Branch_1/Conv2d_0(\w)_.*", lambda m: f"{m[1]}.branch7x7_{nth(m[2]) + 1}.*"),
    (r"(Mixed_6\w)/Branch_2/Conv2d_0(\w)_.*", lambda m: f"{m[1]}.branch7x7dbl_{nth(m[2]) + 1}.*"),
    (r"(Mixed_7\w)/Branch_1/Conv2d_0a_1x1", r"\1.branch3x3_1.*"),
    (r"(Mixed_7\w)/Branch_1/\w+_1x3", r"\1.branch3x3_2a.*"),
    (r"(Mixed_7\w)/Branch_1/\w+_3x1", r"\1.branch3x3_2b.*"),
    (r"(Mixed_7\w)/Branch_2/\w+_1x1", r"\1.branch3x3dbl_1.*"),
    (r"(Mixed_7\w)/Branch_2/\w+_3x3", r"\1.branch3x3dbl_2.*"),
    (r"(Mixed_7\w)/Branch_2/\w+_1x3", r"\1.branch3x3dbl_3a.*"),
    (r"(Mixed_7\w)/Branch_2/\w+_3x1", r"\1.branch3x3dbl_3b.*"),
    (r"Logits/Conv2d_1c_1x1", "fc"),
]

_V4_BLOCKS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Mixed_3a", "Mixed_4a", "Mixed_5a"),
    *(f"Mixed_5{letter}" for letter in "bcde"),
    *(f"Mixed_6{letter}" for letter in "abcdefgh"),
    *(f"Mixed_7{letter}" for letter in "abcd"),
)


def _of_v4(branch: str) -> "Rule":
    """The rule of a layer, with a place in `features` for the block."""
    pattern, _, translation = branch.partition(" -> ")
    return pattern, lambda m: f"features.{_V4_BLOCKS.index(m[1])}{m.expand(translation)}"


_INCEPTION_V4: list[Rule] = [
    _of_v4(r"(Conv2d_\d\w_\dx\d) -> .*"),
    _of_v4(r"(Mixed_3a|Mixed_5a)/.* -> .conv.*"),
    _of_v4(r"(Mixed_[47]a)/Branch_0/Conv2d_0a_.* -> .branch0.0.*"),
    _of_v4(r"(Mixed_[47]a)/Branch_0/Conv2d_1a_.* -> .branch0.1.*"),
    _of_v4(r"(Mixed_[47]a)/Branch_1/Conv2d_1a_.* -> .branch1.3.*"),
    _of_v4(r"(Mixed_6a)/Branch_1/Conv2d_1a_.* -> .branch1.2.*"),
    _of_v4(r"(Mixed_\d\w)/Branch_0/.* -> .branch0.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_1/\w+_1x1 -> .branch1_0.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_1/\w+_1x3 -> .branch1_1a.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_1/\w+_3x1 -> .branch1_1b.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_2/Conv2d_0a_1x1 -> .branch2_0.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_2/Conv2d_0b_3x1 -> .branch2_1.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_2/Conv2d_0c_1x3 -> .branch2_2.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_2/Conv2d_0d_1x3 -> .branch2_3a.*"),
    _of_v4(r"(Mixed_7[bcd])/Branch_2/Conv2d_0e_3x1 -> .branch2_3b.*"),
    (
        r"(Mixed_\d\w)/Branch_(\d)/Conv2d_0(\w)_.*",
        lambda m: f"features.{_V4_BLOCKS.index(m[1])}.branch{m[2]}.{nth(m[3])}.*",
    ),
    (r"Logits/Logits", "last_linear"),
]


def _resnet_block(match: re.Match[str]) -> str:
    """A block of Inception-ResNet V2: TF-Slim counts from 1 and timm from 0."""
    repeat, number, rest = match[1], int(match[2]) - 1, match[3]
    return f"{repeat.lower()}.{number}.{translated(_IN_A_BLOCK, rest)}"


_IN_A_BLOCK: list[Rule] = [
    (r"Branch_0/.*", "branch0.*"),
    (r"Branch_(\d)/Conv2d_0(\w)_.*", lambda m: f"branch{m[1]}.{nth(m[2])}.*"),
    (r"Conv2d_1x1", "conv2d"),
]
_INCEPTION_RESNET_V2: list[Rule] = [
    (r"Conv2d_(\d\w)_\dx\d", r"conv2d_\1.*"),
    (r"Mixed_6a/Branch_1/Conv2d_1a_.*", "mixed_6a.branch1.2.*"),
    (r"Mixed_7a/Branch_1/Conv2d_1a_.*", "mixed_7a.branch1.1.*"),
    (r"Mixed_7a/Branch_0/Conv2d_0a_.*", "mixed_7a.branch0.0.*"),
    (r"Mixed_7a/Branch_0/Conv2d_1a_.*", "mixed_7a.branch0.1.*"),
    (r"Mixed_7a/Branch_2/Conv2d_1a_.*", "mixed_7a.branch2.2.*"),
    (r"Mixed_(\d\w)/(.*)", lambda m: f"mixed_{m[1]}.{translated(_IN_A_BLOCK, m[2])}"),
    (r"(Repeat\w*)/block\d+_(\d+)/(.*)", _resnet_block),
    (r"Block8/(.*)", lambda m: f"block8.{translated(_IN_A_BLOCK, m[1])}"),
    (r"Logits/Logits", "classif"),
]

_NASNET: list[Rule] = [
    (r"conv0", "conv0.*"),
    (r"conv0_bn", "conv0.bn"),
    (r"(\w*cell_\w+)/1x1", r"\1.conv_1x1.*"),
    (r"(\w*cell_\w+)/beginning_bn", r"\1.conv_1x1.bn"),
    (r"(\w*cell_\w+)/prev_1x1", r"\1.conv_prev_1x1.*"),
    (r"(\w*cell_\w+)/prev_bn", r"\1.conv_prev_1x1.bn"),
    (r"(\w*cell_\w+)/path(\d)_conv", r"\1.path_\2.*"),
    (r"(\w*cell_\w+)/final_path_bn", r"\1.final_path_bn"),
    (r"(\w*cell_\w+)/(\w+)/(left|right)/separable_\dx\d_(\d)", r"\1.\2_\3.separable_\4.*"),
    (r"(\w*cell_\w+)/(\w+)/(left|right)/bn_sep_\dx\d_(\d)", r"\1.\2_\3.bn_sep_\4"),
    (r"(\w*cell_\w+)/(\w+)/(left|right)/1x1", r"\1.\2_\3.*"),
    (r"(\w*cell_\w+)/(\w+)/(left|right)/bn_1", r"\1.\2_\3.bn"),
    (r"final_layer/FC", "last_linear"),
]
_PNASNET: list[Rule] = [
    (r"conv0", "conv_0.*"),
    (r"conv0_bn", "conv_0.bn"),
    (r"(cell_\w+)/path(\d)_conv", r"\1.conv_prev_1x1.path_\2.*"),
    (r"(cell_\w+)/final_path_bn", r"\1.conv_prev_1x1.final_path_bn"),
    *_NASNET,
]

# The blocks of MobileNet V3 in each of timm's stages.
_LARGE_STAGES, _SMALL_STAGES = (1, 2, 3, 4, 2, 3), (1, 2, 3, 2, 3)


def _mobilenet_v3(stages: tuple[int, ...]) -> list[Rule]:
    places = [(stage, block) for stage, count in enumerate(stages) for block in range(count)]
    # The convolutions of a block in their order: in the first stage none expands.
    orders = {True: ("expand", "depthwise", "project"), False: ("depthwise", "project")}
    layers = {True: ("conv_pw", "conv_dw", "conv_pwl"), False: ("conv_dw", "conv_pw")}

    def of_block(match: re.Match[str]) -> str:
        stage, block = places[int(match[1] or 0)]
        place = orders[stage > 0].index(match[2])
        layer = layers[stage > 0][place]
        return f"blocks.{stage}.{block}.{layer}|blocks.{stage}.{block}.bn{place + 1}"

    def of_gate(match: re.Match[str]) -> str:
        stage, block = places[int(match[1] or 0)]
        return f"blocks.{stage}.{block}.se.{'conv_expand' if match[2] else 'conv_reduce'}"

    last = len(stages)
    return [
        (r"Conv", "conv_stem|bn1"),
        (r"Conv_1", f"blocks.{last}.0.conv|blocks.{last}.0.bn1"),
        (r"Conv_2", "conv_head"),
        (r"Logits/Conv2d_1c_1x1", "classifier"),
        (r"expanded_conv(?:_(\d+))?/(expand|depthwise|project)", of_block),
        (r"expanded_conv(?:_(\d+))?/squeeze_excite/Conv(_1)?", of_gate),
    ]


_LARGE, _SMALL = _mobilenet_v3(_LARGE_STAGES), _mobilenet_v3(_SMALL_STAGES)

_MOBILENETS = {
    f"tf_mobilenetv3_{theirs}": Names(f"mobilenet_v3_{ours}", rules, "classifier")
    for theirs, ours, rules in (
        ("large_100", "large", _LARGE),
        ("large_075", "large_075", _LARGE),
        ("large_minimal_100", "large_minimalistic", _LARGE),
        ("small_100", "small", _SMALL),
        ("small_075", "small_075", _SMALL),
        ("small_minimal_100", "small_minimalistic", _SMALL),
    )
}
# timm's models.
NETWORKS: dict[str, Names] = {
    "inception_v3": Names("inception_v3", _INCEPTION_V3, "fc"),
    "inception_v4": Names("inception_v4", _INCEPTION_V4, "last_linear"),
    "inception_resnet_v2": Names("inception_resnet_v2", _INCEPTION_RESNET_V2, "classif"),
    "nasnetalarge": Names("nasnet_large", _NASNET, "last_linear"),
    "pnasnet5large": Names("pnasnet_large", _PNASNET, "last_linear"),
    **_MOBILENETS,
}


def names_of(model: str, scopes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """timm's names of variables, by their scope and the last part of their name."""
    names = {}
    for scope, leaf in scopes:
        found = translated(NETWORKS[model].rules, scope.removesuffix("/BatchNorm"))
        if found is not None:
            is_normalizer = scope.endswith("/BatchNorm")
            layer, _, normalizer = found.partition("|")
            part = "bn" if is_normalizer else _PARTS.get(leaf, "conv")
            name = normalizer if normalizer and is_normalizer else layer
            names[scope, leaf] = f"{name.replace('*', part)}.{_LEAVES[leaf]}"
    return names


def to_tf_slim(array: np.ndarray, leaf: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of timm in TF-Slim's layout."""
    if leaf == "depthwise_weights":
        height, width, channels, multiplier = shape
        array = array.reshape(channels, multiplier, height, width).transpose(2, 3, 0, 1)
    elif array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    elif array.ndim == 2:
        array = array.T
    return array.reshape(shape)


def from_tf_slim(array: np.ndarray, leaf: str, *, is_head: bool = False) -> np.ndarray:
    """An array of TF-Slim in timm's layout; that of the head is a matrix."""
    if leaf == "depthwise_weights":
        height, width, channels, multiplier = array.shape
        return array.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    if array.ndim == 4 and is_head:
        array = array.reshape(array.shape[-2:])
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T
