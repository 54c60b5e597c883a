"""rev_block and recompute_grad: equal to plain autodiff, with less memory, once in the model."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim

HALVES = tuple(jax.random.normal(jax.random.key(i), (2, 6, 4)) for i in (1, 2))
COLLECTIONS = ["batch_stats", "regularization_losses", "losses", "summaries", "ends"]


def everything(x):
    """A function with all that a layer may do besides its result."""
    net = slim.fully_connected(
        x,
        4,
        activation_fn=jnp.tanh,
        normalizer_fn=slim.batch_norm,
        normalizer_params={"decay": 0.9},
        weights_regularizer=slim.l2_regularizer(0.1),
        outputs_collections="ends",
    )
    slim.losses.add_loss(0.1 * jnp.sum(net**2))
    slim.summary.scalar("norm", jnp.sum(net**2))
    return slim.dropout(net, 0.7)


def layer(y1, y2):
    y1 = y1 + everything(y2)
    return y1, y2 + everything(y1)


def block(x1, x2, how="reversible"):
    if how == "reversible":
        return slim.rev_block(x1, x2, everything, everything, 2)
    if how == "any_order":
        return slim.recompute_grad(use_data_dep=False)(layer)(*slim.recompute_grad(layer)(x1, x2))
    if how == "plain_block":
        return slim.rev_block(x1, x2, everything, everything, 2, is_training=False)
    function = slim.recompute_grad(layer) if how == "recomputed" else layer
    for _ in range(2):
        x1, x2 = function(x1, x2)
    return x1, x2


def run(how, transform=lambda f: f):
    """Values, all that leaves the model, and the gradients of output and losses by everything."""
    model = slim.Model(functools.partial(block, how=how))
    variables = slim.Model(functools.partial(block, how=how)).init(jax.random.key(0), *HALVES)

    def total(params, halves):
        (y1, y2), left = model.apply(
            {**variables, "params": params},
            *halves,
            rngs={"dropout": jax.random.key(5)},
            mutable=COLLECTIONS,
        )
        losses = sum(jax.tree.leaves(left["losses"]))
        return jnp.sum(jnp.sin(y1) * y2) + losses, ((y1, y2), left)

    both = transform(jax.value_and_grad(total, (0, 1), has_aux=True))
    return variables, jax.device_get(both(variables["params"], HALVES))


def assert_same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        largest = np.abs(other).max(initial=0.0)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.long
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("how", "like"),
    [("reversible", "plain_block"), ("recomputed", "plain_layers"), ("any_order", "plain_layers")],
)
def test_all_is_as_with_plain_autodiff(how, like, transform):
    variables, actual = run(how, transform)
    variables_like, expected = run(like, transform)
    assert_same(variables, variables_like)
    assert_same(actual, expected)
    left = actual[0][1][1]
    assert sum(name.endswith("moving_mean") for name in slim.get_variables(variables)) == 4
    assert len(left["ends"]) == len(left["losses"]) == len(left["regularization_losses"]) == 4


def test_dropout_and_statistics_change_something():
    variables, ((_, ((y1, _), left)), _) = run("reversible")
    moved = jax.tree.leaves(left["batch_stats"])
    for before, after in zip(jax.tree.leaves(variables["batch_stats"]), moved, strict=True):
        assert np.abs(before - after).max() > 1e-3
    assert np.all(np.isfinite(y1))


@pytest.mark.long
@pytest.mark.parametrize("how", ["reversible", "recomputed"])
def test_vmap_and_other_traces(how):
    def dense(x):
        return slim.fully_connected(x, 4, activation_fn=jnp.tanh)

    def net(x1, x2):
        if how == "reversible":
            return slim.rev_block(x1, x2, dense, dense, 2)
        return slim.recompute_grad(lambda a, b: (dense(a) + b, dense(b)))(x1, x2)

    model = slim.Model(net)
    variables = model.init(jax.random.key(0), *HALVES)

    def loss(variables, x1, x2, module=model):
        y1, y2 = module.apply(variables, x1, x2)
        return jnp.sum(y1 * y2)

    whole = jax.grad(loss)(variables, *HALVES)
    parts = jax.vmap(jax.grad(loss), (None, 0, 0))(variables, *HALVES)
    assert_same(jax.tree.map(lambda x: jnp.sum(x, 0), parts), whole)
    remat = nn.remat(slim.Model)(net)
    assert_same(jax.grad(functools.partial(loss, module=remat))(variables, *HALVES), whole)

    twice = jax.grad(lambda v: sum(map(jnp.sum, jax.tree.leaves(jax.grad(loss)(v, *HALVES)))))
    plain = slim.Model(
        lambda x1, x2: (
            slim.rev_block(x1, x2, dense, dense, 2, is_training=False)
            if how == "reversible"
            else (dense(x1) + x2, dense(x2))
        )
    )
    plain_twice = jax.grad(
        lambda v: sum(
            map(
                jnp.sum,
                jax.tree.leaves(jax.grad(functools.partial(loss, module=plain))(v, *HALVES)),
            )
        )
    )
    assert_same(twice(variables), plain_twice(variables))


def test_scan_over_a_model_with_a_block():
    def dense(x):
        return slim.fully_connected(x, 4, activation_fn=jnp.tanh)

    def net(carry, is_training):
        return slim.rev_block(*carry, dense, dense, is_training=is_training), None

    def scanned(is_training):
        lifted = nn.scan(
            slim.Model, variable_axes={"params": 0}, split_rngs={"params": True}, length=3
        )
        function = functools.partial(net, is_training=is_training)
        return slim.Model(lambda a, b: slim.call_linen(lifted(function), (a, b), scope="s")[0])

    variables = scanned(True).init(jax.random.key(0), *HALVES)

    def loss(variables, is_training):
        y1, y2 = scanned(is_training).apply(variables, *HALVES)
        return jnp.sum(y1 * y2)

    assert_same(jax.grad(loss)(variables, True), jax.grad(loss)(variables, False))


def test_bfloat16():
    def dense(x):
        return slim.fully_connected(x, 4, activation_fn=jnp.tanh)

    def net(x1, x2, is_training):
        return slim.rev_block(x1, x2, dense, dense, 2, is_training=is_training)

    halves = [x.astype(jnp.bfloat16) for x in HALVES]
    model = slim.Model(net)
    variables = model.init(jax.random.key(0), *halves, True)

    def loss(variables, is_training):
        y1, y2 = model.apply(variables, *halves, is_training)
        assert y1.dtype == y2.dtype == jnp.bfloat16
        return jnp.sum(y1.astype(jnp.float32) * y2.astype(jnp.float32))

    actual, expected = (jax.grad(loss)(variables, training) for training in (True, False))
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=0.05 * np.abs(other).max())


def test_arrays_that_a_function_closes_over_have_gradients():
    def net(x1, x2, scale, how):
        def dense(x):
            return slim.fully_connected(x, 4, activation_fn=jnp.tanh) * scale

        if how == "recomputed":
            return slim.recompute_grad(dense)(x1), x2
        if how == "plain":
            return dense(x1), x2
        return slim.rev_block(x1, x2, dense, dense, is_training=how)

    model = slim.Model(net)
    for how, like in ((True, False), ("recomputed", "plain")):
        variables = model.init(jax.random.key(0), *HALVES, jnp.ones(HALVES[0].shape), how)

        def loss(scale, how, variables=variables):
            y1, y2 = model.apply(variables, *HALVES, scale, how)
            return jnp.sum(y1 * y2)

        scale = jnp.full(HALVES[0].shape, 1.5)
        actual, expected = jax.grad(loss)(scale, how), jax.grad(loss)(scale, like)
        assert np.abs(expected).max() > 0.1
        assert_same(actual, expected)


def test_arg_scope_within_and_around():
    def dense(x):
        with slim.arg_scope([slim.fully_connected], biases_initializer=None):
            return slim.fully_connected(x, 4)

    def net(x1, x2):
        with slim.arg_scope([slim.fully_connected], activation_fn=jnp.tanh):
            return slim.rev_block(x1, x2, dense, dense)

    model = slim.Model(net)
    variables = model.init(jax.random.key(0), *HALVES)
    assert list(slim.get_variables(variables)) == [
        f"revblock/revlayer_0/{which}/fully_connected/weights" for which in "fg"
    ]
    y1, _ = model.apply(variables, *HALVES)
    weights = variables["params"]["revblock"]["revlayer_0"]["f"]["fully_connected"]["weights"]
    np.testing.assert_allclose(y1, HALVES[0] + jnp.tanh(HALVES[1] @ weights), 1e-5, 1e-6)


def test_names_of_blocks():
    def dense(x):
        return slim.fully_connected(x, 4)

    def net(x1, x2):
        twins = slim.RevBlock(dense, dense, name="twins")
        outputs = twins.forward(x1, x2)
        back = twins.backward(*outputs)
        outputs = slim.rev_block(*slim.rev_block(*outputs, dense, dense), dense, dense)
        with slim.variable_scope("shared"):
            outputs = slim.rev_block(*outputs, dense, dense)
        with slim.variable_scope("shared", reuse=True):
            outputs = slim.rev_block(*outputs, dense, dense)
        return back, outputs

    model = slim.Model(net)
    variables = model.init(jax.random.key(0), *HALVES)
    blocks = {name.partition("/revlayer")[0] for name in slim.get_variables(variables)}
    assert blocks == {"twins", "revblock", "revblock_1", "shared/revblock"}
    back, _ = model.apply(variables, *HALVES)
    assert_same(back, HALVES)


def test_is_recomputing_is_given_where_it_is_taken():
    seen = []

    def fn(x, is_recomputing=None):
        seen.append(is_recomputing)
        return slim.fully_connected(x, 4)

    model = slim.Model(slim.recompute_grad(use_data_dep=True)(fn))
    variables = model.init(jax.random.key(0), HALVES[0])
    jax.grad(lambda v: jnp.sum(model.apply(v, HALVES[0])))(variables)
    assert seen == [False, False]


def test_recompute_grad_outside_a_model_function():
    wrapped = slim.recompute_grad(tupleize_grads=True)(lambda x: jnp.sum(jnp.sin(x) ** 2))
    np.testing.assert_allclose(
        jax.grad(wrapped)(HALVES[0]), jnp.sin(2 * HALVES[0]), rtol=1e-5, atol=1e-6
    )


# Errors -----------------------------------------------------------------------------------------


def small(x):
    return slim.fully_connected(x, 2, activation_fn=jnp.tanh)


def call(net):
    return slim.Model(net).init_with_output(jax.random.key(0), *HALVES)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_layers": 0}, ValueError, "num_layers must be a positive integer, got 0"),
        ({"num_layers": 1.5}, ValueError, "num_layers must be a positive integer, got 1.5"),
        ({"f": [small]}, ValueError, "f must be a function, or a list of as many as num_layers=2"),
        ({"g": [small, 3]}, ValueError, "g must be a function, or a list of as many"),
        ({"f": None}, ValueError, "f must be a function, or a list of as many"),
        ({"f_side_input": HALVES[0]}, ValueError, r"must be a list of arrays, got .*\[array\]"),
        ({"is_training": 1}, TypeError, "is_training .* must be True or False, got int"),
        ({"f": lambda x: x[:1]}, ValueError, r"result of f at 'revblock/revlayer_0/f' .* shape"),
        ({"g": lambda x: x.astype(jnp.bfloat16)}, ValueError, "must .* float32 of .* bfloat16"),
    ],
)
def test_bad_arguments_of_rev_block(arguments, error, message):
    arguments = {"f": lambda x: x, "g": lambda x: x, "num_layers": 2, **arguments}
    with pytest.raises(error, match=message):
        call(lambda x1, x2: slim.rev_block(x1, x2, **arguments))
    with pytest.raises(error, match=message):
        slim.Model(lambda x1, x2: slim.rev_block(x1, x2, **arguments)).apply({}, *HALVES)


def test_more_errors_of_rev_block():
    with pytest.raises(TypeError, match="rev_block 'revblock': inputs must be floating point"):
        call(lambda x1, x2: slim.rev_block(x1.astype(jnp.int32), x2, small, small))
    with pytest.raises(slim.ScopeError, match="only works inside a model function"):
        slim.rev_block(*HALVES, small, small)


def test_what_one_function_updates_another_cannot_read():
    def shared(x):
        with slim.variable_scope(slim.VariableScope("common", slim.AUTO_REUSE)):
            return slim.batch_norm(x, scope="bn")

    model = slim.Model(lambda x1, x2: slim.rev_block(x1, x2, shared, shared))
    variables = model.init(jax.random.key(0), *HALVES)
    with pytest.raises(slim.ScopeError, match=r"'common/bn/moving_.* is updated by one function"):
        model.apply(variables, *HALVES, mutable=["batch_stats"])


def test_errors_of_recompute_grad():
    with pytest.raises(TypeError, match="recompute_grad: fn must be a function, got int"):
        slim.recompute_grad(3)
    with pytest.raises(ValueError, match="argument 1 of layer must be an array, got float"):
        call(lambda x1, x2: slim.recompute_grad(layer)(x1, 2.0))


@pytest.mark.parametrize("outer", [jax.checkpoint, jax.jit])
def test_started_inside_a_transformation_of_the_model_function(outer):
    model = slim.Model(lambda x1, x2: outer(lambda x: slim.recompute_grad(small)(x))(x1[0]))
    variables = {"params": {}}
    with pytest.raises(slim.ScopeError, match="inside a JAX transformation"):
        model.apply(variables, *HALVES)
