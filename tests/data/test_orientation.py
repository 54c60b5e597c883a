"""EXIF orientation against Pillow's exif_transpose, and the warning where it is ignored."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from jslim import data
from jslim.data import EncodedImage, FolderDataset, batches, decode_image
from jslim.data.convert import convert_dataset
from jslim.data.given_images import pixels_of_image
from jslim.data.orientation import orientation_of, upright
from jslim.data.tfexample_decoder import Image as ImageHandler
from jslim.preprocessing import preprocessing_factory

ORIENTATIONS = range(1, 9)


def photo(size=(50, 31), mode="RGB"):
    """An image without any symmetry, in colours that a JPEG keeps well."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(orientation, kind="JPEG", image=None, endian="<", **options):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a camera"  # another tag, before it
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    (photo() if image is None else image).save(file, kind, exif=exif, **options)
    return file.getvalue()


def by_pillow(content, mode="RGB"):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert(mode))


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pixels_are_those_of_pillow(orientation, endian):
    kinds = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {"quality": 80})]
    for kind, options in kinds:
        content = encoded(orientation, kind, endian=endian, **options)
        assert orientation_of(content) == orientation
        found = decode_image(content, "x", apply_exif_orientation=True)
        np.testing.assert_array_equal(found, by_pillow(content))
        assert found.shape == ((31, 50, 3) if orientation < 5 else (50, 31, 3))
        assert found.flags.c_contiguous
        plain = decode_image(content, "x")
        assert plain.shape == (31, 50, 3)
        assert np.array_equal(plain, found) == (orientation == 1)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("L", 3), ("CMYK", 3)])
def test_grey_and_printed_photographs_are_turned_too(orientation, mode, channels):
    content = encoded(orientation, image=photo(mode=mode))
    found = decode_image(content, "x", channels, apply_exif_orientation=True)
    expected = by_pillow(content, "L" if channels == 1 else "RGB").reshape(found.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_encoded_image_has_the_shape_and_the_sizes_of_the_upright_one(orientation):
    content = encoded(orientation, image=photo((200, 120)))
    image = EncodedImage(content, "x", apply_exif_orientation=True)
    assert image.orientation == orientation
    assert image.shape == by_pillow(content).shape
    np.testing.assert_array_equal(image, by_pillow(content))
    lying = EncodedImage(content, "x")
    for height, width in ((60, 50), (50, 60), (25, 15), (120, 200), (121, 30)):
        asked = (height, width) if orientation < 5 else (width, height)
        found = image.at_least(height, width)
        np.testing.assert_array_equal(found, upright(lying.at_least(*asked), orientation))
    smaller = image.at_least(25, 25)
    assert min(smaller.shape[:2]) == 30
    assert smaller.shape == ((30, 50, 3) if orientation < 5 else (50, 30, 3))


def with_tag(kind, value, count=1):
    """A JPEG whose EXIF data has that one tag, written by hand."""
    tiff = struct.pack("<4sLHHHL4sL", b"II*\0", 8, 1, 0x0112, kind, count, value, 0)
    segment = b"Exif\0\0" + tiff
    plain = encoded(None)
    start = plain.index(b"\xff\xe1")
    (size,) = struct.unpack(">H", plain[start + 2 : start + 4])
    rest = plain[start + 2 + size :]
    return plain[:start] + struct.pack(">HH", 0xFFE1, len(segment) + 2) + segment + rest


def test_what_is_no_orientation_counts_as_none():
    assert orientation_of(with_tag(3, b"\6\0\0\0")) == 6
    assert orientation_of(with_tag(4, b"\6\0\0\0")) == 6
    assert orientation_of(with_tag(1, b"\6\0\0\0")) == 6
    for kind, value in ((3, b"\0\0\0\0"), (3, b"\x09\0\0\0"), (2, b"\6\0\0\0"), (99, b"\6\0\0\0")):
        content = with_tag(kind, value)
        assert orientation_of(content) == 1
        found = decode_image(content, "x", apply_exif_orientation=True)
        np.testing.assert_array_equal(found, decode_image(content, "x"))
    for content in (b"", b"GIF89a", encoded(None), encoded(None, "PNG"), encoded(None, "WEBP")):
        assert orientation_of(content) == 1


def test_other_segments_and_filling_bytes_are_passed_over():
    content = encoded(8, comment=b"a comment \xff\xe1 with a marker", icc_profile=b"x" * 3000)
    assert orientation_of(content) == 8
    at = content.index(b"\xff\xe1")
    assert orientation_of(content[:at] + b"\xff\xff" + content[at:]) == 8
    # What comes after the pixels is none of the image's.
    assert orientation_of(encoded(None) + content) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_data_has_an_orientation_and_no_error(kind):
    content = encoded(6, kind)
    assert {orientation_of(content[:size]) for size in range(len(content))} == {1, 6}
    rng = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(content), 200), 4):
            damaged[at] = rng.integers(256)
        assert orientation_of(bytes(damaged)) in ORIENTATIONS


