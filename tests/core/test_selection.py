"""Finding variables by name: the same rules inside a model function and on a tree."""

import flax
import flax.struct
import jax
import jax.numpy as jnp
import optax
import pytest
from named_variables import MIXED, NAMES, TREE, check, inside, make_all

import jslim as slim
from jslim.core.trees import named

KEY = jax.random.key(0)

GET_VARIABLES = [
    ({}, NAMES),
    ({"scope": "conv1"}, NAMES[:3]),
    ({"scope": "conv1/"}, ("conv1/weights", "conv1/biases")),
    ({"scope": ".*conv1/"}, ("conv1/weights", "conv1/biases", "a/conv1/weights")),
    ({"scope": "", "suffix": "weights"}, (*NAMES[:2], NAMES[3], "my_weights")),
    ({"suffix": "weights:0"}, (*NAMES[:2], NAMES[3], "my_weights")),
    ({"suffix": "eights"}, (*NAMES[:2], NAMES[3], "my_weights")),
    ({"scope": "conv1", "suffix": "weights"}, NAMES[:2]),
    ({"scope": "nothing"}, ()),
    ({"suffix": "weight"}, ()),
]


@pytest.mark.parametrize(("arguments", "expected"), GET_VARIABLES)
def test_get_variables_matches_as_tf_slim_does(arguments, expected):
    for function in (slim.get_variables, slim.get_model_variables, slim.get_trainable_variables):
        check(function, list(expected), **arguments)


def test_arguments_may_be_given_by_position():
    check(slim.get_variables, ["conv1/weights", "conv10/weights"], "conv1", "weights")
    check(slim.get_variables, ["v1"], "v1", None, "variables")
    check(slim.get_variables_by_suffix, ["nested/v2"], "2", "nested")
    check(slim.get_variables_by_name, ["nested/v2"], "v2", "nested")


def test_scope_may_be_a_scope_object():
    def fn():
        make_all()
        with slim.variable_scope("conv1") as scope:
            pass
        return list(slim.get_variables(scope)), list(slim.get_variables_to_restore([scope]))

    assert slim.Model(fn).apply(TREE) == (list(NAMES[:3]), list(NAMES[:3]))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("2",), ["nested/v2", "v2", "xv2"]),
        (("weights",), [*NAMES[:2], NAMES[3], "my_weights"]),
        (("weights", "a/"), ["a/conv1/weights"]),
    ],
)
def test_get_variables_by_suffix(arguments, expected):
    check(slim.get_variables_by_suffix, expected, *arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("v2",), ["nested/v2", "v2"]),
        (("weights",), [*NAMES[:2], NAMES[3]]),
        (("v2", "nested"), ["nested/v2"]),  # TF-Slim finds the top-level 'v2' too
        (("v1", "nested"), []),  # and here 'v1'
        (("nothing",), []),
    ],
)
def test_get_variables_by_name(arguments, expected):
    check(slim.get_variables_by_name, expected, *arguments)


def test_get_unique_variable():
    for name in ("v2", "conv1/weights"):
        assert float(slim.get_unique_variable(TREE, name)) == NAMES.index(name)
        assert float(inside(slim.get_unique_variable, name)) == NAMES.index(name)


def test_get_unique_variable_that_is_not_there():
    message = "get_unique_variable: 'v3' is not a variable; the nearest names are 'v"
    with pytest.raises(slim.ScopeError, match=message):
        slim.get_unique_variable(TREE, "v3")
    message = (
        "'conv1' does not uniquely identify a variable; the nearest names are .*'conv1/weights'"
    )
    with pytest.raises(slim.ScopeError, match=message):
        inside(slim.get_unique_variable, "conv1")


# Which trees ----------------------------------------------------------------------------------


@flax.struct.dataclass
class State:
    step: int
    params: dict
    batch_stats: dict | None = None


@pytest.mark.parametrize(
    "tree",
    [
        MIXED,
        flax.core.freeze(MIXED),
        State(0, MIXED["params"], MIXED["batch_stats"]),
        {"a/w": 1.0, "b/w": 2.0, "a/mean": 3.0},
        {"a": {"w": 1.0, "mean": 3.0}, "b/w": 2.0},
    ],
    ids=["tree", "frozen", "state", "flat", "half flat"],
)
def test_named_takes_every_kind_of_tree(tree):
    assert dict(sorted(named(tree).items())) == {"a/mean": 3.0, "a/w": 1.0, "b/w": 2.0}
    assert slim.get_variables(tree, "a/") == {"a/w": 1.0, "a/mean": 3.0}
    assert slim.get_variables_to_restore(tree, exclude=["a"]) == {"b/w": 2.0}


def test_state_without_statistics():
    assert named(State(0, MIXED["params"])) == {"a/w": 1.0, "b/w": 2.0}


