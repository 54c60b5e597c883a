"""Dropout, one-hot encoding, pools, repeat and stack beyond TF-Slim's stored numbers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layer_checks import jit

import jslim as slim
from jslim.layers import utils
from jslim.layers._defaults import relu


def drop(x, key=0, **kwargs):
    model = slim.Model(functools.partial(slim.dropout, **kwargs))
    return np.asarray(jit(model.apply)({}, x, rngs={"dropout": jax.random.key(key)}))


@pytest.mark.parametrize("keep_prob", [0.25, 0.9])
def test_dropout_keeps_that_share_and_scales_it_up(keep_prob):
    x = np.random.default_rng(0).uniform(1, 2, (100, 200)).astype(np.float32)
    output = drop(x, keep_prob=keep_prob)
    is_kept = output != 0
    np.testing.assert_allclose(output[is_kept], x[is_kept] / np.float32(keep_prob), rtol=1e-6)
    deviation = math.sqrt(keep_prob * (1 - keep_prob) / x.size)
    assert abs(is_kept.mean() - keep_prob) < 5 * deviation


def test_dropout_gradient_goes_where_the_values_went():
    model = slim.Model(slim.dropout)
    rngs = {"dropout": jax.random.key(0)}
    x = jnp.ones((6, 7))
    output = model.apply({}, x, rngs=rngs)
    gradient = jax.grad(lambda x: model.apply({}, x, rngs=rngs).sum())(x)
    np.testing.assert_array_equal(gradient, output)
    assert set(np.unique(output)) == {0.0, 2.0}


def test_dropout_noise_shape_is_one_draw_for_a_whole_axis():
    output = drop(jnp.ones((50, 4, 30)), noise_shape=[None, 1, 30])
    np.testing.assert_array_equal(output, np.broadcast_to(output[:, :1], output.shape))
    assert 0.4 < (output[:, 0] != 0).mean() < 0.6
    per_row = drop(jnp.ones((50, 4, 30)), noise_shape=(50, 1, 1))
    assert {row.mean() for row in per_row} == {0.0, 2.0}


def test_dropout_is_identity_when_not_training_or_keeping_all():
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(slim.dropout(x, is_training=False), x)
    np.testing.assert_array_equal(slim.dropout(x, 1.0), x)


def test_dropouts_of_one_model_differ_and_repeat_with_the_key():
    def net(x):
        return slim.dropout(x), slim.dropout(x)

    model = slim.Model(net)
    x = jnp.ones((20, 20))
    first, second = model.apply({}, x, rngs={"dropout": jax.random.key(1)})
    again, _ = model.apply({}, x, rngs={"dropout": jax.random.key(1)})
    other, _ = model.apply({}, x, rngs={"dropout": jax.random.key(2)})
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != other).any()


def test_a_seed_of_dropout_gives_other_masks_from_the_same_key():
    x = np.ones((8, 8), np.float32)
    masks = [drop(x, seed=seed) for seed in (None, 1, 2, 2**40)]
    np.testing.assert_array_equal(masks[1], drop(x, seed=1))
    assert len({mask.tobytes() for mask in masks}) == 4
    assert (drop(x, key=1, seed=1) != masks[1]).any()
    with pytest.raises(
        ValueError, match=r"^dropout at 'Dropout': seed must be in \[0, 2\*\*64\), "
    ):
        drop(x, seed=-1)


def test_dropout_takes_a_scheduled_keep_prob():
    model = slim.Model(lambda x, p: slim.dropout(x, p))
    apply = jit(functools.partial(model.apply, rngs={"dropout": jax.random.key(0)}))
    x = jnp.ones((30, 30))
    for keep_prob in (0.5, 0.8):
        expected = drop(x, keep_prob=keep_prob)
        np.testing.assert_allclose(apply({}, x, jnp.float32(keep_prob)), expected, rtol=1e-6)


def test_ops_without_variables_work_outside_a_model():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    assert slim.max_pool2d(x, 2).ravel().tolist() == [5, 7, 13, 15]
    assert slim.avg_pool2d(x, 2).ravel().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert slim.flatten(x).shape == (1, 16)
    assert slim.one_hot_encoding(np.array([1]), 2).tolist() == [[0, 1]]
    np.testing.assert_allclose(slim.softmax(jnp.zeros((1, 4))), np.full((1, 4), 0.25))
    np.testing.assert_allclose(slim.unit_norm(jnp.array([[3.0, 4.0]]), 1), [[0.6, 0.8]], rtol=1e-6)


def test_outputs_collections_outside_a_model_are_refused():
    with pytest.raises(slim.ScopeError, match=r"collection 'ends' only works inside a model"):
        slim.flatten(jnp.ones((2, 3)), outputs_collections="ends")


def test_unit_norm_of_zeros_is_zero():
    np.testing.assert_array_equal(slim.unit_norm(jnp.zeros((2, 3)), 0), np.zeros((2, 3)))


def test_pools_follow_nan_and_infinity():
    x = jnp.array([[1.0, jnp.nan, 2.0, -jnp.inf], [3.0, 4.0, -jnp.inf, -jnp.inf]])[None, :, :, None]
    # NaN wins wherever it stands in the window, as it does in a reduction.
    for rolled in (x, x[:, ::-1], x[:, :, ::-1]):
        got = np.sort(slim.max_pool2d(rolled, 2).ravel())
        np.testing.assert_array_equal(got, [2.0, np.nan])
    assert slim.max_pool2d(jnp.full((1, 2, 2, 1), -jnp.inf), 2).item() == -jnp.inf


def test_avg_pool_of_half_precision_sums_in_float32():
    x = jnp.full((1, 32, 32, 1), 1.0, jnp.bfloat16)  # a bfloat16 sum would stop at 256
    output = slim.avg_pool2d(x, 32)
    assert output.dtype == jnp.bfloat16
    assert output.item() == 1.0


def test_relu_has_the_values_and_derivatives_of_jax():
    x = jnp.array([-2.0, -0.0, 0.0, 3.0, jnp.inf, -jnp.inf, jnp.nan])
    np.testing.assert_array_equal(relu(x), jax.nn.relu(x))
    gradients = [jax.vmap(jax.grad(function))(x) for function in (relu, jax.nn.relu)]
    np.testing.assert_array_equal(*gradients)
    assert relu(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def names_of(function, *shape):
    kept = []

    def run(x):
        function(x)
        kept.append(list(slim.get_variables()))

    jax.eval_shape(slim.Model(run).init, jax.random.key(0), jnp.ones(shape))
    return [name for name in kept[0] if name.endswith("weights")]


def test_repeat_and_stack_name_scopes_by_the_layer():
    partial = functools.partial(slim.conv2d, num_outputs=2, kernel_size=1)

    class Layer:
        def __call__(self, x, scope=None):
            return slim.fully_connected(x, 2, scope=scope)

    for layer, name in [(partial, "convolution2d"), (Layer(), "repeat")]:
        got = names_of(lambda x, layer=layer: slim.repeat(x, 2, layer), 1, 2, 2, 3)
        assert got == [f"Repeat/{name}_{i}/weights" for i in (1, 2)]
    got = names_of(lambda x: slim.stack(x, lambda x, n, scope: Layer()(x, scope), [1]), 1, 3)
    assert got == ["Stack/<lambda>_1/weights"]


def test_repeat_zero_times_is_identity():
    x = jnp.ones((1, 3))
    output = slim.Model(lambda x: slim.repeat(x, 0, slim.fully_connected, 4)).apply({}, x)
    np.testing.assert_array_equal(output, x)


def test_stack_gives_lists_as_positional_arguments():
    assert names_of(
        lambda x: slim.stack(x, slim.conv2d, [(2, [3, 3]), [4, 1]], scope="core"), 1, 4, 4, 3
    ) == ["core/core_1/weights", "core/core_2/weights"]


def test_arg_scope_reaches_layers_inside_repeat_and_stack():
    def net(x):
        with slim.arg_scope([slim.fully_connected], biases_initializer=None):
            x = slim.repeat(x, 2, slim.fully_connected, 3)
            slim.stack(x, slim.fully_connected, [3, 2])
        assert all(name.endswith("weights") for name in slim.get_variables())

    assert len(names_of(net, 1, 3)) == 4


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: utils.two_element_tuple(3), (3, 3)),
        (lambda: utils.two_element_tuple([3, np.int64(4)]), (3, 4)),
        (lambda: utils.n_positive_integers(3, 2), (2, 2, 2)),
        (lambda: utils.n_positive_integers(1, (5,)), (5,)),
        (lambda: utils.n_positive_integers(2, [4 / 2, np.float32(3)]), (2, 3)),
        (lambda: utils.n_positive_integers(2, np.array([2, 3])), (2, 3)),
        (lambda: utils.channel_dimension((2, 3, 4, 5), "channels_last"), 5),
        (lambda: utils.channel_dimension((2, 3, 4, 5), "channels_first"), 3),
        (lambda: utils.channel_dimension((2, 3, 4, 5), "NCHW"), 3),
        (lambda: utils.last_dimension((2, 7), min_rank=2), 7),
        (lambda: utils.get_variable_collections(None, "weights"), []),
        (lambda: utils.get_variable_collections("a", "weights"), ["a"]),
        (lambda: utils.get_variable_collections(["a", "b"], "weights"), ["a", "b"]),
        (lambda: utils.get_variable_collections({"weights": ["a"]}, "weights"), ["a"]),
        (lambda: utils.get_variable_collections({"weights": ["a"]}, "biases"), []),
    ],
)
def test_utils(call, expected):
    assert call() == expected


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: utils.two_element_tuple([1, 2, 3]), r"one positive .* or 2 .*, got \[1, 2, 3\]"),
        (lambda: utils.n_positive_integers(2, 1.5), r"one positive .* or 2 of them, got 1.5"),
        (lambda: utils.n_positive_integers(2, (1, math.inf)), r"one positive .*, got \(1, inf\)"),
        (lambda: utils.n_positive_integers(2, (1, 0)), r"one positive .*, got \(1, 0\)"),
        (lambda: utils.n_positive_integers(0, 1), r"n must be at least 1, got 0"),
        (lambda: utils.last_dimension((2,), min_rank=2), r"rank must be at least 2, got shape"),
    ],
)
def test_utils_refuse(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_whole_floats_are_sizes_and_counts():
    def fn(images):
        net = slim.conv2d(images, 16 / 2, 4 / 2, stride=[2.0, 1], rate=1.0, scope="conv")
        net = slim.repeat(net, 4 / 2, slim.separable_conv2d, 8 / 2, 3.0, 1.0, scope="repeat")
        net = slim.max_pool2d(net, 2.0, stride=4 / 2)
        return slim.fully_connected(net, np.float32(2)), slim.one_hot_encoding([1], 6 / 2)

    outputs, rows = slim.Model(fn).init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 3)))[0]
    assert outputs.shape == (1, 2, 4, 2)
    assert rows.tolist() == [[0.0, 1.0, 0.0]]


# Conditions -----------------------------------------------------------------------------------


def test_smart_cond_calls_one_function_where_the_condition_is_known():
    calls = []

    def called(name):
        return lambda: calls.append(name) or name

    for pred in (True, np.bool_(True), jnp.array(True), 1):
        assert slim.utils.smart_cond(pred, called("first"), called("second")) == "first"
    assert slim.utils.smart_cond(False, called("first"), called("second"), name="c") == "second"
    assert calls == ["first"] * 4 + ["second"]


def test_smart_cond_decides_at_run_time_where_the_condition_is_traced():
    f = jax.jit(lambda p, x: slim.utils.smart_cond(p, lambda: x + 1, lambda: x * 10))
    assert [float(f(True, 2.0)), float(f(False, 2.0))] == [3.0, 20.0]


def test_smart_cond_may_choose_layers():
    def fn(x, is_training):
        return slim.utils.smart_cond(
            is_training, lambda: slim.dropout(x, 0.5), lambda: slim.fully_connected(x, 2)
        )

    outputs, variables = slim.Model(fn).init_with_output(jax.random.key(0), jnp.ones((1, 3)), False)
    assert outputs.shape == (1, 2)
    assert list(variables["params"]) == ["fully_connected"]


def test_constant_value_and_static_cond():
    utils = slim.utils
    assert utils.constant_value(3.0) == 3.0
    assert utils.constant_value(jnp.arange(2), jnp.int32).tolist() == [0, 1]
    assert jax.jit(lambda x: x if utils.constant_value(x) is None else -x)(1.0) == 1.0
    with pytest.raises(ValueError, match="constant_value: the array must be float32, got int32"):
        utils.constant_value(jnp.arange(2), "float32")
    with pytest.raises(ValueError, match="constant_value: there is no value, got None"):
        utils.constant_value(None)
    with pytest.raises(TypeError, match="static_cond: fn2 must be a function without arguments"):
        utils.smart_cond(True, lambda: 1, 2)
    assert utils.static_cond(0, lambda: 1, lambda: 2) == 2