def test_pixels_are_checked_by_hand():
    rows = np.array([[[1], [2], [3]], [[4], [5], [6]]])
    turned = {o: upright(rows, o)[..., 0].tolist() for o in ORIENTATIONS}
    assert turned == {
        1: [[1, 2, 3], [4, 5, 6]],
        2: [[3, 2, 1], [6, 5, 4]],
        3: [[6, 5, 4], [3, 2, 1]],
        4: [[4, 5, 6], [1, 2, 3]],
        5: [[1, 4], [2, 5], [3, 6]],
        6: [[4, 1], [5, 2], [6, 3]],
        7: [[6, 3], [5, 2], [4, 1]],
        8: [[3, 6], [2, 5], [1, 4]],
    }


@pytest.fixture
def folder(tmp_path):
    """Nine photographs of two classes: four are upright, one without EXIF data."""
    root = tmp_path / "photos"
    for number, orientation in enumerate((1, 6, 1, None, 1, 8, 3, 2, 5)):
        kind = ("jpg", "webp", "png")[number % 3]
        path = root / ("ant", "bee")[number % 2] / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(orientation, {"jpg": "JPEG"}.get(kind, kind.upper())))
    return root


def test_data_sets_turn_their_images(folder, tmp_path):
    convert_dataset(folder, tmp_path / "records", num_shards=1)
    plain = FolderDataset(folder, "train")
    of_folder = data.get_dataset("folder", "train", folder, apply_exif_orientation=True)
    of_records = data.get_dataset(
        "tfrecord", "train", tmp_path / "records", apply_exif_orientation=True
    )
    expected = [by_pillow((folder / plain.path(i)).read_bytes()) for i in range(9)]
    sideways = sum(image.shape != (31, 50, 3) for image in expected)
    assert sideways == 3
    assert of_folder.fingerprint == plain.fingerprint
    for index, image in enumerate(expected):
        for example in (of_folder[index], of_folder.undecoded(index)):
            np.testing.assert_array_equal(example["image"], image)
        assert plain[index]["image"].shape == (31, 50, 3)
    # Records come in another order. WebP files were written again, as PNGs.
    found = {example.tobytes() for example in (of_records[i]["image"] for i in range(9))}
    assert found == {image.tobytes() for image in expected}
    assert all(
        np.array_equal(of_records.undecoded(i)["image"], of_records[i]["image"]) for i in range(9)
    )


@pytest.mark.parametrize("name", ["digits", "npz", "tfds", "mnist", "cifar10"])
def test_data_sets_without_photographs_refuse(name, tmp_path):
    with pytest.raises(ValueError) as error:
        data.get_dataset(name, "train", tmp_path, apply_exif_orientation=True)
    assert str(error.value) == (
        "apply_exif_orientation is of photographs in files, as in 'folder', 'flowers', 'imagenet', "
        f"'tfrecord', 'visualwakewords'; {name!r} has none: leave it out"
    )


def test_the_handler_of_images_turns_them():
    features = {"image/encoded": [encoded(6)], "image/format": [b"jpeg"]}
    for options in ({"decode": True}, {"decode": False}):
        handler = ImageHandler(apply_exif_orientation=True, **options)
        np.testing.assert_array_equal(
            handler.tensors_to_item(features), by_pillow(features["image/encoded"][0])
        )
    assert ImageHandler().tensors_to_item(features).shape == (31, 50, 3)


@pytest.mark.parametrize("decode_images", [False, True])
@pytest.mark.parametrize("num_threads", [0, 2])
def test_one_line_warns_where_orientations_are_ignored(folder, decode_images, num_threads, caplog):
    crop = preprocessing_factory.get_host_preprocessing("vgg")

    def run(dataset):
        with batches(
            dataset, 2, is_training=False, preprocessing_fn=lambda image: crop(image, 24, 24),
            decode_images=decode_images, num_threads=num_threads,
        ) as iterator:  # fmt: skip
            for _ in range(2):
                assert len(list(iterator)) == 5
                iterator.rewind()

    run(data.get_dataset("folder", "train", folder, apply_exif_orientation=True))
    assert caplog.messages == []
    run(FolderDataset(folder, "train"))
    # Class ant is 0 (1), 2 (1), 4 (1), 6 (3), 8 (5).
    assert caplog.messages == [
        "folder/train: 1 of the first 4 images carry an EXIF orientation that is not applied, nor "
        "is it by TensorFlow: networks see them lying or upside down, such as "
        f"{folder / 'ant' / '6.jpg'}; give apply_exif_orientation when training starts to have "
        "them turned upright"
    ]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_given_images_are_turned_in_any_form(orientation, tmp_path):
    content = encoded(orientation)
    (tmp_path / "x.jpg").write_bytes(content)
    forms = [content, tmp_path / "x.jpg", str(tmp_path / "x.jpg")]
    for given in [*forms, Image.open(io.BytesIO(content))]:
        found = pixels_of_image(given, 3, apply_exif_orientation=True)
        np.testing.assert_array_equal(found, by_pillow(content))
        unapplied = []
        assert pixels_of_image(given, 3, unapplied=unapplied).shape == (31, 50, 3)
        assert len(unapplied) == (orientation != 1)
    # A user who has turned it gets it as it is.
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(
        pixels_of_image(turned, 3, apply_exif_orientation=True), by_pillow(content)
    )
