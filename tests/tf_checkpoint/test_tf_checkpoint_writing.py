"""Checkpoints that are written for TensorFlow: its own bytes for the same arrays.

`python tests/golden/make_tf_slim_training.py PREFIX` lets TF-Slim itself restore one.
"""

import os
import pathlib

import ml_dtypes
import numpy as np
import pytest

from jslim import tf_checkpoint
from jslim.tf_checkpoint import _table

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "tf_checkpoints"


def everything(prefix):
    reader = tf_checkpoint.load_checkpoint(prefix)
    return reader.get_tensors(reader.get_variable_to_shape_map())


def test_written_file_has_tensorflows_bytes(tmp_path):
    theirs = GOLDEN / "tf_slim_v2" / "model.ckpt-5"
    ours = tf_checkpoint.save_checkpoint(tmp_path / "model.ckpt-5", everything(theirs))
    for end in (".data-00000-of-00001",):
        assert pathlib.Path(ours + end).read_bytes() == pathlib.Path(f"{theirs}{end}").read_bytes()
    tables = [_table.Table(pathlib.Path(f"{prefix}.index")) for prefix in (ours, theirs)]
    mine, other = ({key: bytes(value) for key, value in table.items()} for table in tables)
    assert list(mine) == list(other)
    assert mine == other


def test_what_is_written_is_read_back(tmp_path):
    arrays = everything(GOLDEN / "v2" / "model.ckpt-7")
    path = tf_checkpoint.save_checkpoint(tmp_path / "new" / "model.ckpt-0", arrays)
    found = everything(tmp_path / "new")
    assert path == str(tmp_path / "new" / "model.ckpt-0")
    assert list(found) == sorted(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_many_and_large_arrays_make_several_blocks(tmp_path):
    names = [f"scope_{i // 100}/variable_with_a_long_name_{i}/weights" for i in range(6000)]
    arrays = {name: np.full(i % 7, i, np.int32) for i, name in enumerate(names)}
    arrays["large"] = np.random.default_rng(0).normal(size=(300, 1000)).astype(np.float32)
    tf_checkpoint.save_checkpoint(tmp_path / "m", arrays)
    found = everything(tmp_path / "m")
    assert list(found) == sorted(arrays)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    table = _table.Table(tmp_path / "m.index")
    assert len(table._index) > 1
    assert table.get(names[3210].encode()) is not None
    assert table.get(b"zzz") is None
    assert table.get(b"scope_0/nothing") is None


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
        np.float32(3.5),
        np.zeros((3, 0, 2), np.float16),
        np.array(["text", "\u00e9"]),
        np.array([True, False]),
        np.array([1, -2.5], ml_dtypes.bfloat16),
    ],
    ids=str,
)
def test_layouts_and_types(tmp_path, array):
    tf_checkpoint.save_checkpoint(tmp_path / "m", {"a": array})
    found = tf_checkpoint.load_variable(tmp_path / "m", "a")
    wanted = np.char.encode(array) if np.asarray(array).dtype.kind == "U" else array
    assert found.shape == np.shape(array)
    np.testing.assert_array_equal(found, wanted)


def test_a_disk_that_fails_leaves_the_checkpoint_of_that_name(tmp_path, monkeypatch):
    tf_checkpoint.save_checkpoint(tmp_path / "m", {"a": np.ones(3)})
    before = sorted(tmp_path.iterdir())

    def fail(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        tf_checkpoint.save_checkpoint(tmp_path / "m", {"a": np.zeros(3)})
    assert sorted(tmp_path.iterdir()) == before
    np.testing.assert_array_equal(tf_checkpoint.load_variable(tmp_path / "m", "a"), np.ones(3))


def test_state_file_names_the_latest(tmp_path):
    for step in (1, 2):
        tf_checkpoint.save_checkpoint(tmp_path / f"model.ckpt-{step}", {"a": np.zeros(step)})
    tf_checkpoint.save_checkpoint(tmp_path / "other", {"a": np.zeros(9)}, is_latest=False)
    assert tf_checkpoint.load_checkpoint(tmp_path).path == str(tmp_path / "model.ckpt-2")
    assert not list(tmp_path.glob("*unfinished*"))


@pytest.mark.parametrize(
    ("arrays", "error", "text"),
    [
        ({}, ValueError, "save_checkpoint: there are no arrays; give {name: array}"),
        ({"": np.ones(1)}, ValueError, "save_checkpoint: a name must be a string that is not "
         "empty, got ''"),
        ({1: np.ones(1)}, ValueError, "save_checkpoint: a name must be a string that is not "
         "empty, got 1"),
        ({"a": np.array(["2020-01-01"], "datetime64[D]")}, TypeError, "save_checkpoint: a is "
         "datetime64[D], which TensorFlow has no type for; convert it to a type of number, bool or "
         "bytes"),
        ({"a": np.array([{}])}, TypeError, "save_checkpoint: a is object, which TensorFlow"),
        ({"a": {"b": 1}}, TypeError, "save_checkpoint: a must be an array, got a dict; give "
         "{name: array}"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do_and_leave_nothing(tmp_path, arrays, error, text):
    with pytest.raises(error) as raised:
        tf_checkpoint.save_checkpoint(tmp_path / "d" / "m", arrays)
    assert str(raised.value).startswith(text)
    assert not list(tmp_path.iterdir())
