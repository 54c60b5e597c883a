"""`Model`: pure `init` and `apply`, under JAX's transformations, beside other Models."""

import threading

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model_functions import (
    KEY,
    X,
    assert_trees_equal,
    dense,
    layer,
    shapes,
    two_layers,
)

import jslim as slim
from jslim.core.access import collect, collected, is_initializing, is_running, make_rng
from jslim.core.model import recorded

# init and apply -------------------------------------------------------------------------------


def test_init_gives_plain_dicts_under_the_names_of_the_variables():
    variables = slim.Model(two_layers).init(KEY, X)
    assert shapes(variables) == {
        "params": {
            "one": {"weights": (3, 4), "biases": (4,)},
            "two": {"weights": (4, 3), "biases": (3,)},
        },
        "batch_stats": {"one": {"mean": (4,)}, "two": {"mean": (3,)}},
    }
    assert type(variables) is dict
    assert type(variables["params"]["one"]) is dict


def test_apply_computes_what_numpy_computes():
    model = slim.Model(two_layers)
    variables = model.init(KEY, X)
    one, two = variables["params"]["one"], variables["params"]["two"]
    hidden = np.tanh(np.asarray(X) @ np.asarray(one["weights"]) + 1)
    expected = hidden @ np.asarray(two["weights"]) + 1
    np.testing.assert_allclose(model.apply(variables, X), expected, rtol=1e-5)


def test_init_is_a_pure_function_of_the_key():
    model = slim.Model(two_layers)
    assert_trees_equal(model.init(KEY, X), model.init(KEY, X))
    other = model.init(jax.random.key(1), X)
    assert not np.allclose(
        other["params"]["one"]["weights"], model.init(KEY, X)["params"]["one"]["weights"]
    )


def test_variables_of_one_shape_start_differently_and_independently_of_their_order():
    def fn(x, scopes):
        for scope in scopes:
            x = dense(x, 3, scope=scope)
        return x

    variables = slim.Model(fn).init(KEY, X, ("a", "b"))["params"]
    swapped = slim.Model(fn).init(KEY, X, ("b", "a"))["params"]
    assert not np.allclose(variables["a"]["weights"], variables["b"]["weights"])
    assert_trees_equal(variables, swapped)


def test_arguments_and_results_are_any_trees():
    def fn(batch, *, scale=1.0):
        return {"y": dense(batch["x"], 1) * scale, "n": len(batch)}

    model = slim.Model(fn)
    variables = model.init(KEY, {"x": X})
    result = model.apply(variables, {"x": X}, scale=0.0)
    np.testing.assert_array_equal(result["y"], np.zeros((2, 1)))
    assert result["n"] == 1


def test_model_without_variables():
    assert slim.Model(lambda x: x + 1).init(KEY, 1.0) == {}
    assert float(slim.Model(lambda x: x + 1).apply({}, 1.0)) == 2.0


