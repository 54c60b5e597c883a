"""The second half of preprocessing: what it does with the values of images, on the device.

    preprocess = get_device_preprocessing('inception_v3', is_training=True)
    images = preprocess(batch['image'], slim.make_rng('augmentation'))       # in the model function

The first half, cropping and resizing, is `preprocessing_factory.get_host_preprocessing`; the two
together are `get_preprocessing`. An exported model begins with this half.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jslim.preprocessing import augmentation, cifarnet_preprocessing, inception_preprocessing
from jslim.preprocessing.preprocessing_factory import kind_of
from jslim.preprocessing.vgg_preprocessing import CHANNEL_MEANS

DevicePreprocessing = Callable[..., jax.Array]


def _lenet(images: jax.Array, rng: jax.Array | None) -> jax.Array:
    return (images - 128.0) / 128.0


def _cifarnet(images: jax.Array, rng: jax.Array | None) -> jax.Array:
    if rng is not None:
        flip, contrast = jax.random.split(rng)
        images = augmentation.random_flip_left_right(flip, images)
        images = augmentation.random_contrast(contrast, images, *cifarnet_preprocessing.CONTRAST)
    count = images[0].size
    mean = jnp.mean(images, (1, 2, 3), keepdims=True)
    deviation = jnp.std(images, (1, 2, 3), keepdims=True)
    return (images - mean) / jnp.maximum(deviation, count**-0.5)


def _vgg(images: jax.Array, rng: jax.Array | None) -> jax.Array:
    if rng is not None:
        images = augmentation.random_flip_left_right(rng, images)
    return images - jnp.asarray(CHANNEL_MEANS, jnp.float32).reshape(1, 1, 1, 3)


def _inception(images: jax.Array, rng: jax.Array | None) -> jax.Array:
    images = images * (1 / 255)
    if rng is not None:
        flip, brightness, saturation = jax.random.split(rng, 3)
        images = augmentation.random_flip_left_right(flip, images)
        images = augmentation.random_brightness(
            brightness, images, inception_preprocessing.BRIGHTNESS
        )
        images = augmentation.random_saturation(
            saturation, images, *inception_preprocessing.SATURATION
        )
        images = jnp.clip(images, 0, 1)
    return (images - 0.5) * 2.0


_HALVES = {
    "cifarnet": _cifarnet,
    "inception": _inception,
    "lenet": _lenet,
    "vgg": _vgg,
}


def get_device_preprocessing(name: str, is_training: bool = False) -> DevicePreprocessing:
    """The function of the values of a preprocessing: flip, colours, normalization.

    Args:
      name: As of `preprocessing_factory.get_preprocessing`.
      is_training: Whether to distort at random.

    Returns:
      `preprocess(images, rng=None)`, from `[batch, height, width, channels]` in `[0, 255]`, uint8
      or floating, to float32. In training it needs `rng`, a key; each image has random numbers of
      its own, the same for any number of devices.

    Raises:
      ValueError: There is no preprocessing of that name; from the function: training without `rng`.
    """
    half = _HALVES[kind_of(name)]

    def preprocess(images: jax.Array, rng: jax.Array | None = None) -> jax.Array:
        if is_training and rng is None:
            raise ValueError(
                f"the preprocessing of {name!r} with is_training=True draws random numbers; pass "
                "rng, a key such as slim.make_rng('augmentation') gives."
            )
        return half(images.astype(jnp.float32), rng if is_training else None)

    return preprocess
