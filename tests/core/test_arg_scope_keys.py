"""`arg_scope`: which values make a scope another, and that no cache of JAX's outlives it."""

import collections
import dataclasses
import functools
import itertools
import pickle
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arg_scope_ops import make_activation, scaled, seen, takes_any

import jslim as slim

# Values ---------------------------------------------------------------------------------------


def test_values_reach_the_op_as_they_were_given():
    rates, params, names = [1, [2, 3]], {"decay": 0.9, "axes": [0, 1]}, {"a", "b"}
    with slim.arg_scope([seen], a=rates, b=params, c=names) as scope, slim.arg_scope([]):
        assert all(x is y for x, y in zip(seen(), (rates, params, names), strict=True))
        assert seen()[0] + [1] == [1, [2, 3], 1]
        assert takes_any(**seen()[1]) == (0, {"decay": 0.9, "axes": [0, 1]})
    with slim.arg_scope(scope):
        assert seen()[0] is rates
    assert type(params) is dict


def test_dict_from_a_scope_can_be_filled_by_the_op():
    @slim.add_arg_scope
    def unit(x, end_points=None):
        end_points[f"unit_{len(end_points) + 1}"] = x
        return x + 1

    def net(x):
        end_points = {}
        with slim.arg_scope([unit], end_points=end_points):
            x = unit(x)
            with slim.arg_scope([seen], a=1):
                return unit(x), end_points

    for run in (net, jax.jit(net), jax.jit(net)):
        assert jax.tree.map(float, run(jnp.float32(1))) == (3.0, {"unit_1": 1.0, "unit_2": 2.0})


def test_dict_around_a_jitted_function_is_filled_while_tracing_only():
    @slim.add_arg_scope
    def unit(x, seen_shapes=None):
        seen_shapes.append(x.shape)
        return x

    jitted, first, second = jax.jit(lambda x: unit(x)), [], []
    for shapes in (first, second):
        with slim.arg_scope([unit], seen_shapes=shapes):
            jitted(jnp.zeros(3))
    assert (first, second) == ([(3,)], [])


def test_key_is_made_at_each_entry_and_not_after_it():
    rates = [2.0]
    f = jax.jit(lambda x: summed(x))
    scope = slim.arg_scope([summed], rates=rates)
    with scope as first:
        assert float(f(0.0)) == 2.0
    rates.append(3.0)
    with scope as second:
        assert float(f(0.0)) == 5.0
    with slim.arg_scope(first):
        assert float(f(0.0)) == 2.0  # traced under that key
    assert first != second


@slim.add_arg_scope
def summed(x, rates=()):
    return x + sum(rates)


def test_array_value_is_refused():
    message = "arg_scope: a is an array, and a value in a scope must hash and compare by value"
    for array in (np.zeros(2), jnp.zeros(2)):
        with pytest.raises(TypeError, match=message), slim.arg_scope([seen], a=array):
            pass
    with pytest.raises(TypeError, match=r"arg_scope: a\['k'\] is an array"):
        slim.arg_scope([seen], a={"k": np.zeros(2)})


def test_traced_value_is_refused():
    def f(x):
        with slim.arg_scope([seen], a=x):
            return x

    with pytest.raises(TypeError, match="arg_scope: a is an array"):
        jax.jit(f)(1.0)


def test_unhashable_value_is_refused():
    @dataclasses.dataclass
    class Mutable:
        a: int = 0

    with pytest.raises(TypeError, match=r"a is an unhashable Mutable.*frozen dataclass"):
        slim.arg_scope([seen], a=Mutable())


def test_scopes_that_set_the_same_are_equal_wherever_they_were_written():
    with slim.arg_scope([seen], a=1, b=[2]) as first:
        pass
    with slim.arg_scope([seen], b=[2]), slim.arg_scope([seen], a=1) as second:
        pass
    assert first == second
    assert hash(first) == hash(second)
    assert (first != second) is False
    assert first == {slim.arg_scope_func_key(seen): {"a": 1, "b": [2]}}


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True),
        ((1,), (1.0,), (True,)),
        ({"k": 1}, {"k": 1.0}, {"k": True}),
        (0, False, -0.0),
        ({1}, {1.0}, {True}, frozenset({1})),
        ([1], (1,), [1.0], [[1]]),
        ({"k": [1]}, {"k": (1,)}, collections.OrderedDict(k=[1])),
        (lambda: 1, lambda: 1),
        (functools.partial(max, 1), functools.partial(max, 1.0), functools.partial(min, 1)),
    ],
)
def test_values_that_may_mean_something_else_make_other_scopes(values):
    scopes = []
    for value in values:
        with slim.arg_scope([seen], a=value) as scope:
            scopes.append(scope)
    assert len(set(scopes)) == len(values)
    assert all(x != y for x, y in itertools.pairwise(scopes))


