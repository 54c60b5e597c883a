"""Distortions of whole batches: their distributions, the same on any number of devices."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.preprocessing import augmentation, images, inception_preprocessing, preprocessing_factory
from jslim.preprocessing.on_device import get_device_preprocessing

KEY = jax.random.key(0)
NAMES = ["cifarnet", "inception", "lenet", "vgg"]


def photo(size=(20, 24)):
    return np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)


def copies(image, count):
    return jnp.asarray(np.repeat(image[None], count, axis=0))


def uniform_between(values, low, high):
    """Whether sorted values follow the uniform distribution, by Kolmogorov and Smirnov's test."""
    values = np.sort(np.asarray(values))
    assert low <= values[0] <= values[-1] <= high
    expected = (values - low) / (high - low)
    distance = np.abs(np.arange(1, len(values) + 1) / len(values) - expected).max()
    return distance < 1.95 / np.sqrt(len(values))  # passes with probability 0.999


@pytest.mark.parametrize("name", NAMES)
def test_both_halves_are_the_whole_in_evaluation(name):
    image = photo((30, 41))
    whole = preprocessing_factory.get_preprocessing(name)(image, 17, 19)
    options = {"resize_side_min": 20} if name == "vgg" else {}
    whole = preprocessing_factory.get_preprocessing(name)(image, 17, 19, **options)
    half = preprocessing_factory.get_host_preprocessing(name)(image, 17, 19, **options)
    found = get_device_preprocessing(name)(half[None])[0]
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_host_half_of_training_is_rounded_to_the_type_of_the_image(name):
    image = photo((30, 41))
    options = {"resize_side_min": 20, "resize_side_max": 30} if name == "vgg" else {}
    prepare = preprocessing_factory.get_host_preprocessing(name, is_training=True)

    def run(image):
        return prepare(image, 17, 19, rng=np.random.default_rng(3), **options)

    found, exact = run(image), run(image.astype(np.float32))
    assert found.dtype == np.uint8
    assert exact.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=0.501)
    np.testing.assert_array_equal(found, np.floor(exact + np.float32(0.5)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_training", [False, True])
def test_host_half_is_rounded_or_exact_as_asked(name, is_training):
    image = photo((30, 41))
    options = {"resize_side_min": 20, "resize_side_max": 30} if name == "vgg" else {}

    def run(dtype, image=image):
        prepare = preprocessing_factory.get_host_preprocessing(name, is_training, dtype)
        return prepare(image, 17, 19, rng=np.random.default_rng(3), **options)

    exact = run("float32", image.astype(np.float32))
    np.testing.assert_array_equal(run("float32"), exact)
    rounded = run("uint8")
    assert rounded.dtype == np.uint8
    np.testing.assert_array_equal(rounded, np.floor(exact + np.float32(0.5)))
    default = run(None)
    np.testing.assert_array_equal(default, rounded if is_training else exact)


def test_host_half_of_another_type_is_refused():
    with pytest.raises(ValueError, match="dtype must be 'uint8' or 'float32', got 'bfloat16'"):
        preprocessing_factory.get_host_preprocessing("vgg", dtype="bfloat16")


def test_every_image_is_flipped_or_not():
    batch = copies(photo(), 1000)
    found = np.asarray(augmentation.random_flip_left_right(KEY, batch))
    is_flipped = (found == np.asarray(batch)[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((found == np.asarray(batch)).all(axis=(1, 2, 3)) ^ is_flipped).all()
    assert abs(is_flipped.sum() - 500) < 5 * np.sqrt(250)


def test_brightness_contrast_and_saturation_are_those_of_one_image_by_uniform_factors():
    image = photo((6, 5)).astype(np.float32) / 255
    batch = copies(image, 400)
    brighter = np.asarray(augmentation.random_brightness(KEY, batch, 0.3))
    deltas = (brighter - image).mean(axis=(1, 2, 3))
    everywhere = np.broadcast_to(deltas[:, None, None, None], brighter.shape)
    np.testing.assert_allclose(brighter - image, everywhere, atol=1e-6)
    assert uniform_between(deltas, -0.3, 0.3)

    changed = np.asarray(augmentation.random_contrast(KEY, batch, 0.4, 1.7))
    factors = changed[..., 0].std(axis=(1, 2)) / image[..., 0].std()
    assert uniform_between(factors, 0.4, 1.7)
    for one, factor in zip(changed[:20], factors, strict=False):
        np.testing.assert_allclose(one, images.adjust_contrast(image, factor), atol=1e-5)

    changed = np.asarray(augmentation.random_saturation(KEY, batch, 0.5, 1.5))
    # A pixel that is grey enough not to be clipped.
    places = [colorsys.rgb_to_hsv(*pixel)[1] for pixel in image.reshape(-1, 3)]
    pixel = np.argmin(np.abs(np.array(places) - 0.3))
    before = places[pixel]
    factors = [colorsys.rgb_to_hsv(*one.reshape(-1, 3)[pixel])[1] / before for one in changed]
    assert uniform_between(factors, 0.5, 1.5)
    for one, factor in zip(changed[:20], factors, strict=False):
        expected = images.adjust_saturation(image, factor)
        np.testing.assert_allclose(one, expected, atol=2e-5)


def test_inception_on_the_device_is_that_of_the_host_with_its_factors():
    image = photo((6, 5))
    batch = copies(image, 64)
    found = np.asarray(get_device_preprocessing("inception_v3", is_training=True)(batch, KEY))
    flip, brightness, saturation = jax.random.split(KEY, 3)
    scaled = jnp.asarray(batch, jnp.float32) / 255
    flipped = augmentation.random_flip_left_right(flip, scaled)
    deltas = augmentation.random_brightness(brightness, jnp.zeros((64, 1, 1, 1)), 32 / 255)
    low = jnp.full((64, 1, 1, 3), 0.4).at[..., 0].set(0.5)  # saturation 0.2
    factors = augmentation.random_saturation(saturation, low, 0.5, 1.5)
    factors = (0.5 - np.asarray(factors)[..., 2].ravel()) / 0.1
    for one, source, delta, factor in zip(
        found, np.asarray(flipped), np.asarray(deltas).ravel(), factors, strict=True
    ):
        expected = np.clip(images.adjust_saturation(source + delta, factor), 0, 1) * 2 - 1
        np.testing.assert_allclose(one, expected, atol=1e-5)
    assert inception_preprocessing.BRIGHTNESS == 32 / 255


@pytest.mark.parametrize("name", ["cifarnet", "inception", "lenet", "vgg"])
def test_training_on_the_device_needs_a_key_and_draws_for_each_image(name):
    preprocess = get_device_preprocessing(name, is_training=True)
    with pytest.raises(ValueError, match=f"'{name}' with is_training=True draws random numbers"):
        preprocess(copies(photo(), 2))
    found = np.asarray(preprocess(copies(photo(), 8), KEY))
    assert found.dtype == np.float32
    distinct = len(np.unique(found.reshape(8, -1), axis=0))
    assert distinct == {"lenet": 1, "vgg": 2}.get(name, 8)


def erased(batch, **options):
    return np.asarray(augmentation.random_erasing(KEY, batch, **options))


def test_random_erasing_erases_rectangles_of_the_areas_and_ratios_that_are_allowed():
    found = erased(jnp.ones((2000, 64, 48, 1)), probability=0.7, value=-3.0)
    is_erased = found[..., 0] == -3
    assert (found[..., 0][~is_erased] == 1).all()
    chosen = is_erased.any(axis=(1, 2))
    assert abs(chosen.sum() - 1400) < 5 * np.sqrt(2000 * 0.21)
    heights, widths = is_erased.any(axis=2).sum(axis=1), is_erased.any(axis=1).sum(axis=1)
    areas = is_erased.sum(axis=(1, 2))
    assert (areas == heights * widths).all()  # they are rectangles
    shares = areas[chosen] / (64 * 48)
    assert 0.015 < shares.min() < 0.04
    assert 0.3 < shares.max() < 0.345
    ratios = (heights / np.maximum(widths, 1))[chosen]
    assert 0.25 < ratios.min() < 0.45
    assert 2.4 < ratios.max() < 3.9
    tops = is_erased.any(axis=2).argmax(axis=1)[chosen]
    assert tops.min() == 0
    assert (tops + heights[chosen]).max() == 64


def test_random_erasing_of_no_image_and_where_nothing_fits():
    batch = jnp.ones((50, 8, 8, 1))
    np.testing.assert_array_equal(erased(batch, probability=0.0), batch)
    np.testing.assert_array_equal(erased(batch, probability=1.0, areas=(1.5, 2.0)), batch)


def labels_of(count):
    return jnp.eye(count, dtype=jnp.float32)


def test_mixup_mixes_images_and_labels_by_one_share():
    count = 500
    batch = jnp.broadcast_to(
        jnp.arange(count, dtype=jnp.float32)[:, None, None, None], (count, 2, 2, 1)
    )
    mixed, labels = augmentation.mixup(KEY, batch, labels_of(count), alpha=1.0)
    labels = np.asarray(labels)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    numbers = np.arange(count)
    others = (numbers + 1) % count
    shares = labels[numbers, numbers]
    np.testing.assert_allclose(labels[numbers, others], 1 - shares, atol=1e-6)
    assert uniform_between(shares, 0, 1)  # which Beta(1, 1) is
    values = np.asarray(mixed)
    expected = shares * numbers + (1 - shares) * others
    np.testing.assert_allclose(values[:, 1, 0, 0], expected, rtol=1e-5, atol=1e-4)
    assert (values == values[:, :1, :1]).all()


def test_mixup_with_a_small_alpha_changes_little():
    _, labels = augmentation.mixup(KEY, jnp.ones((1000, 1, 1, 1)), labels_of(1000), alpha=0.2)
    shares = np.diagonal(np.asarray(labels))
    # Of Beta(0.2, 0.2): mean 1/2, variance 1 / (4 * 1.4).
    assert abs(shares.mean() - 0.5) < 5 * np.sqrt(0.1786 / 1000)
    assert abs(shares.var() - 0.1786) < 0.02


@pytest.mark.long
def test_cutmix_puts_a_box_of_the_next_image_in_and_counts_it():
    count, size = 400, 32
    batch = jnp.broadcast_to(
        jnp.arange(count, dtype=jnp.float32)[:, None, None, None], (count, size, size, 1)
    )
    mixed, labels = augmentation.cutmix(KEY, batch, labels_of(count), alpha=1.0)
    mixed, labels = np.asarray(mixed)[..., 0], np.asarray(labels)
    numbers = np.arange(count)
    others = (numbers + 1) % count
    is_own, is_next = mixed == numbers[:, None, None], mixed == others[:, None, None]
    assert (is_own ^ is_next).all()
    rows, columns = is_next.any(axis=2).sum(axis=1), is_next.any(axis=1).sum(axis=1)
    assert (is_next.sum(axis=(1, 2)) == rows * columns).all()
    np.testing.assert_allclose(labels[numbers, numbers], is_own.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    # Boxes that are not cut off at a border have areas 1 - U, U uniform.
    inner = is_next[:, 1:-1, 1:-1].sum(axis=(1, 2)) == is_next.sum(axis=(1, 2))
    assert 50 < inner.sum() < 350
    assert is_next.mean(axis=(1, 2)).max() > 0.8


@pytest.mark.long
def test_either_of_the_two_for_half_of_the_images():
    count = 300
    batch = jnp.broadcast_to(jnp.arange(1.0, count + 1)[:, None, None, None], (count, 8, 8, 1))
    mixed, labels = augmentation.mixup_or_cutmix(KEY, batch, labels_of(count))
    np.testing.assert_allclose(np.asarray(labels).sum(axis=1), 1, rtol=1e-6)
    own = np.isclose(np.asarray(mixed), np.asarray(batch))
    is_uniform = np.ptp(np.asarray(mixed), axis=(1, 2, 3)) < 1e-4
    assert own.any()
    # Mixed images have one value; some cut images are entirely themselves or the next image.
    assert count / 2 < is_uniform.sum() < 0.75 * count


@pytest.mark.long
def test_the_devices_do_not_matter():
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    batch = jnp.asarray(np.random.default_rng(0).integers(0, 256, (16, 9, 9, 3)), jnp.float32)
    labels = labels_of(16)

    def distorted(images, labels):
        first, second, third = jax.random.split(KEY, 3)
        images = get_device_preprocessing("inception", is_training=True)(images, first)
        images = augmentation.random_erasing(second, images)
        return augmentation.mixup_or_cutmix(third, images, labels)

    expected = jax.jit(distorted)(batch, labels)
    split = NamedSharding(mesh, PartitionSpec("data"))
    found = jax.jit(distorted)(*jax.device_put((batch, labels), split))
    for one, other in zip(found, expected, strict=True):
        assert len(one.sharding.device_set) == 8
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: augmentation.mixup(KEY, x, y, 0.0), "mixup: alpha must be above 0, got 0.0"),
        (lambda x, y: augmentation.cutmix(KEY, x, y, -1.0), "cutmix: alpha must be above 0"),
        (
            lambda x, y: augmentation.mixup(KEY, x, jnp.zeros(2, jnp.int32)),
            r"mixup: labels must be floating \[batch, num_classes\], got int32 of shape \(2,\)",
        ),
        (
            lambda x, y: augmentation.random_erasing(KEY, x, 1.5),
            r"random_erasing: probability must be in \[0, 1\], got 1.5",
        ),
    ],
)
def test_bad_arguments_of_augmentation(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((2, 4, 4, 3)), labels_of(2))
