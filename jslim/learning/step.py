"""`create_train_op`: the training step of a loss function and an optimizer."""

from collections.abc import Callable, Iterable, Sized

import jax
import optax
from jax.sharding import Mesh
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.model import Model
from jslim.learning import chain
from jslim.learning.gradients import (
    Gradients,
    GradientsFn,
    Multipliers,
    clip_by_global_norm,
    clip_gradient_norms_fn,
)
from jslim.learning.mesh import data_mesh
from jslim.learning.sharding import DATA_PARALLEL, Rules
from jslim.learning.state import TrainState
from jslim.learning.train_op import TrainOp
from jslim.summaries import Summaries, gradient_summaries

# From the loss, the gradients and the state before an update, to summaries.
SummarizeUpdate = Callable[[jax.Array, Gradients, TrainState], Summaries]

USE_GLOBAL_STEP: object = "the step of the state"


def check_of_graph(where: str, global_step: object, update_ops: object) -> None:
    """Refuses tensors and ops of a graph, which TF-Slim takes.

    Raises:
      TypeError: An argument is of a graph.
    """
    if global_step is not None and global_step is not USE_GLOBAL_STEP:
        raise TypeError(
            f"{where}: global_step can be None, for no counting, or be left out, since state.step "
            f"counts the steps; got {type(global_step).__name__}"
        )
    if update_ops is not None and (not isinstance(update_ops, Sized) or len(update_ops)):
        raise TypeError(
            f"{where}: update_ops can be None, for all, or empty, to leave moving statistics as "
            f"they are, since there are no ops to name; got {update_ops!r}"
        )


