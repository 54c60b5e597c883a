import json
import logging
import pathlib
import re
import shutil
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_states import assert_same, make_state, save_steps
from flax import traverse_util
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.checkpoints import (
    CheckpointManager,
    all_checkpoints,
    checkpoint_step,
    clear_done,
    is_done,
    latest_checkpoint,
    list_variables,
    load_variables,
    mark_done,
    read_contract,
    restore,
    restore_latest,
    restore_variables,
)
from jslim.core.errors import RestoreError


def on_mesh(num_devices: int, *axes: str) -> NamedSharding:
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("data",))
    return NamedSharding(mesh, PartitionSpec(*axes))


def test_latest_checkpoint_of_nothing_is_none(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "not there") is None
    assert all_checkpoints(tmp_path / "not there") == []
    assert restore_latest(tmp_path, make_state()) is None
    assert restore_latest(tmp_path / "not there", make_state()) is None


def test_latest_checkpoint_orders_by_number(tmp_path):
    save_steps(tmp_path, 9, 10, 100)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "100")
    assert all_checkpoints(tmp_path) == [str(tmp_path / name) for name in ("9", "10", "100")]
    assert checkpoint_step(tmp_path / "9") == 9
    assert checkpoint_step(tmp_path) == 100


@pytest.mark.long
@pytest.mark.parametrize(
    "damage",
    [
        lambda step: shutil.rmtree(step / "state"),
        lambda step: (step / "meta.json").unlink(),
        lambda step: (step / "meta.json").write_text("{"),
        lambda step: (shutil.rmtree(step), step.mkdir()),
        lambda step: (step / "state" / "manifest.ocdbt").write_bytes(b""),
        lambda step: step.rename(step.with_name("6.jslim-unfinished")),
    ],
)
def test_latest_checkpoint_passes_over_what_is_not_whole(tmp_path, damage):
    save_steps(tmp_path, 3, 6)
    damage(tmp_path / "6")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "3")
    assert all_checkpoints(tmp_path) == [str(tmp_path / "3")]
    assert restore_latest(tmp_path, make_state(0)).step == 3


def test_checkpoint_moved_elsewhere_is_still_one(tmp_path):
    save_steps(tmp_path / "train", 3)
    (tmp_path / "train" / "3").rename(tmp_path / "best")
    assert_same(restore(tmp_path / "best", make_state(0)).state, make_state(3))
    assert checkpoint_step(str(tmp_path / "best")) == 3


def test_contract_is_read_from_a_directory_or_a_step(tmp_path):
    save_steps(tmp_path, 3, 6)
    assert read_contract(tmp_path) == {"network": "lenet", "step": 6}
    assert read_contract(tmp_path / "3") == {"network": "lenet", "step": 3}


def test_restore_names_every_difference_at_once(tmp_path):
    state = make_state(3)
    save_steps(tmp_path, 3)
    lenet = dict(state.params["lenet"])
    lenet["fc3"] = lenet.pop("fc2")
    lenet["conv1"] = {"weights": jnp.zeros((3, 3, 1, 4)), "biases": jnp.zeros(4, jnp.float16)}
    target = state.replace(params={"lenet": lenet}, rng=jax.random.key(0, impl="rbg"))
    with pytest.raises(RestoreError) as error:
        restore(tmp_path, target)
    first, *lines = str(error.value).splitlines()
    assert first == (
        f"checkpoint {tmp_path / '3'} does not fit the state it is to be restored into, "
        "in 7 of its leaves:"
    )
    fc2 = "params/lenet/fc2/"
    fc3 = "params/lenet/fc3/"
    assert lines == [
        "  params/lenet/conv1/biases: float16 (4,) in the state, float32 (4,) in the checkpoint",
        "  params/lenet/conv1/weights: float32 (3, 3, 1, 4) in the state, "
        "float32 (5, 5, 1, 4) in the checkpoint",
        f"  {fc2}biases: float32 (10,) in the checkpoint, not in the state",
        f"  {fc2}weights: float32 (16, 10) in the checkpoint, not in the state",
        f"  {fc3}biases: float32 (10,) in the state, not in the checkpoint; "
        f"did you mean '{fc2}biases' or '{fc2}weights'?",
        f"  {fc3}weights: float32 (16, 10) in the state, not in the checkpoint; "
        f"did you mean '{fc2}weights' or '{fc2}biases'?",
        "  rng: uint32 (4,) of a random key (rbg) in the state, "
        "uint32 (2,) of a random key (threefry2x32) in the checkpoint",
    ]


