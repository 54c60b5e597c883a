"""What networks share: the check of their images, and the classifier made of a convolution."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jslim.layers import conv2d, dropout

_F = TypeVar("_F", bound=Callable[..., Any])

EndPoints = dict[str, jax.Array]


def with_image_size(size: int) -> Callable[[_F], _F]:
    """Gives a network its `default_image_size`, the height and width that it was designed for."""

    def decorate(network: _F) -> _F:
        network.default_image_size = size  # type: ignore[attr-defined]
        return network

    return decorate


def variant(network: Callable[..., Any], name: str, **defaults: Any) -> Callable[..., Any]:
    """The network with other defaults, under a name of its own."""
    partial: Any = functools.update_wrapper(functools.partial(network, **defaults), network)
    partial.__name__ = partial.__qualname__ = name
    del partial.__wrapped__  # whose signature has the defaults of the network
    return partial


def fixed_padding(kernel_size: Sequence[int], rate: int = 1) -> list[tuple[int, int]]:
    """The padding of a convolution that depends on its kernel alone, and not on the inputs."""
    totals = [(size - 1) * rate for size in kernel_size]
    return [(total // 2, total - total // 2) for total in totals]


def check_images(images: jax.Array, network: str, smallest: int, remedy: str = "") -> None:
    """Refuses images that are not a batch, or smaller than `smallest` pixels in a direction."""
    shape = jnp.shape(images)
    if len(shape) != 4:
        hint = "; add a batch axis (images[None])" if len(shape) == 3 else ""
        raise ValueError(
            f"{network}: images must be [batch, height, width, channels], got shape {shape}{hint}"
        )
    height, width = shape[1:3]
    if min(height, width) < smallest:
        raise ValueError(
            f"{network}: images of {height}x{width} are too small, it takes {smallest}x{smallest} "
            f"or more; resize them{remedy}"
        )


def squeeze_logits(
    logits: jax.Array,
    where: str,
    otherwise: str = "global_pool=True for one prediction per image",
) -> jax.Array:
    """Logits `[batch, 1, 1, num_classes]` without their height and width.

    Args:
      logits: `[batch, height, width, num_classes]`.
      where: The network, for the error.
      otherwise: What to pass to have one prediction an image, for the error.

    Raises:
      ValueError: They are a larger map than 1x1.
    """
    height, width = logits.shape[1:3]
    if (height, width) != (1, 1):
        raise ValueError(
            f"{where}: images of this size give a {height}x{width} map of logits, and "
            "spatial_squeeze can only remove a 1x1 one; pass spatial_squeeze=False to "
            f"have the map, or {otherwise}"
        )
    return lax.squeeze(logits, (1, 2))


def classify_by_convolution(
    net: jax.Array,
    end_points: EndPoints,
    num_classes: int | None,
    *,
    scope: str,
    is_training: bool,
    dropout_keep_prob: float,
    spatial_squeeze: bool,
    global_pool: bool,
    **logits_arguments: Any,
) -> tuple[jax.Array, EndPoints]:
    """The end of AlexNet and VGG: global pooling if wanted, `dropout7`, `fc8`, squeezing.

    Args:
      net: The features `fc7`, `[batch, height, width, channels]`.
      end_points: To which 'global_pool' and 'SCOPE/fc8' are added.
      num_classes: None or 0 leaves the features as they are.
      scope: The full name of the network's variable scope, which is current.
      is_training: Whether to drop.
      dropout_keep_prob: The share of features that `dropout7` keeps.
      spatial_squeeze: Whether the logits lose their height and width, which then must be 1.
      global_pool: Whether to average the features over height and width.
      **logits_arguments: Further ones of `fc8`, a `conv2d`.

    Returns:
      `(logits or features, end_points)`.
    """
    if global_pool:
        net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
    if num_classes:
        net = dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout7")
        net = conv2d(
            net,
            num_classes,
            [1, 1],
            activation_fn=None,
            normalizer_fn=None,
            outputs_collections=None,
            scope="fc8",
            **logits_arguments,
        )
        if spatial_squeeze:
            net = squeeze_logits(net, scope)
        end_points[f"{scope}/fc8"] = net
    return net, end_points
