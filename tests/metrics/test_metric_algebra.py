"""What every metric must satisfy, over the table of `metric_table.py`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from metric_table import APPROXIMATE, COUNTS, NUM_EXAMPLES, TABLE


@pytest.fixture(params=TABLE)
def name(request):
    return request.param


@pytest.fixture
def case(name):
    """A metric and its data: arrays by name, `weights` among them."""
    return make_case(name)


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
    assert_close(metric.finalize(state), metric.finalize(other))


def assert_close(found, wanted):
    # Areas are sums of many terms.
    close = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=1e-7)
    jax.tree.map(close, found, wanted)


def exact(state):
    """Every sum of a state as one float64, one after the other."""
    leaves = [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(state)]
    sums = [high + low for high, low in zip(leaves[::2], leaves[1::2], strict=True)]
    return np.concatenate(sums).tolist()


@pytest.mark.long
def test_merge_has_init_as_identity(case):
    metric, data = case
    state = state_of(metric, data)
    for merged in (metric.merge(metric.init(), state), metric.merge(state, metric.init())):
        jax.tree.map(np.testing.assert_array_equal, merged, state)


def thirds_of(metric, data):
    return [metric.update(metric.init(), **part(data, i, i + 8)) for i in (0, 8, 16)]


def test_merge_is_associative(name, case):
    metric, data = case
    a, b, c = thirds_of(metric, data)
    left, right = metric.merge(metric.merge(a, b), c), metric.merge(a, metric.merge(b, c))
    rtol = 1e-6 if name in APPROXIMATE else 1e-13
    np.testing.assert_allclose(exact(left), exact(right), rtol=rtol)


@pytest.mark.long
def test_merge_of_parts_is_the_whole(case):
    metric, data = case
    a, b, c = thirds_of(metric, data)
    assert_same_values(metric, metric.merge(a, metric.merge(b, c)), state_of(metric, data))


@pytest.mark.long
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


@pytest.mark.long
def test_update_leaves_out_examples_of_weight_zero(case):
    metric, data = case
    padding = {name: np.full_like(array[:5], garbage(array)) for name, array in data.items()}
    padding["weights"] = np.zeros(5, np.float32)
    padded = {name: np.concatenate([array, padding[name]]) for name, array in data.items()}
    state = metric.update(metric.init(), **padded)
    np.testing.assert_allclose(exact(state), exact(state_of(metric, data)), rtol=1e-6, atol=1e-6)


def garbage(array):
    return np.nan if array.dtype == np.float32 else 255


@pytest.mark.long
def test_update_with_jit_equals_eager(case):
    metric, data = case
    state = jax.jit(metric.update)(metric.init(), **data)
    assert_same_values(metric, state, state_of(metric, data))
    assert_close(jax.jit(metric.finalize)(state), metric.finalize(state))


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


@pytest.mark.long
def test_eight_devices_equal_one(name, case):
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
    if name in APPROXIMATE:
        np.testing.assert_allclose(exact(merged), exact(summed), rtol=1e-6)
    else:
        jax.tree.map(np.testing.assert_array_equal, merged, summed)

    sharded = jax.jit(metric.update)(metric.init(), **data)
    assert_same_values(metric, sharded, one_device)


@pytest.mark.long
def test_pmap_equals_one_device(case):
    metric, data = case
    parts = jax.tree.map(lambda array: array.reshape(8, -1, *array.shape[1:]), data)

    step = jax.pmap(
        lambda batch: metric.psum(metric.update(metric.init(), **batch), "devices"),
        axis_name="devices",
    )
    state = jax.tree.map(lambda leaf: leaf[0], jax.device_get(step(parts)))
    assert_same_values(metric, state, state_of(metric, data))


# Of a metric without data: 0 where nothing is said.
WITHOUT_DATA = {
    "streaming_mean_cosine_distance": 1,
    "precision_at_recall": 1,
    **dict.fromkeys(
        (
            "streaming_covariance",
            "streaming_pearson_correlation",
            "auc_using_histogram",
            "streaming_sparse_recall_at_k",
            "streaming_sparse_precision_at_k",
            "streaming_sparse_precision_at_top_k",
            "sparse_recall_at_top_k",
        ),
        np.nan,
    ),
}


@pytest.mark.long
def test_update_without_examples_changes_nothing(name, case):
    metric, data = case
    state = state_of(metric, data)
    jax.tree.map(np.testing.assert_array_equal, metric.update(state, **part(data, 0, 0)), state)
    if name in ("streaming_curve_points", "precision_recall_at_equal_thresholds"):
        return  # whose values are curves; test_metric_golden.py has them
    for leaf in jax.tree.leaves(metric.finalize(metric.init())):
        wanted = np.full(np.shape(leaf), WITHOUT_DATA.get(name, 0), np.float32)
        np.testing.assert_array_equal(leaf, wanted)


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


@pytest.mark.long
def test_statistics_are_float64_with_64_bit_types(case):
    metric, data = case
    with jax.enable_x64(True):
        state = state_of(metric, data)
        assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype(np.float64)}
        wide = metric.finalize(state)
    assert_close(metric.finalize(state_of(metric, data)), wide)
