"""The sum that all metrics share, against exact arithmetic."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jslim import metrics
from jslim.metrics import _accumulators as accumulators

LIMIT = 2**24  # Where a float32 stops counting: LIMIT + 1 rounds to LIMIT.


def exactly(total):
    return int(total.high) + int(total.low)


def doubled(metric, state, times):
    for _ in range(times):
        state = metric.merge(state, state)
    return state


def test_float32_alone_stops_counting():
    """What the other tests here guard against."""
    assert np.float32(LIMIT) + np.float32(1) == LIMIT


def test_counts_go_on_past_two_to_the_24_in_unit_steps():
    accuracy = metrics.streaming_accuracy()
    right, wrong = jnp.array([1]), jnp.array([0])
    state = doubled(accuracy, accuracy.update(accuracy.init(), right, right), 24)

    @jax.jit
    def add_wrong_ones(state):
        return jax.lax.fori_loop(
            0, 100_001, lambda _, state: accuracy.update(state, wrong, right), state
        )

    state = add_wrong_ones(state)
    assert exactly(state.total) == LIMIT
    assert exactly(state.weight) == LIMIT + 100_001
    np.testing.assert_allclose(accuracy.finalize(state), LIMIT / (LIMIT + 100_001), rtol=1e-7)


def test_counts_are_exact_up_to_two_to_the_46():
    mean = metrics.streaming_mean()
    state = doubled(mean, mean.update(mean.init(), jnp.ones(3)), 44)
    for _ in range(5):
        state = mean.update(state, jnp.ones(7))
    assert exactly(state.weight) == 3 * 2**44 + 35
    assert exactly(state.total) == 3 * 2**44 + 35


def test_counts_of_large_weights_are_exact():
    recall = metrics.streaming_recall()
    state = recall.init()
    for weight in (2.0**30, 1.0, 2.0**24, 3.0):
        state = recall.update(state, jnp.array([1]), jnp.array([1]), weights=weight)
    assert exactly(state.counts[0]) == 2**30 + 2**24 + 4


def test_counts_of_one_batch_above_two_to_the_24_are_exact():
    accuracy = metrics.streaming_accuracy()
    labels = jnp.zeros(LIMIT + 3, jnp.int8)
    state = accuracy.update(accuracy.init(), labels, labels)
    assert exactly(state.total) == exactly(state.weight) == LIMIT + 3


def test_psum_keeps_counts_exact_where_lax_psum_does_not():
    mean = metrics.streaming_mean()
    state = mean.update(doubled(mean, mean.update(mean.init(), jnp.ones(1)), 24), jnp.ones(1))
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 8), state)
    summed = jax.vmap(lambda one: mean.psum(one, "data"), axis_name="data")(stacked)
    assert [int(x) + int(y) for x, y in zip(*summed.weight, strict=True)] == [8 * (LIMIT + 1)] * 8


def test_sums_of_any_numbers_stay_within_the_documented_bound():
    """Magnitudes from 1e-6 to 1e6 and both signs, against math.fsum."""
    rng = np.random.default_rng(0)
    count = 20_000
    magnitudes = 10.0 ** rng.uniform(-6, 6, count)
    values = (magnitudes * rng.choice([-1, 1], count)).astype(np.float32)

    def add_next(total, value):
        return accumulators.add(total, accumulators.sum_of(value)), None

    total, _ = jax.jit(lambda x: jax.lax.scan(add_next, accumulators.zero(), x))(values)
    error = abs(math.fsum([float(total.high), float(total.low)]) - math.fsum(values.tolist()))
    assert error <= count * 2.0**-46 * math.fsum(np.abs(values).tolist())
    naive = abs(float(np.add.accumulate(values)[-1]) - math.fsum(values.tolist()))
    assert error < naive / 1000


def test_sums_of_many_small_numbers_do_not_drift():
    mean = metrics.streaming_mean()
    value = jnp.float32(0.1)
    state = jax.jit(
        lambda state: jax.lax.fori_loop(0, 500_000, lambda _, s: mean.update(s, value), state)
    )(mean.init())
    assert float(mean.finalize(state)) == float(np.float32(0.1))


def test_sums_of_infinities_are_infinite_and_opposite_ones_nan():
    mean = metrics.streaming_mean()
    state = mean.update(mean.init(), jnp.array([1.0, jnp.inf]))
    assert float(mean.finalize(state)) == np.inf
    state = mean.update(state, jnp.array([2.0]))
    assert float(mean.finalize(state)) == np.inf
    assert np.isnan(mean.finalize(mean.update(state, jnp.array([-jnp.inf]))))
