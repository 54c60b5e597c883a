"""What holds for every layer: names, reuse, collections, dtypes, jit; one row a layer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from layer_checks import jit, leaves_of, make_up_variables
from layer_table import OTHERS, TABLE

import jslim as slim

WITH_VARIABLES = [name for name, row in TABLE.items() if row.variables]
COLLECTING = [name for name, row in TABLE.items() if row.has_outputs_collections]


def inputs_of(row, dtype=jnp.float32):
    shape = TABLE[row].shape
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, shape), dtype)


def test_every_layer_has_a_row_or_is_named_as_another():
    exported = {
        name: value
        for name, value in vars(slim.layers).items()
        if callable(value) and not name.startswith("_")
    }
    assert len(exported) > 45
    functions = {getattr(slim, name) for name in exported if name in OTHERS}
    for row, entry in TABLE.items():
        layer = getattr(entry.layer, "func", entry.layer)
        functions |= {layer, getattr(slim, row.partition("_of_")[0], None)}
    functions |= {slim.pool, slim.linear, slim.relu, slim.relu6, slim.elu}
    assert [name for name, value in exported.items() if value not in functions] == []
    assert set(exported) >= OTHERS
    assert all(getattr(slim, name) is value for name, value in exported.items())


def names_in(function, row):
    """What `function(x)` returns, which is no array, when a model of it is made."""
    kept = []
    slim_model = slim.Model(lambda x: kept.append(function(x)))
    jax.eval_shape(slim_model.init, jax.random.key(0), inputs_of(row))
    return kept[0]


@pytest.mark.parametrize("row", WITH_VARIABLES)
def test_variables_have_tf_slims_names_and_order(row):
    layer, scope, variables = TABLE[row].layer, TABLE[row].scope, TABLE[row].variables

    def twice(x):
        layer(x)
        layer(x)
        return list(slim.get_variables()), list(slim.get_model_variables())

    every, of_model = names_in(twice, row)
    assert every == [f"{s}/{v}" for s in (scope, scope + "_1") for v in variables]
    assert of_model == (every if TABLE[row].are_model_variables else [])


@pytest.mark.parametrize("row", [name for name in WITH_VARIABLES if TABLE[name].has_reuse])
def test_same_scope_again_needs_reuse(row):
    layer = TABLE[row].layer

    def without(x):
        layer(x, scope="a")
        return layer(x, scope="a")

    def with_reuse(x):
        layer(x, scope="a")
        layer(x, scope="a", reuse=True)
        return list(slim.get_variables())

    with pytest.raises(slim.ScopeError, match=r"'a/\w+' already exists: .*reuse=True"):
        names_in(without, row)
    assert names_in(with_reuse, row) == [f"a/{v}" for v in TABLE[row].variables]


@pytest.mark.parametrize(
    "row", [name for name in WITH_VARIABLES if TABLE[name].has_variables_collections]
)
def test_variables_collections_as_list_and_dict(row):
    layer, scope, variables = TABLE[row].layer, TABLE[row].scope, TABLE[row].variables
    own = [v for v in variables if "BatchNorm/" not in v]
    key = "weights" if own[0].endswith("weights") else own[0]

    def run(x):
        layer(x, variables_collections=["every"])
        layer(x, variables_collections={key: ["some"]})
        return [list(slim.get_variables(collection=c)) for c in ("every", "some")]

    every, some = names_in(run, row)
    assert every == [f"{scope}/{v}" for v in own]
    stands_for = [v for v in own if v == key or v.endswith("_" + key)]
    assert some == [f"{scope}_1/{v}" for v in stands_for]


@pytest.mark.parametrize("row", COLLECTING)
def test_outputs_collections_hold_outputs_by_scope(row):
    layer, default = TABLE[row].layer, TABLE[row].scope

    def run(x):
        with slim.variable_scope("net"):
            layer(x, outputs_collections="ends", scope="named")
            layer(x, outputs_collections=["ends", "others"])
            layer(x, outputs_collections="ends")
        ends = slim.layers.utils.convert_collection_to_dict("ends", clear_collection=True)
        left = slim.layers.utils.convert_collection_to_dict("ends")
        others = slim.layers.utils.convert_collection_to_dict("others")
        assert others["net/" + default] is ends["net/" + default]
        return list(ends), left

    ends, left = names_in(run, row)
    assert ends == ["net/named", f"net/{default}", f"net/{default}_1"]
    assert left == {}


@pytest.mark.parametrize("row", WITH_VARIABLES)
def test_layer_that_is_not_trainable(row):
    layer = TABLE[row].layer

    def run(x):
        layer(x, trainable=False)
        return list(slim.get_trainable_variables())

    # A normalizer has a `trainable` of its own.
    assert [n for n in names_in(run, row) if "BatchNorm/" not in n[4:]] == []


def apply(row, x):
    model = slim.Model(TABLE[row].layer)
    variables = make_up_variables(model, x)
    return variables, jit(model.apply)(variables, x), model


def dtypes_of(tree):
    return {leaf.dtype for leaf in jax.tree.leaves(tree)}


@pytest.mark.parametrize("row", TABLE)
def test_bfloat16_in_is_bfloat16_out_with_float32_variables(row):
    x = inputs_of(row, jnp.bfloat16)
    variables, output, model = apply(row, x)
    assert output.dtype == jnp.bfloat16
    assert dtypes_of(variables) <= {jnp.dtype("float32")}
    exact = jit(model.apply)(variables, x.astype(jnp.float32))
    assert exact.dtype == jnp.float32
    # One rounding of weights, biases and result each: half of 2**-8 of the largest number.
    bound = 4 * 2**-9 * float(jnp.abs(exact).max())
    np.testing.assert_allclose(output.astype(jnp.float32), exact, rtol=0, atol=bound)


@pytest.mark.parametrize("row", [name for name in WITH_VARIABLES if TABLE[name].has_dtypes])
def test_dtype_and_param_dtype_are_chosen_apart(row):
    layer = TABLE[row].layer

    def dtypes(**kwargs):
        model = slim.Model(functools.partial(layer, **kwargs))
        shapes = functools.partial(jax.eval_shape, model.init_with_output, jax.random.key(0))
        output, variables = shapes(inputs_of(row))
        return output.dtype, {name: leaf.dtype for name, leaf in leaves_of(variables).items()}

    of_output, of_variables = dtypes(dtype=jnp.bfloat16)
    assert of_output == jnp.bfloat16
    assert set(of_variables.values()) == {jnp.dtype("float32")}
    of_output, of_variables = dtypes(param_dtype=jnp.bfloat16)
    assert of_output == jnp.float32
    for name, dtype in of_variables.items():
        # A normalizer inside has a param_dtype of its own, and statistics are never half.
        is_half = "/BatchNorm/" not in name.removeprefix("params/BatchNorm")
        is_half = is_half and not name.startswith("batch_stats/")
        assert dtype == (jnp.bfloat16 if is_half else jnp.float32), name


@pytest.mark.parametrize("row", TABLE)
def test_float64_is_kept_under_x64(row):
    with jax.enable_x64(True):
        x = inputs_of(row, jnp.float64)
        variables, output, model = apply(row, x)
        assert output.dtype == jnp.float64
        assert dtypes_of(variables) <= {jnp.dtype("float64")}
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), variables)
        approximate = jit(model.apply)(single, x.astype(jnp.float32))
        assert approximate.dtype == jnp.float32
        np.testing.assert_allclose(approximate, output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row", TABLE)
def test_eager_on_arrays_of_any_kind_equals_jit(row):
    x = inputs_of(row)
    variables, output, model = apply(row, x)
    for like in (x, np.asarray(x), x.tolist()):
        np.testing.assert_allclose(model.apply(variables, like), output, rtol=1e-5, atol=1e-6)


def value_and_gradients(model, variables, x):
    """The output, and the gradients of the mean of its squares."""

    def objective(params, x):
        output = model.apply({**variables, "params": params}, x)
        return jnp.mean(output * output), output

    gradient = jax.grad(objective, argnums=(0, 1), has_aux=True)
    return gradient(variables.get("params", {}), x)


@pytest.mark.parametrize("row", TABLE)
def test_gradients_are_finite_and_not_all_zero(row):
    x = inputs_of(row)
    model = slim.Model(TABLE[row].layer)
    variables = make_up_variables(model, x)
    gradients, _ = jit(value_and_gradients, static_argnums=0)(model, variables, x)
    for name, leaf in leaves_of({"by": gradients[0], "input": {"x": gradients[1]}}).items():
        assert np.isfinite(leaf).all(), name
        assert np.abs(leaf).max() > 0, name


@pytest.mark.parametrize("row", [name for name, row in TABLE.items() if row.is_per_example])
def test_vmap_over_examples_equals_the_batch(row):
    x = inputs_of(row)
    variables, output, model = apply(row, x)
    one_by_one = jax.vmap(lambda x: model.apply(variables, x[None])[0])
    np.testing.assert_allclose(jit(one_by_one)(x), output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row", TABLE)
def test_eight_devices_equal_one(row):
    x = inputs_of(row)
    model = slim.Model(TABLE[row].layer)
    variables = make_up_variables(model, x)
    run = jit(value_and_gradients, static_argnums=0)
    expected = jax.device_get(run(model, variables, x))
    mesh = Mesh(np.array(jax.devices()), ("data",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    divided = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    actual = jax.device_get(run(model, jax.device_put(variables, everywhere), divided))
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row", [name for name, row in TABLE.items() if row.is_arg_scoped])
def test_arg_scope_sets_arguments(row):
    layer = TABLE[row].layer
    op = getattr(layer, "func", layer)

    def run(x):
        with slim.arg_scope([op], scope="scoped"):
            layer(x)
        return list(slim.get_variables())

    assert slim.has_arg_scope(op)
    assert names_in(run, row) == [f"scoped/{v}" for v in TABLE[row].variables]


def test_aliases_are_one_function_under_tf_slims_name():
    for short, long in [
        ("conv1d", "convolution1d"),
        ("conv2d", "convolution2d"),
        ("conv3d", "convolution3d"),
        ("conv2d_in_plane", "convolution2d_in_plane"),
        ("conv2d_transpose", "convolution2d_transpose"),
        ("conv3d_transpose", "convolution3d_transpose"),
        ("separable_conv2d", "separable_convolution2d"),
    ]:
        assert getattr(slim, short) is getattr(slim, long)
        assert getattr(slim, short).__name__ == long


def test_arg_scoped_arguments_of_conv2d_are_tf_slims_and_the_dtypes():
    assert slim.arg_scoped_arguments(slim.conv2d) == (
        "stride",
        "padding",
        "data_format",
        "rate",
        "activation_fn",
        "normalizer_fn",
        "normalizer_params",
        "weights_initializer",
        "weights_regularizer",
        "biases_initializer",
        "biases_regularizer",
        "reuse",
        "variables_collections",
        "outputs_collections",
        "trainable",
        "scope",
        "dtype",
        "param_dtype",
    )


def test_arg_scoped_arguments_of_convolution_add_conv_dims():
    of_conv2d = slim.arg_scoped_arguments(slim.conv2d)
    assert slim.arg_scoped_arguments(slim.convolution) == (
        *of_conv2d[:-2],
        "conv_dims",
        "dtype",
        "param_dtype",
    )
    assert slim.arg_scoped_arguments(slim.conv1d) == of_conv2d
    assert slim.arg_scoped_arguments(slim.conv3d) == of_conv2d


def test_convolutions_share_a_counter_and_no_scope():
    """An arg_scope on one of them does not reach another; the names are counted together."""
    x = jnp.ones((1, 4, 4, 2))
    every = [slim.convolution, slim.conv1d, slim.conv2d, slim.conv3d]

    def names(x):
        for op in every:
            with slim.arg_scope([op], biases_initializer=None):
                slim.convolution(x, 3, 3)
                slim.conv1d(x[:, 0], 3, 3)
                slim.conv2d(x, 3, 3)
                slim.conv3d(x[None], 3, 3)
        return list(slim.get_variables())

    kept = []
    model = slim.Model(lambda x: kept.append(names(x)))
    jax.eval_shape(model.init, jax.random.key(0), x)
    scopes = ["Conv"] + [f"Conv_{i}" for i in range(1, 16)]
    without_biases = [scopes[0], scopes[5], scopes[10], scopes[15]]
    expected = []
    for scope in scopes:
        expected.append(f"{scope}/weights")
        if scope not in without_biases:
            expected.append(f"{scope}/biases")
    assert kept[0] == expected
