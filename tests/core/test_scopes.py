"""Variable scopes: the names are TensorFlow's, and errors say where both sides are."""

import json
import pathlib

import jax
import jax.numpy as jnp
import pytest
from model_functions import in_model, in_model_values, make, name_of_new

import jslim as slim

PROGRAMS = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "scopes.json").read_text())


def run_program(body, names, scopes):
    for step in body:
        try:
            if step[0] == "var":
                names.append(name_of_new(step[1]))
                continue
            _, name, default_name, reuse, saved, inner = step
            if saved is not None:
                name = scopes[saved % len(scopes)] if scopes else "a"
            with slim.variable_scope(name, default_name, reuse=reuse) as scope:
                scopes.append(scope)
                run_program(inner, names, scopes)
        except slim.ScopeError:
            names.append("error")


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_names_are_those_of_tensorflow(program):
    names = []
    in_model(lambda: run_program(program["body"], names, []))
    assert names == program["names"]


def test_default_names_are_numbered_within_the_scope_around():
    def fn():
        names = []
        for outer in ("a", "b"):
            with slim.variable_scope(outer):
                for _ in range(3):
                    with slim.variable_scope(None, "Conv"):
                        names.append(name_of_new())
        with slim.variable_scope(None, "Conv") as scope:
            names.append(scope.name)
        return names

    assert in_model(fn) == [
        *("a/Conv/w", "a/Conv_1/w", "a/Conv_2/w"),
        *("b/Conv/w", "b/Conv_1/w", "b/Conv_2/w"),
        "Conv",
    ]


def test_numbers_begin_anew_when_the_scope_around_is_entered_again():
    def fn():
        for reuse in (None, True):
            with slim.variable_scope("net", reuse=reuse), slim.variable_scope(None, "Conv"):
                name = name_of_new()
        return name

    assert in_model(fn) == "net/Conv/w"


def test_values_and_default_name_are_positional_as_in_tensorflow():
    def fn():
        with slim.variable_scope(None, "Conv", [jnp.zeros(2)], reuse=None) as first:
            pass
        with slim.variable_scope("given", "Conv", [jnp.zeros(2)]) as second:
            pass
        return first.name, second.name

    assert in_model(fn) == ("Conv", "given")


def test_scope_name_with_slashes():
    def fn():
        with slim.variable_scope("a/b"), slim.variable_scope("c"):
            return name_of_new()

    assert in_model(fn) == "a/b/c/w"


def test_variable_name_with_slashes():
    assert in_model(lambda: name_of_new("block/unit/w")) == "block/unit/w"


def test_scope_object_is_entered_from_anywhere():
    def fn():
        with slim.variable_scope("a"), slim.variable_scope("b") as inner:
            make("v")
        with slim.variable_scope("elsewhere"):
            with slim.variable_scope(inner) as again:
                first = name_of_new()
            return first, again.name, again.original_name_scope, name_of_new()

    assert in_model(fn) == ("a/b/w", "a/b", "a/b/", "elsewhere/w")


def test_root_scope_object_and_current_scope():
    def fn():
        root = slim.get_variable_scope()
        with slim.variable_scope("a"):
            current = slim.get_variable_scope().name
            with slim.variable_scope(root):
                return root.name, root.original_name_scope, current, name_of_new()

    assert in_model(fn) == ("", "", "a", "w")


def test_scope_is_left_when_its_body_raises():
    def fn():
        with pytest.raises(KeyError), slim.variable_scope("a"):
            raise KeyError
        return name_of_new()

    assert in_model(fn) == "w"


def test_scope_names_are_in_the_compiled_program():
    def fn(x):
        with slim.variable_scope("outer"), slim.variable_scope("inner"):
            return x * make(shape=())

    model = slim.Model(fn)
    variables = model.init(jax.random.key(0), 1.0)
    text = jax.jit(model.apply).lower(variables, 1.0).as_text(debug_info=True)
    assert "outer/inner/mul" in text


# Defaults of a scope -----------------------------------------------------------------------------


def test_initializer_of_a_scope_is_for_variables_that_are_given_none():
    def fn():
        inputs = jnp.ones((1, 2, 2, 3))
        with slim.variable_scope("n", initializer=slim.constant_initializer(7.0)) as scope:
            slim.variable("v", shape=[2])
            slim.model_variable("own", shape=[2], initializer=slim.ones_initializer())
            slim.conv2d(inputs, 2, 1, scope="conv", weights_initializer=None)
            slim.local_variable(1.0, name="local")
            with slim.variable_scope("in"):
                slim.variable("v", shape=[2])
            with slim.variable_scope("other", initializer=3.0):
                slim.variable("v", shape=[2])
        with slim.variable_scope("elsewhere"), slim.variable_scope(scope):
            slim.variable("again", shape=[2])
        with slim.variable_scope("n"):
            slim.variable("zeros", shape=[2], dtype=jnp.int32, trainable=False)
        return {**slim.get_variables(), **slim.get_local_variables()}

    variables = slim.Model(fn).init_with_output(jax.random.key(0))[0]
    assert {name: float(value.ravel()[0]) for name, value in variables.items()} == {
        **{"n/v": 7, "n/own": 1, "n/conv/weights": 7, "n/conv/biases": 0, "n/local": 1},
        **{"n/in/v": 7, "n/other/v": 3, "n/again": 7, "n/zeros": 0},
    }


