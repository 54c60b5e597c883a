"""Inception's preprocessing: TensorFlow's numbers where it is not random, and its distribution."""

import numpy as np
import pytest

from jslim.nets import nets_factory
from jslim.preprocessing import (
    inception_preprocessing,
    on_device,
    preprocessing_factory,
)
from jslim.preprocessing.images import adjust_saturation

preprocess = inception_preprocessing.preprocess_image


@pytest.mark.parametrize("size", [(16, 16), (40, 25), (7, 33)])
def test_evaluation_equals_tensorflow(golden, size):
    stored = golden("preprocessing.npz")
    found = preprocess(stored["photo"], *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, stored[f"inception/{size[0]}x{size[1]}"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("size", [8, 10, 23, 37])
def test_central_crop_equals_tensorflow(golden, size):
    square = np.arange(size * size, dtype=np.int32).reshape(size, size, 1)
    found = inception_preprocessing.central_crop(square, 0.875)
    np.testing.assert_array_equal(found, golden("preprocessing.npz")[f"central_crop/{size}"])


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.5])
def test_saturation_equals_tensorflow_also_outside_of_0_and_1(golden, factor):
    stored = golden("preprocessing.npz")
    found = adjust_saturation(stored["saturation/image"], factor)
    np.testing.assert_allclose(found, stored[f"saturation/{factor}"], rtol=1e-5, atol=1e-6)


def test_evaluation_without_crop_and_of_any_channels():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    whole = preprocess(image, 4, 4, crop_image=False)
    np.testing.assert_allclose(whole, image / 127.5 - 1, rtol=1e-6, atol=1e-6)
    grey = preprocess(image[..., :1], 4, 4, crop_image=False)
    np.testing.assert_array_equal(grey, whole[..., :1])


def windows(count, height, width, bbox=None):
    rng = np.random.default_rng(0)
    found = [
        inception_preprocessing.random_distorted_window(rng, height, width, bbox)
        for _ in range(count)
    ]
    return np.array([(r.start, r.stop, c.start, c.stop) for r, c in found])


def test_crops_have_the_areas_and_ratios_that_are_allowed():
    found = windows(4000, 100, 150)
    heights, widths = found[:, 1] - found[:, 0], found[:, 3] - found[:, 2]
    assert found.min() >= 0
    assert found[:, 1].max() <= 100
    assert found[:, 3].max() <= 150
    ratios, areas = widths / heights, heights * widths / 15000
    assert 0.73 < ratios.min() < 0.76
    assert 1.31 < ratios.max() < 1.36
    # A tenth of the image is the least, since all of it is the object.
    assert 0.1 <= areas.min() < 0.12
    assert areas.max() > 0.8
    # Heights are uniform between their limits for a ratio of about 1: sqrt(1500) to 100.
    near_one = heights[abs(ratios - 1) < 0.05]
    assert abs(np.mean(near_one) - 69.5) < 2.5
    # The place is uniform, the last one that is free left out, as TensorFlow's.
    free = 100 - heights
    places = found[free > 1, 0] / (free[free > 1] - 1)
    assert places.max() == 1
    assert abs(np.mean(places) - 0.5) < 0.02


def test_crops_keep_a_tenth_of_the_object():
    box = (0.8, 0.0, 1.0, 0.1)
    found = windows(300, 50, 50, box)
    overlap = np.maximum(0, found[:, 1] - np.maximum(found[:, 0], 40)) * np.maximum(
        0, np.minimum(found[:, 3], 5) - found[:, 2]
    )
    assert overlap.min() >= 0.1 * 10 * 5


def test_image_that_no_crop_fits_is_taken_whole():
    # A ratio of 40 to 1 leaves no crop of a tenth of it.
    np.testing.assert_array_equal(windows(20, 400, 10), [[0, 400, 0, 10]] * 20)


