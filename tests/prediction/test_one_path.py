"""One image gives a network the same pixels, whichever way it comes."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jslim import data, export, prediction
from jslim.data.decode import decode_image
from jslim.data.given_images import pixels_of_image
from jslim.data.tf_example import make_example
from jslim.nets import nets_factory
from jslim.preprocessing import preprocessing_factory
from jslim.preprocessing.on_device import get_device_preprocessing

SIZE = 24


def encoded(mode, size, suffix, **options):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 7, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
    image = Image.fromarray(
        coarse[..., 0] if mode == "L" else coarse, mode if mode != "L" else None
    )
    file = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(file, suffix, **options)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("RGB", (50, 31), "JPEG", exif=exif)


FILES = {
    "odd.jpg": encoded("RGB", (67, 41), "JPEG", quality=90),
    "small.jpg": encoded("RGB", (19, 23), "JPEG"),
    "grey.jpg": encoded("L", (45, 37), "JPEG"),
    "print.jpg": encoded("CMYK", (33, 40), "JPEG"),
    "clear.png": encoded("RGBA", (40, 29), "PNG"),
    "turned.jpg": turned(),
}


@pytest.fixture(scope="module", params=["cifarnet", "inception", "lenet", "vgg"])
def classifier(request):
    """LeNet with random weights, for images in colours that are preprocessed in that way."""
    contract = {
        "model_name": "lenet", "num_classes": 3, "class_names": ["a", "b", "c"],
        "image_size": SIZE, "num_channels": 3, "preprocessing_name": request.param,
    }  # fmt: skip
    model = prediction.Model(nets_factory.get_network_fn("lenet", 3))
    variables = model.init(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))
    return prediction.Classifier("memory", contract, variables, None)


def datasets(tmp_path):
    """The files as a folder of images, in a TFRecord file and as arrays."""
    for name, content in FILES.items():
        path = tmp_path / "folder" / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "labels.txt").write_text("0:a\n")
    with data.TFRecordWriter(tmp_path / "records" / "train.tfrecord") as writer:
        for content in sorted_contents():
            writer.write(make_example({"image/encoded": content, "image/class/label": 0}))
    yield data.get_dataset("folder", "train", tmp_path / "folder")
    yield data.get_dataset("tfrecord", "train", tmp_path / "records")


def sorted_contents():
    return [FILES[name] for name in sorted(FILES)]


@pytest.mark.long
def test_every_way_to_a_network_gives_the_same_pixels(classifier, tmp_path):
    name = classifier.contract["preprocessing_name"]
    normalize = get_device_preprocessing(name)
    crop_and_resize = preprocessing_factory.get_host_preprocessing(name)
    wanted = [classifier.preprocess(content) for content in sorted_contents()]
    assert all(image.shape == (SIZE, SIZE, 3) for image in wanted)

    def preprocess(image, rng):
        return crop_and_resize(image, SIZE, SIZE, rng=rng)

    for dataset in datasets(tmp_path):
        for is_decoded in (False, True):
            with data.batches(
                dataset, 1, is_training=False, preprocessing_fn=preprocess, num_threads=0,
                decode_images=is_decoded,
            ) as batches:  # fmt: skip
                found = [np.asarray(normalize(batch["image"]))[0] for batch in batches]
            np.testing.assert_array_equal(found, wanted)
    whole = preprocessing_factory.get_preprocessing(name)
    for file, expected in zip(sorted(FILES), wanted, strict=True):
        path = tmp_path / "folder" / "a" / file
        pixels = decode_image(FILES[file], file)
        with Image.open(path) as of_pillow:
            for given in (path, str(path), pixels, pixels.astype(np.float32), of_pillow):
                np.testing.assert_array_equal(classifier.preprocess(given), expected)
        # On the host in NumPy, which adds and multiplies in another order.
        np.testing.assert_allclose(whole(pixels, SIZE, SIZE), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.long
def test_an_exported_model_takes_the_same_pixels_rounded(classifier, tmp_path):
    path = export.export_inference_graph(classifier, tmp_path / "x.zip", platforms=["cpu"])
    exported = export.load_inference_graph(path)
    crop_and_resize = preprocessing_factory.get_host_preprocessing(
        classifier.contract["preprocessing_name"]
    )
    rounded = []
    for content in sorted_contents():
        exact = crop_and_resize(decode_image(content, "x"), SIZE, SIZE)
        found = exported.preprocess(content)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, np.rint(exact))
        rounded.append(found)
    wanted = jax.jit(classifier.logits)(classifier.variables, np.stack(rounded))
    # With a free batch size its convolutions are XLA's, whose sums have another order.
    logits = exported.logits(np.stack(rounded))
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=5e-6 * np.abs(wanted).max())
    probabilities = exported.predict(np.stack(rounded)).probabilities
    np.testing.assert_array_equal(exported.predict(sorted_contents()).probabilities, probabilities)
    np.testing.assert_allclose(
        exported.predict(FILES["odd.jpg"]).probabilities,
        classifier.predict([FILES["odd.jpg"]]).probabilities,
        atol=0.01,
    )


@pytest.mark.parametrize("name", ["odd.jpg", "grey.jpg", "print.jpg", "clear.png"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_files_are_decoded_as_in_a_data_set_of_as_many_channels(tmp_path, name, channels):
    wanted = decode_image(FILES[name], name, channels)
    (tmp_path / name).write_bytes(FILES[name])
    for given in (tmp_path / name, FILES[name]):
        np.testing.assert_array_equal(pixels_of_image(given, channels), wanted)


def test_an_array_in_colours_becomes_grey_as_its_file_does():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    wanted = pixels_of_image(file.getvalue(), 1)
    for dtype in (np.uint8, np.int32, np.float32):
        np.testing.assert_array_equal(pixels_of_image(pixels.astype(dtype), 1), wanted)
    brighter = pixels_of_image(np.full((1, 1, 3), 300.0), 1)
    np.testing.assert_array_equal(brighter, np.full((1, 1, 1), 255, np.uint8), strict=True)


def test_bytes_that_are_no_image_are_refused(classifier):
    with pytest.raises(data.decode.DataError, match="image '<bytes>' cannot be decoded"):
        classifier.preprocess(b"404: not found")
