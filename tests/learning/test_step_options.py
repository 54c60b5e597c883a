"""Options of the step: accumulation, norms, statistics of replicas, profiles."""

import dataclasses
import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_classifier import BATCH, assert_same, loss_of, train

import jslim as slim
from jslim import learning
from jslim.learning.accumulation import split_batch
from jslim.learning.options import StepOptions


@pytest.mark.long
@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize("count", [2, 4])
def test_accumulated_gradients_are_those_of_the_whole_batch(count, num_devices):
    sgd = optax.sgd(0.1, 0.9)  # whose updates are proportional to the gradients
    _, whole, one = train(optimizer=sgd)
    _, parts, other = train(
        optimizer=sgd, gradient_accumulation_steps=count, num_devices=num_devices
    )
    assert_same(whole.params, parts.params)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-5)


@pytest.mark.long
def test_accumulation_moves_statistics_once_a_part():
    _, once, _ = train(1, with_batch_norm=True)
    _, twice, _ = train(1, with_batch_norm=True, gradient_accumulation_steps=2)
    before = learning.create_train_op(loss_of(True), optax.sgd(0.1)).init(0, BATCH)

    def distance(state):
        means = state.batch_stats["conv1"]["BatchNorm"]["moving_variance"]
        return np.abs(means - before.batch_stats["conv1"]["BatchNorm"]["moving_variance"]).mean()

    assert distance(twice) > 1.5 * distance(once)


def test_parts_take_every_nth_row_and_repeat_scalars():
    batch = {"x": jnp.arange(6.0)[:, None], "scale": jnp.float32(2)}
    parts = split_batch(batch, 3)
    assert parts["x"].tolist() == [[[0], [3]], [[1], [4]], [[2], [5]]]
    assert parts["scale"].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match=r"batch\['x'\]: 6 examples cannot be computed in 4 parts"):
        split_batch(batch, 4)


def test_gradients_of_replicas_travel_in_the_dtype_that_is_asked_for():
    sgd = optax.sgd(0.1)
    options = {"optimizer": sgd, "num_devices": 4, "batch_norm_statistics": "replica"}
    _, exact, _ = train(1, **options)
    _, rounded, _ = train(1, **options, reduce_dtype=jnp.bfloat16)
    start = learning.create_train_op(loss_of(False), sgd).init(0, BATCH)
    trees = (jax.device_get(jax.tree.leaves(state.params)) for state in (start, exact, rounded))
    for before, a, b in zip(*trees, strict=True):
        assert a.dtype == b.dtype == np.float32
        # Each of four gradients, and their sum, is rounded to 8 bits.
        largest = np.abs(a - before).max()
        np.testing.assert_allclose(b, a, rtol=0, atol=0.03 * largest)
        assert (b != a).any()


