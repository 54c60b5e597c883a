"""Shared by networks that generate images: larger maps, and borders around maps."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks

# The mode of `jnp.pad`, and how many pixels larger than the border the image must be.
_MODES = {"CONSTANT": ("constant", None), "REFLECT": ("reflect", 1), "SYMMETRIC": ("symmetric", 0)}

Border = Sequence[tuple[int, int]]


def leaky_relu(inputs: jax.Array) -> jax.Array:
    """Positive inputs as they are, other inputs times 0.2, as `tf.nn.leaky_relu`.

    The slope at 0 is 0.2, not 1 as in `jax.nn.leaky_relu`. It matters: instance normalization of a
    map of one pixel gives exactly 0.

    >>> leaky_relu(jnp.array([-5.0, 0.0, 3.0])).tolist()
    [-1.0, 0.0, 3.0]
    """
    return lax.select(inputs > 0, inputs, inputs * 0.2)


def with_border(
    where: str, images: jax.Array, border: Border, mode: str
) -> tuple[jax.Array, str | Border]:
    """Images with a border, and the `padding` for their convolution.

    Args:
      where: The network, for errors.
      images: `[batch, height, width, channels]`.
      border: Number of pixels to add, `[(above, below), (left, right)]`.
      mode: 'CONSTANT' adds zeros, 'REFLECT' reflects the image at its outermost pixels, and
        'SYMMETRIC' repeats these pixels too. Upper or lower case.

    Raises:
      ValueError: The mode is unknown, or an image is too small for it.
    """
    if not isinstance(mode, str) or mode.upper() not in _MODES:
        raise checks.refusal(where, "pad_mode", f"one of {', '.join(_MODES)}", repr(mode))
    name, more = _MODES[mode.upper()]
    if more is None:  # the convolution does that itself, without a larger copy of the images
        return images, border
    for side, pixels in zip(images.shape[1:3], border, strict=True):
        if max(pixels) + more > side:
            raise ValueError(
                f"{where}: a map of {images.shape[1]}x{images.shape[2]} is too small to be "
                f"continued by {max(pixels)} pixels with pad_mode {mode!r}; give larger images"
            )
    return jnp.pad(images, ((0, 0), *border, (0, 0)), name), "VALID"


def enlarge_nearest(images: jax.Array, factors: Sequence[int]) -> jax.Array:
    """Makes a block of pixels of each pixel.

    >>> enlarge_nearest(jnp.arange(2.0).reshape(1, 1, 2, 1), (1, 2)).ravel().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    batch, height, width, channels = images.shape
    vertical, horizontal = factors
    blocks = (batch, height, vertical, width, horizontal, channels)
    shape = (batch, height * vertical, width * horizontal, channels)
    return lax.broadcast_in_dim(images, blocks, (0, 1, 3, 5)).reshape(shape)


def enlarge_bilinear(images: jax.Array, factors: Sequence[int], align_corners: bool) -> jax.Array:
    """Bilinear interpolation with the pixel positions of TensorFlow 1.

    Pixel `i` moves to `i * factor`, and the last pixel fills the rest. With `align_corners` the
    last pixel moves to the last place.

    >>> enlarge_bilinear(jnp.arange(2.0).reshape(1, 1, 2, 1), (1, 2), False).ravel().tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    for axis, factor in zip((1, 2), factors, strict=True):
        size = images.shape[axis]
        new_size = size * factor
        step = (size - 1) / max(new_size - 1, 1) if align_corners else 1 / factor
        positions = np.arange(new_size) * step
        # A position that should be whole may come out a little smaller.
        before = np.floor(positions + 1e-6).astype(np.int32)
        shape = [1] * images.ndim
        shape[axis] = new_size
        share = jnp.asarray((positions - before).reshape(shape), images.dtype)
        first = jnp.take(images, before, axis, mode="clip")
        second = jnp.take(images, before + 1, axis, mode="clip")
        images = first + (second - first) * share
    return images
