"""What numbers may be as arguments, and where they are refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from jslim import checkpoints, evaluation
from jslim.core.checks import check_count, check_secs

NAN = float("nan")


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), jnp.int32(3)])
def test_whole_numbers_are_counts(value):
    count = check_count(value, "it")
    assert (count, type(count)) == (3, int)
    assert check_count(0, "it", least=0) == 0


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "it must be at least 1, got 0"),
        (-1, ValueError, "it must be at least 1, got -1"),
        *(
            (value, error, f"it must be a whole number of at least 1, got {value!r}")
            for value, error in [
                (1.5, ValueError), (NAN, ValueError), (float("inf"), ValueError),
                (True, ValueError), ("3", TypeError), (None, TypeError),
            ]
        ),
    ],
)  # fmt: skip
def test_other_things_are_no_counts(value, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        check_count(value, "it")


@pytest.mark.parametrize("value", [0, 1.5, float("inf"), np.float32(2), None])
def test_times_are_numbers_of_seconds(value):
    check_secs(value, "it")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (NAN, ValueError),
        (np.float32("nan"), ValueError),
        (True, ValueError),
        ("a minute", TypeError),
        ([1], TypeError),
    ],
)
def test_other_things_are_no_times(value, error):
    with pytest.raises(error, match=r"^it must be (at least 0|a number of seconds), got "):
        check_secs(value, "it")


def test_where_numbers_are_refused(tmp_path):
    def loop(**options):
        evaluation.evaluation_loop(tmp_path, None, [], None, **options)

    for call, options, message in (
        (checkpoints.CheckpointManager, {"keep": 1.5}, "CheckpointManager: keep must be a whole"),
        (checkpoints.CheckpointManager, {"keep": True}, "CheckpointManager: keep must be a whole"),
        (
            checkpoints.CheckpointManager,
            {"save_interval_secs": NAN},
            "CheckpointManager: save_interval_secs must be a number of seconds or None, got nan",
        ),
        (
            evaluation.wait_for_new_checkpoint,
            {"timeout": NAN},
            "timeout must be at least 0, got nan",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call(tmp_path / "new", **options)
    for options, message in (
        ({"timeout": -1}, "evaluation_loop: timeout must be at least 0, got -1"),
        (
            {"eval_interval_secs": NAN},
            "evaluation_loop: eval_interval_secs must be at least 0, got nan",
        ),
        ({"num_evals": 0}, "evaluation_loop: num_evals must be at least 1, got 0"),
        ({"max_number_of_evaluations": 0.5}, "max_number_of_evaluations must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            loop(**options)
    assert list(tmp_path.iterdir()) == []
