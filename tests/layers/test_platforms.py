"""Layers compute as on the platform that a program is lowered for, whatever traces it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim.layers._lowering import lowered_for

IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 7, 6, 4)), jnp.float32)


def net(images):
    """A layer of each kind that is not computed alike everywhere."""
    net = slim.separable_conv2d(images, 4, [3, 3], depth_multiplier=2)
    net = slim.max_pool2d(net, [3, 3], stride=1, padding="SAME")
    net = slim.conv2d_transpose(net, 6, [3, 3], stride=2)
    net = slim.group_norm(net, groups=2)
    net = slim.avg_pool2d(net, [2, 2])
    net = slim.fully_connected(net, 3)
    return slim.conv2d(net, 2, [7, 6], padding="VALID")


MODEL = slim.Model(net)
VARIABLES = MODEL.init(jax.random.key(0), IMAGES)


def total(variables, images):
    return jnp.sum(jnp.sin(MODEL.apply(variables, images)))


def operations(text):
    """How many there are of those that tell the platforms apart."""
    names = ("convolution", "dot_general", "while", "select_and_scatter")
    return {name: len(re.findall(rf"stablehlo\.{name}\b", text)) for name in names}


# Forward and two gradients each of: a depthwise, a 1x1, a transposed and a whole-map convolution.
# `dot_general` is of the fully connected layer alone, and a GPU's max pool is by shifts.
XLAS = {"convolution": 12, "dot_general": 3, "while": 0, "select_and_scatter": 1}


@pytest.mark.parametrize("platform", ["tpu", "cuda", "rocm"])
def test_gradients_lowered_for_another_platform_are_of_xlas_operations(platform):
    gradients = jax.jit(jax.grad(total, (0, 1)))
    lowered = gradients.trace(VARIABLES, IMAGES).lower(lowering_platforms=(platform,))
    assert operations(lowered.as_text()) == {**XLAS, "select_and_scatter": platform == "tpu"}
    here = operations(gradients.lower(VARIABLES, IMAGES).as_text())
    assert here["convolution"] == 2  # the transposed one, and its gradient by the images
    assert here["while"] == 1  # the gradient of the depthwise kernel


def test_a_traced_function_has_each_lowering_and_the_order_does_not_matter():
    for platforms in (["cpu", "tpu"], ["tpu", "cpu"]):
        gradients = jax.jit(jax.grad(total, (0, 1)))
        found = {
            platform: operations(
                gradients.trace(VARIABLES, IMAGES).lower(lowering_platforms=(platform,)).as_text()
            )
            for platform in platforms
        }
        assert found["tpu"] == XLAS
        assert found["cpu"]["convolution"] == 2


def test_one_exported_program_has_the_ways_of_all_platforms_and_the_numbers_of_one():
    gradients = jax.jit(jax.grad(total, (0, 1)))
    exported = jax.export.export(gradients, platforms=["cpu", "tpu"])(VARIABLES, IMAGES)
    assert operations(exported.mlir_module())["convolution"] >= XLAS["convolution"]
    wanted = jax.tree.leaves(gradients(VARIABLES, IMAGES))
    found = jax.tree.leaves(exported.call(VARIABLES, IMAGES))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    # Which it is is known when it is compiled.
    compiled = jax.jit(exported.call).lower(VARIABLES, IMAGES).compile().as_text()
    plain = gradients.lower(VARIABLES, IMAGES).compile().as_text()
    assert compiled.count(" conditional(") == plain.count(" conditional(")


def test_a_training_step_is_lowered_for_its_platform():
    def loss(batch):
        logits = jnp.mean(net(batch["image"]), (1, 2))
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss()

    batch = {"image": IMAGES, "label": jnp.zeros(2, jnp.int32)}
    op = slim.learning.create_train_op(loss, optax.sgd(0.1))
    state = op.init_shapes(0, batch)
    traced = jax.jit(op.step).trace(state, batch)
    # The images have no gradient.
    found = operations(traced.lower(lowering_platforms=("tpu",)).as_text())
    assert found == {**XLAS, "convolution": 11}
    assert operations(traced.lower(lowering_platforms=("cpu",)).as_text())["convolution"] == 2


@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd, jax.jacrev])
def test_all_platforms_give_the_same_numbers(transform):
    with lowered_for("xla"):
        xlas = jax.jit(transform(total, 1))(VARIABLES, IMAGES)
    ours = jax.jit(transform(total, 1))(VARIABLES, IMAGES)
    np.testing.assert_allclose(ours, xlas, rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
def test_several_models_or_batches_by_vmap(axes):
    def stack(tree, axis):
        return tree if axis is None else jax.tree.map(lambda x: jnp.stack([x, 2 * x, -x]), tree)

    arguments = stack(VARIABLES, axes[0]), stack(IMAGES, axes[1])

    def summed(variables, images):
        return jnp.sum(jax.vmap(total, axes)(variables, images))

    # The derivative of a vmap as well as the vmap of a derivative.
    for function in (jax.grad(summed, (0, 1)), jax.vmap(jax.grad(total, (0, 1)), axes)):
        ours = jax.jit(function)(*arguments)
        with lowered_for("xla"):
            xlas = jax.jit(function)(*arguments)
        for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(xlas), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_precision_of_products_is_that_of_where_they_are_traced():
    def product(images):
        with jax.default_matmul_precision("highest"):
            return slim.conv2d(images, 3, [1, 1], biases_initializer=None)

    model = slim.Model(product)
    variables = model.init(jax.random.key(0), IMAGES)
    lowered = jax.jit(model.apply).trace(variables, IMAGES).lower(lowering_platforms=("tpu",))
    assert "HIGHEST" in lowered.as_text()


def test_recomputed_layers_wait_for_the_gradients_by_a_branch_on_the_cpu_alone():
    def recomputed(images):
        return jnp.sum(slim.recompute_grad(lambda x: slim.conv2d(x, 4, [3, 3]))(images))

    model = slim.Model(recomputed)
    variables = model.init(jax.random.key(0), IMAGES)
    traced = jax.jit(jax.grad(model.apply)).trace(variables, IMAGES)
    cpu, tpu = (
        traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.case")
        for platform in ("cpu", "tpu")
    )
    assert cpu == tpu + 1
