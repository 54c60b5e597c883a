"""One run owns a folder of a bucket: the object that says so, its renewal, and its end."""

import json
import logging
import multiprocessing
import os
import socket
import threading
import time

import numpy as np
import pytest

from jslim.checkpoints import CheckpointManager, _lease, restore
from jslim.host.paths import as_path

pytestmark = pytest.mark.long


def lease_of(run):
    return as_path(run, "test") / ".jslim-lease"


def elsewhere(renewals=0):
    """A holder of which nobody here can tell whether it lives."""
    holder = {"host": "elsewhere", "pid": 7, "started": "then", "token": "a", "namespace": ""}
    return json.dumps(holder | {"renewals": renewals}).encode()


def test_a_second_run_is_refused_until_the_first_leaves(store):
    run = store("run")
    with CheckpointManager(run) as checkpoints:
        checkpoints.save(1, {"w": np.ones(3)})
        with pytest.raises(OSError, match=r"another CheckpointManager of this process"):
            CheckpointManager(run)
        assert lease_of(run).is_file()
    assert not lease_of(run).exists()
    CheckpointManager(run).close()


def hold(run, sender):
    manager = CheckpointManager(run)
    sender.send(os.getpid())
    threading.Event().wait(60)
    manager.close()


def test_a_live_process_is_respected_and_a_killed_one_does_not_block(store, monkeypatch):
    monkeypatch.setattr(_lease, "_EXPIRE_SECS", 5.0)
    run = store("run")
    processes = multiprocessing.get_context("spawn")
    receiver, sender = processes.Pipe(duplex=False)
    holder = processes.Process(target=hold, args=(run, sender))
    holder.start()
    try:
        assert receiver.poll(60)
        pid = receiver.recv()
        # Its next renewal, within ten seconds, is the sign of its life.
        monkeypatch.setattr(_lease, "_EXPIRE_SECS", 30.0)
        with pytest.raises(OSError, match=f"process {pid} on {socket.gethostname()} "):
            CheckpointManager(run)
    finally:
        holder.kill()
        holder.join()
    started = time.monotonic()
    with CheckpointManager(run) as checkpoints:
        assert time.monotonic() - started < 5
        checkpoints.save(1, {"w": np.ones(3)})


def test_a_lease_of_another_machine_is_taken_over_when_it_is_not_renewed(
    store, monkeypatch, caplog
):
    caplog.set_level(logging.WARNING, "jslim")
    monkeypatch.setattr(_lease, "_EXPIRE_SECS", 2.0)
    run = store("run")
    lease_of(run).write_bytes(elsewhere())
    started = time.monotonic()
    with CheckpointManager(run) as checkpoints:
        assert time.monotonic() - started > 2
        checkpoints.save(1, {"w": np.ones(3)})
    assert "was not left by process 7 on elsewhere; waiting up to 2 s" in caplog.text
    assert restore(run, {"w": np.zeros(3)}).step == 1
    assert sorted(path.name for path in as_path(run, "test").iterdir()) == ["1"]


def test_a_lease_that_is_renewed_is_respected(store, monkeypatch):
    monkeypatch.setattr(_lease, "_EXPIRE_SECS", 8.0)
    run = store("run")
    lease_of(run).write_bytes(elsewhere())
    threading.Timer(2, lambda: lease_of(run).write_bytes(elsewhere(renewals=1))).start()
    with pytest.raises(OSError, match=r"process 7 on elsewhere \(since then\) writes to it"):
        CheckpointManager(run)


def test_a_run_whose_folder_was_taken_over_saves_no_more(store):
    run = store("run")
    with CheckpointManager(run) as checkpoints:
        checkpoints.save(1, {"w": np.ones(3)})
        checkpoints.wait()
        lease_of(run).write_bytes(elsewhere())
        checkpoints.save(2, {"w": np.ones(3)})
        with pytest.raises(OSError, match=r"/2 could not be saved: .*process 7 on elsewhere"):
            checkpoints.wait()
    assert restore(run, {"w": np.zeros(3)}).step == 1
    assert lease_of(run).read_bytes() == elsewhere()


def test_a_folder_that_was_deleted_is_lost(store, monkeypatch):
    monkeypatch.setattr(_lease, "_RENEW_SECS", 0.2)
    run = store("run")
    with CheckpointManager(run) as checkpoints:
        time.sleep(1)
        assert not checkpoints.is_lost()
        lease_of(run).unlink()
        time.sleep(1)
        assert checkpoints.is_lost()
        checkpoints.reopen()
        checkpoints.save(1, {"w": np.ones(3)})
    assert restore(run, {"w": np.zeros(3)}).step == 1
