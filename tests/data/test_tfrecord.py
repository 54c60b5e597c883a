"""TFRecord files of TensorFlow, files of our own, and every way a file can be broken."""

import gzip
import pathlib
import pickle
import re
import threading
import zlib

import numpy as np
import pytest

from jslim.core.errors import DataError
from jslim.data import _tfrecord_index, tfrecord
from jslim.data.tfrecord import TFRecordFile, TFRecordWriter, get_data_files, read_records

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "tfrecords"


def write(path, records, compression=None):
    with TFRecordWriter(path, compression) as writer:
        for record in records:
            writer.write(record)
    return path


@pytest.mark.parametrize("name", ["plain", "gzip", "zlib"])
def test_files_of_tensorflow_are_read(name):
    records = TFRecordFile(GOLDEN / f"{name}.tfrecord")
    assert len(records) == 3
    assert list(records) == list(read_records(GOLDEN / "plain.tfrecord"))
    assert all(b"image/encoded" in record for record in records)


def test_files_are_those_of_tensorflow_byte_for_byte(tmp_path):
    records = list(read_records(GOLDEN / "plain.tfrecord"))
    theirs = (GOLDEN / "plain.tfrecord").read_bytes()
    assert write(tmp_path / "plain", records).read_bytes() == theirs
    assert gzip.decompress(write(tmp_path / "gzip", records, "GZIP").read_bytes()) == theirs
    assert zlib.decompress(write(tmp_path / "zlib", records, "ZLIB").read_bytes()) == theirs


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
def test_records_at_random_in_threads_and_after_pickling(compression, tmp_path):
    rng = np.random.default_rng(0)
    records = [rng.bytes(int(size)) for size in [0, 1, 3, 100_000, *rng.integers(0, 3000, 200)]]
    file = TFRecordFile(write(tmp_path / "x", records, compression))
    found = {}

    def read(numbers):
        found.update({number: file[number] for number in numbers})

    numbers = rng.permutation(len(records)).tolist()
    threads = [threading.Thread(target=read, args=(numbers[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(records))] == records
    assert pickle.loads(pickle.dumps(file))[5] == records[5]
    assert file.offset(2) == 2 * 16 + 1


def test_lengths_that_look_like_compression_are_no_compression(tmp_path):
    # The first two bytes of a file are the low bytes of the first record's length.
    for length in (0x8B1F, 0x0178, 0x9C78):
        record = bytes(length)
        path = write(tmp_path / str(length), [record])
        assert list(read_records(path)) == [record]


def test_empty_file_has_no_records(tmp_path):
    assert len(TFRecordFile(write(tmp_path / "x", []))) == 0


def test_every_flipped_byte_is_found(tmp_path):
    path = write(tmp_path / "x", [b"some data", b"and more"])
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DataError, match=re.escape(repr(str(path)))):
            list(TFRecordFile(path))


def test_every_cut_is_found_unless_between_records(tmp_path):
    path = write(tmp_path / "x", [b"some data", b"and more"])
    whole = path.read_bytes()
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        if size == 12 + 9 + 4:
            assert list(TFRecordFile(path)) == [b"some data"]
            continue
        with pytest.raises(DataError, match=r"no TFRecord file|is cut short: it ends at byte"):
            TFRecordFile(path)


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_files_that_are_broken(compression, tmp_path):
    path = write(tmp_path / "x", [bytes(1000), b"x"], compression)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=rf"cannot be decompressed \({compression.lower()}: "):
        TFRecordFile(path)
    path.write_bytes(whole[:20] + bytes([whole[20] ^ 255]) + whole[21:])
    with pytest.raises(DataError, match=r"'.*x' (cannot be decompressed|is|record)"):
        list(TFRecordFile(path))


def test_what_is_said_of_a_damaged_record(tmp_path):
    path = write(tmp_path / "x", [b"some data", b"and more"])
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    file = TFRecordFile(path)
    assert file[0] == b"some data"
    with pytest.raises(DataError, match=r"record 1 of '.*x', at byte 25, is damaged: its checksum"):
        file[1]


