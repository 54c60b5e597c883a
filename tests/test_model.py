"""`Model`: pure `init` and `apply`, a Linen module like any other, and what a run collects."""

import threading

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

import jslim as slim
from jslim import model as core
from jslim.model import (
    collect,
    collected,
    get_or_create,
    is_initializing,
    is_running,
    make_rng,
    recorded,
    regularization_losses,
    unique_op_name,
)

KEY = jax.random.key(0)
X = jnp.arange(6.0).reshape(2, 3) / 5


def dense(x, num_outputs, scope=None, reuse=None, regularizer=None):
    """A layer with two trained variables and one moving statistic."""
    with slim.variable_scope(scope, "fc", [x], reuse=reuse):
        weights = slim.model_variable(
            "weights", shape=[x.shape[-1], num_outputs], regularizer=regularizer
        )
        biases = slim.model_variable(
            "biases", shape=[num_outputs], initializer=slim.ones_initializer()
        )
        mean = slim.model_variable(
            "mean",
            shape=[num_outputs],
            initializer=slim.zeros_initializer(),
            trainable=False,
            collections=["batch_stats"],
        )
        return x @ weights + jnp.expand_dims(biases - mean, 0)


def two_layers(x):
    return dense(jnp.tanh(dense(x, 4, scope="one")), 3, scope="two")


def layer(x):
    """Keeps the shape, so that it can be repeated."""
    return jnp.tanh(dense(x, 3, scope="layer", regularizer=slim.l2_regularizer(2.0)))


def shapes(tree):
    return jax.tree.map(jnp.shape, tree)


def assert_trees_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


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


# A Linen module among Linen modules ------------------------------------------------------------


def test_tabulate_lists_the_variables():
    table = slim.Model(two_layers).tabulate(
        KEY, X, console_kwargs={"width": 200, "force_terminal": False}
    )
    assert "Model" in table
    assert "weights:" in table
    # 3*4 + 4 + 4*3 + 3 parameters and 4 + 3 statistics, all float32.
    assert "31 (124 B)" in table
    assert "Total Parameters: 38 (152 B)" in table


def test_lifted_remat_has_the_same_variables_and_gradients():
    plain, remat = slim.Model(two_layers), nn.remat(slim.Model)(two_layers)
    variables = plain.init(KEY, X)
    assert_trees_equal(remat.init(KEY, X), variables)

    def gradient(model):
        return jax.grad(lambda v: jnp.sum(jnp.square(model.apply(v, X))))(variables)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), gradient(plain), gradient(remat)
    )
    jaxpr = jax.make_jaxpr(jax.grad(lambda v: jnp.sum(remat.apply(v, X))))(variables)
    assert "checkpoint" in str(jaxpr) or "remat" in str(jaxpr)


def scan_layers(length):
    return nn.scan(
        slim.Model,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
        length=length,
    )(lambda carry, _: (layer(carry), None))


def test_lifted_scan_equals_a_loop_over_its_stacked_params():
    scanned = scan_layers(4)
    variables = scanned.init(KEY, X, None)
    assert shapes(variables["params"]) == {"layer": {"weights": (4, 3, 3), "biases": (4, 3)}}
    result, _ = scanned.apply(variables, X, None)
    net = X
    for index in range(4):
        at_index = jax.tree.map(lambda leaf, index=index: leaf[index], variables)
        net = slim.Model(layer).apply(at_index, net)
    np.testing.assert_allclose(result, net, rtol=1e-5)


def test_lifted_vmap_has_variables_for_each():
    mapped = nn.vmap(
        slim.Model,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
    )(two_layers)
    inputs = jnp.stack([X, X])
    variables = mapped.init(KEY, inputs)
    assert variables["params"]["one"]["weights"].shape == (2, 3, 4)
    second = jax.tree.map(lambda leaf: leaf[1], variables)
    np.testing.assert_allclose(
        mapped.apply(variables, inputs)[1], slim.Model(two_layers).apply(second, X), rtol=1e-5
    )