def test_collections_of_a_tree():
    assert slim.get_trainable_variables(MIXED) == {"a/w": 1.0, "b/w": 2.0}
    assert slim.get_trainable_variables(MIXED["params"]) == {"a/w": 1.0, "b/w": 2.0}
    assert slim.get_trainable_variables({"batch_stats": MIXED["batch_stats"]}) == {}
    assert slim.get_local_variables(MIXED) == {"total": 4.0}
    assert slim.get_local_variables(MIXED["params"]) == {}
    assert slim.get_variables(MIXED, collection="batch_stats") == {"a/mean": 3.0}
    assert slim.get_variables({"mine": {"a/w": 1.0}}, collection="mine") == {"a/w": 1.0}


def test_collection_that_the_tree_lacks():
    message = (
        r"get_variables: the variables tree has no collection 'mine' \(it has \['batch_stats', "
        r".*\]\); ask for it inside the model function, or by apply\(..., mutable=\['mine'\]\)"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.get_variables(MIXED, collection="mine")


def test_tree_given_inside_a_model_function_is_looked_at_and_not_the_model():
    assert inside(slim.get_variables, MIXED, "b") == {"b/w": 2.0}


def test_one_name_in_two_collections():
    twice = {"params": {"a": 1.0}, "batch_stats": {"a": 2.0}}
    with pytest.raises(slim.ScopeError, match="variable 'a' is in two collections of the tree"):
        named(twice)


@pytest.mark.parametrize("bad", [[1, 2], 3, "params"])
def test_what_is_no_tree(bad):
    message = f"the variables must be a tree such as Model.init returns.*got {type(bad).__name__}"
    with pytest.raises(TypeError, match=message):
        named(bad)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (slim.get_variables, ()),
        (slim.get_model_variables, ("conv1",)),
        (slim.get_trainable_variables, ()),
        (slim.get_local_variables, ()),
        (slim.get_variables_by_suffix, ("weights",)),
        (slim.get_variables_by_name, ("v1",)),
        (slim.get_unique_variable, ("v1",)),
        (slim.get_variables_to_restore, ()),
    ],
)
def test_outside_a_model_function_the_tree_comes_first(function, args):
    what = function.__name__
    message = rf"{what}: outside a model function the variables tree comes first: {what}\(variables"
    with pytest.raises(slim.ScopeError, match=message):
        function(*args)


def test_arguments_given_twice_or_too_many():
    message = (
        r"get_variables takes \(\[variables,\] scope, suffix, collection\), each of them once, got "
        "1 by position and scope by name as well"
    )
    with pytest.raises(TypeError, match=message):
        slim.get_variables(TREE, "conv1", scope="conv1")
    with pytest.raises(TypeError, match="got 3 by position and none of them by name"):
        slim.get_variables_by_name(TREE, "a", "b", "c")


# Of a tree, with the model that made it ---------------------------------------------------------


def partly_frozen(x):
    x = slim.fully_connected(x, 2, scope="fixed", trainable=False)
    x = slim.fully_connected(x, 2, scope="free", variables_collections=["mine"])
    slim.variable("plain", shape=[2])
    SAID.update(
        trainable=list(slim.get_trainable_variables()),
        model=list(slim.get_model_variables()),
        mine=list(slim.get_variables(collection="mine")),
    )
    return jnp.sum(x)


SAID = {}


def test_with_the_model_a_tree_says_what_is_said_inside_it():
    model, x = slim.Model(partly_frozen), jnp.ones((1, 3))
    variables = model.init(jax.random.key(0), x)
    made = {"model": model, "inputs": (jax.ShapeDtypeStruct(x.shape, x.dtype),)}
    assert list(slim.get_trainable_variables(variables, **made)) == SAID["trainable"]
    assert SAID["trainable"] == ["free/weights", "free/biases", "plain"]
    assert list(slim.get_model_variables(variables, **made)) == SAID["model"]
    assert list(slim.get_variables(variables, collection="mine", **made)) == SAID["mine"]
    free = slim.get_trainable_variables(variables, "free", **made)
    assert list(free) == ["free/weights", "free/biases"]
    assert free["free/weights"] is variables["params"]["free"]["weights"]


def test_train_op_says_which_variables_of_its_state_are_trainable():
    train_op = slim.learning.create_train_op(partly_frozen, optax.sgd(0.1))
    x = jnp.ones((1, 3))
    with pytest.raises(slim.ScopeError, match=r"call train_op.init\(rng, batch\)"):
        slim.get_trainable_variables({}, model=train_op)
    state = train_op.init(0, x)
    found = slim.get_trainable_variables(state, model=train_op)
    assert sorted(found) == ["free/biases", "free/weights", "plain"]
    assert sorted(slim.get_trainable_variables(state)) == sorted(slim.get_variables(state))


def test_what_is_no_model():
    message = "get_trainable_variables: model must be a slim.Model or a train op, got function"
    with pytest.raises(TypeError, match=message):
        slim.get_trainable_variables({}, model=partly_frozen)
