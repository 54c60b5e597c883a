import asyncio
import gc
import pathlib
import resource
import threading
import time
import weakref

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from checkpoint_states import assert_same, make_state, odd_leaves, save_steps
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.checkpoints import (
    CheckpointManager,
    _format,
    _trees,
    all_checkpoints,
    latest_checkpoint,
    restore,
    restore_latest,
)
from jslim.checkpoints._orbax import writing


def steps_in(directory: pathlib.Path) -> list[int]:
    return [int(pathlib.Path(path).name) for path in all_checkpoints(directory)]


def pointers(array: jax.Array) -> list[int]:
    return [shard.data.unsafe_buffer_pointer() for shard in array.addressable_shards]


def test_training_state_comes_back_bit_for_bit(tmp_path):
    state = make_state(3)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, state, data_state={"epoch": 1, "order": [2, 0]}, contract={"size": 28})
    restored = restore(tmp_path, jax.eval_shape(lambda: make_state(0)))
    assert_same(restored.state, state)
    assert restored.data_state == {"epoch": 1, "order": [2, 0]}
    assert restored.contract == {"size": 28}
    assert (restored.step, restored.path) == (3, str(tmp_path / "3"))


def test_every_kind_of_leaf_comes_back_bit_for_bit(tmp_path):
    tree = odd_leaves()
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(0, tree)
    restored = restore(tmp_path, tree)
    assert_same(restored.state, tree)
    assert restored.data_state is None


def test_state_without_any_elements_comes_back(tmp_path):
    tree = {"nothing": np.zeros((2, 0), np.float32)}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(0, tree)
    assert_same(restore(tmp_path, tree).state, tree)


def test_arrays_are_readable_by_orbax_alone(tmp_path):
    save_steps(tmp_path, 4, 8)
    with ocp.CheckpointManager(tmp_path) as manager:
        assert manager.all_steps() == [4, 8]
    tree = ocp.StandardCheckpointer().restore(tmp_path / "8" / "state")
    weights = make_state(8).params["lenet"]["fc2"]["weights"]
    np.testing.assert_array_equal(tree["params"]["lenet"]["fc2"]["weights"], weights)


def test_save_returns_before_the_files_are_written(tmp_path, monkeypatch):
    may_write = threading.Event()
    list_files = _format.list_files

    def list_later(*arguments):
        may_write.wait()
        return list_files(*arguments)

    monkeypatch.setattr(_format, "list_files", list_later)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(1))
        assert latest_checkpoint(tmp_path) is None
        may_write.set()
        checkpoints.wait()
        assert latest_checkpoint(tmp_path) == str(tmp_path / "1")


@pytest.mark.parametrize(("num_devices", "axes"), [(1, ()), (8, ()), (8, ("data",))])
def test_what_is_saved_is_the_state_at_the_call(tmp_path, num_devices, axes):
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec(*axes))
    step = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
    device_state = step({"w": jax.device_put(np.zeros(16_000, np.float32), sharding)})
    buffers = pointers(device_state["w"])
    host_array = np.zeros(10_000, np.float32)
    data_state = {"position": [0]}
    with CheckpointManager(tmp_path) as checkpoints:
        state = {"device": device_state, "host": host_array}
        checkpoints.save(1, state, data_state=data_state)
        device_state = step(device_state)
        host_array += 5
        data_state["position"][0] = 99
    # Donated indeed: the copy for the checkpoint does not hold on to the buffers.
    assert pointers(device_state["w"]) == buffers
    restored = restore(tmp_path, state)
    np.testing.assert_array_equal(restored.state["device"]["w"], np.ones(16_000))
    np.testing.assert_array_equal(restored.state["host"], np.zeros(10_000))
    assert restored.data_state == {"position": [0]}