def test_nnx_bridge():
    bridged = nnx.bridge.ToNNX(slim.Model(two_layers), rngs=nnx.Rngs(0))
    bridged.lazy_init(X)
    params = nnx.to_pure_dict(nnx.state(bridged, nnx.Param))
    assert shapes(params)["one"] == {"weights": (3, 4), "biases": (4,)}
    statistics = nnx.to_pure_dict(nnx.state(bridged, nnx.BatchStat))
    expected = slim.Model(two_layers).apply({"params": params, "batch_stats": statistics}, X)
    np.testing.assert_allclose(bridged(X), expected, rtol=1e-5)


class Wrapper(nn.Module):
    """A Linen module that calls two Models, one of them twice as long by a lifted scan."""

    @nn.compact
    def __call__(self, x):
        x = slim.Model(two_layers, name="net")(x)
        x, _ = scan_layers(2).copy(name="stack")(x, None)
        return nn.Dense(2)(x)


def test_model_inside_a_linen_module():
    variables = Wrapper().init(KEY, X)
    assert shapes(variables["params"]) == {
        "net": {
            "one": {"weights": (3, 4), "biases": (4,)},
            "two": {"weights": (4, 3), "biases": (3,)},
        },
        "stack": {"layer": {"weights": (2, 3, 3), "biases": (2, 3)}},
        "Dense_0": {"kernel": (3, 2), "bias": (2,)},
    }
    assert Wrapper().apply(variables, X).shape == (2, 2)
    assert list(slim.get_variables(variables, "net", "weights")) == [
        "net/one/weights",
        "net/two/weights",
    ]


def test_linen_layer_called_by_call_linen_lies_in_the_current_scope():
    def fn(x):
        with slim.variable_scope("head"):
            x = slim.call_linen(nn.Dense(4), x)
            x = slim.call_linen(nn.Dense(4), x)
            x = slim.call_linen(nn.Dense(2, name="logits"), x)
            x = slim.call_linen(nn.BatchNorm(use_running_average=False), x, scope="norm")
            scale = slim.model_variable("norm/scale2", shape=[], initializer=2.0)
        names.append(list(slim.get_model_variables()))
        trained.append(list(slim.get_trainable_variables()))
        return x * scale

    names, trained = [], []
    model = slim.Model(fn)
    variables = model.init(KEY, X)
    assert shapes(variables) == {
        "params": {
            "head": {
                "Dense": {"kernel": (3, 4), "bias": (4,)},
                "Dense_1": {"kernel": (4, 4), "bias": (4,)},
                "logits": {"kernel": (4, 2), "bias": (2,)},
                "norm": {"scale": (2,), "bias": (2,), "scale2": ()},
            }
        },
        "batch_stats": {"head": {"norm": {"mean": (2,), "var": (2,)}}},
    }
    result, updated = model.apply(variables, X, mutable=["batch_stats"])
    assert result.shape == (2, 2)
    assert np.any(updated["batch_stats"]["head"]["norm"]["mean"] != 0)
    assert names[0] == names[1]
    assert set(names[0]) == set(slim.get_variables(variables))
    assert set(trained[0]) == set(slim.get_variables(variables["params"]))


def test_linen_layer_that_is_called_twice_in_one_scope():
    def fn(x, reuse):
        x = slim.call_linen(nn.Dense(3), x, scope="shared")
        with slim.variable_scope(slim.get_variable_scope(), reuse=reuse):
            return slim.call_linen(nn.Dense(3), x, scope="shared")

    model = slim.Model(fn)
    message = r"call_linen: a module was called in scope 'shared' at .*test_model.py:\d+, and again"
    with pytest.raises(slim.ScopeError, match=message):
        model.init(KEY, X, None)
    variables = model.init(KEY, X, True)
    kernel, bias = variables["params"]["shared"]["kernel"], variables["params"]["shared"]["bias"]
    twice = (X @ kernel + bias[None]) @ kernel + bias[None]
    np.testing.assert_allclose(model.apply(variables, X, True), twice, rtol=1e-5)


def test_linen_layer_that_is_reused_before_it_was_called():
    def fn(x):
        slim.call_linen(nn.Dense(3), x, scope="head")
        with slim.variable_scope(slim.get_variable_scope(), reuse=True):
            return slim.call_linen(nn.Dense(3), x, scope="heat")

    message = "no module was called in scope 'heat' yet.*reuse=True; did you mean 'head'"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY, X)


