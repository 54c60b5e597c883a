"""Several processes that train as one: how they join, and the message when one dies."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import jax

from jslim.cli.flags import ComputingConfig, Config, UsageError, flag
from jslim.learning.signals import ENDING

logger = logging.getLogger("jslim")

_FLAGS = ("coordinator_address", "num_processes", "process_id")

_TPU_LANES = 128  # numbers along the fastest axis of a TPU's arrays

# Reads from the process until it ends, and prints the message if nothing came. A process that is
# killed, or that JAX's runtime aborts because another one is lost, can run no Python any more.
_WATCHER = """
import sys
if not sys.stdin.read():
    sys.stderr.write(sys.argv[1] + "\\n")
"""


@dataclass(frozen=True)
class DevicesConfig(ComputingConfig):
    """Devices and processes.

    Attributes:
      num_clones: How many devices to use, of each process. A CPU is made so many devices.
      dtype: What the layers compute in. Variables, statistics, losses and metrics are float32.
      distributed: Whether this is one of several processes that a cluster (SLURM, Open MPI,
        Kubernetes, Cloud TPU) has started to run as one. Elsewhere give --coordinator_address,
        --num_processes and --process_id.
      coordinator_address: HOST:PORT of process 0, where several processes run as one.
      num_processes: How many processes run as one.
      process_id: Which of --num_processes this is, from 0.
      heartbeat_timeout_secs: After how long a process that has fallen silent is lost, and all
        others end.
    """

    num_clones: int = flag(
        1, least=1, on_resume="may_change", differs="devices of each process; a CPU is made so many"
    )
    dtype: str = flag("float32", choices=("float32", "bfloat16"), on_resume="may_change")
    distributed: bool = flag(False, on_resume="not_kept")
    coordinator_address: str | None = flag(None, on_resume="not_kept")
    num_processes: int | None = flag(None, least=1, on_resume="not_kept")
    process_id: int | None = flag(None, least=0, on_resume="not_kept")
    heartbeat_timeout_secs: int = flag(10, least=1, on_resume="not_kept")


@contextlib.contextmanager
def joined(config: Config, program: str) -> Iterator[None]:
    """Joins the processes that the flags name, if they name any, for the time of the body.

    Args:
      config: The flags.
      program: The name of the program, for messages.

    Raises:
      UsageError: Some of the flags are given, but not all; or no cluster is found.
      RuntimeError: The other processes do not join.
    """
    if not isinstance(config, DevicesConfig) or not _is_one_of_several(config):
        yield
        return
    try:
        jax.distributed.initialize(
            config.coordinator_address,
            config.num_processes,
            config.process_id,
            heartbeat_timeout_seconds=config.heartbeat_timeout_secs,
            shutdown_timeout_seconds=config.heartbeat_timeout_secs,
        )
    except ValueError as error:
        raise UsageError(
            f"--distributed: no cluster that JAX knows has started this process ({error}); give "
            "--coordinator_address, --num_processes and --process_id"
        ) from error
    if jax.process_index():
        # Only the first process prints.
        logger.setLevel(logging.WARNING)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for number in ENDING:
        # Ends the process by an exception of Python, after training has saved.
        if number != signal.SIGINT and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    who = f"{program}: process {jax.process_index()} of {jax.process_count()}"
    todo = "start all of them again to go on from the last checkpoint"
    message = f"{who} has died: it was killed, or another one is lost; {todo}"
    watcher = subprocess.Popen([sys.executable, "-c", _WATCHER, message], stdin=subprocess.PIPE)
    exit_code = 0
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition("\n")[0]
        print(f"{who} ends: another one is lost, or XLA failed ({reason}); {todo}", file=sys.stderr)
        exit_code = 1
        raise
    finally:
        watcher.communicate(b"ended")
        leave(exit_code)


def _is_one_of_several(config: DevicesConfig) -> bool:
    given = {f"--{name}": getattr(config, name) for name in _FLAGS}
    missing = [name for name, value in given.items() if value is None]
    first = next((name for name in given if name not in missing), None)
    if first is None:
        if not config.distributed and "heartbeat_timeout_secs" in config.given:
            raise UsageError(
                "--heartbeat_timeout_secs goes with --distributed or --coordinator_address, and "
                "neither is given; drop it"
            )
        return config.distributed
    if config.distributed:
        raise UsageError(f"--distributed finds out by itself what {first} says; drop one")
    if missing:
        raise UsageError(f"{first} goes with {' and '.join(missing)}, which is not given")
    index, count = given["--process_id"], given["--num_processes"]
    if index >= count:
        raise UsageError(f"--process_id must be below --num_processes={count}, got {index}")
    return True


def advice(config: DevicesConfig, batch_size: int, platform: str) -> Iterator[str]:
    """What the flags cost on an accelerator, a line for each; figures are of docs/scaling.md.

    Args:
      config: The flags.
      batch_size: Of each device.
      platform: Of the devices, 'tpu', 'gpu' or 'cpu'.
    """
    if platform == "cpu":
        return
    if config.dtype == "float32":
        yield (
            "--dtype=float32: a step moves about twice the bytes that it would with "
            "--dtype=bfloat16, which keeps variables and statistics in float32"
        )
    if platform == "tpu" and batch_size % _TPU_LANES:
        yield (
            f"--batch_size={batch_size}: a TPU pads each device's batch to a multiple of "
            f"{_TPU_LANES} where layers have fewer channels than that; a multiple moves no padding"
        )


def leave(exit_code: int) -> None:
    """Ends this process at once if it is one of several and something went wrong.

    A usual end would wait for the others, which may wait for this process in the middle of a step.
    """
    if exit_code and jax.distributed.is_initialized() and jax.process_count() > 1:
        sys.stderr.flush()
        os._exit(exit_code)
