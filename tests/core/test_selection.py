"""Finding variables by name, and masks: the same rules inside a model function and on a tree."""

import flax
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim.core.selection import mask, match
from jslim.core.trees import named

KEY = jax.random.key(0)

# The variables on which TF-Slim's own answers were looked up.
NAMES = (
    "conv1/weights",
    "conv10/weights",
    "conv1/biases",
    "a/conv1/weights",
    "nested/v2",
    "v1",
    "v2",
    "xv2",
    "my_weights",
)


def make_all():
    for index, name in enumerate(NAMES):
        slim.model_variable(name, shape=[], initializer=float(index))


TREE = slim.Model(make_all).init(KEY)


def inside(function, *args, **kwargs):
    """What `function` gives inside a model function that has made all of `NAMES`."""

    def fn():
        make_all()
        return function(*args, **kwargs)

    return slim.Model(fn).apply(TREE)


def check(function, expected, *args, **kwargs):
    found = inside(function, *args, **kwargs)
    on_tree = function(TREE, *args, **kwargs)
    assert list(found) == expected
    assert sorted(on_tree) == sorted(expected)
    for name in expected:
        assert float(found[name]) == float(on_tree[name]) == NAMES.index(name)


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


MIXED = {
    "params": {"a": {"w": 1.0}, "b": {"w": 2.0}},
    "batch_stats": {"a": {"mean": 3.0}},
    "local_variables": {"total": 4.0},
}


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
    with pytest.raises(slim.ScopeError, match="variable 'a' stands in two collections of the tree"):
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


# get_variables_to_restore, match and filter_variables -----------------------------------------


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (None, None, NAMES),
        (["nested"], None, ["nested/v2"]),
        (None, ["v1"], [n for n in NAMES if n != "v1"]),
        (None, ["conv1"], NAMES[3:]),
        (["conv1"], ["conv10"], ["conv1/weights", "conv1/biases"]),
        (["v2", "conv1/"], None, ["v2", "conv1/weights", "conv1/biases"]),
        (["conv1", "conv10"], None, NAMES[:3]),  # TF-Slim gives conv10/weights twice
        (None, [""], []),
        ([], None, []),
        (("v1",), (), ["v1"]),
        ([".*/weights"], ["conv10"], ["conv1/weights", "a/conv1/weights"]),
        (["v1"], [".*0"], []),  # for a pattern a name ends in ':0', as in TF-Slim
    ],
)
def test_get_variables_to_restore(include, exclude, expected):
    check(slim.get_variables_to_restore, list(expected), include=include, exclude=exclude)
    check(slim.get_variables_to_restore, list(expected), include, exclude)


@pytest.mark.parametrize("patterns", ["conv1", {"conv1"}, 3])
def test_patterns_must_be_a_list(patterns):
    for name in ("include", "exclude"):
        message = f"get_variables_to_restore: {name} must be a list or tuple of patterns, got "
        with pytest.raises(TypeError, match=message):
            slim.get_variables_to_restore(TREE, **{name: patterns})


VGG = {"vgg_16": {f"fc{n}": {"weights": 0.0, "biases": 0.0} for n in (6, 7, 8)}}


