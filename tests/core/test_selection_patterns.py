"""Variables by patterns: to restore, to filter, and as masks for optax."""

import flax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from named_variables import MIXED, NAMES, TREE, check

import jslim as slim
from jslim.core.selection import mask, match
from jslim.core.trees import named

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
