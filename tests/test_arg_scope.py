"""`arg_scope`: what it sets, for how long, and that no cache of JAX's outlives it."""

import contextlib
import contextvars
import copy
import dataclasses
import functools
import inspect
import itertools
import pickle
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim._arg_scope import FrozenDict


@slim.add_arg_scope
def scaled(x, factor=1.0, shift=0.0, *, squares=False):
    """factor * x + shift, squared if asked for."""
    y = factor * x + shift
    return y * y if squares else y


@slim.add_arg_scope
def seen(*args, a=None, b=None, c=None):
    return (*args, a, b, c)


@slim.add_arg_scope
def other(a=None, b=None):
    return (a, b)


@slim.add_arg_scope
def takes_any(a=0, **kwargs):
    return a, kwargs


@slim.add_arg_scope
def needs(x, kernel_size, stride=1, normalizer_params=None):
    return x, kernel_size, stride, normalizer_params


# What a scope sets ----------------------------------------------------------------------------


def test_defaults_reach_the_op_and_end_with_the_block():
    with slim.arg_scope([seen], a=1, b="two"):
        assert seen() == (1, "two", None)
    assert seen() == (None, None, None)


def test_one_scope_sets_several_ops_and_no_others():
    with slim.arg_scope([seen, other], a=1):
        assert seen() == (1, None, None)
        assert other() == (1, None)
        assert takes_any() == (0, {})


def test_nested_scopes_merge_argument_by_argument():
    with slim.arg_scope([seen], a=1, b=2), slim.arg_scope([other], a=10):
        with slim.arg_scope([seen], b=3, c=4):
            assert seen() == (1, 3, 4)
            assert other() == (10, None)
        assert seen() == (1, 2, None)


def test_keyword_argument_beats_the_scope():
    with slim.arg_scope([seen], a=1, b=2):
        assert seen(a=None) == (None, 2, None)


def test_positional_argument_beats_the_scope():
    with slim.arg_scope([scaled], factor=2.0, shift=1.0):
        assert scaled(10.0) == 21.0
        assert scaled(10.0, 3.0) == 31.0
        assert scaled(10.0, 3.0, 0.5) == 30.5


def test_required_argument_may_come_from_a_scope_and_still_be_given_by_position():
    with slim.arg_scope([needs], kernel_size=[3, 3]):
        assert needs("x") == ("x", (3, 3), 1, None)
        assert needs("x", 5) == ("x", 5, 1, None)
    with pytest.raises(TypeError, match="kernel_size"):
        needs("x")


def test_op_with_any_keyword_takes_any_argument_from_a_scope():
    with slim.arg_scope([takes_any], a=1, momentum=0.9):
        assert takes_any() == (1, {"momentum": 0.9})
        assert takes_any(momentum=0.5) == (1, {"momentum": 0.5})


def test_dict_argument_is_replaced_whole_by_an_inner_scope():
    with slim.arg_scope([seen], a={"decay": 0.9, "scale": True}):
        with slim.arg_scope([seen], a={"decay": 0.5}):
            assert seen()[0] == {"decay": 0.5}
        assert seen()[0] == {"decay": 0.9, "scale": True}


def test_saved_scope_replaces_what_is_current():
    with slim.arg_scope([seen], a=1) as saved:
        pass
    with slim.arg_scope([seen], b=2), slim.arg_scope([other], b=3):
        with slim.arg_scope(saved):
            assert seen() == (1, None, None)
            assert other() == (None, None)
        assert seen() == (None, 2, None)
        assert other() == (None, 3)


def test_saved_scope_keeps_what_was_around_it():
    with slim.arg_scope([other], a=5), slim.arg_scope([seen], a=1) as saved:
        pass
    with slim.arg_scope(saved):
        assert other() == (5, None)


def test_saved_scope_can_be_extended():
    with slim.arg_scope([seen], a=1) as saved:
        pass
    with slim.arg_scope(saved), slim.arg_scope([seen], b=2):
        assert seen() == (1, 2, None)


def test_empty_list_of_ops_gives_a_copy_of_the_current_scope():
    with slim.arg_scope([seen], a=1) as outer, slim.arg_scope([]) as inner:
        assert inner == outer
        assert seen() == (1, None, None)


