import numpy as np
import pytest

from jslim.preprocessing import (
    cifarnet_preprocessing,
    images,
    lenet_preprocessing,
    preprocessing_factory,
    vgg_preprocessing,
)
from jslim.preprocessing.images import crop_or_pad, per_image_standardization

SIZES = [(9, 12), (2, 3), (8, 5), (4, 11), (5, 8)]
VGG_CASES = [(16, 16, 20), (20, 17, 20), (29, 29, 31), (7, 30, 23)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_training", [False, True])
def test_lenet_equals_tensorflow(golden, size, is_training):
    stored = golden("preprocessing.npz")
    result = lenet_preprocessing.preprocess_image(stored["small"], *size, is_training)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, stored[f"lenet/{size[0]}x{size[1]}"])


@pytest.mark.parametrize("size", SIZES)
def test_cifarnet_evaluation_equals_tensorflow(golden, size):
    stored = golden("preprocessing.npz")
    result = cifarnet_preprocessing.preprocess_image(stored["small"], *size)
    assert result.dtype == np.float32
    expected = stored[f"cifarnet/{size[0]}x{size[1]}"]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_cifarnet_training_crops_and_flips_the_padded_image():
    # With three equal channels the standardization removes the contrast again. The result is one
    # of 9 x 9 crops of the padded image, or the mirror image of one.
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, (6, 6, 1)), 3, axis=2).astype(np.uint8)
    padded = crop_or_pad(image, 14, 14)
    crops = {}
    for top in range(9):
        for left in range(9):
            crop = per_image_standardization(padded[top : top + 6, left : left + 6])
            crops[top, left, False], crops[top, left, True] = crop, crop[:, ::-1]
    seen = set()
    for _ in range(200):
        result = cifarnet_preprocessing.preprocess_image(image, 6, 6, True, rng=rng)
        matches = [key for key, crop in crops.items() if np.allclose(crop, result, atol=1e-5)]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) > 100


def test_cifarnet_training_contrast_is_uniform_from_a_fifth_to_nine_fifths():
    # The output size allows only one crop. The contrast factor is the growth of the variation
    # within a channel, relative to the distance between channels.
    rng = np.random.default_rng(0)
    image = rng.integers(0, 100, (8, 8, 3)).astype(np.uint8) + np.array([0, 60, 150], np.uint8)

    def within_against_between(x):
        means = x.mean(axis=(0, 1))
        return (x - means).std() / means.std()

    before = within_against_between(crop_or_pad(image.astype(np.float64), 16, 16))
    factors = [
        within_against_between(
            cifarnet_preprocessing.preprocess_image(image, 16, 16, True, rng=rng)
        )
        / before
        for _ in range(1000)
    ]
    quantiles = np.quantile(factors, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quantiles, [0.2, 0.6, 1.0, 1.4, 1.8], atol=0.1)


@pytest.mark.parametrize("case", VGG_CASES)
@pytest.mark.parametrize("name", ["vgg", "vgg_tall"])
def test_vgg_evaluation_equals_tensorflow(golden, case, name):
    stored = golden("preprocessing.npz")
    height, width, side = case
    image = stored["photo"]
    if name == "vgg_tall":
        image, height, width = image.transpose(1, 0, 2), width, height
    result = vgg_preprocessing.preprocess_image(image, height, width, resize_side_min=side)
    assert result.dtype == np.float32
    # The subtraction cancels digits: values near 0 are as exact as those near 124.
    expected = stored[f"{name}/{height}x{width}/{side}"]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=3e-5)


