"""What every metric must satisfy, over one table: a new metric is a new row."""

import functools

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


def probabilities(rng):
    predictions = rng.uniform(size=NUM_EXAMPLES).astype(np.float32)
    return {"predictions": predictions, "labels": rng.integers(0, 2, NUM_EXAMPLES)}


def several_labels(rng):
    predictions = np.array([rng.permutation(8) for _ in range(NUM_EXAMPLES)], np.float32)
    return {"predictions": predictions, "labels": rng.integers(-1, 8, (NUM_EXAMPLES, 3))}


def chosen_ids(rng):
    data = several_labels(rng)
    top = np.argsort(-data["predictions"], axis=1)[:, :3]
    return {"top_k_predictions": np.ascontiguousarray(top), "labels": data["labels"]}


def kappa_ids(rng):
    ids = class_ids(rng)
    return {"labels": ids["labels"], "predictions_idx": ids["predictions"]}


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
    "streaming_root_mean_squared_error": (metrics.streaming_root_mean_squared_error, real_pairs),
    "streaming_mean_cosine_distance": (metrics.streaming_mean_cosine_distance, real_pairs),
    "streaming_mean_tensor": (lambda: metrics.streaming_mean_tensor((3,)), numbers),
    "count": (metrics.count, numbers),
    "streaming_covariance": (metrics.streaming_covariance, real_pairs),
    "streaming_pearson_correlation": (metrics.streaming_pearson_correlation, real_pairs),
    **{
        f"streaming_{name}": (getattr(metrics, f"streaming_{name}"), decisions)
        for name in (
            "true_positives",
            "true_negatives",
            "false_positives",
            "false_negatives",
            "false_positive_rate",
            "false_negative_rate",
        )
    },
    **{
        f"streaming_{name}_at_thresholds": (
            functools.partial(getattr(metrics, f"streaming_{name}_at_thresholds"), [0.2, 0.7]),
            probabilities,
        )
        for name in (
            "true_positives",
            "true_negatives",
            "false_positives",
            "false_negatives",
            "precision",
            "recall",
            "false_positive_rate",
            "false_negative_rate",
        )
    },
    "streaming_auc": (metrics.streaming_auc, probabilities),
    "streaming_auc_pr": (
        lambda: metrics.streaming_auc(21, "PR", "careful_interpolation"),
        probabilities,
    ),
    "streaming_curve_points": (lambda: metrics.streaming_curve_points(7), probabilities),
    "streaming_specificity_at_sensitivity": (
        lambda: metrics.streaming_specificity_at_sensitivity(0.7),
        probabilities,
    ),
    "streaming_sensitivity_at_specificity": (
        lambda: metrics.streaming_sensitivity_at_specificity(0.7),
        probabilities,
    ),
    "recall_at_precision": (lambda: metrics.recall_at_precision(0.6), probabilities),
    "precision_at_recall": (lambda: metrics.precision_at_recall(0.6), probabilities),
    "f1_score": (metrics.f1_score, probabilities),
    "precision_recall_at_equal_thresholds": (
        lambda: metrics.precision_recall_at_equal_thresholds(9),
        probabilities,
    ),
    "auc_using_histogram": (metrics.auc_using_histogram, probabilities),
    "confusion_matrix": (lambda: metrics.confusion_matrix(3), class_ids),
    "per_class": (lambda: metrics.per_class(3), class_ids),
    "streaming_mean_iou": (lambda: metrics.streaming_mean_iou(3), class_ids),
    "cohen_kappa": (lambda: metrics.cohen_kappa(3), kappa_ids),
    "streaming_sparse_recall_at_k": (
        lambda: metrics.streaming_sparse_recall_at_k(3),
        several_labels,
    ),
    "streaming_sparse_precision_at_k": (
        lambda: metrics.streaming_sparse_precision_at_k(3, class_id=2),
        several_labels,
    ),
    "streaming_sparse_average_precision_at_k": (
        lambda: metrics.streaming_sparse_average_precision_at_k(3),
        several_labels,
    ),
    "streaming_sparse_precision_at_top_k": (
        metrics.streaming_sparse_precision_at_top_k,
        chosen_ids,
    ),
    "sparse_recall_at_top_k": (metrics.sparse_recall_at_top_k, chosen_ids),
    "streaming_sparse_average_precision_at_top_k": (
        metrics.streaming_sparse_average_precision_at_top_k,
        chosen_ids,
    ),
}
# Sums of products that are rounded otherwise in another order.
APPROXIMATE = ("streaming_covariance", "streaming_pearson_correlation")
COUNTS = (
    "streaming_true_positives",
    "streaming_false_negative_rate",
    "count",
    "streaming_percentage_less",
    "streaming_accuracy",
    "streaming_precision",
    "streaming_recall",
    "streaming_recall_at_k",
)


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