def test_linen_layer_called_directly_hangs_on_the_root():
    def fn(x):
        with slim.variable_scope("scope"):
            net = nn.Dense(2)(x)
        assert slim.get_variables() == {}
        return net

    with recorded() as runs:
        variables = slim.Model(fn).init(KEY, X)
    assert shapes(variables["params"]) == {"Dense_0": {"kernel": (3, 2), "bias": (2,)}}
    # Whoever asks what an optimizer may change has to hear of it all the same.
    assert {n for n, info in runs[0].variables.items() if info.trainable} == {
        "Dense_0/kernel",
        "Dense_0/bias",
    }


def partitioned(initializer):
    return nn.with_partitioning(initializer, ("in", "out"))


def test_initializer_that_names_the_axes_for_linen():
    def fn(x):
        x = x @ slim.model_variable(
            "w", shape=[3, 3], initializer=partitioned(nn.initializers.ones)
        )
        return slim.call_linen(nn.Dense(2, kernel_init=partitioned(nn.initializers.ones)), x)

    model = slim.Model(fn)
    variables = model.init(KEY, X)
    spec = nn.get_partition_spec(variables)["params"]
    assert spec["w"] == spec["Dense"]["kernel"] == PartitionSpec("in", "out")
    row_sums = np.asarray(X).sum(1)
    np.testing.assert_allclose(model.apply(variables, X)[:, 0], 3 * row_sums, rtol=1e-5)
    np.testing.assert_allclose(
        model.apply(nn.meta.unbox(variables), X)[:, 0], 3 * row_sums, rtol=1e-5
    )


# A Model within a Model -----------------------------------------------------------------------


class Holder(nn.Module):
    @nn.compact
    def __call__(self, x):
        return slim.Model(layer, name="inner")(x)


def nested(x):
    x = dense(x, 3, scope="first", regularizer=slim.l2_regularizer(2.0))
    x = slim.call_linen(Holder(), x, scope="linen")
    x = slim.call_linen(nn.remat(slim.Model)(layer), x, scope="again")
    x, _ = slim.call_linen(scan_layers(4), x, None, scope="stack")
    x = slim.Model(layer, name="direct")(x)
    return x


NESTED_WEIGHTS = [
    "first/weights",
    "linen/inner/layer/weights",
    "again/layer/weights",
    "stack/layer/weights",
    "direct/layer/weights",
]


def test_variables_and_regularizers_of_models_within_belong_to_the_model_around():
    seen = []

    def fn(x):
        net = nested(x)
        order.append(list(slim.get_variables()))
        seen.append((list(slim.get_variables("", "weights")), regularization_losses()))
        return net

    order = []
    model = slim.Model(fn)
    variables = model.init(KEY, X)
    model.apply(jax.tree.map(jnp.asarray, variables), X)  # a map sorts the tree
    made = [name.removesuffix("weights") for name in NESTED_WEIGHTS]
    assert order[0] == [path + leaf for path in made for leaf in ("weights", "biases", "mean")]
    assert order[0] == order[1]
    assert sorted(order[0]) == sorted(slim.get_variables(variables))
    held = slim.get_variables(variables)
    assert set(slim.get_variables(variables, "", "weights")) == set(NESTED_WEIGHTS)
    assert held["stack/layer/weights"].shape == (4, 3, 3)
    for names, losses in seen:
        assert names == NESTED_WEIGHTS
        assert list(losses) == [f"{name}/Regularizer" for name in NESTED_WEIGHTS]
        for name in NESTED_WEIGHTS:
            expected = np.sum(np.square(np.asarray(held[name])))  # 2.0 * sum(w^2) / 2
            np.testing.assert_allclose(losses[f"{name}/Regularizer"], expected, rtol=1e-5)


def test_regularization_losses_are_handed_out_once_each():
    model = slim.Model(nested)
    variables = model.init(KEY, X)
    _, state = model.apply(variables, X, mutable=["regularization_losses"])
    losses = state["regularization_losses"]
    assert list(losses) == [f"{name}/Regularizer" for name in NESTED_WEIGHTS]