def test_many_differences_are_grouped_and_found_fast(tmp_path):
    names = [f"block{i}/unit_{j}/conv{k}" for i in range(4) for j in range(10) for k in range(4)]
    flat = {f"net/{name}/weights": np.ones(1, np.float32) for name in names}
    params = traverse_util.unflatten_dict(flat, sep="/")
    state = {"params": params, "opt_state": {"0": {"trace": params}}, "rng": np.zeros(2)}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, state)
    target = {
        "params": params,
        "opt_state": {"0": {"mu": params, "nu": params}},
        "rng": np.zeros(3),
    }
    started = time.process_time()
    with pytest.raises(RestoreError) as error:
        restore(tmp_path, target)
    assert time.process_time() - started < 2
    first = ", ".join(f"block0/unit_0/conv{k}/weights" for k in range(3))
    slots = f"{first}, and 157 more"
    assert str(error.value).splitlines() == [
        f"checkpoint {tmp_path / '3'} does not fit the state it is to be restored into, in 481 of "
        "its leaves:",
        f"  opt_state/0/mu/net/: 160 in the state, not in the checkpoint: {slots}",
        f"  opt_state/0/nu/net/: 160 in the state, not in the checkpoint: {slots}",
        f"  opt_state/0/trace/net/: 160 in the checkpoint, not in the state: {slots}",
        "  rng: float64 (3,) in the state, float64 (2,) in the checkpoint",
    ]


def test_differences_in_more_places_than_lines_are_one(tmp_path):
    many = {f"net_{i}": {"w": np.ones(1), "b": np.ones(1)} for i in range(30)}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, {"params": {"w": np.ones(1)}})
    with pytest.raises(RestoreError) as error:
        restore(tmp_path, {"params": {"w": np.ones(1)}, **many})
    assert str(error.value).splitlines()[1:] == [
        "  60 in the state, not in the checkpoint: net_0/b, net_0/w, net_1/b, and 57 more"
    ]


def test_restore_latest_does_not_go_back_for_another_model(tmp_path):
    save_steps(tmp_path, 3)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(6, {"params": {"w": jnp.ones(2)}})
    with pytest.raises(RestoreError, match="/6 does not fit the state it is to be restored into"):
        restore_latest(tmp_path, make_state(0))


@pytest.mark.parametrize(("saved_on", "restored_on"), [(8, 1), (1, 8), (8, 4)])
def test_number_of_devices_may_change(tmp_path, saved_on, restored_on):
    state = make_state(3)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, jax.device_put(state, on_mesh(saved_on)))
    sharding = on_mesh(restored_on)
    restored = restore(tmp_path, jax.eval_shape(lambda: make_state(0)), sharding).state
    assert_same(restored, state)
    assert all(leaf.sharding == sharding for leaf in jax.tree.leaves(restored))


def test_arrays_spread_over_devices_come_back_elsewhere(tmp_path):
    values = np.arange(64, dtype=np.float32).reshape(16, 4)
    state = {"sharded": jax.device_put(values, on_mesh(8, "data")), "whole": jnp.ones(3)}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, state)
    places = {"sharded": on_mesh(2, None, "data"), "whole": on_mesh(2)}
    restored = restore(tmp_path, state, places).state
    np.testing.assert_array_equal(restored["sharded"], values)
    assert {name: leaf.sharding for name, leaf in restored.items()} == places


def test_restore_puts_leaves_where_those_of_the_target_lie(tmp_path):
    save_steps(tmp_path, 3)
    target = make_state(0)
    on_third = jax.device_put(target.batch_stats, jax.devices()[3])
    described = jax.ShapeDtypeStruct((), jnp.int32, sharding=on_mesh(8))
    restored = restore(tmp_path, target.replace(batch_stats=on_third, step=described)).state
    assert_same(restored, make_state(3))
    statistics = jax.tree.leaves(restored.batch_stats)
    assert all(leaf.devices() == {jax.devices()[3]} for leaf in statistics)
    assert restored.step.sharding == on_mesh(8)
    # An uncommitted leaf stays one, so that it may be computed with on any device.
    assert not restored.rng.committed
    assert not restored.params["lenet"]["fc2"]["weights"].committed


