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
            got = oracle.run_metric(f"slim.metrics.{call}{argument})", batches)
            steps = ["init", *range(len(batches))]
            stored[f"{case}/{weight_name}/values"] = np.array([got[f"value/{i}"] for i in steps])
    path = pathlib.Path(__file__).with_name("metrics.npz")
    np.savez_compressed(path, **stored)
    print(path, f"{path.stat().st_size} bytes, {len(stored)} arrays")


if __name__ == "__main__":
    main()
