"""`train.py`: in which step an epoch of the learning rate's flags ends."""

import types

import numpy as np
import pytest

from jslim.cli import train

FLAGS = {
    "batch_size": 10,
    "num_clones": 4,
    "learning_rate": 1.0,
    "learning_rate_decay_type": "step",
    "learning_rate_boundaries": "2,3",
    "learning_rate_decay_factor": 0.5,
    "num_epochs_per_decay": 2.0,
    "end_learning_rate": 0.0,
    "warmup_epochs": 0.0,
    "max_number_of_steps": None,
    "gradient_accumulation_steps": 2,
}
FIXED = {"learning_rate_decay_type": "fixed", "learning_rate_boundaries": None}
EXPONENTIAL = {**FIXED, "learning_rate_decay_type": "exponential"}


def rates(steps, num_samples=400, **flags):
    schedule = train._learning_rate(types.SimpleNamespace(**{**FLAGS, **flags}), num_samples)
    return [float(schedule(np.int32(step))) for step in steps]


def test_boundaries_and_warm_up_are_in_epochs_of_the_images_of_all_clones():
    # 400 images in steps of 4 clones of 10: an epoch is 10 steps.
    assert rates([0, 19, 20, 29, 30]) == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert rates([0, 19, 20], num_clones=1, batch_size=40) == [1.0, 1.0, 0.5]
    warm = rates([0, 5, 10, 15], warmup_epochs=1.0, **FIXED)
    np.testing.assert_allclose(warm, [0.0, 0.5, 1.0, 1.0])


@pytest.mark.parametrize("clones", [1, 4])
def test_decay_is_in_epochs_of_one_clone_as_in_tf_slim(clones):
    # int(400 / 10 * 2) steps.
    found = rates([79, 80, 160], num_clones=clones, **EXPONENTIAL)
    np.testing.assert_allclose(found, [1.0, 0.5, 0.25])
