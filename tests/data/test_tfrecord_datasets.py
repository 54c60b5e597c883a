"""Data sets in TFRecord files under the names and schemas of research/slim."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.cli import evaluate, train
from jslim.core.errors import DataError
from jslim.data.tf_example import make_example
from jslim.data.tfrecord import TFRecordWriter
from jslim.data.tfrecord_datasets import read_label_file, write_label_file


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, kind)
    return file.getvalue()


def write_split(path, images, labels, **more):
    """Examples with the features that research/slim's converters write."""
    with TFRecordWriter(path) as writer:
        for image, label in zip(images, labels, strict=True):
            features = {
                "image/encoded": encoded(image),
                "image/format": "png",
                "image/class/label": int(label),
                "image/height": image.shape[0],
                "image/width": image.shape[1],
            }
            writer.write(make_example(features | more))


def random_images(count, shape):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


BOXES = {f"image/object/bbox/{side}": [0.25, 0.5] for side in ("ymin", "xmin", "ymax", "xmax")}
CASES = {
    # name: files, split, classes, shape of the images, other features, other items
    "cifar10": (["cifar10_train.tfrecord"], "train", 10, (32, 32, 3), {}, {}),
    "mnist": (["mnist_test.tfrecord"], "test", 10, (28, 28, 1), {}, {}),
    "flowers": (
        [f"flowers_validation_{i:05d}-of-00002.tfrecord" for i in range(2)],
        "validation", 5, (9, 11, 3), {}, {},
    ),
    "imagenet": (
        ["train-00000-of-00001"], "train", 1001, (7, 6, 3),
        BOXES | {"image/class/text": "tench", "image/object/class/label": [3, 4]},
        {"object/bbox": [[0.25] * 4, [0.5] * 4], "object/label": [3, 4], "label_text": b"tench"},
    ),
    "visualwakewords": (
        ["val.record-00000-of-00001"], "val", 2, (7, 6, 3), BOXES,
        {"object/bbox": [[0.25] * 4, [0.5] * 4]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_data_set_of_research_slim(name, tmp_path):
    files, split, num_classes, shape, more, items = CASES[name]
    images = random_images(3 * len(files), shape)
    labels = np.arange(len(images)) % num_classes
    for number, file in enumerate(files):
        rows = slice(3 * number, 3 * number + 3)
        write_split(tmp_path / file, images[rows], labels[rows], **more)
    dataset = data.get_dataset(name, split, tmp_path)
    assert (dataset.name, dataset.num_classes) == (f"{name}/{split}", num_classes)
    assert len(dataset) == dataset.num_samples == len(images)
    for index in range(len(images)):
        example = dataset[index]
        np.testing.assert_array_equal(example["image"], images[index])
        assert example["label"] == labels[index]
        assert example["record_key"] == dataset.record_key(index)
    assert dataset.record_key(0) == f"{files[0]}:0"
    assert re.fullmatch(re.escape(files[-1]) + r":[1-9]\d*", dataset.record_key(len(images) - 1))
    for item, value in items.items():
        assert np.asarray(dataset.decode(1, [item])[0]).tolist() == value
    assert set(dataset.decoder.list_items()) == {*items, "image", "label"}
    assert dataset.class_names[1] == ("tench, Tinca tinca" if name == "imagenet" else "1")
    write_label_file({i: f"class {i}" for i in range(num_classes)}, tmp_path)
    assert data.get_dataset(name, split, tmp_path).class_names[1] == "class 1"


def test_any_files_with_a_labels_file(tmp_path):
    tmp_path = tmp_path / "data [v2] *"  # which is no pattern
    images = random_images(2, (4, 4, 3))
    write_split(tmp_path / "mine-train-0", images, [0, 1])
    write_split(tmp_path / "mine-train-1", images, [1, 0])
    write_split(tmp_path / "trained-test", images, [1, 0])
    with pytest.raises(DataError, match=r"labels.txt' is missing: it names the classes, in a line"):
        data.get_dataset("tfrecord", "train", tmp_path)
    write_label_file({0: "a", 1: "b: c"}, tmp_path)
    dataset = data.get_dataset("tfrecord", "train", tmp_path)
    assert [dataset[i]["label"] for i in range(4)] == [0, 1, 1, 0]
    assert dataset.labels_to_names == {0: "a", 1: "b: c"}
    one = data.get_dataset("tfrecord", "train", tmp_path, "mine-%s-1")
    assert [one[i]["label"] for i in range(2)] == [1, 0]


@pytest.mark.parametrize("split", ["photos", "of", "00000", "00002", "tfrecord", "json", ""])
def test_a_word_that_all_files_have_in_their_names_is_no_split(tmp_path, split):
    for name in ("train", "val"):
        for shard in range(2):
            path = tmp_path / f"photos_{name}_{shard:05d}-of-00002.tfrecord"
            write_split(path, random_images(1, (4, 4, 3)), [0])
    write_label_file({0: "a"}, tmp_path)
    assert len(data.get_dataset("tfrecord", "val", tmp_path)) == 2
    with pytest.raises(DataError, match=f"{split}.*the splits there are 'train', 'val'"):
        data.get_dataset("tfrecord", split, tmp_path)


def test_what_is_wrong_with_files_is_said(tmp_path):
    with pytest.raises(ValueError, match="split name tain was not recognized: 'mnist' has the spl"):
        data.get_dataset("mnist", "tain", tmp_path)
    with pytest.raises(DataError, match="nowhere' does not exist"):
        data.get_dataset("mnist", "train", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no file matches the pattern '.*flowers_train_\*"):
        data.get_dataset("flowers", "train", tmp_path)
    with pytest.raises(DataError, match=r"no file matches the pattern '.*mnist_train.tfrecord'"):
        data.get_dataset("mnist", "train", tmp_path)
    write_split(tmp_path / "mnist_train.tfrecord", [], [])
    with pytest.raises(DataError, match=r"there is no record in \['.*mnist_train.tfrecord'\]"):
        data.get_dataset("mnist", "train", tmp_path)
    (tmp_path / "labels.txt").write_text("0:a\n2:b\n")
    with pytest.raises(DataError, match=r"must name the classes 0 to 9, got \[0, 2\]"):
        data.get_dataset("mnist", "train", tmp_path)
    for text in ("0:a\nb\n", "0:a\n0:b\n", "0:a\nx:b\n"):
        (tmp_path / "labels.txt").write_text(text)
        with pytest.raises(DataError, match=r"line 2 of '.*' must be LABEL:NAME"):
            read_label_file(tmp_path / "labels.txt")


def test_records_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "mnist_train.tfrecord"
    write_split(path, random_images(1, (5, 5, 1)), [3])
    with pytest.raises(
        DataError, match=r"mnist_train.tfrecord:0: feature 'image/encoded' has 25 v"
    ):
        data.get_dataset("mnist", "train", tmp_path)[0]
    with TFRecordWriter(path) as writer:
        image = encoded(random_images(1, (28, 28, 1)))
        writer.write(make_example({"image/encoded": image, "image/format": "png"}))
    dataset = data.get_dataset("mnist", "train", tmp_path)
    with pytest.raises(
        DataError, match=r"record 'mnist_train.tfrecord:0' of 'mnist/train' has labe"
    ):
        next(data.batches(dataset, 1, is_training=False, num_threads=0))


@pytest.mark.long
def test_training_and_evaluating_on_tfrecords(tmp_path, capfd):
    for split in ("train", "test"):
        digits = data.get_dataset("digits", split)
        images = np.pad(digits.images, ((0, 0), (10, 10), (10, 10), (0, 0)))
        write_split(tmp_path / f"mnist_{split}.tfrecord", images, digits.labels)
    common = ["--dataset_name=mnist", f"--dataset_dir={tmp_path}", "--batch_size=32"]
    arguments = [
        "train.py", *common, "--model_name=lenet", "--optimizer=momentum", "--learning_rate=0.02",
        f"--train_dir={tmp_path / 'run'}", "--max_number_of_steps=60", "--save_summaries_secs=0",
    ]  # fmt: skip
    assert train.main(arguments) == 0
    flags = ["--per_class", f"--predictions_file={tmp_path / 'x.csv'}"]
    arguments = ["eval.py", *common, f"--checkpoint_path={tmp_path / 'run'}", *flags]
    assert evaluate.main(arguments) == 0
    assert float(re.search(r"Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1]) > 0.8
    assert "mnist_test.tfrecord:0," in (tmp_path / "x.csv").read_text()