def create_train_op(
    total_loss: Callable[..., object] | Model,
    optimizer: optax.GradientTransformation,
    global_step: object = USE_GLOBAL_STEP,
    update_ops: Iterable[object] | None = None,
    variables_to_train: Iterable[str] | None = None,
    clip_gradient_norm: float = 0.0,
    summarize_gradients: bool = False,
    gate_gradients: int = 1,
    aggregation_method: int | None = None,
    colocate_gradients_with_ops: bool = False,
    gradient_multipliers: Multipliers | None = None,
    check_numerics: bool | str = True,
    *,
    moving_average_decay: float | None = None,
    moving_average_warmup: bool = True,
    freeze_batch_norm: bool = False,
    mesh: Mesh | None = None,
    transform_grads_fn: GradientsFn | None = None,
    summarize_update: SummarizeUpdate | None = None,
    clip_global_norm: float = 0.0,
    gradient_accumulation_steps: int = 1,
    recompute_elementwise: bool = False,
    report_norms: bool = False,
    sharding_rules: Rules = DATA_PARALLEL,
    batch_norm_statistics: str = "global",
    reduce_dtype: DTypeLike | None = None,
) -> TrainOp:
    """Makes the training step of a loss function and an optimizer.

    The step computes loss and gradients; multiplies, clips and applies the gradients; updates the
    moving statistics of batch norm; and counts itself. As in TF-Slim, it is built under the
    `arg_scope` around this call.

    Differs from TF-Slim: `total_loss` is a function, since there is no graph to hold its value.

    Args:
      total_loss: A model function (or a `Model`) of one batch that ends in a scalar, or in
        `(scalar, {name: array})`, whose arrays come back in the step's outputs.
      optimizer: An optax transformation. It sees only the trained variables.
      global_step: None does not count the step: for a second train op beside one that counts, not
        for `train`. Otherwise leave it out: the state counts its steps.
      update_ops: An empty list does not update the moving statistics; None does.
      variables_to_train: Names, patterns or a `{name: leaf}` dict; None trains all variables with
        `trainable=True`. Others have no gradient and no optimizer memory.
      clip_gradient_norm: The greatest L2 norm of each gradient, by itself; 0 does not clip.
      summarize_gradients: Whether to record each gradient's histogram and norm in summaries.
      gate_gradients, aggregation_method, colocate_gradients_with_ops: Accepted and ignored: the
        compiler decides on order and place of the computation.
      gradient_multipliers: `{name or pattern: multiplier}`, applied before clipping.
      check_numerics: Whether `train` stops with an error when the loss is NaN or infinite. With
        'everything', also when a gradient, a variable or a statistic is; the error names the first:
        `outputs['first_nonfinite']` is its index in `train_op.quantities`, or -1. Compiling then
        takes half as long again. A step called by hand does not check, since that would wait for
        the device.
      moving_average_decay: Keeps exponential moving averages of parameters and statistics in
        `state.ema_params`, with decay min(this, (1 + step) / (10 + step)), which is TensorFlow's
        `ExponentialMovingAverage` with `num_updates`.
      moving_average_warmup: False: with that decay at each step, TensorFlow's without.
      freeze_batch_norm: Whether batch normalization uses its moving statistics, without updating
        them, where neither it nor the convolution before it (in one scope) is trained. In TF-Slim,
        and by default, frozen layers still follow the statistics of the new images.
      mesh: The devices, from `data_mesh(n)`; default the first device.
      transform_grads_fn: `f({name: gradient})` returns the gradients to apply, with the same names;
        called after multiplying and clipping, before summaries.
      summarize_update: `f(loss, {name: gradient}, state)` returns further summaries, as from
        `slim.summary.scalar_summary`; `state` is the one before the update.
      clip_global_norm: The greatest L2 norm of all gradients together, after `clip_gradient_norm`;
        0 does not clip.
      gradient_accumulation_steps: The number of parts in which a batch is computed, one after the
        other, with the memory of one part. Loss and gradients are means over the parts. They equal
        those of the whole batch if there is no batch norm and every part has the same total weight.
      recompute_elementwise: Whether only results of convolutions, products and sums are kept for
        the gradients, and what lies between them is computed again: normalization, activations,
        additions. By the compilers a step of ResNet-50 then needs 0.63 of its memory on an H100 and
        moves 1.09 times the bytes; on a v5e 0.78 and 1.15. On a CPU nothing is saved.
      report_norms: Whether outputs have `gradient_norm`, of all gradients before clipping, and
        `parameter_norm`.
      sharding_rules: The shardings of the state, see `slim.learning.FULLY_SHARDED`; the numbers
        stay the same.
      batch_norm_statistics: 'global' for statistics of the whole batch, 'replica' for those of each
        device's part, as in TF-Slim's clones.
      reduce_dtype: The dtype in which gradients are sent between devices, with 'replica'; None is
        that of their variables. bfloat16 halves the bytes, and rounds each device's gradient to 8
        bits.

    Returns:
      A `TrainOp`: call `init(rng, batch)`, then `state, outputs = train_op(state, batch)`.

    Raises:
      TypeError: `total_loss` is a value; `optimizer` is not an optax transformation; or
        `global_step` or `update_ops` is of a graph; `reduce_dtype` is not floating point.
      ValueError: A norm is negative; a decay is outside (0, 1); `batch_norm_statistics` is unknown,
        or 'replica' with `sharding_rules`; `reduce_dtype` is given without 'replica'; or there is
        less than 1 accumulation step.

    Example:
      >>> import jslim as slim
      >>> def total_loss(batch):
      ...     return (slim.model_variable("w", [], initializer=2.0) * batch).sum()
      >>> train_op = create_train_op(total_loss, optax.sgd(0.1))
      >>> state = train_op.init(0, jax.numpy.ones(3))
      >>> state, outputs = train_op(state, jax.numpy.ones(3))
      >>> print(f"loss {outputs['loss']:.1f}, then w = {state.params['w']:.1f}")
      loss 6.0, then w = 1.7
    """
    if not callable(total_loss):
        raise TypeError(
            "create_train_op: total_loss must be a function of a batch that returns the loss, "
            f"got {'an array' if hasattr(total_loss, 'dtype') else repr(total_loss)}; write "
            "def total_loss(batch): ..."
        )
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            "create_train_op: optimizer must be an optax GradientTransformation such as "
            f"optax.sgd(0.01), got {type(optimizer).__name__}"
        )
    check_of_graph("create_train_op", global_step, update_ops)
    norms = {"clip_gradient_norm": clip_gradient_norm, "clip_global_norm": clip_global_norm}
    for name, norm in norms.items():
        checks.number("create_train_op", name, norm, at_least=0)
    changes: list[optax.GradientTransformation] = []
    if gradient_multipliers is not None:
        changes.append(chain.multiply(gradient_multipliers))
    if clip_gradient_norm > 0:
        clip_each = clip_gradient_norms_fn(clip_gradient_norm)
        changes.append(chain.stateless(chain.by_name(clip_each)))
    if clip_global_norm > 0:
        changes.append(chain.stateless(lambda tree: clip_by_global_norm(tree, clip_global_norm)))
    if transform_grads_fn is not None:
        where = "create_train_op: transform_grads_fn"
        changes.append(chain.transform(where, transform_grads_fn))
    watches: list[chain.Watch] = []
    if summarize_update is not None:
        watches.append(lambda update, grads, _: summarize_update(update.loss, grads, update.state))
    if summarize_gradients:
        watches.append(lambda update, grads, _: gradient_summaries(grads))
    changes += [chain.watched(optax.identity(), watch) for watch in watches]
    return TrainOp(
        model=total_loss if isinstance(total_loss, Model) else Model(total_loss),
        optimizer=chain.before(optimizer, *changes),
        mesh=mesh or data_mesh(1),
        counts_steps=global_step is not None,
        updates_statistics=update_ops is None,
        variables_to_train=variables_to_train,
        check_numerics=check_numerics,
        moving_average_decay=moving_average_decay,
        moving_average_warmup=moving_average_warmup,
        freeze_batch_norm=freeze_batch_norm,
        gradient_accumulation_steps=gradient_accumulation_steps,
        recompute_elementwise=recompute_elementwise,
        report_norms=report_norms,
        sharding_rules=sharding_rules,
        batch_norm_statistics=batch_norm_statistics,
        reduce_dtype=reduce_dtype,
    )
