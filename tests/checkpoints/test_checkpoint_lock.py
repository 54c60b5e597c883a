"""One manager owns a directory, here and among processes, for no longer than it lives."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from jslim.checkpoints import CheckpointManager, _lock, latest_checkpoint, restore

STATE = {"w": np.ones(3, np.float32)}

# Saves, starts a worker that outlives it, and waits to be killed.
HOLDER = """
import os, signal, sys
import numpy as np
from jslim.checkpoints import CheckpointManager
manager = CheckpointManager(sys.argv[1])
manager.save(1, {"w": np.ones(3, np.float32)})
manager.wait()
worker = os.fork()
if worker == 0:
    signal.pause()
print(worker, flush=True)
signal.pause()
"""


@pytest.mark.long
def test_another_process_is_refused_until_it_is_killed_though_its_worker_lives(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
    )
    worker = int(holder.stdout.readline())
    try:
        message = (
            rf"CheckpointManager: {tmp_path} belongs to a run that has not ended: process "
            rf"{holder.pid} on {re.escape(socket.gethostname())} \(since 20.*\) writes to it; wait "
            "for it or end it, or give another directory"
        )
        with pytest.raises(OSError, match=message):
            CheckpointManager(tmp_path)
        assert latest_checkpoint(tmp_path) == str(tmp_path / "1")
        np.testing.assert_array_equal(restore(tmp_path, STATE).state["w"], STATE["w"])
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        os.kill(worker, 0)  # it lives
        CheckpointManager(tmp_path).close()
    finally:
        os.kill(worker, signal.SIGKILL)  # which holds the pipe too
        holder.kill()
        holder.communicate()


def no_flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_second_manager_of_this_process_is_refused_until_the_first_is_closed(
    has_locks, tmp_path, monkeypatch
):
    if not has_locks:
        monkeypatch.setattr(_lock.fcntl, "flock", no_flock)
    first = CheckpointManager(tmp_path)
    for _ in range(2):
        with pytest.raises(OSError, match=rf"another CheckpointManager of this .* \({os.getpid()}"):
            CheckpointManager(tmp_path)
    CheckpointManager(tmp_path / "best").close()
    first.close()
    CheckpointManager(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_lease_is_renewed_while_its_process_lives_and_expires_else(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock.fcntl, "flock", no_flock)
    monkeypatch.setattr(_lock, "_RENEW_SECS", 0.05)
    lease = tmp_path / _lock.LEASE_FILE
    with CheckpointManager(tmp_path):
        os.utime(lease, (0, 0))
        deadline = time.monotonic() + 10
        while not lease.stat().st_mtime and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(OSError, match="belongs to a run that has not ended"):
            CheckpointManager(tmp_path)
    assert not lease.exists()
    lease.write_text('{"host": "elsewhere", "pid": 1, "started": "today"}')
    with pytest.raises(OSError, match=r"process 1 on elsewhere \(since today\)"):
        CheckpointManager(tmp_path)
    os.utime(lease, (0, 0))
    CheckpointManager(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_lease_of_a_dead_process_of_this_machine_does_not_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock.fcntl, "flock", no_flock)
    dead = subprocess.Popen(["true"])
    dead.wait()
    holder = {
        "host": socket.gethostname(),
        "namespace": os.readlink("/proc/self/ns/pid"),
        "pid": dead.pid,
    }
    (tmp_path / _lock.LEASE_FILE).write_text(json.dumps(holder))
    CheckpointManager(tmp_path).close()
    (tmp_path / _lock.LEASE_FILE).write_text(json.dumps({**holder, "pid": os.getpid()}))
    with pytest.raises(OSError, match="belongs to a run that has not ended"):
        CheckpointManager(tmp_path)


def test_a_manager_that_is_forgotten_leaves_the_directory(tmp_path):
    CheckpointManager(tmp_path)
    CheckpointManager(tmp_path).close()


def test_a_directory_that_was_renamed_is_another(tmp_path):
    first = CheckpointManager(tmp_path / "run")
    assert not first.is_lost()
    (tmp_path / "run").rename(tmp_path / "old")
    assert first.is_lost()
    with (
        CheckpointManager(tmp_path / "run"),
        pytest.raises(OSError, match="belongs to a run that has not ended"),
    ):
        first.reopen()
    first.reopen()
    first.save(2, STATE)
    first.close()
    assert latest_checkpoint(tmp_path / "run") == str(tmp_path / "run" / "2")
