"""What metrics of decisions accept as one, and what they do about anything else.

Nothing can be raised on the device, so what is no decision is counted there, and `finalize` raises;
or gives NaN within `jax.jit`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jslim.metrics import _accumulators as accumulators

_DECISIONS = (
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


def count_rejected(fits: jax.Array, weights: jax.Array | None) -> accumulators.Sum:
    """How many examples do not fit, those of weight 0 left out."""
    is_rejected = ~fits
    if weights is not None:
        is_rejected &= weights != 0
    return accumulators.sum_of(is_rejected)


def unless_rejected(
    where: str,
    rejected: accumulators.Sum,
    value: Callable[[], jax.Array],
    what: str = _DECISIONS,
) -> jax.Array:
    """The value, or an error where examples were rejected.

    Raises:
        ValueError: Some were; `what` says what is wrong with them.
    """
    count = accumulators.value(rejected)
    try:
        count_here = int(count)
    except jax.errors.ConcretizationTypeError:
        found = value()
        return jax.tree.map(lambda leaf: jnp.where(count > 0, jnp.nan, leaf), found)
    if count_here > 0:
        raise ValueError(f"{where}: of the examples given, {count_here} {what}.")
    return value()
