"""`tf.image.resize_*` with TensorFlow 1's places of pixels, on the device.

Pixel i of the result is taken from `i * scale`, the scale being `length / new_length`, or
`(length - 1) / (new_length - 1)` with `align_corners`; with `half_pixel_centers` from
`(i + 0.5) * scale - 0.5`. `jax.image.resize` has other places, and smoothes where it shrinks.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jslim.compat.tf._op import Values, array, is_number, known, op, say_old_order, shape_of
from jslim.core import checks

BILINEAR, NEAREST_NEIGHBOR, BICUBIC, AREA = range(4)


class ResizeMethod:
    """The methods of `resize_images`."""

    BILINEAR = BILINEAR
    NEAREST_NEIGHBOR = NEAREST_NEIGHBOR
    BICUBIC = BICUBIC
    AREA = AREA


def _scale(length: int, new: int, align_corners: bool) -> np.float32:
    if align_corners and new > 1:
        return np.float32(length - 1) / np.float32(new - 1)
    return np.float32(length) / np.float32(new)


def _places(length: int, new: int, align_corners: bool, half: bool) -> np.ndarray:
    at = np.arange(new, dtype=np.float32)
    scale = _scale(length, new, align_corners)
    return (at + np.float32(0.5)) * scale - np.float32(0.5) if half else at * scale


def _taken(images: jax.Array, axis: int, rows: np.ndarray, weights: np.ndarray) -> jax.Array:
    """Sums of pixels `rows[i, k]` by `weights[i, k]` along an axis of the images."""
    matrix = np.zeros((len(rows), images.shape[axis]), np.float32)
    np.add.at(matrix, (np.arange(len(rows))[:, None], rows), weights)
    moved = jnp.moveaxis(images, axis, -1)
    product = jnp.matmul(moved, matrix.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(product, -1, axis)


def _pixels_of_two(
    images: jax.Array, axis: int, new: int, align_corners: bool, half: bool
) -> jax.Array:
    length = images.shape[axis]
    at = _places(length, new, align_corners, half)
    lower = np.floor(at).astype(np.int32)
    low, high = np.clip(lower, 0, length - 1), np.clip(lower + 1, 0, length - 1)
    share = jnp.asarray((at - lower).astype(np.float32))
    share = share.reshape(-1, *[1] * (images.ndim - 1 - axis))
    first, second = jnp.take(images, low, axis=axis), jnp.take(images, high, axis=axis)
    return first + (second - first) * share


def _cubic_weights(at: np.ndarray, half: bool) -> tuple[np.ndarray, np.ndarray]:
    """The four pixels of each place and their weights, from TensorFlow's table of 1024 steps."""
    a = -0.5 if half else -0.75
    lower = np.floor(at).astype(np.int32)
    step = np.rint((at - lower) * 1024).astype(np.int32) / 1024.0

    def near(x: np.ndarray) -> np.ndarray:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: np.ndarray) -> np.ndarray:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    weights = np.stack([far(step + 1), near(step), near(1 - step), far(2 - step)], 1)
    return lower[:, None] + np.arange(-1, 3), weights.astype(np.float32)


def _images(where: str, images: Values, size: Any) -> tuple[jax.Array, int, int]:
    values = array(images)
    if values.ndim != 4:
        accepted = "[batch, height, width, channels]"
        raise checks.refusal(where, "images", accepted, f"shape {values.shape}")
    height, width = shape_of(where, size, "size")
    return values, height, width


@op
def resize_bilinear(
    images: Values,
    size: Values,
    align_corners: bool = False,
    name: str | None = None,
    half_pixel_centers: bool = False,
) -> jax.Array:
    """Each pixel is a mean of four, weighed by their distances; the result is float32.

    >>> resize_bilinear(np.array([[[[0.0], [2.0]]]]), [1, 4]).ravel().tolist()
    [0.0, 1.0, 2.0, 2.0]
    """
    values, height, width = _images("tf.image.resize_bilinear", images, size)
    wide = values.astype(jnp.float32)
    wide = _pixels_of_two(wide, 1, height, align_corners, half_pixel_centers)
    return _pixels_of_two(wide, 2, width, align_corners, half_pixel_centers)


