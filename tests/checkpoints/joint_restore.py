"""One of several processes that save or restore a state together, each the parts it holds."""

import logging
import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.checkpoints import CheckpointManager, _restore, restore_latest
from jslim.core.errors import RestoreError


def value(step: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(step).standard_normal(shape, np.float32)


SHAPES = {"rows": (24, 5), "columns": (3, 36), "whole": (7,), "many": (48, 1000)}
AXES = {"rows": ("data",), "columns": (None, "data"), "whole": (), "many": ("data",)}


def target() -> dict[str, jax.ShapeDtypeStruct]:
    mesh = Mesh(np.array(jax.devices()), ("data",))
    arrays = {
        name: jax.ShapeDtypeStruct(
            shape, np.float32, sharding=NamedSharding(mesh, PartitionSpec(*AXES[name]))
        )
        for name, shape in SHAPES.items()
    }
    key = jax.eval_shape(lambda: jax.random.key(0))
    place = NamedSharding(mesh, PartitionSpec())
    arrays["key"] = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=place)
    return arrays


def state_of(step: int) -> dict[str, jax.Array]:
    wanted = target()
    state = {
        name: jax.make_array_from_callback(
            shape, wanted[name].sharding, value(step, shape).__getitem__
        )
        for name, shape in SHAPES.items()
    }
    make = jax.jit(lambda: jax.random.key(step), out_shardings=wanted["key"].sharding)
    return state | {"key": make()}


def main():
    task, address, count, index, directory = sys.argv[1:]
    jax.distributed.initialize(address, int(count), int(index))
    if task == "save":
        with CheckpointManager(directory) as checkpoints:
            for step in (1, 2):
                checkpoints.save(step, state_of(step))
            checkpoints.wait()
        return
    if task == "apart":  # each in a directory of its own
        _restore._LAG_SECS = 2.0
        try:
            restore_latest(f"{directory}{index}", target())
        except RestoreError as error:
            print(error, flush=True)
        return
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
    restored = restore_latest(directory, target())
    for name, shape in SHAPES.items():
        array = restored.state[name]
        assert array.sharding == target()[name].sharding
        for shard in array.addressable_shards:
            expected = value(restored.step, shape)[shard.index]
            np.testing.assert_array_equal(shard.data, expected)
    data = jax.random.key_data(restored.state["key"]).addressable_shards[0].data
    np.testing.assert_array_equal(data, jax.random.key_data(jax.random.key(restored.step)))
    print(f"restored {restored.step}", flush=True)


if __name__ == "__main__":
    main()
