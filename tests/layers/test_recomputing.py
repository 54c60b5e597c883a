"""Recomputing by scope: the same values and gradients in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim import learning
from jslim.core.errors import ScopeError
from jslim.nets import resnet_v1

BATCH = {
    "image": np.random.default_rng(0).normal(size=(4, 12, 12, 3)).astype(np.float32),
    "label": np.arange(4),
}


def residual_network(images, num_units):
    """Bottleneck units in two blocks, with batch normalization."""
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        return resnet_v1.resnet_v1(
            images,
            [
                resnet_v1.resnet_v1_block("block1", 8, num_units, 2),
                resnet_v1.resnet_v1_block("block2", 16, num_units, 1),
            ],
            num_classes=8,
            include_root_block=False,
            scope="resnet",
        )


def train_op_of(*patterns, num_units=2):
    def total_loss(batch):
        with slim.recompute_scopes(*patterns):
            logits, end_points = residual_network(batch["image"], num_units)
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss(), {"num_end_points": jnp.float32(len(end_points))}

    return learning.create_train_op(total_loss, optax.sgd(1e-3))


@pytest.mark.long
@pytest.mark.parametrize("pattern", [r"resnet/block\d/unit_", ".*/conv2"])
def test_a_step_has_the_same_numbers(pattern):
    results = []
    for patterns in ((), (pattern,)):
        train_op = train_op_of(*patterns)
        state, outputs = train_op(train_op.init(0, BATCH), BATCH)
        results.append((state.params, state.batch_stats, outputs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


@pytest.mark.long
def test_a_residual_network_needs_less_memory():
    batch = {
        "image": jax.ShapeDtypeStruct((16, 32, 32, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((16,), jnp.int32),
    }
    sizes = []
    for patterns in ((), ("resnet/block",)):
        train_op = train_op_of(*patterns, num_units=6)
        compiled = train_op.lower(train_op.init_shapes(0, batch), batch).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)
    assert sizes[1] < 0.6 * sizes[0]


def small(x, *patterns):
    with slim.recompute_scopes(*patterns), slim.variable_scope("net"):
        x = slim.conv2d(x, 4, [3, 3], scope="conv1")
        x = slim.conv2d(x, 4, [3, 3])
        return slim.fully_connected(slim.flatten(x), 2, scope="logits")


def test_only_matching_ops_are_recomputed_by_their_scope_or_function():
    images = jnp.ones((2, 4, 4, 3))
    variables = slim.Model(small).init(jax.random.key(0), images)

    def times(*patterns):
        def loss(params):
            return slim.Model(small).apply({"params": params}, images, *patterns).sum()

        text = str(jax.make_jaxpr(jax.grad(loss))(variables["params"]))
        return text.count("correlate")  # a convolution, or one of its gradients

    plain = times()
    assert times("net/conv1") > plain
    assert times("net/convolution2d") > plain
    assert times("net/conv") == times("net/conv1") + times("net/convolution2d") - plain
    assert times("net/logits") == plain


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ScopeError, match=r"'conv1' matches no op; .*net/conv1"):
        slim.Model(small).init(jax.random.key(0), jnp.ones((2, 4, 4, 3)), "conv1")


def test_a_jitted_function_that_is_not_traced_again_is_no_error():
    images = jnp.ones((1, 2, 2, 3))
    model = slim.Model(lambda x: slim.conv2d(x, 4, [3, 3], scope="second_call"))
    variables = model.init(jax.random.key(0), images)
    apply = jax.jit(model.apply)
    for _ in range(2):
        with slim.recompute_scopes("second_call"):
            apply(variables, images)
            slim.flatten(images)


def test_patterns_are_part_of_the_key_of_jit():
    images = jnp.ones((1, 4, 4, 3))
    variables = slim.Model(small).init(jax.random.key(0), images)
    loss = jax.jit(lambda params: slim.Model(small).apply({"params": params}, images).sum())
    gradient = jax.jit(jax.grad(loss))
    counts = []
    for patterns in ((), ("net/conv1",), ("net/conv",), ("net/conv1",)):
        with slim.recompute_scopes(*patterns):
            text = gradient.lower(variables["params"]).as_text()
        counts.append(text.count("stablehlo.optimization_barrier"))
    assert counts[0] < counts[1] < counts[2]
    assert counts[1] == counts[3]


def test_ops_outside_of_a_model_function_run_and_match_by_their_own_name():
    images = jnp.ones((1, 2, 2, 3))
    with slim.recompute_scopes("pool"):
        assert slim.flatten(images).shape == (1, 12)
        assert slim.max_pool2d(images, 2, scope="pool").shape == (1, 1, 1, 3)
    message = r"'poool' matches no op; .*did you mean 'pool'"
    with pytest.raises(ScopeError, match=message), slim.recompute_scopes("poool"):
        slim.max_pool2d(images, 2, scope="pool")


def test_patterns_around_and_within_both_count():
    images = jnp.ones((1, 4, 4, 3))

    def around(x, *patterns):
        with slim.recompute_scopes("net/logits", *patterns[:1]):
            return small(x, *patterns[1:])

    variables = slim.Model(small).init(jax.random.key(0), images)

    def barriers(*patterns):
        loss = lambda p: slim.Model(around).apply({"params": p}, images, *patterns).sum()  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(loss))(variables["params"])).count(
            "optimization_barrier"
        )

    assert barriers("net/conv1") < barriers("net/conv1", "net/convolution2d")
    assert barriers("net/conv") == barriers("net/conv1", "net/convolution2d")


def test_a_pattern_that_is_no_regular_expression():
    with pytest.raises(ScopeError, match=r"recompute_scopes: 'conv\(' is not a regular expression"):
        slim.recompute_scopes("conv(").__enter__()
