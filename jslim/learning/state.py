"""`TrainState`: everything that a training step changes, as one pytree."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp


class TrainState(flax.struct.PyTreeNode):
    """What a training step takes and gives, and what a checkpoint holds.

    Attributes:
      step: How many steps have been taken, int32 scalar; TF-Slim's global step.
      params: The 'params' collection: nested dicts under TF-Slim's names.
      batch_stats: The 'batch_stats' collection; `{}` for a model without any.
      opt_state: The optimizer's state, for the trained variables alone.
      rng: The key that every step's randomness is derived from, with the step's number; it stays.
      ema_params: Exponential moving averages as `{'params': ..., 'batch_stats': ...}`, or None.
      extra: Other variable collections that the model made; `{}` as a rule.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    rng: jax.Array
    ema_params: Any = None
    extra: Any = flax.struct.field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Any]:
        """What `Model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats, **self.extra}

    def replace_variables(self, variables: dict[str, Any]) -> "TrainState":
        """The state with the variables of `{'params': ..., 'batch_stats': ...}` in place."""
        return self.replace(params=variables["params"], batch_stats=variables["batch_stats"])


def moving_averages(before: TrainState, after: TrainState, greatest_decay: float) -> Any:
    """TF's ExponentialMovingAverage with num_updates: quick at first, then `greatest_decay`."""
    step = before.step.astype(jnp.float32)
    decay = jnp.minimum(greatest_decay, (1.0 + step) / (10.0 + step))

    def move(average: jax.Array, value: jax.Array) -> jax.Array:
        weight = (1.0 - decay).astype(average.dtype)
        return average - (average - value.astype(average.dtype)) * weight

    current = {"params": after.params, "batch_stats": after.batch_stats}
    return jax.tree.map(move, before.ema_params, current)
