"""`recompute_elementwise`: the same numbers, and nothing kept but what is dear to compute."""

import re

import jax
import jax.ad_checkpoint
import jax.numpy as jnp
import pytest
from small_classifier import BATCH, assert_same, train

import jslim as slim
from jslim import learning
from jslim.layers.recomputing import recompute_elementwise


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"num_devices": 4},
        {"num_devices": 4, "batch_norm_statistics": "replica"},
        {"num_devices": 4, "sharding_rules": learning.FULLY_SHARDED},
    ],
    ids=["one device", "in parts", "four devices", "replica", "sharded"],
)
def test_a_step_has_the_same_numbers(options):
    _, plain, expected = train(3, with_batch_norm=True, **options)
    _, state, outputs = train(3, with_batch_norm=True, recompute_elementwise=True, **options)
    assert_same(state.params, plain.params)
    assert_same(state.batch_stats, plain.batch_stats)
    assert_same(outputs, expected)


def net(images):
    net = slim.conv2d(images, 6, [3, 3], normalizer_fn=slim.batch_norm, scope="conv1")
    net = slim.separable_conv2d(net, None, [3, 3], 1, normalizer_fn=slim.batch_norm, scope="conv2")
    net = slim.max_pool2d(net + jnp.tanh(net), [2, 2], scope="pool")
    net = slim.dropout(net, 0.5, scope="dropout")
    net = slim.fully_connected(slim.flatten(net), 5, scope="fc")
    return jnp.sum(jax.nn.log_softmax(net)[:, 0])


def shapes_of_kept(function, params, capsys):
    """The shapes of what the gradient keeps of the batch, beside its arguments."""
    jax.ad_checkpoint.print_saved_residuals(function, params)
    lines = [line for line in capsys.readouterr().out.splitlines() if "argument" not in line]
    shapes = (re.match(r"\w+\[([\d,]*)\]", line)[1] for line in lines)
    return sorted(shape for shape in shapes if shape.startswith("16,"))


def test_of_activations_only_results_of_products_and_pools_are_kept(capsys):
    model = slim.Model(net)
    variables = model.init(jax.random.key(0), BATCH["image"])

    def loss_of(params):
        held = {**variables, "params": params}
        return model.apply(held, BATCH["image"], rngs=jax.random.key(1), mutable=["batch_stats"])[0]

    recomputed, params = recompute_elementwise(loss_of), variables["params"]
    assert shapes_of_kept(recomputed, params, capsys) == [
        "16,4,4,6",  # the pool
        "16,5",  # the product
        "16,8,8,3",  # the images
        "16,8,8,6",  # two convolutions
        "16,8,8,6",
    ]
    assert shapes_of_kept(loss_of, params, capsys).count("16,8,8,6") > 6
    assert_same(jax.grad(recomputed)(params), jax.grad(loss_of)(params))