@op
def resize_nearest_neighbor(
    images: Values,
    size: Values,
    align_corners: bool = False,
    name: str | None = None,
    half_pixel_centers: bool = False,
) -> jax.Array:
    """Each pixel is one of the image."""
    values, height, width = _images("tf.image.resize_nearest_neighbor", images, size)
    for axis, new in ((1, height), (2, width)):
        length = values.shape[axis]
        at = np.arange(new, dtype=np.float32)
        if half_pixel_centers:
            at += np.float32(0.5)
        at *= _scale(length, new, align_corners)
        # TensorFlow's roundf takes a half away from 0; NumPy's rint takes it to an even number.
        nearest = np.floor(at + np.float32(0.5)) if align_corners else np.floor(at)
        values = jnp.take(values, np.clip(nearest, 0, length - 1).astype(np.int32), axis=axis)
    return values


@op
def resize_bicubic(
    images: Values,
    size: Values,
    align_corners: bool = False,
    name: str | None = None,
    half_pixel_centers: bool = False,
) -> jax.Array:
    """Each pixel is a sum of sixteen; the result is float32."""
    values, height, width = _images("tf.image.resize_bicubic", images, size)
    values = values.astype(jnp.float32)
    for axis, new in ((1, height), (2, width)):
        length = values.shape[axis]
        at = _places(length, new, align_corners, half_pixel_centers)
        rows, weights = _cubic_weights(at, half_pixel_centers)
        if half_pixel_centers:  # then pixels beyond the border do not count
            inside = (rows >= 0) & (rows < length)
            weights = np.where(inside, weights, 0)
            weights = weights / weights.sum(1, keepdims=True)
        values = _taken(values, axis, np.clip(rows, 0, length - 1), weights)
    return values


@op
def resize_area(
    images: Values, size: Values, align_corners: bool = False, name: str | None = None
) -> jax.Array:
    """Each pixel is the mean of the area that it covers; the result is float32."""
    values, height, width = _images("tf.image.resize_area", images, size)
    values = values.astype(jnp.float32)
    for axis, new in ((1, height), (2, width)):
        length = values.shape[axis]
        scale = float(_scale(length, new, align_corners))
        begins = np.arange(new) * scale
        ends = begins + scale
        pixels = np.arange(math.ceil(max(float(ends.max()), length)))
        covered = np.minimum(ends[:, None], pixels + 1) - np.maximum(begins[:, None], pixels)
        weights = np.clip(covered, 0, None) / scale
        rows = np.broadcast_to(np.clip(pixels, 0, length - 1), weights.shape)
        values = _taken(values, axis, rows, weights.astype(np.float32))
    return values


_METHODS = {
    BILINEAR: resize_bilinear,
    NEAREST_NEIGHBOR: resize_nearest_neighbor,
    BICUBIC: resize_bicubic,
    AREA: resize_area,
}


@op
def resize_images(
    images: Values,
    size: Values,
    method: int = BILINEAR,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
    name: str | None = None,
) -> jax.Array:
    """Resizes images, or one image without a batch axis, by one of the methods of TensorFlow 1.

    An image that has that size already is given back as it is, in its own type. The order before
    TensorFlow 0.12, `(images, height, width, method, align_corners)`, is taken, and one line of the
    log for each place says so.

    Raises:
      ValueError: There is no such method; the input is no image.
    """
    where = "tf.image.resize_images"
    if is_number(size):
        say_old_order(f"{where}(images, height, width)", f"{where}(images, [height, width])")
        size = [size, method]
        if isinstance(align_corners, bool):
            method = BILINEAR
        else:
            method, align_corners = align_corners, bool(preserve_aspect_ratio)
        preserve_aspect_ratio = False
    values = array(images)
    checks.one_of(where, "method", method, list(_METHODS), "one of tf.image.ResizeMethod")
    batch = values[None] if values.ndim == 3 else values
    height, width = (int(length) for length in known(where, "size", size))
    if preserve_aspect_ratio and batch.ndim == 4:
        rows, columns = map(int, batch.shape[1:3])
        scale = min(height / rows, width / columns)
        height, width = (round(scale * length) for length in (rows, columns))
    if batch.shape[1:3] == (height, width):
        return values
    resize: Any = _METHODS[method]
    resized = resize(batch, [height, width], align_corners)
    return resized[0] if values.ndim == 3 else resized


def resize(
    images: Values,
    size: Sequence[int],
    method: int = BILINEAR,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
    name: str | None = None,
) -> jax.Array:
    """`resize_images`, as TensorFlow 1 calls it too."""
    return resize_images(images, size, method, align_corners, preserve_aspect_ratio)
