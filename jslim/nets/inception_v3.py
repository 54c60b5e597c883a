"""Inception V3.

    with slim.arg_scope(inception_v3.inception_v3_arg_scope()):
        logits, end_points = inception_v3.inception_v3(images)

Szegedy et al., "Rethinking the Inception architecture for computer vision" (2015),
https://arxiv.org/abs/1512.00567, table 1.
"""

import jax

from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import softmax
from jslim.nets import _common, inception_utils
from jslim.nets._common import Arguments, Function, Head, Outputs, Scope
from jslim.nets.inception_utils import Part, Variant, avg_pool, conv, max_pool, mixed

inception_v3_arg_scope = inception_utils.inception_arg_scope


def _module_35x35(pooled: int, second: tuple[str | None, str | None] = (None, None)) -> Part:
    """Figure 5; `second` names the layers of branch 1."""
    return mixed(
        [conv(64, 1)],
        [conv(48, 1, scope=second[0]), conv(64, 5, scope=second[1])],
        [conv(64, 1), conv(96, 3), conv(96, 3)],
        [avg_pool(3), conv(pooled, 1)],
    )


def _module_17x17(depth: int) -> Part:
    """Figure 6, with 7x7 convolutions as 1x7 and 7x1."""
    return mixed(
        [conv(192, 1)],
        [conv(depth, 1), conv(depth, (1, 7)), conv(192, (7, 1))],
        [
            conv(depth, 1),
            conv(depth, (7, 1)),
            conv(depth, (1, 7)),
            conv(depth, (7, 1)),
            conv(192, (1, 7)),
        ],
        [avg_pool(3), conv(192, 1)],
    )


def _module_8x8(beside: str | None = None) -> Part:
    """Figure 7; `beside` names the 3x1 convolution of branch 1."""
    return mixed(
        [conv(320, 1)],
        [conv(384, 1), (conv(384, (1, 3)), conv(384, (3, 1), scope=beside))],
        [conv(448, 1), conv(384, 3), (conv(384, (1, 3)), conv(384, (3, 1)))],
        [avg_pool(3), conv(192, 1)],
    )


_HALF: Arguments = {"stride": 2, "padding": "VALID"}
# Layers with a `scope` have irregular names in every checkpoint: Conv2d_1a_1x1 is a 3x3 one.
_PARTS: dict[str, Part] = {
    **inception_utils.stem("VALID"),
    "Mixed_5b": _module_35x35(32),
    "Mixed_5c": _module_35x35(64, second=("Conv2d_0b_1x1", "Conv_1_0c_5x5")),
    "Mixed_5d": _module_35x35(64),
    "Mixed_6a": mixed(
        [conv(384, 3, scope="Conv2d_1a_1x1", **_HALF)],
        [conv(64, 1), conv(96, 3), conv(96, 3, scope="Conv2d_1a_1x1", **_HALF)],
        [max_pool(3, **_HALF)],
    ),
    "Mixed_6b": _module_17x17(128),
    "Mixed_6c": _module_17x17(160),
    "Mixed_6d": _module_17x17(160),
    "Mixed_6e": _module_17x17(192),
    "Mixed_7a": mixed(
        [conv(192, 1), conv(320, 3, **_HALF)],
        [conv(192, 1), conv(192, (1, 7)), conv(192, (7, 1)), conv(192, 3, **_HALF)],
        [max_pool(3, **_HALF)],
    ),
    "Mixed_7b": _module_8x8(beside="Conv2d_0b_3x1"),
    "Mixed_7c": _module_8x8(),
}


@_common.described()
def inception_v3_base(
    inputs: jax.Array,
    final_endpoint: str = "Mixed_7c",
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    scope: Scope = None,
) -> Outputs:
    """Inception V3 without its classifiers.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 75x75 pixels or more for all of it.
      final_endpoint: The end point to stop at: Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3,
        MaxPool_3a_3x3, Conv2d_3b_1x1, Conv2d_4a_3x3, MaxPool_5a_3x3, Mixed_5b to Mixed_5d,
        Mixed_6a to Mixed_6e or Mixed_7a to Mixed_7c.
      min_depth: The least number of filters of a convolution.
      depth_multiplier: Factor of all numbers of filters, above 0.
      scope: The variable scope, default `InceptionV3`, made unique.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. Mixed_7c is 8x8 with
      2048 channels for images of 299x299.

    Raises:
      ValueError: The end point is unknown; `depth_multiplier` is not positive; `inputs` are not
        a batch of images, or too small.
    """
    with variable_scope(scope, "InceptionV3"):
        variant = Variant(depth_multiplier, min_depth)
        return inception_utils.build("inception_v3_base", inputs, _PARTS, final_endpoint, variant)


@_common.with_image_size(299, inception_v3_base)
def inception_v3(
    inputs: jax.Array,
    num_classes: int | None = 1000,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    prediction_fn: Function = softmax,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    create_aux_logits: bool = True,
    scope: str = "InceptionV3",
    global_pool: bool = False,
) -> Outputs:
    """Eleven modules of convolutions side by side, a linear classifier, and an auxiliary one.

    TF-Slim trains it with the loss of the auxiliary logits, end point 'AuxLogits', times 0.4.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 107x107 pixels or more (75x75 without
        auxiliary logits). Up to 346 pixels (362 without) give one prediction per image.
        The variables of the auxiliary classifier depend on the size below 299 pixels.
      num_classes: Number of logits; None or 0 for the pooled features.
      spatial_squeeze: Whether the logits and the auxiliary logits lose their height and width,
        which then must be 1.
      create_aux_logits: Whether to make the auxiliary classifier, also at inference.
      global_pool: Whether to average over the whole map instead of windows of 8x8. It does not
        change the auxiliary logits.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, 2048]`; and the end
      points of `inception_v3_base`, AuxLogits, AvgPool_1a or global_pool, PreLogits, Logits,
      Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, too small, or too large to squeeze;
        `depth_multiplier` is not positive.
    """
    variant = Variant(depth_multiplier, min_depth)
    inception_utils.check_variant("inception_v3", variant)
    aux_classes = num_classes if create_aux_logits else None
    inception_utils.check_images_and_aux(inputs, "inception_v3", bool(aux_classes))
    head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob, prediction_fn)
    with _common.network_scope(scope, "InceptionV3", reuse, is_training) as opened:
        net, end_points = inception_v3_base(
            inputs, min_depth=min_depth, depth_multiplier=depth_multiplier, scope=opened
        )
        if aux_classes:
            aux = _aux_logits(end_points["Mixed_6e"], aux_classes, variant)
            if spatial_squeeze:
                aux = _common.squeeze_logits(
                    aux, f"{opened.name}/AuxLogits", "create_aux_logits=False"
                )
            end_points["AuxLogits"] = aux
        return head.classify(net, end_points, opened.name, 8, keeps_dropped=True)


def _aux_logits(net: jax.Array, num_classes: int, variant: Variant) -> jax.Array:
    """The auxiliary classifier, `[batch, height, width, num_classes]`."""
    normal, scope = truncated_normal_initializer, "Conv2d_2a_{}x{}"
    with inception_utils.same_size_scope(), variable_scope("AuxLogits"):
        net = inception_utils.auxiliary_features(
            net, scope, variant, largest=5, weights_initializer=normal(stddev=0.01)
        )
        head = Head(num_classes, spatial_squeeze=False)
        return head.logits(net, "", "Conv2d_2b_1x1", weights_initializer=normal(stddev=0.001))
