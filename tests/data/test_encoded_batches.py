"""Batches of images that preprocessing decodes."""

import numpy as np
import pytest
from PIL import Image

from jslim.data import FolderDataset, batches
from jslim.preprocessing import preprocessing_factory


def large_photographs(root):
    """Three JPEG files of 640x480 in one class."""
    rng = np.random.default_rng(0)
    for number in range(3):
        path = root / "train" / "ant" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=95)
    return FolderDataset(root, "train")


@pytest.mark.parametrize("name", ["inception", "vgg"])
@pytest.mark.parametrize("is_training", [False, True])
def test_encoded_images_are_preprocessed_as_decoded_ones_are(tmp_path, name, is_training):
    photographs = large_photographs(tmp_path)
    half = preprocessing_factory.get_host_preprocessing(name, is_training=is_training)
    options = {"resize_side_min": 80, "resize_side_max": 110} if name == "vgg" else {}
    asked = []

    class Noted(FolderDataset):
        def undecoded(self, index):
            example = super().undecoded(index)
            image = example["image"]
            at_least = image.at_least

            def noted(*size):
                asked.append(size)
                return at_least(*size)

            image.at_least = noted
            return example

    def first(dataset, **arguments):
        with batches(
            dataset,
            3,
            is_training=is_training,
            preprocessing_fn=lambda image, rng: half(image, 64, 64, rng=rng, **options),
            num_threads=0,
            **arguments,
        ) as made:
            return next(made)

    decoded = first(photographs)
    encoded = first(Noted(tmp_path, "train"), decode_images=False)
    assert decoded["image"].dtype == encoded["image"].dtype
    if not is_training:
        assert decoded.keys() == encoded.keys()
        for key in decoded:
            np.testing.assert_array_equal(decoded[key], encoded[key])
        assert not asked
        return
    np.testing.assert_array_equal(decoded["label"], encoded["label"])
    # Smaller sizes are means of pixels, where bilinear resizing passes over most of them.
    difference = np.abs(decoded["image"].astype(float) - encoded["image"])
    assert difference.mean() < 8
    assert len(asked) == 3
    assert min(min(size) for size in asked) < 200


def test_undecoded_records_without_preprocessing_are_arrays(tmp_path):
    photographs = large_photographs(tmp_path)
    with batches(photographs, 1, is_training=False, num_threads=0, decode_images=False) as made:
        assert next(made)["image"].shape == (1, 480, 640, 3)
