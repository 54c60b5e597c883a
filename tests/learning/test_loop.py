import logging
import pathlib
import re
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_training
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import checkpoints, learning, optimizers
from jslim.learning.hooks import Every

HERE = pathlib.Path(__file__).parent
BATCH = {"x": np.ones((4, 2), np.float32)}


def simple_loss(batch):
    return jnp.mean(batch["x"] @ slim.model_variable("w", [2, 1], initializer=1.0))


def simple_op(loss=simple_loss, **options):
    return learning.create_train_op(loss, optimizers.sgd(0.1), **options)


def test_train_stops_at_number_of_steps_and_returns_the_final_state():
    state = learning.train(simple_op(), [BATCH] * 100, None, number_of_steps=7)
    assert int(state.step) == 7
    # d loss / dw = 1 for each of the two weights.
    np.testing.assert_allclose(state.params["w"], np.full((2, 1), 1 - 7 * 0.1), rtol=1e-6)


def test_train_ends_cleanly_where_the_data_ends(tmp_path):
    state = learning.train(simple_op(), [BATCH] * 5, tmp_path, save_summaries_secs=None)
    assert int(state.step) == 5
    assert checkpoints.checkpoint_step(tmp_path) == 5
    assert checkpoints.is_done(tmp_path)


def test_train_writes_a_checkpoint_at_the_start_and_at_the_end(tmp_path):
    learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=3, save_summaries_secs=None)
    steps = [checkpoints.checkpoint_step(path) for path in checkpoints.all_checkpoints(tmp_path)]
    assert steps == [0, 3]


def test_restarting_a_finished_run_takes_no_further_step(tmp_path):
    first = learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=3)
    again = learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=3)
    assert int(again.step) == 3
    np.testing.assert_array_equal(first.params["w"], again.params["w"])
    assert checkpoints.is_done(tmp_path)


@pytest.mark.long
def test_a_run_in_two_parts_ends_bit_identical_to_one(tmp_path):
    whole = small_training.run(tmp_path / "whole")
    small_training.run(tmp_path / "parts", 23)
    parts = small_training.run(tmp_path / "parts")
    expected = small_training.leaves(whole)
    for name, leaf in small_training.leaves(parts).items():
        np.testing.assert_array_equal(leaf, expected[name], err_msg=name)


def test_init_fn_is_called_for_a_fresh_run_only(tmp_path):
    calls = []

    def init_fn(state):
        calls.append(int(state.step))
        return {"params": {"w": np.full((2, 1), 5.0, np.float32)}, "batch_stats": {}}

    options = {"init_fn": init_fn, "save_summaries_secs": None}
    state = learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=2, **options)
    np.testing.assert_allclose(state.params["w"], np.full((2, 1), 4.8), rtol=1e-6)
    learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=4, **options)
    assert calls == [0]


def test_init_fn_restarts_the_moving_averages():
    train_op = simple_op(moving_average_decay=0.5)
    state = learning.train(
        train_op,
        [BATCH],
        None,
        number_of_steps=1,
        init_fn=lambda s: s.replace(params={"w": jnp.full((2, 1), 5.0)}),
    )
    # decay is min(0.5, 1/10) in step 0: average = 5 - 0.9 * (5 - 4.9)
    np.testing.assert_allclose(state.ema_params["params"]["w"], np.full((2, 1), 4.91), rtol=1e-6)


def test_values_that_are_assigned_by_hand_start_the_moving_averages_too():
    def loss(batch):
        return simple_loss(batch) + slim.model_variable("other", [1], initializer=3.0)[0]

    train_op = simple_op(loss, moving_average_decay=0.5)
    state = train_op.init(0, BATCH)
    state, _ = train_op(state, BATCH)
    before = np.asarray(state.ema_params["params"]["other"])
    state = slim.assign_from_values_fn({"w": np.full((2, 1), 5.0)})(state)
    np.testing.assert_array_equal(state.ema_params["params"]["w"], np.full((2, 1), 5.0))
    # That of the other variable goes on: 3 - 0.9 * 0.1.
    np.testing.assert_array_equal(state.ema_params["params"]["other"], before)
    np.testing.assert_allclose(before, 2.91, rtol=1e-6)
    state, _ = train_op(state, BATCH)  # no buffer is there twice
    variables = {"params": {**state.params, "w": jnp.zeros((2, 1))}, "batch_stats": {}}
    state = state.replace_variables(variables)
    np.testing.assert_array_equal(state.ema_params["params"]["w"], np.zeros((2, 1)))
    train_op(state, BATCH)


