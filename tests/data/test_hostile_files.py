"""Malicious archives, records and arrays: bombs, depth, links, headers of impossible sizes."""

import bz2
import contextlib
import gzip
import io
import os
import resource
import struct
import tarfile
import tempfile
import time
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.core.errors import DataError
from jslim.data import FolderDataset
from jslim.data.array_files import read_idx
from jslim.data.tfrecord import TFRecordFile, TFRecordWriter
from jslim.data.trees import open_tree


@contextlib.contextmanager
def within_a_second():
    """Fails if the body takes longer, or raises the peak of memory by 200 MB."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert time.monotonic() - start < 1.5  # one on an idle machine
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def image_bytes(kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(file, kind)
    return file.getvalue()


def zeros_deflated(size):
    compressor = zlib.compressobj(9, wbits=-15)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, compressor.flush()])


def zip_of(name, packed, declared, method=zipfile.ZIP_DEFLATED):
    """A zip of one packed member, whose header says that it has `declared` bytes."""
    sizes = struct.pack("<III", 0, len(packed), declared)
    head = struct.pack("<HHHHH", 20, 0, method, 0, 33) + sizes
    names = struct.pack("<HH", len(name), 0)
    local = b"PK\3\4" + head + names + name + packed
    central = b"PK\1\2" + struct.pack("<H", 20) + head + names + bytes(14) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\5\6" + end


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (2 << 30, "it has 2147483648 bytes, more than the limit of 134217728; JSLIM_MAX_IMAGE_B"),
        (100 << 20, "unpack to 104857600 or more, by the ratio, more than the limit of 100; JSL"),
        (100, "Bad CRC-32"),
    ],
)
def test_a_member_of_a_zip_that_unpacks_to_too_much(declared, reason, tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(b"a/b.png", zeros_deflated(8 << 20), declared))
    dataset = FolderDataset(path, "train")
    with within_a_second(), pytest.raises(DataError, match=reason):
        dataset[0]


def test_a_member_of_a_zip_in_another_compression(tmp_path):
    packed = bz2.compress(b"x")
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(b"a/b.png", packed, 100, zipfile.ZIP_BZIP2))
    dataset = FolderDataset(path, "train")
    with within_a_second(), pytest.raises(DataError, match="it is compressed by bzip2; pack the a"):
        dataset[0]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_with_too_many_folders_in_one_another(kind, tmp_path):
    name, path = "a/" * 30_000 + "b.png", tmp_path / "x"
    if kind == "zip":
        path.write_bytes(zip_of(name.encode(), b"", 0))
    else:
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo(name))
    with within_a_second(), pytest.raises(DataError, match="has a file 30000 folders deep, and 10"):
        open_tree(path)


def test_a_tar_that_says_impossible_sizes(tmp_path):
    path = tmp_path / "x.tar"
    for size in (10 << 30, 100 << 20, (1 << 62)):
        info = tarfile.TarInfo("a/b.png")
        info.size = size
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        with within_a_second(), pytest.raises(DataError, match=r"cannot be re|has no class fold"):
            FolderDataset(path, "train")[0]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_links_in_an_archive_are_followed(kind, tmp_path):
    path = tmp_path / "x"
    links = {"a/link.png": "../b/1.png", "a/lost.png": "nowhere.png", "a/loop.png": "loop.png"}
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("b/1.png", image_bytes())
            for name, target in links.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o120777 << 16
                archive.writestr(info, target)
    else:
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("b/1.png")
            info.size = len(image_bytes())
            archive.addfile(info, io.BytesIO(image_bytes()))
            for name, target in {**links, "a/hard.png": "b/1.png"}.items():
                info = tarfile.TarInfo(name)
                info.type = tarfile.LNKTYPE if "hard" in name else tarfile.SYMTYPE
                info.linkname = target
                archive.addfile(info)
    dataset = FolderDataset(path, "train")
    found = {}
    for index in range(len(dataset)):
        with contextlib.suppress(DataError):
            found[dataset.path(index)] = dataset[index]["image"].shape
    good = {"a/link.png", "b/1.png"} | ({"a/hard.png"} if kind == "tar" else set())
    assert found == dict.fromkeys(good, (4, 5, 3))
    assert len(dataset) == len(good) + 2


def test_what_is_no_archive_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.zip")
    with within_a_second(), pytest.raises(DataError, match="it is a named pipe, not a file"):
        open_tree(tmp_path / "x.zip")
    for content in (b"PK\5\6" + bytes(18), image_bytes() + b"PK\5\6" + b"\xff" * 18):
        (tmp_path / "y").write_bytes(content)
        with pytest.raises(DataError, match="y'"):
            FolderDataset(tmp_path / "y", "train")


@pytest.mark.parametrize("wbits", [31, 15])
def test_records_that_unpack_to_too_much(wbits, tmp_path, monkeypatch):
    """A single record of 4 GB of zeros, in 4 MB; the part that was unpacked is removed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with TFRecordWriter(tmp_path / "x") as writer:
        writer.write(bytes(8))
    head = (tmp_path / "x").read_bytes()[:12]
    compressor = zlib.compressobj(9, wbits=wbits)
    packed = compressor.compress(head) + compressor.compress(bytes(1 << 20))
    block = compressor.compress(bytes(8 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "x").write_bytes(packed + block * 512)
    with (
        within_a_second(),
        pytest.raises(
            DataError,
            match=r"x' cannot be decompressed \(.* by the ratio, more than the limit of 100",
        ),
    ):
        TFRecordFile(tmp_path / "x")
    assert os.listdir(tmp_path / "tmp") == []


def test_what_is_unpacked_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with TFRecordWriter(tmp_path / "x", "GZIP") as writer:
        writer.write(b"one")
    file = TFRecordFile(tmp_path / "x")
    assert os.listdir(tmp_path / "tmp") == []
    assert file[0] == b"one"


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_streams_that_were_joined_are_all_read(compression, tmp_path):
    parts = []
    for record in (b"one", b"two" * 1000, b"three"):
        with TFRecordWriter(tmp_path / "x", compression) as writer:
            writer.write(record)
        parts.append((tmp_path / "x").read_bytes())
    (tmp_path / "x").write_bytes(b"".join(parts))
    assert [*TFRecordFile(tmp_path / "x")] == [b"one", b"two" * 1000, b"three"]
    (tmp_path / "x").write_bytes(b"".join(parts)[:-1])
    with pytest.raises(DataError, match="cannot be decompressed"):
        TFRecordFile(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"".join(parts) + b"something else")
    with pytest.raises(DataError, match="cannot be decompressed"):
        TFRecordFile(tmp_path / "x")
    if compression == "GZIP":
        (tmp_path / "x").write_bytes(b"".join(parts) + bytes(600))
        assert len(TFRecordFile(tmp_path / "x")) == 3


def test_records_that_are_no_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x")
    for path, kind in ((tmp_path / "x", "named pipe"), ("/dev/zero", "device"), ("/", "folder")):
        with within_a_second(), pytest.raises(DataError, match=rf"it is a {kind}, not a file"):
            TFRecordFile(path)


def npy(shape, dtype="|u1", content=b""):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + content


def write_npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


IMAGES = npy("(1, 4, 4, 3)", content=bytes(48))
LABELS = npy("(1,)", "<i8", bytes(8))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"x_train": npy("(4611686018427387904,)")}, "cannot be read as a NumPy"),
        ({"x_train": npy("(4294967296, 4294967296, 4)")}, "cannot be read as a NumPy"),
        ({"x_train": npy("(34359738368,)", content=bytes(100))}, "cannot be read as a NumPy"),
        ({"x_train": npy("(-1, 4, 4, 3)")}, "cannot be read as a NumPy"),
        ({"x_train": npy("(1, 4, 4, 3)", "|O")}, "cannot be read as a NumPy"),
        ({"x_train": npy("(" * 1000)}, "cannot be read as a NumPy"),
        ({"x_train": npy("(1, 4, 4, 3)", "|V0")}, r"must be integers or floats, got \|V0"),
        ({"x_train": b"not an array"}, "x_train is no array"),
        ({"y_train": npy("(1,)", "<i8", struct.pack("<q", 1 << 40))}, "1099511627777 classes, mor"),
        ({"y_train": npy("(1,)", "<f8", bytes(8))}, "must be integers of shape"),
        ({"y_train": npy("(1,)", "<U1", b"a\0\0\0")}, "must be integers of shape"),
        ({"class_names": npy("()", "<U1", b"a\0\0\0")}, "class_names must be a row of texts, got"),
        ({"class_names": npy("(2,)", "<i8", bytes(16))}, "class_names must be a row of texts, got"),
        ({"class_names": npy("(1,)", "<U1", b"\xff" * 4)}, "cannot be read as a NumPy"),
    ],
)
def test_numpy_files_of_impossible_arrays(members, message, tmp_path):
    write_npz(tmp_path / "x.npz", **{"x_train": IMAGES, "y_train": LABELS, **members})
    with within_a_second(), pytest.raises(DataError, match=rf"x.npz'.*{message}"):
        data.get_dataset("npz", "train", tmp_path / "x.npz")