def test_losses_of_a_model_within_count():
    def part(x):
        slim.losses.add_loss(jnp.float32(2.0))
        return x

    def fn(x):
        x = slim.call_linen(slim.Model(part), x, scope="a")
        x = slim.Model(part)(x)
        slim.losses.add_loss(jnp.float32(1.0))
        return slim.losses.get_total_loss(), collected("losses")

    (total, losses), state = slim.Model(fn).apply({}, X, mutable=["losses"])
    assert float(total) == 5.0
    assert losses == {"a/loss/value": 2, "Model_1/loss/value": 2, "loss/value": 1}
    assert state == {"losses": losses}


def test_end_points_of_a_lifted_model_within_come_out_below_its_scope():
    def part(x):
        collect("end_points", "layer", x)
        return layer(x)

    def fn(x):
        return slim.call_linen(nn.remat(slim.Model)(part), x, scope="block")

    model = slim.Model(fn)
    _, state = model.apply(model.init(KEY, X), X, mutable=["end_points"])
    np.testing.assert_array_equal(state["end_points"]["block"]["layer"], X)


def test_losses_of_a_lifted_model_within_cannot_leave_it():
    def part(x):
        slim.losses.add_loss(jnp.sum(x))
        return dense(x, 3)

    def fn(x):
        slim.call_linen(nn.remat(slim.Model)(part), x, scope="block")
        return slim.losses.get_total_loss()

    message = (
        "loss 'loss/value' was added inside a Model at 'block' that runs under a lifted "
        r"transformation .*; return it from that Model and add it outside"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY, X)


class Teacher(nn.Module):
    @nn.compact
    def __call__(self, x):
        return slim.Model(lambda x: (slim.losses.add_loss(jnp.sum(x)), layer(x))[1])(x)


def test_model_that_a_linen_module_applies_stays_on_its_own():
    # Its path looks as if it were a part of the model around, but its variables are not there.
    variables = Teacher().init(KEY, X)

    def fn(x):
        target = Teacher().apply(variables, x)
        assert slim.get_variables() == {}
        assert regularization_losses() == {}
        assert collected("losses") == {}
        return target

    with recorded() as runs:
        assert slim.Model(fn).apply({}, X).shape == (2, 3)
    assert [run.variables for run in runs] == [{}]


# What a run records and collects --------------------------------------------------------------


def test_recorded_gives_the_facts_of_each_variable():
    with recorded() as runs:
        slim.Model(two_layers).init(KEY, X)
    (run,) = runs
    assert list(run.variables) == [
        *("one/weights", "one/biases", "one/mean"),
        *("two/weights", "two/biases", "two/mean"),
    ]
    info = run.variables["one/mean"]
    assert (info.name, info.shape, info.dtype) == ("one/mean", (4,), jnp.float32)
    assert (info.collection, info.trainable) == ("batch_stats", False)
    assert info.tags == {"variables", "model_variables", "batch_stats"}
    assert __file__ in info.site
    assert run.variables["one/weights"].trainable


def test_recorded_names_are_those_of_the_whole_tree():
    with recorded() as runs:
        variables = Wrapper().init(KEY, X)
    names = {name for run in runs for name in run.variables}
    assert names == {n for n in slim.get_variables(variables) if not n.startswith("Dense_0")}
    assert all(info.name == name for run in runs for name, info in run.variables.items())


def test_recorded_knows_a_part_once():
    with recorded() as runs:
        slim.Model(nested).init(KEY, X)
    (run,) = runs
    shapes_by_name = {name: info.shape for name, info in run.variables.items()}
    assert [name for name in shapes_by_name if name.endswith("weights")] == NESTED_WEIGHTS
    assert shapes_by_name["stack/layer/weights"] == (4, 3, 3)


def test_nothing_is_recorded_outside():
    slim.Model(two_layers).init(KEY, X)
    with recorded() as runs:
        pass
    assert runs == []


