"""jslim-convert: a folder of images and the TFRecord files made of it hold the same."""

import json
import os
import pickle
import re
import sys

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.cli import convert
from jslim.core.errors import DataError
from jslim.data.convert import convert_dataset
from jslim.data.tf_example import VarLenFeature, parse_example
from jslim.data.tfrecord import TFRecordFile

NAMES = ["a.jpg", "b.png", "c.bmp", "d.JPEG", "e.webp", "f.jpg"]


@pytest.fixture
def photos(tmp_path):
    """Two splits of two classes, in all formats, of several sizes."""
    rng = np.random.default_rng(0)
    for split in ("test", "train"):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for file in NAMES:
                shape = (*rng.integers(4, 9, 2), 3)
                Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / file)
    return tmp_path / "photos"


def run(*flags):
    return convert.main(["jslim-convert", *flags])


@pytest.mark.parametrize("num_threads", [1, 3])
def test_files_hold_what_the_folder_holds(photos, num_threads, tmp_path, capfd):
    output = tmp_path / "records"
    flags = [f"--dataset_dir={photos}", f"--output_dir={output}", "--num_shards=3"]
    assert run(*flags, f"--num_threads={num_threads}") == 0
    captured = capfd.readouterr()
    assert "photos_train: 12 of 12 images" in captured.err
    assert "wrote 6 files; use them by --dataset_name=tfrecord" in captured.err
    assert (output / "labels.txt").read_text() == "0:cat\n1:dog\n"
    shards = [f"photos_{s}_{i:05d}-of-00003.tfrecord" for s in ("test", "train") for i in range(3)]
    plans = ["photos_test.json", "photos_train.json"]
    assert sorted(os.listdir(output)) == sorted(["labels.txt", *plans, *shards])
    for split in ("train", "test"):
        folder = data.get_dataset("folder", split, photos)
        records = data.get_dataset("tfrecord", split, output)
        assert records.class_names == folder.class_names
        wanted = {
            os.path.relpath(x["record_key"], photos): x for x in map(folder.__getitem__, range(12))
        }
        keys = []
        for index in range(len(records)):
            features = {"image/filename": bytes, "image/format": bytes, "image/class/text": bytes}
            features |= {"image/height": np.int64, "image/width": np.int64}
            held = parse_example(
                records.records[index], {key: VarLenFeature(t) for key, t in features.items()}
            )
            keys.append(held["image/filename"][0].decode())
            example, source = records[index], wanted[keys[-1]]
            np.testing.assert_array_equal(example["image"], source["image"])
            assert example["label"] == source["label"]
            assert held["image/class/text"][0].decode() == folder.class_names[source["label"]]
            assert (held["image/height"][0], held["image/width"][0]) == source["image"].shape[:2]
            is_jpeg = keys[-1].lower().endswith(("jpg", "jpeg"))
            assert held["image/format"][0] == (b"jpeg" if is_jpeg else b"png")
        assert sorted(keys) == sorted(wanted)
        assert keys != sorted(keys)


def test_goes_on_after_it_was_stopped(photos, tmp_path, capfd):
    broken = photos / "train" / "dog" / "a.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(bytes(len(whole)))
    output = tmp_path / "records"
    flags = [f"--dataset_dir={photos}", f"--output_dir={output}", "--num_shards=4"]
    assert run(*flags, "--num_threads=1") == 2
    assert re.search(
        r"jslim-convert: image '.*dog/a.jpg' cannot be decoded", capfd.readouterr().err
    )
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    assert not any("unfinished" in name for name in before)
    assert len([name for name in before if "train_0" in name]) < 4
    broken.write_bytes(whole)
    assert run(*flags) == 0
    assert "photos_test: 12 of 12 images were written before" in capfd.readouterr().err
    after = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    assert {name: after[name] for name in before} == before
    assert len(data.get_dataset("tfrecord", "train", output)) == 12
    fresh = convert_dataset(photos, tmp_path / "fresh", num_shards=4)
    for path in fresh:
        with open(path, "rb") as one, (output / os.path.basename(path)).open("rb") as other:
            assert one.read() == other.read()


def test_files_of_other_images_are_not_mixed(photos, tmp_path):
    output = tmp_path / "records"
    convert_dataset(photos, output, name="x", num_shards=2)
    plan = json.loads((output / "x_train.json").read_text())
    assert (plan["num_images"], plan["num_shards"]) == (12, 2)
    with pytest.raises(DataError, match=r"x_test.json' says .* made with other num_shards; delete"):
        convert_dataset(photos, output, name="x", num_shards=3)
    (photos / "train" / "cat" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"x_train.json' says .* other num_images, images; delete"):
        convert_dataset(photos, output, name="x", num_shards=2)


