"""Momentum and Adam's first moment in bfloat16: the numbers, the state, restoring, training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_training

import jslim as slim
from jslim import data, learning, optimizers
from jslim.core.errors import RestoreError

RNG = np.random.default_rng(0)
WEIGHTS = {"weights": jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)}
GRADIENTS = [{"weights": jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)} for _ in range(12)]
MAKERS = {
    "momentum": optimizers.momentum,
    "nesterov": functools.partial(optimizers.momentum, use_nesterov=True),
    "rmsprop": functools.partial(optimizers.rmsprop, momentum=0.9),
    "adam": optimizers.adam,
    "adamw": optimizers.adamw,
    "lamb": optimizers.lamb,
}


def split(state):
    """The first moments in a state (`trace`, or Adam's `mu`), and its other leaves."""
    moments, others = [], []
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        is_moment = any(getattr(key, "name", "") in ("trace", "mu") for key in path)
        (moments if is_moment else others).append(leaf)
    return moments, others


def assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("name", MAKERS)
def test_only_the_first_moment_is_rounded_and_only_where_it_is_kept(name):
    half, full = MAKERS[name](0.1, momentum_dtype=jnp.bfloat16), MAKERS[name](0.1)
    state = half.init(WEIGHTS)
    for gradients in GRADIENTS:
        # float32's step from the same state, which bfloat16 holds exactly.
        wide = jax.tree.map(lambda x, like: x.astype(like.dtype), state, full.init(WEIGHTS))
        expected, wide = full.update(gradients, wide, WEIGHTS)
        updates, state = half.update(gradients, state, WEIGHTS)
        assert_equal(updates, expected)
        (moments, others), (wide_moments, wide_others) = split(state), split(wide)
        assert [moment.dtype for moment in moments] == [jnp.bfloat16]
        assert_equal(moments, [moment.astype(jnp.bfloat16) for moment in wide_moments])
        assert {leaf.dtype.name for leaf in others} <= {"float32", "int32"}
        assert_equal(others, wide_others)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            optimizers.momentum(0.1, 0.5, momentum_dtype="bfloat16"),
            optax.sgd(0.1, 0.5, accumulator_dtype=jnp.bfloat16),
        ),
        (
            optimizers.adam(0.1, beta1=0.5, momentum_dtype="bfloat16"),
            optax.adam(0.1, 0.5, mu_dtype=jnp.bfloat16),
        ),
    ],
    ids=["momentum", "adam"],
)
def test_it_is_optaxs_where_bfloat16_holds_the_decay(ours, theirs):
    state, expected = ours.init(WEIGHTS), theirs.init(WEIGHTS)
    for gradients in GRADIENTS:
        _, state = ours.update(gradients, state, WEIGHTS)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
            _, expected = theirs.update(gradients, expected, WEIGHTS)
        assert_equal(split(state)[0], split(expected)[0])


@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999])
def test_the_decay_is_not_rounded(decay):
    """optax multiplies in bfloat16, where 0.99 is 0.9883 and 0.999 is 1."""
    optimizer, one = optimizers.momentum(0.1, decay, momentum_dtype="bfloat16"), jnp.ones(1)
    _, state = optimizer.update(one, optimizer.init(one), one)
    updates, _ = optimizer.update(jnp.zeros(1), state, one)
    assert float(updates[0]) == pytest.approx(-0.1 * decay, rel=1e-6)


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "adam", "adamw", "lamb"])
def test_a_dtype_of_integers_is_refused(name):
    with pytest.raises(TypeError) as error:
        optimizers.get_optimizer(name, 0.1, momentum_dtype="int8")
    assert str(error.value) == f"{name}: momentum_dtype must be a floating point type, got int8"


def test_a_run_goes_on_exactly_and_another_dtype_is_refused(tmp_path):
    run = functools.partial(small_training.run, momentum_dtype="bfloat16")
    whole = run(tmp_path / "whole", 12)
    run(tmp_path / "parts", 5)
    parts = run(tmp_path / "parts", 12)
    assert [moment.dtype for moment in split(parts.opt_state)[0]] == [jnp.bfloat16]
    assert_equal(small_training.leaves(parts), small_training.leaves(whole))
    with pytest.raises(RestoreError) as error:
        small_training.run(tmp_path / "parts", 20)
    assert str(error.value).splitlines()[1:] == [
        "  opt_state/0/trace/weights: float32 (16, 2) in the state, bfloat16 (16, 2) in the "
        "checkpoint"
    ]


def digits_loss(batch):
    pixels = slim.flatten(batch["image"].astype(jnp.float32) / 255)
    hidden = slim.fully_connected(pixels, 64, scope="hidden")
    logits = slim.fully_connected(hidden, 10, activation_fn=None, scope="logits")
    slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
    return slim.losses.get_total_loss()


def test_training_on_digits_does_as_well_as_in_float32():
    train, test = (data.get_dataset("digits", name) for name in ("train", "test"))
    unseen = {"image": test.images, "label": test.labels}

    def losses_on_unseen(momentum_dtype):
        """One for each of three orders of the images."""
        optimizer = optimizers.momentum(0.05, 0.9, momentum_dtype=momentum_dtype)
        train_op = learning.create_train_op(digits_loss, optimizer)
        for seed in range(3):
            rng, state = np.random.default_rng(seed), train_op.init(0, unseen)
            for _ in range(150):
                rows = rng.integers(train.num_samples, size=32)
                batch = {"image": train.images[rows], "label": train.labels[rows]}
                state, _ = train_op(state, batch)
            yield float(train_op(state, unseen)[1]["loss"])

    full, half = (np.array([*losses_on_unseen(dtype)]) for dtype in (None, "bfloat16"))
    assert full.max() < 0.5  # at first 2.3
    assert np.abs(half - full).max() < 0.1 * full.std()  # seen: 0.006