def scope_with(value):
    with slim.arg_scope([seen], a=value) as scope:
        return scope


def test_functions_from_one_definition_are_equal_if_what_they_close_over_is():
    assert scope_with(make_activation(0.1)) == scope_with(make_activation(0.1))
    assert scope_with(make_activation(0.1)) != scope_with(make_activation(0.2))
    assert scope_with(make_activation(1)) != scope_with(make_activation(1.0))
    assert scope_with(make_activation(0.1)) != scope_with(make_activation(0.1, scale=2.0))
    assert scope_with([make_activation(0.1)]) == scope_with([make_activation(0.1)])


def test_functions_that_close_over_an_array_are_equal_only_to_themselves():
    array = np.ones(2)
    first, second = make_activation(array), make_activation(array)
    assert scope_with(first) == scope_with(first)
    assert scope_with(first) != scope_with(second)


def test_partial_of_an_array_is_equal_only_to_itself():
    array = np.ones(2)
    first, second = functools.partial(np.add, array), functools.partial(np.add, array)
    assert scope_with(first) == scope_with(first)
    assert scope_with(first) != scope_with(second)


def test_function_that_refers_to_itself():
    def make():
        def factorial(n):
            return n * factorial(n - 1) if n else 1

        return factorial

    first, second = make(), make()
    assert scope_with(first) == scope_with(first)
    assert scope_with(first) != scope_with(second)


def test_functions_with_other_default_arguments_differ():
    def make(default):
        def f(x, power=default):
            return x**power

        return f

    assert scope_with(make(2)) == scope_with(make(2))
    assert scope_with(make(2)) != scope_with(make(3))


def test_partials_compare_by_function_and_arguments():
    def partial(**kwargs):
        return functools.partial(jax.nn.leaky_relu, **kwargs)

    assert scope_with(partial(negative_slope=0.1)) == scope_with(partial(negative_slope=0.1))
    assert scope_with(partial(negative_slope=0.1)) != scope_with(partial(negative_slope=0.2))


def test_scope_is_not_pickled():
    with slim.arg_scope([seen], a=1) as scope:
        pass
    with pytest.raises(TypeError, match="cannot be pickled: its ops belong to this process"):
        pickle.dumps(scope)


# JAX: what was traced under one scope is not used under another -------------------------------


def test_jit_traces_again_when_the_scope_differs_and_only_then():
    traces = []

    @jax.jit
    def f(x):
        traces.append(None)
        return scaled(x)

    def under(factor):
        with slim.arg_scope([scaled], factor=factor):
            return float(f(1.0))

    assert float(f(1.0)) == 1.0
    assert [under(2.0), under(3.0)] == [2.0, 3.0]
    assert len(traces) == 3
    assert [under(2.0), float(f(1.0)), under(3.0)] == [2.0, 1.0, 3.0]
    assert len(traces) == 3


def test_jit_hits_when_an_equal_scope_is_written_elsewhere():
    traces = []

    @jax.jit
    def f(x):
        traces.append(None)
        return scaled(x)

    with slim.arg_scope([scaled], factor=2.0, shift=1.0):
        f(1.0)
    with slim.arg_scope([scaled], shift=1.0), slim.arg_scope([scaled], factor=2.0) as saved:
        f(1.0)
    with slim.arg_scope([scaled], squares=True), slim.arg_scope(saved):
        f(1.0)
    assert len(traces) == 1


def test_jit_hits_when_a_lambda_or_an_initializer_is_made_anew():
    traces = []

    @slim.add_arg_scope
    def op(x, activation_fn=None, initializer=None):
        return activation_fn(x)

    @jax.jit
    def f(x):
        traces.append(None)
        return op(x)

    for slope in (0.1, 0.1, 0.2, 0.1):
        initializer = slim.truncated_normal_initializer(stddev=slope)
        with slim.arg_scope([op], activation_fn=make_activation(slope), initializer=initializer):
            assert float(f(-1.0)) == pytest.approx(-slope)
    assert len(traces) == 2


def test_jit_in_another_thread_has_its_own_scope():
    f = jax.jit(lambda x: scaled(x))
    results = []

    def work():
        results.append(float(f(1.0)))
        with slim.arg_scope([scaled], factor=5.0):
            results.append(float(f(1.0)))

    with slim.arg_scope([scaled], factor=2.0):
        assert float(f(1.0)) == 2.0
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert results == [1.0, 5.0]


def one_step(carry, _):
    return scaled(carry), None


