"""States that lie in parts on the devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from small_classifier import BATCH, assert_same, loss_of, train

import jslim as slim
from jslim import learning, optimizers
from jslim.core.errors import ScopeError
from jslim.nets import nets_factory


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
