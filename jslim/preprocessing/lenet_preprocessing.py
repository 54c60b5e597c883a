"""Preprocessing for LeNet."""

import numpy as np

from jslim.preprocessing import images
from jslim.preprocessing.images import Array


def preprocess_image(
    image: np.ndarray,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Crops or pads with 0 around the centre, then maps `[0, 255]` to `[-1, 1)`.

    Differs from TF-Slim, which swaps height and width.

    Args:
      image: `[height, width, channels]` in `[0, 255]`.
      output_height: The height of the result.
      output_width: The width of the result.
      is_training: Of no effect: nothing here is random.
      rng: Of no effect.

    Returns:
      float32 `[output_height, output_width, channels]`.

    >>> preprocess_image(np.full((1, 1, 1), 192), 1, 1).tolist()
    [[[0.5]]]
    """
    return normalize(crop_and_resize(image, output_height, output_width).astype(np.float32))


def crop_and_resize(
    image: images.Image,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """The first half of `preprocess_image`: crops or pads, and leaves the values."""
    images.check_image(image)
    images.warn_of_crop("lenet", image, output_height, output_width)
    return images.crop_or_pad(np.asarray(image), output_height, output_width)


def normalize(images: Array) -> Array:
    """The second half, of one image or several: maps `[0, 255]` to `[-1, 1)`."""
    return (images - 128.0) / 128.0
