"""Counts of right and wrong binary decisions, and shares of them; also at given thresholds."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import jax
from jax.typing import ArrayLike

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric
from jslim.metrics._decisions import NO_DECISION, to_decisions
from jslim.metrics._inputs import to_pair, to_weights
from jslim.metrics._thresholds import EPSILON, Counts, DecisionState, threshold_metric


class _Kind(NamedTuple):
    """A count of decisions, or their share in the sum of them and of others."""

    what: str
    example: float  # the value of the docstring's example
    counted: str
    other: str = ""

    def words(self, positive: str, negative: str, epsilon: str = "") -> dict[str, object]:
        """What the docstring of a metric says."""
        share = f"{self.counted} / ({epsilon}{self.counted} + {self.other}), where 0 / 0 is 0"
        return {
            "what": self.what.format(positive=positive, negative=negative),
            "example": self.example,
            "value": share if self.other else f"{self.counted}, the sum of their weights",
        }


_KINDS = {
    "true_positives": _Kind("How many true examples are {positive}", 3.0, "tp"),
    "true_negatives": _Kind("How many false examples are {negative}", 2.0, "tn"),
    "false_positives": _Kind("How many false examples are {positive}", 1.0, "fp"),
    "false_negatives": _Kind("How many true examples are {negative}", 2.0, "fn"),
    "precision": _Kind("The share of true ones in the examples {positive}", 0.75, "tp", "fp"),
    "recall": _Kind("The share of the true examples {positive}", 0.6, "tp", "fn"),
    "false_positive_rate": _Kind("The share of the false examples {positive}", 0.3333, "fp", "tn"),
    "false_negative_rate": _Kind("The share of the true examples {negative}", 0.4, "fn", "tp"),
}


def _of_decisions(name: str) -> Callable[[], Metric]:
    """The metric `streaming_<name>`."""
    kind = _KINDS[name]

    def constructor(where: str) -> Metric:
        """{what}.

        TF-Slim casts class ids and probabilities to bool, which calls everything but 0 true. Here
        they are refused, and NaN too: `finalize` raises, or gives NaN within `jax.jit`. Examples
        of weight 0 may hold anything.

        `update(state, predictions, labels, *, weights=None)`:
            predictions: Decisions of any shape: bool, or numbers that are 0 or 1.
            labels: The truth, given in the same way and of the same shape.
            weights: See `jslim.metrics`.

        Returns:
            A metric with a scalar value, {value}. Its `finalize` reads one number from the device.

        Raises:
            TypeError: By `update`, if the data is neither bool nor real numbers.
            ValueError: By `finalize`, if a prediction or label was neither 0 nor 1.

        >>> metric = {name}()
        >>> state = metric.update(metric.init(), [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 0, 0])
        >>> round(float(metric.finalize(state)), 4)
        {example}
        """

        def batch(
            predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
        ) -> DecisionState:
            predictions, labels = to_pair(where, predictions, labels)
            predicted, predictions_fit = to_decisions(where, "predictions", predictions)
            truth, labels_fit = to_decisions(where, "labels", labels)
            aligned = to_weights(where, weights, truth.shape)
            fits = predictions_fit & labels_fit
            return DecisionState.of(predicted, truth, fits, aligned, kinds)

        def value(state: DecisionState) -> jax.Array:
            total, *others = state.counts
            if not others:
                return accumulators.value(total)
            return accumulators.ratio(total, accumulators.add(total, *others))

        kinds = [kind.counted, kind.other] if kind.other else [kind.counted]
        empty = functools.partial(DecisionState.empty, len(kinds))
        return pair_metric(where, empty, batch, value, rejects=NO_DECISION)

    return metric(
        constructor, f"streaming_{name}", **kind.words("predicted true", "predicted false")
    )


class _AtThresholds(Protocol):
    def __call__(self, thresholds: Sequence[float]) -> Metric: ...


def _at_thresholds(name: str) -> _AtThresholds:
    """The metric `streaming_<name>_at_thresholds`."""
    kind = _KINDS[name]

    def constructor(where: str, thresholds: Sequence[float]) -> Metric:
        """{what}.

        Args:
            thresholds: Real numbers.

        `update(state, predictions, labels, *, weights=None)`:
            predictions: Real numbers of any shape. A NaN is refused, as by `streaming_auc`.
            labels: bool, or 0 and 1, of the same shape.
            weights: See `jslim.metrics`.

        Returns:
            A metric with a value `[thresholds]`, {value}.

        >>> metric = {name}([0.5])
        >>> scores = [0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1]
        >>> state = metric.update(metric.init(), scores, [1, 1, 1, 0, 1, 1, 0, 0])
        >>> round(float(metric.finalize(state)[0]), 4)
        {example}
        """

        def value(counts: Counts) -> jax.Array:
            total = getattr(counts, kind.counted)
            return total / (EPSILON + total + getattr(counts, kind.other)) if kind.other else total

        return threshold_metric(where, thresholds, value, are_probabilities=False)

    words = kind.words("above each threshold", "at or below each threshold", "1e-7 + ")
    return metric(constructor, f"streaming_{name}_at_thresholds", **words)


precision = streaming_precision = _of_decisions("precision")
recall = streaming_recall = _of_decisions("recall")
streaming_false_negative_rate = _of_decisions("false_negative_rate")
streaming_false_negatives = _of_decisions("false_negatives")
streaming_false_positive_rate = _of_decisions("false_positive_rate")
streaming_false_positives = _of_decisions("false_positives")
streaming_true_negatives = _of_decisions("true_negatives")
streaming_true_positives = _of_decisions("true_positives")

streaming_false_negative_rate_at_thresholds = _at_thresholds("false_negative_rate")
streaming_false_negatives_at_thresholds = _at_thresholds("false_negatives")
streaming_false_positive_rate_at_thresholds = _at_thresholds("false_positive_rate")
streaming_false_positives_at_thresholds = _at_thresholds("false_positives")
streaming_precision_at_thresholds = _at_thresholds("precision")
streaming_recall_at_thresholds = _at_thresholds("recall")
streaming_true_negatives_at_thresholds = _at_thresholds("true_negatives")
streaming_true_positives_at_thresholds = _at_thresholds("true_positives")
