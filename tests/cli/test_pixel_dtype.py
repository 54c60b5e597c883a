"""In what images travel to the devices: `--pixel_dtype`."""

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.cli.classifier import ClassifierConfig, host_batches
from jslim.data.order import example_generator
from jslim.preprocessing import preprocessing_factory

CONTRACT = {"preprocessing_name": "inception", "image_size": 32}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """JPEG files of which most crops are larger than twice 32 pixels."""
    root = tmp_path_factory.mktemp("photographs")
    (root / "train" / "ant").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8))
        photograph = coarse.resize((250, 200), Image.Resampling.BICUBIC)
        photograph.save(root / "train" / "ant" / f"{number}.jpg", quality=95)
    return data.get_dataset("folder", "train", root)


def images(photographs, pixel_dtype, *, is_training):
    config = ClassifierConfig(batch_size=4, num_preprocessing_threads=1, pixel_dtype=pixel_dtype)
    with host_batches(photographs, CONTRACT, config, is_training=is_training, seed=5) as batches:
        return next(batches)["image"]


def test_training_sends_rounded_pixels_or_the_exact_ones_of_whole_images(photographs):
    order = data.order.Order(5, 4, shuffle=True)
    preprocess = preprocessing_factory.get_host_preprocessing("inception", True, "float32")
    exact = [
        preprocess(photographs[order(n)]["image"], 32, 32, rng=example_generator(5, n))
        for n in range(4)
    ]
    np.testing.assert_array_equal(images(photographs, "float32", is_training=True), exact)
    default = images(photographs, None, is_training=True)
    assert default.dtype == np.uint8
    np.testing.assert_array_equal(images(photographs, "uint8", is_training=True), default)
    assert np.abs(default - np.array(exact)).max() > 1  # of images in a smaller size


def test_evaluation_sends_exact_pixels_or_the_same_ones_rounded(photographs):
    exact = images(photographs, None, is_training=False)
    assert exact.dtype == np.float32
    np.testing.assert_array_equal(images(photographs, "float32", is_training=False), exact)
    rounded = images(photographs, "uint8", is_training=False)
    assert rounded.dtype == np.uint8
    np.testing.assert_array_equal(rounded, np.floor(exact + np.float32(0.5)))