def test_averages_that_init_fn_gives_are_kept():
    def init_fn(state):
        averages = {"params": {"w": jnp.full((2, 1), 7.0)}, "batch_stats": {}}
        return state.replace(params={"w": jnp.full((2, 1), 5.0)}, ema_params=averages)

    train_op = simple_op(moving_average_decay=0.5)
    state = learning.train(train_op, [BATCH], None, number_of_steps=1, init_fn=init_fn)
    # decay 0.1: 7 - 0.9 * (7 - 4.9)
    np.testing.assert_allclose(state.ema_params["params"]["w"], np.full((2, 1), 5.11), rtol=1e-6)


def test_init_fn_that_gives_something_else_is_refused():
    with pytest.raises(slim.ScopeError, match=r"init_fn must give back a TrainState.*got int"):
        learning.train(simple_op(), [BATCH], None, number_of_steps=1, init_fn=lambda state: 3)


def test_a_checkpoint_of_another_model_is_refused_and_left_alone(tmp_path):
    learning.train(simple_op(), [BATCH], tmp_path, number_of_steps=1, save_summaries_secs=None)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))

    def other_loss(batch):
        return jnp.mean(batch["x"] @ slim.model_variable("w", [2, 3]))

    with pytest.raises(slim.RestoreError, match=r"params/w: .*\(2, 3\).*\(2, 1\)"):
        learning.train(simple_op(other_loss), [BATCH], tmp_path, number_of_steps=2)
    assert sorted(
        p.relative_to(tmp_path) for p in tmp_path.rglob("*") if "events" not in p.name
    ) == [p for p in before if "events" not in p.name]


def test_a_loss_that_is_not_finite_stops_training_at_its_step(tmp_path):
    def loss(batch):
        step = slim.get_or_create_global_step()
        bad = jnp.where(step == 6, jnp.nan, 1.0)
        return simple_loss(batch) * bad

    with pytest.raises(FloatingPointError, match=r"the loss of step 7 is nan.*checkpoint is .*/0"):
        learning.train(
            simple_op(loss),
            [BATCH] * 50,
            tmp_path,
            number_of_steps=50,
            log_every_n_steps=25,
            save_summaries_secs=None,
        )
    assert checkpoints.checkpoint_step(tmp_path) == 0
    assert not checkpoints.is_done(tmp_path)


def test_without_check_numerics_training_goes_on():
    def loss(batch):
        return simple_loss(batch) * jnp.nan

    state = learning.train(simple_op(loss, check_numerics=False), [BATCH] * 3, None)
    assert int(state.step) == 3


def test_train_step_fn_can_stop_training():
    def step_fn(train_op, state, batch):
        state, outputs = train_op(state, batch)
        return state, outputs, int(state.step) == 4

    state = learning.train(simple_op(), [BATCH] * 50, None, train_step_fn=step_fn)
    assert int(state.step) == 4


def test_event_files_hold_the_loss_and_the_models_summaries(tmp_path):
    def loss(batch):
        slim.summary.scalar("three", jnp.float32(3.0))
        return simple_loss(batch)

    learning.train(
        simple_op(loss, summarize_gradients=True),
        [BATCH] * 50,
        tmp_path,
        number_of_steps=4,
        log_every_n_steps=2,
        save_summaries_secs=1e-9,
    )
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("three")] == [(i, 3.0) for i in (1, 2, 3, 4)]
    losses = {e.step: e.value for e in events.Scalars("total_loss")}
    np.testing.assert_allclose([losses[2], losses[4]], [2 - 0.2, 2 - 3 * 0.2], rtol=1e-6)
    norms = [e.value for e in events.Scalars("w/gradient_norm")]
    np.testing.assert_allclose(norms, np.sqrt(2) * np.ones(4), rtol=1e-6)
    assert events.Histograms("w/gradient")
    assert {"global_step/sec", "images/sec", "data_wait"} <= set(events.Tags()["scalars"])


