"""`TrainState`: all that a training step changes, as one pytree."""

import flax.struct
import jax
import jax.numpy as jnp

from jslim.core import reprs
from jslim.core.trees import PyTree as PyTree
from jslim.core.trees import check_kept, is_used_up

# The step is an int32, which would become negative after this one.
MAX_STEPS = 2**31 - 1


class TrainState(flax.struct.PyTreeNode):
    """The argument and result of a training step, and the content of a checkpoint.

    Attributes:
      step: The number of steps taken, an int32 scalar; TF-Slim's global step.
      params: The 'params' collection: nested dicts with TF-Slim's names.
      batch_stats: The 'batch_stats' collection; `{}` for a model without any.
      opt_state: The optimizer's state, for the trained variables only.
      rng: A key that does not change; a step's randomness comes from it and the step's number.
      ema_params: Exponential moving averages as `{'params': ..., 'batch_stats': ...}`, or None.
      extra: Other collections of the model; `{}` as a rule.
    """

    step: jax.Array
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    rng: jax.Array
    ema_params: PyTree = None
    extra: dict[str, PyTree] = flax.struct.field(default_factory=dict)

    def __repr__(self) -> str:
        if is_used_up(self.step):
            return "<TrainState that was given to a step: its memory is used for the next one>"
        step = reprs.value_or_type(self.step)
        parts = [
            f"step {step}" if reprs.is_computed(self.step) else "a step under way",
            reprs.variables_of(self.params),
            f"{reprs.sizes(self.batch_stats)[1]:,} moving statistics",
            f"{reprs.in_bytes(reprs.sizes(self.opt_state)[2])} of optimizer state",
        ]
        if self.ema_params is not None:
            parts.append("moving averages")
        parts += [f"collection {name!r}" for name in self.extra]
        return f"<TrainState: {', '.join(parts)}>"

    @property
    def variables(self) -> dict[str, PyTree]:
        """The variables, for `Model.apply`.

        Raises:
          ValueError: The state was given to a step, which has used up its memory.
        """
        check_kept("TrainState.variables", self.step)
        return {"params": self.params, "batch_stats": self.batch_stats, **self.extra}

    def replace_variables(self, variables: dict[str, PyTree]) -> "TrainState":
        """The state with the variables `{'params': ..., 'batch_stats': ...}`.

        The moving averages of replaced variables start anew from their values.
        """
        given = self.replace(params=variables["params"], batch_stats=variables["batch_stats"])
        return given.with_averages_since(self)

    def with_averages_since(self, before: "TrainState") -> "TrainState":
        """The state, where the averages of variables replaced since `before` start anew.

        Averages that were replaced too stay.
        """
        if self.ema_params is None:
            return self
        ours, theirs = _averaged(self), _averaged(before)
        trees = (ours, theirs, self.ema_params, before.ema_params)
        if len({jax.tree.structure(tree) for tree in trees}) > 1:
            return self.replace(ema_params=jax.tree.map(_copy, ours))

        def start(value: PyTree, old_value: PyTree, average: PyTree, old_average: PyTree) -> PyTree:
            return _copy(value) if value is not old_value and average is old_average else average

        return self.replace(ema_params=jax.tree.map(start, *trees))


def _averaged(state: TrainState) -> dict[str, PyTree]:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _copy(value: PyTree) -> PyTree:
    """A copy, since two leaves of a state that share a buffer cannot both be donated."""
    return value.copy() if hasattr(value, "copy") else value


def moving_averages(before: TrainState, after: TrainState, decay: float, warms_up: bool) -> PyTree:
    """TF's ExponentialMovingAverage: with num_updates if it warms up, and otherwise without."""
    step = before.step.astype(jnp.float32)
    kept = jnp.minimum(decay, (1.0 + step) / (10.0 + step)) if warms_up else jnp.float32(decay)

    def move(average: jax.Array, value: jax.Array) -> jax.Array:
        weight = (1.0 - kept).astype(average.dtype)
        return average - (average - value.astype(average.dtype)) * weight

    return jax.tree.map(move, before.ema_params, _averaged(after))
