"""Recomputing by scope: the same values and gradients in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim import learning
from jslim._errors import ScopeError
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


@pytest.mark.parametrize("pattern", [r"resnet/block\d/unit_", ".*/conv2"])
def test_a_step_has_the_same_numbers(pattern):
    results = []
    for patterns in ((), (pattern,)):
        train_op = train_op_of(*patterns)
        state, outputs = train_op(train_op.init(0, BATCH), BATCH)
        results.append((state.params, state.batch_stats, outputs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


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
        return text.count("conv_general_dilated")

    plain = times()
    assert times("net/conv1") > plain
    assert times("net/convolution2d") > plain
    assert times("net/conv") == times("net/conv1") + times("net/convolution2d") - plain
    assert times("net/logits") == plain


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ScopeError, match=r"'conv1' matches no op; .*net/conv1"):
        slim.Model(small).init(jax.random.key(0), jnp.ones((2, 4, 4, 3)), "conv1")
