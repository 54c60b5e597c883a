"""`tf.contrib.metrics`: jslim's metrics, and what is computed of one batch."""

from typing import Any

import jax

from jslim import metrics
from jslim.compat.tf._counting import confusion_matrix as _confusion_matrix
from jslim.compat.tf._math import equal, multiply
from jslim.compat.tf._op import Values
from jslim.compat.tf._reductions import reduce_mean, reduce_sum
from jslim.compat.tf._values import cast


def accuracy(
    predictions: Values, labels: Values, weights: Values | None = None, name: str | None = None
) -> jax.Array:
    """The share of the predictions of a batch that are the labels."""
    right = cast(equal(predictions, labels), "float32")
    if weights is None:
        return reduce_mean(right)
    return reduce_sum(multiply(right, weights)) / reduce_sum(weights)


def confusion_matrix(
    labels: Values,
    predictions: Values,
    num_classes: int | None = None,
    dtype: Any = "int32",
    name: str | None = None,
    weights: Values | None = None,
) -> jax.Array:
    """`tf.confusion_matrix`."""
    return _confusion_matrix(labels, predictions, num_classes, dtype, name, weights)


def __getattr__(name: str) -> Any:
    return getattr(metrics, name)