def loop_step(_, carry):
    return scaled(carry)


TRANSFORMATIONS = {
    "jit": jax.jit(scaled),
    "checkpoint": lambda x: jax.checkpoint(scaled)(x),
    "scan": lambda x: jax.lax.scan(one_step, x, None, length=1)[0],
    "fori_loop": lambda x: jax.lax.fori_loop(0, 1, loop_step, x),
    "cond": lambda x: jax.lax.cond(x > 0, scaled, scaled, x),
    "vmap": lambda x: jax.vmap(scaled)(x[None])[0],
    "map": lambda x: jax.lax.map(scaled, x[None])[0],
    "grad": lambda x: jax.grad(scaled)(x),
    "linearize": lambda x: jax.linearize(scaled, x)[1](jnp.ones(())),
    "pmap": lambda x: jax.pmap(scaled)(x[None])[0],
    "eval_shape of jit": lambda x: jax.jit(lambda y: jax.jit(scaled)(y))(x),
}


@pytest.mark.parametrize("transform", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS.keys())
@pytest.mark.parametrize("is_jitted", [False, True], ids=["eager", "in jit"])
@pytest.mark.parametrize("is_model", [False, True], ids=["outside", "in a model"])
def test_one_function_transformed_under_two_scopes_follows_each(transform, is_jitted, is_model):
    def both(x):
        with slim.arg_scope([scaled], factor=2.0):
            first = transform(x)
        with slim.arg_scope([scaled], factor=3.0):
            second = transform(x)
        return first, second, transform(x)

    f = functools.partial(slim.Model(both).apply, {}) if is_model else both
    f = jax.jit(f) if is_jitted else f
    assert [float(y) for y in f(jnp.ones(()))] == [2.0, 3.0, 1.0]
    assert [float(y) for y in f(jnp.ones(()))] == [2.0, 3.0, 1.0]


def test_two_models_that_share_a_jitted_function_follow_their_own_scopes():
    shared = jax.jit(lambda x: scaled(x))

    def model_with(factor):
        def fn(x):
            with slim.arg_scope([scaled], factor=factor):
                return shared(x)

        return slim.Model(fn)

    assert float(model_with(2.0).apply({}, 1.0)) == 2.0
    assert float(model_with(3.0).apply({}, 1.0)) == 3.0
    assert float(shared(1.0)) == 1.0


def test_scope_entered_inside_the_transformed_function():
    def f(x):
        with slim.arg_scope([scaled], factor=3.0, squares=True):
            return scaled(x)

    assert float(jax.grad(jax.jit(f))(2.0)) == 36.0  # d(9 x^2)/dx
    assert float(jax.grad(jax.checkpoint(f))(2.0)) == 36.0
    carried, _ = jax.lax.scan(lambda c, _: (f(c), None), jnp.float32(1.0), None, length=2)
    assert float(carried) == 729.0  # 9 * 9^2
    np.testing.assert_array_equal(jax.vmap(f)(jnp.array([1.0, 2.0])), [9.0, 36.0])


def test_backward_pass_of_checkpoint_recomputes_under_the_scope_of_the_forward_pass():
    @jax.checkpoint
    def f(x):
        return jnp.sin(scaled(x))

    def loss(x):
        with slim.arg_scope([scaled], factor=2.0):
            return f(x)

    assert float(jax.grad(loss)(0.0)) == 2.0
    assert float(jax.jit(jax.grad(loss))(0.0)) == 2.0


def test_compiled_function_keeps_the_scope_it_was_lowered_under():
    with slim.arg_scope([scaled], factor=2.0):
        compiled = jax.jit(lambda x: scaled(x)).lower(1.0).compile()
    with slim.arg_scope([scaled], factor=3.0):
        assert float(compiled(1.0)) == 2.0


def test_scope_of_the_caller_reaches_a_model_under_jit():
    traces = []

    def fn(x):
        traces.append(None)
        return scaled(x)

    apply = jax.jit(lambda x: slim.Model(fn).apply({}, x))
    results = []
    for factor in (2.0, 3.0, 2.0):
        with slim.arg_scope([scaled], factor=factor):
            results.append(float(apply(1.0)))
    assert results == [2.0, 3.0, 2.0]
    assert len(traces) == 2


def test_scope_reaches_a_linen_module_that_calls_ops():
    class Scaler(nn.Module):
        @nn.compact
        def __call__(self, x):
            return scaled(x)

    apply = jax.jit(lambda x: Scaler().apply({}, x))
    with slim.arg_scope([scaled], factor=4.0):
        assert float(apply(1.0)) == 4.0
    assert float(apply(1.0)) == 1.0
