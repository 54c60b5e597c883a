"""Convolutions and pools beyond TF-Slim's numbers: layouts, paddings, precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layer_checks import jit, make_up_variables

import jslim as slim

RNG = np.random.default_rng(11)
FORMATS = {3: ("NWC", "NCW"), 4: ("NHWC", "NCHW"), 5: ("NDHWC", "NCDHW")}
CONV = {"num_outputs": 4, "kernel_size": 2, "activation_fn": None}
# layer, rank of the inputs, arguments
IN_BOTH_FORMATS = [
    (slim.conv1d, 3, {**CONV, "padding": [(1, 0)], "stride": 2}),
    (slim.conv1d, 3, {**CONV, "kernel_size": 1}),
    (slim.conv2d, 4, {**CONV, "padding": [(1, 0), (0, 2)]}),
    (slim.conv3d, 5, {**CONV, "rate": 2}),
    (slim.convolution, 3, CONV),
    (slim.convolution, 5, CONV),
    (slim.conv2d_transpose, 4, {**CONV, "stride": 2}),
    (slim.conv3d_transpose, 5, {**CONV, "stride": [1, 2, 3]}),
    (slim.separable_conv2d, 4, {**CONV, "padding": [(1, 1), (0, 2)], "depth_multiplier": 2}),
    (slim.separable_conv2d, 4, {**CONV, "num_outputs": None, "rate": [1, 2]}),
    (slim.max_pool2d, 4, {"kernel_size": 3, "padding": [(1, 1), (2, 0)]}),
    (slim.avg_pool2d, 4, {"kernel_size": 3, "padding": [(1, 1), (2, 0)]}),
    (slim.max_pool3d, 5, {"kernel_size": 2, "padding": "SAME"}),
    (slim.avg_pool3d, 5, {"kernel_size": 2, "padding": "SAME"}),
    (slim.pool, 3, {"kernel_size": 2, "pooling_type": "MAX", "dilation_rate": 2}),
    (slim.pool, 5, {"kernel_size": 2, "pooling_type": "AVG", "padding": "SAME"}),
]


def images(rank, dtype=jnp.float32):
    return jnp.asarray(RNG.uniform(-1, 1, (*(2, 5, 4, 6)[: rank - 1], 3)), dtype)


@pytest.mark.parametrize(("layer", "rank", "arguments"), IN_BOTH_FORMATS)
def test_channels_first_is_the_same_moved(layer, rank, arguments):
    last, first = FORMATS[rank]
    x = images(rank)
    model = slim.Model(functools.partial(layer, **arguments, data_format=last))
    other = slim.Model(functools.partial(layer, **arguments, data_format=first))
    variables = make_up_variables(model, x)
    expected = jit(model.apply)(variables, x)
    moved = jit(other.apply)(variables, jnp.moveaxis(x, -1, 1))
    np.testing.assert_allclose(jnp.moveaxis(moved, 1, -1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("layer", "rank", "arguments"), IN_BOTH_FORMATS)
def test_half_precision_is_summed_in_float32(layer, rank, arguments):
    """The result is that of float32 on the same numbers, but for few roundings."""
    x = images(rank, jnp.bfloat16)
    model = slim.Model(functools.partial(layer, **arguments))
    variables = jax.tree.map(
        lambda leaf: leaf.astype(jnp.bfloat16).astype(jnp.float32), make_up_variables(model, x)
    )
    output = jit(model.apply)(variables, x)
    exact = np.asarray(jit(model.apply)(variables, x.astype(jnp.float32)))
    assert output.dtype == jnp.bfloat16
    # Rounded are the sum, that with the biases, and what is between two kernels.
    bound = 3 * 2**-9 * np.abs(exact).max()
    np.testing.assert_allclose(output.astype(jnp.float32), exact, rtol=0, atol=bound)


def test_long_sums_of_half_precision_keep_their_last_bits():
    # 343 numbers of 1 + 2**-7: a bfloat16 sum stops growing at 256.
    x = jnp.full((1, 7, 7, 7, 1), 1 + 2**-7, jnp.bfloat16)
    expected = jnp.asarray(343 * (1 + 2**-7), jnp.bfloat16)
    model = slim.Model(
        functools.partial(
            slim.conv3d,
            num_outputs=1,
            kernel_size=7,
            padding="VALID",
            weights_initializer=slim.ones_initializer(),
        )
    )
    output, _ = jit(model.init_with_output)(jax.random.key(0), x)
    assert output.item() == expected.item()
    assert slim.avg_pool3d(x, 7).item() == x.ravel()[0].item()


def test_explicit_padding_equal_to_same_is_the_same():
    x = images(4)
    same = slim.Model(functools.partial(slim.conv2d, num_outputs=4, kernel_size=3))
    variables = make_up_variables(same, x)

    def in_scope(x):
        with slim.arg_scope([slim.conv2d], padding=[[1, 1], [1, 1]]):
            return slim.conv2d(x, 4, 3)

    np.testing.assert_array_equal(
        jit(slim.Model(in_scope).apply)(variables, x), jit(same.apply)(variables, x)
    )


def test_padding_counts_in_no_mean_and_wins_nowhere():
    x = -jnp.ones((1, 4, 4, 2))
    for pool in (slim.avg_pool2d, slim.max_pool2d):
        for padding in ("SAME", [(2, 1), (0, 2)]):
            output = pool(x, 3, stride=1, padding=padding)
            np.testing.assert_allclose(output, -jnp.ones(output.shape), rtol=1e-6)


def test_same_pool_with_a_rate_sees_what_is_there():
    x = jnp.asarray([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1)
    run = functools.partial(slim.pool, x, 3, padding="SAME", dilation_rate=2)
    np.testing.assert_array_equal(run("MAX").ravel(), [3, 4, 5, 4, 5])
    np.testing.assert_allclose(run("AVG").ravel(), [2, 3, 3, 3, 4], rtol=1e-6)


def test_conv_dims_by_rank_and_insisted_on():
    x = images(4)
    model = slim.Model(functools.partial(slim.convolution, num_outputs=4, kernel_size=[3, 2]))
    variables = make_up_variables(model, x)
    assert variables["params"]["Conv"]["weights"].shape == (3, 2, 3, 4)
    expected = jit(model.apply)(variables, x)
    for layer in (slim.conv2d, functools.partial(slim.convolution, conv_dims=2)):
        again = slim.Model(functools.partial(layer, num_outputs=4, kernel_size=[3, 2]))
        np.testing.assert_array_equal(jit(again.apply)(variables, x), expected)


def test_pointwise_initializer_is_that_of_the_pointwise_kernel():
    layer = functools.partial(
        slim.separable_conv2d,
        num_outputs=4,
        kernel_size=3,
        weights_initializer=slim.constant_initializer(2.0),
    )
    shared = slim.Model(layer).init(jax.random.key(0), images(4))["params"]["SeparableConv2d"]
    own = slim.Model(functools.partial(layer, pointwise_initializer=slim.ones_initializer()))
    apart = own.init(jax.random.key(0), images(4))["params"]["SeparableConv2d"]
    np.testing.assert_array_equal(shared["depthwise_weights"], np.full((3, 3, 3, 1), 2.0))
    np.testing.assert_array_equal(shared["pointwise_weights"], np.full((1, 1, 3, 4), 2.0))
    np.testing.assert_array_equal(apart["depthwise_weights"], np.full((3, 3, 3, 1), 2.0))
    np.testing.assert_array_equal(apart["pointwise_weights"], np.ones((1, 1, 3, 4)))
