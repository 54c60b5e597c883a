"""Resizing as in TensorFlow 1 with `align_corners=False`, in NumPy.

Output pixel `i` samples the input at `i * in_size / out_size`, anchored at the corner, not the
centre. Networks trained with TF-Slim expect this; `jax.image.resize` gives other pixels.
"""

from collections.abc import Callable

import numpy as np

from jslim.core import checks
from jslim.preprocessing._compiled import compiled_blend


def _sample_points(
    in_size: int, out_size: int, window: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output pixel in the window: the two input pixels, and the weight of the second."""
    scale = np.float32(in_size) / np.float32(out_size)
    # Only the window: the whole line of a long and narrow image may not fit into memory.
    points = np.arange(*window.indices(out_size)).astype(np.float32) * scale
    lower = np.minimum(points.astype(np.int64), in_size - 1)
    return lower, np.minimum(lower + 1, in_size - 1), points - np.floor(points)


def resize_bilinear(
    image: np.ndarray,
    height: int,
    width: int,
    *,
    rows: slice = slice(None),
    columns: slice = slice(None),
    scale: float | None = None,
) -> np.ndarray:
    """Resizes as TF1's `resize_bilinear(align_corners=False)`.

    Output pixel `i` samples the input at `i * in_size / out_size`: pixels are anchored at the
    corner, not the centre, and nothing is averaged when an image shrinks. Networks trained with
    TF-Slim expect this; `jax.image.resize` gives other pixels.

    Args:
      image: `[height, width, channels]`.
      height: The height to resize to.
      width: The width to resize to.
      rows: The rows of the result to compute; all by default.
      columns: The columns of the result to compute; all by default.
      scale: A factor for the pixels, in float32.

    Returns:
      float32 `[height, width, channels]`, or the asked rows and columns of it.

    >>> resize_bilinear(np.array([[[0], [2]]]), 1, 4).ravel().tolist()
    [0.0, 1.0, 2.0, 2.0]
    """
    in_height, in_width, num_channels = image.shape
    left, right, x_weight = _sample_points(in_width, width, columns)
    upper, lower, y_weight = _sample_points(in_height, height, rows)
    # Of a long and narrow image no more than the window is computed.
    image = image[:, left[0] : right[-1] + 1]
    # Columns and channels are one axis, since NumPy is slow with a last axis of three.
    lines = image.reshape(in_height, -1)
    left, right = (_places(columns - left[0], num_channels) for columns in (left, right))
    x_weight = np.repeat(x_weight, num_channels)
    blend = (image.dtype == np.uint8 and compiled_blend()) or _blend
    resized = blend(lines, upper, lower, y_weight, left, right, x_weight)
    if scale is not None:
        resized *= np.float32(scale)
    return resized.reshape(len(upper), -1, num_channels)


def _blend(
    lines: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    y_weight: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    x_weight: np.ndarray,
) -> np.ndarray:
    """Interpolates between rows, then between columns; see `_compiled`."""
    # Not `lines.take`, which would copy the lines of a part of an image.
    between = _interpolate(lines[upper], lines[lower], y_weight[:, None])
    # The mode: floats are taken in two thirds of the time where no place is checked.
    first, second = (between.take(places, axis=1, mode="clip") for places in (left, right))
    return _interpolate(first, second, x_weight)


def _places(pixels: np.ndarray, num_channels: int) -> np.ndarray:
    """The places of pixels in a row whose columns and channels are one axis."""
    return (pixels[:, None] * num_channels + np.arange(num_channels)).ravel()


def _interpolate(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`first + (second - first) * weight`, rounded as TensorFlow does; overwrites `second`."""
    first, second = first.astype(np.float32, copy=False), second.astype(np.float32, copy=False)
    second -= first
    second *= weight
    second += first
    return second


# The input pixels of each output pixel along one axis, `[out, taps]`, and their weights.
Taps = tuple[np.ndarray, np.ndarray]

_TABLE_SIZE = 1024  # steps of the table in which TensorFlow looks up the bicubic weights
_CUBIC = -0.75


def _nearest_taps(in_size: int, out_size: int) -> Taps:
    lower, _, _ = _sample_points(in_size, out_size, slice(None))
    return lower[:, None], np.ones((out_size, 1), np.float32)


def _cubic_taps(in_size: int, out_size: int) -> Taps:
    """Keys' cubic convolution with a = -0.75, at points rounded to those of the table."""
    lower, _, fraction = _sample_points(in_size, out_size, slice(None))
    place = np.rint(fraction * _TABLE_SIZE) / _TABLE_SIZE
    distances = np.abs(place[:, None] - np.arange(-1, 3))
    near = ((_CUBIC + 2) * distances - (_CUBIC + 3)) * distances**2 + 1
    far = _CUBIC * (((distances - 5) * distances + 8) * distances - 4)
    weights = np.where(distances <= 1, near, far)
    pixels = np.clip(lower[:, None] + np.arange(-1, 3), 0, in_size - 1)
    return pixels, weights.astype(np.float32)


def _area_taps(in_size: int, out_size: int) -> Taps:
    """The mean of the input pixels that an output pixel covers, weighted by the covered part."""
    scale = in_size / out_size
    starts = np.arange(out_size) * scale
    pixels = np.floor(starts).astype(np.int64)[:, None] + np.arange(int(np.ceil(scale)) + 1)
    covered = np.minimum(pixels + 1, starts[:, None] + scale) - np.maximum(pixels, starts[:, None])
    weights = np.clip(covered, 0, 1) / scale
    return np.minimum(pixels, in_size - 1), weights.astype(np.float32)


_TAPS: dict[str, Callable[[int, int], Taps]] = {
    "area": _area_taps,
    "bicubic": _cubic_taps,
    "nearest": _nearest_taps,
}
METHODS = ("bilinear", "nearest", "bicubic", "area")  # in TensorFlow's order


def resize(
    image: np.ndarray,
    height: int,
    width: int,
    method: str = "bilinear",
    *,
    scale: float | None = None,
) -> np.ndarray:
    """Resizes by one of the methods of TF1's `tf.image.resize_images`.

    Args:
      image: `[height, width, channels]`.
      height: The height to resize to.
      width: The width to resize to.
      method: `'bilinear'`, `'nearest'`, `'bicubic'` (values may leave the range of the image) or
        `'area'` (means, the only method that uses all pixels when an image shrinks).
      scale: A factor for the pixels, in float32.

    Returns:
      float32 `[height, width, channels]`.

    Raises:
      ValueError: There is no such method.

    >>> resize(np.array([[[0], [2], [4], [6]]]), 1, 2, "area").ravel().tolist()
    [1.0, 5.0]
    """
    if method == "bilinear":
        return resize_bilinear(image, height, width, scale=scale)
    checks.one_of("resize", "method", method, METHODS)
    num_channels = image.shape[2]
    pixels, weights = _TAPS[method](image.shape[1], width)
    source = image.reshape(len(image), -1)
    lines = np.zeros((len(image), width * num_channels), np.float32)
    for column, weight in zip(pixels.T, weights.T, strict=True):
        taken = source.take(_places(column, num_channels), axis=1).astype(np.float32)
        lines += taken * np.repeat(weight, num_channels)
    pixels, weights = _TAPS[method](image.shape[0], height)
    resized = np.zeros((height, width * num_channels), np.float32)
    for row, weight in zip(pixels.T, weights.T, strict=True):
        resized += lines[row] * weight[:, None]
    if scale is not None:
        resized *= np.float32(scale)
    return resized.reshape(height, width, num_channels)
