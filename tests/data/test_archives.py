"""Images in zip and tar archives, read in place: the same records as of the folder."""

import os
import re
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.core.errors import DataError
from jslim.data import FolderDataset
from jslim.data.convert import convert_dataset
from jslim.data.trees import open_tree

FILES = {
    "train/ant/b.JPG": 20, "train/ant/a.jpeg": 30, "train/bee/1.png": 10,
    "test/ant/x.bmp": 40, "test/bee/y.webp": 50,
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for name, value in FILES.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(value, value + 100, (9, 8, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (path.parent / ".hidden.png").write_bytes(b"x")
    return tmp_path / "images"


def pack(root, kind, prefix=""):
    path = root.parent / f"packed.{kind.replace(':', '.')}"
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    if kind in ("zip", "stored"):
        method = zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in files:
                archive.write(file, f"{prefix}{file.relative_to(root)}")
        return path
    with tarfile.open(path, f"w{kind[3:]}") as archive:
        for file in files:
            archive.add(file, f"{prefix}{file.relative_to(root)}")
    return path


@pytest.mark.parametrize("prefix", ["", "./", "photos/", "a/b/"])
@pytest.mark.parametrize("kind", ["zip", "stored", "tar"])
def test_an_archive_is_the_folder(root, kind, prefix):
    path = pack(root, kind, prefix)
    for split in ("train", "test"):
        folder, packed = FolderDataset(root, split), data.get_dataset("folder", split, path)
        assert packed.name == folder.name
        assert packed.class_names == folder.class_names
        assert len(packed) == len(folder)
        for index in range(len(folder)):
            one, other = folder[index], packed[index]
            np.testing.assert_array_equal(one["image"], other["image"])
            assert one["label"] == other["label"]
            inside = os.path.relpath(one["record_key"], root)
            wanted = os.path.join(path, os.path.normpath(prefix + inside))
            assert other["record_key"] == packed.record_key(index) == wanted
            size = os.path.getsize(one["record_key"])
            assert packed.tree.size(packed.path(index)) == folder.tree.size(inside) == size


def test_macos_leaves_things_in_archives_that_are_passed_over(root):
    path = pack(root, "zip", "photos/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/photos/train/ant/._a.jpeg", b"x")
        archive.writestr("photos/empty/", b"")
        archive.writestr("photos/LICENSE.txt", b"text")
    assert len(FolderDataset(path, "train")) == 3
    tree = open_tree(path)
    assert tree.folders() == ["test", "train"]
    assert tree.files("") == ["LICENSE.txt"]


def test_an_archive_of_classes_is_one_split(root):
    path = pack(root / "train", "tar", "photos/")
    assert FolderDataset(path, "all").class_names == ["ant", "bee"]
    with pytest.raises(DataError, match=r"split name test was not recognized: .* has no splits"):
        FolderDataset(path, "test")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_read_in_threads(root, kind):
    dataset = FolderDataset(pack(root, kind), "train")
    wanted = [dataset[index]["image"] for index in range(3)]
    wrong = []

    def read():
        for step in range(60):
            if not np.array_equal(dataset[step % 3]["image"], wanted[step % 3]):
                wrong.append(step)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("kind", ["tar:gz", "tar:bz2", "tar:xz"])
def test_an_archive_that_is_compressed_as_a_whole_is_refused(root, kind):
    with pytest.raises(
        DataError, match=r"compressed as a whole or damaged .*unpack it, or pack it"
    ):
        FolderDataset(pack(root, kind), "train")


@pytest.mark.parametrize("kind", ["stored", "tar"])
def test_an_archive_that_is_damaged_names_the_file(root, kind):
    path = pack(root, kind)
    dataset = FolderDataset(path, "train")
    image = (root / "train" / "ant" / "a.jpeg").read_bytes()
    whole = path.read_bytes()
    place = whole.index(image)
    path.write_bytes(whole[:place] + bytes(len(image)) + whole[place + len(image) :])
    message = r"image '.*packed.*train/ant/a.jpeg' cannot be (read \(Bad CRC-32|decoded)"
    with pytest.raises(DataError, match=message):
        dataset[0]
    path.write_bytes(whole[: place + 10])
    with pytest.raises(DataError, match=r"a.jpeg' cannot be read .*damaged or has changed since"):
        dataset[0]
    if kind == "tar":
        path.unlink()
        with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\)"):
            dataset[0]


def test_records_made_of_an_archive_are_those_of_the_folder(root, tmp_path):
    packed = convert_dataset(pack(root, "zip", "photos/"), tmp_path / "a", name="x", num_shards=2)
    unpacked = convert_dataset(root, tmp_path / "b", name="x", num_shards=2)
    for one, other in zip(packed, unpacked, strict=True):
        with open(one, "rb") as first, open(other, "rb") as second:
            assert first.read() == second.read()
    (path, *_) = convert_dataset(pack(root, "tar"), tmp_path / "c")
    assert re.search(r"/packed_test_00000-of-00002.tfrecord$", path)
