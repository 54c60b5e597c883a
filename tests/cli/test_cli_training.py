"""Flags of train.py for precision, memory, clipping, schedules and profiles."""

import re

import numpy as np
import pytest

from jslim import checkpoints
from jslim.cli import evaluate, train

DIGITS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=16", "--max_number_of_steps=8", "--log_every_n_steps=4",
]  # fmt: skip


def run(directory, *flags):
    assert train.main([*DIGITS, f"--train_dir={directory}", *flags]) == 0
    variables = checkpoints.restore_variables(directory)
    return {
        f"{layer}/{name}": np.asarray(value)
        for layer, held in variables["params"]["LeNet"].items()
        for name, value in held.items()
    }


@pytest.mark.long
def test_everything_at_once(tmp_path, capfd):
    found = run(
        tmp_path, "--optimizer=lamb", "--lamb_weight_decay=0.1", "--learning_rate=0.01",
        "--learning_rate_decay_type=cosine", "--clip_global_norm=1", "--report_norms",
        "--gradient_accumulation_steps=2", "--dtype=bfloat16", "--num_clones=2", "--shard_state",
        "--profile_steps=3,4", "--warmup_epochs=0.01", "--recompute_elementwise",
    )  # fmt: skip
    log = capfd.readouterr().err
    assert re.search(r"step 8/8  loss [\d.]+  .*  gradient norm [\d.]+  parameter norm [\d.]+", log)
    assert list(tmp_path.glob("plugins/profile/*/perfetto_trace.json.gz"))
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(value).all() for value in found.values())
    flags = ["--dataset_name=digits", "--batch_size=90", f"--checkpoint_path={tmp_path}"]
    accuracies = []
    for dtype in ("float32", "bfloat16"):
        assert evaluate.main(["eval.py", *flags, f"--dtype={dtype}"]) == 0
        accuracies.append(float(re.search(r"Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1]))
    assert abs(accuracies[0] - accuracies[1]) < 0.05


@pytest.mark.long
def test_a_state_in_parts_changes_no_number(tmp_path):
    flags = ["--optimizer=momentum", "--use_nesterov", "--learning_rate=0.05", "--num_clones=2"]
    whole = run(tmp_path / "whole", *flags)
    parts = run(tmp_path / "parts", *flags, "--shard_state")
    for name, value in whole.items():
        np.testing.assert_allclose(value, parts[name], rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_step_decay_and_adamw(tmp_path):
    flags = ["--optimizer=adamw", "--adamw_weight_decay=0.05", "--learning_rate=0.001"]
    flags += ["--learning_rate_decay_type=step", "--learning_rate_boundaries=0.02,0.05"]
    fast = run(tmp_path / "fast", *flags, "--learning_rate_decay_factor=1.0")
    slow = run(tmp_path / "slow", *flags, "--learning_rate_decay_factor=0.001")
    assert all(np.isfinite(value).all() for value in fast.values())
    assert any((value != slow[name]).any() for name, value in fast.items())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--profile_steps=3"], "--profile_steps must be FIRST,LAST, got '3'"),
        (["--profile_steps=4,3"], "profile_steps must be (first, last) with 1 <= first <= last"),
        (["--learning_rate_decay_type=step"], "boundaries must be steps in rising order"),
        (
            ["--learning_rate_decay_type=step", "--learning_rate_boundaries=3,x"],
            "--learning_rate_boundaries must be numbers of epochs with commas between, got '3,x'",
        ),
        (
            ["--gradient_accumulation_steps=3"],
            "16 examples cannot be computed in 3 parts",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(flags, message, tmp_path, capfd):
    assert train.main([*DIGITS, f"--train_dir={tmp_path / 'run'}", *flags]) == 2
    assert message in capfd.readouterr().err


def test_cosine_needs_an_end(tmp_path, capfd):
    flags = [flag for flag in DIGITS if "max_number" not in flag]
    flags += [f"--train_dir={tmp_path}", "--learning_rate_decay_type=cosine"]
    assert train.main(flags) == 2
    assert "--max_number_of_steps, at which it ends, is not given" in capfd.readouterr().err
