"""Random distortions of whole batches on the device, for the beginning of a model function.

    images = augmentation.random_erasing(slim.make_rng('augmentation'), images)
    images, labels = augmentation.mixup(slim.make_rng('augmentation'), images, labels, alpha=0.2)

`rng` is a key, `images` are `[batch, height, width, channels]`. Each image has random numbers of
its own, the same for any number of devices. TF-Slim has only the flip and the colours.
"""

import jax
import jax.numpy as jnp

from jslim.core import checks

_ERASING_ATTEMPTS = 10


def per_image(values: jax.Array) -> jax.Array:
    """One value for each image as `[batch, 1, 1, 1]`."""
    return values.reshape(-1, 1, 1, 1)


def _uniform(rng: jax.Array, images: jax.Array, low: float, high: float) -> jax.Array:
    """A random number for each image, `[batch, 1, 1, 1]`."""
    return jax.random.uniform(rng, (len(images), 1, 1, 1), jnp.float32, low, high)


def random_flip_left_right(rng: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each image with probability one half."""
    is_flipped = jax.random.bernoulli(rng, 0.5, (len(images), 1, 1, 1))
    return jnp.where(is_flipped, images[:, :, ::-1], images)


def random_brightness(rng: jax.Array, images: jax.Array, max_delta: float) -> jax.Array:
    """Adds a random number in `[-max_delta, max_delta)` to all values of an image."""
    return images + _uniform(rng, images, -max_delta, max_delta)


def random_contrast(rng: jax.Array, images: jax.Array, lower: float, upper: float) -> jax.Array:
    """`(x - mean) * factor + mean`, with the mean of each channel and a factor in `[lower, upper)`.

    Args:
      rng: The key of the factors.
      images: `[batch, height, width, channels]`.
      lower: The least factor.
      upper: The greatest factor.

    >>> images = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> random_contrast(jax.random.key(0), images, 2, 2).ravel().tolist()
    [0.0, 4.0]
    """
    mean = jnp.mean(images, (1, 2), keepdims=True)
    return (images - mean) * _uniform(rng, images, lower, upper) + mean


def random_saturation(rng: jax.Array, images: jax.Array, lower: float, upper: float) -> jax.Array:
    """Multiplies the saturation of HSV by a factor in `[lower, upper)`, and clips it at 1.

    Args:
      rng: The key of the factors.
      images: `[batch, height, width, 3]`, in `[0, 1]` or a little outside.
      lower: The least factor.
      upper: The greatest factor.
    """
    value = jnp.max(images, -1, keepdims=True)
    spread = value - jnp.min(images, -1, keepdims=True)
    # Saturation is spread / value; that of black, and of values below 0, is 0.
    is_coloured = (spread > 0) & (value > 0)
    most = jnp.where(is_coloured, value / jnp.where(is_coloured, spread, 1), 0)
    return value - jnp.minimum(most, _uniform(rng, images, lower, upper)) * (value - images)


def random_erasing(
    rng: jax.Array,
    images: jax.Array,
    probability: float = 0.5,
    areas: tuple[float, float] = (0.02, 1 / 3),
    aspect_ratios: tuple[float, float] = (0.3, 3.3),
    value: float = 0.0,
) -> jax.Array:
    """Overwrites a rectangle (Zhong et al., 2017, https://arxiv.org/abs/1708.04896).

    Args:
      rng: The key of the rectangles.
      images: `[batch, height, width, channels]`, any values; usually preprocessed, so that 0 is
        grey.
      probability: The probability that an image gets a rectangle.
      areas: The least and the greatest share of the image.
      aspect_ratios: The least and the greatest ratio of height to width; its logarithm is uniform.
      value: The value of the pixels in the rectangle.

    Raises:
      ValueError: `probability` is not in `[0, 1]`.
    """
    checks.number("random_erasing", "probability", probability, at_least=0, at_most=1)
    batch, height, width, _ = images.shape
    chosen, area_rng, ratio_rng, row_rng, column_rng = jax.random.split(rng, 5)
    shape = (batch, _ERASING_ATTEMPTS)
    area = jax.random.uniform(area_rng, shape, jnp.float32, *areas) * (height * width)
    low, high = jnp.log(jnp.asarray(aspect_ratios, jnp.float32))
    ratio = jnp.exp(jax.random.uniform(ratio_rng, shape, jnp.float32, low, high))
    heights, widths = jnp.round(jnp.sqrt(area * ratio)), jnp.round(jnp.sqrt(area / ratio))
    # The first attempt that fits; if none fits, nothing is erased.
    fits = (heights < height) & (widths < width)
    first = jnp.argmax(fits, 1, keepdims=True)
    box_height, box_width = (jnp.take_along_axis(x, first, axis=1) for x in (heights, widths))
    top = _place(row_rng, height - box_height)
    left = _place(column_rng, width - box_width)
    is_erased = jnp.any(fits, 1) & jax.random.bernoulli(chosen, probability, (batch,))
    box = _box(images, top, left, top + box_height, left + box_width)
    return jnp.where(per_image(is_erased) & box, jnp.asarray(value, images.dtype), images)


def _place(rng: jax.Array, greatest: jax.Array) -> jax.Array:
    """A random whole number from 0 to `greatest` for each image, `[batch, 1]`."""
    return jnp.floor(jax.random.uniform(rng, greatest.shape) * (greatest + 1))


def _box(
    images: jax.Array, top: jax.Array, left: jax.Array, bottom: jax.Array, right: jax.Array
) -> jax.Array:
    """Whether each pixel is in a box; `[batch, height, width, 1]`. The sides are `[batch, 1]`."""
    y = jnp.arange(images.shape[1], dtype=jnp.float32)[None]
    x = jnp.arange(images.shape[2], dtype=jnp.float32)[None]
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    return (rows[:, :, None] & columns[:, None])[..., None]


def mixup(
    rng: jax.Array, images: jax.Array, labels: jax.Array, alpha: float = 0.2
) -> tuple[jax.Array, jax.Array]:
    """Mixes each image and label with the next one's (Zhang et al., 2017,
    https://arxiv.org/abs/1710.09412).

    The share is drawn from Beta(alpha, alpha) for each image; the paper draws one for a batch.

    Args:
      rng: The key of the shares.
      images: Floating, `[batch, height, width, channels]`, preprocessed.
      labels: One-hot or another distribution, `[batch, num_classes]`.
      alpha: The evenness of the mixture: near 0 images hardly mix; at 1 all shares are equally
        likely.

    Returns:
      `(images, labels)`.

    Raises:
      ValueError: `alpha` is not above 0, or labels are not floating `[batch, num_classes]`.

    >>> _, labels = mixup(jax.random.key(0), jnp.zeros((2, 4, 4, 3)), jnp.eye(2))
    >>> labels.sum(axis=1).tolist()
    [1.0, 1.0]
    """
    share = _shares("mixup", rng, labels, alpha)
    return _mixed(images, per_image(share)), _mixed(labels, share)


def cutmix(
    rng: jax.Array, images: jax.Array, labels: jax.Array, alpha: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """Puts a box of the next image into each (Yun et al., 2019, https://arxiv.org/abs/1905.04899).

    The share of the image outside the box is drawn from Beta(alpha, alpha) for each image. The box
    has the image's proportions, and its centre is anywhere in the image. Labels are mixed by the
    area of the box within the image.

    Args:
      rng: The key of shares and places.
      images: `[batch, height, width, channels]`.
      labels: As of `mixup`.
      alpha: As of `mixup`.

    Returns:
      `(images, labels)`.

    Raises:
      ValueError: As of `mixup`.
    """
    share_rng, row_rng, column_rng = jax.random.split(rng, 3)
    share = _shares("cutmix", share_rng, labels, alpha)
    height, width = images.shape[1:3]
    side = jnp.sqrt(1 - share)
    middle_y = jax.random.randint(row_rng, share.shape, 0, height).astype(jnp.float32)
    middle_x = jax.random.randint(column_rng, share.shape, 0, width).astype(jnp.float32)
    half_height, half_width = jnp.floor(side * height) / 2, jnp.floor(side * width) / 2
    top, bottom = (
        jnp.clip(jnp.floor(middle_y + half), 0, height) for half in (-half_height, half_height)
    )
    left, right = (
        jnp.clip(jnp.floor(middle_x + half), 0, width) for half in (-half_width, half_width)
    )
    box = _box(images, top, left, bottom, right)
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return jnp.where(box, _next(images), images), _mixed(labels, kept)


def mixup_or_cutmix(
    rng: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    mixup_alpha: float = 0.2,
    cutmix_alpha: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """`mixup` or `cutmix` for each image, with probability one half each."""
    choice, mixup_rng, cutmix_rng = jax.random.split(rng, 3)
    is_mixed = jax.random.bernoulli(choice, 0.5, (len(images), 1))
    mixed = mixup(mixup_rng, images, labels, mixup_alpha)
    cut = cutmix(cutmix_rng, images, labels, cutmix_alpha)
    is_mixed_image = per_image(is_mixed)
    return jnp.where(is_mixed_image, mixed[0], cut[0]), jnp.where(is_mixed, mixed[1], cut[1])


def _shares(where: str, rng: jax.Array, labels: jax.Array, alpha: float) -> jax.Array:
    """The share of itself that each image keeps, `[batch, 1]`."""
    checks.number(where, "alpha", alpha, above=0)
    if labels.ndim != 2 or not jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(
            f"{where}: labels must be floating [batch, num_classes], got {labels.dtype} of shape "
            f"{labels.shape}; slim.one_hot_encoding makes them"
        )
    return jax.random.beta(rng, alpha, alpha, (len(labels), 1), jnp.float32)


def _next(values: jax.Array) -> jax.Array:
    # Batches are shuffled, so the neighbour is as good as any other image; and between devices only
    # one row of each has to travel.
    return jnp.roll(values, -1, axis=0)


def _mixed(values: jax.Array, share: jax.Array) -> jax.Array:
    share = share.astype(values.dtype)
    return values * share + _next(values) * (1 - share)
