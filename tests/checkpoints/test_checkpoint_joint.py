"""What fails in one of several processes that save together is raised in all, at once."""

import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest
from cpu_devices import cpu_devices

from jslim.checkpoints import all_checkpoints

SCRIPT = pathlib.Path(__file__).parent / "joint_failure.py"


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "failing", "message"),
    [
        ("full", 0, "File too large"),
        ("full", 1, "File too large"),
        ("beginning", 0, "File exists"),
    ],
)
def test_an_error_in_one_process_reaches_the_other_at_once(what, failing, message, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, address, str(index), what, str(failing), tmp_path],
            env=os.environ | cpu_devices(1),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        found = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    lines = [next(line for line in out.splitlines() if "saved" in line) for out, _ in found]
    for index, line in enumerate(lines):
        secs, _, given = line.partition(" ")
        assert int(secs) < 30
        assert given.startswith(f"checkpoint {tmp_path / '2'} could not be saved: ")
        if what == "beginning" and index != failing:  # its own part has no directory
            assert re.search("process 0: .*File exists|No such file or directory", given)
            continue
        assert (f"process {failing}: " in given) == (index != failing)
        assert message in given
    assert all_checkpoints(tmp_path) == [str(tmp_path / step) for step in "134"]
