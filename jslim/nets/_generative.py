"""What the networks that make images share: larger maps, and maps continued beyond their edges."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks

# What a border repeats, as `jnp.pad` calls it, and how many pixels more it takes than it is wide.
_MODES = {"CONSTANT": ("constant", None), "REFLECT": ("reflect", 1), "SYMMETRIC": ("symmetric", 0)}

Border = Sequence[tuple[int, int]]


def leaky_relu(inputs: jax.Array) -> jax.Array:
    """The inputs where they are positive, and 0.2 of them elsewhere, as `tf.nn.leaky_relu`.

    The slope at 0 is 0.2, where `jax.nn.leaky_relu` has 1: what is normalized to exactly 0 does
    occur, in maps of one pixel.
    """
    return lax.select(inputs > 0, inputs, inputs * 0.2)


def with_border(
    where: str, images: jax.Array, border: Border, mode: str
) -> tuple[jax.Array, str | Border]:
    """The inputs and the `padding` for a convolution of images that go on beyond their edges.

    Args:
      where: The network, for errors.
      images: `[batch, height, width, channels]`.
      border: How many pixels to add, `[(above, below), (left, right)]`.
      mode: What they are: 'CONSTANT', zeros; 'REFLECT', the image reflected at its outermost
        pixels; 'SYMMETRIC', the same with these pixels twice. In any case of letters.

    Raises:
      ValueError: There is no such mode, or an image is too small for it.
    """
    if not isinstance(mode, str) or mode.upper() not in _MODES:
        raise ValueError(f"{where}: pad_mode must be one of {', '.join(_MODES)}, got {mode!r}")
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


def pair(where: str, name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """The argument as two positive integers; the error names it."""
    first, second = checks.positive_integers(where, name, value, 2)
    return first, second


def check_method(where: str, method: str, methods: Sequence[str]) -> None:
    """Refuses what is not one of the methods."""
    checks.known(where, "method", method, methods)


def enlarge_nearest(images: jax.Array, factors: tuple[int, int]) -> jax.Array:
    """Every pixel as a block of `factors` rows and columns."""
    batch, height, width, channels = images.shape
    vertical, horizontal = factors
    blocks = (batch, height, vertical, width, horizontal, channels)
    shape = (batch, height * vertical, width * horizontal, channels)
    return lax.broadcast_in_dim(images, blocks, (0, 1, 3, 5)).reshape(shape)


def enlarge_bilinear(images: jax.Array, factors: tuple[int, int], align_corners: bool) -> jax.Array:
    """What lies between the pixels, by TensorFlow 1's rule for where these are.

    Pixel `i` comes to lie at `i * factor`, and the last one fills what is behind it; with
    `align_corners` the last one comes to lie on the last of the result.
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