def test_pattern_that_matches_nothing_offers_the_nearest_names():
    message = (
        r"exclude: 'fc8' matches none of the 6 variables; patterns are regular expressions that "
        r"start where the full name starts; the nearest names are .*'vgg_16/fc8'"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.get_variables_to_restore(VGG, exclude=["vgg_16/fc6", "fc8"])
    with pytest.raises(slim.ScopeError, match=r"include: 'zzz' matches none.*'vgg_16/fc6/biases'"):
        slim.get_variables_to_restore(VGG, include=["zzz"])
    with pytest.raises(
        slim.ScopeError, match=r"none of the 0 variables.* the nearest names are none"
    ):
        match({}, ["a"], "--trainable_scopes")


def test_match_goes_pattern_by_pattern_without_repeats():
    assert list(match(VGG, ["vgg_16/fc8", ".*fc6", "vgg_16/fc8/w"], "x")) == [
        *("vgg_16/fc8/weights", "vgg_16/fc8/biases"),
        *("vgg_16/fc6/weights", "vgg_16/fc6/biases"),
    ]


@pytest.mark.parametrize(
    "use",
    [
        lambda pattern: match(VGG, [pattern], "exclude"),
        lambda pattern: slim.get_variables(VGG, pattern),
        lambda pattern: slim.filter_variables(VGG, [pattern]),
        lambda pattern: mask(VGG, [pattern]),
    ],
)
def test_pattern_that_is_no_regular_expression(use):
    message = r"'fc\(8' is not a regular expression: .*; escape special characters"
    with pytest.raises(slim.ScopeError, match=message):
        use("fc(8")


def test_one_string_is_not_a_list_of_patterns():
    for use in (
        lambda: match(VGG, "fc8", "exclude"),
        lambda: slim.filter_variables(VGG, "fc8"),
        lambda: slim.filter_variables(VGG, None, "fc8"),
        lambda: mask(VGG, "fc8", "variables_to_train"),
    ):
        with pytest.raises(TypeError, match="patterns must be given as a list, got 'fc8'"):
            use()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, NAMES),
        ({"include_patterns": ["weights"]}, [n for n in NAMES if "weights" in n]),
        ({"include_patterns": ["conv1/"]}, ["conv1/weights", "conv1/biases", "a/conv1/weights"]),
        ({"include_patterns": ["conv1/"], "reg_search": False}, ["conv1/weights", "conv1/biases"]),
        ({"include_patterns": ["v1", "v2"], "exclude_patterns": ["n"]}, ["v1", "v2", "xv2"]),
        ({"exclude_patterns": ["v", "weights:0"]}, []),
        ({"exclude_patterns": ["v"], "reg_search": False}, [*NAMES[:5], "xv2", "my_weights"]),
        ({"include_patterns": []}, []),
    ],
)
def test_filter_variables(arguments, expected):
    found = slim.filter_variables(named(TREE), **arguments)
    assert sorted(found) == sorted(expected)
    assert slim.filter_variables(TREE, **arguments) == found


# mask -----------------------------------------------------------------------------------------


def test_mask_of_params_and_of_a_whole_tree():
    chosen = slim.get_variables(MIXED, "a/w")
    assert mask(MIXED["params"], chosen) == {"a": {"w": True}, "b": {"w": False}}
    assert mask(MIXED, chosen) == {
        "params": {"a": {"w": True}, "b": {"w": False}},
        "batch_stats": {"a": {"mean": False}},
        "local_variables": {"total": False},
    }
    assert mask(MIXED, ["a", "b/w"])["batch_stats"] == {"a": {"mean": True}}
    assert mask({"a/w": 1.0, "b/w": 2.0}, ["b"]) == {"a/w": False, "b/w": True}
    frozen = mask(flax.core.freeze(MIXED), chosen)
    assert frozen["params"]["a"]["w"] is True


def test_mask_of_nothing_and_of_what_is_not_there():
    assert mask(MIXED["params"], []) == {"a": {"w": False}, "b": {"w": False}}
    message = "variables_to_train: 'c' matches none of the 2 variables"
    with pytest.raises(slim.ScopeError, match=message):
        mask(MIXED["params"], ["c"], "variables_to_train")


def test_mask_serves_optax():
    params = {"a": {"w": jnp.ones(2)}, "b": {"w": jnp.ones(2)}}
    optimizer = optax.masked(optax.sgd(0.5), mask(params, ["a"]))
    updates, _ = optimizer.update(params, optimizer.init(params))
    np.testing.assert_array_equal(updates["a"]["w"], [-0.5, -0.5])
    np.testing.assert_array_equal(updates["b"]["w"], [1, 1])


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
