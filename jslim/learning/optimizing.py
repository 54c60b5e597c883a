"""`optimize_loss`: a train op from a loss and the name of an optimizer, with everything on the way
from the gradients to the update as one optax chain."""

import dataclasses
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core.model import Model
from jslim.core.seeds import key_of
from jslim.core.text import some_of
from jslim.learning import chain
from jslim.learning.clipping import AdaptiveClippingState
from jslim.learning.gradients import (
    Gradients,
    GradientsFn,
    Multipliers,
    clip_by_global_norm,
    global_norm,
)
from jslim.learning.state import PyTree
from jslim.learning.step import create_train_op
from jslim.learning.train_op import TrainOp
from jslim.optimizers import OPTIMIZER_CLS_NAMES
from jslim.summaries import Summaries, histogram_summary, scalar_summary

Rate = float | jax.Array | Callable[..., ArrayLike]
DecayFn = Callable[[jax.Array, jax.Array], ArrayLike]

OPTIMIZER_SUMMARIES = [
    "learning_rate",
    "loss",
    "gradients",
    "gradient_norm",
    "global_gradient_norm",
]
_DEFAULT_SUMMARIES = ("loss", "learning_rate", "global_gradient_norm")
_OP = "optimize_loss"


def optimize_loss(
    loss: Callable[..., object] | Model,
    global_step: None = None,
    learning_rate: Rate | None = None,
    optimizer: str | optax.GradientTransformation | Callable[..., object] | None = None,
    gradient_noise_scale: float | None = None,
    gradient_multipliers: Multipliers | None = None,
    clip_gradients: float | optax.GradientTransformation | GradientsFn | None = None,
    learning_rate_decay_fn: DecayFn | None = None,
    update_ops: None = None,
    variables: Iterable[str] | None = None,
    name: str | None = None,
    summaries: Sequence[str] | None = None,
    colocate_gradients_with_ops: bool = False,
    increment_global_step: bool = True,
    *,
    seed: int = 0,
    check_numerics: bool = True,
    moving_average_decay: float | None = None,
    mesh: Mesh | None = None,
) -> TrainOp:
    """Makes the training step of a loss and an optimizer, which may be given by its name.

    The gradients get noise, are multiplied, clipped and go to the optimizer, in this order.

    Differs from TF-Slim: `loss` is a function of a batch, and the train op counts its steps; what
    only a graph needs (`global_step`, `update_ops`, `colocate_gradients_with_ops`,
    `increment_global_step`) keeps its place and takes its default alone. Whole numbers are as good
    as floats.

    Args:
      loss: A model function (or a `Model`) of one batch, as for `create_train_op`.
      global_step: None.
      learning_rate: A number of at least 0 or a scalar array; a schedule; or None where the
        optimizer has its own.
      optimizer: A name in `OPTIMIZER_CLS_NAMES` ('Adagrad', 'Adam', 'Ftrl', 'Momentum' with
        momentum 0.9, 'RMSProp', 'SGD'); an optax transformation; or a function of the learning
        rate, of nothing if that is None, that gives one.
      gradient_noise_scale: Standard deviation of the normal noise added to all gradients, cut off
        at two of them; None adds none.
      gradient_multipliers: `{name or pattern: multiplier}`; names may end in ':0'.
      clip_gradients: The greatest common L2 norm of all gradients; an optax transformation such as
        `adaptive_clipping_fn()`; or a function from `{name: gradient}` to the same.
      learning_rate_decay_fn: `f(learning_rate, global_step)`, which gives the rate of a step; steps
        count from 0. Ignored where `learning_rate` is None.
      update_ops: None.
      variables: What to train: names, patterns or a `{name: leaf}` dict; None for all trainable.
      name: What the names of the summaries start with; default 'OptimizeLoss'.
      summaries: Which of `OPTIMIZER_SUMMARIES` to record; default the loss, the learning rate (if
        it decays) and the common norm of the gradients.
      colocate_gradients_with_ops: False.
      increment_global_step: True.
      seed: Of the noise.
      check_numerics: As for `create_train_op`.
      moving_average_decay: As for `create_train_op`.
      mesh: As for `create_train_op`.

    Returns:
      A `TrainOp`.

    Raises:
      ValueError: A number is out of range, an unknown optimizer or summary, or there is no
        learning rate for the optimizer.
      TypeError: An argument is of a wrong kind.
    """
    for argument, value, default, instead in (
        ("global_step", global_step, None, "the train op counts its steps"),
        ("update_ops", update_ops, None, "batch_norm(is_training=False) freezes statistics"),
        ("colocate_gradients_with_ops", colocate_gradients_with_ops, False, "the compiler places"),
        ("increment_global_step", increment_global_step, True, "a train op counts each step"),
    ):
        if value is not default:
            raise ValueError(f"{_OP}: {argument} must be {default}, got {value!r}; {instead}")
    shown = _DEFAULT_SUMMARIES if summaries is None else summaries
    for wanted in shown:
        accepted = f"among {', '.join(map(repr, OPTIMIZER_SUMMARIES))}"
        checks.one_of(_OP, "summaries", wanted, OPTIMIZER_SUMMARIES, accepted)
    rate = _as_rate(learning_rate, learning_rate_decay_fn)
    changes = [optax.identity()]
    if gradient_noise_scale is not None:
        changes.append(_noise(gradient_noise_scale, seed))
    if gradient_multipliers is not None:
        changes.append(chain.multiply(gradient_multipliers))
    decays = learning_rate is not None and learning_rate_decay_fn is not None
    watch = _Watch(
        shown=frozenset(shown),
        name=name or "OptimizeLoss",
        rate=rate if decays else None,
        clips=clip_gradients is not None,
    )
    optimizer = optax.chain(
        chain.watched(optax.chain(*changes), watch.before_clipping),
        chain.watched(_as_clipping(clip_gradients), watch.after_clipping),
        _as_optimizer(optimizer, rate),
    )
    return create_train_op(
        loss,
        optimizer,
        variables_to_train=variables,
        check_numerics=check_numerics,
        moving_average_decay=moving_average_decay,
        mesh=mesh,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Watch:
    """Makes the summaries of an update, before and after clipping.

    Attributes:
      shown: Which of `OPTIMIZER_SUMMARIES`.
      name: What the tags start with.
      rate: The learning rate where it decays, or None.
      clips: Whether gradients are clipped.
    """

    shown: frozenset[str]
    name: str
    rate: optax.Schedule | None
    clips: bool

    @property
    def _shows_norm(self) -> bool:
        return bool(self.shown & {"global_gradient_norm", "gradient_norm"})

    def before_clipping(
        self, update: chain.Update, gradients: Gradients, state: PyTree
    ) -> Summaries:
        found: Summaries = {}
        if "loss" in self.shown:
            found |= scalar_summary(f"{self.name}/loss", update.loss)
        if "learning_rate" in self.shown and self.rate is not None:
            found |= scalar_summary(f"{self.name}/learning_rate", self.rate(update.state.step))
        if self._shows_norm:
            tag = f"{self.name}/global_norm/gradient_norm"
            found |= scalar_summary(tag, global_norm(gradients))
        return found

    def after_clipping(
        self, update: chain.Update, gradients: Gradients, state: PyTree
    ) -> Summaries:
        found: Summaries = {}
        if not self.shown:
            return found
        tag = f"{self.name}/global_norm"
        if self._shows_norm and self.clips:
            found |= scalar_summary(f"{tag}/clipped_gradient_norm", global_norm(gradients))
        if isinstance(state, AdaptiveClippingState) and state.max_norm is not None:
            found |= scalar_summary(f"{tag}/adaptive_max_gradient_norm", state.max_norm)
        for variable, gradient in gradients.items():
            # TF's variables are called `name:0`, and ':' becomes '_' in a tag.
            if "gradients" in self.shown:
                found |= histogram_summary(f"{self.name}/gradients/{variable}_0", gradient)
            if "gradient_norm" in self.shown:
                tag = f"{self.name}/gradient_norm/{variable}_0"
                found |= scalar_summary(tag, global_norm(gradient))
        return found


def _check_clipped(changed: object, gradients: Gradients) -> Gradients:
    """What the function given as `clip_gradients` gave, if it fits what it was given."""
    must = f"{_OP}: clip_gradients must give back {{name: gradient}}"
    if not isinstance(changed, Mapping):
        raise ValueError(f"{must}, got {type(changed).__name__}")
    if changed.keys() != gradients.keys():
        wanted, given = (
            some_of([repr(n) for n in sorted(held)], 3) for held in (gradients, changed)
        )
        raise ValueError(f"{must} for the names [{wanted}], got [{given}]")
    return changed


class NoiseState(NamedTuple):
    """How many times noise was added."""

    num_updates: jax.Array


def _noise(scale: float, seed: int) -> optax.GradientTransformation:
    if not isinstance(scale, numbers.Real) or not float(scale) >= 0:
        accepted = "a number of at least 0 or None"
        raise checks.refusal(_OP, "gradient_noise_scale", accepted, repr(scale))

    def init(params: PyTree) -> NoiseState:
        return NoiseState(jnp.zeros((), jnp.int32))

    def update(
        gradients: PyTree, state: NoiseState, params: PyTree = None
    ) -> tuple[PyTree, NoiseState]:
        key = jax.random.fold_in(key_of(seed), state.num_updates)
        leaves, structure = jax.tree.flatten(gradients)
        noisy = []
        for index, leaf in enumerate(leaves):
            own = jax.random.fold_in(key, index)
            noise = jax.random.truncated_normal(own, -2.0, 2.0, leaf.shape, jnp.float32)
            noisy.append(leaf + (noise * scale).astype(leaf.dtype))
        return jax.tree.unflatten(structure, noisy), NoiseState(state.num_updates + 1)

    return optax.GradientTransformation(init, update)


def _as_clipping(given: object) -> optax.GradientTransformation:
    if given is None:
        return optax.identity()
    if isinstance(given, optax.GradientTransformation):
        return given
    if isinstance(given, numbers.Real) and not isinstance(given, bool):
        max_norm = float(given)
        checks.number(_OP, "clip_gradients", max_norm, above=0)
        return chain.stateless(lambda tree: clip_by_global_norm(tree, max_norm))
    if callable(given):
        return chain.stateless(chain.by_name(lambda named: _check_clipped(given(named), named)))
    raise TypeError(
        f"{_OP}: clip_gradients must be a number, an optax transformation such as "
        f"adaptive_clipping_fn(), a function of {{name: gradient}} or None, got {given!r}"
    )


def _as_rate(learning_rate: Rate | None, decay_fn: DecayFn | None) -> Rate | None:
    """A number, an array, a schedule, or None."""
    if learning_rate is None:
        return None
    if callable(learning_rate):
        if decay_fn is not None:
            raise ValueError(
                f"{_OP}: learning_rate is a schedule already; give it or learning_rate_decay_fn"
            )
        return learning_rate
    is_array = hasattr(learning_rate, "dtype") and jnp.shape(learning_rate) == ()
    if isinstance(learning_rate, bool) or not (is_array or isinstance(learning_rate, numbers.Real)):
        raise TypeError(
            f"{_OP}: learning_rate must be a number, a scalar array, a schedule or None, got "
            f"{learning_rate!r}"
        )
    checks.number(_OP, "learning_rate", float(learning_rate), at_least=0)
    if decay_fn is None:
        return learning_rate
    if not callable(decay_fn):
        raise TypeError(
            f"{_OP}: learning_rate_decay_fn must be a function of the learning rate and the step, "
            f"got {decay_fn!r}"
        )
    return lambda step: decay_fn(jnp.asarray(learning_rate, jnp.float32), step)


def _as_optimizer(given: object, rate: Rate | None) -> optax.GradientTransformation:
    if isinstance(given, str):
        checks.one_of(_OP, "optimizer", given, OPTIMIZER_CLS_NAMES)
        if rate is None:
            raise ValueError(f"{_OP}: the optimizer {given!r} needs a learning_rate, got None")
        return OPTIMIZER_CLS_NAMES[given](rate)
    if isinstance(given, optax.GradientTransformation):
        return given
    if not callable(given):
        raise TypeError(
            f"{_OP}: optimizer must be a name such as 'Adam', an optax transformation or a "
            f"function of the learning rate that gives one, got {given!r}"
        )
    made = given() if rate is None else given(rate)
    if not isinstance(made, optax.GradientTransformation):
        raise TypeError(
            f"{_OP}: the function given as optimizer must give an optax transformation, got "
            f"{type(made).__name__}"
        )
    return made