def test_current_arg_scope_is_empty_outside_and_the_scope_inside():
    assert dict(slim.current_arg_scope()) == {}
    with slim.arg_scope([seen], a=1) as scope:
        assert slim.current_arg_scope() is scope
        assert scope[slim.arg_scope_func_key(seen)] == {"a": 1}
        assert list(scope) == [slim.arg_scope_func_key(seen)]
        assert len(scope) == 1
        assert "seen" in repr(scope)
        assert "{'a': 1}" in repr(scope)


def test_decorating_twice_keeps_the_key_and_the_op():
    twice = slim.add_arg_scope(seen)
    assert twice is seen
    assert slim.arg_scope_func_key(twice) == slim.arg_scope_func_key(seen)


def test_alias_is_the_same_op():
    alias = seen
    with slim.arg_scope([alias], a=1):
        assert seen() == (1, None, None)
    with slim.arg_scope([seen], a=2):
        assert alias() == (2, None, None)


def test_two_ops_made_by_one_definition_have_their_own_keys():
    def make():
        @slim.add_arg_scope
        def op(a=0):
            return a

        return op

    first, second = make(), make()
    with slim.arg_scope([first], a=1):
        assert (first(), second()) == (1, 0)


def test_partial_of_an_op_follows_its_scope_and_keeps_its_own_argument():
    partial = functools.partial(seen, a="own")
    with slim.arg_scope([seen], a=1, b=2):
        assert partial() == ("own", 2, None)


def test_op_called_by_an_op_follows_its_own_scope():
    @slim.add_arg_scope
    def outer(a=None):
        return a, other()

    with slim.arg_scope([other], a=1), slim.arg_scope([outer], a=2):
        assert outer() == (2, (1, None))


def test_has_arg_scope():
    assert slim.has_arg_scope(seen)
    assert not slim.has_arg_scope(len)
    assert not slim.has_arg_scope(functools.partial(seen))


def test_arg_scoped_arguments_are_those_with_a_default():
    assert slim.arg_scoped_arguments(needs) == ("stride", "normalizer_params")
    assert slim.arg_scoped_arguments(scaled) == ("factor", "shift", "squares")


def test_decorated_op_keeps_name_docstring_and_signature():
    assert scaled.__name__ == "scaled"
    assert scaled.__doc__ == "factor * x + shift, squared if asked for."
    assert list(inspect.signature(scaled).parameters) == ["x", "factor", "shift", "squares"]


# Ways in and out ------------------------------------------------------------------------------


def test_scope_as_a_decorator():
    @slim.arg_scope([seen], a=1)
    def net(depth):
        return seen() if depth == 0 else net(depth - 1)

    assert net(0) == (1, None, None)
    assert net(3) == (1, None, None)
    assert seen() == (None, None, None)


def test_one_scope_object_can_be_entered_again_and_within_itself():
    scope = slim.arg_scope([seen], a=1)
    for _ in range(2):
        with scope:
            with slim.arg_scope([seen], a=2), scope:
                assert seen() == (1, None, None)
            assert seen() == (1, None, None)
    assert seen() == (None, None, None)


def test_exception_in_the_body_ends_the_scope():
    with slim.arg_scope([seen], a=1):
        with pytest.raises(KeyError), slim.arg_scope([seen], a=2):
            raise KeyError
        assert seen() == (1, None, None)
    assert seen() == (None, None, None)


def test_generator_that_is_closed_early_ends_its_scope():
    def values():
        with slim.arg_scope([seen], a=1):
            yield seen()
            yield seen()

    generator = values()
    assert next(generator) == (1, None, None)
    generator.close()
    assert seen() == (None, None, None)


def test_failed_entry_leaves_the_enclosing_scope():
    with slim.arg_scope([seen], a=1):
        with pytest.raises(slim.ScopeError), slim.arg_scope([len], a=2):
            pass
        with pytest.raises(slim.ScopeError), slim.arg_scope([seen], nonsense=2):
            pass
        assert seen() == (1, None, None)


def test_scope_in_an_exit_stack():
    with contextlib.ExitStack() as stack:
        stack.enter_context(slim.arg_scope([seen], a=1))
        stack.enter_context(slim.arg_scope([seen], b=2))
        assert seen() == (1, 2, None)
    assert seen() == (None, None, None)


