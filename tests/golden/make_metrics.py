"""Makes `metrics.npz`: TF-Slim's streaming metrics over batches of unequal size.

Usage, with the Python of an environment that has TF-Slim and its numeric oracle:

    ORACLE=<folder of oracle.py> python tests/golden/make_metrics.py

Keys are `batch_sizes`, `CASE/in/NAME` (the data, all batches one after the other),
`CASE/WEIGHTS/weights` (likewise, or one for all batches where the first axis is not that long) and
`CASE/WEIGHTS/values` (the metric before any data, then after each batch).
"""

import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle

BATCH_SIZES = (7, 1, 0, 16)


def real(rng, size):
    signs = np.where(rng.uniform(size=(size, 3)) < 0.2, -1, 1)
    labels = (signs * rng.uniform(0.25, 1, (size, 3))).astype(np.float32)
    labels[rng.uniform(size=labels.shape) < 0.2] = 0
    noise = rng.uniform(-0.5, 0.5, (size, 3)).astype(np.float32)
    return {"predictions": labels + noise, "labels": labels}


def normalized(rng, size):
    normalizer = rng.uniform(0.5, 2, (size, 3)).astype(np.float32)
    normalizer[rng.uniform(size=normalizer.shape) < 0.2] = 0
    return {**real(rng, size), "normalizer": normalizer}


def values(rng, size):
    return {"values": rng.uniform(-0.5, 1.5, (size, 3)).astype(np.float32)}


def class_ids(rng, size):
    labels = rng.randint(0, 4, size).astype(np.int32)
    guesses = rng.randint(0, 4, size).astype(np.int32)
    return {
        "predictions": np.where(rng.uniform(size=size) < 0.5, labels, guesses),
        "labels": labels,
    }


def float_ids(rng, size):
    """Float predictions with a last axis of 1, which are cast to the type of the labels."""
    data = class_ids(rng, size)
    fraction = rng.choice([0.0, 0.75], size)
    data["predictions"] = (data["predictions"] + fraction).astype(np.float32)[:, None]
    return data


def decisions(rng, size):
    return {"predictions": rng.uniform(size=size) < 0.5, "labels": rng.uniform(size=size) < 0.5}


def scores(rng, size):
    """Few distinct scores, so that many tie; some labels out of range, some scores not finite."""
    predictions = rng.randint(0, 5, (size, 6)).astype(np.float32)
    predictions[rng.uniform(size=predictions.shape) < 0.02] = np.nan
    predictions[rng.uniform(size=predictions.shape) < 0.02] = -np.inf
    return {"predictions": predictions, "labels": rng.randint(-1, 7, size).astype(np.int32)}


def probabilities(rng, size):
    """Some at thresholds, and at 0 and 1."""
    predictions = rng.uniform(size=size).astype(np.float32)
    predictions[rng.uniform(size=size) < 0.3] = 0.25
    predictions[:2] = 0, 1
    return {"predictions": predictions, "labels": rng.uniform(size=size) < 0.4}


def unit_vectors(rng, size):
    def some():
        vectors = rng.normal(size=(size, 3))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return {"predictions": some(), "labels": some()}


def same_shape(rng, size):
    """Arrays of one shape, whatever the batch."""
    return {"values": rng.uniform(-1, 1, (2, 3)).astype(np.float32)}


def wide_ids(rng, size):
    return {name: ids.astype(np.int64) for name, ids in class_ids(rng, size).items()}


def several_labels(rng, size):
    """Distinct scores, and two labels each, sometimes the same."""
    predictions = np.array([rng.permutation(6) for _ in range(size)], np.float32)
    return {"predictions": predictions, "labels": rng.randint(0, 6, (size, 2)).astype(np.int64)}


def chosen_ids(rng, size):
    data = several_labels(rng, size)
    top = np.argsort(-data["predictions"], axis=1)[:, :3]
    return {"predictions": np.ascontiguousarray(top).astype(np.int64), "labels": data["labels"]}


