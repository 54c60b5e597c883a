"""Finding the first quantity of a training step that is NaN or infinite."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jslim.core.trees import named
from jslim.learning.state import PyTree

# The value of `check_numerics` that checks all quantities.
EVERYTHING = "everything"
# The name of `first_nonfinite` in the outputs of a step.
FIRST_NONFINITE = "first_nonfinite"


def quantities_of_step(
    loss: jax.Array, gradients: PyTree, params: PyTree, batch_stats: PyTree
) -> dict[str, jax.Array]:
    """The quantities of a step in the order of their computation, by their names in errors."""
    return {
        "the loss": loss,
        **{
            f"the {kind} {name!r}": value
            for kind, tree in (
                ("gradient of", gradients),
                ("variable", params),
                ("statistic", batch_stats),
            )
            for name, value in named(tree).items()
        },
    }


def first_nonfinite(quantities: Mapping[str, jax.Array]) -> jax.Array:
    """The index of the first quantity with NaN or infinity, an int32 scalar; -1 if all are finite.

    Example:
      >>> int(first_nonfinite({"a": jnp.ones(2), "b": jnp.array([1.0, jnp.nan])}))
      1
    """
    bad = jnp.stack([jnp.logical_not(jnp.all(jnp.isfinite(x))) for x in quantities.values()])
    return jnp.where(jnp.any(bad), jnp.argmax(bad), -1).astype(jnp.int32)