def test_apply_takes_frozen_dicts_numpy_arrays_and_half_precision():
    model = slim.Model(two_layers)
    variables = model.init(KEY, X)
    expected = model.apply(variables, X)
    as_numpy = flax.core.freeze(jax.tree.map(np.asarray, variables))
    np.testing.assert_array_equal(model.apply(as_numpy, X), expected)
    halves = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables)
    assert model.apply(halves, X.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_init_with_shapes_alone():
    model = slim.Model(two_layers)
    abstract = jax.eval_shape(model.init, KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    assert shapes(abstract) == shapes(model.init(KEY, X))


def test_extra_variables_are_ignored():
    model = slim.Model(two_layers)
    variables = model.init(KEY, X)
    more = {**variables, "params": {**variables["params"], "other": {"w": jnp.ones(1)}}}
    np.testing.assert_array_equal(model.apply(more, X), model.apply(variables, X))


def test_missing_variable_offers_the_nearest_name():
    variables = slim.Model(two_layers).init(KEY, X)
    variables["params"]["onne"] = variables["params"].pop("one")
    message = (
        r"variable 'one/weights' is not among the 4 variables of 'params' that apply was given; "
        r"did you mean 'onne/weights'.*make the variables with init of this same model"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(two_layers).apply(variables, X)


def test_missing_collection_says_what_was_given():
    variables = slim.Model(two_layers).init(KEY, X)
    message = (
        "variable 'one/mean' is in collection 'batch_stats', which was not given to apply "
        r"\(it was given 'params'\); pass all that init returned"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(two_layers).apply({"params": variables["params"]}, X)
    with pytest.raises(slim.ScopeError, match=r"\(it was given nothing\)"):
        slim.Model(two_layers).apply({}, X)


def test_variable_of_another_shape():
    variables = slim.Model(two_layers).init(KEY, X)
    wide = jnp.ones((2, 5))
    message = r"'one/weights' has shape \(3, 4\), but this call needs shape \(5, 4\); it was made"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(two_layers).apply(variables, wide)


def test_error_of_the_model_function_passes_through_and_leaves_no_trace():
    def fn(x):
        with slim.variable_scope("a"):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        slim.Model(fn).init(KEY, X)
    assert not is_running()


def test_model_of_what_is_no_function():
    message = "Model: fn must be a function of arrays, got int; give the function itself, and its"
    with pytest.raises(TypeError, match=message):
        slim.Model(3).init(KEY, X)


def test_models_compare_and_hash_by_their_function():
    assert slim.Model(two_layers) == slim.Model(two_layers)
    assert slim.Model(two_layers) != slim.Model(layer)
    traces = []

    def forward(model, variables, x):
        traces.append(None)
        return model.apply(variables, x)

    jitted = jax.jit(forward, static_argnums=0)
    variables = slim.Model(two_layers).init(KEY, X)
    for _ in range(2):
        jitted(slim.Model(two_layers), variables, X)
    assert len(traces) == 1


def test_jit_with_a_static_argument():
    def fn(x, is_training):
        return dense(x, 2) if is_training else x

    model = slim.Model(fn)
    variables = model.init(KEY, X, True)
    apply = jax.jit(model.apply, static_argnames="is_training")
    assert apply(variables, X, is_training=True).shape == (2, 2)
    assert apply(variables, X, is_training=False).shape == (2, 3)


def test_is_initializing_and_is_running():
    seen = []

    def fn(x):
        seen.append((is_running(), is_initializing()))
        return dense(x, 2)

    assert not is_running()
    variables = slim.Model(fn).init(KEY, X)
    slim.Model(fn).apply(variables, X)
    assert seen == [(True, True), (True, False)]


# A Model inside JAX's transformations ---------------------------------------------------------


def test_gradient_is_that_of_the_formula():
    model = slim.Model(lambda x: jnp.sum(dense(x, 2, scope="one")))
    variables = model.init(KEY, X)

    def loss(params):
        return model.apply({**variables, "params": params}, X)

    gradient = jax.jit(jax.grad(loss))(variables["params"])["one"]
    column_sums = np.asarray(X).sum(0)
    np.testing.assert_allclose(gradient["weights"], np.stack([column_sums] * 2, 1), rtol=1e-5)
    np.testing.assert_allclose(gradient["biases"], [2, 2], rtol=1e-5)


def test_jit_checkpoint_vmap_and_scan_of_apply_give_what_apply_gives():
    model = slim.Model(two_layers)
    variables = model.init(KEY, X)
    expected = model.apply(variables, X)
    np.testing.assert_allclose(jax.jit(model.apply)(variables, X), expected, rtol=1e-5)
    checkpointed = jax.checkpoint(lambda v, x: model.apply(v, x))
    np.testing.assert_allclose(checkpointed(variables, X), expected, rtol=1e-5)
    by_row = jax.vmap(model.apply, in_axes=(None, 0))(variables, X[:, None])
    np.testing.assert_allclose(by_row[:, 0], expected, rtol=1e-5)
    _, by_step = jax.lax.scan(lambda c, x: (c, model.apply(variables, x)), None, X[:, None])
    np.testing.assert_allclose(by_step[:, 0], expected, rtol=1e-5)
    gradient = jax.grad(lambda v: jnp.sum(model.apply(v, X)))(variables)
    again = jax.grad(lambda v: jnp.sum(checkpointed(v, X)))(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), gradient, again)


def test_checkpointed_apply_follows_its_variables():
    # A trace that JAX keeps by function must not remember the variables of the first call.
    model = slim.Model(lambda x: x * slim.variable("w", shape=[]))
    apply = jax.checkpoint(model.apply)
    for value in (2.0, 3.0):
        assert float(apply({"params": {"w": jnp.float32(value)}}, 1.0)) == value


def weighted(x):
    return x * slim.variable("w", shape=[])


INNER_TRANSFORMATIONS = {
    "jit": jax.jit(weighted),
    "checkpoint": lambda x: jax.checkpoint(weighted)(x),
    "scan": lambda x: jax.lax.scan(lambda c, _: (weighted(c), None), x, None, length=1)[0],
    "cond": lambda x: jax.lax.cond(True, weighted, weighted, x),
    "grad": lambda x: jax.grad(weighted)(x),
    "vmap": lambda x: jax.vmap(weighted)(x[None])[0],
}


@pytest.mark.parametrize(
    "transform", INNER_TRANSFORMATIONS.values(), ids=INNER_TRANSFORMATIONS.keys()
)
@pytest.mark.parametrize("is_jitted", [False, True], ids=["eager", "in jit"])
def test_variable_inside_a_transformation_that_began_in_the_model(transform, is_jitted):
    def apply(x):
        with slim.variable_scope("a"):
            return transform(x)

    model = slim.Model(apply)
    message = (
        "variable 'a/w' is used, which happens inside a JAX transformation .* that was started "
        r"within the model function.*slim.call_linen\(flax.linen.remat\(slim.Model\)\(fn\), "
        r"inputs, scope='name'\)"
    )
    for function in (
        lambda x: model.init(KEY, x),
        lambda x: model.apply({"params": {"a": {"w": jnp.ones(())}}}, x),
    ):
        with pytest.raises(slim.ScopeError, match=message):
            (jax.jit(function) if is_jitted else function)(jnp.ones(()))


def in_grad(act):
    """A model function that does something within `jax.grad`, after making a variable."""

    def fn():
        slim.variable("w", shape=[], trainable=False, collections=["batch_stats"])

        def inner(x):
            act(x)
            return x

        return jax.grad(inner)(1.0)

    return slim.Model(fn)


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda x: collect("losses", "loss/value", x), "is added to collection 'losses'"),
        (lambda x: slim.losses.add_loss(x), "'loss/value' is added to collection 'losses'"),
        (lambda x: slim.assign("w", x), "variable 'w' is updated"),
        (lambda x: slim.get_variables(collection="batch_stats"), "variable 'w' is used"),
        (lambda x: make_rng("dropout", "dropout"), "dropout draws random numbers"),
        (lambda x: slim.call_linen(nn.Dense(1), X), "Linen module 'Dense' is called"),
    ],
)
def test_nothing_leaves_a_transformation_that_began_in_the_model(act, what):
    with pytest.raises(slim.ScopeError, match=f"{what}, which happens inside a JAX transformation"):
        in_grad(act).init({"params": KEY, "dropout": KEY})


