"""Files that ask for memory, time or a device without end, in a process with little memory left."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

OWN_ERRORS = ("RestoreError", "BrokenCheckpoint", "DataError", "UsageError")


@pytest.mark.long
def test_bombs_are_refused_in_time_and_memory(tmp_path):
    """Each with no more than 200 MB of addresses beyond those of the process after its imports."""
    program = pathlib.Path(__file__).with_name("bombs.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path],
        env=os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) > 50
    wrong = [line for line in found if not line[1].startswith(OWN_ERRORS) or line[2] > 1]
    assert wrong == []
    directories = [line for line in found if str(tmp_path) not in line[1]]
    assert directories == []
