"""Checkpoints in buckets of real servers: what holds on a disk holds there."""

import jax
import numpy as np
import pytest
from checkpoint_states import assert_same, make_state, save_steps

from jslim.checkpoints import (
    CheckpointManager,
    all_checkpoints,
    is_done,
    latest_checkpoint,
    list_steps,
    load_variables,
    mark_done,
    restore,
    restore_latest,
)
from jslim.host.paths import as_path

pytestmark = pytest.mark.long


def names(url):
    return sorted(path.name for path in as_path(url, "test").iterdir())


def test_states_come_back_and_old_ones_go(store):
    run = store("run")
    assert latest_checkpoint(run) is None
    save_steps(run, 3, 6, 9, keep=2)
    assert names(run) == ["6", "9"]
    assert all_checkpoints(run) == [f"{run}/6", f"{run}/9"]
    restored = restore_latest(run, jax.eval_shape(lambda: make_state(0)))
    assert_same(restored.state, make_state(9))
    assert (restored.path, restored.data_state) == (f"{run}/9", {"position": 9})
    assert_same(restore(f"{run}/6", make_state(0)).state, make_state(6))
    assert list(load_variables(run, ["lenet/fc2/b"])) == ["lenet/fc2/biases"]
    save_steps(run, 12, keep=2)
    assert [info.step for info in list_steps(run)] == [9, 12]


def test_what_has_no_meta_file_is_no_checkpoint_and_is_cleaned_up(store):
    run = as_path(store("run"), "test")
    save_steps(run, 3, 6)
    (run / "6" / "meta.json").unlink()
    assert latest_checkpoint(run) == f"{run}/3"
    CheckpointManager(run).close()
    assert names(run) == ["3"]


def test_a_damaged_object_is_noticed(store, caplog):
    run = as_path(store("run"), "test")
    save_steps(run, 3, 6)
    for path in [run / "6" / "meta.json", *_objects(run / "6" / "state")]:
        intact = path.read_bytes()
        for damaged in (intact[:-1] + bytes([intact[-1] ^ 0x10]), intact[: len(intact) // 2]):
            path.write_bytes(damaged)
            caplog.clear()
            assert restore_latest(run, make_state(0)).step == 3
            assert f"checkpoint {run}/6 is broken: " in caplog.text
        path.write_bytes(intact)
    assert restore_latest(run, make_state(0)).step == 6


def _objects(folder):
    for path in folder.iterdir():
        if path.is_file():
            yield path
        else:
            yield from _objects(path)


def test_a_step_is_replaced_and_an_equal_one_stays(store, caplog):
    run = store("run")
    with CheckpointManager(run) as checkpoints:
        checkpoints.save(1, {"w": np.ones(3)})
        checkpoints.save(1, {"w": np.ones(3)})
        assert caplog.records == []
        checkpoints.save(1, {"w": np.zeros(3)})
        checkpoints.save(2, {"w": np.zeros(3)})
    assert "/1 is replaced" in caplog.text
    np.testing.assert_array_equal(restore(f"{run}/1", {"w": np.ones(3)}).state["w"], np.zeros(3))
    assert names(run) == ["1", "2"]


def test_marks_of_the_end(store):
    run = store("run")
    assert not is_done(run)
    mark_done(run, 5)
    assert is_done(run)
