"""Which inputs metrics of decisions accept, and what they do about others.

Nothing can be raised on the device. There, examples that do not fit are counted; then `finalize`
raises, or gives NaN within `jax.jit`.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._inputs import to_pair, to_statistics

ValueT = TypeVar("ValueT")  # an array, or a pytree of them

NO_DECISION = (
    "had a prediction or a label other than 0 or 1; compare probabilities with a threshold "
    "(predictions > 0.5), class ids with one class (predictions == class_id, labels == class_id)"
)


def to_decisions(where: str, name: str, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Truth values, and where the values given are ones."""
    if values.dtype == bool:
        return values, jnp.ones_like(values)
    _check_real(where, name, values, "bool, or numbers 0 and 1")
    return values == 1, (values == 0) | (values == 1)


def to_scored(
    where: str, predictions: ArrayLike, labels: ArrayLike
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores of two classes, their truth values, and where there is a number and a truth value.

    All three have one shape; the scores have the type that metrics compute in.
    """
    predictions, labels = to_pair(where, predictions, labels)
    _check_real(where, "predictions", predictions, "real numbers")
    truth, fits = to_decisions(where, "labels", labels)
    scores = to_statistics(predictions)
    return scores, truth, fits & ~jnp.isnan(scores)


def _check_real(where: str, name: str, values: jax.Array, accepted: str) -> None:
    if values.dtype == bool or jnp.iscomplexobj(values):
        raise checks.refusal(where, name, accepted, values.dtype.name, kind=TypeError)


def count_rejected(fits: jax.Array, weights: jax.Array | None) -> accumulators.Sum:
    """How many examples do not fit, those of weight 0 left out."""
    return accumulators.sum_of(~fits if weights is None else ~fits & (weights != 0))


def unless_rejected(
    where: str, rejected: accumulators.Sum, value: Callable[[], ValueT], what: str
) -> ValueT:
    """The value, or an error where examples were rejected.

    Raises:
        ValueError: Some were; `what` says what is wrong with them.
    """
    count = accumulators.value(rejected)
    return value_unless(
        count, value, lambda: f"{where}: of the examples given, {int(count)} {what}"
    )


def value_unless(bad: jax.Array, value: Callable[[], ValueT], message: Callable[[], str]) -> ValueT:
    """The value, or an error with that message where `bad` is above 0.

    Within `jax.jit` NaN takes the place of the error, in values that are floating point.
    """
    try:
        is_bad = bool(bad > 0)
    except jax.errors.ConcretizationTypeError:
        return jax.tree.map(
            lambda leaf: (
                jnp.where(bad > 0, jnp.nan, leaf)
                if jnp.issubdtype(leaf.dtype, jnp.floating)
                else leaf
            ),
            value(),
        )
    if is_bad:
        raise ValueError(message())
    return value()
