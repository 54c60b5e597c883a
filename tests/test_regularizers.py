"""Regularizers: hand arithmetic, None for no penalty, equality by value, error texts."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim import regularizers
from jslim.regularizers import (
    apply_regularization,
    l1_l2_regularizer,
    l1_regularizer,
    l2_regularizer,
    sum_regularizer,
)

WEIGHTS = jnp.array([[1.0, -2.0], [0.5, 4.0]])  # sum |w| = 7.5, sum w^2 = 21.25


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        (l1_regularizer(0.5), 3.75),
        (l2_regularizer(0.5), 5.3125),
        (l1_l2_regularizer(), 7.5 + 10.625),
        (l1_l2_regularizer(0.1, 0.2), 0.75 + 2.125),
        (l1_l2_regularizer(0.0, 0.2), 2.125),
        (l1_l2_regularizer(0.1, 0.0), 0.75),
        (sum_regularizer([l1_regularizer(0.1), None, l2_regularizer(0.2)]), 0.75 + 2.125),
        (sum_regularizer([l2_regularizer(0.0), l1_regularizer(0.1)]), 0.75),
        (sum_regularizer((jnp.max, l1_regularizer(0.1))), 4.75),
    ],
    # Not the repr of a function, which has its address: xdist's workers would not agree on it.
    ids=lambda value: None if "0x" in repr(value) else repr(value),
)
def test_penalty_is_hand_arithmetic(regularizer, expected):
    for penalty in (regularizer(WEIGHTS), jax.jit(regularizer)(WEIGHTS)):
        assert penalty.shape == ()
        assert penalty.dtype == jnp.float32
        np.testing.assert_allclose(penalty, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        (l1_regularizer(0.5), [[0.5, -0.5], [0.5, 0.5]]),
        (l2_regularizer(0.5), [[0.5, -1.0], [0.25, 2.0]]),
    ],
    ids=repr,
)
def test_gradient_is_sign_or_weight_decay(regularizer, expected):
    np.testing.assert_allclose(jax.grad(regularizer)(WEIGHTS), expected, rtol=1e-6)


def test_l1_does_not_push_a_weight_that_is_zero():
    np.testing.assert_array_equal(jax.grad(l1_regularizer(0.5))(jnp.zeros(2)), np.zeros(2))


@pytest.mark.parametrize(
    "regularizer",
    [
        l1_regularizer(0.0),
        l2_regularizer(0.0),
        l1_l2_regularizer(0.0, 0.0),
        sum_regularizer([l1_regularizer(0.0)]),
    ],
    ids=repr,
)
def test_zero_scale_gives_none(regularizer):
    assert regularizer(WEIGHTS) is None


def test_sum_of_no_regularizers_is_none():
    assert sum_regularizer([]) is None
    assert sum_regularizer([None, None]) is None


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_weights_are_summed_in_float32(dtype):
    # In bfloat16 the running sum would stop at 256, and float16 overflows at 65504.
    weights = jnp.full((70_000,), 1.5, dtype)
    for regularizer, expected in [
        (l1_regularizer(1.0), 105_000.0),
        (l2_regularizer(1.0), 78_750.0),
    ]:
        penalty = regularizer(weights)
        assert penalty.dtype == jnp.float32
        np.testing.assert_allclose(penalty, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (l1_regularizer, "l1_regularizer: scale"),
        (l2_regularizer, "l2_regularizer: scale"),
        (l1_l2_regularizer, "l1_l2_regularizer: scale_l1"),
        (lambda scale: l1_l2_regularizer(scale_l2=scale), "l1_l2_regularizer: scale_l2"),
    ],
)
def test_wrong_scale_is_refused(make, where):
    with pytest.raises(
        ValueError, match=rf"^{where} cannot be an integer, got 1; write it as .*1.0"
    ):
        make(1)
    with pytest.raises(ValueError, match=rf"^{where} must not be negative, got -0.1; 0.0 turns"):
        make(-0.1)
    with pytest.raises(ValueError, match=rf"^{where} must not be negative, got nan"):
        make(float("nan"))
    with pytest.raises(TypeError, match=rf"^{where} must be a Python float, got ArrayImpl; .*hash"):
        make(jnp.array(0.1))


def test_numpy_floats_are_scales():
    assert l2_regularizer(np.float64(0.5)) == l2_regularizer(0.5)


def test_apply_regularization_adds_up_a_list_or_a_tree():
    first, second = jnp.array([1.0, 2.0]), jnp.array([[3.0]])
    for weights in ([first, second], {"a": first, "b": {"c": second}}):
        penalty = apply_regularization(l2_regularizer(0.5), weights)
        np.testing.assert_allclose(penalty, 0.25 * (1 + 4 + 9), rtol=1e-6)


def test_apply_regularization_counts_none_as_zero():
    penalty = apply_regularization(l1_regularizer(0.0), [WEIGHTS])
    assert penalty.dtype == jnp.float32
    assert float(penalty) == 0.0


@pytest.mark.parametrize("weights", [None, [], {}])
def test_apply_regularization_without_weights_is_refused(weights):
    with pytest.raises(
        ValueError,
        match=r"^apply_regularization: there are no weights to regularize; give at least one var",
    ):
        apply_regularization(l2_regularizer(0.1), weights)


def test_apply_regularization_wants_a_scalar():
    with pytest.raises(
        ValueError,
        match=r"the regularizer must give a scalar, got shape \(2, 2\) for weights of shape "
        r"\(2, 2\); sum it$",
    ):
        apply_regularization(jnp.abs, [WEIGHTS])


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (l1_regularizer(0.1), l1_regularizer(0.1), l1_regularizer(0.2)),
        (l2_regularizer(0.1), l2_regularizer(0.1), l1_regularizer(0.1)),
        (l1_l2_regularizer(), l1_l2_regularizer(1.0, 1.0), l1_l2_regularizer(0.5)),
        (
            sum_regularizer([l1_regularizer(0.1), None]),
            sum_regularizer((l1_regularizer(0.1),)),
            sum_regularizer([l1_regularizer(0.2)]),
        ),
    ],
    ids=repr,
)
def test_regularizers_compare_hash_and_pickle_by_value(one, same, other):
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one), vars(regularizers)) == one


def test_a_regularizers_scope_changes_nothing():
    assert l1_regularizer(0.5, "l1") == l1_regularizer(0.5)
    assert hash(l2_regularizer(0.5, scope="l2")) == hash(l2_regularizer(0.5))
    assert l1_l2_regularizer(0.5, 0.25, "both") == l1_l2_regularizer(0.5, 0.25, scope=None)
    assert repr(l2_regularizer(0.5, "l2")) == "l2_regularizer(scale=0.5)"
    of_two = sum_regularizer([l1_regularizer(0.5), l2_regularizer(0.5)], scope="sum")
    assert of_two == sum_regularizer([l1_regularizer(0.5), l2_regularizer(0.5)])
