"""Accumulation, sharded states, norms, statistics of replicas, and numbers that are not finite."""

import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jslim as slim
from jslim import data, learning, optimizers
from jslim.core.errors import ScopeError
from jslim.learning.accumulation import split_batch
from jslim.nets import nets_factory

RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.normal(size=(16, 8, 8, 3)).astype(np.float32),
    "label": RNG.integers(0, 4, 16).astype(np.int32),
}


def small_net(images, *, with_batch_norm, is_training=True):
    norm = slim.batch_norm if with_batch_norm else None
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            normalizer_fn=norm,
            weights_regularizer=slim.l2_regularizer(0.01),
        ),
        slim.arg_scope([slim.batch_norm], is_training=is_training, decay=0.9),
    ):
        net = slim.conv2d(images, 8, [3, 3], scope="conv1")
        net = slim.conv2d(net, 16, [3, 3], stride=2, scope="conv2")
        net = slim.flatten(net)
        return slim.fully_connected(net, 4, activation_fn=None, normalizer_fn=None, scope="logits")


def loss_of(with_batch_norm):
    def total_loss(batch):
        logits = small_net(batch["image"], with_batch_norm=with_batch_norm)
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss(), {"greatest": jnp.max(logits)}

    return total_loss


def train(number_of_steps=3, *, with_batch_norm=False, num_devices=1, optimizer=None, **options):
    train_op = learning.create_train_op(
        loss_of(with_batch_norm),
        optimizer or optimizers.adam(1e-2),
        mesh=learning.data_mesh(num_devices),
        **options,
    )
    state = train_op.init(0, BATCH)
    outputs = {}
    for _ in range(number_of_steps):
        state, outputs = train_op(state, BATCH)
    return train_op, state, outputs


def assert_same(first, second, rtol=2e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=2e-6), first, second)


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


@pytest.mark.long
@pytest.mark.parametrize("with_batch_norm", [True, False])
def test_a_sharded_state_trains_to_the_same_numbers(with_batch_norm):
    options = {"with_batch_norm": with_batch_norm, "moving_average_decay": 0.9, "num_devices": 8}
    _, whole, one = train(**options)
    train_op, parts, other = train(**options, sharding_rules=learning.FULLY_SHARDED)
    assert_same(whole.params, parts.params, rtol=1e-4)
    assert_same(whole.batch_stats, parts.batch_stats, rtol=1e-4)
    assert_same(whole.ema_params, parts.ema_params, rtol=1e-4)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-5)
    kernel = parts.params["conv2"]["weights"]
    assert kernel.sharding.spec == PartitionSpec(None, None, None, "data")
    adam = parts.opt_state[0]
    assert adam.mu["conv2"]["weights"].sharding == kernel.sharding
    assert parts.ema_params["params"]["conv2"]["weights"].sharding == kernel.sharding
    assert adam.count.sharding.spec == PartitionSpec()
    assert train_op.state_sharding.params["conv2"]["weights"] == kernel.sharding


def test_a_sharded_state_trains_alike_in_bfloat16():
    sgd = optax.sgd(0.1)
    with slim.arg_scope([slim.conv2d, slim.fully_connected], dtype=jnp.bfloat16):
        _, whole, one = train(optimizer=sgd, num_devices=8)
        _, parts, other = train(optimizer=sgd, num_devices=8, sharding_rules=learning.FULLY_SHARDED)
    start = learning.create_train_op(loss_of(False), sgd).init(0, BATCH)
    trees = (jax.device_get(jax.tree.leaves(state.params)) for state in (start, whole, parts))
    for before, a, b in zip(*trees, strict=True):
        # The sum over the devices is rounded to 8 bits.
        np.testing.assert_allclose(a, b, rtol=0, atol=0.03 * np.abs(a - before).max())
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=0.01)


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


def bytes_on_first_device(state):
    shardings = jax.tree.map(lambda leaf: leaf.sharding.shard_shape(leaf.shape), state)
    sizes = jax.tree.map(
        lambda leaf, shape: int(np.prod(shape)) * 4,
        state,
        shardings,
        is_leaf=lambda x: isinstance(x, jax.ShapeDtypeStruct),
    )
    return sum(jax.tree.leaves(sizes))


@pytest.mark.long
def test_a_fully_sharded_resnet_needs_an_eighth_of_the_memory():
    network = nets_factory.get_network_fn("resnet_v1_50", 1000, is_training=True)

    def total_loss(batch):
        logits, _ = network(batch["image"])
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss()

    batch = {
        "image": jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((8,), jnp.int32),
    }
    sizes = []
    for rules in (learning.DATA_PARALLEL, learning.FULLY_SHARDED):
        train_op = learning.create_train_op(
            total_loss, optimizers.adam(1e-3), mesh=learning.data_mesh(8), sharding_rules=rules
        )
        shapes = train_op.init_shapes(0, batch)
        sizes.append(bytes_on_first_device(shapes.replace(rng=shapes.step)))
    assert sizes[1] < 0.126 * sizes[0]


