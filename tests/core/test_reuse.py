"""Reuse of variables: what it reads, and what the errors of scopes and variables say."""

import jax.numpy as jnp
import pytest
from model_functions import in_model, line_of_next, make, name_of_new

import jslim as slim


def test_reuse_gives_the_same_array():
    def fn():
        with slim.variable_scope("a"):
            first = make()
        with slim.variable_scope("a", reuse=True):
            second = make()
        with slim.variable_scope("a", reuse=slim.AUTO_REUSE):
            third = make()
        return first is second is third

    assert in_model(fn)


def test_auto_reuse_makes_what_is_not_there():
    def fn():
        for _ in range(2):
            with slim.variable_scope("a", reuse=slim.AUTO_REUSE):
                name = name_of_new()
        return name, list(slim.get_variables())

    assert in_model(fn) == ("a/w", ["a/w"])


def test_reuse_is_inherited_by_scopes_within():
    def fn():
        with slim.variable_scope("a/b"):
            make()
        with slim.variable_scope("a", reuse=True), slim.variable_scope("b") as scope:
            return name_of_new(), scope.reuse

    assert in_model(fn) == ("a/b/w", True)


def test_reuse_variables_holds_for_the_rest_of_the_scope():
    def fn():
        with slim.variable_scope("a") as scope:
            first = make()
            scope.reuse_variables()
            second = make()
        with slim.variable_scope("b"):
            make()
            slim.get_variable_scope().reuse_variables()
            make()
        with slim.variable_scope("b"), pytest.raises(slim.ScopeError, match="already exists"):
            make()
        with slim.variable_scope(scope):
            return first is second is make()

    assert in_model(fn)


def test_second_creation_names_both_places():
    def fn():
        with slim.variable_scope("conv1"):
            lines.append(line_of_next())
            slim.model_variable("weights", shape=[3])
            lines.append(line_of_next())
            slim.model_variable("weights", shape=[3])

    lines = []
    with pytest.raises(slim.ScopeError) as raised:
        in_model(fn)
    first, second = lines
    assert str(raised.value) == (
        f"variable 'conv1/weights' already exists: created at {first}, and again at {second}; "
        "to share it enter its scope with reuse=True (or slim.AUTO_REUSE), otherwise give the "
        "two layers different scopes"
    )


def test_reuse_of_what_does_not_exist_offers_the_nearest_name():
    def fn():
        with slim.variable_scope("conv1"):
            make("weights")
        with slim.variable_scope("conv1", reuse=True):
            make("weihgts")

    message = (
        r"variable 'conv1/weihgts' does not exist yet, but its scope was entered with reuse=True; "
        r"did you mean 'conv1/weights'\?; create it first, or use slim.AUTO_REUSE"
    )
    with pytest.raises(slim.ScopeError, match=message):
        in_model(fn)


def test_reuse_with_another_shape():
    def fn():
        make(shape=(2, 3))
        slim.get_variable_scope().reuse_variables()
        make(shape=(3, 2))

    message = r"variable 'w' has shape \(2, 3\), but this call needs shape \(3, 2\)"
    with pytest.raises(slim.ScopeError, match=message):
        in_model(fn)


def test_reuse_without_a_name():
    def fn():
        with slim.variable_scope(None, "Conv", reuse=True):
            pass

    message = "reuse=True needs a name to reuse; give the 'Conv' layer scope='...'"
    with pytest.raises(slim.ScopeError, match=message):
        in_model(fn)


def test_unknown_reuse():
    def fn():
        with slim.variable_scope("a", reuse="yes"):
            pass

    message = "reuse must be True, False, None or slim.AUTO_REUSE, got 'yes'"
    with pytest.raises(ValueError, match=message):
        in_model(fn)


def test_scope_without_any_name():
    def fn():
        with slim.variable_scope(None):
            pass

    with pytest.raises(slim.ScopeError, match="variable_scope: give a name, or a default_name"):
        in_model(fn)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", 3])
def test_bad_names(name):
    def scope():
        with slim.variable_scope(name):
            pass

    for fn, what in ((scope, "variable_scope"), (lambda: make(name), "variable")):
        if (name, what) == ("", "variable_scope"):
            continue  # the outermost scope
        with pytest.raises(slim.ScopeError) as raised:
            in_model(fn)
        assert str(raised.value) == (
            f"{what}: a name must be a non-empty string whose parts are separated by single "
            f"slashes ('conv1', 'block1/unit_2'), got {name!r}"
        )


def test_variable_in_a_scope_that_has_a_variables_name():
    def fn():
        slim.variable("a", shape=[2])
        make("a/w")

    message = "'a/w' lies in a scope that has the name of variable 'a' .*test_reuse.py.*rename"
    with pytest.raises(slim.ScopeError, match=message):
        in_model(fn)


def test_variable_that_has_a_scopes_name():
    def fn():
        make("a/w")
        make("a")

    with pytest.raises(slim.ScopeError, match="variable 'a' has the name of a variable scope"):
        in_model(fn)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: slim.variable_scope("a").__enter__(), "variable_scope 'a'"),
        (slim.get_variable_scope, "get_variable_scope"),
        (make, "variable 'w'"),
        (lambda: slim.model_variable("v", shape=[1]), "variable 'v'"),
        (lambda: slim.assign("w", jnp.zeros(2)), "assign"),
        (slim.is_initializing, "is_initializing"),
        (lambda: slim.make_rng("dropout", "dropout"), "dropout"),
        (lambda: slim.add_model_variable("w"), "add_model_variable"),
    ],
)
def test_outside_a_model_function(call, what):
    message = f"{what} only works inside a model function; wrap the function that calls it in slim."
    with pytest.raises(slim.ScopeError, match=message):
        call()
