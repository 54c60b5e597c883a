"""`train.py`: in which step an epoch of the learning rate's flags ends."""

import math
import types

import numpy as np
import pytest

from jslim.cli import length
from jslim.cli.flags import UsageError
from jslim.cli.rates import make_learning_rate

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
    "num_epochs": None,
    "gradient_accumulation_steps": 2,
}
FIXED = {"learning_rate_decay_type": "fixed", "learning_rate_boundaries": None}
EXPONENTIAL = {**FIXED, "learning_rate_decay_type": "exponential"}


def rates(steps, num_samples=400, **flags):
    schedule = make_learning_rate(types.SimpleNamespace(**{**FLAGS, **flags}), num_samples)
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


COSINE = {**FIXED, "learning_rate_decay_type": "cosine", "num_clones": 1}


def test_cosine_decay_ends_at_the_last_step_of_the_epochs():
    # 402 images in steps of 10: 3 epochs are 120.6 steps.
    found = rates([0, 60, 121, 200], num_samples=402, num_epochs=3.0, **COSINE)
    middle = (1 + math.cos(math.pi * 60 / 121)) / 2
    np.testing.assert_allclose(found, [1.0, middle, 0.0, 0.0], atol=1e-7)
    steps = rates([0, 60, 121, 200], num_samples=402, max_number_of_steps=121, **COSINE)
    assert found == steps


def test_cosine_decay_needs_an_end():
    with pytest.raises(UsageError) as error:
        rates([0], **COSINE)
    assert str(error.value) == (
        "--learning_rate_decay_type=cosine: --max_number_of_steps, at which it ends, is not given; "
        "give it, or --num_epochs"
    )


def last_step(num_samples, **flags):
    return length.number_of_steps(types.SimpleNamespace(**{**FLAGS, **flags}), num_samples)


def test_epochs_are_counted_with_the_images_of_all_clones():
    assert last_step(400) is None
    assert last_step(400, max_number_of_steps=7) == 7
    # Steps of 4 clones of 10 images.
    assert [last_step(400, num_epochs=n) for n in (1.0, 3.0, 0.1)] == [10, 30, 1]
    assert [last_step(401, num_epochs=n) for n in (1.0, 3.0, 0.1)] == [11, 31, 2]


def test_steps_and_epochs_contradict_each_other():
    with pytest.raises(UsageError) as error:
        last_step(400, max_number_of_steps=7, num_epochs=2.5)
    assert str(error.value) == (
        "--num_epochs=2.5 and --max_number_of_steps=7 both say when training ends; drop one of them"
    )
