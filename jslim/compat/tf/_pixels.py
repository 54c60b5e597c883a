"""Places, colours and types of images."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._op import Values, array, known, op
from jslim.compat.tf._random import random_uniform
from jslim.core import checks


def _sizes(where: str, **given: Any) -> list[int]:
    return [int(known(where, name, value)) for name, value in given.items()]


@op
def pad_to_bounding_box(
    image: Values, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> jax.Array:
    """Puts the image into a black one of the target size, at the offsets."""
    where = "tf.image.pad_to_bounding_box"
    top, left, height, width = _sizes(
        where,
        offset_height=offset_height,
        offset_width=offset_width,
        target_height=target_height,
        target_width=target_width,
    )
    pixels = array(image)
    rows, columns = pixels.shape[-3:-1]
    after = height - top - rows, width - left - columns
    if min(top, left, *after) < 0:
        got = f"an image of {rows} x {columns} at {top}, {left} in {height} x {width}"
        raise checks.refusal(where, "the image", "inside of the target", got)
    widths = [(0, 0)] * (pixels.ndim - 3) + [(top, after[0]), (left, after[1]), (0, 0)]
    return jnp.pad(pixels, widths)


@op
def crop_to_bounding_box(
    image: Values, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> jax.Array:
    """The block of the target size at the offsets, which may depend on the inputs."""
    where = "tf.image.crop_to_bounding_box"
    height, width = _sizes(where, target_height=target_height, target_width=target_width)
    pixels = array(image)
    starts = [0] * (pixels.ndim - 3) + [offset_height, offset_width, 0]
    sizes = [*pixels.shape[:-3], height, width, pixels.shape[-1]]
    return jax.lax.dynamic_slice(pixels, [jnp.asarray(s, jnp.int32) for s in starts], sizes)


@op
def resize_image_with_crop_or_pad(
    image: Values, target_height: int, target_width: int
) -> jax.Array:
    """Crops or pads with zeros, centred."""
    where = "tf.image.resize_image_with_crop_or_pad"
    targets = _sizes(where, target_height=target_height, target_width=target_width)
    pixels = array(image)
    for axis, target in zip((pixels.ndim - 3, pixels.ndim - 2), targets, strict=True):
        length = pixels.shape[axis]
        if length > target:
            start = (length - target) // 2
            pixels = jax.lax.slice_in_dim(pixels, start, start + target, axis=axis)
        elif length < target:
            before = (target - length) // 2
            widths = [(0, 0)] * pixels.ndim
            widths[axis] = (before, target - length - before)
            pixels = jnp.pad(pixels, widths)
    return pixels


resize_with_crop_or_pad = resize_image_with_crop_or_pad


@op
def central_crop(image: Values, central_fraction: float) -> jax.Array:
    """The middle of the image, of a share of its height and width."""
    checks.number("tf.image.central_crop", "central_fraction", central_fraction, above=0, at_most=1)
    pixels = array(image)
    for axis in (pixels.ndim - 3, pixels.ndim - 2):
        length = pixels.shape[axis]
        start = int((length - length * central_fraction) / 2)
        pixels = jax.lax.slice_in_dim(pixels, start, length - start, axis=axis)
    return pixels


@op
def flip_left_right(image: Values) -> jax.Array:
    return jnp.flip(array(image), -2)


@op
def flip_up_down(image: Values) -> jax.Array:
    return jnp.flip(array(image), -3)


@op
def transpose_image(image: Values, name: str | None = None) -> jax.Array:
    return jnp.swapaxes(array(image), -3, -2)


@op
def rot90(image: Values, k: int = 1, name: str | None = None) -> jax.Array:
    """Turns by 90 degrees `k` times, against the clock."""
    return jnp.rot90(array(image), int(k), (-3, -2))


def _flipped_at_random(image: Values, axis: int, seed: int | None) -> jax.Array:
    pixels = array(image)
    draws = () if pixels.ndim == 3 else (pixels.shape[0], 1, 1, 1)
    return jnp.where(random_uniform(draws, seed=seed) < 0.5, pixels, jnp.flip(pixels, axis))


def random_flip_left_right(image: Values, seed: int | None = None) -> jax.Array:
    """Flips half of the images, each by its own chance."""
    return _flipped_at_random(image, -2, seed)


def random_flip_up_down(image: Values, seed: int | None = None) -> jax.Array:
    """Flips half of the images, each by its own chance."""
    return _flipped_at_random(image, -3, seed)


@op
def convert_image_dtype(
    image: Values, dtype: DTypeLike, saturate: bool = False, name: str | None = None
) -> jax.Array:
    """Another type, with whole numbers scaled to the range of the type and others to [0, 1]."""
    pixels, wanted = array(image), jax.dtypes.canonicalize_dtype(dtype)
    was_whole = jnp.issubdtype(pixels.dtype, jnp.integer)
    is_whole = jnp.issubdtype(wanted, jnp.integer)
    if pixels.dtype == wanted:
        return pixels
    if not was_whole and not is_whole:
        return pixels.astype(wanted)
    if was_whole and not is_whole:
        return pixels.astype(wanted) * np.asarray(1.0 / jnp.iinfo(pixels.dtype).max, wanted)[()]
    most = jnp.iinfo(wanted).max
    if not was_whole:
        scaled = pixels * (most + 0.5)
        ends = (jnp.iinfo(wanted).min, most)
        return (jnp.clip(scaled, *ends) if saturate else scaled).astype(wanted)
    before = jnp.iinfo(pixels.dtype).max
    if before > most:
        return (pixels // ((before + 1) // (most + 1))).astype(wanted)
    return pixels.astype(wanted) * ((most + 1) // (before + 1))


def _in_floats(pixels: jax.Array) -> jax.Array:
    return convert_image_dtype(pixels, jnp.float32)


@op
def adjust_brightness(image: Values, delta: Values) -> jax.Array:
    """Adds `delta` to the pixels as numbers in [0, 1]."""
    pixels = array(image)
    return convert_image_dtype(_in_floats(pixels) + array(delta), pixels.dtype, saturate=True)


@op
def adjust_contrast(images: Values, contrast_factor: Values) -> jax.Array:
    """Moves pixels away from the mean of their channel by a factor."""
    pixels = array(images)
    values = _in_floats(pixels)
    mean = jnp.mean(values, axis=(-3, -2), keepdims=True)
    return convert_image_dtype((values - mean) * array(contrast_factor) + mean, pixels.dtype, True)


@op
def adjust_gamma(image: Values, gamma: Values = 1, gain: Values = 1) -> jax.Array:
    """`gain * image ** gamma`, of the pixels as numbers in [0, 1]."""
    pixels = array(image)
    return convert_image_dtype(
        array(gain) * jnp.power(_in_floats(pixels), array(gamma)), pixels.dtype, True
    )


@op
def adjust_saturation(
    image: Values, saturation_factor: Values, name: str | None = None
) -> jax.Array:
    """Multiplies the saturation of HSV, which ends at 1."""
    pixels = array(image)
    h, s, v = jnp.moveaxis(rgb_to_hsv(_in_floats(pixels)), -1, 0)
    changed = jnp.stack([h, jnp.clip(s * array(saturation_factor), 0, 1), v], -1)
    return convert_image_dtype(hsv_to_rgb(changed), pixels.dtype, True)


@op
def adjust_hue(image: Values, delta: Values, name: str | None = None) -> jax.Array:
    """Adds `delta` to the hue of HSV, a turn being 1."""
    pixels = array(image)
    h, s, v = jnp.moveaxis(rgb_to_hsv(_in_floats(pixels)), -1, 0)
    return convert_image_dtype(
        hsv_to_rgb(jnp.stack([(h + array(delta)) % 1, s, v], -1)), pixels.dtype, True
    )


def random_brightness(image: Values, max_delta: float, seed: int | None = None) -> jax.Array:
    """`adjust_brightness` by a number from `-max_delta` to `max_delta`."""
    return adjust_brightness(image, random_uniform((), -max_delta, max_delta, seed=seed))


def random_contrast(
    image: Values, lower: float, upper: float, seed: int | None = None
) -> jax.Array:
    """`adjust_contrast` by a number from `lower` to `upper`."""
    return adjust_contrast(image, random_uniform((), lower, upper, seed=seed))


def random_saturation(
    image: Values, lower: float, upper: float, seed: int | None = None
) -> jax.Array:
    """`adjust_saturation` by a number from `lower` to `upper`."""
    return adjust_saturation(image, random_uniform((), lower, upper, seed=seed))


def random_hue(image: Values, max_delta: float, seed: int | None = None) -> jax.Array:
    """`adjust_hue` by a number from `-max_delta` to `max_delta`."""
    return adjust_hue(image, random_uniform((), -max_delta, max_delta, seed=seed))


@op
def rgb_to_grayscale(images: Values, name: str | None = None) -> jax.Array:
    """The brightness that eyes see, as one channel."""
    pixels = array(images)
    gray = jnp.sum(_in_floats(pixels) * np.array([0.2989, 0.5870, 0.1140], np.float32), -1)
    return convert_image_dtype(gray[..., None], pixels.dtype)


@op
def grayscale_to_rgb(images: Values, name: str | None = None) -> jax.Array:
    return jnp.repeat(array(images), 3, axis=-1)


@op
def rgb_to_hsv(images: Values, name: str | None = None) -> jax.Array:
    """Hue, saturation and value of pixels in [0, 1]."""
    r, g, b = jnp.moveaxis(array(images), -1, 0)
    top, low = jnp.maximum(jnp.maximum(r, g), b), jnp.minimum(jnp.minimum(r, g), b)
    spread = top - low
    by = jnp.where(spread > 0, spread, 1) * 6
    hue = jnp.where(
        r == top, (g - b) / by, jnp.where(g == top, (b - r) / by + 2 / 6, (r - g) / by + 4 / 6)
    )
    hue = jnp.where(spread > 0, hue + (hue < 0), 0)
    return jnp.stack([hue, jnp.where(top > 0, spread / jnp.where(top > 0, top, 1), 0), top], -1)


@op
def hsv_to_rgb(images: Values, name: str | None = None) -> jax.Array:
    """Pixels in [0, 1] of hue, saturation and value."""
    h, s, v = jnp.moveaxis(array(images), -1, 0)
    turned = h * 6
    parts = [jnp.abs(turned - 3) - 1, 2 - jnp.abs(turned - 2), 2 - jnp.abs(turned - 4)]
    return jnp.stack([(1 - s + s * jnp.clip(part, 0, 1)) * v for part in parts], -1)


@op
def per_image_standardization(image: Values) -> jax.Array:
    """Mean 0 and deviation 1; the deviation counts as at least `1 / sqrt(elements)`."""
    pixels = array(image).astype(jnp.float32)
    over = (-3, -2, -1)
    count = np.prod(pixels.shape[-3:])
    mean = jnp.mean(pixels, over, keepdims=True)
    deviation = jnp.sqrt(jnp.mean(jnp.square(pixels - mean), over, keepdims=True))
    return (pixels - mean) / jnp.maximum(deviation, np.float32(1 / np.sqrt(count)))


@op
def total_variation(images: Values, name: str | None = None) -> jax.Array:
    """The sum of the differences of neighbouring pixels, for each image."""
    pixels = array(images)
    rows, columns = jnp.diff(pixels, axis=-3), jnp.diff(pixels, axis=-2)
    over = (-3, -2, -1)
    return jnp.sum(jnp.abs(rows), over) + jnp.sum(jnp.abs(columns), over)