def test_progress_is_logged_with_step_loss_rate_and_time_left(caplog):
    with caplog.at_level(logging.INFO, logger="jslim"):
        learning.train(simple_op(), [BATCH] * 50, None, number_of_steps=4, log_every_n_steps=2)
    lines = [m for m in caplog.messages if m.startswith("step")]
    pattern = r"step \d/4  loss -?\d\.\d{4}  \d+ images/s  waiting for data \d+%  \d+:\d\d left"
    assert len(lines) == 2
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_data_that_cannot_be_resumed_is_said_to_start_over(tmp_path, caplog):
    options = {"save_summaries_secs": None}
    learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=1, **options)
    with caplog.at_level(logging.WARNING, logger="jslim"):
        learning.train(simple_op(), [BATCH] * 9, tmp_path, number_of_steps=2, **options)
    assert any("the data starts over" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number_of_steps": 0}, "number_of_steps must be at least 1, got 0"),
        ({"log_every_n_steps": 0}, "log_every_n_steps must be at least 1, got 0"),
        ({"save_interval_secs": -1.0}, "save_interval_secs must be at least 0, got -1"),
        ({"max_to_keep": 0}, "max_to_keep must be at least 1, got 0"),
        ({"number_of_steps": 1.5}, "number_of_steps must be a whole number of at least 1, got 1.5"),
        ({"number_of_steps": float("nan")}, "number_of_steps must be a whole number of at least"),
        ({"log_every_n_steps": True}, "log_every_n_steps must be a whole number of at least 1"),
        ({"save_interval_secs": float("nan")}, "save_interval_secs must be at least 0, got nan"),
        ({"save_summaries_secs": -1}, "save_summaries_secs must be at least 0, got -1"),
    ],
)
def test_train_refuses_numbers_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        learning.train(simple_op(), [BATCH], None, **options)


def test_train_refuses_tf_slims_order_of_arguments(tmp_path):
    with pytest.raises(TypeError, match=r"batches come second.*train\(train_op, batches, '/runs'"):
        learning.train(simple_op(), "/runs", number_of_steps=1)


@pytest.mark.long
def test_progress_is_printed_where_no_logging_is_set_up():
    script = "import small_training\nsmall_training.run(None, 4, log_every_n_steps=2)\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HERE, capture_output=True, text=True, timeout=120
    )
    assert re.findall(r"^step (\d)/4  loss", done.stderr, re.M) == ["2", "4"], done.stderr


def test_train_refuses_what_is_no_train_op_and_empty_data():
    with pytest.raises(TypeError, match=r"train_op must come from slim.learning.create_train_op"):
        learning.train(simple_loss, [BATCH], None)
    with pytest.raises(ValueError, match="the batches are empty"):
        learning.train(simple_op(), [], None)