def test_variables_are_restored_without_a_target(tmp_path):
    state = make_state(3)
    expected = {"params": state.params, "batch_stats": state.batch_stats}
    ema = jax.tree.map(lambda x: x + jnp.ones((), x.dtype), expected)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, state.replace(ema_params=ema))
    assert_same(restore_variables(tmp_path), jax.tree.map(np.asarray, expected))
    found = restore_variables(tmp_path / "3", use_ema=True)
    assert_same(found, jax.tree.map(np.asarray, ema))


def test_variables_of_a_net_without_batch_norm_have_empty_statistics(tmp_path):
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(0, {"params": {"w": np.ones(2, np.float32)}, "batch_stats": {}})
    found = restore_variables(tmp_path)
    assert_same(found, {"params": {"w": np.ones(2, np.float32)}, "batch_stats": {}})


def test_variables_that_are_not_there_are_an_error(tmp_path):
    save_steps(tmp_path, 3)
    with pytest.raises(
        RestoreError, match=r"/3 holds no ema_params/params; it was trained without moving averages"
    ):
        restore_variables(tmp_path, use_ema=True)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(6, {"weights": np.ones(2)})
    with pytest.raises(RestoreError, match=r"/6 holds no params; it was not saved from a training"):
        restore_variables(tmp_path)


def test_variables_are_listed_by_their_tf_slim_names(tmp_path):
    save_steps(tmp_path, 3)
    listed = list_variables(tmp_path)
    assert ("lenet/conv1/weights", (5, 5, 1, 4), "float32") in listed
    assert ("lenet/half/weights", (3, 2), "bfloat16") in listed
    assert ("lenet/conv1/BatchNorm/moving_mean", (4,), "float32") in listed
    assert ("step", (), "int32") in listed
    assert ("rng", (2,), "uint32") in listed
    assert ("opt_state/1/0/mu/lenet/fc2/biases", (10,), "float32") in listed
    assert len(listed) == 5 + 2 + 1 + 1 + (1 + 5 + 5)


def test_names_that_meet_keep_their_collection(tmp_path):
    tree = {"step": np.ones(1), "params": {"step": np.ones(2), "w": np.ones(3)}}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(0, tree)
    shapes = {name: shape for name, shape, _ in list_variables(tmp_path)}
    assert shapes == {"step": (1,), "params/step": (2,), "w": (3,)}


def test_variables_are_loaded_by_name_and_by_pattern(tmp_path):
    save_steps(tmp_path, 3)
    state = make_state(3)
    loaded = load_variables(tmp_path, ["step", "lenet/fc2", ".*/moving_mean", "rng"])
    assert list(loaded) == [
        "step",
        "lenet/fc2/biases",
        "lenet/fc2/weights",
        "lenet/conv1/BatchNorm/moving_mean",
        "rng",
    ]
    assert loaded["step"] == 3
    np.testing.assert_array_equal(
        loaded["lenet/fc2/weights"], state.params["lenet"]["fc2"]["weights"]
    )
    np.testing.assert_array_equal(loaded["rng"], jax.random.key_data(state.rng))
    assert load_variables(tmp_path).keys() == {name for name, *_ in list_variables(tmp_path)}
    assert load_variables(tmp_path, []) == {}


def test_loading_a_variable_that_is_not_there_offers_the_nearest(tmp_path):
    save_steps(tmp_path, 3)
    with pytest.raises(
        RestoreError,
        match=r"no variable that starts like 'lenet/fc3/weights'; did you mean 'lenet/fc2/weights'",
    ):
        load_variables(tmp_path, ["lenet/fc3/weights"])
    with pytest.raises(TypeError, match="names must be a list of names, got 'step'"):
        load_variables(tmp_path, "step")


def bytes_read() -> int:
    counters = pathlib.Path("/proc/self/io").read_text()
    return int(re.search(r"rchar: (\d+)", counters)[1])


