"""Data sets in buckets give what the same files give on this machine."""

import contextlib
import gzip
import io
import logging
import os
import pathlib
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.core.errors import DataError
from jslim.data.array_record import ArrayRecordFiles, ArrayRecordWriter
from jslim.data.convert import convert_dataset
from jslim.data.given_images import list_images, pixels_of_image, several_images
from jslim.data.labels import read_label_file, write_label_file
from jslim.data.tfrecord import TFRecordFile, TFRecordFiles, TFRecordWriter, get_data_files
from jslim.host import files


def put(local, url):
    """Uploads a folder."""
    for path in pathlib.Path(local).rglob("*"):
        if path.is_file():
            files.write_bytes(f"{url}/{path.relative_to(local)}", path.read_bytes())


@pytest.fixture
def photos(tmp_path):
    """Two splits of two classes, with names that are patterns."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cat [1]", "dog*"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (9, 8, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}?.png")
    (tmp_path / "photos" / "train" / "cat [1]" / ".hidden").touch()
    return tmp_path / "photos"


def same(local, remote):
    assert len(local) == len(remote)
    assert local.class_names == remote.class_names
    assert local.fingerprint == remote.fingerprint
    for index in range(len(local)):
        ours, theirs = local[index], remote[index]
        np.testing.assert_array_equal(ours["image"], theirs["image"])
        assert ours["label"] == theirs["label"]


def test_a_folder_of_images(photos, store):
    put(photos, store("photos"))
    for split in ("train", "test"):
        local = data.get_dataset("folder", split, photos)
        remote = data.get_dataset("folder", split, store("photos"))
        same(local, remote)
        assert remote.record_key(0) == store(f"photos/{split}/cat [1]/0?.png")
    with pytest.raises(DataError, match="split name tset was not recognized"):
        data.get_dataset("folder", "tset", store("photos"))
    with pytest.raises(DataError, match=f"directory '{store('none')}' does not exist"):
        data.get_dataset("folder", "train", store("none"))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_images(photos, store, kind, tmp_path):
    local = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(local, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(photos.rglob("*.png")):
                archive.write(path, path.relative_to(photos))
    else:
        with tarfile.open(local, "w") as archive:
            archive.add(photos, "photos")
    files.write_bytes(store(local.name), local.read_bytes())
    for split in ("train", "test"):
        same(
            data.get_dataset("folder", split, local),
            data.get_dataset("folder", split, store(local.name)),
        )
    with zipfile.ZipFile(store_content(store("b.zip")), "w") as archive:
        archive.writestr("a/x.png", b"not an image")
    files.write_bytes(store("b.zip"), store_content.held.getvalue())
    with pytest.raises(DataError, match=r"b\.zip/a/x\.png'"):
        data.get_dataset("folder", "train", store("b.zip"))[0]
    files.write_bytes(store("c.zip"), b"no archive")
    with pytest.raises(DataError, match="and no zip or tar archive"):
        data.get_dataset("folder", "train", store("c.zip"))


def store_content(url):
    store_content.held = io.BytesIO()
    return store_content.held


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_tfrecords_are_read_by_ranges(store, compression, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    random = np.random.default_rng(0)
    records = [random.bytes(size) for size in (0, 10, 700_000, 3_000_000, 5, 1_000_000)]
    with TFRecordWriter(store("a.tfrecord"), compression) as writer:
        for record in records:
            writer.write(record)
    file = TFRecordFile(store("a.tfrecord"))
    assert list(file) == records
    assert file.record_key(1) == "a.tfrecord:16"
    if compression is None:
        read = []
        with counting(monkeypatch, read):
            again = TFRecordFile(store("a.tfrecord"))
            assert read == []  # the index was kept
            assert again[4] == records[4]
            assert read == [5 + 4]
        for saved in (tmp_path / "jslim" / "tfrecord_index").iterdir():
            saved.unlink()
        with counting(monkeypatch, read := []):
            TFRecordFile(store("a.tfrecord"))
        assert sum(read) < 4_200_000  # of 4.7 MB: the middle of the large one is jumped over


@contextlib.contextmanager
def counting(monkeypatch, read):
    from jslim.host import stores

    real = stores.read

    def count(url, start=None, end=None):
        content = real(url, start, end)
        read.append(len(content))
        return content

    with monkeypatch.context() as patch:
        patch.setattr(stores, "read", count)
        yield


def test_a_changed_or_damaged_tfrecord_is_noticed(store, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with TFRecordWriter(store("a")) as writer:
        writer.write(b"first")
    opened = TFRecordFile(store("a"))
    with TFRecordWriter(store("a")) as writer:
        writer.write(b"other one")
    with pytest.raises(DataError, match=r"record 0 of .*, at byte 0, is damaged"):
        opened[0]
    assert list(TFRecordFile(store("a"))) == [b"other one"]
    content = bytearray(files.open_regular(store("a")).read())
    files.write_bytes(store("a"), bytes(content[:-3]))
    with pytest.raises(DataError, match="is cut short: it ends at byte 22 within record 0"):
        TFRecordFile(store("a"))
    with pytest.raises(DataError, match=r"'.*/none' cannot be read"):
        TFRecordFile(store("none"))


def test_patterns_of_files(store):
    for name in ("x [1]/a-00000-of-00002", "x [1]/a-00001-of-00002", "x [1]/b", "y/a-0"):
        with TFRecordWriter(store(name)) as writer:
            writer.write(name.encode())
    shards = [store(f"x [1]/a-{n:05d}-of-00002") for n in range(2)]
    assert get_data_files(store("x [1]/a-*")) == shards == get_data_files(store("x [1]/a@2"))
    assert get_data_files(store("*/a-0*-of-*")) == shards
    assert get_data_files(store("x [1]/b")) == [store("x [1]/b")]
    assert list(TFRecordFiles(store("x [1]/a-*"))) == [
        b"x [1]/a-00000-of-00002", b"x [1]/a-00001-of-00002",
    ]  # fmt: skip
    with pytest.raises(DataError, match="no file matches the pattern"):
        get_data_files(store("x [1]/c*"))


def test_array_records(store, caplog):
    records = [b"a", b"bc", b"d" * 1000]
    with ArrayRecordWriter(store("a.array_record")) as writer:
        for record in records:
            writer.write(record)
    with caplog.at_level(logging.INFO, "jslim"):
        held = ArrayRecordFiles(store("a.array_record"))
        assert [held[index] for index in (2, 0, 1)] == [records[2], records[0], records[1]]
    is_copied = f"{store('a.array_record')} is copied to this machine: " in caplog.text
    assert is_copied == store().startswith("s3")


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_converted_into_a_bucket_and_read_from_it(photos, store, file_format, tmp_path):
    options = {"name": "p", "num_shards": 2, "file_format": file_format}
    convert_dataset(photos, tmp_path / "out", **options)
    put(photos, store("photos"))
    paths = convert_dataset(store("photos"), store("out"), **options)
    assert paths == [
        store(f"out/p_{split}_0000{n}-of-00002.{file_format}")
        for split in ("test", "train")
        for n in range(2)
    ]
    for split in ("train", "test"):
        local = data.get_dataset("tfrecord", split, tmp_path / "out")
        remote = data.get_dataset("tfrecord", split, store("out"))
        same(local, remote)
    before = {path: files.open_regular(path).read() for path in paths}
    assert convert_dataset(store("photos"), store("out"), **options) == paths
    assert before == {path: files.open_regular(path).read() for path in paths}
    with pytest.raises(DataError, match="were made with other seed"):
        convert_dataset(store("photos"), store("out"), **options, seed=1)
    with pytest.raises(DataError, match="no file matches the pattern"):
        data.get_dataset("tfrecord", "val", store("out"))


def test_arrays(store, tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        "train_images": random.integers(0, 255, (5, 4, 4, 3), np.uint8),
        "train_labels": np.arange(5) % 3,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    files.write_bytes(store("a.npz"), (tmp_path / "a.npz").read_bytes())
    remote = data.get_dataset("npz", "train", store("a.npz"))
    same(data.get_dataset("npz", "train", tmp_path / "a.npz"), remote)
    images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28)) + bytes(1568)
    labels = b"\0\0\x08\x01" + (2).to_bytes(4, "big") + b"\1\2"
    files.write_bytes(store("mnist/t10k-images-idx3-ubyte"), images)
    files.write_bytes(store("mnist/t10k-labels-idx1-ubyte.gz"), gzip.compress(labels))
    found = data.get_dataset("mnist", "test", store("mnist"))
    assert [found.label(index) for index in range(2)] == [1, 2]


def test_labels(store):
    write_label_file({0: "cat", 1: "dog"}, store("names"))
    assert read_label_file(store("names/labels.txt")) == {0: "cat", 1: "dog"}
    with pytest.raises(DataError, match=r"'.*none\.txt' cannot be read \(No such file"):
        read_label_file(store("none.txt"))


def test_images_that_are_given(photos, store):
    put(photos, store("photos"))
    found = list_images([store("photos/test")])
    assert found == [
        store(f"photos/test/{name}/{n}?.png") for name in ("cat [1]", "dog*") for n in range(2)
    ]
    assert several_images(store("photos/test")) == found
    assert several_images(found[0]) == [found[0]]
    local = photos / os.path.relpath(found[0], store("photos"))
    np.testing.assert_array_equal(pixels_of_image(found[0], 3), pixels_of_image(local, 3))
    with pytest.raises(DataError, match=f"there is no image file or folder '{store('none')}'"):
        list_images([store("none")])
