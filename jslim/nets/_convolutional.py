"""Shared by AlexNet, OverFeat and VGG: convolutions instead of fully connected layers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse
from jslim.initializers import constant_initializer, truncated_normal_initializer
from jslim.layers import conv2d, dropout, fully_connected, max_pool2d
from jslim.layers.utils import convert_collection_to_dict
from jslim.nets import _common
from jslim.nets._common import Head, Network, Outputs
from jslim.regularizers import l2_regularizer


def plain_arg_scope(weight_decay: float, first_bias: float = 0.0, **of_pools: str) -> ArgScope:
    """The defaults of these networks: ReLU, L2 on all weights, 'SAME' convolutions.

    Args:
      weight_decay: Scale of the L2 penalty.
      first_bias: The initial value of the biases.
      **of_pools: Arguments of `max_pool2d`.
    """
    with (
        arg_scope(
            [conv2d, fully_connected],
            activation_fn=jax.nn.relu,
            biases_initializer=constant_initializer(first_bias),
            weights_regularizer=l2_regularizer(weight_decay),
        ),
        arg_scope([conv2d], padding="SAME"),
        arg_scope([max_pool2d], **of_pools) as scope,
    ):
        return scope


def convolutional_network(
    name: str,
    module: str,
    image_size: int,
    smallest: int,
    features: _common.Function,
    fc6: tuple[int, int],
    without: Sequence[str] = (),
    fc8: _common.Arguments | None = None,
    **of_classifier: object,
) -> Network:
    """VGG, AlexNet or OverFeat.

    Args:
      name, module: Of the function.
      image_size: Height and width of the images that the network was designed for.
      smallest: The least height and width of images; up to 31 more give one prediction.
      features: The layers before `fc6`, a function of the images.
      fc6: Number of filters and kernel size of `fc6`.
      without: Arguments that the network lacks.
      fc8: Further arguments of `fc8`, a `conv2d`.
      **of_classifier: Defaults of `conv2d` for `fc6`, `fc7` and `fc8`.
    """

    @_common.with_image_size(image_size)
    @_common.without(*without)
    @_common.named(name, module)
    def network(
        inputs: jax.Array,
        num_classes: int | None = 1000,
        is_training: bool = True,
        dropout_keep_prob: float = 0.5,
        spatial_squeeze: bool = True,
        reuse: Reuse = None,
        scope: str = name,
        fc_conv_padding: str = "VALID",
        global_pool: bool = False,
    ) -> Outputs:
        """Convolutions with pooling, and three more instead of fully connected layers.

        Args:
          inputs: Images, `[batch, height, width, channels]`, of 224x224 pixels or more for VGG,
            195x195 for AlexNet and 231x231 for OverFeat. Up to 31 pixels more give one prediction
            per image.
          num_classes: Number of logits; None or 0 for the features `fc7`.
          is_training: Whether to drop features.
          fc_conv_padding: Padding of `fc6`. 'SAME' takes images of 32x32 pixels or more and
            gives a map of a 32nd of their size, 'VALID' one smaller by 6.
          global_pool: Whether to average `fc7` over height and width, so that images of any size
            give one prediction. Not part of the papers.

        Returns:
          The logits, `[batch, num_classes]` (with their height and width in the middle if
          `spatial_squeeze` is False), or the features, `[batch, height, width, 4096]`; and the end
          points as a dict: of each layer by its scope, as 'SCOPE/conv1' or 'SCOPE/conv1/conv1_1'
          to 'SCOPE/fc8', and 'global_pool'.

        Raises:
          ValueError: The images are not a batch, too small, or too large to squeeze.
        """
        if str(fc_conv_padding).upper() == "SAME":
            _common.check_images(inputs, name, 32)
        else:
            remedy = "" if "fc_conv_padding" in without else ", or pass fc_conv_padding='SAME'"
            _common.check_images(inputs, name, smallest, remedy)
        head = Head(num_classes, spatial_squeeze, global_pool)

        def drop(net: jax.Array, scope: str) -> jax.Array:
            return dropout(net, dropout_keep_prob, is_training=is_training, scope=scope)

        with _common.network_scope(scope, name, reuse) as opened:
            where, collection = opened.name, opened.original_name_scope + "_end_points"
            with arg_scope([conv2d, max_pool2d], outputs_collections=collection):
                net = features(inputs)
                with _common.safe_arg_scope([conv2d], **of_classifier):
                    depth, size = fc6
                    net = conv2d(net, depth, [size, size], padding=fc_conv_padding, scope="fc6")
                    net = conv2d(drop(net, "dropout6"), 4096, [1, 1], scope="fc7")
                    end_points = convert_collection_to_dict(collection, clear_collection=True)
                    if head.global_pool:
                        net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
                    if num_classes:
                        last = {"outputs_collections": None, **(fc8 or {})}
                        net = head.logits(drop(net, "dropout7"), where, "fc8", **last)
                        end_points[f"{where}/fc8"] = net
                    return net, end_points

    return network


def five_convolutions(
    name: str,
    module: str,
    image_size: int,
    smallest: int,
    fc6: tuple[int, int],
    *,
    convolutions: Sequence[tuple[int, int, _common.Arguments]],
    pool: int,
) -> Network:
    """AlexNet or OverFeat.

    Args:
      name, module, image_size, smallest, fc6: As for `convolutional_network`.
      convolutions: Number of filters, kernel size and further arguments of each.
      pool: Window size of the pools after the first, second and fifth.
    """

    def features(net: jax.Array) -> jax.Array:
        for index, (depth, size, options) in enumerate(convolutions, 1):
            net = conv2d(net, depth, [size, size], scope=f"conv{index}", **options)
            if index in (1, 2, 5):
                net = max_pool2d(net, [pool, pool], 2, scope=f"pool{index}")
        return net

    return convolutional_network(
        name,
        module,
        image_size,
        smallest,
        features,
        fc6=fc6,
        without=("reuse", "fc_conv_padding"),
        fc8={"biases_initializer": constant_initializer(0.0)},
        weights_initializer=truncated_normal_initializer(stddev=0.005),
        biases_initializer=constant_initializer(0.1),
    )