def test_scope_is_not_seen_by_another_thread():
    results = {}

    def work(name):
        results[name] = seen()
        with slim.arg_scope([seen], b=name):
            barrier.wait(10)
            results[name] += seen()
            barrier.wait(10)

    barrier = threading.Barrier(3)
    with slim.arg_scope([seen], a=1):
        threads = [threading.Thread(target=work, args=(name,)) for name in ("p", "q")]
        for thread in threads:
            thread.start()
        barrier.wait(10)
        assert seen() == (1, None, None)
        barrier.wait(10)
        for thread in threads:
            thread.join()
    assert results["p"] == (None, None, None, None, "p", None)
    assert results["q"] == (None, None, None, None, "q", None)


def test_one_scope_object_entered_by_two_threads_at_once():
    shared = slim.arg_scope([seen], a=1)
    results = {}
    worker_is_in, main_is_in = threading.Event(), threading.Event()

    def work():
        with slim.arg_scope([seen], b=2):
            with shared:
                worker_is_in.set()
                main_is_in.wait(10)
                results["inside"] = seen()
            results["after"] = seen()

    thread = threading.Thread(target=work)
    thread.start()
    worker_is_in.wait(10)
    with shared:
        main_is_in.set()
        thread.join()
        assert seen() == (1, None, None)
    assert results == {"inside": (1, 2, None), "after": (None, 2, None)}
    assert seen() == (None, None, None)


def test_scope_belongs_to_the_thread_and_not_to_a_context():
    # JAX's caches look at the thread; a scope that followed the context would go stale.
    with slim.arg_scope([seen], a=1):
        assert contextvars.Context().run(seen) == (1, None, None)
        copied = contextvars.copy_context()
    assert copied.run(seen) == (None, None, None)


# Values ---------------------------------------------------------------------------------------


def test_dict_value_is_frozen_but_still_a_dict():
    params = {"decay": 0.9, "nested": {"axes": [0, 1]}}
    with slim.arg_scope([needs], normalizer_params=params):
        given = needs("x", 3)[3]
        params["decay"] = 0.1
        assert needs("x", 3)[3]["decay"] == 0.9
    assert isinstance(given, dict)
    assert takes_any(**given) == (0, {"decay": 0.9, "nested": {"axes": (0, 1)}})
    assert hash(given) == hash(FrozenDict(decay=0.9, nested=FrozenDict(axes=(0, 1))))
    assert pickle.loads(pickle.dumps(given)) == given
    assert {**given, "decay": 0.5}["decay"] == 0.5
    assert dict(given).pop("decay") == 0.9


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("decay", 1),
        lambda d: d.__delitem__("decay"),
        lambda d: d.update(decay=1),
        lambda d: d.pop("decay"),
        lambda d: d.setdefault("x", 1),
        lambda d: d.clear(),
        lambda d: d.__ior__({"x": 1}),
    ],
)
def test_frozen_dict_cannot_be_changed(change):
    with slim.arg_scope([seen], a={"decay": 0.9}):
        held = seen()[0]
    with pytest.raises(TypeError, match=r"cannot be changed; copy it with dict\(\.\.\.\)"):
        change(held)
    assert held == {"decay": 0.9}


def test_lists_and_sets_become_immutable():
    with slim.arg_scope([seen], a=[[3, 3], 1], b={1, 2}):
        assert seen() == (((3, 3), 1), frozenset({1, 2}), None)


def test_array_value_is_refused():
    message = "arg_scope: a is an array, and what stands in a scope must hash and compare by value"
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
    with slim.arg_scope([seen], b=(2,)), slim.arg_scope([seen], a=1) as second:
        pass
    assert first == second
    assert hash(first) == hash(second)
    assert first == {slim.arg_scope_func_key(seen): {"a": 1, "b": (2,)}}


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True),
        ((1,), (1.0,), (True,)),
        ({"k": 1}, {"k": 1.0}, {"k": True}),
        (0, False, -0.0),
        ({1}, {1.0}, {True}),
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


def make_activation(slope, scale=1.0):
    return lambda x: jnp.where(x > 0, x, slope * x) * scale


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


def test_scope_is_not_pickled_but_copies_as_itself():
    with slim.arg_scope([seen], a=1) as scope:
        pass
    with pytest.raises(TypeError, match="cannot be pickled: its ops belong to this process"):
        pickle.dumps(scope)
    assert copy.copy(scope) is scope
    assert copy.deepcopy(scope) is scope


