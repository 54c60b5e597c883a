"""`optimize_loss`: a train op from a loss and the name of an optimizer, as one optax chain."""

import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core.model import Model
from jslim.core.seeds import key_of
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
from jslim.learning.step import check_of_graph, create_train_op
from jslim.learning.train_op import TrainOp
from jslim.optimizers import OPTIMIZER_CLS_NAMES
from jslim.summaries import Summaries, histogram_summary, scalar_summary

Rate = float | jax.Array | Callable[..., ArrayLike]
DecayFn = Callable[[jax.Array, jax.Array], ArrayLike]

# What `optimize_loss` can record.
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
    update_ops: Iterable[object] | None = None,
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

    Gradients get noise, are multiplied and clipped, and go to the optimizer, in this order.

    Differs from TF-Slim: `loss` is a function of a batch, and the train op counts its steps. The
    arguments for graphs (`global_step`, `colocate_gradients_with_ops`, `increment_global_step`)
    keep their places and accept only their defaults. Whole numbers are accepted for floats.

    Args:
      loss: A model function (or a `Model`) of one batch, as for `create_train_op`.
      global_step: None.
      learning_rate: A number of at least 0 or a scalar array; a schedule; or None if the optimizer
        has its own.
      optimizer: A name in `OPTIMIZER_CLS_NAMES` ('Adagrad', 'Adam', 'Ftrl', 'Momentum' with
        momentum 0.9, 'RMSProp', 'SGD'); an optax transformation; or a function that makes one from
        the learning rate, or from nothing if that is None.
      gradient_noise_scale: Standard deviation of normal noise, cut off at two standard deviations,
        that is added to all gradients; None adds none.
      gradient_multipliers: `{name or pattern: multiplier}`; names may end in ':0'.
      clip_gradients: The greatest common L2 norm of all gradients; an optax transformation such as
        `adaptive_clipping_fn()`; or a function of `{name: gradient}` that returns such a dict.
      learning_rate_decay_fn: `f(learning_rate, global_step)` gives the rate of a step; steps count
        from 0. Ignored if `learning_rate` is None.
      update_ops: As for `create_train_op`.
      variables: What to train: names, patterns or a `{name: leaf}` dict; None for all trainable.
      name: The start of the tags of summaries; default 'OptimizeLoss'.
      summaries: Which of `OPTIMIZER_SUMMARIES` to record; default the loss, the learning rate (if
        it decays) and the common norm of the gradients.
      colocate_gradients_with_ops: False.
      increment_global_step: True.
      seed: The seed of the noise.
      check_numerics: As for `create_train_op`.
      moving_average_decay: As for `create_train_op`.
      mesh: As for `create_train_op`.

    Returns:
      A `TrainOp`.

    Raises:
      ValueError: A number is out of range, an optimizer or summary is unknown, or the optimizer
        needs a learning rate.
      TypeError: An argument has a wrong type.

    Example:
      >>> import jslim as slim
      >>> def total_loss(batch):
      ...     return (slim.model_variable("w", [], initializer=2.0) * batch).mean()
      >>> train_op = optimize_loss(total_loss, None, 0.1, "SGD", clip_gradients=0.5)
      >>> state, outputs = train_op(train_op.init(0, jnp.ones(3)), jnp.ones(3))
      >>> print(f"loss {outputs['loss']:.1f}, then w = {state.params['w']:.2f}")
      loss 2.0, then w = 1.95
    """
    check_of_graph(_OP, None, update_ops)
    for argument, value, default, instead in (
        ("global_step", global_step, None, "the train op counts its steps"),
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
    before_clipping, after_clipping = _watches(
        frozenset(shown),
        name or "OptimizeLoss",
        rate if decays else None,
        clip_gradients is not None,
    )
    optimizer = optax.chain(
        chain.watched(optax.chain(*changes), before_clipping),
        chain.watched(_as_clipping(clip_gradients), after_clipping),
        _as_optimizer(optimizer, rate),
    )
    return create_train_op(
        loss,
        optimizer,
        update_ops=update_ops,
        variables_to_train=variables,
        check_numerics=check_numerics,
        moving_average_decay=moving_average_decay,
        mesh=mesh,
    )


def _watches(
    shown: frozenset[str], name: str, rate: optax.Schedule | None, clips: bool
) -> tuple[chain.Watch, chain.Watch]:
    """Makes the summaries of an update, before and after clipping.

    Args:
      shown: Which of `OPTIMIZER_SUMMARIES`.
      name: The start of the tags.
      rate: The learning rate if it decays, or None.
      clips: Whether gradients are clipped.
    """
    shows_norm = bool(shown & {"global_gradient_norm", "gradient_norm"})

    def scalars(values: dict[str, ArrayLike]) -> Summaries:
        found: Summaries = {}
        for tag, value in values.items():
            found |= scalar_summary(f"{name}/{tag}", value)
        return found

    def before(update: chain.Update, gradients: Gradients, state: PyTree) -> Summaries:
        values: dict[str, ArrayLike] = {}
        if "loss" in shown:
            values["loss"] = update.loss
        if "learning_rate" in shown and rate is not None:
            values["learning_rate"] = rate(update.state.step)
        if shows_norm:
            values["global_norm/gradient_norm"] = global_norm(gradients)
        return scalars(values)

    def after(update: chain.Update, gradients: Gradients, state: PyTree) -> Summaries:
        values: dict[str, ArrayLike] = {}
        if shows_norm and clips:
            values["global_norm/clipped_gradient_norm"] = global_norm(gradients)
        if shown and isinstance(state, AdaptiveClippingState) and state.max_norm is not None:
            values["global_norm/adaptive_max_gradient_norm"] = state.max_norm
        # TensorFlow's variables are called `name:0`, and ':' becomes '_' in a tag.
        if "gradient_norm" in shown:
            for variable, gradient in gradients.items():
                values[f"gradient_norm/{variable}_0"] = global_norm(gradient)
        found = scalars(values)
        if "gradients" in shown:
            for variable, gradient in gradients.items():
                found |= histogram_summary(f"{name}/gradients/{variable}_0", gradient)
        return found

    return before, after


class NoiseState(NamedTuple):
    """The state of the noise.

    Attributes:
      num_updates: How many times noise was added, an int32 scalar.
    """

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
        return chain.transform(f"{_OP}: clip_gradients", given)
    accepted = (
        "a number, an optax transformation such as adaptive_clipping_fn(), a function of "
        "{name: gradient} or None"
    )
    raise checks.refusal(_OP, "clip_gradients", accepted, repr(given), kind=TypeError)


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
        accepted = "a number, a scalar array, a schedule or None"
        raise checks.refusal(_OP, "learning_rate", accepted, repr(learning_rate), kind=TypeError)
    checks.number(_OP, "learning_rate", float(learning_rate), at_least=0)
    if decay_fn is None:
        return learning_rate
    if not callable(decay_fn):
        accepted = "a function of the learning rate and the step"
        raise checks.refusal(
            _OP, "learning_rate_decay_fn", accepted, repr(decay_fn), kind=TypeError
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
        accepted = (
            "a name such as 'Adam', an optax transformation or a function of the learning rate "
            "that gives one"
        )
        raise checks.refusal(_OP, "optimizer", accepted, repr(given), kind=TypeError)
    made = given() if rate is None else given(rate)
    if not isinstance(made, optax.GradientTransformation):
        raise TypeError(
            f"{_OP}: the function given as optimizer must give an optax transformation, got "
            f"{type(made).__name__}"
        )
    return made
