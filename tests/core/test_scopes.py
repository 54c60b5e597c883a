"""Variable scopes: the names are TensorFlow's, and errors say where both sides are."""

import inspect
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.core.scopes import unique_op_name

PROGRAMS = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "scopes.json").read_text())


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
        with slim.variable_scope("a"):
            message = r"the name '' within 'a' would make names with '//'; enter slim.get_variable_"
            with pytest.raises(slim.ScopeError, match=message), slim.variable_scope(""):
                pass
        return names

    assert in_model(fn) == ["w", "", "", slim.AUTO_REUSE, "w"]


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
        ("custom_getter", "wrap the initializer"),
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


def in_model_values(fn):
    returned = []
    slim.Model(lambda: returned.append(fn())).init(jax.random.key(0))
    return returned[0]


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