def test_transformations_without_variables_are_free():
    def fn(x):
        net = jax.checkpoint(jnp.tanh)(dense(x, 3))
        return net + jax.vmap(jnp.sin)(net)

    model = slim.Model(fn)
    assert model.apply(model.init(KEY, X), X).shape == (2, 3)


# Nothing is global ----------------------------------------------------------------------------


def test_models_that_call_each_other_by_apply_do_not_mix():
    teacher = slim.Model(two_layers)
    teacher_variables = teacher.init(KEY, X)

    def student(x):
        with slim.variable_scope("student"):
            first = dense(x, 3)
            target = teacher.apply(teacher_variables, x)
            with slim.variable_scope(None, "fc") as scope:
                assert scope.name == "student/fc_1"
        assert list(slim.get_variables()) == [
            "student/fc/weights",
            "student/fc/biases",
            "student/fc/mean",
        ]
        return first - target

    model = slim.Model(student)
    with recorded() as runs:
        variables = model.init(KEY, X)
    assert list(variables["params"]) == ["student"]
    assert [len(run.variables) for run in runs] == [3]
    assert model.apply(variables, X).shape == (2, 3)


def test_two_models_run_interleaved():
    def fn(inner):
        with slim.variable_scope("outer"):
            dense(X, 2)
            if inner:
                slim.Model(fn).init(KEY, False)
            return dense(X, 2)

    variables = slim.Model(fn).init(KEY, True)
    assert list(variables["params"]["outer"]) == ["fc", "fc_1"]


def test_models_in_threads_do_not_see_each_other():
    barrier = threading.Barrier(4)
    results = {}

    def fn(name):
        with slim.variable_scope(name):
            barrier.wait(20)
            collect("losses", f"{name}/value", jnp.ones(()))
            net = dense(X, 2)
            barrier.wait(20)
            net = dense(net, 2)
            barrier.wait(20)
            results[name] = (list(slim.get_variables("", "weights")), list(collected("losses")))
            return net

    def work(name):
        slim.Model(lambda: fn(name)).init(KEY)

    threads = [threading.Thread(target=work, args=(f"net{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {
        f"net{i}": ([f"net{i}/fc/weights", f"net{i}/fc_1/weights"], [f"net{i}/value"])
        for i in range(4)
    }