def test_collections_come_out_where_they_are_asked_for():
    def fn(x):
        with slim.variable_scope("net"):
            net = dense(x, 2, regularizer=slim.l2_regularizer(1.0))
            collect("end_points", "net/fc", net)
            slim.losses.add_loss(jnp.sum(net), "losses")
        return net

    model = slim.Model(fn)
    variables = model.init(KEY, X)
    assert set(variables) == {"params", "batch_stats"}
    asked = ["end_points", "losses", "regularization_losses"]
    net, state = model.apply(variables, X, mutable=asked)
    np.testing.assert_array_equal(state["end_points"]["net/fc"], net)
    np.testing.assert_allclose(state["losses"]["net/loss/value"], np.sum(np.asarray(net)), 1e-5)
    weights = np.asarray(variables["params"]["net"]["fc"]["weights"])
    np.testing.assert_allclose(
        state["regularization_losses"]["net/fc/weights/Regularizer"],
        np.sum(weights**2) / 2,
        rtol=1e-5,
    )
    assert sorted(state) == sorted(asked)


def test_variables_come_out_under_the_names_of_their_collections():
    def fn():
        slim.variable("a", shape=[2], collections=["mine", "yours"])
        slim.model_variable("b", shape=[3], collections=["mine"])
        slim.model_variable("c", shape=[4])

    model = slim.Model(fn)
    variables = model.init(KEY)
    _, state = model.apply(variables, mutable=["mine", "yours"])
    assert shapes(state) == {"mine": {"a": (2,), "b": (3,)}, "yours": {"a": (2,)}}
    np.testing.assert_array_equal(state["mine"]["a"], variables["params"]["a"])


def test_everything_mutable_gives_no_second_copy_of_the_variables():
    model = slim.Model(two_layers)
    _, state = model.apply(model.init(KEY, X), X, mutable=True)
    assert set(state) == {"params", "batch_stats"}


def test_collected_value_is_never_lost_to_another_of_its_name():
    def fn():
        for value in (1.0, 2.0):
            with slim.variable_scope("net", reuse=slim.AUTO_REUSE):
                collect("losses", unique_op_name("loss"), value)
        collect("end_points", "a", 1.0)
        collect("end_points", "a", 2.0, replaces=True)
        return collected("losses"), collected("end_points"), collected("none")

    losses, end_points, nothing = slim.Model(fn).apply({})
    assert losses == {"net/loss": 1.0, "net/loss_1": 2.0}
    assert end_points == {"a": 2.0}
    assert nothing == {}


def test_collecting_outside_a_model_function():
    for call in (lambda: collect("losses", "a", 1.0), lambda: collected("losses")):
        with pytest.raises(slim.ScopeError, match="collection 'losses' only works inside a model"):
            call()
    with pytest.raises(slim.ScopeError, match="regularization_losses only works inside"):
        regularization_losses()


def test_regularizer_counts_once_however_often_the_variable_is_used():
    def fn(x):
        regularizer = slim.l2_regularizer(1.0)
        x = dense(x, 3, scope="shared", regularizer=regularizer)
        for _ in range(2):
            x = dense(x, 3, scope="shared", reuse=True, regularizer=regularizer)
        return regularization_losses()

    variables = slim.Model(fn).init(KEY, X)
    losses = slim.Model(fn).apply(variables, X)
    weights = np.asarray(variables["params"]["shared"]["weights"])
    assert list(losses) == ["shared/weights/Regularizer"]
    np.testing.assert_allclose(losses["shared/weights/Regularizer"], np.sum(weights**2) / 2, 1e-5)


def test_regularizer_that_gives_none_adds_nothing():
    def fn(x):
        dense(x, 3, regularizer=slim.l2_regularizer(0.0))
        return regularization_losses()

    variables = slim.Model(fn).init(KEY, X)
    assert slim.Model(fn).apply(variables, X) == {}


# assign ---------------------------------------------------------------------------------------


def counter():
    count = slim.variable("count", shape=[], dtype=jnp.int32, initializer=5, trainable=False)
    slim.assign("count", count + 1)
    with slim.variable_scope(slim.get_variable_scope(), reuse=True):
        return count, slim.variable("count", shape=[], dtype=jnp.int32, trainable=False)