def test_regularizer_of_a_scope_is_for_variables_that_are_given_none():
    def fn():
        inputs = jnp.ones((1, 2, 2, 3))
        l1, l2 = slim.l1_regularizer(1.0), slim.l2_regularizer(1.0)
        ones = {"initializer": slim.ones_initializer()}
        with slim.variable_scope("n", regularizer=l2) as scope:
            slim.variable("v", shape=[4], **ones)
            slim.variable("own", shape=[4], regularizer=l1, **ones)
            slim.batch_norm(inputs, scope="bn", scale=True, is_training=False)
            with slim.variable_scope("in", regularizer=l1):
                slim.variable("v", shape=[4], **ones)
        with slim.variable_scope(scope):
            slim.variable("again", shape=[4], **ones)
        with slim.variable_scope("n"):
            slim.variable("free", shape=[4], **ones)

    _, state = slim.Model(fn).init_with_output(
        jax.random.key(0), mutable=["params", "batch_stats", "regularization_losses"]
    )
    _, state = slim.Model(fn).apply(state, mutable=["regularization_losses"])
    assert {k: float(v) for k, v in state["regularization_losses"].items()} == {
        "n/v/Regularizer": 2.0,
        "n/own/Regularizer": 4.0,
        "n/bn/beta/Regularizer": 0.0,
        "n/bn/gamma/Regularizer": 1.5,
        "n/bn/moving_mean/Regularizer": 0.0,
        "n/bn/moving_variance/Regularizer": 1.5,
        "n/in/v/Regularizer": 4.0,
        "n/again/Regularizer": 2.0,
    }


def test_dtype_of_a_scope_is_for_variables_that_are_given_none():
    def fn():
        with slim.variable_scope("n", dtype=jnp.float16, caching_device="/cpu:0"):
            slim.conv2d(jnp.ones((1, 2, 2, 3)), 2, 1, scope="conv")
            with slim.variable_scope("in", use_resource=True):
                return (
                    slim.variable("v", shape=[2]).dtype,
                    slim.model_variable("m", shape=[2], dtype=jnp.float32).dtype,
                    slim.get_variables(suffix="weights")["n/conv/weights"].dtype,
                )

    assert in_model(fn) == (jnp.float16, jnp.float32, jnp.float32)


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [
        ("partitioner", "a variable is one array"),
        ("constraint", "project the parameters in the optimizer"),
    ],
)
def test_arguments_of_a_scope_that_have_no_meaning(argument, remedy):
    def fn():
        with slim.variable_scope("a", **{argument: None}):
            pass
        with slim.variable_scope("a", **{argument: 3}):
            pass

    message = f"variable_scope: {argument} has no meaning in jslim, got 3; {remedy}"
    with pytest.raises(ValueError, match=message):
        in_model(fn)


def test_a_custom_getter_sees_the_variables_of_layers_and_the_scopes_around_it():
    seen = []

    def doubled(getter, name, *args, **kwargs):
        seen.append((name, kwargs["shape"], kwargs["trainable"]))
        return 2 * getter(name, *args, **kwargs)

    def plus_one(getter, name, *args, **kwargs):
        return 1 + getter(name, *args, **kwargs)

    def fn():
        ones = slim.ones_initializer()
        with (
            slim.variable_scope("a", custom_getter=doubled),
            slim.variable_scope("b", custom_getter=plus_one),
        ):
            w = slim.variable("w", [2], initializer=ones)
            net = slim.fully_connected(jnp.ones([1, 2]), 1, weights_initializer=ones)
        return w, net, slim.variable("outside", [1], initializer=ones)

    w, net, outside = in_model_values(fn)
    # The getter of the scope within calls that of the scope around: 1 + 2 * 1.
    assert (w == jnp.array([3.0, 3.0])).all()
    assert (net == 7.0).all()  # weights of 3, biases of 1
    assert (outside == 1.0).all()
    assert [name for name, _, _ in seen] == [
        "a/b/w",
        "a/b/fully_connected/weights",
        "a/b/fully_connected/biases",
    ]
    assert seen[0] == ("a/b/w", [2], True)


def test_a_custom_getter_must_be_a_function():
    def fn():
        with slim.variable_scope("a", custom_getter=3):
            pass

    with pytest.raises(TypeError, match="custom_getter must be a function, got int"):
        in_model(fn)
