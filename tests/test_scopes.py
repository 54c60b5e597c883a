"""Variable scopes: the names are TensorFlow's, and errors say where both sides are."""

import inspect
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.model import unique_op_name

PROGRAMS = json.loads((pathlib.Path(__file__).parent / "golden" / "scopes.json").read_text())


def in_model(fn):
    """Runs `fn()` as a model function and gives what it returns."""
    returned = []
    model = slim.Model(lambda: returned.append(fn()))
    jax.eval_shape(model.init, jax.random.key(0))
    return returned[0]


def make(name="w", shape=(2,)):
    return slim.variable(name, shape=shape)


def name_of_new(name="w"):
    return slim.get_variable_full_name(make(name))


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


# Reuse ------------------------------------------------------------------------------------------


def line_of_next():
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + 1}"


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
        with pytest.raises(slim.ScopeError) as raised:
            in_model(fn)
        assert str(raised.value) == (
            f"{what}: a name must be a non-empty string whose parts are separated by single "
            f"slashes ('conv1', 'block1/unit_2'), got {name!r}"
        )


def test_variable_in_a_scope_that_has_a_variables_name():
    def fn():
        make("a")
        make("a/w")

    message = "'a/w' lies in a scope that has the name of variable 'a' .*test_scopes.py.*rename"
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
        (lambda: slim.variable_scope("a").__enter__(), "variable_scope"),
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


# Names of ops -----------------------------------------------------------------------------------


def test_op_names_are_numbered_within_one_entry_of_their_scope():
    def fn():
        names = [unique_op_name(name) for name in ("a", "a", "a_1", "a", "b")]
        with slim.variable_scope("s"):
            names += [unique_op_name("a"), unique_op_name("a")]
        with slim.variable_scope("s"):
            names.append(unique_op_name("a"))
        return [*names, unique_op_name("b_1"), unique_op_name("b")]

    assert in_model(fn) == [
        *("a", "a_1", "a_1_1", "a_2", "b"),
        *("s/a", "s/a_1", "s/a"),
        *("b_1", "b_2"),
    ]