def test_a_file_that_changes_or_goes_is_an_error(tmp_path):
    path = write(tmp_path / "x", [b"some data", b"and more"])
    file = TFRecordFile(path)
    write(path, [b"other"])
    with pytest.raises(DataError, match="has changed since it was opened"):
        file[0]
    path.unlink()
    with pytest.raises(DataError, match=r"x' cannot be read \(No such file"):
        file[0]
    with pytest.raises(DataError, match=r"cannot be read \(No such file.*; check the path"):
        TFRecordFile(path)
    path.write_text("no records at all")
    with pytest.raises(DataError, match="is no TFRecord file: at byte 0, where record 0 should"):
        TFRecordFile(path)


def test_an_error_while_writing_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "x", [b"before"])

    def fail():
        with TFRecordWriter(path) as writer:
            writer.write(b"after")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert list(read_records(path)) == [b"before"]
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    writer = TFRecordWriter(path)
    writer.close()
    with pytest.raises(ValueError, match="is closed"):
        writer.write(b"")
    with pytest.raises(ValueError, match="compression must be None, 'GZIP' or 'ZLIB', got 'zip'"):
        TFRecordWriter(path, "zip")


def test_names_and_patterns_of_files(tmp_path):
    for name in ("b-1", "b-0", "a"):
        (tmp_path / name).touch()
    assert get_data_files(tmp_path / "a") == [str(tmp_path / "a")]
    shards = [str(tmp_path / f"b-{i}") for i in range(2)]
    assert get_data_files([f"{tmp_path}/b-*", f"{tmp_path}/a"]) == [*shards, str(tmp_path / "a")]
    assert get_data_files("x@2") == ["x-00000-of-00002", "x-00001-of-00002"]
    with pytest.raises(DataError, match=r"no file matches the pattern '.*c\*'; check the dir"):
        get_data_files(f"{tmp_path}/c*")


def test_what_is_there_under_a_name_is_no_pattern(tmp_path):
    folder = tmp_path / "exp [v2] *@2"
    folder.mkdir()
    for name in ("a[1].x", "a1.x", "a@3"):
        (folder / name).touch()
    for name in ("a[1].x", "a@3"):
        assert get_data_files(folder / name) == [str(folder / name)]
    assert get_data_files(folder / "a[0-9].x") == [str(folder / "a1.x")]
    assert get_data_files(tmp_path / "exp*" / "a?.x") == [str(folder / "a1.x")]
    missing = str(folder / "b.tfrecord")
    assert get_data_files(missing) == [missing]


def test_the_index_of_a_large_file_is_kept_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(_tfrecord_index, "_LARGE", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read = []
    read_index = tfrecord.read_index

    def noted(file, path):
        read.append(path)
        return read_index(file, path)

    monkeypatch.setattr(tfrecord, "read_index", noted)
    path = tmp_path / "large.tfrecord"

    def write(records):
        with TFRecordWriter(path) as writer:
            for record in records:
                writer.write(record)

    write([b"a" * 80, b"b" * 30])
    for _ in range(3):
        assert list(TFRecordFile(path)) == [b"a" * 80, b"b" * 30]
    assert len(read) == 1
    (saved,) = (tmp_path / "cache" / "jslim" / "tfrecord_index").iterdir()
    saved.write_bytes(saved.read_bytes()[:50])
    assert len(TFRecordFile(path)) == 2
    assert len(read) == 2
    assert len(TFRecordFile(path)) == 2
    assert len(read) == 2
    write([b"b" * 30, b"a" * 80])
    assert list(TFRecordFile(path)) == [b"b" * 30, b"a" * 80]
    assert len(read) == 3
    # Without a cache that can be written the index is read from the file.
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    assert len(TFRecordFile(path)) == 2
    assert len(read) == 4
