"""The processes that read data end with the one that trains, and say nothing of their own."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from jslim import checkpoints

HERE = pathlib.Path(__file__).parent


def is_alive(pid):
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_workers_end_with_their_parent(name, tmp_path):
    number = getattr(signal, name)
    with subprocess.Popen(
        [sys.executable, HERE / "worker_training.py", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert workers, process.stderr.read()
        if name == "SIGINT":
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if name == "SIGINT" else -number)
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, workers))
    assert "Traceback" not in errors
    if name != "SIGKILL":
        assert f"interrupted: step {checkpoints.checkpoint_step(tmp_path)} is saved" in errors
