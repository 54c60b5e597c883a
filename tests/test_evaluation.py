import logging
import pathlib
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import ending
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import checkpoints, data, evaluation, learning, optimizers, tf_checkpoint
from jslim.core.errors import RestoreError

IMAGES = np.random.default_rng(0).integers(0, 256, (37, 2, 2, 1)).astype(np.uint8)
LABELS = (IMAGES.sum((1, 2, 3)) > 500).astype(np.int32)
DATASET = data.ArrayDataset(IMAGES, LABELS, num_classes=2)
HERE = pathlib.Path(__file__).parent


def as_float(image):
    return image.astype(np.float32) / 255


def net(images):
    x = slim.flatten(images)
    return slim.fully_connected(x, 2, activation_fn=None, scope="logits")


def total_loss(batch):
    slim.losses.sparse_softmax_cross_entropy(net(batch["image"]), batch["label"])
    return slim.losses.get_total_loss()


MODEL = slim.Model(net)
METRICS = slim.metrics.aggregate_metric_map(
    {
        "accuracy": slim.metrics.streaming_accuracy(),
        "label": slim.metrics.streaming_mean().on(lambda predictions, labels: labels),
    }
)


def eval_fn(variables, batch):
    predictions = jnp.argmax(MODEL.apply(variables, batch["image"]), -1)
    return predictions.astype(jnp.int32), batch["label"]


def batches(batch_size):
    return data.batches(DATASET, batch_size, is_training=False, preprocessing_fn=as_float)


