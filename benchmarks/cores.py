"""A CPU's cores as devices: a training step on one, two and more devices of one CPU.

    python -m benchmarks.cores [NETWORK ...] [--devices=1,2] [--rounds=9]

The batches are those of benchmarks.nets. How many devices a CPU is, JAX reads when it starts, so
each number has a process of its own. They take turns; the figure is the median of their times.
"""

import argparse
import contextlib
import pathlib
import subprocess
import sys

import jax
import numpy as np

import jslim as slim
from benchmarks import _measure, nets

_DEFAULT = ("lenet", "cifarnet", "resnet_v1_50", "mobilenet_v2")


def work(name: str, num_devices: int) -> None:
    """Prints the loss of every step, then takes a step for each line that it reads."""
    jax.config.update("jax_num_cpu_devices", num_devices)
    slim.learning.keep_freed_memory()
    shape = nets.shape_of(name, None, None)
    rng = np.random.default_rng(0)
    train_op = slim.learning.create_train_op(
        nets.loss_fn(name), nets.OPTIMIZER(), mesh=slim.learning.data_mesh(num_devices)
    )
    host = {
        "image": rng.normal(size=shape).astype(np.float32),
        "label": rng.integers(nets.NUM_CLASSES, size=shape[0]).astype(np.int32),
    }
    batch = slim.learning.shard_batch(host, train_op.mesh)
    state = train_op.init(0, batch)
    for _ in sys.stdin:
        timer = _measure.Timer()
        state, outputs = train_op(state, batch)
        loss = float(outputs["loss"])
        jax.block_until_ready(state)
        print(loss, *timer.stop(), flush=True)


def run(name: str, counts: list[int], rounds: int) -> None:
    """Prints the lines of one network."""
    command = [sys.executable, "-m", "benchmarks.cores", "--work", name, "--devices"]
    results: dict[int, list[list[float]]] = {count: [] for count in counts}
    with contextlib.ExitStack() as stack:
        workers = {
            count: stack.enter_context(
                subprocess.Popen(
                    [*command, str(count)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=pathlib.Path(__file__).parents[1],
                )
            )
            for count in counts
        }
        for index in range(rounds + 2):
            for count in counts[:: 1 if index % 2 else -1]:
                worker = workers[count]
                assert worker.stdin is not None
                assert worker.stdout is not None
                print(file=worker.stdin, flush=True)
                results[count].append([float(x) for x in worker.stdout.readline().split()])
    # The first step compiles, the second one still finds its memory.
    losses, clock, processor = np.moveaxis(
        np.array([results[count][2:] for count in counts]), -1, 0
    )
    apart = np.max(np.abs(losses / losses[0] - 1))
    for count, times, spent in zip(counts, clock, processor, strict=True):
        ratio = float(np.median(times / clock[0]))
        print(
            f"{name:<16} {count} devices: {np.median(times) * 1e3:7.1f} ms ({ratio:.2f}), "
            f"{np.median(spent) * 1e3:7.1f} ms of processors",
            flush=True,
        )
    print(f"  losses of {rounds} steps differ by {apart:.1e} at most")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default: small and large")
    parser.add_argument("--devices", default="1,2", help="how many, with commas between")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args([] if arguments is None else arguments)
    counts = [int(count) for count in flags.devices.split(",")]
    for name in flags.networks or _DEFAULT:
        work(name, *counts) if flags.work else run(name, counts, flags.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
