"""What every metric must satisfy, over one table: a new metric is a new row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jslim import metrics

NUM_EXAMPLES = 24


def numbers(rng):
    return {"values": rng.uniform(-1, 3, (NUM_EXAMPLES, 3)).astype(np.float32)}


def real_pairs(rng):
    labels = rng.uniform(0.5, 2, (NUM_EXAMPLES, 3)).astype(np.float32)
    noise = rng.uniform(-0.5, 0.5, labels.shape).astype(np.float32)
    return {"predictions": labels + noise, "labels": labels}


def class_ids(rng):
    return {name: rng.integers(0, 3, NUM_EXAMPLES) for name in ("predictions", "labels")}


def decisions(rng):
    return {name: rng.integers(0, 2, NUM_EXAMPLES) for name in ("predictions", "labels")}


def scores(rng):
    predictions = rng.integers(0, 6, (NUM_EXAMPLES, 8)).astype(np.float32)
    return {"predictions": predictions, "labels": rng.integers(0, 8, NUM_EXAMPLES)}


def make_map():
    return metrics.aggregate_metric_map(
        {
            "accuracy": metrics.streaming_accuracy(),
            "nested": metrics.aggregate_metrics(
                metrics.streaming_mean_absolute_error(),
                metrics.streaming_mean().on(lambda predictions, labels: labels),
            ),
        }
    )


# A row: how to make the metric, and its data; COUNTS are the ones that add up truth values.
TABLE = {
    "streaming_mean": (metrics.streaming_mean, numbers),
    "streaming_percentage_less": (lambda: metrics.streaming_percentage_less(0.5), numbers),
    "streaming_accuracy": (metrics.streaming_accuracy, class_ids),
    "streaming_mean_absolute_error": (metrics.streaming_mean_absolute_error, real_pairs),
    "streaming_mean_squared_error": (metrics.streaming_mean_squared_error, real_pairs),
    "streaming_mean_relative_error": (metrics.streaming_mean_relative_error, real_pairs),
    "streaming_precision": (metrics.streaming_precision, decisions),
    "streaming_recall": (metrics.streaming_recall, decisions),
    "streaming_recall_at_k": (lambda: metrics.streaming_recall_at_k(3), scores),
    "aggregate_metric_map": (make_map, class_ids),
}
COUNTS = (
    "streaming_percentage_less",
    "streaming_accuracy",
    "streaming_precision",
    "streaming_recall",
    "streaming_recall_at_k",
)


@pytest.fixture(params=TABLE)
def case(request):
    """A metric and its data: arrays by name, `weights` among them."""
    return make_case(request.param)


def make_case(name):
    make_metric, make_data = TABLE[name]
    rng = np.random.default_rng(7)
    data = {**make_data(rng), "weights": rng.uniform(0.5, 2, NUM_EXAMPLES).astype(np.float32)}
    return make_metric(), data


def part(data, start, stop):
    return {name: jnp.asarray(array[start:stop]) for name, array in data.items()}


def state_of(metric, data, *boundaries):
    """The state after the batches between the boundaries, starting at the first example."""
    state, start = metric.init(), 0
    for stop in (*boundaries, NUM_EXAMPLES):
        state = metric.update(state, **part(data, start, stop))
        start = stop
    return state


def assert_same_values(metric, state, other):
    values = jax.tree.leaves(metric.finalize(state))
    wanted = jax.tree.leaves(metric.finalize(other))
    np.testing.assert_allclose(values, wanted, rtol=1e-6)


def exact(state):
    """Every sum of a state as one float64."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state)]
    return [high + low for high, low in zip(leaves[::2], leaves[1::2], strict=True)]


def test_merge_has_init_as_identity(case):
    metric, data = case
    state = state_of(metric, data)
    for merged in (metric.merge(metric.init(), state), metric.merge(state, metric.init())):
        jax.tree.map(np.testing.assert_array_equal, merged, state)


def thirds_of(metric, data):
    return [metric.update(metric.init(), **part(data, i, i + 8)) for i in (0, 8, 16)]


def test_merge_is_associative(case):
    metric, data = case
    a, b, c = thirds_of(metric, data)
    left, right = metric.merge(metric.merge(a, b), c), metric.merge(a, metric.merge(b, c))
    np.testing.assert_allclose(exact(left), exact(right), rtol=1e-13)


def test_merge_of_parts_is_the_whole(case):
    metric, data = case
    a, b, c = thirds_of(metric, data)
    assert_same_values(metric, metric.merge(a, metric.merge(b, c)), state_of(metric, data))