@pytest.mark.long
def test_statistics_of_replicas_are_the_mean_of_their_own():
    _, whole, _ = train(1, with_batch_norm=True, num_devices=4)
    _, replicas, _ = train(1, with_batch_norm=True, num_devices=4, batch_norm_statistics="replica")
    kernel = learning.create_train_op(loss_of(True), optax.sgd(0.1)).init(0, BATCH)
    kernel = np.asarray(kernel.params["conv1"]["weights"])
    images = jax.lax.conv_general_dilated(
        BATCH["image"], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    for state, parts in ((whole, 1), (replicas, 4)):
        variances = np.asarray(images).reshape(parts, -1, 8).var(axis=1, ddof=1).mean(axis=0)
        found = state.batch_stats["conv1"]["BatchNorm"]["moving_variance"]
        np.testing.assert_allclose(found, 0.9 + 0.1 * variances, rtol=1e-4)


@pytest.mark.long
def test_norms_are_reported_before_clipping():
    _, start, _ = train(0)
    _, state, outputs = train(1, optimizer=optax.sgd(1.0), report_norms=True, clip_global_norm=0.01)
    step = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), start.params, state.params)
    np.testing.assert_allclose(optax.tree.norm(step), 0.01, rtol=1e-4)
    _, unclipped, _ = train(1, optimizer=optax.sgd(1.0))
    step = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), start.params, unclipped.params)
    np.testing.assert_allclose(outputs["gradient_norm"], optax.tree.norm(step), rtol=1e-4)
    np.testing.assert_allclose(outputs["parameter_norm"], optax.tree.norm(state.params), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_global_norm": -1.0}, "clip_global_norm must be at least 0, got -1.0"),
        ({"check_numerics": "all"}, "must be True, False or 'everything', got 'all'"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be at least 1"),
        ({"batch_norm_statistics": "own"}, "must be 'global' or 'replica', got 'own'"),
        (
            {"batch_norm_statistics": "replica", "sharding_rules": learning.FULLY_SHARDED},
            "needs the whole state on every device",
        ),
        ({"reduce_dtype": jnp.bfloat16}, "needs batch_norm_statistics='replica'; with 'global'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        learning.create_train_op(loss_of(False), optax.sgd(0.1), **options)


def test_options_are_those_of_a_train_op():
    train_op = learning.create_train_op(loss_of(False), optax.sgd(0.1))
    given = dataclasses.asdict(StepOptions())
    assert given["mesh"] == learning.data_mesh(1)
    assert given == {name: getattr(train_op, name) for name in given}
    with pytest.raises(ValueError, match="gradient_accumulation_steps must be at least 1"):
        StepOptions(gradient_accumulation_steps=0)


def test_norms_and_profile_of_a_run(tmp_path, caplog):
    train_op = learning.create_train_op(loss_of(False), optax.sgd(0.01), report_norms=True)
    with caplog.at_level("INFO", "jslim"):
        learning.train(
            train_op, [BATCH] * 8, tmp_path, number_of_steps=8, log_every_n_steps=4,
            profile_steps=(3, 5),
        )  # fmt: skip
    assert "gradient norm" in caplog.text
    assert "parameter norm" in caplog.text
    assert f"wrote a profile of training steps to {tmp_path}" in caplog.text
    (trace,) = tmp_path.glob("plugins/profile/*/perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    steps = {e["args"]["step_num"] for e in events if e.get("name") == "train" and "args" in e}
    assert {str(step) for step in steps} == {"3", "4", "5"}
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))


@pytest.mark.parametrize("steps", [(0, 2), (3, 2)])
def test_profile_steps_out_of_range(steps, tmp_path):
    train_op = learning.create_train_op(loss_of(False), optax.sgd(0.01))
    with pytest.raises(ValueError, match=r"profile_steps must be \(first, last\) with 1 <= first"):
        learning.train(train_op, [BATCH], tmp_path, profile_steps=steps)
    with pytest.raises(ValueError, match=r"needs a logdir"):
        learning.train(train_op, [BATCH], profile_steps=(1, 2))


def noisy_loss(batch):
    """A loss of randomness alone, with moving statistics."""
    net = slim.batch_norm(slim.dropout(slim.flatten(batch["image"]), 0.5), scope="bn")
    weight = slim.model_variable("w", [], initializer=slim.zeros_initializer())
    loss = slim.losses.add_loss(jnp.mean(net[:, 0]) * 0 + jnp.sum(net[0]) + weight)
    del loss
    return slim.losses.get_total_loss()


def test_without_global_step_nothing_is_counted_and_each_step_has_its_own_randomness():
    op = learning.create_train_op(noisy_loss, optax.sgd(1.0), None)
    state = op.init(0, BATCH)
    losses = []
    for _ in range(3):
        state, outputs = op(state, BATCH)
        losses.append(float(outputs["loss"]) - float(state.params["w"]))
    assert int(state.step) == 0
    assert float(state.params["w"]) == -3.0
    assert len(set(losses)) == 3
    with pytest.raises(ValueError) as error:
        learning.train(op, [BATCH], None, number_of_steps=1)
    assert str(error.value) == (
        "train: a train op that was made with global_step=None counts no steps, so that its "
        "training could neither end nor go on; leave global_step out, or call the train op"
    )


@pytest.mark.parametrize("create", [learning.create_train_op, slim.training.create_train_op])
def test_no_update_ops_leave_moving_statistics_and_arguments_have_tf_slims_order(create):
    if create is learning.create_train_op:
        others = ["w", 0.0, False, 2, 1, True, {"w": 2.0}, True]
    else:
        others = ["w", None, False, 2, 1, True, True]
    others[0] = ["w"]
    op = create(noisy_loss, optax.sgd(1.0), slim.learning.step.USE_GLOBAL_STEP, [], *others)
    state = op.init(0, BATCH)
    before = jax.tree.map(np.asarray, state.batch_stats)
    state, _ = op(state, BATCH)
    jax.tree.map(np.testing.assert_array_equal, before, state.batch_stats)
    assert int(state.step) == 1
    assert float(state.params["w"]) == (-2.0 if create is learning.create_train_op else -1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"global_step": jnp.zeros(())},
            "create_train_op: global_step can be None, for no counting, or be left out, since "
            "state.step counts the steps; got ArrayImpl",
        ),
        (
            {"update_ops": ["bn/update"]},
            "create_train_op: update_ops can be None, for all, or empty, to leave moving "
            r"statistics as they are, since there are no ops to name; got \['bn/update'\]",
        ),
    ],
)
def test_what_is_of_a_graph_is_refused(options, message):
    with pytest.raises(TypeError, match=message):
        learning.create_train_op(noisy_loss, optax.sgd(0.1), **options)
