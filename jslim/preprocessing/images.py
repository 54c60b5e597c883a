"""Operations on one image `[height, width, channels]`, with the numbers of TensorFlow 1."""

import contextlib
import contextvars
import logging
import math
from collections.abc import Iterator
from typing import Protocol, TypeVar

import jax
import numpy as np
from numpy.typing import DTypeLike

from jslim.core import checks

logger = logging.getLogger("jslim")

# The same code computes on the host and on the device.
Array = TypeVar("Array", np.ndarray, jax.Array)


def check_image(image: "Image") -> None:
    """Raises ValueError unless the image has three axes."""
    if image.ndim != 3:
        layout, hint = "[height, width, channels]", "pass one image at a time"
        raise checks.refusal("", "an image to preprocess", layout, f"shape {image.shape}", hint)


_DRAWN_FROM: contextvars.ContextVar[np.random.Generator | None] = contextvars.ContextVar(
    "drawn_from", default=None
)


@contextlib.contextmanager
def drawing_from(rng: np.random.Generator) -> Iterator[None]:
    """In the body, preprocessing that is given no generator draws from this one."""
    token = _DRAWN_FROM.set(rng)
    try:
        yield
    finally:
        _DRAWN_FROM.reset(token)


def generator_or(rng: np.random.Generator | None) -> np.random.Generator | None:
    """The generator, or that of the `drawing_from` around, or None."""
    return _DRAWN_FROM.get() if rng is None else rng


def require_generator(rng: np.random.Generator | None, where: str) -> np.random.Generator:
    """The generator, or that of the `drawing_from` around.

    Raises:
      ValueError: There is none.
    """
    rng = generator_or(rng)
    if rng is None:
        raise ValueError(
            f"{where} with is_training=True draws random numbers; pass rng, a "
            "numpy.random.Generator"
        )
    return rng


_LEAST_KEPT = 0.5  # of the pixels; a crop that keeps less is logged
_CROPPED: dict[str, object] = {}  # by preprocessing, the first image of which one was logged


def warn_of_crop(name: str, image: "Image", height: int, width: int) -> None:
    """Logs, once for a preprocessing, that it cuts away most of an image.

    Args:
      name: The preprocessing.
      image: The image before cropping.
      height, width: Of the result.
    """
    rows, columns = image.shape[:2]
    kept = min(height, rows) * min(width, columns) / max(rows * columns, 1)
    if kept < _LEAST_KEPT and _CROPPED.setdefault(name, image) is image:
        logger.warning(
            "the preprocessing of %s crops images and does not resize them: %d x %d of %d x %d "
            "pixels are left, %.1f %%; make the images smaller before, or choose another "
            "preprocessing, such as inception",
            name, min(width, columns), min(height, rows), columns, rows, 100 * kept,
        )  # fmt: skip
        _CROPPED[name] = True


def crop_or_pad(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Crops or pads with zeros, centred, as TF's `resize_image_with_crop_or_pad`.

    Where the margins cannot be equal, the margin at the top or left is smaller.

    Args:
      image: `[height, width, channels]`.
      height: The height of the result.
      width: The width of the result.

    Returns:
      `[height, width, channels]` of the image's dtype.

    >>> crop_or_pad(np.ones((1, 4, 1)), 2, 2)[..., 0].tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    result = np.zeros((height, width, image.shape[2]), image.dtype)
    (from_rows, to_rows), (from_columns, to_columns) = (
        _centred(in_size, out_size)
        for in_size, out_size in zip(image.shape[:2], (height, width), strict=True)
    )
    result[to_rows, to_columns] = image[from_rows, from_columns]
    return result


def _centred(in_size: int, out_size: int) -> tuple[slice, slice]:
    """The part of the input and its place in the output, along one axis."""
    size = min(in_size, out_size)
    in_start, out_start = (in_size - size) // 2, (out_size - size) // 2
    return slice(in_start, in_start + size), slice(out_start, out_start + size)


def per_image_standardization(image: Array) -> Array:
    """`(x - mean) / max(stddev, 1 / sqrt(number of values))` over all values of the image.

    An image of one colour becomes zeros.

    Args:
      image: `[..., height, width, channels]`: one image, or several, each by itself.

    Returns:
      float32, of the same shape.

    >>> per_image_standardization(np.array([[[1.0], [3.0]]])).ravel().tolist()
    [-1.0, 1.0]
    """
    image, axes = image.astype(np.float32, copy=False), (-3, -2, -1)
    mean, deviation = image.mean(axes, keepdims=True), image.std(axes, keepdims=True)
    return (image - mean) / deviation.clip(min=math.prod(image.shape[-3:]) ** -0.5)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """`(x - mean) * factor + mean` with the mean of each channel; float32, not clipped.

    >>> adjust_contrast(np.array([[[1.0], [3.0]]]), 2).ravel().tolist()
    [0.0, 4.0]
    """
    mean = image.mean(axis=(0, 1), dtype=np.float32)
    return (image - mean) * np.float32(factor) + mean


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiplies the saturation of HSV and clips it at 1, as TensorFlow does; float32.

    Args:
      image: `[height, width, 3]`, in `[0, 1]` or a little outside.
      factor: The factor; 0 gives grey.

    >>> adjust_saturation(np.array([[[1.0, 0.5, 0.0]]]), 0.5).ravel().tolist()
    [1.0, 0.75, 0.5]
    """
    image = image.astype(np.float32, copy=False)
    value, spread = _value_and_spread(image)
    # Saturation is spread / value, at most 1; that of black, and of values below 0, is 0.
    ratio = _divide(value, spread)
    np.clip(ratio, 0, np.float32(factor), out=ratio)
    result = value[..., None] - image
    result *= ratio[..., None]
    return np.subtract(value[..., None], result, out=result)


def adjust_hue(image: np.ndarray, delta: float) -> np.ndarray:
    """Turns the hue of HSV by `delta` of a full turn, as TensorFlow does; float32.

    The greatest and the least value of a pixel stay the same.

    Args:
      image: `[height, width, 3]`, in `[0, 1]` or a little outside.
      delta: In `[-1, 1]`.

    >>> adjust_hue(np.array([[[1.0, 0.0, 0.0]]]), 0.5).ravel().tolist()  # red becomes cyan
    [0.0, 1.0, 1.0]
    """
    image = image.astype(np.float32, copy=False)
    value, spread = _value_and_spread(image)
    red, green, blue = (image[..., channel] for channel in range(3))
    # The hue counts the six sectors between primary and secondary colours.
    is_red, is_green = red == value, green == value
    hue = np.where(is_red, green - blue, np.where(is_green, blue - red, red - green))
    hue = _divide(hue, spread)
    hue += np.where(is_red, np.float32(0), np.where(is_green, np.float32(2), np.float32(4)))
    result = np.empty_like(image)
    for channel, middle in enumerate((0, 2, 4)):
        # A channel is greatest for a sector on either side of its own colour, and falls for one.
        distance = hue + np.float32(6 * delta - middle)
        distance -= 6 * np.rint(distance / 6)
        share = np.clip(np.abs(distance, out=distance) - 1, 0, 1, out=distance)
        share *= spread
        np.subtract(value, share, out=result[..., channel])
    return result


def _value_and_spread(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The greatest value of each pixel, and its distance to the least."""
    red, green, blue = (image[..., channel] for channel in range(3))
    # Channel by channel: NumPy reduces an axis of three at a tenth of the speed.
    value = np.maximum(np.maximum(red, green), blue)
    return value, value - np.minimum(np.minimum(red, green), blue)


def _divide(dividend: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """`dividend / spread`; finite where the spread, and with it every difference, is 0."""
    return dividend / np.maximum(spread, np.float32(1e-30))


def by_planes(image: np.ndarray) -> np.ndarray:
    """A copy with each channel in one piece, on which colours take NumPy a fifth of the time.

    >>> by_planes(np.zeros((2, 3, 4), np.float32)).strides
    (12, 4, 24)
    """
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(image, -1, 0)), 0, -1)


