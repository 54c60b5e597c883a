"""Several processes that train as one: how they find each other, and what is said when one dies."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax

from jslim.cli.flags import UsageError
from jslim.learning.signals import ENDING

logger = logging.getLogger("jslim")

_FLAGS = ("coordinator_address", "num_processes", "process_id")

# Reads what the process says until it ends. One that is killed, or aborted by JAX's runtime because
# another is lost, says nothing: there is no way to run Python then.
_WATCHER = """
import sys
if not sys.stdin.read():
    sys.stderr.write(sys.argv[1] + "\\n")
"""


@contextlib.contextmanager
def joined(values: Any, program: str) -> Iterator[None]:
    """While entered, this process is one of those that the flags name, if they name any.

    Args:
      values: The flags `coordinator_address`, `num_processes` and `process_id`, or `distributed`;
        and `heartbeat_timeout_secs`.
      program: What messages call the program.

    Raises:
      UsageError: Some of the flags are given, but not all; or no cluster is found.
      RuntimeError: The other processes do not come.
    """
    given = [name for name in _FLAGS if name in values and values[name].value is not None]
    if not given and not ("distributed" in values and values.distributed):
        if "heartbeat_timeout_secs" in values and values["heartbeat_timeout_secs"].present:
            raise UsageError(
                "--heartbeat_timeout_secs goes with --distributed or --coordinator_address, and "
                "neither is given; drop it"
            )
        yield
        return
    _check(values, given)
    try:
        jax.distributed.initialize(
            values.coordinator_address,
            values.num_processes,
            values.process_id,
            heartbeat_timeout_seconds=values.heartbeat_timeout_secs,
            shutdown_timeout_seconds=values.heartbeat_timeout_secs,
        )
    except ValueError as error:
        raise UsageError(
            f"--distributed: no cluster that JAX knows has started this process ({error}); give "
            "--coordinator_address, --num_processes and --process_id"
        ) from error
    if jax.process_index():
        # What there is to say the first process says.
        logger.setLevel(logging.WARNING)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for number in ENDING:
        # Ends the process by way of Python, once training has saved.
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


def _check(values: Any, given: list[str]) -> None:
    if values.distributed and given:
        raise UsageError(f"--distributed finds out by itself what --{given[0]} says; drop one")
    missing = [f"--{name}" for name in _FLAGS if name not in given]
    if given and missing:
        raise UsageError(f"--{given[0]} goes with {' and '.join(missing)}, which is not given")
    if given and not 0 <= values.process_id < values.num_processes:
        raise UsageError(
            f"--process_id must be below --num_processes={values.num_processes}, got "
            f"{values.process_id}"
        )


def leave(exit_code: int) -> None:
    """Ends a process of several at once if something went wrong.

    At its usual end it would wait for the others, which may wait for it in the middle of a step.
    """
    if exit_code and jax.distributed.is_initialized() and jax.process_count() > 1:
        sys.stderr.flush()
        os._exit(exit_code)
