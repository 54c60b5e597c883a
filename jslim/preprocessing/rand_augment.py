"""RandAugment on the device, for whole batches (Cubuk et al., https://arxiv.org/abs/1909.13719).

images = rand_augment(slim.make_rng('augmentation'), images, num_layers=2, magnitude=9)
"""

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.preprocessing.augmentation import per_image

# The weights of red, green and blue in brightness, as in Pillow and ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)

_GREATEST_MAGNITUDE = 30

# Of each operation the greatest strength, and whether its sign is drawn. Names and ranges are those
# of torchvision.transforms.RandAugment, which follow the paper's.
_OPERATIONS = {
    "identity": (0, False),
    "shear_x": (0.3, True),
    "shear_y": (0.3, True),
    "translate_x": (150 / 331, True),
    "translate_y": (150 / 331, True),
    "rotate": (30.0, True),
    "brightness": (0.9, True),
    "color": (0.9, True),
    "contrast": (0.9, True),
    "sharpness": (0.9, True),
    "posterize": (4, False),
    "solarize": (255, False),
    "autocontrast": (0, False),
    "equalize": (0, False),
}
# The names for `apply_operation`.
OPERATIONS = tuple(_OPERATIONS)


def rand_augment(
    rng: jax.Array, images: jax.Array, num_layers: int = 2, magnitude: float = 9
) -> jax.Array:
    """Applies random operations to each image: one of the 14 `OPERATIONS` in each layer.

    Operations and ranges are those of torchvision, pixels those of Pillow. Pixels that move into
    the image from outside are grey (128), as in the paper's code.

    Args:
      rng: The key of operations and signs.
      images: `[batch, height, width, 1 or 3]`, values in `[0, 255]`; they are rounded.
      num_layers: The number of operations on each image, the paper's N.
      magnitude: The strength of the operations, from 0 to 30, the paper's M.

    Returns:
      float32 of the same shape: whole numbers in `[0, 255]`.

    Raises:
      ValueError: An argument is out of range.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"rand_augment needs images [batch, height, width, 1 or 3], got {images.shape}"
        )
    most = _GREATEST_MAGNITUDE
    checks.number("rand_augment", "magnitude", magnitude, at_least=0, at_most=most)
    checks.number("rand_augment", "num_layers", num_layers, at_least=0)
    images = jnp.round(images.astype(jnp.float32))
    for layer_rng in jax.random.split(rng, num_layers):
        choice, sign = jax.random.split(layer_rng)
        operation = jax.random.randint(choice, (len(images),), 0, len(OPERATIONS))
        signs = jnp.where(jax.random.bernoulli(sign, 0.5, (len(images),)), 1.0, -1.0)
        images = apply_operation(images, operation, magnitude / most, signs)
    return images


def apply_operation(
    images: jax.Array, operation: jax.Array, strength: float | jax.Array, sign: jax.Array
) -> jax.Array:
    """One operation of RandAugment on each image.

    The 14 operations are computed in three steps, each for some of the operations; other images
    pass unchanged. Computing every operation for every image would cost several times as much.

    Args:
      images: `[batch, height, width, 1 or 3]`, whole numbers in `[0, 255]`, float32.
      operation: An index into `OPERATIONS` for each image, int32 `[batch]`.
      strength: The share of the greatest strength, from 0 to 1.
      sign: 1 or -1 for each image, `[batch]`; of no effect on operations without a sign.

    Returns:
      float32 of the same shape: whole numbers in `[0, 255]`.
    """
    levels = jnp.array([greatest for greatest, _ in _OPERATIONS.values()], jnp.float32)
    is_signed = jnp.array([is_signed for _, is_signed in _OPERATIONS.values()])
    level = strength * levels[operation] * jnp.where(is_signed[operation], sign, 1.0)
    images = _move(images, operation, level)
    images = _map_tones(images, operation, level)
    return _blend(images, operation, level)


def _is(operation: jax.Array, name: str) -> jax.Array:
    return operation == OPERATIONS.index(name)


def _move(images: jax.Array, operation: jax.Array, level: jax.Array) -> jax.Array:
    """Shears about the upper left corner, translates, and rotates about the centre."""
    batch, height, width, channels = images.shape
    angle = jnp.deg2rad(jnp.where(_is(operation, "rotate"), level, 0.0))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    shear_x = jnp.where(_is(operation, "shear_x"), level, 0.0)
    shear_y = jnp.where(_is(operation, "shear_y"), level, 0.0)
    # Whole pixels, as in torchvision.
    move_x = jnp.trunc(jnp.where(_is(operation, "translate_x"), level * width, 0.0))
    move_y = jnp.trunc(jnp.where(_is(operation, "translate_y"), level * height, 0.0))

    def column(values: jax.Array) -> jax.Array:
        return values[:, None, None]

    # The point in the input for the centre of each pixel of the output.
    y, x = (places[None] + 0.5 for places in jnp.mgrid[:height, :width].astype(jnp.float32))
    from_x, from_y = x - width / 2, y - height / 2
    in_x = column(cos) * from_x - column(sin) * from_y + width / 2
    in_y = column(cos) * from_y + column(sin) * from_x + height / 2
    in_x += column(shear_x) * y + column(move_x)
    in_y += column(shear_y) * x + column(move_y)
    is_inside = (in_x >= 0) & (in_x < width) & (in_y >= 0) & (in_y < height)
    row = jnp.clip(jnp.floor(in_y), 0, height - 1).astype(jnp.int32)
    place = row * width + jnp.clip(jnp.floor(in_x), 0, width - 1).astype(jnp.int32)
    pixels = images.reshape(batch, height * width, channels)
    moved = jnp.take_along_axis(pixels, place.reshape(batch, -1, 1), axis=1)
    return jnp.where(is_inside[..., None], moved.reshape(images.shape), 128.0)


def _map_tones(images: jax.Array, operation: jax.Array, level: jax.Array) -> jax.Array:
    """Posterizes, solarizes, stretches each channel over the whole range or equalizes it."""
    step = per_image(2.0 ** jnp.round(level))
    posterized = jnp.floor(images / step) * step
    solarized = jnp.where(images < 255 - per_image(level), images, 255 - images)
    least = jnp.min(images, (1, 2), keepdims=True)
    greatest = jnp.max(images, (1, 2), keepdims=True)
    # The small number keeps whole numbers from falling below themselves by rounding errors.
    spread = jnp.floor((images - least) * 255 / jnp.maximum(greatest - least, 1) + 1e-3)
    stretched = jnp.where(greatest > least, spread, images)
    for name, changed in (
        ("posterize", posterized),
        ("solarize", solarized),
        ("autocontrast", stretched),
        ("equalize", _equalized(images)),
    ):
        images = jnp.where(per_image(_is(operation, name)), changed, images)
    return images


def _equalized(images: jax.Array) -> jax.Array:
    """Each channel with a histogram as flat as possible, as Pillow's `equalize`."""
    batch, height, width, channels = images.shape
    tones = images.astype(jnp.int32).transpose(0, 3, 1, 2).reshape(batch * channels, -1)
    rows = jnp.arange(len(tones))[:, None]
    counts = jnp.zeros((len(tones), 256), jnp.int32).at[rows, tones].add(1)
    # The step leaves out the pixels of the greatest tone in the image.
    in_last = jnp.take_along_axis(counts, jnp.max(tones, 1, keepdims=True), axis=1)
    step = (height * width - in_last) // 255
    below = jnp.cumsum(counts, 1) - counts
    table = jnp.clip((step // 2 + below) // jnp.maximum(step, 1), 0, 255)
    table = jnp.where(step > 0, table, jnp.arange(256)[None])
    changed = jnp.take_along_axis(table, tones, axis=1)
    return changed.reshape(batch, channels, height, width).transpose(0, 2, 3, 1).astype(jnp.float32)


def _blend(images: jax.Array, operation: jax.Array, level: jax.Array) -> jax.Array:
    """Blends the image with black, grey, its mean or a smooth image, also beyond the image."""
    grey = images
    if images.shape[-1] == 3:
        weights = jnp.asarray(_LUMA, jnp.float32).reshape(1, 1, 1, 3)
        grey = jnp.round(jnp.sum(images * weights, -1, keepdims=True))
    start = jnp.zeros_like(images)
    for name, other in (
        ("color", grey),
        ("contrast", jnp.round(jnp.mean(grey, (1, 2, 3), keepdims=True))),
        ("sharpness", _smooth(images)),
    ):
        start = jnp.where(per_image(_is(operation, name)), other, start)
    is_blended = jnp.zeros(operation.shape, bool)
    for name in ("brightness", "color", "contrast", "sharpness"):
        is_blended |= _is(operation, name)
    blended = jnp.trunc(jnp.clip(start + (images - start) * per_image(1 + level), 0, 255))
    return jnp.where(per_image(is_blended), blended, images)


def _smooth(images: jax.Array) -> jax.Array:
    """Pillow's SMOOTH: the mean of 3x3 pixels, the middle one five times; borders stay."""
    height, width = images.shape[1:3]
    if height < 3 or width < 3:
        return images
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = jnp.round((around + 4 * images[:, 1:-1, 1:-1]) / 13)
    return images.at[:, 1:-1, 1:-1].set(inner)
