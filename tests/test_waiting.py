"""What takes long shows how far it is."""

import itertools
import re

import numpy as np
import optax
import pytest
from PIL import Image

import jslim as slim
from jslim import data, export, learning
from jslim.cli import train
from jslim.data.convert import convert_dataset
from jslim.data.tfrecord import TFRecordFiles, TFRecordWriter
from jslim.host import display


@pytest.fixture
def lines(jslim_logger, monkeypatch, capsys):
    """The lines that were shown so far, by a clock that goes on by a second at each look."""
    seconds = itertools.count()
    monkeypatch.setattr(display._DISPLAY, "_clock", lambda: float(next(seconds)))
    monkeypatch.setattr(display._DISPLAY, "_tick_secs", None)
    return lambda: capsys.readouterr().err.splitlines()


def test_files_are_indexed(lines, tmp_path):
    paths = [tmp_path / f"{name}.tfrecord" for name in "abc"]
    for path in paths:
        with TFRecordWriter(path) as writer:
            writer.write(b"record")
    assert len(TFRecordFiles(paths)) == 3
    shown = lines()
    assert re.fullmatch(r"indexing 1/3 files  0:\d\d left", shown[0])
    assert re.fullmatch(r"indexing 3/3 files  \d+ s", shown[-1])


def test_folders_are_listed_and_their_images_written(lines, tmp_path):
    for name in ("cat", "dog", "owl"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / f"{number}.png")
    convert_dataset(tmp_path / "photos", tmp_path / "records", num_shards=2)
    shown = lines()
    assert any(re.fullmatch(r"listing 1/3 class folders  0:\d\d left", line) for line in shown)
    written = [line for line in shown if line.startswith("writing photos_train ")]
    assert re.match(r"writing photos_train [1-8]/9 images  ", written[0])
    assert re.match(r"writing photos_train 9/9 images  ", written[-1])


def test_batches_are_evaluated_as_many_as_there_are(lines):
    def evaluate(batches, **options):
        metric = slim.metrics.streaming_mean()
        slim.evaluation.evaluate_variables(
            {}, lambda variables, batch: batch["image"].mean((1, 2, 3)), batches, metric, **options
        )
        return next(line for line in lines() if line.startswith("evaluating"))

    digits = data.digits("test")
    batches = data.batches(digits, 100, is_training=False)
    listed = list(batches)
    assert evaluate(batches).startswith("evaluating 1/4 batches  ")
    assert evaluate(listed).startswith("evaluating 1/4 batches  ")
    assert evaluate(listed, num_evals=2).startswith("evaluating 1/2 batches  ")
    assert evaluate(lambda: iter(listed)).startswith("evaluating 1/4 batches  ")
    assert evaluate(batch for batch in listed).startswith("evaluating 1 batches  ")


def test_batches_know_how_many_are_left():
    def left(**options):
        made = data.batches(data.digits("test"), 100, **options)
        before = made.__length_hint__()
        next(made)
        return before, made.__length_hint__()

    assert left(is_training=False) == (4, 3)
    assert left(is_training=False, drop_remainder=True) == (3, 2)
    assert left(is_training=True, num_epochs=2) == (8, 7)
    assert left(is_training=True) == (NotImplemented, NotImplemented)


def test_a_search_for_the_learning_rate_shows_its_steps(lines):
    def loss(batch):
        return ((slim.model_variable("w", [], initializer=1.0) * batch) ** 2).mean()

    learning.find_learning_rate(
        lambda rate: learning.create_train_op(loss, optax.sgd(rate)),
        itertools.repeat(np.ones(3, np.float32)),
    )
    pattern = r"testing learning rates \d+/100 steps  loss \S+  learning rate \S+  \d:\d\d left"
    assert any(re.fullmatch(pattern, line) for line in lines())


@pytest.mark.long
def test_reading_a_checkpoint_and_exporting_are_shown(lines, tmp_path, monkeypatch):
    flags = ["train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8"]
    flags += ["--max_number_of_steps=1", "--save_summaries_secs=0", f"--train_dir={tmp_path}"]
    assert train.main(flags) == 0
    # Nothing tells how far these are: they have lines by a thread, here at each millisecond.
    monkeypatch.setattr(display._DISPLAY, "_tick_secs", 0.001)
    lines()
    slim.load(tmp_path)
    assert any(line.startswith("reading the checkpoint  ") for line in lines())
    export.export_inference_graph(tmp_path, tmp_path / "model.zip", platforms=["cpu"])
    shown = lines()
    assert any(line.startswith("reading the checkpoint  ") for line in shown)
    assert any(line.startswith("lowering the network for cpu  ") for line in shown)
