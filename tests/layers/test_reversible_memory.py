"""Memory of reversible layers and of recomputing, as the compiler plans it."""

import functools
import itertools

import jax
import jax.numpy as jnp
import pytest

import jslim as slim


def temporary_bytes(net, shape=(4096, 2)):
    """What a gradient step of a net holds besides its inputs and results; its weights are tiny."""
    halves = (jax.ShapeDtypeStruct(shape, jnp.float32),) * 2
    model = slim.Model(net)
    variables = jax.eval_shape(model.init, jax.random.key(0), *halves)

    def loss(params, variables, *halves):
        updated = {**variables, "params": params}
        (y1, y2), updates = model.apply(updated, *halves, mutable=["batch_stats"])
        return jnp.sum(y1 * y2), updates

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    compiled = gradient.lower(variables["params"], variables, *halves).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def small(x):
    return slim.fully_connected(x, 2, activation_fn=jnp.tanh)


def normalized(x):
    return slim.conv2d(x, 2, 3, normalizer_fn=slim.batch_norm)


@pytest.mark.long
@pytest.mark.parametrize(
    ("function", "shape"),
    [(small, (4096, 2)), (normalized, (16, 16, 16, 2))],
    ids=["dense", "conv"],
)
def test_memory_of_a_reversible_stack_does_not_grow_with_depth(function, shape):
    activation = 8192 * 4

    def stack(depth, is_training):
        return functools.partial(
            slim.rev_block, f=function, g=function, num_layers=depth, is_training=is_training
        )

    depths = 8, 16, 32
    reversible = [temporary_bytes(stack(depth, True), shape) for depth in depths]
    plain = [temporary_bytes(stack(depth, False), shape) for depth in depths]
    # The moving statistics are some hundred bytes a layer; the plain stack keeps 48 more arrays.
    assert max(reversible) - min(reversible) < 2 * activation, reversible
    assert all(more >= 1.6 * less for less, more in itertools.pairwise(plain)), plain
    assert plain[-1] > 8 * reversible[-1]


@pytest.mark.long
def test_memory_of_recomputing():
    def part(x1, x2):
        for _ in range(8):
            x1 = small(x1)
        return x1, x2

    def net(x1, x2, wrap):
        for _ in range(4):
            x1, x2 = wrap(part)(x1, x2)
        return x1, x2

    recomputed = temporary_bytes(functools.partial(net, wrap=slim.recompute_grad))
    together = functools.partial(slim.recompute_grad, tupleize_grads=True)
    gated = temporary_bytes(functools.partial(net, wrap=together))
    plain = temporary_bytes(functools.partial(net, wrap=lambda f: f))
    assert recomputed < 0.6 * plain, (recomputed, plain)
    assert gated < 0.6 * plain, (gated, plain)
