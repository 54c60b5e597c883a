"""RandAugment's operations against Pillow's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jslim.preprocessing.rand_augment import OPERATIONS, apply_operation, rand_augment

HEIGHT, WIDTH = 23, 31
apply_jitted = jax.jit(apply_operation)
GREY = (128, 128, 128)


@pytest.fixture(scope="module")
def images():
    """Smooth coloured images, some with only a part of the range of tones."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (4, 5, 6, 3)).astype(np.uint8)
    coarse[1] = coarse[1] // 2 + 40
    coarse[2, ..., 1] = 90
    large = [Image.fromarray(x).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for x in coarse]
    return np.stack([np.asarray(x) for x in large])


def affine(matrix):
    def moved(image):
        return image.transform(
            image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=GREY
        )

    return moved


# The calls of Pillow by torchvision's RandAugment, at a share of the greatest strength.
PILLOW = {
    "identity": lambda s, sign: lambda image: image,
    "shear_x": lambda s, sign: affine((1, sign * 0.3 * s, 0, 0, 1, 0)),
    "shear_y": lambda s, sign: affine((1, 0, 0, sign * 0.3 * s, 1, 0)),
    "translate_x": lambda s, sign: affine((1, 0, int(sign * 150 / 331 * WIDTH * s), 0, 1, 0)),
    "translate_y": lambda s, sign: affine((1, 0, 0, 0, 1, int(sign * 150 / 331 * HEIGHT * s))),
    "rotate": lambda s, sign: (
        lambda image: image.rotate(sign * 30 * s, Image.Resampling.NEAREST, fillcolor=GREY)
    ),
    "brightness": lambda s, sign: lambda x: ImageEnhance.Brightness(x).enhance(1 + sign * 0.9 * s),
    "color": lambda s, sign: lambda x: ImageEnhance.Color(x).enhance(1 + sign * 0.9 * s),
    "contrast": lambda s, sign: lambda x: ImageEnhance.Contrast(x).enhance(1 + sign * 0.9 * s),
    "sharpness": lambda s, sign: lambda x: ImageEnhance.Sharpness(x).enhance(1 + sign * 0.9 * s),
    "posterize": lambda s, sign: lambda image: ImageOps.posterize(image, 8 - round(4 * s)),
    "solarize": lambda s, sign: lambda image: ImageOps.solarize(image, 255 - 255 * s),
    "autocontrast": lambda s, sign: ImageOps.autocontrast,
    "equalize": lambda s, sign: ImageOps.equalize,
}


def run(images, name, strength, sign):
    operation = jnp.full((len(images),), OPERATIONS.index(name), jnp.int32)
    signs = jnp.full((len(images),), float(sign), jnp.float32)
    return np.asarray(
        apply_jitted(jnp.asarray(images, jnp.float32), operation, jnp.float32(strength), signs)
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_pillow(images, name, strength, sign):
    found = run(images, name, strength, sign)
    expected = np.stack(
        [np.asarray(PILLOW[name](strength, sign)(Image.fromarray(x))) for x in images]
    )
    different = np.abs(found - expected).max(axis=-1)
    if name in ("shear_x", "shear_y", "rotate"):
        # Pillow's fixed-point numbers send few of the pixels on a border to its other side.
        assert (different > 0).mean() < 0.01
    else:
        assert different.max() <= 1
        assert (different > 0).mean() < 0.02
    np.testing.assert_array_equal(found, np.round(found))


@pytest.mark.parametrize("name", OPERATIONS)
def test_grey_images_are_those_of_one_colour_channel(images, name):
    grey = images[..., :1]
    found = run(grey, name, 0.6, 1)
    coloured = run(np.repeat(grey, 3, axis=-1), name, 0.6, 1)
    np.testing.assert_allclose(np.repeat(found, 3, axis=-1), coloured, atol=1)


def test_images_of_one_tone_and_of_few_pixels_stay():
    for shape in ((1, 4, 4, 3), (1, 1, 2, 1)):
        plain = np.full(shape, 77, np.float32)
        for name in ("autocontrast", "equalize", "sharpness", "color"):
            np.testing.assert_array_equal(run(plain, name, 0.5, 1), plain)


@pytest.mark.long
def test_every_operation_is_drawn_equally_often():
    rng = np.random.default_rng(0)
    image = np.asarray(
        Image.fromarray(rng.integers(0, 200, (6, 8, 3)).astype(np.uint8)).resize((24, 16))
    )
    results = {
        (name, sign): run(image[None], name, 0.5, sign)[0]
        for name in OPERATIONS
        for sign in (1, -1)
    }
    count = 1400
    found = np.asarray(
        rand_augment(jax.random.key(0), jnp.asarray(np.repeat(image[None], count, 0)), 1, 15)
    )
    counts = dict.fromkeys(results, 0)
    for one in found:
        fits = [
            key for key, expected in results.items() if (np.abs(one - expected) > 1).mean() < 0.01
        ]
        assert fits
        for key in fits:
            counts[key] += 1 / len(fits)
    of_operation = [counts[name, 1] + counts[name, -1] for name in OPERATIONS]
    # The standard deviation of each is sqrt(1400 * 1/14 * 13/14) = 9.6.
    assert np.abs(np.array(of_operation) - 100).max() < 5 * 9.6
    assert abs(sum(counts[name, 1] for name in ("rotate", "shear_x", "color")) - 150) < 5 * 8.7


@pytest.mark.long
def test_layers_follow_each_other_and_none_does_nothing():
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3)), jnp.float32)
    np.testing.assert_array_equal(rand_augment(jax.random.key(0), images, 0), images)
    keys = jax.random.split(jax.random.key(1), 2)
    assert not np.array_equal(
        rand_augment(keys[0], images, 2, 20), rand_augment(keys[1], images, 2, 20)
    )
    changed = rand_augment(keys[0], images, 3, 30)
    assert changed.dtype == jnp.float32
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 4, 4, 2), {}, r"\[batch, height, width, 1 or 3\], got \(2, 4, 4, 2\)"),
        ((4, 4, 3), {}, r"\[batch, height, width, 1 or 3\], got \(4, 4, 3\)"),
        ((1, 4, 4, 3), {"magnitude": 31}, r"magnitude must be in \[0, 30\], got 31"),
        ((1, 4, 4, 3), {"num_layers": -1}, "num_layers must be at least 0, got -1"),
    ],
)
def test_bad_arguments(shape, options, message):
    with pytest.raises(ValueError, match=message):
        rand_augment(jax.random.key(0), jnp.zeros(shape), **options)
