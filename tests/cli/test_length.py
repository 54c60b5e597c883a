"""train.py --num_epochs: where it ends, what follows from that, and going on with more epochs."""

import re

import numpy as np
import pytest

from jslim import checkpoints
from jslim.cli import train

# 1437 digits in batches of 300: an epoch is 4.79 steps.
FLAGS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=300", "--optimizer=momentum", "--save_summaries_secs=0", "--log_every_n_steps=1",
]  # fmt: skip


def run(directory, *flags):
    return train.main([*FLAGS, f"--train_dir={directory}", *flags])


def test_epochs_end_in_the_step_with_their_last_image(tmp_path, capfd):
    assert run(tmp_path, "--num_epochs=0.5", "--learning_rate_decay_type=cosine") == 0
    assert re.search(r"^step 3/3  loss", capfd.readouterr().err, re.MULTILINE)
    assert checkpoints.checkpoint_step(tmp_path) == 3
    assert checkpoints.is_done(tmp_path)


@pytest.mark.long
def test_more_epochs_go_on_as_if_they_had_been_asked_for_at_once(tmp_path):
    for epochs in (1, 2):
        assert run(tmp_path / "parts", f"--num_epochs={epochs}") == 0
        assert checkpoints.checkpoint_step(tmp_path / "parts") == 5 * epochs
    assert run(tmp_path / "whole", "--max_number_of_steps=10") == 0
    parts, whole = (checkpoints.load_variables(tmp_path / name) for name in ("parts", "whole"))
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name])


def test_epochs_and_steps_are_refused_together_and_nothing_is_written(tmp_path, capfd):
    assert run(tmp_path / "run", "--num_epochs=2", "--max_number_of_steps=5") == 2
    assert capfd.readouterr().err == (
        "train.py: --num_epochs=2 and --max_number_of_steps=5 both say when training ends; drop "
        "one of them\n"
    )
    assert not (tmp_path / "run").exists()


def test_more_steps_than_a_run_can_have_are_refused(tmp_path, capfd):
    assert run(tmp_path / "run", "--num_epochs=1e9") == 2
    assert (
        "train: number_of_steps must be at most 2147483647, where the step's int32 ends, got "
        "4790000000"
    ) in capfd.readouterr().err
