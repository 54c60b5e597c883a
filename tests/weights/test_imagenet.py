"""ImageNet as people have it, records and folders, evaluated with published weights."""

import csv
import io
import re

import pytest
from PIL import Image

from jslim import data, weights
from jslim.checkpoints import save_safetensors
from jslim.cli import evaluate
from jslim.cli.classifier import DatasetConfig, open_dataset_of
from jslim.data import tf_example
from jslim.data.imagenet import are_of_imagenet, are_same_classes, imagenet_class_names
from tests.weights.test_resolve import TIMM, variables_of, write_archive
from tests.weights.test_translation import arrays_of

ALWAYS = 4  # the class that the networks here predict, of 1000
LABELS = {"folder": range(1000), "records": (0, ALWAYS, 999)}  # of the images
DATA = {
    "folder": {
        "dataset_name": "folder", "dataset_dir": "images", "dataset_split_name": "val"
    },
    "records": {
        "dataset_name": "imagenet", "dataset_dir": "records", "dataset_split_name": "validation"
    },
}  # fmt: skip


def identifiers():
    """Those of WordNet, by which folders of ImageNet are called."""
    with open(f"{data.__path__[0]}/imagenet_classes.txt", encoding="utf-8") as file:
        return [line.split("\t")[0] for line in file]


@pytest.fixture(autouse=True)
def imagenet(tmp_path, monkeypatch):
    """Folders and records of ImageNet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    image = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 9, 90)).save(image, "PNG")
    names = identifiers()
    for label in LABELS["folder"]:
        folder = tmp_path / "images" / "val" / names[label]
        folder.mkdir(parents=True)
        (folder / "image.png").write_bytes(image.getvalue())
    (tmp_path / "records").mkdir()
    with data.TFRecordWriter(tmp_path / "records" / "validation-00000-of-00001") as writer:
        for label in LABELS["records"]:
            features = {
                "image/encoded": image.getvalue(),
                "image/format": b"png",
                "image/class/label": label + 1,  # 0 is the background
            }
            writer.write(tf_example.make_example(features))


def published(source, tmp_path):
    """A file of 1000 classes, or of 1001, that always predicts one of them."""
    if source == "timm":
        arrays = arrays_of(TIMM)
        arrays["classifier.bias"][ALWAYS] += 1000
        return save_safetensors("model.safetensors", arrays)
    variables = variables_of("mobilenet_v1_025", 1001)
    variables["MobilenetV1/Logits/Conv2d_1c_1x1/biases"][ALWAYS + 1] += 1e6
    return write_archive(tmp_path / "mobilenet_v1_0.25_224.tgz", variables)


@pytest.mark.long
@pytest.mark.parametrize("source", ["timm", "tf-slim"])
@pytest.mark.parametrize("kind", DATA)
def test_one_command_measures_the_top_1(source, kind, tmp_path, capfd):
    flags = [f"--{name}={value}" for name, value in DATA[kind].items()]
    flags += [f"--checkpoint_path={published(source, tmp_path)}", "--eval_image_size=32"]
    assert evaluate.main(["eval.py", *flags, "--predictions_file=rows.csv"]) == 0
    accuracy = float(re.search(r"Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1])
    assert accuracy == pytest.approx(1 / len(LABELS[kind]), abs=1e-4)
    names = weights.imagenet_class_names()
    with open("rows.csv", encoding="utf-8") as file:
        rows = [(row["label"], row["prediction"], row["is_right"]) for row in csv.DictReader(file)]
    assert len(rows) == len(LABELS[kind])
    shown = [label.partition(" (")[0] for label, _, _ in rows]  # "crane (134)" and "crane (517)"
    assert sorted(shown) == sorted(names[label] for label in LABELS[kind])
    assert {prediction for _, prediction, _ in rows} == {names[ALWAYS]}
    assert [label for label, _, is_right in rows if is_right == "1"] == [names[ALWAYS]]


def test_labels_are_those_of_the_checkpoint_unless_an_offset_is_given():
    held = {"class_names": imagenet_class_names(1000), "labels_offset": 0}
    as_theirs = open_dataset_of(DatasetConfig(**DATA["records"]), held)
    assert as_theirs.class_names == held["class_names"]
    assert [as_theirs.label(index) for index in range(3)] == list(LABELS["records"])
    config = DatasetConfig(**DATA["records"], given=frozenset(["labels_offset"]))
    assert open_dataset_of(config, held).num_classes == 1001


def test_which_names_are_those_of_imagenet():
    names, numbers = imagenet_class_names(), [str(label) for label in range(1000)]
    assert are_of_imagenet(identifiers())
    assert are_same_classes(names, identifiers())
    assert are_same_classes(numbers, names)
    assert are_same_classes(imagenet_class_names(1001), ["0", *identifiers()])
    assert not are_same_classes(names, imagenet_class_names(1001))
    assert not are_same_classes(names, [names[1], names[0], *names[2:]])
    assert not are_same_classes(["0", "1"], ["cat", "dog"])
    assert not are_of_imagenet(numbers)
    assert not are_of_imagenet(numbers, numbers)
    assert are_of_imagenet(numbers, imagenet_class_names(1001))