def test_update_does_not_depend_on_batch_sizes(case):
    metric, data = case
    whole = state_of(metric, data)
    assert_same_values(metric, state_of(metric, data, 1, 8, 16), whole)
    assert_same_values(metric, state_of(metric, data, *range(1, 17)), whole)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_exact_whatever_the_batches(name):
    metric, data = make_case(name)
    data["weights"] = (data["weights"] > 1).astype(np.float32)
    whole = exact(state_of(metric, data))
    assert whole == [round(float(total)) for total in whole]
    assert exact(state_of(metric, data, 1, 8, 16)) == whole
    assert exact(state_of(metric, data, *range(1, 17))) == whole


def test_update_leaves_out_examples_of_weight_zero(case):
    metric, data = case
    padding = {name: np.full_like(array[:5], garbage(array)) for name, array in data.items()}
    padding["weights"] = np.zeros(5, np.float32)
    padded = {name: np.concatenate([array, padding[name]]) for name, array in data.items()}
    state = metric.update(metric.init(), **padded)
    np.testing.assert_allclose(exact(state), exact(state_of(metric, data)), rtol=1e-6)


def garbage(array):
    return np.nan if array.dtype == np.float32 else 255


def test_update_with_jit_equals_eager(case):
    metric, data = case
    state = jax.jit(metric.update)(metric.init(), **data)
    assert_same_values(metric, state, state_of(metric, data))
    jitted = jax.tree.leaves(jax.jit(metric.finalize)(state))
    np.testing.assert_allclose(jitted, jax.tree.leaves(metric.finalize(state)), rtol=1e-6)


def test_update_keeps_the_state_fixed_on_the_device(case):
    """One trace for many batches, donated states, and no transfer in either direction."""
    metric, data = case
    traces = []

    def update(state, batch):
        traces.append(1)
        return metric.update(state, **batch)

    step = jax.jit(update, donate_argnums=0)
    state, batches = metric.init(), [part(data, start, start + 8) for start in (0, 8, 16)]
    types = jax.tree.map(jax.typeof, state)
    with jax.transfer_guard("disallow"):
        for batch in batches:
            state = step(state, batch)
    assert jax.tree.map(jax.typeof, state) == types
    assert len(traces) == 1
    assert_same_values(metric, state, state_of(metric, data))


def test_eight_devices_equal_one(case):
    metric, data = case
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    one_device = metric.update(metric.init(), **data)
    data = jax.device_put(data, NamedSharding(mesh, PartitionSpec("data")))

    def summed_inside(data):
        state = metric.update(metric.init(), **data)
        return metric.psum(state, "data"), jax.tree.map(lambda leaf: leaf[None], state)

    summed, stacked = jax.jit(
        jax.shard_map(
            summed_inside,
            mesh=mesh,
            in_specs=PartitionSpec("data"),
            out_specs=(PartitionSpec(), PartitionSpec("data")),
        )
    )(data)
    assert_same_values(metric, summed, one_device)

    # On the host: programs over eight CPU devices wait for each other, and with many of them under
    # way at once on few cores XLA gives up (it aborts the process after 40 s).
    stacked = jax.device_get(stacked)
    merged = metric.init()
    for device in range(8):
        merged = metric.merge(merged, jax.tree.map(lambda leaf, d=device: leaf[d], stacked))
    jax.tree.map(np.testing.assert_array_equal, merged, summed)

    sharded = jax.jit(metric.update)(metric.init(), **data)
    assert_same_values(metric, sharded, one_device)


def test_pmap_equals_one_device(case):
    metric, data = case
    parts = jax.tree.map(lambda array: array.reshape(8, -1, *array.shape[1:]), data)

    step = jax.pmap(
        lambda batch: metric.psum(metric.update(metric.init(), **batch), "devices"),
        axis_name="devices",
    )
    state = jax.tree.map(lambda leaf: leaf[0], jax.device_get(step(parts)))
    assert_same_values(metric, state, state_of(metric, data))


def test_update_without_examples_changes_nothing(case):
    metric, data = case
    state = state_of(metric, data)
    jax.tree.map(np.testing.assert_array_equal, metric.update(state, **part(data, 0, 0)), state)
    before_any_data = jax.tree.leaves(metric.finalize(metric.init()))
    np.testing.assert_array_equal(before_any_data, np.zeros(len(before_any_data)))


def test_statistics_are_float32_of_bfloat16_data(case):
    metric, data = case
    half = {
        name: array.astype(jnp.bfloat16) if array.dtype == np.float32 else array
        for name, array in data.items()
    }
    rounded = {name: array.astype(data[name].dtype) for name, array in half.items()}
    state = state_of(metric, half)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype(np.float32)}
    jax.tree.map(np.testing.assert_array_equal, state, state_of(metric, rounded))


def test_statistics_are_float64_with_64_bit_types(case):
    metric, data = case
    with jax.enable_x64(True):
        state = state_of(metric, data)
        assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype(np.float64)}
        wide = jax.tree.leaves(metric.finalize(state))
    narrow = jax.tree.leaves(metric.finalize(state_of(metric, data)))
    np.testing.assert_allclose(narrow, wide, rtol=1e-6)
