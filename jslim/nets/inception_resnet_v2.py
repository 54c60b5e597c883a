"""Inception-ResNet V2: residual blocks whose branches are those of Inception modules.

    with slim.arg_scope(inception_resnet_v2.inception_resnet_v2_arg_scope()):
        logits, end_points = inception_resnet_v2.inception_resnet_v2(images)

Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning"
(2016), https://arxiv.org/abs/1602.07261, figures 15 to 19; with the stem and the first module of
Inception V3, as in TF-Slim.
"""

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.layers import batch_norm, conv2d, fully_connected, repeat, softmax
from jslim.nets import _common, inception_utils
from jslim.nets._common import LINEAR, Activation, Arguments, Function, Head, Outputs, Scope
from jslim.nets.inception_utils import Branch, Part, Variant, avg_pool, conv, max_pool, mixed
from jslim.regularizers import l2_regularizer


def inception_resnet_v2_arg_scope(
    weight_decay: float = 0.00004,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: Activation = jax.nn.relu,
    batch_norm_updates_collections: str | None = "update_ops",
    batch_norm_scale: bool = False,
) -> ArgScope:
    """The defaults of the network: batch normalization, L2 on weights and on biases.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      activation_fn: Function of each convolution's result. The blocks have their own argument.
      batch_norm_updates_collections: As for `batch_norm`.
      batch_norm_scale: Whether batch normalization has a `gamma`.

    Returns:
      A scope for `slim.arg_scope`.
    """
    regularizer = l2_regularizer(weight_decay)
    params = _common.batch_norm_params(
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


def _block(name: str, default_scope: str, *branches: Branch) -> Function:
    """Makes a residual block of these branches, as a function of that name."""

    @_common.named(name, __name__)
    @_common.described()
    def block(
        net: jax.Array,
        scale: float = 1.0,
        activation_fn: Activation = jax.nn.relu,
        scope: str | None = None,
        reuse: Reuse = None,
    ) -> jax.Array:
        """Adds the joined outputs of its branches, times `scale`, to its inputs.

        Args:
          net: `[batch, height, width, channels]`.
          scale: Factor of the joined outputs.
          activation_fn: Function of the sum, None for the sum itself. With `jax.nn.relu6` the
            summand is clipped to [-6, 6] too.
          scope: Name of the variable scope, default `Block35` (17, 8), made unique.

        Returns:
          An array of the shape of `net`.
        """
        with variable_scope(scope, default_scope, reuse=reuse):
            joined = inception_utils.join_branches(net, branches)
            added = scale * conv2d(joined, net.shape[3], [1, 1], scope="Conv2d_1x1", **LINEAR)
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
    output_stride: int, align_feature_maps: bool, activation_fn: Activation
) -> dict[str, Part]:
    """The table for these arguments of `inception_resnet_v2_base`."""
    padding = "SAME" if align_feature_maps else "VALID"
    half: Arguments = {"stride": 2, "padding": padding}
    to_17x17 = half if output_stride == 16 else {**half, "stride": 1}
    rate = 1 if output_stride == 16 else 2

    def after(block: Function, count: int, scale: float, part: Part) -> Part:
        """The part after `count` blocks, which are no end points."""

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
        **inception_utils.stem(padding),
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


@_common.described()
def inception_resnet_v2_base(
    inputs: jax.Array,
    final_endpoint: str = "Conv2d_7b_1x1",
    output_stride: int = 16,
    align_feature_maps: bool = False,
    scope: Scope = None,
    activation_fn: Activation = jax.nn.relu,
) -> Outputs:
    """Inception-ResNet V2 without its classifiers.

    Args:
      inputs: Images, `[batch, height, width, channels]`. The whole network takes 75x75 pixels or
        more, or any size with `align_feature_maps`.
      final_endpoint: The end point to stop at: Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3,
        MaxPool_3a_3x3, Conv2d_3b_1x1, Conv2d_4a_3x3, MaxPool_5a_3x3, Mixed_5b, Mixed_6a,
        PreAuxLogits, Mixed_7a or Conv2d_7b_1x1.
      output_stride: Ratio of the sizes of images and the map PreAuxLogits, 16 or 8. With 8,
        Mixed_6a has no stride, the convolutions after it are atrous with rate 2, and PreAuxLogits
        is the last end point.
      align_feature_maps: Whether all layers have 'SAME' padding, so that maps are aligned.
      scope: The variable scope, default `InceptionResnetV2`, made unique.
      activation_fn: Activation of the residual blocks; an arg_scope sets that of the other layers.

    Returns:
      The output at `final_endpoint`, and all end points up to it as a dict. Conv2d_7b_1x1 is 8x8
      with 1536 channels for images of 299x299.

    Raises:
      ValueError: The end point is unknown or missing with this `output_stride`; `output_stride` is
        neither 16 nor 8; `inputs` are not a batch of images, or too small.
    """
    checks.one_of("inception_resnet_v2_base", "output_stride", output_stride, (8, 16))
    parts = _parts(output_stride, align_feature_maps, activation_fn)
    if output_stride == 8 and final_endpoint in ("Mixed_7a", "Conv2d_7b_1x1"):
        raise ValueError(
            "inception_resnet_v2_base: with output_stride 8 there is nothing behind "
            f"'PreAuxLogits', got final_endpoint {final_endpoint!r}"
        )
    with variable_scope(scope, "InceptionResnetV2"):
        return inception_utils.build("inception_resnet_v2_base", inputs, parts, final_endpoint)


@_common.with_image_size(299, inception_resnet_v2_base)
def inception_resnet_v2(
    inputs: jax.Array,
    num_classes: int | None = 1001,
    is_training: bool = True,
    dropout_keep_prob: float = 0.8,
    reuse: Reuse = None,
    scope: str = "InceptionResnetV2",
    create_aux_logits: bool = True,
    activation_fn: Activation = jax.nn.relu,
) -> Outputs:
    """Forty residual blocks of three kinds, a linear classifier, and an auxiliary one.

    TF-Slim trains it with the loss of the auxiliary logits, end point 'AuxLogits', times 0.4.

    Args:
      inputs: Images, `[batch, height, width, channels]`, 107x107 pixels or more (75x75 without
        auxiliary logits). The variables of the auxiliary classifier depend on the size.
      num_classes: Number of logits; None or 0 for the pooled features.
      create_aux_logits: Whether to make the auxiliary classifier, also at inference.
      scope: The variable scope.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, 1, 1, 1536]`; and the end
      points of `inception_resnet_v2_base`, AuxLogits, global_pool, PreLogitsFlatten, Logits,
      Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.
    """
    inception_utils.check_images_and_aux(
        inputs, "inception_resnet_v2", bool(create_aux_logits and num_classes)
    )
    head = Head(num_classes, dropout_keep_prob=dropout_keep_prob, prediction_fn=softmax)
    aux_features = "PreAuxLogits" if create_aux_logits else None
    with _common.network_scope(scope, "InceptionResnetV2", reuse, is_training) as opened:
        net, end_points = inception_resnet_v2_base(
            inputs, scope=opened, activation_fn=activation_fn
        )
        return inception_utils.classify_with_aux(
            net, end_points, head, aux_features, ("Conv2d_2a_5x5", "Logits")
        )
