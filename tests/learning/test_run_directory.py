"""A run's directory: tried at the start, made anew when lost, marked when the run is done."""

import contextlib
import logging
import pathlib
import resource
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_loop import BATCH, simple_op

from jslim import checkpoints, evaluation, learning


@contextlib.contextmanager
def full_disk(size):
    """While entered, no file gets larger."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_directory_that_cannot_hold_checkpoints_is_an_error_before_the_first_step(tmp_path):
    def no_step(train_op, state, batch):
        raise AssertionError("a step was taken")

    options = {"save_summaries_secs": None, "save_interval_secs": 600}
    batches = [BATCH] * 9
    fresh, old = tmp_path / "fresh", tmp_path / "old"
    learning.train(simple_op(), batches, old, number_of_steps=2, **options)
    before = sorted(path.name for path in old.iterdir())
    options["train_step_fn"] = no_step
    with full_disk(300):
        with pytest.raises(OSError, match=r"fresh/0 could not be saved: .*File too large"):
            learning.train(simple_op(), batches, fresh, number_of_steps=4, **options)
        with pytest.raises(OSError, match=r"/old could not be saved: .*File too large"):
            learning.train(simple_op(), batches, old, number_of_steps=4, **options)
    assert sorted(path.name for path in old.iterdir()) == before
    assert list(fresh.iterdir()) == []
    with pytest.raises(OSError, match=r"/proc/jslim cannot be written to: .*; give another dir"):
        learning.train(simple_op(), batches, "/proc/jslim", number_of_steps=4, **options)


@pytest.mark.parametrize("kind", ["deleted", "renamed"])
def test_a_directory_that_is_lost_is_made_anew_with_the_state(kind, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("jslim.learning.directory._LOOK_SECS", 0.0)
    run = tmp_path / "run"

    def lose(step, state):
        if step == 4:
            shutil.rmtree(run) if kind == "deleted" else run.rename(tmp_path / "old")
        if step == 6:
            newest.append(checkpoints.latest_checkpoint(run))

    newest = []
    with caplog.at_level(logging.WARNING, logger="jslim"):
        learning.train(
            simple_op(), [BATCH] * 9, run, number_of_steps=8, after_step=lose, log_every_n_steps=1
        )
    lost = [message for message in caplog.messages if "deleted or renamed" in message]
    assert lost == [
        f"{run} was deleted or renamed while training wrote to it; it is made anew at step 5, "
        "without its older checkpoints"
    ]
    assert [pathlib.Path(path).name for path in checkpoints.all_checkpoints(run)] == ["5", "8"]
    losses = EventAccumulator(str(run)).Reload().Scalars("total_loss")
    assert [event.step for event in losses] == [6, 7, 8]


def test_data_that_ends_early_is_said_and_does_not_make_the_run_done(tmp_path, caplog):
    options = {"save_summaries_secs": None}
    with caplog.at_level(logging.WARNING, logger="jslim"):
        learning.train(simple_op(), [BATCH] * 12, tmp_path, number_of_steps=1000, **options)
    assert caplog.messages == [
        "the data ended at step 12 of 1000: the run is not done; give batches that go on, or "
        "number_of_steps=12"
    ]
    assert not checkpoints.is_done(tmp_path)
    assert checkpoints.has_ended(tmp_path)  # which an evaluation loop does not wait for
    assert list(evaluation.checkpoints_iterator(tmp_path)) == [str(tmp_path / "12")]
    caplog.clear()
    ended = []
    learning.train(
        simple_op(),
        [BATCH] * 12,
        tmp_path,
        number_of_steps=20,
        after_step=lambda step, state: ended.append(checkpoints.has_ended(tmp_path)),
        **options,
    )
    assert ended == [False] * 8
    assert checkpoints.is_done(tmp_path)


def test_a_finished_run_that_is_started_again_says_so(tmp_path, caplog):
    options = {"number_of_steps": 3, "save_summaries_secs": None}
    learning.train(simple_op(), [BATCH] * 9, tmp_path, **options)
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="jslim"):
        learning.train(simple_op(), [BATCH] * 9, tmp_path, **options)
    assert (
        f"{tmp_path} has step 3 of 3 already: nothing is left to train; give a larger "
        "number_of_steps, or another directory"
    ) in caplog.messages