def by_pixels(image: np.ndarray) -> np.ndarray:
    """A copy with each pixel in one piece, as networks take it.

    >>> by_pixels(by_planes(np.zeros((2, 3, 4), np.float32))).strides
    (48, 16, 4)
    """
    result = np.empty(image.shape, image.dtype)
    for channel in range(image.shape[-1]):  # in a quarter of the time of `np.ascontiguousarray`
        result[..., channel] = image[..., channel]
    return result


class ScalableImage(Protocol):
    """An image that is still encoded, such as `jslim.data.EncodedImage`."""

    ndim: int
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """`(height, width, channels)`."""

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Its pixels."""

    def at_least(self, height: int, width: int) -> np.ndarray:
        """Its pixels in the smallest size it can be decoded in that is at least this size."""


Image = np.ndarray | ScalableImage


def in_size(image: Image, height: int, width: int) -> np.ndarray:
    """The pixels of an image, decoded in the smallest size that is at least this size."""
    return image.at_least(height, width) if hasattr(image, "at_least") else image


def cut(image: Image, window: "Window", height: int, width: int) -> np.ndarray:
    """The pixels of a window, decoded in a size large enough for `height` by `width` pixels.

    Args:
      image: `[height, width, channels]`.
      window: Rows and columns of the image in full size.
      height: The height to which the window will be resized.
      width: The width to which the window will be resized.
    """
    spans = [part.stop - part.start for part in window]
    rows, columns, _ = image.shape
    pixels = in_size(image, -(-rows * height // spans[0]), -(-columns * width // spans[1]))
    if pixels.shape[:2] == (rows, columns):
        return pixels[window]
    parts = []
    for part, size, full in zip(window, pixels.shape[:2], (rows, columns), strict=True):
        start = min(round(part.start * size / full), size - 1)
        parts.append(slice(start, max(start + 1, round(part.stop * size / full))))
    return pixels[tuple(parts)]


Window = tuple[slice, slice]


def central_window(in_height: int, in_width: int, height: int, width: int) -> Window:
    """The rows and columns of a crop from the centre.

    Raises:
      ValueError: The crop is larger than the image.

    >>> central_window(10, 8, 4, 4)
    (slice(3, 7, None), slice(2, 6, None))
    """
    _check_crop(in_height, in_width, height, width)
    return _centred(in_height, height)[0], _centred(in_width, width)[0]


def random_window(
    rng: np.random.Generator, in_height: int, in_width: int, height: int, width: int
) -> Window:
    """The rows and columns of a crop, every place equally likely.

    Raises:
      ValueError: The crop is larger than the image.
    """
    _check_crop(in_height, in_width, height, width)
    top = int(rng.integers(in_height - height, endpoint=True))
    left = int(rng.integers(in_width - width, endpoint=True))
    return slice(top, top + height), slice(left, left + width)


def _check_crop(in_height: int, in_width: int, height: int, width: int) -> None:
    if height > in_height or width > in_width:
        raise ValueError(
            f"a crop of {height}x{width} does not fit into an image that is {in_height}x{in_width} "
            "by then; use a smaller output size, or make the image larger before"
        )


def random_flip_left_right(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image or, with probability one half, its mirror image."""
    return image[:, ::-1] if rng.random() < 0.5 else image
