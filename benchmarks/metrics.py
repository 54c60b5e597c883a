"""What metrics cost in an evaluation step: ten of them beside the forward pass of CifarNet.

    python -m benchmarks.metrics

Prints the seconds of a jitted step with and without the map of metrics, in turns, and what the map
adds; to reach: below 2 %. Where torchmetrics is installed, also the time of its updates on the same
data, and how many times as long that takes as the updates alone here.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim
from jslim.nets import nets_factory

BATCH, CLASSES, PAIRS = 256, 10, 21


def ten_metrics() -> slim.metrics.Metric:
    m = slim.metrics

    def classes(logits: Any, labels: Any) -> Any:
        return jnp.argmax(logits, -1).astype(labels.dtype), labels

    def first(logits: Any, labels: Any) -> Any:
        return jax.nn.softmax(logits)[:, 0], labels == 0

    def truths(logits: Any, labels: Any) -> Any:
        return jnp.argmax(logits, -1) == 0, labels == 0

    return m.aggregate_metric_map(
        {
            "accuracy": m.streaming_accuracy().on(classes),
            "recall_5": m.streaming_recall_at_k(5),
            "recall_3": m.streaming_sparse_recall_at_k(3),
            "mean_logit": m.streaming_mean().on(lambda logits, labels: logits),
            "precision": m.streaming_precision().on(truths),
            "recall": m.streaming_recall().on(truths),
            "auc": m.streaming_auc().on(first),
            "matrix": m.confusion_matrix(CLASSES).on(classes),
            "iou": m.streaming_mean_iou(CLASSES).on(classes),
            "kappa": m.cohen_kappa(CLASSES).on(
                lambda logits, labels: classes(logits, labels)[::-1]
            ),
        }
    )


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def torch_seconds(logits: np.ndarray, labels: np.ndarray) -> float | None:
    try:
        import torch
        import torchmetrics.classification as tm
    except ImportError:
        return None
    metrics = [
        tm.MulticlassAccuracy(CLASSES, average="micro"),
        tm.MulticlassAccuracy(CLASSES, top_k=5),
        tm.MulticlassAccuracy(CLASSES, top_k=3),
        tm.MulticlassPrecision(CLASSES),
        tm.MulticlassRecall(CLASSES),
        tm.MulticlassAUROC(CLASSES, thresholds=200),
        tm.MulticlassConfusionMatrix(CLASSES),
        tm.MulticlassJaccardIndex(CLASSES),
        tm.MulticlassCohenKappa(CLASSES),
        tm.MulticlassF1Score(CLASSES),
    ]
    scores, truth = torch.tensor(logits), torch.tensor(labels, dtype=torch.long)

    def run() -> None:
        for metric in metrics:
            metric.update(scores, truth)

    run()
    return statistics.median(seconds(run) for _ in range(PAIRS))


def main() -> None:
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(BATCH, 32, 32, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, CLASSES, BATCH), jnp.int32)
    model = slim.Model(nets_factory.get_network_fn("cifarnet", CLASSES))
    variables = model.init(jax.random.key(0), images)
    metrics = ten_metrics()
    forward = jax.jit(lambda v, x: model.apply(v, x)[0])
    both = jax.jit(lambda v, x, y, s: metrics.update(s, model.apply(v, x)[0], y))
    update = jax.jit(metrics.update)
    state, logits = metrics.init(), forward(variables, images)
    runs = {
        "forward": lambda: forward(variables, images),
        "with metrics": lambda: both(variables, images, labels, state),
        "metrics alone": lambda: update(state, logits, labels),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(PAIRS + 1):
        for name in list(runs)[:: 1 if index % 2 else -1]:
            taken = seconds(runs[name])
            if index:  # the first compiles
                times[name].append(taken)
    for name, found in times.items():
        print(f"{name:16}{1e3 * statistics.median(found):9.3f} ms")
    pairs = zip(times["with metrics"], times["forward"], strict=True)
    added = statistics.median(one / other - 1 for one, other in pairs)
    print(f"ten metrics add {100 * added:.1f} % to the forward pass of {BATCH} images of CifarNet")
    torch_time = torch_seconds(np.asarray(logits), np.asarray(labels))
    if torch_time is not None:
        ratio = torch_time / statistics.median(times["metrics alone"])
        print(f"torchmetrics' updates take {1e3 * torch_time:.3f} ms, {ratio:.1f} times as long")


if __name__ == "__main__":
    main()
