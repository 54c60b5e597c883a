"""Every function that takes a path takes the same paths, and refuses the same before it begins."""

import os

import numpy as np
import pytest

import jslim as slim
from jslim import checkpoints, data, evaluation, export, learning, summaries, tf_checkpoint
from jslim.data.array_record import ArrayRecordWriter
from jslim.data.convert import convert_dataset
from jslim.data.labels import read_class_names, read_label_file, write_label_file
from jslim.data.tfrecord import TFRecordFile, TFRecordFiles, TFRecordWriter, read_records

ARRAYS = {"a": np.ones(2, np.float32)}


def train(path):
    op = learning.create_train_op(lambda batch: batch.sum(), slim.optimizers.sgd(1.0))
    learning.train(op, [np.ones(1)], path, number_of_steps=1)


TAKE_PATHS = {
    "CheckpointManager": checkpoints.CheckpointManager,
    "restore": lambda path: checkpoints.restore(path, ARRAYS),
    "restore_latest": lambda path: checkpoints.restore_latest(path, ARRAYS),
    "restore_variables": checkpoints.restore_variables,
    "latest_checkpoint": checkpoints.latest_checkpoint,
    "all_checkpoints": checkpoints.all_checkpoints,
    "checkpoint_step": checkpoints.checkpoint_step,
    "read_contract": checkpoints.read_contract,
    "is_done": checkpoints.is_done,
    "mark_done": lambda path: checkpoints.mark_done(path, 1),
    "clear_done": checkpoints.clear_done,
    "open_checkpoint": checkpoints.open_checkpoint,
    "exists": checkpoints.exists,
    "list_variables": checkpoints.list_variables,
    "load_variables": checkpoints.load_variables,
    "save_safetensors": lambda path: checkpoints.save_safetensors(path, ARRAYS),
    "assign_from_checkpoint": lambda path: slim.assign_from_checkpoint(path, ARRAYS),
    "assign_from_checkpoint_fn": lambda path: slim.assign_from_checkpoint_fn(path, ARRAYS),
    "tf load_checkpoint": tf_checkpoint.load_checkpoint,
    "tf is_checkpoint": tf_checkpoint.is_checkpoint,
    "tf list_variables": tf_checkpoint.list_variables,
    "tf save_checkpoint": lambda path: tf_checkpoint.save_checkpoint(path, ARRAYS),
    "train": train,
    "SummaryWriter": summaries.SummaryWriter,
    "evaluate_once": lambda path: evaluation.evaluate_once(path, None, [], None),
    "evaluate_once logdir": lambda path: evaluation.evaluate_once(
        "not read", None, [], None, logdir=path
    ),
    "evaluation_loop": lambda path: evaluation.evaluation_loop(
        path, print, [], slim.metrics.streaming_accuracy(), timeout=0
    ),
    "evaluation_loop logdir": lambda path: evaluation.evaluation_loop(
        "not read", None, [], None, logdir=path, timeout=0
    ),
    "wait_for_new_checkpoint": lambda path: evaluation.wait_for_new_checkpoint(path, timeout=0),
    "load": slim.load,
    "load_inference_graph": export.load_inference_graph,
    "export_inference_graph": lambda path: export.export_inference_graph("not read", path),
    "export_inference_graph of": lambda path: export.export_inference_graph(path, "x.zip"),
    "export_variables": lambda path: export.export_variables("not read", path),
    "list_images": lambda path: slim.prediction.list_images([path]),
    **{
        f"get_dataset {name}": lambda path, name=name: data.get_dataset(name, "train", path)
        for name in data.DATASET_NAMES
        if name != "digits"
    },
    "FolderDataset": lambda path: data.FolderDataset(path, "train"),
    "get_data_files": data.get_data_files,
    "TFRecordFile": TFRecordFile,
    "TFRecordFiles": TFRecordFiles,
    "TFRecordWriter": TFRecordWriter,
    "read_records": lambda path: list(read_records(path)),
    "ArrayRecordWriter": ArrayRecordWriter,
    "convert_dataset": lambda path: convert_dataset(path, "out"),
    "convert_dataset output": lambda path: convert_dataset("in", path),
    "read_label_file": read_label_file,
    "read_class_names": read_class_names,
    "write_label_file": lambda path: write_label_file({0: "a"}, path),
}


ENDS = {"save_safetensors": ".safetensors", "ArrayRecordWriter": ".array_record"}


@pytest.mark.parametrize("call", TAKE_PATHS.values(), ids=TAKE_PATHS)
def test_what_is_no_path_is_refused_and_nothing_is_written(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, message in (
        ("http://host/x.zip", "must be a (path|directory) on this machine.*, got the URL 'http:/"),
        ("", "is empty; give a path"),
        ("a\0b", "must be a path, without a zero byte"),
        ("~nobody-here/x.zip", "'~nobody-here' is no home directory"),
    ):
        with pytest.raises(ValueError, match=message):
            call(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", TAKE_PATHS)
def test_a_url_is_a_place_in_a_store_and_never_a_folder_here(name, tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    url = store(f"new/x{ENDS.get(name, '.zip')}")
    try:
        opened = TAKE_PATHS[name](url)
        for close in ("discard", "close"):
            getattr(opened, close, lambda: None)()
        if name == "ArrayRecordWriter":
            opened.__exit__(KeyError)
    except (ValueError, OSError, TypeError, AttributeError, ImportError) as error:  # nothing there
        assert "on this machine" not in str(error)  # noqa: PT017
        assert "gs:/b" not in str(error).replace("gs://b", "")  # noqa: PT017
        assert "s3:/b" not in str(error).replace("s3://b", "")  # noqa: PT017
    assert os.listdir(tmp_path) == []
    assert not os.path.exists("/gs")
    assert not os.path.exists("/s3")


def test_a_home_directory_is_one_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with checkpoints.CheckpointManager("~/run") as manager:
        manager.save(1, ARRAYS)
    assert checkpoints.latest_checkpoint("~/run") == str(tmp_path / "run" / "1")
    np.testing.assert_array_equal(checkpoints.load_variables("~/run/1")["a"], ARRAYS["a"])
    assert tf_checkpoint.save_checkpoint("~/m.ckpt", ARRAYS) == str(tmp_path / "m.ckpt")
    assert checkpoints.open_checkpoint("~/m.ckpt").has_tensor("a")
    checkpoints.save_safetensors("~/a.safetensors", ARRAYS)
    assert checkpoints.open_checkpoint("~/a.safetensors").has_tensor("a")
    with TFRecordWriter("~/a.tfrecord") as writer:
        writer.write(b"a")
    assert list(read_records("~/a.tfrecord")) == [b"a"]
    assert data.get_data_files("~/*.tfrecord") == [str(tmp_path / "a.tfrecord")]
    with summaries.SummaryWriter("~/events"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.safetensors", "a.tfrecord", "checkpoint", "events", "m.ckpt.data-00000-of-00001",
        "m.ckpt.index", "run",
    ]  # fmt: skip
