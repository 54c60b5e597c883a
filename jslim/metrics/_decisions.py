"""The inputs that metrics of decisions accept, and how they refuse others.

A program on the device cannot raise an error. It counts the examples that do not fit; `finalize`
raises the error, or gives NaN within `jax.jit`.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.metrics import _accumulators as accumulators

ValueT = TypeVar("ValueT")  # an array, or a pytree of them

NO_DECISION = (
    "had a prediction or a label other than 0 or 1; compare probabilities with a threshold "
    "(predictions > 0.5), class ids with one class (predictions == class_id, labels == class_id)"
)


def to_decisions(where: str, name: str, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Truth values, and where the values given are ones."""
    if values.dtype == bool:
        return values, jnp.ones_like(values)
    check_real(where, name, values, "bool, or numbers 0 and 1")
    return values == 1, (values == 0) | (values == 1)


def check_real(where: str, name: str, values: jax.Array, accepted: str) -> None:
    """Refuses bools and complex numbers."""
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
        ValueError: Some were, with the fault `what`.
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