def test_newest_are_kept(tmp_path):
    save_steps(tmp_path, 0, 1, 2, 3, keep=2)
    assert steps_in(tmp_path) == [2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_newest_are_kept_across_restarts(tmp_path):
    save_steps(tmp_path, 0, 1, 2, keep=3)
    save_steps(tmp_path, 3, keep=3)
    assert steps_in(tmp_path) == [1, 2, 3]


def test_broken_checkpoints_do_not_count_as_kept(tmp_path):
    save_steps(tmp_path, 1, 2, keep=2)
    (tmp_path / "9").mkdir()
    save_steps(tmp_path, 3, keep=2)
    assert steps_in(tmp_path) == [2, 3]
    assert (tmp_path / "9").is_dir()


def test_step_just_saved_is_kept_though_higher_ones_are_there(tmp_path):
    save_steps(tmp_path, 100, 200, keep=2)
    save_steps(tmp_path, 0, keep=2)
    assert steps_in(tmp_path) == [0, 200]


def test_keep_every_secs_keeps_one_for_each_such_time(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    with CheckpointManager(tmp_path, keep=1, keep_every_secs=60) as checkpoints:
        for step in range(8):
            checkpoints.save(step, {"w": np.full(2, step)})
            checkpoints.wait()
            now += 25
    # Saved at 0, 25, 50, 75, 100, 125, 150, 175 seconds: 75 and 150 are the first after 60 each.
    assert steps_in(tmp_path) == [0, 3, 6, 7]


def test_should_save_follows_the_clock(tmp_path, monkeypatch):
    now = 50.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints = CheckpointManager(tmp_path, save_interval_secs=10)
    saved = []
    for step in range(6):
        if checkpoints.should_save():
            checkpoints.save(step, {"w": np.full(2, step)})
            saved.append(step)
        now += 4
    checkpoints.close()
    # At seconds 0, 4, 8, 12, 16, 20 after the start; 20 is less than 10 after 12.
    assert saved == [3]
    assert steps_in(tmp_path) == [3]


def test_interval_of_none_never_saves_and_of_zero_always(tmp_path):
    with CheckpointManager(tmp_path, save_interval_secs=None) as checkpoints:
        assert not checkpoints.should_save()
    with CheckpointManager(tmp_path, save_interval_secs=0) as checkpoints:
        assert checkpoints.should_save()


def test_saving_an_equal_state_again_leaves_the_files_alone(tmp_path):
    save_steps(tmp_path, 1)
    before = (tmp_path / "1" / "meta.json").read_bytes()
    save_steps(tmp_path, 1)
    assert (tmp_path / "1" / "meta.json").read_bytes() == before


def test_saving_another_state_under_the_same_step_replaces_it(tmp_path):
    save_steps(tmp_path, 1)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(2))
    assert_same(restore(tmp_path, make_state(0)).state, make_state(2))
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("kind", ["emptied", "flipped byte"])
def test_broken_step_is_saved_again_when_training_reaches_it(tmp_path, kind, caplog):
    save_steps(tmp_path, 1, 2)
    if kind == "emptied":
        for path in sorted((tmp_path / "2").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    else:
        largest = max((tmp_path / "2" / "state").rglob("*"), key=lambda path: path.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 1
        largest.write_bytes(data)
    assert restore_latest(tmp_path, make_state(0)).step == 1
    caplog.clear()
    save_steps(tmp_path, 2)
    assert_same(restore_latest(tmp_path, make_state(0)).state, make_state(2))
    assert [record.getMessage() for record in caplog.records] == [
        f"checkpoint {tmp_path / '2'} was broken; moved it to 2.broken"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "2.broken"]


def test_second_broken_step_of_a_number_gets_its_own_name(tmp_path):
    for _ in range(2):
        (tmp_path / "2").mkdir()
        (tmp_path / "2" / "note").write_text("not ours")
        save_steps(tmp_path, 2)
        (tmp_path / "2").rename(tmp_path / "elsewhere")
        for path in sorted((tmp_path / "elsewhere").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "elsewhere").rmdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.broken", "2.broken-2"]


def test_leftovers_of_a_killed_process_are_removed_at_the_start(tmp_path):
    save_steps(tmp_path, 1, 2)
    for name in ("3.jslim-unfinished", "0.jslim-deleted", "2.jslim-replaced"):
        (tmp_path / name / "state").mkdir(parents=True)
    # Killed between the two renames of a replacement: the old checkpoint is all there is.
    (tmp_path / "1").rename(tmp_path / "1.jslim-replaced")
    CheckpointManager(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    assert steps_in(tmp_path) == [1, 2]


def test_failed_save_is_raised_and_leaves_the_older_ones(tmp_path):
    save_steps(tmp_path, 1)
    checkpoints = CheckpointManager(tmp_path)
    tmp_path.rename(tmp_path.with_name("moved"))
    checkpoints.save(2, make_state(2))
    with pytest.raises(OSError, match=r"checkpoint .*/2 could not be saved: .*No such file.*; the"):
        checkpoints.wait()
    checkpoints.close()
    assert steps_in(tmp_path.with_name("moved")) == [1]


def test_failed_save_removes_what_it_wrote(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    numbers = np.random.default_rng(0).integers(2**32, size=(1000, 1000), dtype=np.uint32)
    with CheckpointManager(tmp_path) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))  # The disk is full.
        try:
            checkpoints.save(2, {"numbers": numbers})
            with pytest.raises(OSError, match=r"could not be saved: .*File too large"):
                checkpoints.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [path.name for path in tmp_path.iterdir()] == [".jslim-lock"]
        checkpoints.save(3, {"numbers": numbers})
    assert steps_in(tmp_path) == [3]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"step": -1}, ValueError, "step must be 0 or more, got -1"),
        ({"state": {}}, ValueError, "the state holds no arrays"),
        ({"state": {"name": "vgg"}}, TypeError, "leaf 'name' of the state is a str; only arrays"),
        (
            {"state": {"a": {"b": np.ones(1)}, "a.b": np.ones(1)}},
            ValueError,
            "another leaf of the tree is named 'a/b' too",
        ),
        (
            {"state": {"a/b": np.ones(1), "a": np.ones(1)}},
            ValueError,
            "another leaf of the tree is named 'a' too, or lies below that name",
        ),
        ({"data_state": {"x": np.ones(1)}}, TypeError, "data_state is not JSON: Object of type nd"),
        ({"contract": {"rate": float("nan")}}, TypeError, "contract is not JSON: Out of range"),
        ({"contract": {"size": (28, 28)}}, TypeError, "use lists for tuples, and strings for keys"),
        ({"data_state": {"epochs": {1: 2}}}, TypeError, r"come back from JSON changed, as \{'epo"),
    ],
)
def test_save_refuses_what_it_could_not_give_back(tmp_path, arguments, error, message):
    with CheckpointManager(tmp_path) as checkpoints, pytest.raises(error, match=message):
        checkpoints.save(**({"step": 1, "state": {"w": np.ones(1)}} | arguments))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0}, "keep must be at least 1, got 0"),
        ({"save_interval_secs": -1}, "save_interval_secs must be a number of seconds or None"),
        ({"keep_every_secs": -5}, "keep_every_secs must be .* or None, got -5"),
    ],
)
def test_manager_refuses_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        CheckpointManager(tmp_path, **options)


