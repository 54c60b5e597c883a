"""TF-Slim's `training`: a train op with a function of the gradients, and a plain loop.

    train_op = slim.training.create_train_op(
        total_loss, optimizer, transform_grads_fn=slim.training.clip_gradient_norms_fn(3.0))
    slim.training.train(train_op, batches, logdir, number_of_steps=1000)

Arguments and results are those of `slim.learning`, whose `train` has more options.
"""

import os
from collections.abc import Callable, Iterable, Mapping

import jax
import optax
from jax.sharding import Mesh

from jslim import learning as _learning
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.model import Model
from jslim.learning.gradients import GradientsFn
from jslim.learning.gradients import add_gradients_summaries as add_gradients_summaries
from jslim.learning.gradients import clip_gradient_norms as clip_gradient_norms
from jslim.learning.gradients import clip_gradient_norms_fn as clip_gradient_norms_fn
from jslim.learning.gradients import multiply_gradients as multiply_gradients
from jslim.learning.loop import InitFn
from jslim.learning.state import PyTree
from jslim.learning.step import USE_GLOBAL_STEP


def create_train_op(
    total_loss: Callable[..., object] | Model,
    optimizer: optax.GradientTransformation,
    global_step: object = USE_GLOBAL_STEP,
    update_ops: Iterable[object] | None = None,
    variables_to_train: Iterable[str] | None = None,
    transform_grads_fn: GradientsFn | None = None,
    summarize_gradients: bool = False,
    gate_gradients: int = 1,
    aggregation_method: int | None = None,
    colocate_gradients_with_ops: bool = False,
    check_numerics: bool = True,
    *,
    moving_average_decay: float | None = None,
    mesh: Mesh | None = None,
) -> _learning.TrainOp:
    """`slim.learning.create_train_op` with a function of the gradients, such as clipping.

    Args:
      total_loss, optimizer, global_step, update_ops, gate_gradients, aggregation_method,
        colocate_gradients_with_ops: As for `slim.learning.create_train_op`.
      variables_to_train: Names, patterns or a `{name: leaf}` dict; None for all trainable ones.
      transform_grads_fn: `f({name: gradient})` returns the gradients to apply, with the same names:
        `clip_gradient_norms_fn(max_norm)`, or `multiply_gradients` with its multipliers bound.
      summarize_gradients: Whether to record each gradient's histogram and norm in summaries.
      check_numerics: Whether `train` stops when the loss is NaN or infinite.
      moving_average_decay: Keeps moving averages in `state.ema_params`.
      mesh: The devices; default the first.

    Returns:
      A `slim.learning.TrainOp`.

    Raises:
      TypeError: `total_loss` or `transform_grads_fn` is not a function, or `optimizer` is not an
        optax transformation.
    """
    if transform_grads_fn is not None and not callable(transform_grads_fn):
        raise TypeError(
            "create_train_op: transform_grads_fn must be a function of {name: gradient} such as "
            f"clip_gradient_norms_fn(3.0), got {transform_grads_fn!r}"
        )
    return _learning.create_train_op(
        total_loss,
        optimizer,
        global_step,
        update_ops,
        variables_to_train,
        summarize_gradients=summarize_gradients,
        check_numerics=check_numerics,
        moving_average_decay=moving_average_decay,
        mesh=mesh,
        transform_grads_fn=transform_grads_fn,
    )


def train(
    train_op: _learning.TrainOp,
    batches: Iterable[PyTree],
    logdir: str | os.PathLike[str] | None,
    *,
    number_of_steps: int | None = None,
    init_fn: InitFn | None = None,
    save_checkpoint_secs: float | None = 600.0,
    save_summaries_steps: int | None = 100,
    rng: jax.Array | int = 0,
    contract: Mapping[str, object] | None = None,
) -> _learning.TrainState:
    """`slim.learning.train` with summaries by steps, not by seconds.

    Differs from TF-Slim: the batches come second; `number_of_steps` replaces the hook that stops,
    and `init_fn` that of the scaffold; the final state is returned.

    Args:
      train_op: From `create_train_op` or `slim.optimize_loss`.
      batches: An iterable of arguments of the loss function.
      logdir: Where checkpoints and event files go. None needs `save_checkpoint_secs` and
        `save_summaries_steps` to be None too.
      number_of_steps: The step at which to stop, over all runs; None for no limit.
      init_fn: As for `slim.learning.train`.
      save_checkpoint_secs: Seconds between checkpoints; None saves only at start and end.
      save_summaries_steps: Steps between summaries, starting with the first step; None for none.
      rng: A key or a seed.
      contract: As for `slim.learning.train`.

    Returns:
      The final `TrainState`.

    Raises:
      ValueError: There is no `logdir` for what is to be saved, or a number is out of range.
      OSError, TypeError, FloatingPointError, RestoreError: As for `slim.learning.train`.
    """
    for name, value in (
        ("save_checkpoint_secs", save_checkpoint_secs),
        ("save_summaries_steps", save_summaries_steps),
    ):
        if logdir is None and value:
            raise ValueError(
                f"train: logdir is None, so {name} must be None too, got {value}; give a directory"
            )
    return _learning.train(
        train_op,
        batches,
        logdir,
        number_of_steps=number_of_steps,
        rng=rng,
        init_fn=init_fn,
        save_summaries_secs=None,
        save_summaries_steps=save_summaries_steps,
        save_interval_secs=float("inf") if save_checkpoint_secs is None else save_checkpoint_secs,
        contract=contract,
    )


_tf_slim_names.answer_in(__name__)
