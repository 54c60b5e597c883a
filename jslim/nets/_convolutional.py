"""What AlexNet, OverFeat and VGG share: convolutions in place of fully connected layers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.initializers import (
    Initializer,
    constant_initializer,
    truncated_normal_initializer,
    zeros_initializer,
)
from jslim.layers import conv2d, dropout, fully_connected, max_pool2d
from jslim.layers.utils import convert_collection_to_dict
from jslim.nets._common import (
    EndPoints,
    Head,
    check_images,
    described,
    named,
    network_scope,
    with_image_size,
)
from jslim.regularizers import l2_regularizer


def plain_arg_scope(
    weight_decay: float, biases_initializer: Initializer, **of_pools: str
) -> ArgScope:
    """The defaults of these networks: ReLU, L2 on all weights, 'SAME' convolutions."""
    with (
        arg_scope(
            [conv2d, fully_connected],
            activation_fn=jax.nn.relu,
            biases_initializer=biases_initializer,
            weights_regularizer=l2_regularizer(weight_decay),
        ),
        arg_scope([conv2d], padding="SAME"),
        arg_scope([max_pool2d], **of_pools) as scope,
    ):
        return scope


def classify(
    fc6: jax.Array,
    collection: str,
    head: Head,
    where: str,
    *,
    is_training: bool,
    **fc8: Any,
) -> tuple[jax.Array, EndPoints]:
    """The end of the networks: `fc7` and `fc8`, which are convolutions, with dropout before each.

    Args:
      fc6: The features, `[batch, height, width, channels]`.
      collection: That of the end points, to which 'global_pool' and 'SCOPE/fc8' are added.
      head: What to make of `fc7`.
      where: The full name of the network's variable scope, which is current.
      is_training: Whether to drop.
      **fc8: Further arguments of the last one, a `conv2d`.

    Returns:
      `(logits or features, end_points)`.
    """

    def drop(net: jax.Array, scope: str) -> jax.Array:
        return dropout(net, head.dropout_keep_prob, is_training=is_training, scope=scope)

    net = conv2d(drop(fc6, "dropout6"), 4096, [1, 1], scope="fc7")
    end_points = convert_collection_to_dict(collection, clear_collection=True)
    if head.global_pool:
        net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
    if head.num_classes:
        net = head.logits(drop(net, "dropout7"), where, "fc8", outputs_collections=None, **fc8)
        end_points[f"{where}/fc8"] = net
    return net, end_points


def five_convolutions(
    name: str,
    module: str,
    *,
    smallest: int,
    image_size: int,
    convolutions: Sequence[tuple[int, int, Mapping[str, Any]]],
    pool: int,
    fc6: tuple[int, int],
) -> Callable[..., tuple[jax.Array, EndPoints]]:
    """AlexNet or OverFeat.

    Args:
      name, module: Of the function.
      smallest: The least height and width of images; up to 31 more give one prediction.
      image_size: The height and width that it was designed for.
      convolutions: The filters, the kernel's size and further arguments of each.
      pool: The size of the windows of the pools after the first, second and fifth.
      fc6: The filters and the kernel's size of `fc6`.
    """

    @named(name, module)
    @with_image_size(image_size)
    @described()
    def network(
        inputs: jax.Array,
        num_classes: int | None = 1000,
        is_training: bool = True,
        dropout_keep_prob: float = 0.5,
        spatial_squeeze: bool = True,
        scope: str = name,
        global_pool: bool = False,
    ) -> tuple[jax.Array, EndPoints]:
        """Five convolutions with pooling, and three more in place of fully connected layers.

        Args:
          inputs: Images, `[batch, height, width, channels]`, of 195x195 pixels or more for AlexNet
            and 231x231 or more for OverFeat; up to 31 pixels more give one prediction an image.
          num_classes: How many logits to give; None or 0 for the features `fc7`.
          is_training: Whether to drop features.
          global_pool: Whether to average `fc7` over height and width, so that images of any size
            give one prediction. Not part of the paper.

        Returns:
          The logits, `[batch, num_classes]` (with their height and width in the middle if
          `spatial_squeeze` is False), or the features, `[batch, height, width, 4096]`; and the end
          points 'SCOPE/conv1' to 'SCOPE/fc8' as a dict.

        Raises:
          ValueError: The images are not a batch, too small, or too large to squeeze.
        """
        check_images(inputs, name, smallest)
        head = Head(num_classes, spatial_squeeze, global_pool, dropout_keep_prob)
        with network_scope(scope, name) as opened:
            collection = opened.original_name_scope + "_end_points"
            net = inputs
            with arg_scope([conv2d, max_pool2d], outputs_collections=collection):
                for index, (depth, size, options) in enumerate(convolutions, 1):
                    net = conv2d(net, depth, [size, size], scope=f"conv{index}", **options)
                    if index in (1, 2, 5):
                        net = max_pool2d(net, [pool, pool], 2, scope=f"pool{index}")
                with arg_scope(
                    [conv2d],
                    weights_initializer=truncated_normal_initializer(stddev=0.005),
                    biases_initializer=constant_initializer(0.1),
                ):
                    depth, size = fc6
                    net = conv2d(net, depth, [size, size], padding="VALID", scope="fc6")
                    return classify(
                        net,
                        collection,
                        head,
                        opened.name,
                        is_training=is_training,
                        biases_initializer=zeros_initializer(),
                    )

    return network
