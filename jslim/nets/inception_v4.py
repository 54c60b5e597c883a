"""Inception V4.

    with slim.arg_scope(inception_v4.inception_v4_arg_scope()):
        logits, end_points = inception_v4.inception_v4(images)

Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning"
(2016), https://arxiv.org/abs/1602.07261, figures 3 to 9.
"""

import jax

from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.layers import softmax
from jslim.nets import _common, inception_utils
from jslim.nets._common import Arguments, Function, Head, Outputs, Scope
from jslim.nets.inception_utils import (
    Branch,
    Part,
    avg_pool,
    conv,
    max_pool,
    mixed,
    same_size_scope,
)

inception_v4_arg_scope = inception_utils.inception_arg_scope

_HALF: Arguments = {"stride": 2, "padding": "VALID"}
_STEM: dict[str, Part] = {
    "Conv2d_1a_3x3": conv(32, 3, **_HALF),
    "Conv2d_2a_3x3": conv(32, 3, padding="VALID"),
    "Conv2d_2b_3x3": conv(64, 3),
    "Mixed_3a": mixed([max_pool(3, **_HALF)], [conv(96, 3, scope="Conv2d_0a_3x3", **_HALF)]),
    "Mixed_4a": mixed(
        [conv(64, 1), conv(96, 3, padding="VALID")],
        [conv(64, 1), conv(64, (1, 7)), conv(64, (7, 1)), conv(96, 3, padding="VALID")],
    ),
    "Mixed_5a": mixed([conv(192, 3, **_HALF)], [max_pool(3, **_HALF)]),
}
_MODULE_35X35: tuple[Branch, ...] = (
    [conv(96, 1)],
    [conv(64, 1), conv(96, 3)],
    [conv(64, 1), conv(96, 3), conv(96, 3)],
    [avg_pool(3), conv(96, 1)],
)
_TO_17X17: tuple[Branch, ...] = (
    [conv(384, 3, **_HALF)],
    [conv(192, 1), conv(224, 3), conv(256, 3, **_HALF)],
    [max_pool(3, **_HALF)],
)
_MODULE_17X17: tuple[Branch, ...] = (
    [conv(384, 1)],
    [conv(192, 1), conv(224, (1, 7)), conv(256, (7, 1))],
    [conv(192, 1), conv(192, (7, 1)), conv(224, (1, 7)), conv(224, (7, 1)), conv(256, (1, 7))],
    [avg_pool(3), conv(128, 1)],
)
_TO_8X8: tuple[Branch, ...] = (
    [conv(192, 1), conv(192, 3, **_HALF)],
    [conv(256, 1), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, **_HALF)],
    [max_pool(3, **_HALF)],
)
_MODULE_8X8: tuple[Branch, ...] = (
    [conv(256, 1)],
    [conv(384, 1), (conv(256, (1, 3)), conv(256, (3, 1)))],
    [conv(384, 1), conv(448, (3, 1)), conv(512, (1, 3)), (conv(256, (1, 3)), conv(256, (3, 1)))],
    [avg_pool(3), conv(256, 1)],
)
_PARTS: dict[str, Part] = {
    **_STEM,
    **{f"Mixed_5{letter}": mixed(*_MODULE_35X35) for letter in "bcde"},
    "Mixed_6a": mixed(*_TO_17X17),
    **{f"Mixed_6{letter}": mixed(*_MODULE_17X17) for letter in "bcdefgh"},
    "Mixed_7a": mixed(*_TO_8X8),
    **{f"Mixed_7{letter}": mixed(*_MODULE_8X8) for letter in "bcd"},
}


def _block(name: str, branches: tuple[Branch, ...], what: str) -> Function:
    default_scope = "".join(part.capitalize() for part in name.split("_"))

    @_common.named(name, __name__)
    def block(inputs: jax.Array, scope: Scope = None, reuse: Reuse = None) -> jax.Array:
        with variable_scope(scope, default_scope, reuse=reuse), same_size_scope():
            return inception_utils.join_branches(inputs, branches)

    block.__doc__ = f"""{what} of Inception V4.

    Args:
      inputs: `[batch, height, width, channels]`.
      scope: The variable scope, default `{default_scope}`, made unique.

    Returns:
      The joined outputs of its {len(branches)} branches.
    """
    return block


block_inception_a = _block("block_inception_a", _MODULE_35X35, "The module for maps of 35x35")
block_reduction_a = _block("block_reduction_a", _TO_17X17, "The module that halves such a map")
block_inception_b = _block("block_inception_b", _MODULE_17X17, "The module for maps of 17x17")
block_reduction_b = _block("block_reduction_b", _TO_8X8, "The module that halves such a map")
block_inception_c = _block("block_inception_c", _MODULE_8X8, "The module for maps of 8x8")


@_common.described()
def inception_v4_base(
    inputs: jax.Array, final_endpoint: str = "Mixed_7d", scope: Scope = None
) -> Outputs:
    """Inception V4 without its classifiers.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 75x75 pixels or more for all of it.
      final_endpoint: The end point to stop at: Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3,
        Mixed_3a, Mixed_4a, Mixed_5a to Mixed_5e, Mixed_6a to Mixed_6h or Mixed_7a to Mixed_7d.
      scope: The variable scope, default `InceptionV4`, made unique.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. Mixed_7d is 8x8 with
      1536 channels for images of 299x299.

    Raises:
      ValueError: The end point is unknown; `inputs` are not a batch of images, or too small.
    """
    with variable_scope(scope, "InceptionV4"):
        return inception_utils.build("inception_v4_base", inputs, _PARTS, final_endpoint)


@_common.with_image_size(299, inception_v4_base)
def inception_v4(
    inputs: jax.Array,
    num_classes: int | None = 1001,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    reuse: Reuse = None,
    scope: str = "InceptionV4",
    create_aux_logits: bool = True,
) -> Outputs:
    """Seventeen modules of convolutions side by side, a linear classifier, and an auxiliary one.

    TF-Slim trains it with the loss of the auxiliary logits, end point 'AuxLogits', times 0.4.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 107x107 pixels or more (75x75 without
        auxiliary logits). The variables of the auxiliary classifier depend on the size.
      num_classes: Number of logits; None or 0 for the pooled features.
      create_aux_logits: Whether to make the auxiliary classifier, also at inference.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, 1, 1, 1536]`; and the end
      points of `inception_v4_base`, AuxLogits, global_pool, PreLogitsFlatten, Logits, Predictions
      as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.
    """
    inception_utils.check_images_and_aux(
        inputs, "inception_v4", bool(create_aux_logits and num_classes)
    )
    head = Head(num_classes, dropout_keep_prob=dropout_keep_prob, prediction_fn=softmax)
    aux_features = "Mixed_6h" if create_aux_logits else None
    with _common.network_scope(scope, "InceptionV4", reuse, is_training) as opened:
        net, end_points = inception_v4_base(inputs, scope=opened)
        with same_size_scope():
            return inception_utils.classify_with_aux(
                net, end_points, head, aux_features, ("Conv2d_2a", "Aux_logits")
            )
