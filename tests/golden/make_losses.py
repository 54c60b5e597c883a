"""Makes losses.json: what TF-Slim's losses are, their gradients and their names.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_losses.py

The file holds
    inputs  {loss: {argument: [shape, dtype, values]}}
    cases   [{loss, kwargs, weights: null or [shape, values], value, grads: {argument: values}}]
    names   {case: [operation names in the order of get_losses(scope)]}
Values are flat lists of float32 in the order of rows. An argument that is not in `grads` gets no
gradient.
"""

import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle
from oracle import slim, tf

BATCH, CLASSES = 3, 4


def seeded_inputs() -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.RandomState(7)

    def real(*shape, scale=1.0):
        return (scale * rng.uniform(-1, 1, shape)).astype(np.float32)

    def binary(*shape):
        return (rng.uniform(size=shape) < 0.5).astype(np.float32)

    def unit(*shape):
        vectors = real(*shape)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    rows = (BATCH, CLASSES)
    ids = rng.randint(0, CLASSES, BATCH)
    pair = {"predictions": real(*rows), "labels": real(*rows)}
    return {
        "softmax_cross_entropy": {
            "logits": real(*rows, scale=4),
            "onehot_labels": np.eye(CLASSES, dtype=np.float32)[ids],
        },
        "sparse_softmax_cross_entropy": {"logits": real(*rows, scale=4), "labels": ids},
        "sigmoid_cross_entropy": {
            "logits": real(*rows, scale=6),
            "multi_class_labels": binary(*rows),
        },
        "log_loss": {
            "predictions": np.abs(real(*rows)) * np.float32(0.98) + np.float32(0.01),
            "labels": binary(*rows),
        },
        "hinge_loss": {"logits": real(*rows, scale=2), "labels": binary(*rows)},
        "mean_squared_error": pair,
        "absolute_difference": pair,
        "mean_pairwise_squared_error": pair,
        "cosine_distance": {"predictions": unit(*rows), "labels": unit(*rows)},
        "compute_weighted_loss": {"losses": np.abs(real(BATCH, 2, 3))},
    }


VECTOR = np.array([0.5, 0, 2], np.float32)
WEIGHTS = {
    "none": None,
    "scalar": np.float32(0.4),
    "zero": np.float32(0),
    "batch": VECTOR,
    "batch_zero": np.zeros(BATCH, np.float32),
    "column": VECTOR[:, None],
    "full": np.array([[1, 0, 0.5, 2], [0, 0, 0, 0], [3, 1, 0, 0.25]], np.float32),
}
ROW_WEIGHTS = ("none", "scalar", "zero", "batch", "batch_zero", "column")
# TF-Slim takes [batch, 1] for [batch, batch] here.
PAIRWISE_WEIGHTS = ("none", "scalar", "zero", "batch", "batch_zero")
SEVERAL_AXES = {
    "none": None,
    "batch": VECTOR,
    "two_axes": np.array([[1, 0], [0.5, 2], [0, 0]], np.float32),
    "three_axes": np.arange(18, dtype=np.float32).reshape(3, 2, 3) % 4,
    "two_axes_column": np.array([[[1], [0]], [[0.5], [2]], [[0], [0]]], np.float32),
}


def settings(loss: str) -> list[tuple[dict, np.ndarray | None]]:
    """The (further arguments, weights) of each case of a loss."""
    choice = {
        "hinge_loss": {"none": None},
        "compute_weighted_loss": SEVERAL_AXES,
    }.get(loss, WEIGHTS)
    rows = ("softmax_cross_entropy", "sparse_softmax_cross_entropy", "cosine_distance")
    names = ROW_WEIGHTS if loss in rows else tuple(choice)
    if loss == "mean_pairwise_squared_error":
        names = PAIRWISE_WEIGHTS
    kwargs = {"cosine_distance": {"axis": 1}}.get(loss, {})
    cases = [(kwargs, choice[name]) for name in names]
    if loss in ("softmax_cross_entropy", "sigmoid_cross_entropy"):
        cases += [({"label_smoothing": s}, w) for s in (0.1, 1.0) for w in (None, VECTOR)]
    if loss == "log_loss":
        cases += [({"epsilon": 0.01}, None)]
    if loss == "cosine_distance":
        cases += [({"dim": 0}, None), ({"axis": -1}, VECTOR)]
    return cases


def flat(array: np.ndarray) -> list:
    return [float(f"{v:.9g}") if isinstance(v, float) else v for v in array.ravel().tolist()]


def loss_cases(inputs: dict) -> list[dict]:
    cases = []
    for loss, arrays in inputs.items():
        for kwargs, weights in settings(loss):
            given = dict(arrays) if weights is None else {**arrays, "weights": weights}
            arguments = [f"{n}={n}" for n in given] + [f"{k}={v!r}" for k, v in kwargs.items()]
            result = oracle.run_loss(f"slim.losses.{loss}({', '.join(arguments)})", given)
            cases.append(
                {
                    "loss": loss,
                    "kwargs": kwargs,
                    "weights": None if weights is None else [list(weights.shape), flat(weights)],
                    "value": flat(result["value"]),
                    "is_collected": "collected" in result,
                    "grads": {
                        key.removeprefix("grad_in/"): flat(gradient)
                        for key, gradient in result.items()
                        if key.startswith("grad_in/")
                    },
                }
            )
    return cases


def operation_names() -> dict[str, list[str]]:
    """The names under which a small graph collects its losses."""
    with tf.Graph().as_default():
        logits, labels = tf.zeros([2, 3]), tf.one_hot([0, 1], 3)
        slim.losses.softmax_cross_entropy(logits, labels)
        slim.losses.softmax_cross_entropy(logits, labels)
        slim.losses.softmax_cross_entropy(logits, labels, scope="aux")
        slim.losses.sparse_softmax_cross_entropy(logits, [0, 1], scope="aux")
        slim.losses.sigmoid_cross_entropy(logits, labels)
        with tf.variable_scope("task"):
            slim.losses.mean_squared_error(logits, labels)
            slim.losses.absolute_difference(logits, labels)
        slim.losses.sparse_softmax_cross_entropy(logits, [0, 1])
        slim.losses.log_loss(logits, labels)
        slim.losses.cosine_distance(logits, labels, axis=1)
        slim.losses.compute_weighted_loss(logits)
        scopes = [None, "aux", "task/", "task/mean", ".*entropy", "softmax_cross_entropy_loss_1"]
        return {
            str(scope): [loss.op.name for loss in slim.losses.get_losses(scope)] for scope in scopes
        }


def main() -> None:
    inputs = seeded_inputs()
    packed = {
        loss: {k: [list(a.shape), str(a.dtype), flat(a)] for k, a in arrays.items()}
        for loss, arrays in inputs.items()
    }
    golden = {"inputs": packed, "cases": loss_cases(inputs), "names": operation_names()}
    path = pathlib.Path(__file__).with_name("losses.json")
    lines = json.dumps(golden).replace('{"loss"', '\n{"loss"').replace('"names"', '\n"names"')
    path.write_text(lines + "\n")
    print(f"{path.name}: {len(golden['cases'])} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
