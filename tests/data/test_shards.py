"""Data sets with missing or doubled files."""

import json

import numpy as np
import pytest

from jslim import data
from jslim.core.errors import DataError
from jslim.data.array_record import ArrayRecordWriter
from jslim.data.convert import convert_dataset
from jslim.data.parallel_reader import parallel_read
from jslim.data.tf_example import make_example
from jslim.data.tfrecord import TFRecordWriter, get_data_files
from jslim.data.tfrecord_datasets import write_label_file

EXAMPLE = make_example({"image/encoded": bytes(784), "image/format": "raw", "image/class/label": 1})
# Of each data set: its split, and the names of a whole set of three shards.
SHARDED = {
    "flowers": ("train", "flowers_train_{:05d}-of-{:05d}.tfrecord"),
    "imagenet": ("train", "train-{:05d}-of-{:05d}"),
    "visualwakewords": ("val", "val.record-{:05d}-of-{:05d}"),
    "tfrecord": ("train", "mine-train-{:05d}-of-{:05d}.tfrecord"),
}


def write(path, writer=TFRecordWriter):
    with writer(path) as file:
        file.write(EXAMPLE)


@pytest.fixture(params=SHARDED)
def sharded(request, tmp_path):
    """A folder with three shards, the pattern of their names, and a function that opens them."""
    split, pattern = SHARDED[request.param]
    for index in range(3):
        write(tmp_path / pattern.format(index, 3))
    if request.param == "tfrecord":
        write_label_file({0: "a", 1: "b"}, tmp_path)
    return tmp_path, pattern, lambda: data.get_dataset(request.param, split, tmp_path)


def test_a_whole_set_of_shards_is_read(sharded):
    folder, pattern, read = sharded
    (folder / f"{pattern.format(0, 3)}.md5").write_text("x")
    (folder / "train.json").write_text("{}")
    assert len(read()) == 3


def test_a_shard_that_is_missing_is_noticed(sharded):
    folder, pattern, read = sharded
    (folder / pattern.format(1, 3)).unlink()
    with pytest.raises(
        DataError, match=r"of the 3 shards of .*, 2 are there, and not '.*00001-of-00003.*'; copy"
    ):
        read()
    (folder / pattern.format(2, 3)).unlink()
    with pytest.raises(DataError, match=r"1 are there, and not '.*00001-of.*, '.*00002-of-0"):
        read()


def test_two_sets_of_shards_are_noticed(sharded):
    folder, pattern, read = sharded
    for index in range(5):
        write(folder / pattern.format(index, 5))
    with pytest.raises(
        DataError, match=r"00000-of-00003.* and '.*00000-of-00005.* look like two copies of the"
    ):
        read()


@pytest.mark.parametrize("mark", [".bak", " (copy)", "~", ".1", ".orig", " - Copy", "(1)", ".old"])
def test_a_copy_of_a_shard_is_noticed(sharded, mark):
    folder, pattern, read = sharded
    name = pattern.format(1, 3)
    if name.startswith("flowers") and mark[0] == ".":
        mark = "_copy"  # TF-Slim's pattern finds only files that end in .tfrecord
    stem, dot, extension = name.partition(".tfrecord")
    write(folder / f"{stem}{mark}{dot}{extension}")
    write(folder / f"{name}{mark}")
    with pytest.raises(DataError, match=r"look like two copies of the same records; delete or mo"):
        read()


