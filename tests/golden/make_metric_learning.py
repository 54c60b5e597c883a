"""Makes metric_learning.npz: TF-Slim's losses of metric learning, and their gradients.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_metric_learning.py

`index` is a JSON text, `[{loss, inputs: {argument: array}, kwargs, grads: [arguments]}]`; case i
has the arrays `i/value` and `i/grad/ARGUMENT`, and inputs stand once, under their names.
"""

import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle


def inputs():
    rng = np.random.RandomState(3)
    anchor = rng.normal(size=(8, 4)).astype(np.float32)
    positive = (anchor + 0.5 * rng.normal(size=(8, 4))).astype(np.float32)
    unit = anchor / np.linalg.norm(anchor, axis=1, keepdims=True)
    many = rng.normal(size=(20, 3))
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    return {
        "anchor": anchor,
        "positive": positive,
        "unit": unit,
        # Equal rows, and numbers whose products are exact: their distance is 0 and not a rounding.
        "twins": np.round(2 * np.concatenate([anchor[:6], anchor[:2]])) / 2,
        "pairs": np.array([1, 0, 1, 0, 0, 1, 1, 0], np.int32),
        "classes": np.array([2, 0, 2, 7, 0, 7, 2, 5], np.int32),
        "singles": np.arange(8, dtype=np.int32),
        "two": np.array([0, 0, 1, 1, 0, 1, 0, 1], np.int32),
        "multi_hot": (rng.uniform(size=(8, 5)) < 0.4).astype(np.int32)
        | np.eye(8, 5, dtype=np.int32)
        | (np.arange(8)[:, None] >= 5) * np.eye(1, 5, 2, dtype=np.int32),
        "many": many.astype(np.float32),
        "many_classes": rng.randint(0, 4, (20, 1)).astype(np.int64) * 3 + 1,
        "column": np.array([[2], [0], [2], [7], [0], [7], [2], [5]], np.int64),
        "order": np.array([[0], [1], [0], [1], [0], [1], [1], [0]], np.int64),
    }


def cases():
    pair = {"embeddings_anchor": "anchor", "embeddings_positive": "positive"}
    for kwargs in ({}, {"margin": 3.5}):
        yield "contrastive_loss", {"labels": "pairs", **pair}, kwargs
    for loss in ("triplet_semihard_loss", "lifted_struct_loss"):
        for labels in ("classes", "two"):
            for embeddings in ("anchor", "unit", "twins"):
                for kwargs in ({}, {"margin": 0.3}):
                    yield loss, {"labels": labels, "embeddings": embeddings}, kwargs
    for labels in ("classes", "singles"):
        for kwargs in ({}, {"reg_lambda": 0.5}):
            yield "npairs_loss", {"labels": labels, **pair}, kwargs
    for kwargs in ({}, {"reg_lambda": 0.5}):
        yield "npairs_loss_multilabel", {"sparse_labels": "multi_hot", **pair}, kwargs
    for squared in (False, True):
        for embeddings in ("anchor", "twins"):
            yield "pairwise_distance", {"feature": embeddings}, {"squared": squared}
    for margin_type in ("nmi", "ami", "ari", "vmeasure", "const"):
        for pam in (True, False):
            kwargs = {
                "margin_multiplier": 1.5,
                "margin_type": margin_type,
                "enable_pam_finetuning": pam,
            }
            yield "cluster_loss", {"labels": "many_classes", "embeddings": "many"}, kwargs
            yield "cluster_loss", {"labels": "column", "embeddings": "unit"}, kwargs
    for multiplier in (0.0, 5.0):
        kwargs = {"margin_multiplier": multiplier}
        yield "cluster_loss", {"labels": "order", "embeddings": "anchor"}, kwargs
    kwargs = {"margin_multiplier": 2.0, "margin_type": "const"}
    yield "cluster_loss", {"labels": "order", "embeddings": "anchor"}, kwargs


SPARSE = (
    "[tf.SparseTensor(tf.where(sparse_labels[i] > 0), tf.fill([tf.math.count_nonzero("
    "sparse_labels[i])], 1), [5]) for i in range(8)]"
)


def main():
    held = inputs()
    index, arrays = [], dict(held)
    for number, (loss, given, kwargs) in enumerate(cases()):
        text = [f"{k}={SPARSE if k == 'sparse_labels' else k}" for k in given]
        text += [f"{k}={v!r}" for k, v in kwargs.items()]
        result = oracle.run_loss(
            f"slim.losses.metric_learning.{loss}({', '.join(text)})",
            {k: held[name] for k, name in given.items()},
        )
        assert "collected" not in result
        assert np.isfinite(result["value"]).all(), (loss, given, kwargs)
        grads = [key.split("/")[1] for key in result if key.startswith("grad_in/")]
        index.append({"loss": loss, "inputs": given, "kwargs": kwargs, "grads": grads})
        arrays[f"{number}/value"] = result["value"]
        for name in grads:
            assert np.isfinite(result[f"grad_in/{name}"]).all(), (loss, given, kwargs)
            arrays[f"{number}/grad/{name}"] = result[f"grad_in/{name}"]
    path = pathlib.Path(__file__).with_name("metric_learning.npz")
    np.savez_compressed(path, index=json.dumps(index), **arrays)
    print(f"{path.name}: {len(index)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