def test_assigned_value_is_read_from_then_on_and_comes_back():
    model = slim.Model(counter)
    variables = model.init(KEY)
    (before, after), updated = model.apply(variables, mutable=["batch_stats"])
    assert (int(before), int(after)) == (5, 6)
    assert int(updated["batch_stats"]["count"]) == 6
    assert int(variables["batch_stats"]["count"]) == 5


def test_init_returns_initial_values_though_the_run_reads_what_it_assigned():
    (before, after), variables = slim.Model(counter).init_with_output(KEY)
    assert (int(before), int(after)) == (5, 6)
    assert int(variables["batch_stats"]["count"]) == 5


def test_assign_casts_to_the_type_of_the_variable():
    def fn():
        slim.variable("v", shape=[2], dtype=jnp.bfloat16, trainable=False)
        slim.assign("v", jnp.ones(2))

    model = slim.Model(fn)
    _, updated = model.apply(model.init(KEY), mutable=["params"])
    assert updated["params"]["v"].dtype == jnp.bfloat16


def test_assign_where_the_collection_is_not_mutable():
    model = slim.Model(counter)
    message = (
        r"variable 'count' is updated, but its collection 'batch_stats' is not mutable; call "
        r"apply\(..., mutable=\['batch_stats'\]\) and keep what it returns, or pass is_training"
    )
    with pytest.raises(slim.ScopeError, match=message):
        model.apply(model.init(KEY))


def test_assign_to_a_trained_variable():
    def fn():
        slim.variable("w", shape=[2])
        slim.assign("w", jnp.zeros(2))

    model = slim.Model(fn)
    message = "'params' is not mutable; create it with trainable=False, collections="
    with pytest.raises(slim.ScopeError, match=message):
        model.apply(model.init(KEY))


def test_assign_to_what_is_not_there():
    def fn():
        with slim.variable_scope("net"):
            slim.variable("mean", shape=[2])
            slim.assign("maen", jnp.zeros(2))

    message = "assign: there is no variable 'net/maen'; did you mean 'net/mean'.*create it first"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY)


def test_assign_of_another_shape():
    def fn():
        slim.variable("v", shape=[2])
        slim.assign("v", jnp.zeros(3))

    message = r"assign: variable 'v' has shape \(2,\), but the new value has shape \(3,\)"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY)


# make_rng -------------------------------------------------------------------------------------


def test_keys_differ_by_call_and_by_scope_and_repeat_by_run():
    def fn():
        keys = [make_rng("dropout"), make_rng("dropout")]
        for scope in ("a", "b"):
            with slim.variable_scope(scope):
                keys.append(make_rng("dropout"))
        return jax.random.key_data(jnp.stack(keys))

    first = slim.Model(fn).apply({}, rngs={"dropout": KEY})
    assert len(np.unique(first, axis=0)) == 4
    np.testing.assert_array_equal(first, slim.Model(fn).apply({}, rngs={"dropout": KEY}))


def test_missing_random_stream():
    def fn():
        with slim.variable_scope("net"):
            make_rng("dropout", "dropout")

    message = (
        r"dropout at 'net' needs randomness; call apply\(..., rngs=\{'dropout': key\}\), or pass "
        "is_training=False"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).apply({})


# get_or_create --------------------------------------------------------------------------------


def test_initializer_that_gives_another_shape():
    def fn():
        get_or_create("w", (2, 3), jnp.float32, lambda key, shape, dtype: jnp.ones(5))

    message = r"variable 'w': its initializer .*lambda.* has shape \(5,\), but shape \(2, 3\) was"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY)


def test_variable_goes_where_it_is_placed():
    device = jax.devices()[3]
    sharding = jax.sharding.SingleDeviceSharding(device)

    def fn():
        return get_or_create("w", (2,), jnp.float32, slim.ones_initializer(), placement=sharding)

    variables = slim.Model(fn).init(KEY)
    assert variables["params"]["w"].devices() == {device}


def test_constants_are_those_that_flax_and_tensorflow_use():
    assert (core.PARAMS, core.BATCH_STATS) == ("params", "batch_stats")
    assert (core.GLOBAL, core.MODEL, core.TRAINABLE) == (
        "variables",
        "model_variables",
        "trainable_variables",
    )
