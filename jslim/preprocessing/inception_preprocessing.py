"""Preprocessing for the Inception networks, ResNet V2, MobileNet, NASNet and PNASNet."""

import math
from collections.abc import Callable

import numpy as np

from jslim.preprocessing import images, resizing
from jslim.preprocessing.images import Array

# The distortions in training, as in Szegedy et al., "Going deeper with convolutions" (2014),
# https://arxiv.org/abs/1409.4842, section 6, and in research/slim.
_ASPECT_RATIOS = (0.75, 1.33)
_AREAS = (0.05, 1.0)
_LEAST_OBJECT = 0.1
_ATTEMPTS = 100
# The greatest change of brightness, of pixels in [0, 1].
BRIGHTNESS = 32 / 255
# The range of the random factor of saturation.
SATURATION = (0.5, 1.5)
_HUE = 0.2
_CONTRAST = (0.5, 1.5)
_FAST_ORDER = ("brightness", "saturation")
_ORDERS = (
    ("brightness", "saturation", "hue", "contrast"),
    ("saturation", "brightness", "contrast", "hue"),
    ("contrast", "hue", "brightness", "saturation"),
    ("hue", "saturation", "contrast", "brightness"),
)


def preprocess_image(
    image: np.ndarray,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    central_fraction: float = 0.875,
    crop_image: bool = True,
    fast_mode: bool = True,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Crops, resizes bilinearly without keeping the aspect ratio, and maps `[0, 255]` to `[-1, 1]`.

    Evaluation crops the central part. Training crops at random, with 5 to 100 per cent of the area,
    a ratio of width to height of 0.75 to 1.33, and at least a tenth of the object; flips at random;
    and distorts the colours (see `distort_color`).

    Args:
      image: `[height, width, 3]` in `[0, 255]`; in evaluation any number of channels.
      output_height: The height of the result.
      output_width: The width of the result.
      is_training: Whether to distort.
      bbox: The box of the object, `(ymin, xmin, ymax, xmax)` in `[0, 1]`; default the whole image.
      central_fraction: The share of height and width that evaluation keeps.
      crop_image: Whether evaluation crops.
      fast_mode: Whether training resizes bilinearly and leaves hue and contrast; otherwise it draws
        one of four methods, and one of four orders of the distortions of colours.
      rng: The generator of the distortions; needed in training.

    Returns:
      float32 `[output_height, output_width, channels]` in `[-1, 1]`.

    Raises:
      ValueError: In training: `rng` is None, or the image does not have three channels.
    """
    rng = images.generator_or(rng)
    image = crop_and_resize(
        image,
        output_height,
        output_width,
        is_training,
        bbox=bbox,
        central_fraction=central_fraction,
        crop_image=crop_image,
        fast_mode=fast_mode,
        rng=rng,
    )
    if rng is not None and is_training:
        image *= np.float32(1 / 255)
        image = images.random_flip_left_right(rng, image)
        return images.by_pixels(_to_signed(distort_color(rng, image, fast_mode=fast_mode)))
    return normalize(image)


def crop_and_resize(
    image: images.Image,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    central_fraction: float = 0.875,
    crop_image: bool = True,
    fast_mode: bool = True,
    rng: np.random.Generator | None = None,
    scale: float | None = None,
) -> np.ndarray:
    """The first half of `preprocess_image`, with its arguments.

    Returns:
      float32 `[output_height, output_width, channels]` in the range of the image's values, times
      `scale` if it is given.
    """
    images.check_image(image)
    if not is_training:
        pixels = np.asarray(image)
        if crop_image:
            pixels = central_crop(pixels, central_fraction)
        return resizing.resize_bilinear(pixels, output_height, output_width, scale=scale)
    generator = images.require_generator(rng, "inception preprocessing")
    if image.shape[2] != 3:
        raise ValueError(
            f"inception preprocessing distorts the colours of images of 3 channels, got "
            f"{image.shape[2]}; convert them to RGB, or choose another preprocessing, such as lenet"
        )
    rows, columns = random_distorted_window(generator, image.shape[0], image.shape[1], bbox)
    if fast_mode:
        pixels = images.cut(image, (rows, columns), output_height, output_width)
        return resizing.resize_bilinear(pixels, output_height, output_width, scale=scale)
    method = str(generator.choice(resizing.METHODS))
    pixels = np.asarray(image)[rows, columns]
    return resizing.resize(pixels, output_height, output_width, method, scale=scale)


def normalize(images: Array) -> Array:
    """The second half in evaluation, of one image or several: maps `[0, 255]` to `[-1, 1]`."""
    return _to_signed(images * (1 / 255))


def _to_signed(images: Array) -> Array:
    """Maps `[0, 1]` to `[-1, 1]`; overwrites a NumPy array."""
    images -= 0.5
    images *= 2.0
    return images


def distort_color(
    rng: np.random.Generator, image: np.ndarray, *, fast_mode: bool = True
) -> np.ndarray:
    """Changes brightness by up to 32/255 and saturation by 0.5 to 1.5, and clips to `[0, 1]`.

    Without `fast_mode` it also changes the hue by up to a fifth of a turn and the contrast by 0.5
    to 1.5, in one of four orders.

    Args:
      rng: The generator of the changes.
      image: `[height, width, 3]` in `[0, 1]`.
      fast_mode: Whether to leave out hue and contrast, which are slower.
    """
    steps: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "brightness": lambda x: np.add(x, rng.uniform(-BRIGHTNESS, BRIGHTNESS), out=x),
        "contrast": lambda x: images.adjust_contrast(x, rng.uniform(*_CONTRAST)),
        "hue": lambda x: images.adjust_hue(x, rng.uniform(-_HUE, _HUE)),
        "saturation": lambda x: images.adjust_saturation(x, rng.uniform(*SATURATION)),
    }
    image = images.by_planes(image)
    order = _FAST_ORDER if fast_mode else _ORDERS[rng.integers(len(_ORDERS))]
    for name in order:
        image = steps[name](image)
    return np.clip(image, 0, 1, out=image)


def central_crop(image: np.ndarray, central_fraction: float) -> np.ndarray:
    """The middle of an image, as TensorFlow's `central_crop`.

    Raises:
      ValueError: The fraction is not in (0, 1].

    >>> central_crop(np.zeros((8, 12, 3)), 0.5).shape
    (4, 6, 3)
    """
    if not 0 < central_fraction <= 1:
        raise ValueError(f"central_fraction must be in (0, 1], got {central_fraction}")
    top, left = (int((length - length * central_fraction) / 2) for length in image.shape[:2])
    return image[top : len(image) - top, left : image.shape[1] - left]


def random_distorted_window(
    rng: np.random.Generator,
    in_height: int,
    in_width: int,
    bbox: tuple[float, float, float, float] | None = None,
) -> images.Window:
    """The rows and columns of a crop, as TensorFlow's `sample_distorted_bounding_box` draws them.

    The first of 100 attempts that fits is taken. An attempt draws the ratio of the sides, then the
    height within the limits of the area, then the place, all uniformly. If none fits, the crop is
    the whole image.

    Args:
      rng: The generator.
      in_height: The height of the image in pixels.
      in_width: The width of the image in pixels.
      bbox: The box of the object, of which a tenth must be in the crop; default the whole image.
    """
    ymin, xmin, ymax, xmax = bbox or (0.0, 0.0, 1.0, 1.0)
    top, left = ymin * in_height, xmin * in_width
    bottom, right = ymax * in_height, xmax * in_width
    least, most = (share * in_height * in_width for share in _AREAS)
    for _ in range(_ATTEMPTS):
        ratio = rng.uniform(*_ASPECT_RATIOS)
        size = _random_size(rng, in_height, in_width, least, most, ratio)
        if size is None:
            continue
        height, width = size
        y = int(rng.integers(in_height - height)) if height < in_height else 0
        x = int(rng.integers(in_width - width)) if width < in_width else 0
        overlap = max(0, min(bottom, y + height) - max(top, y)) * max(
            0, min(right, x + width) - max(left, x)
        )
        if overlap >= _LEAST_OBJECT * (bottom - top) * (right - left):
            return slice(y, y + height), slice(x, x + width)
    return slice(0, in_height), slice(0, in_width)


def _random_size(
    rng: np.random.Generator,
    in_height: int,
    in_width: int,
    least: float,
    most: float,
    ratio: float,
) -> tuple[int, int] | None:
    """Height and width of a crop with that ratio of width to height, if one fits."""
    height, greatest = (round(math.sqrt(area / ratio)) for area in (least, most))
    if round(greatest * ratio) > in_width:
        greatest = int((in_width + 0.5 - 1e-7) / ratio)
        greatest -= round(greatest * ratio) > in_width
    greatest = min(greatest, in_height)
    height = min(height, greatest)
    if height < greatest:
        height += int(rng.integers(greatest - height + 1))
    width = round(height * ratio)
    # Rounding may have left the limits slightly.
    if width * height < least:
        height += 1
    elif width * height > most:
        height -= 1
    width = round(height * ratio)
    fits = least <= width * height <= most and 0 < width <= in_width and 0 < height <= in_height
    return (height, width) if fits else None
