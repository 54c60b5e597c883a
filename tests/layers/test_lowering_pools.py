"""The ways of computing a pool give the same values and gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layer_checks import jit
from lowering_checks import CASES, RNG, both, images, windows_over

from jslim.layers import _lowering
from jslim.layers._lowering import _choices, lowered_for


def test_the_largest_of_windows_side_by_side_by_xlas_operation(monkeypatch):
    choices = dataclasses.replace(_choices.CHOICES["cpu"], window_for_blocks=True)
    monkeypatch.setitem(_choices.CHOICES, "cpu", choices)
    windows = windows_over((7, 6), (2, 3), (2, 3), "SAME")
    x = images(False)
    ours, xlas = both(_lowering.pool_max, windows, x)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_array_equal(one, other)
    pooled = jit(lambda x: _lowering.pool_max(x, windows))(x.at[0, 0, 0, 0].set(jnp.nan))
    assert int(jnp.sum(jnp.isnan(pooled))) == 1


BY_SHIFTS = [
    (_lowering.pool_max, "cpu"),
    (_lowering.pool_max, "gpu"),  # by places
    (_lowering.pool_sum, "cpu"),
]


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("case", CASES[:3], ids=str)
@pytest.mark.parametrize(("pool", "platform"), BY_SHIFTS)
def test_pool_by_shifts_equals_a_window_reduction(pool, platform, case, channels_first):
    size, stride, padding, _ = case
    windows = windows_over((7, 6), size, stride, padding, channels_first=channels_first)
    # Few different values, so that most windows have several largest ones.
    x = jnp.asarray(RNG.integers(0, 3, images(channels_first).shape), jnp.float32)
    ours, xlas = both(pool, windows, x, platform=platform)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize(
    ("spatial", "size", "stride", "padding"),
    [
        ((7,), (3,), (2,), "SAME"),
        ((7,), (2,), (1,), [(1, 0)]),
        ((4, 3, 5), (2, 2, 2), (1, 2, 1), "SAME"),
        ((4, 3, 5), (2, 1, 3), (2, 1, 2), [(1, 0), (0, 0), (1, 2)]),
    ],
)
@pytest.mark.parametrize(("pool", "platform"), BY_SHIFTS)
def test_pool_by_shifts_in_one_and_three_dimensions(
    pool, platform, spatial, size, stride, padding, channels_first
):
    windows = windows_over(spatial, size, stride, padding, channels_first=channels_first)
    shape = (2, 3, *spatial) if channels_first else (2, *spatial, 3)
    x = jnp.asarray(RNG.integers(0, 3, shape), jnp.float32)
    ours, xlas = both(pool, windows, x, platform=platform)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "xla"])
@pytest.mark.parametrize(
    ("pool", "value", "reduce"),
    [(_lowering.pool_max, -jnp.inf, jnp.max), (_lowering.pool_sum, 0.0, jnp.sum)],
)
def test_pools_with_a_rate(pool, value, reduce, backend):
    """Each way against the windows taken out by hand, with gradients."""
    windows = windows_over((7, 6), (3, 2), (1, 1), "SAME", (2, 3))
    x = jnp.asarray(RNG.permutation(7 * 6 * 2).reshape(1, 7, 6, 2), jnp.float32)

    def by_hand(x):
        padded = jnp.pad(x, ((0, 0), (2, 2), (1, 2), (0, 0)), constant_values=value)
        seen = [padded[:, i : i + 7, j : j + 6] for i in (0, 2, 4) for j in (0, 3)]
        return jnp.sum(reduce(jnp.stack(seen), 0) ** 2)

    ours = jit(jax.value_and_grad(lambda x: jnp.sum(pool(x, windows) ** 2)))
    with lowered_for(backend):
        found = ours(x)
    for one, other in zip(found, jit(jax.value_and_grad(by_hand))(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_max_pool_by_shifts_keeps_nan_and_the_first_of_equals_in_large_windows(platform):
    windows = windows_over((7, 6), (5, 4), (2, 1), "SAME")
    x = jnp.asarray(RNG.integers(0, 3, (2, 7, 6, 3)), jnp.float32)
    ours, xlas = both(_lowering.pool_max, windows, x, platform=platform)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    x = x.at[0, 3, 3, 0].set(jnp.nan)
    with lowered_for(platform):
        ours = _lowering.pool_max(x, windows)
    with lowered_for("xla"):
        xlas = _lowering.pool_max(x, windows)
    assert jnp.isnan(ours).sum() > 0
    np.testing.assert_array_equal(ours, xlas)


def test_max_pool_by_shifts_has_second_derivatives_where_values_are_equal():
    windows = windows_over((2, 2), (2, 2), (1, 1), "VALID")

    def cube(x):
        return jnp.sum(_lowering.pool_max(x, windows) ** 3)

    hessian = jax.hessian(cube)(jnp.full((1, 2, 2, 1), 2.0)).reshape(4, 4)
    np.testing.assert_array_equal(hessian, np.diag([12.0, 0.0, 0.0, 0.0]))


def test_large_pools_are_window_reductions_everywhere():
    windows = windows_over((7, 6), (7, 6), (1, 1), "VALID")
    text = jax.jit(lambda x: _lowering.pool_sum(x, windows)).lower(images(False))
    assert "reduce_window" in text.as_text()