# Errors ---------------------------------------------------------------------------------------


def test_unknown_argument_offers_the_nearest_name():
    message = (
        r"arg_scope: needs has no argument 'kernel_sise'; did you mean 'kernel_size'\? "
        r"\(it has x, kernel_size, stride, normalizer_params\)"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.arg_scope([needs], kernel_sise=3)


def test_unknown_argument_of_the_second_op_is_named():
    with pytest.raises(slim.ScopeError, match="arg_scope: other has no argument 'c'"):
        slim.arg_scope([seen, other], c=3)


def test_positional_only_parameter_is_no_argument_for_a_scope():
    @slim.add_arg_scope
    def op(x, /, y=1):
        return x, y

    with pytest.raises(slim.ScopeError, match=r"op has no argument 'x' \(it has y\)"):
        slim.arg_scope([op], x=1)
    with slim.arg_scope([op], y=2):
        assert op(1) == (1, 2)


def test_undecorated_op_is_refused():
    def plain():
        pass

    for use in (
        lambda: slim.arg_scope([plain]),
        lambda: slim.arg_scope_func_key(plain),
        lambda: slim.arg_scoped_arguments(plain),
        lambda: slim.arg_scope_explain(plain),
    ):
        with pytest.raises(slim.ScopeError, match="'plain' is not decorated with @add_arg_scope"):
            use()


def test_partial_of_an_op_in_the_list_is_refused_by_its_name():
    with pytest.raises(slim.ScopeError, match="a partial of 'seen' is not decorated"):
        slim.arg_scope([functools.partial(seen, a=1)], b=1)


@pytest.mark.parametrize("bad", [seen, "seen", {seen}, 3, {"some": {"dict": 1}}])
def test_first_argument_must_be_a_list_or_a_scope(bad):
    kind = type(bad).__name__
    with pytest.raises(TypeError, match=f"must be a list or tuple of ops, or a scope.*got {kind}"):
        slim.arg_scope(bad, a=1)


def test_saved_scope_with_keywords_is_refused():
    with slim.arg_scope([seen], a=1) as saved:
        pass
    with pytest.raises(slim.ScopeError, match="entered as it is, but a, b was given with it"):
        slim.arg_scope(saved, a=1, b=2)


# Explain --------------------------------------------------------------------------------------


def line_of_next():
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + 1}"


def test_explain_says_which_scope_set_what():
    outer_line = line_of_next()
    with slim.arg_scope([needs], stride=2, normalizer_params={"decay": 0.9}):
        inner_line = line_of_next()
        with slim.arg_scope([needs], stride=4):
            explained = slim.arg_scope_explain(needs, "x", kernel_size=3)
    assert explained == {
        "x": ("x", "the call"),
        "kernel_size": (3, "the call"),
        "stride": (4, inner_line),
        "normalizer_params": ({"decay": 0.9}, outer_line),
    }
    assert explained["stride"].set_by == inner_line


def test_explain_prints_a_table():
    with slim.arg_scope([scaled], shift=make_activation):
        text = str(slim.arg_scope_explain(scaled, squares=True))
    lines = text.splitlines()
    assert lines[0] == "scaled"
    assert lines[1].split() == ["argument", "value", "set", "by"]
    assert lines[2].split() == ["x", "(required)", "default"]
    assert lines[3].split() == ["factor", "1.0", "default"]
    assert lines[4].split()[:2] == ["shift", "make_activation"]
    assert __file__ in lines[4]
    assert lines[5].split() == ["squares", "True", "the", "call"]
    assert repr(slim.arg_scope_explain(scaled, squares=True)) != text


def test_explain_shortens_a_long_value():
    text = str(slim.arg_scope_explain(scaled, "x" * 100))
    assert max(map(len, text.splitlines())) < 100
    assert "..." in text


def test_explain_of_an_op_with_any_keyword():
    line = line_of_next()
    with slim.arg_scope([takes_any], momentum=0.9, beta=1):
        explained = slim.arg_scope_explain(takes_any, beta=2)
    assert explained == {"a": (0, "default"), "beta": (2, "the call"), "momentum": (0.9, line)}


def test_explain_refuses_what_the_op_does_not_take():
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        slim.arg_scope_explain(scaled, nonsense=1)


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
