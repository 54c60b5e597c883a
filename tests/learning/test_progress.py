"""What `train` shows: its progress, what it waits for, and how it ended."""

import io
import logging
import re

import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim import data, learning, optimizers
from jslim.host import display

BATCH = {"x": np.ones((4, 2), np.float32)}


def loss_fn(batch):
    """Its gradient is 1 for each of the two weights."""
    return jnp.mean(batch["x"] @ slim.model_variable("w", [2, 1], initializer=1.0))


def train(loss=loss_fn, batches=(BATCH,) * 50, logdir=None, **options):
    train_op = learning.create_train_op(loss, optimizers.sgd(0.1))
    options = {"number_of_steps": 4, "log_every_n_steps": 2, **options}
    return learning.train(train_op, batches, logdir, **options)


def shown(text):
    """The lines on steps, without their rates."""
    lines = [line for line in text.splitlines() if re.search(r"step \d+/", line)]
    return [line.partition("  waiting")[0].rpartition("  ")[0] for line in lines]


LINES = ["step 2/4  loss 1.8000", "step 4/4  loss 1.4000"]


def test_progress_shows_whatever_the_set_up_of_logging(jslim_logger, capsys):
    train()
    assert shown(capsys.readouterr().err) == LINES
    # As after the import of Orbax: a handler, and the level is WARNING.
    handler = logging.StreamHandler(io.StringIO())
    jslim_logger.addHandler(handler)
    train()
    assert shown(capsys.readouterr().err) == LINES
    assert handler.stream.getvalue() == ""
    # Logged, and then not printed too.
    jslim_logger.setLevel(logging.INFO)
    train()
    assert "step" not in capsys.readouterr().err
    assert shown(handler.stream.getvalue()) == LINES
    # Where a program wants no such lines of jslim, there are none.
    jslim_logger.setLevel(logging.WARNING)
    train()
    assert "step" not in capsys.readouterr().err


def test_outputs_of_the_loss_function_are_shown_if_they_are_numbers(jslim_logger, capsys):
    def loss(batch):
        weights = slim.model_variable("w", [2, 1], initializer=1.0)
        logits = batch["x"] @ weights
        outputs = {"accuracy": jnp.float32(0.875), "top_5": jnp.int32(1), "logits": logits}
        return jnp.mean(logits), outputs

    train(loss, number_of_steps=2)
    first, last = capsys.readouterr().err.splitlines()
    assert "  loss 1.8000  accuracy 0.8750  top 5 1  " in first
    assert re.fullmatch(
        r"done at step 2 of 2 after \S+ s: loss 1.8000, accuracy 0.8750, top 5 1", last
    )


def test_the_loss_without_regularization_is_an_output_and_shown(jslim_logger, capsys):
    def loss(batch):
        regularizer = slim.l2_regularizer(2.0)  # of ones: 2 * (1 + 1) / 2
        weights = slim.model_variable("w", [2, 1], initializer=1.0, regularizer=regularizer)
        slim.losses.add_loss(jnp.mean(batch["x"] @ weights))
        return slim.losses.get_total_loss()

    train(loss, number_of_steps=1, log_every_n_steps=1)
    assert "loss 4.0000  loss without regularization 2.0000  " in capsys.readouterr().err
    for parts in (1, 2):
        op = learning.create_train_op(loss, optimizers.sgd(0.1), gradient_accumulation_steps=parts)
        _, outputs = op(op.init(0, BATCH), BATCH)
        assert {name: float(value) for name, value in outputs.items()} == {
            "loss": 4.0, "loss_without_regularization": 2.0
        }  # fmt: skip


def test_without_regularization_there_is_one_loss():
    def loss(batch):
        slim.losses.add_loss(loss_fn(batch))
        return slim.losses.get_total_loss()

    op = learning.create_train_op(loss, optimizers.sgd(0.1))
    _, outputs = op(op.init(0, BATCH), BATCH)
    assert list(outputs) == ["loss"]


def test_epochs_are_counted_where_the_data_has_them(jslim_logger, capsys):
    digits = data.digits("test")
    batches = data.batches(digits, 90, is_training=True)

    def loss(batch):
        slim.model_variable("w", [], initializer=1.0)
        return jnp.mean(batch["image"]) * slim.model_variable("v", [], initializer=1.0)

    train(loss, batches, number_of_steps=6, log_every_n_steps=3)
    # 360 images.
    assert re.findall(r"step (\d)/6  loss \S+  epoch (\S+)", capsys.readouterr().err) == [
        ("3", "0.8"), ("6", "1.5")
    ]  # fmt: skip


def stop_at_2(step, state):
    return step == 2


def stopping_step(train_op, state, batch):
    state, outputs = train_op(state, batch)
    return state, outputs, int(state.step) == 2


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({}, "done at step 4 of 4"),
        ({"number_of_steps": None, "batches": [BATCH] * 3}, "ended with the data at step 3"),
        ({"batches": [BATCH] * 3}, "ended with the data at step 3 of 4"),
        ({"after_step": stop_at_2}, "ended by after_step at step 2 of 4"),
        ({"train_step_fn": stopping_step}, "ended by train_step_fn at step 2 of 4"),
    ],
)
def test_the_last_line_says_how_training_ended(options, end, jslim_logger, capsys):
    train(**options)
    *_, last = capsys.readouterr().err.splitlines()
    step = int(re.search(r"step (\d)", end)[1])
    assert re.fullmatch(rf"{end} after \d\.\d s: loss {2 - 0.2 * (step - 1):.4f}", last)


def test_the_last_line_names_the_lowest_loss_and_the_directory(jslim_logger, capsys, tmp_path):
    def loss(batch):
        slim.model_variable("w", [], initializer=1.0)
        return jnp.mean(batch["x"]) * slim.model_variable("v", [], initializer=1.0) ** 2

    batches = [{"x": np.full((2, 2), x, np.float32)} for x in (3, 0.25, 2)]
    options = {"number_of_steps": 3, "log_every_n_steps": 1, "save_summaries_secs": None}
    train(loss, batches, tmp_path, **options)
    *_, last = capsys.readouterr().err.splitlines()
    # v is 1, then 0.4, then 0.38.
    assert last.endswith(f": loss 0.2888 (0.0400 at step 2), saved in {tmp_path}")
    train(loss, batches, tmp_path, **options)
    assert "at step" not in capsys.readouterr().err  # no step was taken


def test_compiling_is_shown_once_for_each_shape(jslim_logger, capsys, monkeypatch):
    now = iter(range(10**9))
    # Each look at this clock finds it a second later.
    monkeypatch.setattr(display._DISPLAY, "_clock", lambda: float(next(now)))
    batches = [BATCH, BATCH, {"x": np.ones((2, 2), np.float32)}, BATCH]
    train(batches=batches)
    lines = capsys.readouterr().err.splitlines()
    compiled = [line for line in lines if line.startswith("compiled the training step in ")]
    assert len(compiled) == 2
    slim.evaluation.evaluate_variables(
        {}, lambda variables, batch: batch["x"], [BATCH] * 3, slim.metrics.streaming_mean()
    )
    assert capsys.readouterr().err.count("compiled the evaluation step in ") == 1
