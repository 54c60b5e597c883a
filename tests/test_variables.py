"""Making variables: what they start as, where they live, and what counts them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim

KEY = jax.random.key(0)


def init(fn):
    return slim.Model(fn).init(KEY)


def in_model(fn):
    """What `fn()` returns as a model function while it initializes."""
    return slim.Model(fn).init_with_output(KEY)[0]


# variable and model_variable ------------------------------------------------------------------


def test_variable_is_an_array_of_float32_by_default():
    value = in_model(lambda: slim.variable("w", shape=[2, 3]))
    assert value.shape == (2, 3)
    assert value.dtype == jnp.float32
    limit = np.sqrt(6 / 5)  # Xavier's: sqrt(6 / (2 + 3))
    assert 0 < np.max(np.abs(value)) <= limit


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([], ()),
        ((), ()),
        (3, (3,)),
        ([2, 3], (2, 3)),
        (np.int64(3), (3,)),
        ((np.int32(2), 1), (2, 1)),
    ],
)
def test_shape_may_be_a_number_a_list_or_a_tuple(shape, expected):
    value = in_model(lambda: slim.variable("w", shape=shape, initializer=slim.ones_initializer()))
    np.testing.assert_array_equal(value, np.ones(expected))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, "float16", np.float32])
def test_dtype(dtype):
    value = in_model(lambda: slim.variable("w", shape=[2], dtype=dtype))
    assert value.dtype == jnp.dtype(dtype)


def test_variable_of_integers_starts_at_zero_and_is_not_trained():
    variables = init(lambda: slim.variable("n", shape=[2], dtype=jnp.int32, trainable=False))
    np.testing.assert_array_equal(variables["batch_stats"]["n"], [0, 0])
    assert variables["batch_stats"]["n"].dtype == jnp.int32


@pytest.mark.parametrize(
    ("initial_value", "shape", "expected"),
    [
        (3.0, None, 3.0),
        (3, [2, 2], np.full((2, 2), 3.0)),
        ([1.0, 2.0], None, [1, 2]),
        (np.arange(6.0).reshape(2, 3), [2, 3], np.arange(6.0).reshape(2, 3)),
    ],
)
def test_initial_value(initial_value, shape, expected):
    value = in_model(lambda: slim.variable("w", shape=shape, initializer=initial_value))
    np.testing.assert_array_equal(value, expected)
    assert value.dtype == jnp.float32


def test_initializer_may_be_a_class():
    value = in_model(
        lambda: slim.variable("w", shape=[2], initializer=slim.ones_initializer, dtype="float16")
    )
    np.testing.assert_array_equal(value, np.ones(2, np.float16))

    def layer():
        with slim.arg_scope([slim.conv2d], biases_initializer=slim.ones_initializer):
            return slim.conv2d(jnp.zeros((1, 3, 3, 2)), 4, 3, activation_fn=None)

    np.testing.assert_array_equal(in_model(layer), np.ones((1, 3, 3, 4)))


def test_initial_value_of_another_shape():
    message = r"variable 'w': its initial value has shape \(2,\), but shape \(3,\) was asked for"
    with pytest.raises(slim.ScopeError, match=message):
        init(lambda: slim.variable("w", shape=[3], initializer=[1.0, 2.0]))


def test_initializer_of_jax():
    value = in_model(lambda: slim.variable("w", shape=[2, 2], initializer=jax.nn.initializers.ones))
    np.testing.assert_array_equal(value, np.ones((2, 2)))


def test_collections_replace_the_global_one_for_variable_and_add_to_it_for_model_variable():
    def fn():
        slim.variable("a", shape=[1])
        slim.variable("b", shape=[1], collections=["mine"])
        slim.variable("c", shape=[1], collections="mine")
        slim.model_variable("d", shape=[1])
        slim.model_variable("e", shape=[1], collections=["mine"])
        slim.model_variable("f", shape=[1], collections="mine", trainable=False)
        return [
            "".join(slim.get_variables(collection=name))
            for name in ("variables", "mine", "model_variables", "trainable_variables", "none")
        ]

    assert in_model(fn) == ["adef", "bcef", "def", "abcde", ""]


def test_where_variables_live():
    def fn():
        slim.variable("trained", shape=[1])
        slim.variable("trained_too", shape=[1], collections=["batch_stats"])
        slim.variable("fixed", shape=[1], trainable=False)
        slim.variable("moving", shape=[1], trainable=False, collections=["batch_stats"])
        slim.local_variable(0.0, name="local")
        slim.global_variable(0.0, name="global")

    variables = init(fn)
    assert {name: list(held) for name, held in variables.items()} == {
        "params": ["trained", "trained_too", "fixed"],
        "batch_stats": ["moving", "global"],
        "local_variables": ["local"],
    }


def test_variable_that_is_not_trained_gets_no_gradient():
    def fn():
        fixed = slim.variable("fixed", shape=[2], trainable=False)
        trained = slim.variable("trained", shape=[2])
        return jnp.sum(3 * fixed + 2 * trained)

    variables = init(fn)
    gradient = jax.grad(lambda v: slim.Model(fn).apply(v))(variables)["params"]
    np.testing.assert_array_equal(gradient["fixed"], [0, 0])
    np.testing.assert_array_equal(gradient["trained"], [2, 2])


def test_scope_on_variable_and_model_variable():
    def fn():
        with slim.arg_scope([slim.variable], initializer=slim.ones_initializer()):
            slim.variable("a", shape=[1])
            slim.model_variable("b", shape=[1])
            slim.model_variable("c", shape=[1], initializer=2.0)
        with slim.arg_scope([slim.model_variable], dtype=jnp.bfloat16, initializer=3.0):
            slim.model_variable("d", shape=[1])

    params = init(fn)["params"]
    assert {name: float(value[0]) for name, value in params.items()} == {
        "a": 1,
        "b": 1,
        "c": 2,
        "d": 3,
    }
    assert params["d"].dtype == jnp.bfloat16


@pytest.mark.parametrize("device", [None, "/CPU:0", "/device:CPU:0", "/job:ps/task:0/device:CPU:0"])
def test_device_that_is_the_default_changes_nothing(device):
    model = slim.Model(lambda: slim.model_variable("w", shape=[2], device=device))
    plain = slim.Model(lambda: slim.model_variable("w", shape=[2]))
    np.testing.assert_array_equal(model.init(KEY)["params"]["w"], plain.init(KEY)["params"]["w"])


def test_device_of_jax():
    device = jax.devices()[2]
    variables = init(lambda: slim.variable("w", shape=[2], device=device))
    assert variables["params"]["w"].devices() == {device}
    assert init(lambda: slim.variable("w", shape=[2]))["params"]["w"].devices() != {device}


def test_variables_that_cannot_be_made():
    def trained_integer():
        slim.variable("n", shape=[2], dtype=jnp.int32)

    def no_shape():
        slim.variable("w")

    with pytest.raises(
        ValueError, match="variable 'n': a trainable variable must be floating, got"
    ):
        init(trained_integer)
    message = r"'w': shape is missing; give shape=\[...\], or a number or array as initializer"
    with pytest.raises(ValueError, match=message):
        init(no_shape)
    with pytest.raises(ValueError, match="variable 'w': there is no device '/GPU:7' here"):
        init(lambda: slim.variable("w", shape=[1], device="/GPU:7"))


@pytest.mark.parametrize("shape", [[None, 3], [2, -1], -1, 2.0, [2.5], "ab", [[2]]])
def test_bad_shapes(shape):
    with pytest.raises(ValueError) as raised:
        init(lambda: slim.variable("w", shape=shape))
    assert str(raised.value) == (
        f"variable 'w': shape must be integers that are not negative, got {shape!r}"
    )


# local_variable and global_variable -----------------------------------------------------------


def test_local_variable_starts_anew_in_every_apply():
    def fn():
        total = slim.local_variable(np.float32(5), name="total")
        slim.assign("total", total + 1)
        others = slim.get_variables() | slim.get_model_variables() | slim.get_trainable_variables()
        return total, slim.get_local_variables()["total"], others

    model = slim.Model(fn)
    for _ in range(2):
        before, after, others = model.apply({})
        assert (float(before), float(after)) == (5, 6)
        assert others == {}


def test_local_variable_is_carried_on_where_it_is_asked_for():
    def fn():
        total = slim.local_variable(np.float32(5), name="total")
        slim.assign("total", total + 1)
        return total

    model = slim.Model(fn)
    _, state = model.apply({}, mutable=["local_variables"])
    assert float(state["local_variables"]["total"]) == 6
    value, _ = model.apply(state, mutable=["local_variables"])
    assert float(value) == 6
    assert float(model.apply(state)) == 6


def test_local_variable_with_an_initializer_needs_no_random_numbers():
    def fn():
        return slim.variable(
            "n",
            shape=[2],
            initializer=slim.zeros_initializer(),
            trainable=False,
            collections=["local_variables"],
        )

    np.testing.assert_array_equal(slim.Model(fn).apply({}), [0, 0])


def test_global_variable_is_kept_and_not_trained():
    def fn():
        slim.global_variable(jnp.arange(2), name="steps")
        return [list(slim.get_variables()), list(slim.get_trainable_variables())]

    assert in_model(fn) == [["steps"], []]
    assert init(fn)["batch_stats"]["steps"].dtype == jnp.int32


def test_unnamed_variables_are_numbered():
    def fn():
        with slim.variable_scope("net"):
            slim.local_variable(0.0)
            slim.local_variable(0.0)
            slim.global_variable(0.0)
        return list(slim.get_local_variables()) + list(slim.get_variables())

    assert in_model(fn) == ["net/Variable", "net/Variable_1", "net/Variable_2"]


def test_each_local_variable_is_a_new_one_also_under_reuse():
    def fn():
        for reuse in (None, True):
            with slim.variable_scope("net", reuse=reuse):
                slim.local_variable(0.0, name="count")
                slim.local_variable(1.0, name="count")
                slim.local_variable(2.0)
        return {name: float(value) for name, value in slim.get_local_variables().items()}

    # TF-Slim 1.1's names.
    assert in_model_values(fn) == {
        **{"net/count": 0.0, "net/count_1": 1.0, "net/Variable": 2.0},
        **{"net_1/count": 0.0, "net_1/count_1": 1.0, "net_1/Variable": 2.0},
    }


def test_two_variables_without_a_name():
    def fn():
        slim.variable("Variable_1", shape=[1])
        slim.variable(None, shape=[2])
        with slim.variable_scope("a"):
            slim.model_variable(None, shape=[3])
        slim.variable(None, shape=[4])
        return {name: value.shape for name, value in slim.get_variables().items()}

    assert in_model(fn) == {
        **{"Variable_1": (1,), "Variable": (2,), "a/Variable": (3,), "Variable_2": (4,)},
    }


def in_model_values(fn):
    return slim.Model(fn).init_with_output(jax.random.key(0))[0]


# add_model_variable and full names ------------------------------------------------------------


def test_add_model_variable_takes_a_name_or_an_array_and_counts_it_once():
    def fn():
        with slim.variable_scope("net"):
            mine = slim.variable("mine", shape=[2])
            fixed = slim.variable("fixed", shape=[2], trainable=False)
            slim.variable("other", shape=[2])
        slim.add_model_variable(mine)
        slim.add_model_variable(fixed)
        slim.add_model_variable("net/mine")
        return list(slim.get_model_variables())

    assert in_model(fn) == ["net/mine", "net/fixed"]
    assert jax.jit(lambda v: slim.Model(lambda: len(fn())).apply(v))(init(fn)) == 2


def test_full_name_of_an_array():
    def fn():
        with slim.variable_scope("net"):
            fixed = slim.variable("fixed", shape=[2], trainable=False)
            trained = slim.variable("trained", shape=[2])
        return [slim.get_variable_full_name(v) for v in (trained, fixed)]

    assert in_model(fn) == ["net/trained", "net/fixed"]


def test_array_that_is_not_a_variable():
    def fn(use):
        use(slim.variable("w", shape=[2]) * 2)

    message = r"an array of shape \(2,\) is not itself a variable of this model .*pass the variable"
    for use in (slim.get_variable_full_name, slim.add_model_variable):
        with pytest.raises(slim.ScopeError, match=message):
            init(lambda use=use: fn(use))


def test_add_model_variable_of_an_unknown_name():
    def fn():
        slim.variable("weights", shape=[2])
        slim.add_model_variable("weight")

    message = "add_model_variable: there is no variable 'weight'; did you mean 'weights'"
    with pytest.raises(slim.ScopeError, match=message):
        init(fn)


def test_arguments_of_tf_slim_that_place_a_variable_are_ignored_or_refused():
    options = {"caching_device": "/cpu:0", "use_resource": True, "synchronization": 0}

    def fn():
        slim.variable("a", [2], **options, aggregation=0, partitioner=None, custom_getter=None)
        slim.model_variable("b", [2], **options, aggregation=0)
        slim.local_variable(0.0, name="c", use_resource=True)
        return sorted([*slim.get_variables(), *slim.get_local_variables()])

    assert in_model(fn) == ["a", "b", "c"]
    for make in (slim.variable, slim.model_variable):
        message = f"{make.__name__}: custom_getter has no meaning in jslim, got 3; give it to"
        with pytest.raises(ValueError, match=message):
            in_model(lambda make=make: make("a", [2], custom_getter=3))
