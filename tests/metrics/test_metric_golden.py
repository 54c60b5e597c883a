"""Numbers of TF-Slim 1.1.0, made by `tests/golden/make_metrics.py`."""

import numpy as np
import pytest

from jslim import metrics

ALL = ("none", "scalar", "full", "mask", "zero", "example", "row", "column", "last_axis")
ONE_AXIS = ("none", "scalar", "full", "mask", "zero", "row")
ERRORS = ("none", "full", "example")
BINARY = ("none", "scalar", "full", "mask", "zero")
TABLE = {
    "streaming_mean": (metrics.streaming_mean, ALL),
    "streaming_percentage_less": (lambda: metrics.streaming_percentage_less(0.25), ERRORS),
    "streaming_accuracy": (metrics.streaming_accuracy, ONE_AXIS),
    "streaming_accuracy_cast": (metrics.streaming_accuracy, ("none",)),
    "streaming_mean_absolute_error": (metrics.streaming_mean_absolute_error, ERRORS),
    "streaming_mean_squared_error": (metrics.streaming_mean_squared_error, ERRORS),
    "streaming_mean_relative_error": (metrics.streaming_mean_relative_error, ERRORS),
    "streaming_mean_relative_error_of_labels": (
        metrics.streaming_mean_relative_error,
        ("none", "full"),
    ),
    "streaming_precision": (metrics.streaming_precision, BINARY),
    "streaming_recall": (metrics.streaming_recall, BINARY),
    "streaming_recall_at_k": (lambda: metrics.streaming_recall_at_k(3), ONE_AXIS),
}


def split(array, sizes):
    """The part of each batch of an array of all batches, or the array for each."""
    if array.ndim and len(array) == sum(sizes):
        return np.split(array, np.cumsum(sizes)[:-1])
    return [array] * len(sizes)


@pytest.mark.parametrize(
    ("name", "weights"), [(name, weights) for name, row in TABLE.items() for weights in row[1]]
)
def test_metric_equals_tf_slim_after_every_batch(golden, name, weights):
    stored = golden("metrics.npz")
    sizes, prefix = stored["batch_sizes"], f"{name}/in/"
    data = {
        key.removeprefix(prefix): split(array, sizes)
        for key, array in stored.items()
        if key.startswith(prefix)
    }
    if weights != "none":
        data["weights"] = split(stored[f"{name}/{weights}/weights"], sizes)
    metric = TABLE[name][0]()
    state = metric.init()
    values = [metric.finalize(state)]
    for i in range(len(sizes)):
        state = metric.update(state, **{key: parts[i] for key, parts in data.items()})
        values.append(metric.finalize(state))
    np.testing.assert_allclose(values, stored[f"{name}/{weights}/values"], rtol=1e-6)


def test_golden_file_holds_no_case_that_is_not_tested(golden):
    cases = {tuple(key.split("/")[:2]) for key in golden("metrics.npz") if key.endswith("/values")}
    tested = {(name, weights) for name, row in TABLE.items() for weights in row[1]}
    assert cases - {(name, "in") for name in TABLE} == tested