def test_a_jpeg_for_print_becomes_one_that_tensorflow_reads(tmp_path):
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    Image.new("CMYK", (8, 8), (90, 0, 0, 40)).save(folder / "a.jpg")
    convert_dataset(tmp_path / "photos", tmp_path / "records")
    records = data.get_dataset("tfrecord", "train", tmp_path / "records")
    held = parse_example(records.records[0], {"image/format": VarLenFeature(bytes)})
    assert held["image/format"].tolist() == [b"png"]
    wanted = data.get_dataset("folder", "train", tmp_path / "photos")[0]["image"]
    np.testing.assert_array_equal(records[0]["image"], wanted)


def test_a_folder_without_splits_is_the_split_train(photos, tmp_path):
    (path,) = convert_dataset(photos / "test", tmp_path / "records", num_shards=1)
    assert os.path.basename(path) == "test_train_00000-of-00001.tfrecord"
    assert len(data.get_dataset("tfrecord", "train", tmp_path / "records")) == 12


def test_what_is_wrong_is_said(photos, tmp_path, capfd):
    assert run(f"--dataset_dir={photos}") == 2
    assert "--output_dir is missing" in capfd.readouterr().err
    assert run(f"--dataset_dir={photos / 'nowhere'}", f"--output_dir={tmp_path / 'x'}") == 2
    assert "nowhere' does not exist" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()
    for file in (photos / "train" / "dog").iterdir():
        file.unlink()
    (photos / "train" / "dog").rmdir()
    with pytest.raises(DataError, match=r"'dog' in one of the two only"):
        convert_dataset(photos, tmp_path / "x")


def same_records(found, wanted):
    assert len(found) == len(wanted)
    assert found.class_names == wanted.class_names
    for index in range(len(wanted)):
        np.testing.assert_array_equal(found[index]["image"], wanted[index]["image"])
        assert found[index]["label"] == wanted[index]["label"]


