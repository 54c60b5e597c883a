"""Balanced sampling in several real processes: the batches of one process, also after a resume."""

import collections
import json

import numpy as np
import pytest
from test_distributed import end, start

from jslim import checkpoints

FLAGS = [
    "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=8",
    "--optimizer=momentum", "--learning_rate=0.01", "--balanced_sampling",
    "--save_summaries_secs=0",
]  # fmt: skip


def run(count, directory, steps):
    flags = [*FLAGS, f"--train_dir={directory}", f"--max_number_of_steps={steps}"]
    found = end(start("train.py", count, *flags))
    assert [code for _, _, code in found] == [0] * count, found


def assert_same(one, two):
    first, second = checkpoints.load_variables(one), checkpoints.load_variables(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-4, atol=2e-6)


@pytest.mark.long
def test_two_processes_take_the_balanced_batches_of_one_and_go_on_with_them(tmp_path):
    run(1, tmp_path / "one", 6)
    run(2, tmp_path / "two", 3)
    run(2, tmp_path / "two", 6)
    assert_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.long
def test_each_process_draws_images_of_its_own_and_all_together_are_balanced(tmp_path):
    flags = [*FLAGS, "--batch_size=5", f"--train_dir={tmp_path / 'run'}"]
    found = end(start("tests/cli/balanced_shards.py", 2, *flags))
    assert "all that is wanted was drawn" in found[0][1], found
    first, second = (
        [(label, tuple(pixels)) for label, pixels in json.loads(path.read_text())]
        for path in sorted(tmp_path.glob("run-*"))
    )
    assert len(first) == len(second) == 400
    assert len({*first, *second}) == 800
    counts = collections.Counter(label for label, _ in first + second)
    assert counts == dict.fromkeys(range(10), 80)
