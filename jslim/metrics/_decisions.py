"""What metrics of decisions accept as one, and what they do about anything else.

Nothing can be raised on the device. So what is not a decision is counted there, and `finalize`
raises, or gives NaN within `jax.jit`.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._inputs import Given, to_pair, to_statistics, to_weights

ValueT = TypeVar("ValueT")  # an array, or a pytree of them

NO_DECISION = (
    "had a prediction or a label other than 0 or 1; compare probabilities with a threshold "
    "(predictions > 0.5), class ids with one class (predictions == class_id, labels == class_id)"
)


def to_decisions(where: str, name: str, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Truth values, and where what was given is one."""
    if values.dtype == bool:
        return values, jnp.ones_like(values)
    check_real(where, name, values, "bool, or numbers 0 and 1")
    return values == 1, (values == 0) | (values == 1)


def check_real(where: str, name: str, values: jax.Array, wanted: str = "real numbers") -> None:
    """Raises TypeError unless they are integers or floating numbers."""
    if not jnp.issubdtype(values.dtype, jnp.integer) and not jnp.issubdtype(
        values.dtype, jnp.floating
    ):
        raise TypeError(f"{where}: {name} must be {wanted}, got {values.dtype}.")


class Scored(NamedTuple):
    """Scores of two classes with their truth, all of one shape.

    Attributes:
        scores: In the type that metrics compute in.
        truth: Bool.
        fits: Where there is a truth value.
        weights: Ready to broadcast, or None.
    """

    scores: jax.Array
    truth: jax.Array
    fits: jax.Array
    weights: jax.Array | None


def to_scored(where: str, given: Given) -> Scored:
    """What the metrics of scores do to their inputs first."""
    predictions, labels = to_pair(where, given.predictions, given.labels)
    check_real(where, "predictions", predictions)
    truth, fits = to_decisions(where, "labels", labels)
    weights = to_weights(where, given.weights, truth.shape)
    return Scored(to_statistics(predictions), truth, fits, weights)


def count_rejected(fits: jax.Array, weights: jax.Array | None) -> accumulators.Sum:
    """How many examples do not fit, those of weight 0 left out."""
    is_rejected = ~fits
    if weights is not None:
        is_rejected &= weights != 0
    return accumulators.sum_of(is_rejected)


def unless_rejected(
    where: str, rejected: accumulators.Sum, value: Callable[[], ValueT], what: str
) -> ValueT:
    """The value, or an error where examples were rejected.

    Raises:
        ValueError: Some were; `what` says what is wrong with them.
    """
    count = accumulators.value(rejected)
    return value_unless(
        count, value, lambda: f"{where}: of the examples given, {int(count)} {what}."
    )


def value_unless(bad: jax.Array, value: Callable[[], ValueT], message: Callable[[], str]) -> ValueT:
    """The value, or an error with that message where `bad` is above 0; within `jax.jit`, NaN."""
    try:
        is_bad = bool(bad > 0)
    except jax.errors.ConcretizationTypeError:
        return jax.tree.map(lambda leaf: jnp.where(bad > 0, jnp.nan, leaf), value())
    if is_bad:
        raise ValueError(message())
    return value()
