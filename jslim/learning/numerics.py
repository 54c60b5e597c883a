"""Finding the first quantity of a training step that is NaN or infinite."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jslim.core.trees import named

# What `check_numerics` is to look at all of it.
EVERYTHING = "everything"
# The name in a step's outputs of what `first_nonfinite` gave.
FIRST_NONFINITE = "first_nonfinite"


def quantities_of_step(
    loss: jax.Array, gradients: Mapping[str, jax.Array], params: Any, batch_stats: Any
) -> dict[str, jax.Array]:
    """What a step computes, in the order in which it does, each under what an error calls it."""
    return {
        "the loss": loss,
        **{f"the gradient of {name!r}": value for name, value in gradients.items()},
        **{f"the variable {name!r}": value for name, value in named(params).items()},
        **{f"the statistic {name!r}": value for name, value in named(batch_stats).items()},
    }


def first_nonfinite(quantities: Mapping[str, jax.Array]) -> jax.Array:
    """The place of the first that holds NaN or infinity, int32; -1 if all are finite."""
    bad = jnp.stack([jnp.logical_not(jnp.all(jnp.isfinite(x))) for x in quantities.values()])
    return jnp.where(jnp.any(bad), jnp.argmax(bad), -1).astype(jnp.int32)