def test_vgg_training_is_a_crop_of_the_resized_image():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (11, 15, 3)).astype(np.uint8)
    # Each length of the shorter side gives another image to crop from; evaluation gives it whole.
    wholes = {
        side: vgg_preprocessing.preprocess_image(
            image, side, round(15 * side / 11), resize_side_min=side
        )
        for side in (12, 13, 14)
    }
    seen = set()
    for _ in range(120):
        result = vgg_preprocessing.preprocess_image(
            image, 12, 12, True, resize_side_min=12, resize_side_max=14, rng=rng
        )
        matches = [
            (side, top, left, step)
            for side, whole in wholes.items()
            for top in range(whole.shape[0] - 11)
            for left in range(whole.shape[1] - 11)
            for step in (1, -1)
            if np.allclose(whole[top : top + 12, left : left + 12][:, ::step], result, atol=1e-4)
        ]
        assert len(matches) == 1
        seen.update(matches)
    assert {side for side, *_ in seen} == {12, 13, 14}
    assert {step for *_, step in seen} == {1, -1}


@pytest.mark.parametrize("module", [cifarnet_preprocessing, vgg_preprocessing])
def test_training_depends_on_the_generator_alone(module):
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    first, again, other = (
        module.preprocess_image(image, 200, 200, True, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["cifarnet", "vgg"])
def test_training_without_generator_is_an_error(name):
    preprocess = preprocessing_factory.get_preprocessing(name, is_training=True)
    with pytest.raises(ValueError, match=f"{name} preprocessing with is_training=True .* pass rng"):
        preprocess(np.zeros((40, 40, 3), np.uint8), 32, 32)


def test_vgg_refuses_grey_images_and_crops_that_do_not_fit():
    with pytest.raises(ValueError, match="needs images of 3 channels, got 1"):
        vgg_preprocessing.preprocess_image(np.zeros((40, 40, 1), np.uint8), 32, 32)
    with pytest.raises(ValueError, match="a crop of 32x32 does not fit into an image that is 30x"):
        vgg_preprocessing.preprocess_image(
            np.zeros((40, 40, 3), np.uint8), 32, 32, resize_side_min=30
        )


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("lenet", lenet_preprocessing),
        ("cifarnet", cifarnet_preprocessing),
        ("vgg", vgg_preprocessing),
        ("vgg_a", vgg_preprocessing),
        ("vgg_16", vgg_preprocessing),
        ("vgg_19", vgg_preprocessing),
        ("alexnet_v2", vgg_preprocessing),
    ],
)
def test_factory_knows_the_preprocessing_of_every_network(name, module):
    image = np.random.default_rng(0).integers(0, 256, (260, 260, 3)).astype(np.uint8)
    result = preprocessing_factory.get_preprocessing(name)(image, 224, 200)
    np.testing.assert_array_equal(result, module.preprocess_image(image, 224, 200))


@pytest.mark.parametrize("name", ["lenet", "cifarnet", "vgg_16"])
@pytest.mark.parametrize("is_training", [False, True])
def test_every_preprocessing_takes_a_generator_in_training_and_evaluation(name, is_training):
    preprocess = preprocessing_factory.get_preprocessing(name, is_training=is_training)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    result = preprocess(image, 32, 36, rng=np.random.default_rng(0))
    assert (result.shape, result.dtype) == ((32, 36, 3), np.float32)
    assert np.isfinite(result).all()


def test_factory_offers_the_nearest_name():
    with pytest.raises(
        ValueError,
        match=r"Preprocessing name \[cifar\] was not .*did you mean 'cifarnet'",
    ):
        preprocessing_factory.get_preprocessing("cifar")


@pytest.mark.parametrize("name", ["lenet", "cifarnet"])
def test_a_crop_that_leaves_little_is_said_once(name, caplog, monkeypatch):
    monkeypatch.setattr(images, "_CROPPED", {})
    preprocess = preprocessing_factory.get_preprocessing(name)
    preprocess(np.zeros((40, 32, 3), np.uint8), 28, 28)
    assert caplog.messages == []
    for _ in range(2):
        preprocess(np.zeros((375, 500, 3), np.uint8), 28, 28)
    assert caplog.messages == [
        f"the preprocessing of {name} crops images and does not resize them: 28 x 28 of 500 x 375 "
        "pixels are left, 0.4 %; make the images smaller before, or choose another preprocessing, "
        "such as inception"
    ]
