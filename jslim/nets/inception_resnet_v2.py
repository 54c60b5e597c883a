"""Inception-ResNet V2: residual blocks whose branches are those of Inception modules.

    with slim.arg_scope(inception_resnet_v2.inception_resnet_v2_arg_scope()):
        logits, end_points = inception_resnet_v2.inception_resnet_v2(images)

Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning"
(2016), https://arxiv.org/abs/1602.07261, figures 15 to 19; with the stem and the first module of
Inception V3, as in TF-Slim.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.layers import batch_norm, conv2d, fully_connected, repeat, softmax
from jslim.nets._common import EndPoints, Head, described, named, network_scope, with_image_size
from jslim.nets.inception_utils import (
    Branch,
    Part,
    Variant,
    avg_pool,
    batch_norm_params,
    build,
    check_images_and_aux,
    classify_with_aux,
    conv,
    join_branches,
    max_pool,
    mixed,
    stem,
)
from jslim.regularizers import l2_regularizer

_Activation = Callable[[jax.Array], jax.Array] | None


def inception_resnet_v2_arg_scope(
    weight_decay: float = 0.00004,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: _Activation = jax.nn.relu,
    batch_norm_updates_collections: str | None = "update_ops",
    batch_norm_scale: bool = False,
) -> ArgScope:
    """The defaults that it was made with: batch normalization, L2 on weights and on biases.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      activation_fn: What follows each convolution; that of the blocks is an argument of theirs.
      batch_norm_updates_collections: As for `batch_norm`.
      batch_norm_scale: Whether batch normalization has a `gamma`.

    Returns:
      A scope for `slim.arg_scope`.
    """
    regularizer = l2_regularizer(weight_decay)
    params = batch_norm_params(
        batch_norm_decay, batch_norm_epsilon, batch_norm_updates_collections, batch_norm_scale
    )
    with (
        arg_scope(
            [conv2d, fully_connected],
            weights_regularizer=regularizer,
            biases_regularizer=regularizer,
        ),
        arg_scope(
            [conv2d],
            activation_fn=activation_fn,
            normalizer_fn=batch_norm,
            normalizer_params=params,
        ) as scope,
    ):
        return scope


def _block(name: str, default_scope: str, *branches: Branch) -> Callable[..., jax.Array]:
    """The residual block with these branches, as a function of that name."""

    @named(name, __name__)
    @described()
    def block(
        net: jax.Array,
        scale: float = 1.0,
        activation_fn: _Activation = jax.nn.relu,
        scope: str | None = None,
        reuse: Reuse = None,
    ) -> jax.Array:
        """A block of branches whose joined outputs, times `scale`, are added to its inputs.

        Args:
          net: `[batch, height, width, channels]`.
          scale: The factor of what is added.
          activation_fn: Function of the sum, None for nothing. With `jax.nn.relu6` also what is
            added is cut off at 6 and at -6.
          scope: Name of the variable scope, default `Block35` (17, 8), made unique.

        Returns:
          An array of the shape of `net`.
        """
        with variable_scope(scope, default_scope, reuse=reuse):
            added = scale * conv2d(
                join_branches(net, branches),
                net.shape[3],
                [1, 1],
                normalizer_fn=None,
                activation_fn=None,
                scope="Conv2d_1x1",
            )
            if activation_fn is jax.nn.relu6:
                added = jnp.clip(added, -6.0, 6.0)
            net = net + added
            return net if activation_fn is None else activation_fn(net)

    return block


block35 = _block(
    "block35",
    "Block35",
    [conv(32, 1, scope="Conv2d_1x1")],
    [conv(32, 1), conv(32, 3)],
    [conv(32, 1), conv(48, 3), conv(64, 3)],
)
block17 = _block(
    "block17",
    "Block17",
    [conv(192, 1, scope="Conv2d_1x1")],
    [conv(128, 1), conv(160, (1, 7)), conv(192, (7, 1))],
)
block8 = _block(
    "block8",
    "Block8",
    [conv(192, 1, scope="Conv2d_1x1")],
    [conv(192, 1), conv(224, (1, 3)), conv(256, (3, 1))],
)


def _parts(
    output_stride: int, align_feature_maps: bool, activation_fn: _Activation
) -> dict[str, Part]:
    """The table for these arguments of `inception_resnet_v2_base`."""
    inner: dict[str, Any] = {"padding": "SAME" if align_feature_maps else "VALID"}
    half: dict[str, Any] = {"stride": 2, **inner}
    to_17x17: dict[str, Any] = {"stride": 2 if output_stride == 16 else 1, **inner}
    rate = 1 if output_stride == 16 else 2

    def after(block: Callable[..., jax.Array], count: int, scale: float, part: Part) -> Part:
        """The part, after `count` blocks that are not end points."""

        def blocks_and_part(net: jax.Array, scope: str, variant: Variant) -> jax.Array:
            net = repeat(net, count, block, scale=scale, activation_fn=activation_fn)
            return part(net, scope, variant)

        return blocks_and_part

    def blocks_17x17(net: jax.Array, scope: str, variant: Variant) -> jax.Array:
        with arg_scope([conv2d], rate=rate):
            return repeat(net, 20, block17, scale=0.1, activation_fn=activation_fn)

    def last(net: jax.Array, scope: str, variant: Variant) -> jax.Array:
        return conv(1536, 1)(block8(net, activation_fn=None), scope, variant)

    return {
        **stem(inner["padding"]),
        "Mixed_5b": mixed(
            [conv(96, 1, scope="Conv2d_1x1")],
            [conv(48, 1), conv(64, 5)],
            [conv(64, 1), conv(96, 3), conv(96, 3)],
            [avg_pool(3), conv(64, 1)],
        ),
        "Mixed_6a": after(
            block35,
            10,
            0.17,
            mixed(
                [conv(384, 3, scope="Conv2d_1a_3x3", **to_17x17)],
                [conv(256, 1), conv(256, 3), conv(384, 3, scope="Conv2d_1a_3x3", **to_17x17)],
                [max_pool(3, **to_17x17)],
            ),
        ),
        "PreAuxLogits": blocks_17x17,
        "Mixed_7a": mixed(
            [conv(256, 1), conv(384, 3, **half)],
            [conv(256, 1), conv(288, 3, **half)],
            [conv(256, 1), conv(288, 3), conv(320, 3, **half)],
            [max_pool(3, **half)],
        ),
        "Conv2d_7b_1x1": after(block8, 9, 0.2, last),
    }


@described()
def inception_resnet_v2_base(
    inputs: jax.Array,
    final_endpoint: str = "Conv2d_7b_1x1",
    output_stride: int = 16,
    align_feature_maps: bool = False,
    scope: str | VariableScope | None = None,
    activation_fn: _Activation = jax.nn.relu,
) -> tuple[jax.Array, EndPoints]:
    """Inception-ResNet V2 without its classifiers.

    Args:
      inputs: Images, `[batch, height, width, channels]`. The whole of it takes 75x75 pixels or
        more, or any with `align_feature_maps`.
      final_endpoint: The end point to stop at: Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3,
        MaxPool_3a_3x3, Conv2d_3b_1x1, Conv2d_4a_3x3, MaxPool_5a_3x3, Mixed_5b, Mixed_6a,
        PreAuxLogits, Mixed_7a or Conv2d_7b_1x1.
      output_stride: How much smaller the map PreAuxLogits is than the images, 16 or 8. For 8 there
        is no stride at Mixed_6a, the convolutions after it are atrous with rate 2, and there is
        nothing behind PreAuxLogits.
      align_feature_maps: Whether all layers have 'SAME' padding, so that maps are aligned.
      scope: The variable scope, default `InceptionResnetV2`, made unique.
      activation_fn: That of the residual blocks; other convolutions have theirs by arg_scope.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. Conv2d_7b_1x1 is 8x8
      with 1536 channels for images of 299x299.

    Raises:
      ValueError: There is no such end point, or not with this `output_stride`, which is 16 or 8;
        `inputs` are not a batch of images, or too small.
    """
    checks.one_of("inception_resnet_v2_base", "output_stride", output_stride, (8, 16))
    parts = _parts(output_stride, align_feature_maps, activation_fn)
    if output_stride == 8 and final_endpoint in ("Mixed_7a", "Conv2d_7b_1x1"):
        raise ValueError(
            "inception_resnet_v2_base: with output_stride 8 there is nothing behind "
            f"'PreAuxLogits', got final_endpoint {final_endpoint!r}"
        )
    with variable_scope(scope, "InceptionResnetV2"):
        return build("inception_resnet_v2_base", inputs, parts, final_endpoint)


@with_image_size(299)
@described(inception_resnet_v2_base)
def inception_resnet_v2(
    inputs: jax.Array,
    num_classes: int | None = 1001,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    reuse: Reuse = None,
    scope: str = "InceptionResnetV2",
    create_aux_logits: bool = True,
    activation_fn: _Activation = jax.nn.relu,
) -> tuple[jax.Array, EndPoints]:
    """Forty residual blocks of three kinds, a linear classifier, and an auxiliary one.

    The loss of the auxiliary logits, the end point 'AuxLogits', counts 0.4 in TF-Slim's training.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 107x107 pixels or more (75x75 without
        auxiliary logits). The variables of the auxiliary classifier depend on the size.
      num_classes: How many logits to give; None or 0 for the pooled features.
      create_aux_logits: Whether to make the auxiliary classifier, also where nothing is trained.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, 1, 1, 1536]`; and the end
      points of `inception_resnet_v2_base`, AuxLogits, global_pool, PreLogitsFlatten, Logits,
      Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.
    """
    check_images_and_aux(inputs, "inception_resnet_v2", bool(create_aux_logits and num_classes))
    head = Head(num_classes, dropout_keep_prob=dropout_keep_prob, prediction_fn=softmax)
    aux_features = "PreAuxLogits" if create_aux_logits else None
    with network_scope(scope, "InceptionResnetV2", reuse, is_training) as opened:
        net, end_points = inception_resnet_v2_base(
            inputs, scope=opened, activation_fn=activation_fn
        )
        return classify_with_aux(net, end_points, head, aux_features, ("Conv2d_2a_5x5", "Logits"))
