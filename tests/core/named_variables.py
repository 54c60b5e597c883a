"""Variables with names that patterns tell apart, inside a model function and as a tree."""

import jax

import jslim as slim

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


# Of two collections that name one scope, and of local variables.
MIXED = {
    "params": {"a": {"w": 1.0}, "b": {"w": 2.0}},
    "batch_stats": {"a": {"mean": 3.0}},
    "local_variables": {"total": 4.0},
}
