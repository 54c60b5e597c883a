"""The step on several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from linear_training import BATCH, linear_loss, noisy_loss, start

from jslim import learning, optimizers


def test_eight_devices_give_the_parameters_of_one_after_twenty_steps():
    states = []
    for count in (1, 8):
        mesh = learning.data_mesh(count)
        train_op = learning.create_train_op(noisy_loss, optimizers.adam(0.05), mesh=mesh)
        state = start(train_op)
        for _ in range(20):
            state, _ = train_op(state, BATCH)
        assert len(state.params["linear"]["weights"].sharding.device_set) == count
        states.append(state)
    for one, eight in zip(*(jax.tree.leaves(s.variables) for s in states), strict=True):
        np.testing.assert_allclose(one, eight, rtol=2e-6, atol=1e-7)


@pytest.mark.long
@pytest.mark.parametrize("mapping", ["pmap", "shard_map", "unchecked shard_map"])
def test_the_pure_step_under_a_map_gives_the_parameters_of_jit(mapping):
    train_op = learning.create_train_op(linear_loss, optimizers.adam(0.05))
    state, mapped = start(train_op), start(train_op)
    mesh = learning.data_mesh(8)
    mapped = jax.device_put(mapped, NamedSharding(mesh, PartitionSpec()))

    def step(state, batch):
        return train_op.step(state, batch, axis_name="data")

    if mapping == "pmap":
        parts = jax.tree.map(lambda x: x.reshape(8, 2, *x.shape[1:]), BATCH)
        on_each = NamedSharding(mesh, PartitionSpec("data"))
        mapped = jax.tree.map(lambda x: jax.device_put(jnp.stack([x] * 8), on_each), mapped)
        run = jax.pmap(step, axis_name="data")
    else:
        parts = BATCH
        whole = PartitionSpec()
        run = jax.jit(
            jax.shard_map(
                step,
                mesh=mesh,
                in_specs=(whole, PartitionSpec("data")),
                out_specs=(whole, whole),
                check_vma=mapping == "shard_map",
            )
        )
    for _ in range(20):
        state, outputs = train_op(state, BATCH)
        # One at a time: eight devices in one CPU wait for each other.
        mapped, mapped_outputs = jax.block_until_ready(run(mapped, parts))
    if mapping == "pmap":
        found = jax.device_get((mapped.params, mapped_outputs))
        params, mapped_outputs = jax.tree.map(lambda x: x[0], found)
        mapped = mapped.replace(params=params)
    np.testing.assert_allclose(mapped_outputs["loss"], outputs["loss"], rtol=1e-5)
    for one, other in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(mapped.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_batch_that_does_not_divide_is_refused_by_name():
    mesh = learning.data_mesh(8)
    train_op = learning.create_train_op(linear_loss, optax.sgd(0.1), mesh=mesh)
    state = start(train_op)
    with pytest.raises(ValueError, match=r"batch\['x'\]: 12 examples cannot be divided among 8"):
        train_op(state, jax.tree.map(lambda x: x[:12], BATCH))


def test_data_mesh_refuses_more_devices_than_there_are():
    with pytest.raises(ValueError, match="9 devices were asked for, but there are 8"):
        learning.data_mesh(9)


def test_init_shapes_are_those_of_init_and_name_the_devices():
    train_op = learning.create_train_op(
        linear_loss, optimizers.adam(0.1), mesh=learning.data_mesh(8)
    )
    shapes = train_op.init_shapes(jax.random.key(0), BATCH)
    state = start(train_op)
    assert jax.tree.structure(shapes) == jax.tree.structure(state)
    for shape, leaf in zip(jax.tree.leaves(shapes), jax.tree.leaves(state), strict=True):
        assert (shape.shape, shape.dtype, shape.sharding) == (leaf.shape, leaf.dtype, leaf.sharding)