def test_loading_some_variables_reads_no_others(tmp_path):
    numbers = np.random.default_rng(0)
    params = {f"fc{i}": {"weights": numbers.normal(size=(500, 250))} for i in range(12)}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(0, {"params": params})
    load_variables(tmp_path, ["fc1/"])  # So that what is read once, such as imports, is read.
    before = bytes_read()
    loaded = load_variables(tmp_path, ["fc3/", "fc7/"])
    read = bytes_read() - before
    np.testing.assert_array_equal(loaded["fc7/weights"], params["fc7"]["weights"])
    assert read < 1.1 * 2 * 500 * 250 * 8  # Two of twelve million bytes.


def test_flipped_byte_is_an_error_only_for_the_variable_it_is_in(tmp_path):
    params = {name: np.random.default_rng(0).normal(size=100_000) for name in "ab"}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(0, {"params": params})
    largest = max((tmp_path / "0" / "state").rglob("*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 4] ^= 1
    largest.write_bytes(data)
    errors = []
    for name, expected in params.items():
        try:
            np.testing.assert_array_equal(load_variables(tmp_path, [name])[name], expected)
        except RestoreError as error:
            errors.append(str(error))
            broken = name
    path = tmp_path / "0"
    assert errors == [f"checkpoint {path} is broken: params/{broken} does not match its checksum."]


def test_restore_says_what_is_wrong_with_a_path(tmp_path):
    with pytest.raises(RestoreError, match=r"no checkpoint at .*/nowhere: no such file or dir"):
        restore(tmp_path / "nowhere", make_state())
    with pytest.raises(
        RestoreError, match=r"is not a jslim checkpoint, nor one of TensorFlow; give a"
    ):
        restore(tmp_path, make_state())
    (tmp_path / "7").mkdir()
    (tmp_path / "9").mkdir()
    with pytest.raises(
        RestoreError, match=r"none of the 2 .* is whole; of the newest, 9, meta.json is mi"
    ):
        read_contract(tmp_path)


def test_restore_latest_lists_all_when_all_are_broken(tmp_path):
    save_steps(tmp_path, 3, 6)
    (tmp_path / "3" / "meta.json").unlink()
    (tmp_path / "6" / "state" / "_METADATA").unlink()
    with pytest.raises(RestoreError) as error:
        restore_latest(tmp_path, make_state())
    assert str(error.value).splitlines() == [
        f"none of the 2 checkpoints in {tmp_path} can be restored:",
        f"  checkpoint {tmp_path / '6'} is broken: state/_METADATA is missing.",
        f"  checkpoint {tmp_path / '3'} is broken: meta.json is missing.",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "6"]


def test_checkpoint_of_a_newer_format_is_refused(tmp_path):
    save_steps(tmp_path, 3)
    path = tmp_path / "3" / "meta.json"
    body = json.loads(path.read_text())["body"]
    body |= {"format": 3, "jslim_version": "7.0"}
    crc32 = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    path.write_text(json.dumps({"crc32": crc32, "body": body}))
    with pytest.raises(
        RestoreError, match=r"/3 has format 3, written by jslim 7.0; this jslim reads up to for"
    ):
        restore_latest(tmp_path, make_state())


def test_orbax_logs_nothing_and_other_loggers_are_left_alone(tmp_path, caplog):
    absl_logger = logging.getLogger("absl")
    caplog.set_level(logging.DEBUG)
    level, filters = absl_logger.level, list(absl_logger.filters)
    save_steps(tmp_path, 3, 6)
    restore_latest(tmp_path, make_state())
    load_variables(tmp_path, ["lenet/fc2"])
    absl_logger.warning("someone else's")
    assert [r.getMessage() for r in caplog.records if r.name == "absl"] == ["someone else's"]
    assert (absl_logger.level, absl_logger.filters) == (level, filters)


def test_done_mark_is_set_and_cleared(tmp_path):
    directory = tmp_path / "train"
    assert not is_done(directory)
    clear_done(directory)
    mark_done(directory, 500)
    assert is_done(directory)
    assert json.loads((directory / "training_done.json").read_text())["step"] == 500
    assert latest_checkpoint(directory) is None
    clear_done(directory)
    assert not is_done(directory)
    assert list(directory.iterdir()) == []
