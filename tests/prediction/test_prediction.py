"""`slim.load`: a checkpoint predicts by itself, as evaluation did."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jslim as slim
from jslim import data, tf_checkpoint
from jslim.cli import train
from jslim.core.errors import DataError, RestoreError
from jslim.preprocessing import lenet_preprocessing

FLAGS = ["train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
         "--batch_size=32", "--optimizer=momentum", "--save_summaries_secs=0"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """LeNet on the digits, with moving averages."""
    directory = tmp_path_factory.mktemp("trained")
    flags = [*FLAGS, f"--train_dir={directory}", "--max_number_of_steps=80"]
    assert train.main([*flags, "--moving_average_decay=0.9"]) == 0
    return directory


@pytest.fixture(scope="module")
def classifier(trained):
    return slim.load(trained)


@pytest.fixture(scope="module")
def examples():
    digits = data.get_dataset("digits", "test")
    return [digits[i] for i in range(50)]


@pytest.mark.long
def test_predicts_what_the_network_says(classifier, examples):
    images = [example["image"] for example in examples]
    found = classifier.predict(images, batch_size=16)
    inputs = np.stack([lenet_preprocessing.preprocess_image(i, 8, 8) for i in images])
    model = slim.Model(slim.nets.nets_factory.get_network_fn("lenet", 10))
    logits, _ = model.apply(classifier.variables, jnp.asarray(inputs))
    np.testing.assert_allclose(found.probabilities, jax.nn.softmax(logits), rtol=1e-5, atol=1e-7)
    assert found.class_names == [str(label) for label in np.argmax(logits, -1)]
    labels = [example["label"] for example in examples]
    assert np.mean(found.labels == labels) > 0.8
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    assert classifier.step == 80
    assert classifier.class_names == [str(i) for i in range(10)]
    assert classifier.contract["model_name"] == "lenet"


def test_batch_size_and_form_of_the_images_change_nothing(classifier, examples):
    images = np.stack([example["image"] for example in examples[:7]])
    whole = classifier.predict(images).probabilities
    for other in (
        classifier.predict(list(images), batch_size=3),
        classifier.predict([image[..., 0] for image in images]),
        classifier.predict(iter(images), batch_size=1),
    ):  # fmt: skip
        np.testing.assert_allclose(other.probabilities, whole, rtol=1e-5, atol=1e-7)
    one = classifier.predict(images[3])
    np.testing.assert_allclose(one.probabilities, whole[3:4], rtol=1e-5, atol=1e-7)


def test_files_are_read_and_colour_becomes_grey(classifier, examples, tmp_path):
    image = examples[0]["image"]
    Image.fromarray(image[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(image, 3, 2)).save(tmp_path / "colour.png")
    paths = [tmp_path / "grey.png", str(tmp_path / "colour.png")]
    found = classifier.predict(paths).probabilities
    wanted = classifier.predict(image).probabilities
    np.testing.assert_allclose(found, np.repeat(wanted, 2, 0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        classifier.predict(paths[0]).probabilities, wanted, rtol=1e-5, atol=1e-7
    )


@pytest.mark.long
def test_top_is_sorted(classifier, examples):
    found = classifier.predict([example["image"] for example in examples[:3]])
    for row, best in zip(found.probabilities, found.top(3), strict=True):
        assert [p for _, p in best] == sorted(row.tolist(), reverse=True)[:3]
        assert best[0][0] == found.all_class_names[int(row.argmax())]


def test_moving_averages_are_taken_and_on_request_the_variables_themselves(trained, caplog):
    caplog.set_level(logging.INFO, logger="jslim")
    for options, use_ema, which in (
        ({}, True, "the moving averages of its variables are used"),
        ({"use_moving_averages": False}, False, "its variables are used as training left them, and "
         "not their moving averages"),
    ):  # fmt: skip
        caplog.clear()
        found = slim.load(trained, **options)
        held = slim.checkpoints.restore_variables(trained, use_ema=use_ema)
        jax.tree.map(np.testing.assert_array_equal, found.variables["params"], held["params"])
        assert found.are_averages == use_ema
        assert caplog.messages == [f"checkpoint {trained}/80: {which}"]


def test_checkpoint_of_tensorflow_needs_the_name_of_its_network(trained, examples, tmp_path):
    arrays = {
        name: value
        for name, value in slim.checkpoints.load_variables(trained).items()
        if name.startswith("LeNet/")
    }
    averages = {f"{name}/ExponentialMovingAverage": value * 0 for name, value in arrays.items()}
    prefix = tf_checkpoint.save_checkpoint(
        tmp_path / "lenet.ckpt-80", {**arrays, **averages, "global_step": np.int64(80)}
    )
    names = [f"digit {i}" for i in range(10)]
    found = slim.load(prefix, model_name="lenet", class_names=names, image_size=8)
    image = examples[1]["image"]
    wanted = slim.load(trained, use_moving_averages=False).predict(image)
    np.testing.assert_allclose(
        found.predict(image).probabilities, wanted.probabilities, rtol=1e-5, atol=1e-7
    )
    assert found.predict(image).class_names == [f"digit {wanted.class_names[0]}"]
    assert found.step == 80
    averaged = slim.load(prefix, model_name="lenet", image_size=8, use_moving_averages=True)
    np.testing.assert_allclose(averaged.predict(image).probabilities, 0.1, rtol=1e-5)
    with pytest.raises(ValueError) as error:
        slim.load(prefix)
    assert str(error.value) == (
        f"load: checkpoint {prefix} does not say which network it is of; give model_name, one of "
        "slim.nets.list_networks()"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"model_name": "cifarnet"}, ValueError, "load: model_name is 'cifarnet', but checkpoint "
         "{}/80 was made with 'lenet'; leave it out"),
        ({"class_name": []}, TypeError, "load: there is no argument 'class_name'; did you mean "
         "'class_names'"),
        ({"image_size": 9}, ValueError, "load: image_size is 9, but checkpoint {}/80 was made with "
         "8; leave it out"),
    ],
)  # fmt: skip
def test_arguments_must_not_contradict_the_checkpoint(trained, arguments, error, text):
    with pytest.raises(error) as raised:
        slim.load(trained, **arguments)
    assert str(raised.value).startswith(text.replace("{}", str(trained)))


def test_wrong_network_and_names_for_a_tensorflow_checkpoint(tmp_path):
    arrays = {"LeNet/fc4/biases": np.zeros(10, np.float32)}
    path = tf_checkpoint.save_checkpoint(tmp_path / "m", arrays)
    with pytest.raises(RestoreError) as error:
        slim.load(path, model_name="vgg_16")
    assert str(error.value) == (
        f"checkpoint {path} has no head vgg_16/fc8 that says how many classes there are; is it of "
        "another network?"
    )
    with pytest.raises(ValueError) as error:
        slim.load(path, model_name="lenet", class_names=["a"])
    assert str(error.value).startswith(
        f"load: 1 class_names were given, but checkpoint {path} has 10 classes; ImageNet's"
    )
    with pytest.raises(RestoreError, match="7 missing"):
        slim.load(path, model_name="lenet")
    with pytest.raises(RestoreError, match="has no moving averages; it was trained without"):
        slim.load(path, model_name="lenet", use_moving_averages=True)


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        ([], ValueError, "predict: there are no images"),
        ([np.zeros((8, 8, 2))], ValueError, "predict: images must be [height, width, 1] or paths "
         "of image files, got shape (8, 8, 2)"),
        ("no/such.jpg", DataError, "image 'no/such.jpg' cannot be read (No such file or "),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_said(classifier, images, error, text):
    with pytest.raises(error) as raised:
        classifier.predict(images)
    assert str(raised.value).startswith(text)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        classifier.predict(images, batch_size=0)


def test_forms_in_which_images_are_given(classifier, examples, tmp_path):
    pixels = examples[0]["image"][..., 0]
    for name in ("b/2.png", "a/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(pixels).save(tmp_path / name)
    wanted = classifier.predict(pixels).probabilities
    given = [
        tmp_path / "a" / "1.png", Image.fromarray(pixels), Image.open(tmp_path / "b" / "2.png"),
        pixels.astype(np.float32), jnp.asarray(pixels, jnp.bfloat16), pixels.tolist(),
    ]  # fmt: skip
    for form in given[:-1]:
        np.testing.assert_allclose(classifier.predict(form).probabilities, wanted, rtol=1e-5)
    for several in (str(tmp_path), given[:2], iter([given[-1], given[0]])):
        found = classifier.predict(several).probabilities
        np.testing.assert_allclose(found, np.repeat(wanted, 2, 0), rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.linspace(0, 1, 64).reshape(8, 8), "from 0 to 255, got 0 to 1; multiply them by 255"),
        (np.full((8, 8), np.nan), "images have values that are NaN or infinite"),
        (np.full((8, 8), "a"), "must be a path, a Pillow image or an array of numbers, got ndarr"),
        (np.ones((1, 28, 28)), "the channels seem to come first"),
        (np.ones((2, 1, 28, 28)), "the channels seem to come first"),
        (np.ones((0, 8, 1)), r"got shape \(0, 8, 1\)"),
        ([[[1], [1, 2]]], "must be a path, a Pillow image or an array of numbers, got list"),
        (b"bytes", "images must be a path, a folder, a Pillow image, an array, or several of them"),
        (7, "or several of them, got int"),
    ],
)
def test_arrays_that_are_no_images_are_refused(classifier, image, message):
    with pytest.raises(ValueError, match=f"predict: .*{message}"):
        classifier.predict(image)


def test_files_that_are_no_images_are_refused(classifier, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((8, 8)))
    with pytest.raises(DataError, match=r"x.npy' is an archive or a NumPy file, not an image; "):
        classifier.predict(tmp_path / "x.npy")
    with pytest.raises(DataError, match=r"has no image \(.bmp, .* below it"):
        classifier.predict(tmp_path)
    with pytest.raises(DataError, match=r"cannot be read \(it is a folder, not a file\)"):
        classifier.predict([tmp_path])
    Image.new("L", (8, 8)).save(tmp_path / "x.tiff")
    with Image.open(tmp_path / "x.tiff") as image:
        with pytest.raises(ValueError, match="in the format TIFF is not read from its file here"):
            classifier.predict(image)
        assert classifier.predict(image.copy()).labels.shape == (1,)


def test_images_that_cannot_be_read_leave_the_others(classifier, examples):
    images = [examples[0]["image"], "nowhere.png", examples[1]["image"]]
    errors = {}
    (found,) = classifier.predict_batches(images, errors=errors)
    assert list(errors) == [1]
    assert "nowhere.png' cannot be read (No such file" in errors[1]
    assert (found.class_names[1], found.labels[1]) == ("", -1)
    assert np.isnan(found.probabilities[1]).all()
    wanted = classifier.predict([images[0], images[2]])
    np.testing.assert_array_equal(found.labels[[0, 2]], wanted.labels)
