"""What preprocessing does with the values of an image, apart from its size: on the device.

These are the last steps of the `preprocess_image` functions in evaluation, for images that have
the network's size already; an exported model begins with them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jslim.preprocessing.preprocessing_factory import kind_of
from jslim.preprocessing.vgg_preprocessing import CHANNEL_MEANS


def _lenet(images: jax.Array) -> jax.Array:
    return (images - 128.0) / 128.0


def _cifarnet(images: jax.Array) -> jax.Array:
    count = images[0].size
    mean = jnp.mean(images, (1, 2, 3), keepdims=True)
    deviation = jnp.std(images, (1, 2, 3), keepdims=True)
    return (images - mean) / jnp.maximum(deviation, count**-0.5)


def _vgg(images: jax.Array) -> jax.Array:
    return images - jnp.asarray(CHANNEL_MEANS, jnp.float32).reshape(1, 1, 1, 3)


def _inception(images: jax.Array) -> jax.Array:
    return (images * (1 / 255) - 0.5) * 2.0


_NORMALIZATIONS = {
    "cifarnet": _cifarnet,
    "inception": _inception,
    "lenet": _lenet,
    "vgg": _vgg,
}


def get_normalization(name: str) -> Callable[[jax.Array], jax.Array]:
    """The function of values of a preprocessing.

    Args:
      name: As of `preprocessing_factory.get_preprocessing`.

    Returns:
      `normalize(images)`, from `[batch, height, width, channels]` in `[0, 255]`, uint8 or floating,
      to float32.

    Raises:
      ValueError: There is no preprocessing of that name.
    """
    normalize = _NORMALIZATIONS[kind_of(name)]
    return lambda images: normalize(images.astype(jnp.float32))