SIGNALS = """
import os, signal, sys
import jax, jslim, optax
import orbax.checkpoint  # before the forks, so that they start quickly
from jslim import learning

def train(directory, number):
    op = learning.create_train_op(lambda batch: jslim.model_variable("w", []) * batch.mean(),
                                  optax.sgd(0.1))
    learning.train(op, [jax.numpy.ones(2)] * 9, directory, number_of_steps=8,
                   save_summaries_secs=None, after_step=lambda step, state:
                   os.kill(os.getpid(), number) if step == 5 else None)

for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "ignored"):
    if os.fork() == 0:
        number = getattr(signal, name, signal.SIGHUP)
        # Whatever the process that runs the tests ignores.
        ends = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if name == "ignored" else ends)
        try:
            train(f"{sys.argv[1]}/{name}", number)
        finally:
            os._exit(0)
    print(name, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.mark.long
def test_signals_save_the_step_and_end_the_process_unless_it_ignores_them(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS, tmp_path], cwd=HERE, capture_output=True, text=True
    )
    codes = dict(line.split() for line in done.stdout.splitlines())
    assert codes.pop("ignored") == "0", done.stderr
    assert checkpoints.checkpoint_step(tmp_path / "ignored") == 8
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"):
        number = getattr(signal, name)
        # Ctrl-C becomes a KeyboardInterrupt, which the fork above ends.
        assert codes[name] == ("0" if name == "SIGINT" else str(-number)), done.stderr
        assert checkpoints.checkpoint_step(tmp_path / name) == 5
        assert not checkpoints.has_ended(tmp_path / name)
    assert done.stderr.count("interrupted: step 5 is saved") == 4


def test_training_on_eight_devices_goes_on_on_one(tmp_path):
    def op(count):
        return simple_op(mesh=learning.data_mesh(count))

    batch = {"x": np.arange(16, dtype=np.float32).reshape(8, 2)}
    options = {"save_summaries_secs": None}
    learning.train(op(8), [batch] * 9, tmp_path, number_of_steps=2, **options)
    state = learning.train(op(1), [batch] * 9, tmp_path, number_of_steps=4, **options)
    alone = learning.train(op(1), [batch] * 9, None, number_of_steps=4)
    np.testing.assert_allclose(state.params["w"], alone.params["w"], rtol=1e-6)
    assert len(jax.tree.leaves(state)[0].devices()) == 1


def test_log_lines_do_not_wait_for_their_step(caplog):
    def loss(batch):
        step = slim.get_or_create_global_step()
        count = jnp.where(step == 3, 500, 1)  # about half a second for the fourth step
        busy = jax.lax.fori_loop(
            0, count, lambda _, x: jnp.tanh(x @ x), jnp.full((256, 256), batch["x"][0, 0])
        )
        return simple_loss(batch) + 0.0 * jax.lax.stop_gradient(busy[0, 0])

    def lines():
        shown = [message.split("  ") for message in caplog.messages if "images/s" in message]
        return [line[:2] for line in shown]

    def batches():
        for number in range(1, 9):
            if number == 6:  # the fourth step has its log line, and the fifth is on its way
                shown_before.extend(lines())
            yield BATCH

    shown_before = []
    with caplog.at_level(logging.INFO, logger="jslim"):
        learning.train(simple_op(loss), batches(), None, number_of_steps=8, log_every_n_steps=4)
    assert shown_before == []
    # Each has the loss of its own step, and the last one is of the last step.
    assert lines() == [
        ["step 4/8", f"loss {2 - 3 * 0.2:.4f}"],
        ["step 8/8", f"loss {2 - 7 * 0.2:.4f}"],
    ]


def test_a_log_line_comes_before_what_is_called_now_and_then(caplog):
    class Call:
        every = Every(steps=4)

        def __call__(self, step, state):
            called.append((step, [m.split("  ")[0] for m in caplog.messages if "loss" in m]))

    called = []
    with caplog.at_level(logging.INFO, logger="jslim"):
        learning.train(
            simple_op(), [BATCH] * 9, None, number_of_steps=9, log_every_n_steps=2,
            after_step=Call(),
        )  # fmt: skip
    lines = [f"step {step}/9" for step in (2, 4, 6, 8)]
    assert called == [(4, lines[:2]), (8, lines)]


def test_every_counts_steps_or_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    assert [step for step in range(9) if Every(steps=4).is_due(step)] == [0, 4, 8]
    assert not Every().is_due(0)
    every = Every(secs=2.0)
    assert not every.is_due(0)
    now[0] += 2
    assert every.is_due(0)
    every.restart()
    assert not every.is_due(0)
    assert not Every(secs=float("inf")).is_due(0)
    assert Every(secs=0.0).is_due(1)
