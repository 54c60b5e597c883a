"""Numbers of TF-Slim 1.1.0, made by `tests/golden/make_metrics.py`."""

import functools

import numpy as np
import pytest

from jslim import metrics

ALL = ("none", "scalar", "full", "mask", "zero", "example", "row", "column", "last_axis")
ONE_AXIS = ("none", "scalar", "full", "mask", "zero", "row")
ERRORS = ("none", "full", "example")
BINARY = ("none", "scalar", "full", "mask", "zero")
FULL = ("none", "full")
EXAMPLE = ("none", "example")


def equal_thresholds(field):
    """One of the values of that metric."""
    metric = metrics.precision_recall_at_equal_thresholds(9)
    return metric._replace(finalize=lambda state: getattr(metric.finalize(state), field))


def kappa():
    """With its predictions under the name of the others."""
    return metrics.cohen_kappa(4).on(
        lambda predictions, labels: {"labels": labels, "predictions_idx": predictions}
    )


def of_chosen(metric):
    return metric.on(
        lambda predictions, labels: {"top_k_predictions": predictions, "labels": labels}
    )


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
    "streaming_root_mean_squared_error": (metrics.streaming_root_mean_squared_error, ERRORS),
    "streaming_mean_cosine_distance": (metrics.streaming_mean_cosine_distance, ("none", "row")),
    "count": (metrics.count, ERRORS),
    "streaming_covariance": (metrics.streaming_covariance, FULL),
    "streaming_pearson_correlation": (metrics.streaming_pearson_correlation, FULL),
    **{
        f"streaming_{name}": (getattr(metrics, f"streaming_{name}"), BINARY)
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
            functools.partial(
                getattr(metrics, f"streaming_{name}_at_thresholds"), [0.1, 0.25, 0.6]
            ),
            FULL,
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
    "streaming_auc": (metrics.streaming_auc, BINARY),
    "streaming_auc_pr": (lambda: metrics.streaming_auc(11, "PR"), FULL),
    **{
        f"streaming_auc_{method}": (
            functools.partial(metrics.streaming_auc, 21, "PR", method),
            FULL,
        )
        for method in ("careful_interpolation", "minoring", "majoring")
    },
    "streaming_curve_points": (lambda: metrics.streaming_curve_points(5), FULL),
    "streaming_specificity_at_sensitivity": (
        lambda: metrics.streaming_specificity_at_sensitivity(0.7),
        FULL,
    ),
    "streaming_sensitivity_at_specificity": (
        lambda: metrics.streaming_sensitivity_at_specificity(0.6),
        FULL,
    ),
    "recall_at_precision": (lambda: metrics.recall_at_precision(0.5), FULL),
    "recall_at_precision_strict": (
        lambda: metrics.recall_at_precision(0.5, strict_mode=True),
        FULL,
    ),
    "precision_at_recall": (lambda: metrics.precision_at_recall(0.7), FULL),
    "f1_score": (metrics.f1_score, FULL),
    **{
        f"precision_recall_at_equal_thresholds_{field}": (
            functools.partial(equal_thresholds, field),
            FULL,
        )
        for field in metrics.PrecisionRecallData._fields
    },
    "auc_using_histogram": (lambda: metrics.auc_using_histogram([0.1, 0.9], 7), ("none",)),
    "streaming_mean_iou": (lambda: metrics.streaming_mean_iou(4), ("none", "mask")),
    "cohen_kappa": (kappa, ("none", "mask")),
    "streaming_sparse_recall_at_k": (lambda: metrics.streaming_sparse_recall_at_k(3), EXAMPLE),
    "streaming_sparse_recall_at_k_class": (
        lambda: metrics.streaming_sparse_recall_at_k(3, class_id=2),
        EXAMPLE,
    ),
    "streaming_sparse_precision_at_k": (
        lambda: metrics.streaming_sparse_precision_at_k(3),
        EXAMPLE,
    ),
    "streaming_sparse_precision_at_k_class": (
        lambda: metrics.streaming_sparse_precision_at_k(3, class_id=2),
        EXAMPLE,
    ),
    "streaming_sparse_precision_at_top_k": (
        lambda: of_chosen(metrics.streaming_sparse_precision_at_top_k()),
        EXAMPLE,
    ),
    "sparse_recall_at_top_k": (lambda: of_chosen(metrics.sparse_recall_at_top_k()), EXAMPLE),
    "streaming_sparse_average_precision_at_k": (
        lambda: metrics.streaming_sparse_average_precision_at_k(3),
        EXAMPLE,
    ),
    "streaming_sparse_average_precision_at_top_k": (
        lambda: of_chosen(metrics.streaming_sparse_average_precision_at_top_k()),
        EXAMPLE,
    ),
    "streaming_mean_tensor": (lambda: metrics.streaming_mean_tensor((2, 3)), FULL),
}


def split(array, sizes):
    """The part of each batch of an array of all batches, or the array for each."""
    if array.ndim and len(array) == sum(sizes):
        return np.split(array, np.cumsum(sizes)[:-1])
    return [array] * len(sizes)


@pytest.mark.long
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
