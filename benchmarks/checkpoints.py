"""Checkpoints against plain Orbax, and what a restore takes of a process.

    python -m benchmarks.checkpoints [--millions=25,250] [--directory=DIR or URL] [--pairs=5]
    python -m benchmarks.checkpoints --parts    # ResNet-50 with Adam in 4 processes

Both sides save the same arrays without compression and restore them into NumPy arrays. Orbax's side
is its `CheckpointManager`; it compares nothing, ours the sums of all arrays. `blocks` is what
training waits for a save; `save` until it is on the disk.
"""

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jslim as slim
from benchmarks._measure import Cost, Timer, compare, show
from jslim import checkpoints
from jslim.core.trees import PyTree
from jslim.host.files import remove_tree
from jslim.host.paths import as_path
from jslim.nets import nets_factory

PROCESSES = 4


def shapes() -> dict[str, tuple[int, ...]]:
    """The variables of ResNet-50, 25.6 million numbers."""
    model = slim.Model(nets_factory.get_network_fn("resnet_v1_50", 1000, is_training=False))
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    tree = jax.eval_shape(model.init, jax.random.key(0), images)
    leaves = jax.tree_util.tree_leaves_with_path(tree["params"])
    return {jax.tree_util.keystr(path, simple=True, separator="_"): a.shape for path, a in leaves}


def state_of(millions: int) -> dict[str, np.ndarray]:
    """As many numbers, in arrays of ResNet-50's shapes."""
    numbers = np.random.default_rng(0)
    return {
        f"{name}_{copy}": numbers.standard_normal(shape, np.float32)
        for copy in range(round(millions / 25))
        for name, shape in shapes().items()
    }


class Ours:
    """jslim's manager."""

    def __init__(self, directory: str, state: PyTree) -> None:
        self._manager = checkpoints.CheckpointManager(directory, keep=1)
        self._directory = directory
        self._state = state
        self._step = 0

    def save(self) -> tuple[Cost, Cost]:
        self._step += 1
        timer = Timer()
        self._manager.save(self._step, self._state)
        blocked = timer.stop()
        self._manager.wait()
        return blocked, timer.stop()

    def restore(self) -> Cost:
        timer = Timer()
        checkpoints.restore(f"{self._directory}/{self._step}", self._state)
        return timer.stop()

    def close(self) -> None:
        self._manager.close()


class Theirs:
    """Orbax's manager."""

    def __init__(self, directory: str, state: PyTree) -> None:
        handler = ocp.PyTreeCheckpointHandler(use_compression=False)
        policy = ocp.checkpoint_managers.LatestN(1)
        self._manager = ocp.CheckpointManager(
            as_path(directory, "benchmark"),
            options=ocp.CheckpointManagerOptions(preservation_policy=policy),
            item_handlers={"state": handler},
        )
        self._state = state
        self._step = 0

    def save(self) -> tuple[Cost, Cost]:
        self._step += 1
        timer = Timer()
        arguments = ocp.args.Composite(state=ocp.args.PyTreeSave(self._state))
        self._manager.save(self._step, args=arguments)
        blocked = timer.stop()
        self._manager.wait_until_finished()
        return blocked, timer.stop()

    def restore(self) -> Cost:
        restore_args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), self._state)
        timer = Timer()
        request = ocp.args.PyTreeRestore(item=self._state, restore_args=restore_args)
        self._manager.restore(self._step, args=ocp.args.Composite(state=request))
        return timer.stop()

    def close(self) -> None:
        self._manager.close()


def compare_managers(millions: int, directory: str, pairs: int) -> None:
    """Prints the three ratios for one size and place."""
    state = state_of(millions)
    place = as_path(directory, "benchmark")
    sides = [Ours(str(place / "ours"), state), Theirs(str(place / "orbax"), state)]
    try:
        for side in sides:
            side.save()  # the first is slower, and ours is read back
        where = directory.partition("://")[0] if "://" in directory else "disk"
        ours, orbax = sides
        measured = {
            "blocks": (lambda: ours.save()[0], lambda: orbax.save()[0]),
            "save": (lambda: ours.save()[1], lambda: orbax.save()[1]),
            "restore": (ours.restore, orbax.restore),
        }
        for what, (first, second) in measured.items():
            ratio, _ = compare(first, second, pairs)
            spread = f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            first_secs, second_secs = f"{ratio.first:.3f} s", f"{ratio.second:.3f} s"
            show(f"{where} {millions} M: {what}", first_secs, second_secs, spread, "at most 1.1")
    finally:
        for side in sides:
            side.close()
        remove_tree(place / "ours")
        remove_tree(place / "orbax")


