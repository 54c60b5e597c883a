"""jslim-convert: a folder of images and the TFRecord files made of it hold the same."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim._errors import DataError
from jslim.cli import convert
from jslim.data.convert import convert_folder
from jslim.data.tf_example import VarLenFeature, parse_example

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
    fresh = convert_folder(photos, tmp_path / "fresh", num_shards=4)
    for path in fresh:
        with open(path, "rb") as one, (output / os.path.basename(path)).open("rb") as other:
            assert one.read() == other.read()


def test_files_of_other_images_are_not_mixed(photos, tmp_path):
    output = tmp_path / "records"
    convert_folder(photos, output, name="x", num_shards=2)
    plan = json.loads((output / "x_train.json").read_text())
    assert (plan["num_images"], plan["num_shards"]) == (12, 2)
    with pytest.raises(DataError, match=r"x_test.json' says .* made with other num_shards; delete"):
        convert_folder(photos, output, name="x", num_shards=3)
    (photos / "train" / "cat" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"x_train.json' says .* other num_images, images; delete"):
        convert_folder(photos, output, name="x", num_shards=2)


def test_a_jpeg_for_print_becomes_one_that_tensorflow_reads(tmp_path):
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    Image.new("CMYK", (8, 8), (90, 0, 0, 40)).save(folder / "a.jpg")
    convert_folder(tmp_path / "photos", tmp_path / "records")
    records = data.get_dataset("tfrecord", "train", tmp_path / "records")
    held = parse_example(records.records[0], {"image/format": VarLenFeature(bytes)})
    assert held["image/format"].tolist() == [b"png"]
    wanted = data.get_dataset("folder", "train", tmp_path / "photos")[0]["image"]
    np.testing.assert_array_equal(records[0]["image"], wanted)


def test_a_folder_without_splits_is_the_split_train(photos, tmp_path):
    (path,) = convert_folder(photos / "test", tmp_path / "records", num_shards=1)
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
        convert_folder(photos, tmp_path / "x")
