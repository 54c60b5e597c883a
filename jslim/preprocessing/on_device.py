"""The second half of preprocessing: the values of images, on the device.

    preprocess = get_device_preprocessing('inception_v3', is_training=True)
    images = preprocess(batch['image'], slim.make_rng('augmentation'))       # in the model function

The first half, cropping and resizing, is `preprocessing_factory.get_host_preprocessing`; the two
together are `get_preprocessing`. An exported model begins with this half.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.preprocessing import augmentation
from jslim.preprocessing.cifarnet_preprocessing import CONTRAST
from jslim.preprocessing.inception_preprocessing import BRIGHTNESS, SATURATION
from jslim.preprocessing.preprocessing_factory import kind_of, module_of

# See `get_device_preprocessing`.
DevicePreprocessing = Callable[..., jax.Array]


def _distort_for_cifarnet(rng: jax.Array, images: jax.Array) -> jax.Array:
    flip, contrast = jax.random.split(rng)
    images = augmentation.random_flip_left_right(flip, images)
    return augmentation.random_contrast(contrast, images, *CONTRAST)


def _distort_for_inception(rng: jax.Array, images: jax.Array) -> jax.Array:
    flip, brightness, saturation = jax.random.split(rng, 3)
    images = augmentation.random_flip_left_right(flip, images)
    images = augmentation.random_brightness(brightness, images, 255 * BRIGHTNESS)
    return jnp.clip(augmentation.random_saturation(saturation, images, *SATURATION), 0, 255)


# The random distortions of training, of images in `[0, 255]`.
_DISTORTIONS = {
    "cifarnet": _distort_for_cifarnet,
    "inception": _distort_for_inception,
    "vgg": augmentation.random_flip_left_right,
}


def get_device_preprocessing(name: str, is_training: bool = False) -> DevicePreprocessing:
    """The second half of a preprocessing: flips, colours, normalization, on whole batches.

    Args:
      name: As of `preprocessing_factory.get_preprocessing`.
      is_training: Whether to distort at random.

    Returns:
      `preprocess(images, rng=None)`, from `[batch, height, width, channels]` in `[0, 255]`, uint8
      or floating, to float32. In training it needs `rng`, a key; each image has random numbers of
      its own, the same for any number of devices.

    Raises:
      ValueError: There is no preprocessing of that name; from the function: training without `rng`.

    >>> preprocess = get_device_preprocessing("vgg_16")
    >>> pixels = preprocess(jnp.full((1, 2, 2, 3), 128, jnp.uint8))
    >>> [round(value, 2) for value in pixels[0, 0, 0].tolist()]
    [4.32, 11.22, 24.06]
    """
    normalize = module_of(name).normalize
    distort = _DISTORTIONS.get(kind_of(name)) if is_training else None

    def preprocess(images: ArrayLike, rng: jax.Array | None = None) -> jax.Array:
        if is_training and rng is None:
            raise ValueError(
                f"the preprocessing of {name!r} with is_training=True draws random numbers; pass "
                "rng, a key such as slim.make_rng('augmentation') gives"
            )
        images = jnp.asarray(images, jnp.float32)
        return normalize(images if distort is None or rng is None else distort(rng, images))

    return preprocess
