"""Preprocessing for VGG and AlexNet."""

import numpy as np

from jslim.preprocessing import images, resizing
from jslim.preprocessing.images import Array

# The means of red, green and blue over ImageNet's training images.
CHANNEL_MEANS = (123.68, 116.78, 103.94)
_R_MEAN, _G_MEAN, _B_MEAN = CHANNEL_MEANS  # names of TF-Slim's module, which programs import


def preprocess_image(
    image: np.ndarray,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    resize_side_min: int = 256,
    resize_side_max: int = 512,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Resizes with the aspect ratio kept, crops, and subtracts ImageNet's mean colour.

    Training: the shorter side gets a random length from `resize_side_min` to `resize_side_max`,
    every length equally likely; a random crop; a random flip. Evaluation: `resize_side_min` and a
    crop from the centre. Only the pixels of the crop are computed, which changes no number.

    Args:
      image: `[height, width, 3]` in `[0, 255]`.
      output_height: The height of the crop.
      output_width: The width of the crop.
      is_training: Whether to distort.
      resize_side_min: The least length of the shorter side, in pixels; that of evaluation.
      resize_side_max: The greatest length of the shorter side, in pixels.
      rng: The generator of the distortions; needed in training.

    Returns:
      float32 `[output_height, output_width, 3]`, from -124 to 151.

    Raises:
      ValueError: The image does not have three channels; the resized image is smaller than the
        crop; in training, `rng` is None.
    """
    rng = images.generator_or(rng)
    image = crop_and_resize(
        image,
        output_height,
        output_width,
        is_training,
        resize_side_min=resize_side_min,
        resize_side_max=resize_side_max,
        rng=rng,
    )
    if rng is not None and is_training:
        image = images.random_flip_left_right(rng, image)
    return images.by_pixels(normalize(images.by_planes(image)))


def crop_and_resize(
    image: images.Image,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    resize_side_min: int = 256,
    resize_side_max: int = 512,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """The first half of `preprocess_image`: float32 in the range of the image's values."""
    images.check_image(image)
    in_height, in_width, num_channels = image.shape
    if num_channels != len(CHANNEL_MEANS):
        raise ValueError(
            f"vgg preprocessing needs images of 3 channels, got {num_channels}; convert them to "
            "RGB, or choose another preprocessing"
        )
    if is_training:
        rng = images.require_generator(rng, "vgg preprocessing")
        side = int(rng.integers(resize_side_min, resize_side_max, endpoint=True))
        height, width = _smallest_size_at_least(in_height, in_width, side)
        rows, columns = images.random_window(rng, height, width, output_height, output_width)
        pixels = images.in_size(image, height, width)
    else:
        height, width = _smallest_size_at_least(in_height, in_width, resize_side_min)
        rows, columns = images.central_window(height, width, output_height, output_width)
        pixels = np.asarray(image)
    return resizing.resize_bilinear(pixels, height, width, rows=rows, columns=columns)


def normalize(images: Array) -> Array:
    """The second half, of one image or several: subtracts the mean colour."""
    return images - np.array(CHANNEL_MEANS, np.float32).reshape((1,) * (images.ndim - 1) + (3,))


def _smallest_size_at_least(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width with the shorter of them resized to `side`, rounded as in TF-Slim."""
    scale = np.float32(side) / np.float32(min(height, width))
    return int(np.rint(np.float32(height) * scale)), int(np.rint(np.float32(width) * scale))