WEIGHTS = {
    "none": lambda rng, shape: None,
    "scalar": lambda rng, shape: np.float32(0.7),
    "full": lambda rng, shape: rng.uniform(0, 2, shape).astype(np.float32),
    "mask": lambda rng, shape: (rng.uniform(size=shape) < 0.6).astype(np.float32),
    "zero": lambda rng, shape: np.zeros(shape, np.float32),
    "example": lambda rng, shape: rng.uniform(0, 2, shape[:1]).astype(np.float32),
    "row": lambda rng, shape: rng.uniform(0, 2, (shape[0], 1)).astype(np.float32),
    "column": lambda rng, shape: rng.uniform(0, 2, (1, *shape[1:])).astype(np.float32),
    "last_axis": lambda rng, shape: rng.uniform(0, 2, (*shape, 1)).astype(np.float32),
}
ALL = tuple(WEIGHTS)
ONE_AXIS = ("none", "scalar", "full", "mask", "zero", "row")
ERRORS = ("none", "full", "example")
BINARY = ("none", "scalar", "full", "mask", "zero")

# Name of the case, call of TF-Slim, data, weights.
CASES = [
    ("streaming_mean", "streaming_mean(values", values, ALL),
    ("streaming_percentage_less", "streaming_percentage_less(values, 0.25", values, ERRORS),
    ("streaming_accuracy", "streaming_accuracy(predictions, labels", class_ids, ONE_AXIS),
    ("streaming_accuracy_cast", "streaming_accuracy(predictions, labels", float_ids, ("none",)),
    (
        "streaming_mean_absolute_error",
        "streaming_mean_absolute_error(predictions, labels",
        real,
        ERRORS,
    ),
    (
        "streaming_mean_squared_error",
        "streaming_mean_squared_error(predictions, labels",
        real,
        ERRORS,
    ),
    (
        "streaming_mean_relative_error",
        "streaming_mean_relative_error(predictions, labels, normalizer",
        normalized,
        ERRORS,
    ),
    (
        "streaming_mean_relative_error_of_labels",
        "streaming_mean_relative_error(predictions, labels, labels",
        real,
        ("none", "full"),
    ),
    ("streaming_precision", "streaming_precision(predictions, labels", decisions, BINARY),
    ("streaming_recall", "streaming_recall(predictions, labels", decisions, BINARY),
    ("streaming_recall_at_k", "streaming_recall_at_k(predictions, labels, 3", scores, ONE_AXIS),
    (
        "streaming_root_mean_squared_error",
        "streaming_root_mean_squared_error(predictions, labels",
        real,
        ERRORS,
    ),
    (
        "streaming_mean_cosine_distance",
        "streaming_mean_cosine_distance(predictions, labels, 1",
        unit_vectors,
        ("none", "row"),
    ),
    ("count", "count(values", values, ERRORS),
    ("streaming_covariance", "streaming_covariance(predictions, labels", real, ("none", "full")),
    (
        "streaming_pearson_correlation",
        "streaming_pearson_correlation(predictions, labels",
        real,
        ("none", "full"),
    ),
    *(
        (f"streaming_{name}", f"streaming_{name}(predictions, labels", decisions, BINARY)
        for name in (
            "true_positives",
            "true_negatives",
            "false_positives",
            "false_negatives",
            "false_positive_rate",
            "false_negative_rate",
        )
    ),
    *(
        (
            f"streaming_{name}_at_thresholds",
            f"streaming_{name}_at_thresholds(predictions, labels, [0.1, 0.25, 0.6]",
            probabilities,
            ("none", "full"),
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
    ),
    ("streaming_auc", "streaming_auc(predictions, labels", probabilities, BINARY),
    (
        "streaming_auc_pr",
        "streaming_auc(predictions, labels, num_thresholds=11, curve='PR'",
        probabilities,
        ("none", "full"),
    ),
    *(
        (
            f"streaming_auc_{method}",
            "|tf.metrics.auc(labels, predictions, num_thresholds=21, curve='PR', "
            f"summation_method='{method}'",
            probabilities,
            ("none", "full"),
        )
        for method in ("careful_interpolation", "minoring", "majoring")
    ),
    (
        "streaming_curve_points",
        "streaming_curve_points(labels, predictions, num_thresholds=5",
        probabilities,
        ("none", "full"),
    ),
    (
        "streaming_specificity_at_sensitivity",
        "streaming_specificity_at_sensitivity(predictions, labels, 0.7",
        probabilities,
        ("none", "full"),
    ),
    (
        "streaming_sensitivity_at_specificity",
        "streaming_sensitivity_at_specificity(predictions, labels, 0.6",
        probabilities,
        ("none", "full"),
    ),
    (
        "recall_at_precision",
        "recall_at_precision(labels, predictions, 0.5",
        probabilities,
        ("none", "full"),
    ),
    (
        "recall_at_precision_strict",
        "recall_at_precision(labels, predictions, 0.5, strict_mode=True",
        probabilities,
        ("none", "full"),
    ),
    (
        "precision_at_recall",
        "precision_at_recall(labels, predictions, 0.7",
        probabilities,
        ("none", "full"),
    ),
    ("f1_score", "f1_score(labels, predictions", probabilities, ("none", "full")),
    *(
        (
            f"precision_recall_at_equal_thresholds_{field}",
            f"|(lambda *a, **k: (lambda r, u: (r.{field}, u))("
            "*slim.metrics.precision_recall_at_equal_thresholds(*a, num_thresholds=9, **k)))("
            "labels, predictions",
            probabilities,
            ("none", "full"),
        )
        for field in ("tp", "fp", "tn", "fn", "precision", "recall", "thresholds")
    ),
    (
        "auc_using_histogram",
        "auc_using_histogram(labels, predictions, [0.1, 0.9], nbins=7",
        probabilities,
        ("none",),
    ),
    (
        "streaming_mean_iou",
        "streaming_mean_iou(predictions, labels, 4",
        class_ids,
        ("none", "mask"),
    ),
    ("cohen_kappa", "cohen_kappa(labels, predictions, 4", wide_ids, ("none", "mask")),
    (
        "streaming_sparse_recall_at_k",
        "streaming_sparse_recall_at_k(predictions, labels, 3",
        several_labels,
        ("none", "example"),
    ),
    (
        "streaming_sparse_recall_at_k_class",
        "streaming_sparse_recall_at_k(predictions, labels, 3, class_id=2",
        several_labels,
        ("none", "example"),
    ),
    (
        "streaming_sparse_precision_at_k",
        "streaming_sparse_precision_at_k(predictions, labels, 3",
        several_labels,
        ("none", "example"),
    ),
    (
        "streaming_sparse_precision_at_k_class",
        "streaming_sparse_precision_at_k(predictions, labels, 3, class_id=2",
        several_labels,
        ("none", "example"),
    ),
    (
        "streaming_sparse_precision_at_top_k",
        "streaming_sparse_precision_at_top_k(predictions, labels",
        chosen_ids,
        ("none", "example"),
    ),
    (
        "sparse_recall_at_top_k",
        "sparse_recall_at_top_k(labels, predictions",
        chosen_ids,
        ("none", "example"),
    ),
    (
        "streaming_sparse_average_precision_at_k",
        "streaming_sparse_average_precision_at_k(predictions, labels, 3",
        several_labels,
        ("none", "example"),
    ),
    (
        "streaming_sparse_average_precision_at_top_k",
        "streaming_sparse_average_precision_at_top_k(predictions, labels",
        chosen_ids,
        ("none", "example"),
    ),
    ("streaming_mean_tensor", "streaming_mean_tensor(values", same_shape, ("none", "full")),
]


def split(array):
    """The part of each batch of an array of all batches, or the array for each."""
    if array.ndim and len(array) == sum(BATCH_SIZES):
        return np.split(array, np.cumsum(BATCH_SIZES)[:-1])
    return [array] * len(BATCH_SIZES)


def main():
    stored = {"batch_sizes": np.array(BATCH_SIZES)}
    for seed, (case, call, make_data, weight_names) in enumerate(CASES):
        rng = np.random.RandomState(seed)
        data = make_data(rng, sum(BATCH_SIZES))
        shape = data.get("labels", data.get("values")).shape
        stored.update({f"{case}/in/{name}": array for name, array in data.items()})
        for weight_name in weight_names:
            inputs, argument = dict(data), ""
            weights = WEIGHTS[weight_name](rng, shape)
            if weights is not None:
                stored[f"{case}/{weight_name}/weights"] = inputs["weights"] = weights
                argument = ", weights=weights"
            parts = zip(*map(split, inputs.values()), strict=True)
            batches = [dict(zip(inputs, part, strict=True)) for part in parts]
            code = call[1:] if call.startswith("|") else f"slim.metrics.{call}"
            got = oracle.run_metric(f"{code}{argument})", batches)
            steps = ["init", *range(len(batches))]
            stored[f"{case}/{weight_name}/values"] = np.array([got[f"value/{i}"] for i in steps])
    path = pathlib.Path(__file__).with_name("metrics.npz")
    np.savez_compressed(path, **stored)
    print(path, f"{path.stat().st_size} bytes, {len(stored)} arrays")


if __name__ == "__main__":
    main()