@pytest.mark.parametrize("mark", [" (copy)", " copy 2", " (2)", "_copy", ".bak"])
def test_a_copy_marked_before_the_extension_is_noticed(tmp_path, mark):
    write_label_file({0: "a", 1: "b"}, tmp_path)
    names = ["mine-train.tfrecord", f"mine-train{mark}.tfrecord"]
    for name in names:
        write(tmp_path / name)
    with pytest.raises(DataError, match=r"look like two copies of the same records"):
        data.get_dataset("tfrecord", "train", tmp_path)
    (tmp_path / names[0]).unlink()
    assert len(data.get_dataset("tfrecord", "train", tmp_path)) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["x-train.tfrecord", "x-train.tfrecord.gz"],
        ["x-train.tfrecord", "x-train.array_record"],
        ["x-train.tfrecord", "x-train.tfrecord.1"],
        ["x-train.tfrecord", "x-train-00000-of-00001.tfrecord"],
        ["x-train-00000-of-00001.tfrecord", "x-train-00000-of-00001.record"],
    ],
)
def test_the_same_records_under_two_names_are_noticed(tmp_path, names):
    write_label_file({0: "a", 1: "b"}, tmp_path)
    for name in names:
        write(tmp_path / name)
    with pytest.raises(DataError, match=r"look like two copies of the same records"):
        data.get_dataset("tfrecord", "train", tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ["a-train.1.tfrecord", "a-train.2.tfrecord"],
        ["cats-train-00000-of-00001", "dogs-train-00000-of-00001"],
        ["train_a.tfrecord", "train_b.tfrecord"],
        ["train-2019.tfrecord", "train-2020.tfrecord"],
    ],
)
def test_files_of_several_names_are_one_data_set(tmp_path, names):
    write_label_file({0: "a", 1: "b"}, tmp_path)
    for name in names:
        write(tmp_path / name)
    assert len(data.get_dataset("tfrecord", "train", tmp_path)) == 2


def test_array_record_files_are_checked_too(tmp_path):
    pytest.importorskip("array_record")
    write_label_file({0: "a", 1: "b"}, tmp_path)
    for index in (0, 2):
        write(tmp_path / f"mine_train_{index:05d}-of-00003.array_record", ArrayRecordWriter)
    with pytest.raises(DataError, match=r"2 are there, and not 'mine_train_00001-of-00003.array_r"):
        data.get_dataset("tfrecord", "train", tmp_path)


def test_patterns_find_whole_sets_or_what_they_ask_for(tmp_path):
    for index in (0, 1, 3):
        (tmp_path / f"x-{index:05d}-of-00004").touch()
    with pytest.raises(DataError, match=r"of the 4 shards of 'x' in .*, 3 are there, and not 'x-0"):
        get_data_files(f"{tmp_path}/x-*")
    with pytest.raises(DataError, match=r"and not 'x-00002-of-00004'"):
        parallel_read(f"{tmp_path}/x-*-of-00004")
    assert len(get_data_files(f"{tmp_path}/x-0000[01]-of-00004")) == 2
    (tmp_path / "x-00002-of-00004").touch()
    assert len(get_data_files(f"{tmp_path}/x-*")) == 4
    (tmp_path / "x-00004-of-00004").touch()
    with pytest.raises(DataError, match=r"are not numbered from 0 to 3, each once"):
        get_data_files(f"{tmp_path}/x-*")
    (tmp_path / "y-00000-of-99999999999999").touch()
    with pytest.raises(DataError, match="'y-00005-of-99999999999999' and more"):
        get_data_files(f"{tmp_path}/y-*")


@pytest.fixture
def converted(tmp_path):
    images = np.zeros((6, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.arange(6) % 2)
    convert_dataset(tmp_path / "x.npz", tmp_path / "out", dataset_name="npz", num_shards=2)
    return tmp_path / "out"


def test_another_number_of_records_than_the_note_says_is_noticed(converted):
    assert len(data.get_dataset("tfrecord", "train", converted)) == 6
    write(converted / "x_train_00001-of-00002.tfrecord")
    with pytest.raises(
        DataError, match=r"x_train.json' says that there are 6 records, and the files hold 4; conv"
    ):
        data.get_dataset("tfrecord", "train", converted)
    plan = json.loads((converted / "x_train.json").read_text())
    (converted / "x_train.json").write_text(json.dumps({**plan, "skip_bad_records": 2}))
    assert len(data.get_dataset("tfrecord", "train", converted)) == 4


def test_a_note_that_was_cut_short_is_written_again_or_named(converted):
    (converted / "x_train.json").write_text("")
    arguments = (converted.parent / "x.npz", converted)
    with pytest.raises(DataError, match=r"x_train.json' does not say what the files there were m"):
        convert_dataset(*arguments, dataset_name="npz", num_shards=2)
    for path in converted.glob("*.tfrecord"):
        path.unlink()
    convert_dataset(*arguments, dataset_name="npz", num_shards=2)
    assert json.loads((converted / "x_train.json").read_text())["num_images"] == 6