def adam_state() -> PyTree:
    """ResNet-50 with both moments of Adam, split along each array's largest axis that divides."""
    mesh = Mesh(np.array(jax.devices()), ("data",))

    def describe(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        axes = [axis for axis, size in enumerate(shape) if size % PROCESSES == 0]
        spec: list[str | None] = [None] * len(shape)
        if axes:
            spec[max(axes, key=lambda axis: shape[axis])] = "data"
        split = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.ShapeDtypeStruct(shape, np.float32, sharding=split)

    described = {name: describe(shape) for name, shape in shapes().items()}
    return dict.fromkeys(("params", "mu", "nu"), described)


def filled(leaf: jax.ShapeDtypeStruct) -> jax.Array:
    """An array of a shape and sharding."""
    whole = np.random.default_rng(leaf.size).standard_normal(leaf.shape, np.float32)
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda index: whole[index])


def one_process(index: int, address: str, directory: str, is_saving: bool) -> None:
    """Saves or restores together with the others; prints what the restore took of memory."""
    jax.distributed.initialize(address, PROCESSES, index)
    target = adam_state()
    size = 4 * sum(leaf.size for leaf in jax.tree.leaves(target))
    if is_saving:
        with checkpoints.CheckpointManager(directory) as manager:
            manager.save(1, jax.tree.map(filled, target))
            manager.wait()
        return
    before = _resident()
    _forget_peak()
    started, read = time.perf_counter(), _bytes_read()
    restored = checkpoints.restore(directory, target)
    seconds = time.perf_counter() - started
    jax.block_until_ready(restored.state)
    held = (_peak() - before) / size
    print(
        f"process {index}: {seconds:.1f} s, {(_bytes_read() - read) / size:.2f} of the state read, "
        f"at most {held:.2f} of it more in memory",
        flush=True,
    )


def _status(name: str) -> int:
    (line,) = (
        line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if name in line
    )
    return int(line.split()[1]) * 1024


def _resident() -> int:
    return _status("VmRSS:")


def _peak() -> int:
    return _status("VmHWM:")


def _forget_peak() -> None:
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def _bytes_read() -> int:
    fields = pathlib.Path("/proc/self/io").read_text().split()
    return int(fields[fields.index("rchar:") + 1])


def measure_parts(directory: str) -> int:
    """A state that is spread over processes: who reads and holds how much of it."""
    for is_saving in (True, False):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        flags = ["--saves"] if is_saving else []
        command = [sys.executable, "-m", "benchmarks.checkpoints", f"--directory={directory}"]
        running = [
            subprocess.Popen(
                [*command, f"--process={index}", f"--address={address}", *flags],
                env={
                    **os.environ,
                    "JAX_PLATFORMS": "cpu",
                    "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
                },
                stderr=subprocess.DEVNULL,
            )
            for index in range(PROCESSES)
        ]
        if max(process.wait() for process in running):
            return 1
    names = list(shapes())[:3]
    before = _bytes_read()
    checkpoints.load_variables(directory, [f"{name}$" for name in names])
    whole = sum(
        path.stat().st_size for path in pathlib.Path(directory).rglob("*") if path.is_file()
    )
    share = (_bytes_read() - before) / whole
    print(f"{len(names)} of {3 * len(shapes())} arrays: {share:.4f} of the bytes read")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", default="25", help="sizes, in millions of numbers")
    parser.add_argument("--directory", help="a directory or URL; a temporary one by default")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--process", type=int)
    parser.add_argument("--address")
    parser.add_argument("--saves", action="store_true")
    given = parser.parse_args()
    if given.process is not None:
        one_process(given.process, given.address, given.directory, given.saves)
        return 0
    temporary = tempfile.mkdtemp()
    try:
        directory = given.directory or temporary
        if given.parts:
            return measure_parts(directory)
        for millions in given.millions.split(","):
            compare_managers(int(millions), directory, given.pairs)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
