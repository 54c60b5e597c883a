"""Preprocessing for CifarNet."""

import numpy as np

from jslim.preprocessing import images

normalize = images.per_image_standardization

_PADDING = 4
# The range of the random factor of contrast.
CONTRAST = (0.2, 1.8)


def preprocess_image(
    image: np.ndarray,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Gives each image mean 0 and variance 1; training first crops, flips and distorts it.

    Training: 4 zeros on each side, a random crop, a random flip, contrast by 0.2 to 1.8. TF-Slim
    also changes the brightness, which has no effect: it adds a number to all values, and the mean
    is subtracted afterwards. Evaluation: crop or pad around the centre. Differs from TF-Slim, which
    swaps height and width there.

    Args:
      image: `[height, width, channels]` in `[0, 255]`.
      output_height: The height of the result.
      output_width: The width of the result.
      is_training: Whether to distort.
      rng: The generator of the distortions; needed in training.

    Returns:
      float32 `[output_height, output_width, channels]`.

    Raises:
      ValueError: In training: `rng` is None, or the padded image is smaller than the result.
    """
    image = crop_and_resize(image, output_height, output_width, is_training, rng=rng)
    if is_training:
        rng = images.require_generator(rng, "cifarnet preprocessing")
        image = images.by_planes(images.random_flip_left_right(rng, image.astype(np.float32)))
        image = images.adjust_contrast(image, rng.uniform(*CONTRAST))
        return images.by_pixels(normalize(image))
    return normalize(image.astype(np.float32, copy=False))


def crop_and_resize(
    image: images.Image,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """The first half of `preprocess_image`: crops and pads, and leaves the values."""
    images.check_image(image)
    images.warn_of_crop("cifarnet", image, output_height, output_width)
    if not is_training:
        return images.crop_or_pad(np.asarray(image), output_height, output_width)
    rng = images.require_generator(rng, "cifarnet preprocessing")
    height, width = (size + 2 * _PADDING for size in image.shape[:2])
    rows, columns = images.random_window(rng, height, width, output_height, output_width)
    return images.crop_or_pad(np.asarray(image), height, width)[rows, columns]