def train(logdir, steps, **options):
    train_op = learning.create_train_op(
        total_loss, optimizers.sgd(0.1), moving_average_decay=options.pop("decay", None)
    )
    loader = data.batches(DATASET, 8, is_training=True, preprocessing_fn=as_float)
    return learning.train(
        train_op, loader, logdir, number_of_steps=steps, save_summaries_secs=None, **options
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    train(directory, 20, decay=0.9)
    return directory


def expected_values(variables):
    """Accuracy and mean label in NumPy, over all examples at once."""
    leaves = variables["params"]["logits"]
    logits = IMAGES.reshape(37, 4) / np.float32(255) @ leaves["weights"] + leaves["biases"]
    return {"accuracy": np.mean(logits.argmax(-1) == LABELS), "label": LABELS.mean()}


@pytest.mark.parametrize(("batch_size", "devices"), [(1, 1), (7, 1), (64, 1), (8, 8), (64, 8)])
def test_the_result_is_that_of_all_examples_for_any_batch_size_and_devices(
    trained, batch_size, devices
):
    values = evaluation.evaluate_once(
        trained, eval_fn, batches(batch_size), METRICS, mesh=learning.data_mesh(devices)
    )
    expected = expected_values(checkpoints.restore_variables(trained, use_ema=True))
    assert values.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(values[name], expected[name], rtol=1e-6, err_msg=name)


def weights_that_are_evaluated(trained, use, caplog, **options):
    """The weights of the logits, and the line that says which they are."""
    caplog.clear()
    caplog.set_level(logging.INFO, logger="jslim")
    metric = slim.metrics.streaming_mean().on(lambda weights, labels: weights)
    found = evaluation.evaluate_once(
        trained,
        lambda variables, batch: (variables["params"]["logits"]["weights"][0, 0], 0),
        [{}],
        slim.metrics.aggregate_metric_map({"weight": metric}),
        **({} if use is None else {"use_moving_averages": use}),
    )
    lines = [line for line in caplog.messages if line.startswith("checkpoint ")]
    return found["weight"], lines


def test_moving_averages_are_evaluated_where_there_are_some(trained, tmp_path, caplog):
    raw, averages = (
        checkpoints.restore_variables(trained, use_ema=use)["params"]["logits"]["weights"][0, 0]
        for use in (False, True)
    )
    assert raw != averages
    start = f"checkpoint {trained}/20: "
    used = f"{start}the moving averages of its variables are used"
    left = f"{start}its variables are used as training left them, and not their moving averages"
    assert weights_that_are_evaluated(trained, None, caplog) == (averages, [used])
    assert weights_that_are_evaluated(trained, True, caplog) == (averages, [used])
    assert weights_that_are_evaluated(trained, False, caplog) == (raw, [left])
    # A checkpoint of TensorFlow gives its variables, as TF-Slim's programs do.
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    arrays = {"logits/weights": one, "logits/weights/ExponentialMovingAverage": zero}
    path = tf_checkpoint.save_checkpoint(tmp_path / "m-7", arrays)
    used, left = (line.replace(f"{trained}/20", path) for line in (used, left))
    assert weights_that_are_evaluated(path, None, caplog) == (1, [left])
    assert weights_that_are_evaluated(path, True, caplog) == (0, [used])
    plain = tf_checkpoint.save_checkpoint(tmp_path / "p-7", {"logits/weights": one})
    assert weights_that_are_evaluated(plain, None, caplog) == (1, [])


def test_a_checkpoint_that_is_deleted_while_it_is_evaluated_is_evaluated_whole(tmp_path):
    directory = tmp_path / "run"
    train(directory, 3)
    expected = expected_values(checkpoints.restore_variables(directory))

    def deleting():
        shutil.rmtree(directory)
        return batches(8)

    values = evaluation.evaluate_once(directory, eval_fn, deleting, METRICS)
    np.testing.assert_allclose(values["accuracy"], expected["accuracy"], rtol=1e-6)


def test_where_the_newest_is_deleted_the_next_is_read(tmp_path, monkeypatch):
    directory = tmp_path / "run"
    with checkpoints.CheckpointManager(directory) as manager:
        for step in (1, 2):
            manager.save(step, {"params": {"w": np.full(1, step)}}, contract={"step": step})
    from jslim.checkpoints import _weights

    real = _weights.open_checkpoint

    def deleted_before_it_is_read(path):
        if path.name == "2":
            shutil.rmtree(path)
        return real(path)

    monkeypatch.setattr(_weights, "open_checkpoint", deleted_before_it_is_read)
    found = checkpoints.read_weights(directory)
    assert (found.path, found.step, found.contract) == (str(directory / "1"), 1, {"step": 1})
    assert found.variables["params"]["w"] == 1
    shutil.rmtree(directory / "1")
    with pytest.raises(RestoreError, match="is not a jslim checkpoint, nor one of TensorFlow"):
        checkpoints.read_weights(directory)


def test_eval_fn_may_give_a_dict_with_weights_of_its_own(trained):
    def weighted(variables, batch):
        predictions, labels = eval_fn(variables, batch)
        weights = batch["weights"] * (labels == 1).astype(jnp.float32)
        return {"predictions": predictions, "labels": labels, "weights": weights}

    metric = slim.metrics.streaming_mean_absolute_error()
    value = evaluation.evaluate_once(trained, weighted, batches(8), metric)
    leaves = checkpoints.restore_variables(trained, use_ema=True)["params"]["logits"]
    logits = IMAGES.reshape(37, 4) / np.float32(255) @ leaves["weights"] + leaves["biases"]
    np.testing.assert_allclose(value, np.mean(logits.argmax(-1)[LABELS == 1] != 1), rtol=1e-6)


def test_num_evals_counts_batches(trained):
    metric = slim.metrics.streaming_mean().on(lambda predictions, labels: labels)
    value = evaluation.evaluate_once(trained, eval_fn, batches(10), metric, num_evals=2)
    np.testing.assert_allclose(value, LABELS[:20].mean(), rtol=1e-6)


def test_values_are_written_for_tensorboard_under_the_checkpoints_step(trained, tmp_path):
    values = evaluation.evaluate_once(trained, eval_fn, batches(8), METRICS, logdir=tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    for name, value in values.items():
        (event,) = events.Scalars(name)
        assert event.step == 20
        np.testing.assert_allclose(event.value, value, rtol=1e-6)


def test_a_loader_can_be_used_again(trained):
    loader = batches(8)
    first = evaluation.evaluate_once(trained, eval_fn, loader, METRICS)
    assert evaluation.evaluate_once(trained, eval_fn, loader, METRICS) == first
    values = evaluation.evaluation_loop(trained, eval_fn, loader, METRICS)
    assert values == first


def test_too_few_batches_are_an_error(trained):
    with pytest.raises(ValueError, match="ended after 4, but num_evals asks for 9"):
        evaluation.evaluate_once(trained, eval_fn, batches(10), METRICS, num_evals=9)
    with pytest.raises(ValueError, match="the batches ended after 0; there is no data"):
        evaluation.evaluate_once(trained, eval_fn, [], METRICS)


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(slim.RestoreError, match=str(tmp_path)):
        evaluation.evaluate_once(tmp_path, eval_fn, batches(8), METRICS)


def test_the_loop_evaluates_the_last_checkpoint_and_ends_when_training_has(trained, caplog):
    seen = []
    with caplog.at_level(logging.INFO, logger="jslim"):
        values = evaluation.evaluation_loop(
            trained,
            eval_fn,
            lambda: batches(8),
            METRICS,
            eval_interval_secs=0.0,
            on_values=lambda step, values: seen.append(step),
        )
    assert seen == [20]
    expected = expected_values(checkpoints.restore_variables(trained, use_ema=True))
    np.testing.assert_allclose(values["accuracy"], expected["accuracy"], rtol=1e-6)
    assert any("has ended" in message for message in caplog.messages)


def test_the_loop_says_what_it_waits_for_and_gives_up_after_the_timeout(tmp_path, caplog):
    started = time.monotonic()
    with caplog.at_level(logging.INFO, logger="jslim"):
        values = evaluation.evaluation_loop(
            tmp_path / "none", eval_fn, lambda: batches(8), METRICS, timeout=1.5
        )
    assert values is None
    assert time.monotonic() - started < 10
    assert any(
        "waiting for a checkpoint in" in m and "for 1.5 s at the most" in m for m in caplog.messages
    )
    assert any("no new checkpoint in" in message for message in caplog.messages)


def test_timeout_fn_decides_whether_to_wait_on(tmp_path):
    answers = iter([False, False, True])
    paths = evaluation.checkpoints_iterator(tmp_path, timeout=0.0, timeout_fn=lambda: next(answers))
    assert list(paths) == []
    assert next(answers, None) is None


def test_max_number_of_evaluations_ends_the_loop(trained):
    seen = []
    evaluation.evaluation_loop(
        trained,
        eval_fn,
        lambda: batches(8),
        METRICS,
        max_number_of_evaluations=1,
        on_values=lambda step, values: seen.append(step),
    )
    assert seen == [20]


def test_a_broken_checkpoint_is_passed_over_with_one_line(trained, tmp_path, caplog):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    largest = max((copy / "20" / "state").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    largest.write_bytes(bytes(255 - byte for byte in largest.read_bytes()))
    with caplog.at_level(logging.WARNING, logger="jslim"):
        values = evaluation.evaluation_loop(copy, eval_fn, lambda: batches(8), METRICS)
    assert values is None
    (message,) = [m for m in caplog.messages if "passed over" in m]
    assert "/20" in message


@pytest.mark.long
@pytest.mark.parametrize(
    "saving",
    ["save_interval_secs=0.5", "save_interval_secs=0.0, max_to_keep=1"],
    ids=["now_and_then", "each_deletes_the_one_before"],
)
def test_the_loop_follows_a_training_process_to_its_last_checkpoint(saving, tmp_path):
    script = (
        "import sys\n"
        "import test_evaluation as t\n"
        "def step(train_op, state, batch):\n"
        "    state, outputs = train_op(state, batch)\n"
        "    if state.step == 20:\n"
        "        sys.stdin.readline()  # until a checkpoint has been evaluated\n"
        "    return state, outputs, False\n"
        f"t.train(sys.argv[1], 40, train_step_fn=step, {saving})\n"
    )
    training = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "run"], cwd=HERE, stdin=subprocess.PIPE, text=True
    )
    seen = []

    def note(step, values):
        if not seen:
            print("go on", file=training.stdin, flush=True)
        seen.append(step)

    with ending(training):
        values = evaluation.evaluation_loop(
            tmp_path / "run",
            eval_fn,
            lambda: batches(8),
            METRICS,
            eval_interval_secs=0.0,
            timeout=120,
            on_values=note,
        )
        training.stdin.close()
        assert training.wait(timeout=60) == 0
    assert seen == sorted(set(seen))
    assert len(seen) > 1
    assert seen[-1] == 40
    expected = expected_values(checkpoints.restore_variables(tmp_path / "run"))
    np.testing.assert_allclose(values["accuracy"], expected["accuracy"], rtol=1e-6)


def test_waiting_ends_when_a_checkpoint_comes(trained, tmp_path, monkeypatch):
    def write_meanwhile(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            shutil.copytree(trained / "20", tmp_path / "20")

    looks = []
    monkeypatch.setattr(evaluation.time, "sleep", write_meanwhile)
    path = evaluation.wait_for_new_checkpoint(tmp_path, seconds_to_sleep=0.05, timeout=30)
    assert looks == [0.05] * 3
    assert path == str(tmp_path / "20")
    assert evaluation.wait_for_new_checkpoint(tmp_path, path, timeout=0.0) is None


def test_evaluation_makes_one_program_for_all_batches(trained):
    traces = []

    def counted(variables, batch):
        traces.append(1)
        return eval_fn(variables, batch)

    evaluation.evaluate_once(trained, counted, batches(5), METRICS)
    assert len(traces) == 1
    assert jax.device_count() == 8