def test_training_flips_and_changes_colours_in_their_limits():
    image = np.full((20, 20, 3), (120, 100, 90), np.uint8)
    image[:, 10:] = (60, 50, 45)
    rng = np.random.default_rng(0)
    brightness, saturations, flips = [], [], []
    for _ in range(600):
        found = (preprocess(image, 8, 8, True, rng=rng) + 1) / 2
        assert 0 <= found.min() <= found.max() <= 1
        left, right = found[4, 0], found[4, -1]
        if abs(left[0] - right[0]) > 0.1:
            flips.append(left[0] < right[0])
        brightest = max(left, right, key=lambda pixel: pixel[0])
        if brightest[0] > 0.3 and abs(left[0] - right[0]) > 0.1:
            brightness.append(brightest[0] - 120 / 255)
            before = (30 / 255) / brightest[0]
            saturations.append((1 - brightest[2] / brightest[0]) / before)
    assert 0.4 < np.mean(flips) < 0.6
    assert abs(np.quantile(brightness, [0.02, 0.5, 0.98]) - [-0.12, 0, 0.12]).max() < 0.02
    assert abs(np.quantile(saturations, [0.02, 0.5, 0.98]) - [0.52, 1, 1.48]).max() < 0.08


@pytest.mark.parametrize("options", [{}, {"is_training": True}, {"fast_mode": False}])
def test_crops_are_scaled(options):
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    options = {"is_training": "fast_mode" in options, **options}

    def crop(**scale):
        rng = np.random.default_rng(0)
        return inception_preprocessing.crop_and_resize(image, 8, 8, rng=rng, **options, **scale)

    np.testing.assert_allclose(crop(scale=1 / 255), crop() / 255, rtol=1e-5, atol=1e-6)


def test_training_without_fast_mode_draws_method_order_hue_and_contrast(monkeypatch):
    used = []
    resize = inception_preprocessing.resizing.resize

    def noted(image, height, width, method, **options):
        used.append(method)
        return resize(image, height, width, method, **options)

    monkeypatch.setattr(inception_preprocessing.resizing, "resize", noted)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 12, 3), np.uint8)
    for _ in range(200):
        found = preprocess(image, 8, 8, is_training=True, fast_mode=False, rng=rng)
        assert -1 <= found.min() <= found.max() <= 1
    counts = [used.count(method) for method in ("bilinear", "nearest", "bicubic", "area")]
    assert sum(counts) == 200
    assert min(counts) > 30
    # Fast mode never turns the hue, so the order of the channels stays.
    colour = np.full((4, 4, 3), (0.2, 0.3, 0.6), np.float32)
    kept, turned = [
        np.array(
            [
                np.argsort(inception_preprocessing.distort_color(rng, colour, fast_mode=fast)[0, 0])
                for _ in range(200)
            ]
        )
        for fast in (True, False)
    ]
    assert (kept == [0, 1, 2]).all()
    assert 20 < (turned != [0, 1, 2]).any(axis=1).sum() < 180


def test_training_needs_random_numbers_and_colours():
    with pytest.raises(ValueError, match="inception preprocessing with is_training=True draws"):
        preprocess(np.zeros((4, 4, 3), np.uint8), 2, 2, True)
    with pytest.raises(ValueError, match="distorts the colours of images of 3 channels, got 1"):
        preprocess(np.zeros((4, 4, 1), np.uint8), 2, 2, True, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"central_fraction must be in \(0, 1\], got 0"):
        preprocess(np.zeros((4, 4, 3), np.uint8), 2, 2, central_fraction=0)


def test_every_network_has_its_preprocessing_by_its_own_name_too():
    for name, network in nets_factory.NETWORKS.items():
        assert preprocessing_factory.kind_of(name) == network.preprocessing


def test_the_half_on_the_device_is_the_end_of_it():
    image = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3), dtype=np.uint8)
    found = on_device.get_device_preprocessing("mobilenet_v2")(image)
    np.testing.assert_allclose(
        found[0], preprocess(image[0], 6, 5, crop_image=False), rtol=1e-6, atol=1e-6
    )
