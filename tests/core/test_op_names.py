"""Names of operations and end points: each entry of a scope has its own."""

import jax.numpy as jnp
from model_functions import in_model, in_model_values, name_of_new

import jslim as slim
from jslim.core.scopes import unique_op_name


def test_op_names_are_numbered_within_one_entry_of_their_scope_and_scopes_by_entry():
    def fn():
        names = [unique_op_name(name) for name in ("a", "a", "a_1", "a", "b")]
        with slim.variable_scope("s"):
            names += [unique_op_name("a"), unique_op_name("a")]
        with slim.variable_scope("s"):
            names.append(unique_op_name("a"))
        return [*names, unique_op_name("b_1"), unique_op_name("b")]

    assert in_model(fn) == [
        *("a", "a_1", "a_1_1", "a_2", "b"),
        *("s/a", "s/a_1", "s_1/a"),
        *("b_1", "b_2"),
    ]


def test_op_names_ignore_the_case_as_in_tensorflow():
    assert in_model(lambda: [unique_op_name(n) for n in ("pool", "Pool", "POOL_1")]) == [
        *("pool", "Pool_1", "POOL_1_1"),
    ]


def entered(name, default_name=None, **kwargs):
    with slim.variable_scope(name, default_name, **kwargs) as scope:
        return scope.name, scope.original_name_scope


def test_each_entry_by_name_has_a_name_scope_of_its_own():
    def fn():
        names = [entered("net"), entered("net", reuse=True), entered("net")]
        with slim.variable_scope("outer"):
            names += [entered("net"), entered("net"), entered(None, "Conv"), entered(None, "conv")]
        with slim.variable_scope("outer", reuse=True):
            names += [entered("net"), entered("a/b"), entered("a/b")]
            names.append(("", slim.get_variable_scope().original_name_scope))
        return names

    # From TensorFlow 2.15.
    assert in_model(fn) == [
        *(("net", "net/"), ("net", "net_1/"), ("net", "net_2/")),
        *(("outer/net", "outer/net/"), ("outer/net", "outer/net_1/")),
        *(("outer/Conv", "outer/Conv/"), ("outer/conv", "outer/conv_1/")),
        *(("outer/net", "outer_1/net/"), ("outer/a/b", "outer_1/a/b/")),
        *(("outer/a/b", "outer_1/a/b_1/"), ("", "outer_1/")),
    ]


def test_scope_object_keeps_its_original_name_scope_and_its_ops_are_numbered():
    def fn():
        with slim.variable_scope("net") as net:
            names = [unique_op_name("pool")]
        with slim.variable_scope("outer"), slim.variable_scope(net, reuse=True) as again:
            names += [again.original_name_scope, slim.get_variable_scope().original_name_scope]
            names += [unique_op_name("pool"), entered("inner")]
        with slim.variable_scope(net):
            names.append(unique_op_name("pool"))
        with slim.variable_scope("net", auxiliary_name_scope=False) as plain:
            names += [plain.original_name_scope, unique_op_name("pool")]
        return names

    assert in_model(fn) == [
        *("net/pool", "net/", "net/", "outer/net/pool", ("net/inner", "outer/net/inner/")),
        *("net_1/pool", "", "pool"),
    ]


def test_empty_name_is_the_outermost_scope():
    def fn():
        with slim.variable_scope("", "Default", reuse=slim.AUTO_REUSE) as scope:
            names = [name_of_new(), scope.name, scope.original_name_scope, scope.reuse]
            with slim.variable_scope("", "Default"):
                names.append(name_of_new())
        return names

    assert in_model(fn) == ["w", "", "", slim.AUTO_REUSE, "w"]


def test_empty_name_within_a_scope_makes_names_with_two_slashes():
    """All of these are TensorFlow's."""

    def fn():
        with slim.variable_scope("a"):
            with slim.variable_scope("") as scope:
                names = [name_of_new(), scope.name, scope.original_name_scope]
                with slim.variable_scope("b") as inner:
                    names += [name_of_new(), inner.name, inner.original_name_scope]
                slim.conv2d(jnp.ones([1, 2, 2, 1]), 1, 1)
            with slim.variable_scope("", reuse=True) as scope:
                slim.variable("w", [2])
            with slim.variable_scope(None, "d") as scope:
                names.append(scope.name)
        return names, sorted(slim.get_variables("a//C"))

    names, found = in_model(fn)
    assert names == ["a//w", "a/", "", "a//b/w", "a//b", "a/b/", "a/d"]
    assert found == ["a//Conv/biases", "a//Conv/weights"]


# End points of a network that is used twice -------------------------------------------------------


def two_pools(images, reuse=None, name="net"):
    with slim.variable_scope(name, "net", reuse=reuse) as scope:
        ends = scope.original_name_scope + "_end_points"
        with slim.arg_scope([slim.conv2d, slim.max_pool2d], outputs_collections=ends):
            net = slim.conv2d(
                images, 2, 1, scope="conv", weights_initializer=slim.ones_initializer()
            )
            net = slim.max_pool2d(net, 2, scope="pool")
            slim.max_pool2d(net, 1)
        return scope, slim.utils.convert_collection_to_dict(ends)


def test_end_points_of_each_call_are_its_own():
    def fn():
        first, second, third = (jnp.full((1, 2, 2, 1), value) for value in (2.0, 20.0, 200.0))
        scope, ends = two_pools(first)
        _, again = two_pools(second, reuse=True)
        _, by_object = two_pools(third, name=scope, reuse=True)
        return [{k: float(v.max()) for k, v in e.items()} for e in (ends, again, by_object)]

    # From TF-Slim 1.1. By object it is the same collection: what has the same name is replaced.
    assert in_model_values(fn) == [
        {"net/conv": 2.0, "net/pool": 2.0, "net/MaxPool2D": 2.0},
        {"net/conv": 20.0, "net_1/pool": 20.0, "net_1/MaxPool2D": 20.0},
        {
            **{"net/conv": 200.0, "net/pool": 2.0, "net/MaxPool2D": 2.0},
            **{"net_2/pool": 200.0, "net_2/MaxPool2D": 200.0},
        },
    ]


def test_alias_that_comes_again_is_replaced_in_its_place():
    def fn():
        inputs = jnp.ones((1, 2, 2, 3))
        with slim.variable_scope("net", reuse=slim.AUTO_REUSE):
            for factor in (1.0, 2.0):
                images = factor * inputs
                slim.fully_connected(slim.flatten(images), 2, scope="fc", outputs_collections="c")
                slim.max_pool2d(images, 2, scope="pool", outputs_collections="c")
                slim.dropout(images, is_training=False, scope="drop", outputs_collections="c")
                slim.dropout(images, is_training=False, outputs_collections="c")
                slim.flatten(images, scope="flat", outputs_collections="c")
                slim.utils.collect_named_outputs(["c", "d"], "net/last/", images)
        return [
            {k: float(jnp.max(v)) for k, v in slim.utils.convert_collection_to_dict(c).items()}
            for c in "cd"
        ]

    ends, last = in_model_values(fn)
    assert list(ends) == [
        *("net/fc", "net/pool", "net/drop", "net/Dropout", "net/flat", "net/last"),
        *("net/pool_1", "net/Dropout_1", "net/flat_1"),
    ]
    assert [ends[f"net/{name}"] for name in ("drop", "Dropout", "Dropout_1")] == [2.0, 1.0, 2.0]
    assert last == {"net/last": 2.0}
