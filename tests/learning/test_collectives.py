"""How often the devices speak to each other in a step, read from the compiled program."""

import re

import jax
import jax.numpy as jnp
import optax
import pytest

import jslim as slim
from benchmarks import scaling
from jslim import learning
from jslim.learning.mesh import finished

NUM_LAYERS = 3


def program_of(with_batch_norm, size=8, dtype=jnp.float32, **options):
    """The lowered step, and the bytes of the parameters."""

    def total_loss(batch):
        norm = slim.batch_norm if with_batch_norm else None
        with (
            slim.arg_scope([slim.conv2d], normalizer_fn=norm),
            slim.arg_scope(
                [slim.conv2d, slim.fully_connected],
                dtype=dtype,
                weights_regularizer=slim.l2_regularizer(1e-3),
            ),
        ):
            net = slim.repeat(batch["image"], NUM_LAYERS, slim.conv2d, 8, [3, 3], scope="conv")
            logits = slim.fully_connected(slim.flatten(net), 8, activation_fn=None, scope="logits")
        slim.losses.sparse_softmax_cross_entropy(logits.astype(jnp.float32), batch["label"])
        return slim.losses.get_total_loss()

    train_op = learning.create_train_op(
        total_loss, optax.sgd(0.1, 0.9), mesh=learning.data_mesh(8), **options
    )
    batch = {
        "image": jax.ShapeDtypeStruct((16, size, size, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((16,), jnp.int32),
    }
    state = train_op.init_shapes(0, batch)
    params = sum(x.size * 4 for x in jax.tree.leaves(state.params))
    return train_op.lower(state, batch), params


def step_of(with_batch_norm, **options):
    lowered, params = program_of(with_batch_norm, **options)
    return *scaling.collectives(lowered.compile().as_text()), params


@pytest.mark.parametrize("count", [1, 2])
def test_without_batch_norm_there_is_one_all_reduce_of_the_gradients(count):
    numbers, sizes, params = step_of(False, gradient_accumulation_steps=count)
    assert set(numbers) == {"all-reduce"}
    if count == 1:
        assert numbers["all-reduce"] <= 2  # XLA joins that of the loss with the gradients'
    assert params <= sizes["all-reduce"] < params + 200


def test_a_kernel_gradient_over_blocks_of_images_gathers_no_images():
    # Two images for each device, each a block by itself.
    numbers, sizes, params = step_of(False, size=32)
    assert set(numbers) == {"all-reduce"}
    assert numbers["all-reduce"] <= 2
    assert params <= sizes["all-reduce"] < params + 200


def test_global_statistics_cost_two_more_for_each_layer_and_those_of_replicas_none():
    numbers, _, params = step_of(True)
    assert set(numbers) == {"all-reduce"}
    assert numbers["all-reduce"] <= 2 + 2 * NUM_LAYERS
    numbers, sizes, params = step_of(True, batch_norm_statistics="replica")
    assert set(numbers) == {"all-reduce"}
    assert numbers["all-reduce"] <= 2
    assert sizes["all-reduce"] < params + 400


@pytest.mark.parametrize(("statistics", "is_in_loop"), [("replica", False), ("global", True)])
def test_accumulated_gradients_are_summed_once_with_statistics_of_replicas(statistics, is_in_loop):
    options = {"gradient_accumulation_steps": 2, "batch_norm_statistics": statistics}
    text = program_of(True, **options)[0].compile().as_text()
    in_loop = "\n".join(line for line in text.splitlines() if "while/body" in line)
    assert bool(scaling.collectives(in_loop)[0]) == is_in_loop
    assert scaling.collectives(text)[0]


def test_gradients_of_replicas_travel_in_half_the_bytes():
    lowered, _ = program_of(True, batch_norm_statistics="replica", reduce_dtype=jnp.bfloat16)
    reduced = r"stablehlo\.all_reduce.*?: \(tensor<((?:\d+x)*\w+)>\)"
    kinds = re.findall(reduced, lowered.as_text(), re.DOTALL)
    kernels = [kind for kind in kinds if "x3x" in kind]
    assert len(kernels) == NUM_LAYERS
    assert all(kind.endswith("xbf16") for kind in kernels)


def test_a_state_in_parts_gathers_each_variable_once():
    _, sizes, params = step_of(False, sharding_rules=learning.FULLY_SHARDED)
    # Variables that eight devices cannot divide stay whole.
    assert 0 < sizes["all-gather"] <= params + 200
    assert sizes["all-reduce"] + sizes["reduce-scatter"] <= params + 200


def test_a_state_in_parts_is_gathered_in_the_dtype_that_layers_compute_in():
    lowered, _ = program_of(False, dtype=jnp.bfloat16, sharding_rules=learning.FULLY_SHARDED)
    whole = r"sharding_constraint %\d+ <@mesh, \[(?:\{\}(?:, )?)+\]> : tensor<(?:\d+x)*(\w+)>"
    # Kernels and biases of all layers on their way to the devices, and their gradients back.
    assert re.findall(whole, lowered.as_text()) == ["bf16"] * 2 * 2 * (NUM_LAYERS + 1)


@pytest.mark.parametrize(
    ("platform", "num_devices", "expected"),
    [("cuda", 8, 1), ("rocm", 8, 1), ("cuda", 1, 0), ("tpu", 8, 0), ("cpu", 8, 0)],
)
def test_on_several_gpus_updates_begin_when_all_gradients_are_there(
    platform, num_devices, expected
):
    mesh = learning.data_mesh(num_devices)
    step = jax.jit(lambda gradients: finished(gradients, mesh))
    lowered = step.trace({"a": jnp.ones(3), "b": jnp.ones((2, 2))}).lower(
        lowering_platforms=(platform,)
    )
    assert lowered.as_text().count("optimization_barrier") == expected