def test_a_numpy_file_that_unpacks_to_too_much(tmp_path):
    head = npy("(2048, 1024, 1024, 1)")
    compressor = zlib.compressobj(9, wbits=-15)
    packed = compressor.compress(head) + zeros_deflated(8 << 20)
    (tmp_path / "x.npz").write_bytes(zip_of(b"x_train.npy", packed, (2 << 30) + len(head)))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("y_train.npy", LABELS)
    with within_a_second(), pytest.raises(DataError, match="by the ratio, more than the limit of"):
        data.get_dataset("npz", "train", tmp_path / "x.npz")


def test_idx_files_of_impossible_arrays(tmp_path):
    head = b"\0\0\x08\3" + b"\xff" * 12
    (tmp_path / "x").write_bytes(head)
    with pytest.raises(DataError, match=r"shape \(4294967295, 4294967295, 4294967295\), and has 0"):
        read_idx(tmp_path / "x", 3)
    (tmp_path / "x").write_bytes(gzip.compress(head + bytes(40 << 20)))
    with within_a_second(), pytest.raises(DataError, match="by the ratio, more than the limit of"):
        read_idx(tmp_path / "x", 3)
    with open(tmp_path / "x", "wb") as file:
        file.write(head)
        file.truncate(10 << 30)
    with within_a_second(), pytest.raises(DataError, match="by the ratio, more than the limit of"):
        read_idx(tmp_path / "x", 3)


def test_more_classes_than_the_limit(tmp_path, monkeypatch):
    images, labels = np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, int)
    with pytest.raises(ValueError, match=r"'arrays' has 10000000000 classes, more than the limit"):
        data.ArrayDataset(images, labels, 10**10)
    monkeypatch.setenv("JSLIM_MAX_CLASSES", "2")
    assert data.ArrayDataset(images, labels, 2).num_classes == 2
    with pytest.raises(ValueError, match=r"3 classes, more than the limit of 2; JSLIM_MAX_CLASSES"):
        data.ArrayDataset(images, labels, 3)