def test_manager_refuses_a_file_as_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"/file is a file; give a directory to save in"):
        CheckpointManager(tmp_path / "file")


def test_bytes_come_back_wherever_they_are(tmp_path):
    position = {
        "loader": b"\0\xff{",
        "parts": [b"", {"jslim/bytes": b"a"}, {"jslim/dict": {"jslim/bytes": "b"}}],
    }
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": np.ones(1)}, data_state=b"all of it")
        checkpoints.save(2, {"w": np.ones(1)}, data_state=position)
    assert restore(tmp_path / "1", {"w": np.ones(1)}).data_state == b"all of it"
    assert restore(tmp_path / "2", {"w": np.ones(1)}).data_state == position


def test_the_first_save_is_read_back_before_it_counts(tmp_path, monkeypatch):
    list_files = _format.list_files

    def list_when_damaged(directory):
        for path in directory.rglob("*"):
            if path.is_file() and path.stat().st_size > 4000:
                path.write_bytes(path.read_bytes().replace(b"wanted", b"broken"))
        return list_files(directory)

    monkeypatch.setattr(_format, "list_files", list_when_damaged)
    state = {"w": np.frombuffer(b"wanted" * 1000, np.uint8)}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        with pytest.raises(OSError, match=r"/1 could not be saved: what was written does not come"):
            checkpoints.wait()
        with pytest.raises(OSError, match="could not be saved: what was written does not come"):
            checkpoints.rehearse(state)
    assert list(tmp_path.iterdir()) == []


def test_the_copy_of_a_state_is_freed_when_it_is_written(tmp_path, monkeypatch):
    copy_to_host, copies = _trees.copy_to_host, []

    def noted(*arguments):
        copied = copy_to_host(*arguments)
        copies.extend(map(weakref.ref, copied.values()))
        return copied

    monkeypatch.setattr(_trees, "copy_to_host", noted)
    with CheckpointManager(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"w": np.ones((100, 100))})
            checkpoints.wait()
            gc.collect()
            assert [copy() for copy in copies] == [None] * step


def test_an_old_checkpoint_that_cannot_be_deleted_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise PermissionError("not yours")

    with CheckpointManager(tmp_path, keep=1) as checkpoints:
        checkpoints.save(1, {"w": np.ones(1)})
        checkpoints.wait()
        monkeypatch.setattr("shutil.rmtree", refuse)
        checkpoints.save(2, {"w": np.ones(1)})
        checkpoints.wait()
        monkeypatch.undo()
    assert f"checkpoint {tmp_path / '1'} could not be deleted: not yours" in caplog.text
    assert steps_in(tmp_path) == [2]


def test_tasks_that_orbax_leaves_are_not_reported(tmp_path, caplog):
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": np.ones(1)})
    loop = asyncio.new_event_loop()
    for running in ("orbax/checkpoint/_src/store.py:158", "own.py:3"):
        message = f"Task was destroyed but it is pending!\ntask: <Task running at /x/{running}>"
        loop.call_exception_handler({"message": message})
    loop.close()
    assert [record.getMessage().split("/x/")[1] for record in caplog.records] == ["own.py:3>"]


def test_a_save_that_cannot_begin_brings_back_what_it_would_replace(tmp_path, monkeypatch):
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": np.ones(1)})
        checkpoints.wait()

        def fail(*_):
            raise OSError("no space")

        monkeypatch.setattr(writing.Writer, "start", fail)
        checkpoints.save(1, {"w": np.zeros(1)})
        with pytest.raises(OSError, match="/1 could not be saved: no space; the checkpoints"):
            checkpoints.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert restore(tmp_path, {"w": np.zeros(1)}).state["w"].tolist() == [1.0]