def test_the_first_rule_that_matches_decides():
    mesh = learning.data_mesh(8)
    whole = PartitionSpec()
    rules = [("conv1/", whole), (".*/weights", learning.largest_axis), (".*", whole)]
    _, state, _ = train(1, num_devices=8, sharding_rules=rules)
    assert state.params["conv1"]["weights"].sharding == NamedSharding(mesh, PartitionSpec())
    assert state.params["logits"]["weights"].sharding.spec == PartitionSpec("data", None)
    assert state.params["logits"]["biases"].sharding.spec == PartitionSpec()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([("conv", PartitionSpec())], "no rule matches the variable 'logits/biases'; patterns are"),
        ([(".*", PartitionSpec("model"))], r"names the axis 'model'; the mesh has data"),
        (
            [(".*weights", PartitionSpec("data")), (".*", PartitionSpec())],
            r"does not divide the variable 'conv1/weights' of shape \(3, 3, 3, 8\) evenly: an axis "
            "of 3 over 8",
        ),
        (
            [(".*", PartitionSpec(None, None, None, None, "data"))],
            r"has 5 axes and the variable '.*' has shape",
        ),
    ],
)
def test_rules_that_do_not_fit(rules, message):
    with pytest.raises(ScopeError, match=message):
        train(1, num_devices=8, sharding_rules=rules)


@pytest.mark.long
def test_a_sharded_state_is_saved_and_restored_onto_other_devices(tmp_path):
    def run(directory, steps, num_devices, rules):
        train_op = learning.create_train_op(
            loss_of(True),
            optimizers.adam(1e-2),
            mesh=learning.data_mesh(num_devices),
            sharding_rules=rules,
        )
        batches = [BATCH] * steps
        return learning.train(
            train_op, batches, directory, number_of_steps=steps, save_summaries_secs=None
        )

    run(tmp_path / "a", 2, 8, learning.FULLY_SHARDED)
    parts = run(tmp_path / "a", 4, 4, learning.FULLY_SHARDED)
    whole = run(tmp_path / "b", 4, 1, learning.DATA_PARALLEL)
    assert int(parts.step) == 4
    # Adam's first updates are +-rate whatever the gradient, so rounding of small ones counts.
    assert_same(whole.params, parts.params, rtol=2e-3)


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


def poisoned_loss(kind):
    """A loss that makes one kind of quantity infinite or NaN at step 3, and no other before it."""

    def total_loss(batch):
        logits = small_net(batch["image"], with_batch_norm=True)
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        loss = slim.losses.get_total_loss()
        is_due = slim.get_or_create_global_step() == 3
        if kind == "loss":
            return jnp.where(is_due, jnp.nan, loss)
        if kind == "gradient":
            # 0 * sqrt(0): the value is 0, its derivative 0 * infinity.
            scale = slim.model_variable("scale", [1], initializer=slim.ones_initializer())
            zero = jnp.sum(scale) * jnp.where(is_due, 0.0, 1.0)
            return loss + jnp.where(is_due, jnp.sqrt(zero) * 0.0, 0.0)
        statistic = slim.model_variable(
            "count", [2], trainable=False, collections=["batch_stats"],
            initializer=slim.zeros_initializer(),
        )  # fmt: skip
        slim.assign("count", jnp.where(is_due, jnp.inf, statistic + 1))
        return loss

    return total_loss


def images_dataset():
    images = RNG.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    return data.ArrayDataset(images, np.arange(40) % 4, 4, name="noise")


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("loss", r"the loss of step 4 is nan"),
        ("gradient", r"the gradient of 'scale' is not finite in step 4, whose loss is [\d.]+"),
        ("statistic", r"the statistic 'count' is not finite in step 4, whose loss is [\d.]+"),
    ],
)
def test_training_stops_at_the_first_bad_quantity_and_names_its_records(kind, message, tmp_path):
    train_op = learning.create_train_op(
        poisoned_loss(kind), optax.sgd(0.01), check_numerics="everything"
    )
    batches = data.batches(
        images_dataset(), 10, is_training=True, seed=4,
        preprocessing_fn=lambda image: image.astype(np.float32) / 255,
    )  # fmt: skip
    with pytest.raises(FloatingPointError, match=message) as caught:
        learning.train(
            train_op, batches, tmp_path, number_of_steps=20, save_summaries_secs=None,
            log_every_n_steps=10,
        )  # fmt: skip
    text = str(caught.value)
    assert f"the newest checkpoint is {tmp_path / '0'}" in text
    with data.batches(images_dataset(), 10, is_training=True, seed=4) as again:
        for _ in range(4):
            next(again)
        keys = again.record_keys(again.get_state())
    assert f"its batch had the records {', '.join(keys[:8])} and 2 more" in text


def test_an_update_that_overflows_is_named():
    train_op = learning.create_train_op(
        loss_of(False), optax.sgd(1e38), check_numerics="everything"
    )
    state = train_op.init(0, BATCH)
    state, outputs = train_op(state, BATCH)
    place = int(outputs["first_nonfinite"])
    found = [bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(state.params)]
    if all(found):
        assert place == -1
    else:
        assert train_op.quantities[place].startswith("the variable '")
    state, outputs = train_op(state, BATCH)
    assert train_op.quantities[int(outputs["first_nonfinite"])] == "the loss"


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
