"""Killed at any moment, also in the middle of a save, a run ends as if it had not been."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import small_training

from jslim import checkpoints, summaries

HERE = pathlib.Path(__file__).parent


@pytest.mark.long
def test_a_run_killed_twenty_times_ends_bit_identical_to_one_never_stopped(tmp_path):
    killed = subprocess.run(
        [sys.executable, HERE / "kill_training.py", tmp_path / "killed", "20", "1"],
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    kills = [json.loads(line) for line in killed.stdout.splitlines()]
    assert len(kills) == 20
    # The kills hit what they are meant to hit: saves under way, and runs before their first step.
    assert any(name.endswith(".orbax-checkpoint-tmp") for kill in kills for name in kill["left"])
    assert any(kill["steps"] == 0 for kill in kills)
    reached = checkpoints.checkpoint_step(tmp_path / "killed")
    assert reached > 20
    last_step = reached + 10
    options = {"save_interval_secs": 1e9, "log_every_n_steps": 1}
    resumed = small_training.run(tmp_path / "killed", last_step, **options)
    unbroken = small_training.run(tmp_path / "unbroken", last_step, **options)
    expected = small_training.leaves(unbroken)
    for name, leaf in small_training.leaves(resumed).items():
        np.testing.assert_array_equal(leaf, expected[name], err_msg=name)
    rows = losses_of(tmp_path / "killed")
    assert [step for step, _ in rows] == [*range(1, last_step + 1)]
    assert rows == losses_of(tmp_path / "unbroken")


def losses_of(directory):
    return [
        (row["step"], row["total_loss"]) for row in summaries.read_rows(directory / "metrics.jsonl")
    ]
