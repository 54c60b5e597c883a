"""The table of metrics that `test_metric_algebra.py` goes through: a new metric is a new row."""

import functools

import numpy as np

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