def write_mnist(directory):
    rng = np.random.default_rng(0)
    for stem, count in (("train", 7), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        header = bytes([0, 0, 8, 3]) + np.array([count, 28, 28], ">u4").tobytes()
        labels = bytes([0, 0, 8, 1]) + np.array([count], ">u4").tobytes() + bytes(range(count))
        (directory / f"{stem}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (directory / f"{stem}-labels-idx1-ubyte").write_bytes(labels)


def write_cifar10(directory):
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name in names:
        (directory / f"{name}.bin").write_bytes(
            b"".join(bytes([number]) + rng.bytes(3072) for number in range(2))
        )


@pytest.mark.parametrize(("name", "write"), [("mnist", write_mnist), ("cifar10", write_cifar10)])
def test_known_files_become_those_of_tf_slim(name, write, tmp_path):
    source, output = tmp_path / "source", tmp_path / "records"
    source.mkdir()
    write(source)
    flags = [f"--dataset_name={name}", f"--dataset_dir={source}", f"--output_dir={output}"]
    assert run(*flags) == 0
    assert sorted(x.name for x in output.glob("*.tfrecord")) == [
        f"{name}_test.tfrecord",
        f"{name}_train.tfrecord",
    ]
    for split in ("train", "test"):
        found = data.get_dataset(name, split, output)
        assert isinstance(found, data.TFRecordDataset)
        same_records(found, data.get_dataset(name, split, source))


def test_a_numpy_file_and_its_shards(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "small.npz",
        train_images=rng.integers(0, 256, (5, 4, 3, 3), np.uint8),
        train_labels=np.arange(5) % 2,
        val_images=rng.integers(0, 256, (2, 4, 3, 3), np.uint8),
        val_labels=np.array([1, 0]),
        class_names=np.array(["cat", "dog"]),
    )
    output = tmp_path / "records"
    flags = ["--dataset_name=npz", f"--dataset_dir={tmp_path / 'small.npz'}", "--num_shards=2"]
    assert run(*flags, f"--output_dir={output}") == 0
    assert len(list(output.glob("small_*-of-00002.tfrecord"))) == 4
    for split in ("train", "val"):
        found = data.get_dataset("tfrecord", split, output)
        same_records(found, data.get_dataset("npz", split, tmp_path / "small.npz"))


def test_array_record_files_hold_the_same(photos, tmp_path):
    pytest.importorskip("array_record")
    flags = [f"--dataset_dir={photos}", "--num_shards=2"]
    assert run(*flags, f"--output_dir={tmp_path / 'tf'}") == 0
    arrays = tmp_path / "arrays"
    assert run(*flags, f"--output_dir={arrays}", "--file_format=array_record") == 0
    assert len(list(arrays.glob("*.array_record"))) == 4
    assert not list(arrays.glob(".*"))
    for split in ("train", "test"):
        found = data.get_dataset("tfrecord", split, arrays)
        same_records(found, data.get_dataset("tfrecord", split, tmp_path / "tf"))
        assert re.fullmatch(r"array_record:11", found.record_key(11))
        copy = pickle.loads(pickle.dumps(found))
        assert copy[3]["label"] == found[3]["label"]
        with data.batches(found, 4, is_training=True, num_threads=2, preprocessing_fn=flat) as made:
            assert next(made)["label"].shape == (4,)


def flat(image):
    return image[:2, :2]


def test_damaged_array_record_files(photos, tmp_path):
    pytest.importorskip("array_record")
    flags = [f"--dataset_dir={photos}", f"--output_dir={tmp_path}", "--file_format=array_record"]
    assert run(*flags, "--num_shards=1") == 0
    path = next(tmp_path.glob("*train*.array_record"))
    content = bytearray(path.read_bytes())
    assert len(data.ArrayRecordFiles(path)) == 12
    written = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
    middle = written[len(written) // 3]  # zeros are padding
    content[middle] ^= 0xFF
    path.write_bytes(content)
    records = data.ArrayRecordFiles(path)
    with pytest.raises(DataError, match=r"record .*train.*:\d+ is damaged \(.*convert the file"):
        [records[index] for index in range(12)]
    path.write_bytes(content[:200])
    with pytest.raises(DataError, match=r"train.* is no whole ArrayRecord file \("):
        data.ArrayRecordFiles(path)
    with pytest.raises(DataError, match=r"'.*missing.*' cannot be read; check the path"):
        data.ArrayRecordFiles(tmp_path / "missing.array_record")


def test_array_record_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    with pytest.raises(
        ImportError, match=r"writing ArrayRecord files .*pip install 'jslim\[cli\]'"
    ):
        data.ArrayRecordWriter(tmp_path / "x.array_record")


def test_an_error_leaves_no_array_record_file(tmp_path):
    pytest.importorskip("array_record")
    with pytest.raises(ZeroDivisionError), data.ArrayRecordWriter(tmp_path / "a/x.array_record"):
        raise ZeroDivisionError
    assert not list((tmp_path / "a").iterdir())


def test_sources_that_are_unknown_or_empty(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"dataset_name must be .*'mnist'.*, got 'minst'"):
        convert_dataset(tmp_path, tmp_path, dataset_name="minst")
    with pytest.raises(ValueError, match=r"file_format must be 'tfrecord' or 'array_record'"):
        convert_dataset(tmp_path, tmp_path, file_format="zip")
    flags = [f"--dataset_dir={tmp_path}", f"--output_dir={tmp_path}", "--dataset_name=mnist"]
    assert run(*flags) == 2
    assert "has none of the files that 'mnist' was published in" in capsys.readouterr().err


def test_arrays_that_are_no_png(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=np.zeros((2, 3, 3, 3)), y_train=np.array([0, 1]))
    with pytest.raises(DataError, match=r"is float64 of shape \(3, 3, 3\); only uint8 images"):
        convert_dataset(tmp_path / "x.npz", tmp_path, dataset_name="npz")
    labels = np.array([0, 7])
    np.savez(
        tmp_path / "y.npz", x_train=np.zeros((2, 3, 3), np.uint8), y_train=labels,
        class_names=np.array(["a", "b"]),
    )  # fmt: skip
    with pytest.raises(DataError, match="label 7 is outside 0 to 1"):
        convert_dataset(tmp_path / "y.npz", tmp_path, dataset_name="npz")


def test_images_that_cannot_be_read_may_be_left_out(tmp_path, caplog):
    for index in range(6):
        path = tmp_path / "photos" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    path.write_bytes(b"no image")
    os.mkfifo(path.parent / "pipe.png")
    arguments = (tmp_path / "photos", tmp_path / "records")
    message = r"image '.*' cannot be .*one bad image more than skip_bad_records=1 allows"
    with pytest.raises(DataError, match=message):
        convert_dataset(*arguments, num_shards=1, skip_bad_records=1)
    (tmp_path / "records" / "photos_train.json").unlink()
    paths = convert_dataset(*arguments, num_shards=1, skip_bad_records=2)
    assert caplog.text.count("is left out: image") >= 2
    assert len(TFRecordFile(paths[0])) == 5
    assert len(data.get_dataset("tfrecord", "train", tmp_path / "records")) == 5


def test_a_class_with_a_line_break_in_its_name_is_not_converted(tmp_path):
    path = tmp_path / "photos" / "a\u2028b" / "1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(DataError, match=r"labels.txt' cannot hold the class 'a.u2028b'"):
        convert_dataset(tmp_path / "photos", tmp_path / "records")
    assert not (tmp_path / "records").exists()
