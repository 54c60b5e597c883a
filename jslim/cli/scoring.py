"""The metrics of a classifier, by their names in the flags `--metrics` and `--best_metric`.

All of them take `(logits, labels)` of a batch. `NAME_X` is a metric with a number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jslim import evaluation, metrics
from jslim.cli.flags import Config, UsageError, flag, scopes_of
from jslim.core.errors import did_you_mean
from jslim.metrics import Metric


@dataclass(frozen=True)
class MetricsConfig(Config):
    """What is evaluated.

    Attributes:
      metrics: Comma-separated metrics to evaluate: Accuracy, Loss, Recall_K (such as Recall_3),
        AveragePrecision_K, MeanPrecision, MeanRecall, MeanF1 and MeanIOU over the classes,
        CohenKappa; of two classes Precision, Recall, AUC, AUC_PR, PrecisionAtRecall_X (such as
        PrecisionAtRecall_0.9), RecallAtPrecision_X, SensitivityAtSpecificity_X,
        SpecificityAtSensitivity_X. Default: Accuracy, Loss and, of more than five classes,
        Recall_5.
    """

    metrics: str | None = flag(None, on_resume="may_change")


# Selects the data of a metric from the logits and labels of a batch.
Pair = tuple[jax.Array, jax.Array]
Select = Callable[[jax.Array, jax.Array], Pair | jax.Array | dict[str, jax.Array]]


class _Row(NamedTuple):
    make: Callable[..., Metric]  # of the number of classes, or of the number after the name
    select: Select | None = None
    number: Callable[[str], float] | None = None
    is_binary: bool = False
    less_is_better: bool = False


def predicted_class(logits: jax.Array, labels: jax.Array) -> Pair:
    """Predicted and right class ids."""
    return jnp.argmax(logits, -1).astype(labels.dtype), labels


def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    scores = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]


def _positive(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """The probability of class 1 of two, and whether it is the label."""
    scores = jax.nn.softmax(logits.astype(jnp.float32))[:, 1]
    return {"predictions": scores, "labels": labels == 1}  # in TF-Slim's two orders


def _is_positive(logits: jax.Array, labels: jax.Array) -> Pair:
    return jnp.argmax(logits, -1) == 1, labels == 1


def _label_sets(logits: jax.Array, labels: jax.Array) -> Pair:
    return logits, labels[:, None]


def _mean_score(name: str) -> Callable[[int], Metric]:
    """The mean over the classes of one of the scores of `metrics.per_class`."""

    def make(num_classes: int) -> Metric:
        whole = metrics.per_class(num_classes)
        return whole._replace(finalize=lambda state: jnp.mean(getattr(whole.finalize(state), name)))

    return make


def _of_data(make: Callable[[], Metric]) -> Callable[[int], Metric]:
    """A metric that does not depend on the number of classes."""
    return lambda num_classes: make()


_ROWS = {
    "Accuracy": _Row(_of_data(metrics.streaming_accuracy), predicted_class),
    "Loss": _Row(_of_data(metrics.streaming_mean), _cross_entropy, less_is_better=True),
    "Recall_K": _Row(metrics.streaming_recall_at_k, number=int),
    "AveragePrecision_K": _Row(
        metrics.streaming_sparse_average_precision_at_k, _label_sets, number=int
    ),
    "MeanPrecision": _Row(_mean_score("precision"), predicted_class),
    "MeanRecall": _Row(_mean_score("recall"), predicted_class),
    "MeanF1": _Row(_mean_score("f1"), predicted_class),
    "MeanIOU": _Row(metrics.streaming_mean_iou, predicted_class),
    "CohenKappa": _Row(metrics.cohen_kappa, predicted_class),
    "Precision": _Row(_of_data(metrics.streaming_precision), _is_positive, is_binary=True),
    "Recall": _Row(_of_data(metrics.streaming_recall), _is_positive, is_binary=True),
    "AUC": _Row(_of_data(metrics.streaming_auc), _positive, is_binary=True),
    "AUC_PR": _Row(
        lambda num_classes: metrics.streaming_auc(curve="PR"), _positive, is_binary=True
    ),
    **{
        name: _Row(make, _positive, number=float, is_binary=True)
        for name, make in (
            ("PrecisionAtRecall_X", metrics.precision_at_recall),
            ("RecallAtPrecision_X", metrics.recall_at_precision),
            ("SensitivityAtSpecificity_X", metrics.streaming_sensitivity_at_specificity),
            ("SpecificityAtSensitivity_X", metrics.streaming_specificity_at_sensitivity),
        )
    },
}
METRIC_NAMES = tuple(_ROWS)


def metric_map(config: MetricsConfig, num_classes: int) -> dict[str, Metric]:
    """The metrics of `--metrics`, by default those of TF-Slim's script and the loss.

    Raises:
      UsageError: There is no such metric, or none for this number of classes.
    """
    default = ["Accuracy", "Loss", *(["Recall_5"] if num_classes > 5 else [])]
    names = scopes_of(config.metrics) or default
    return {name: make_metric(name, num_classes) for name in names}


def check_names(config: MetricsConfig) -> None:
    """Refuses names in `--metrics` that no metric has, whatever the classes."""
    for name in scopes_of(config.metrics):
        find(name)


def make_metric(name: str, num_classes: int, flag: str = "--metrics") -> Metric:
    """One metric.

    Args:
      name: Such as `Accuracy`, `Recall_3` or `PrecisionAtRecall_0.9`; see `METRIC_NAMES`.
      num_classes: The number of classes.
      flag: The flag that names it, for errors.

    Raises:
      UsageError: There is no such metric, or none for this number of classes.
    """
    row, number = find(name, flag)
    if row.is_binary and num_classes != 2:
        raise UsageError(
            f"{flag}: {name} is of two classes, the second one positive; there are {num_classes}"
        )
    if row.number is int and not 1 <= number <= num_classes:
        raise UsageError(f"{flag}: {name} needs a number from 1 to the {num_classes} classes")
    try:
        metric = row.make(num_classes if row.number is None else number)
    except ValueError as error:
        raise UsageError(f"{flag}: {name}: {error}") from error
    return metric if row.select is None else metric.on(row.select)


def find(name: str, flag: str = "--metrics") -> tuple[_Row, float]:
    """The row of a metric, and the number in its name, or 0.

    Raises:
      UsageError: There is no such metric.
    """
    if name in _ROWS and _ROWS[name].number is None:
        return _ROWS[name], 0
    stem, _, text = name.rpartition("_")
    for known in (f"{stem}_K", f"{stem}_X"):
        row = _ROWS.get(known)
        if row is not None and row.number is not None:
            try:
                return row, row.number(text)
            except ValueError:
                raise UsageError(
                    f"{flag}: {known} has a number where {name} has {text!r}"
                ) from None
    raise UsageError(
        f"{flag}: there is no metric {name!r}; give some of {', '.join(METRIC_NAMES)}"
        f"{did_you_mean(name, METRIC_NAMES)}"
    )


def line_of_values(values: Mapping[str, object]) -> str:
    """The metrics that are numbers, as TF-Slim's script prints them."""
    return "  ".join(
        f"eval/{name}[{value:.4f}]" for name, value in evaluation.scalars(values).items()
    )
