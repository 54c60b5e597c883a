"""`create_train_op`: the training step as one pure function, jitted over a mesh of devices."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim import model as _model
from jslim._arg_scope import arg_scope, current_arg_scope
from jslim._errors import ScopeError
from jslim.layers import frozen_batch_norm
from jslim.learning.gradients import (
    GradientsFn,
    add_gradients_summaries,
    check_trainable,
    clip_gradient_norms,
    multiply_gradients,
)
from jslim.learning.mesh import data_mesh, shard_batch, wait_on_shared_cpu
from jslim.learning.state import TrainState
from jslim.summaries import SUMMARIES
from jslim.variables import global_step_is

Batch = Any
Outputs = dict[str, jax.Array]
# Gives the summaries of an update from the loss, the gradients and the state before it.
SummarizeUpdate = Callable[[jax.Array, Mapping[str, jax.Array], TrainState], dict[str, Any]]


class TrainOp:
    """The training step that `create_train_op` makes.

    Attributes:
      model: The `Model` that computes the loss.
      mesh: The devices it runs on.
      records_summaries: Whether the model recorded summaries when it was initialized.
    """

    def __init__(
        self,
        total_loss: Callable[..., Any] | _model.Model,
        optimizer: optax.GradientTransformation,
        *,
        variables_to_train: Iterable[str] | None,
        clip_gradient_norm: float,
        gradient_multipliers: Mapping[str, Any] | None,
        summarize_gradients: bool,
        check_numerics: bool,
        moving_average_decay: float | None,
        freeze_batch_norm: bool,
        mesh: Mesh | None,
        transform_grads_fn: GradientsFn | None = None,
        summarize_update: SummarizeUpdate | None = None,
    ):
        self.model = (
            total_loss if isinstance(total_loss, _model.Model) else _model.Model(total_loss)
        )
        self.optimizer = optimizer
        self.mesh = mesh or data_mesh(1)
        self.check_numerics = check_numerics
        self.records_summaries = summarize_gradients or summarize_update is not None
        self._variables_to_train = variables_to_train
        self._clip_gradient_norm = clip_gradient_norm
        self._gradient_multipliers = gradient_multipliers
        self._transform_grads_fn = transform_grads_fn
        self._summarize_gradients = summarize_gradients
        self._summarize_update = summarize_update
        self._moving_average_decay = moving_average_decay
        self._freeze_batch_norm = freeze_batch_norm
        self._scope = current_arg_scope()
        self._trained: frozenset[str] | None = None
        whole = NamedSharding(self.mesh, PartitionSpec())
        self.state_sharding = whole
        jit = functools.partial(jax.jit, donate_argnums=0, out_shardings=whole)
        self._jitted_step = jit(self.step)
        self._jitted_summarize = jit(functools.partial(self._step, with_summaries=True))
        self._jitted_init = jax.jit(self._init, out_shardings=whole)

    def init(self, rng: jax.Array | int, batch: Batch) -> TrainState:
        """The state to start from: fresh variables, on every device of the mesh.

        Args:
          rng: A key, `jax.random.key(seed)`, or the seed. Variables and every step's randomness
            come from it.
          batch: What the loss function takes, or `jax.ShapeDtypeStruct`s of it: only shapes and
            types matter.

        Returns:
          A `TrainState` at step 0.

        Raises:
          ScopeError: `variables_to_train` or `gradient_multipliers` name what is not there.
        """
        with self._in_scope():
            return self._jitted_init(_as_key(rng), jax.tree.map(_as_array, batch))

    def init_shapes(self, rng: jax.Array | int, batch: Batch) -> TrainState:
        """`init` without computing: the state as `jax.ShapeDtypeStruct`s on the mesh."""
        with self._in_scope():
            shapes = jax.eval_shape(self._init, _as_key(rng), batch)
        return jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=self.state_sharding), shapes
        )

    def _init(self, rng: jax.Array, batch: Batch) -> TrainState:
        init_rng, step_rng = jax.random.split(rng)
        step = jnp.zeros((), jnp.int32)
        with _model.recorded() as runs, global_step_is(step):
            variables = dict(self.model.init(init_rng, batch))
        self._note(runs)
        params = variables.pop(_model.PARAMS, {})
        batch_stats = variables.pop(_model.BATCH_STATS, {})
        self._trained = check_trainable(
            self._variables_to_train, params, batch_stats, self._trainable
        )
        trained, _ = self._split(params)
        averages = None
        if self._moving_average_decay is not None:
            averages = {_model.PARAMS: params, _model.BATCH_STATS: batch_stats}
        return TrainState(
            step=step,
            params=params,
            batch_stats=batch_stats,
            opt_state=self.optimizer.init(_nest(trained)),
            rng=step_rng,
            ema_params=averages,
            extra=variables,
        )

    def _note(self, runs: list[Any]) -> None:
        if not runs:
            raise ScopeError("create_train_op: the loss function ran no model")
        infos = [info for run in runs for info in run.variables.values()]
        self._trainable = frozenset(info.name for info in infos if info.trainable)
        if any(run.collected.get(SUMMARIES) for run in runs):
            self.records_summaries = True

    def _split(self, params: Any) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """The params as `{name: array}`: those that are trained, and the others."""
        flat = flax.traverse_util.flatten_dict(params, sep="/")
        assert self._trained is not None
        trained = {name: value for name, value in flat.items() if name in self._trained}
        return trained, {name: value for name, value in flat.items() if name not in trained}

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Outputs]:
        """One step over the mesh. `state` is donated: use the one that comes back.

        Args:
          state: From `init`, a checkpoint or the step before.
          batch: A tree of arrays, each split over the devices along its first axis.

        Returns:
          `(state, outputs)`; `outputs['loss']` is the total loss before the update, a float32
          scalar, next to what the loss function returned beside it.
        """
        self._require_init()
        with self._in_scope():
            results = self._jitted_step(state, shard_batch(batch, self.mesh))
        wait_on_shared_cpu(self.mesh, results)
        return results

    def summarize(self, state: TrainState, batch: Batch) -> tuple[TrainState, Outputs, Any]:
        """`__call__` that also returns the step's summaries: a second compiled program."""
        self._require_init()
        with self._in_scope():
            results = self._jitted_summarize(state, shard_batch(batch, self.mesh))
        wait_on_shared_cpu(self.mesh, results)
        return results

    def _require_init(self) -> None:
        if self._trained is None:
            raise ScopeError(
                "create_train_op: call train_op.init(rng, batch), or init_shapes, before the "
                "first step; it finds out which variables are trained"
            )

    def _in_scope(self) -> contextlib.AbstractContextManager[Any]:
        # TF-Slim builds the loss under the scope around create_train_op; so it is traced here.
        if current_arg_scope() == self._scope:
            return contextlib.nullcontext()
        return arg_scope(self._scope)

    def _frozen_batch_norm(self) -> contextlib.AbstractContextManager[None]:
        if not self._freeze_batch_norm:
            return contextlib.nullcontext()
        trained = sorted(self._trained or ())

        def is_frozen(name: str) -> bool:
            layer = f"{name.rpartition('/')[0] or name}/"  # with the convolution it belongs to
            return not any(variable.startswith(layer) for variable in trained)

        return frozen_batch_norm(is_frozen)

    def step(
        self, state: TrainState, batch: Batch, axis_name: str | None = None
    ) -> tuple[TrainState, Outputs]:
        """The pure step: to be jitted, or mapped by `jax.pmap` or `jax.shard_map`.

        Args:
          state: The state; under a map the same on every device.
          batch: The batch, or under a map this device's part of it.
          axis_name: The mapped axis. Gradients, loss and moving statistics are then averaged
            over it; batch statistics are each device's own, as with TF-Slim's clones, unless
            `batch_norm(axis_name=...)` says otherwise.

        Returns:
          `(state, outputs)`.
        """
        state, outputs, _ = self._step(state, batch, axis_name=axis_name, with_summaries=False)
        return state, outputs

    def _step(
        self,
        state: TrainState,
        batch: Batch,
        *,
        axis_name: str | None = None,
        with_summaries: bool = False,
    ) -> tuple[TrainState, Outputs, dict[str, Any]]:
        self._require_init()
        rng = jax.random.fold_in(state.rng, state.step)
        if axis_name is not None:
            rng = jax.random.fold_in(rng, jax.lax.axis_index(axis_name))
        trained, frozen = self._split(state.params)
        if axis_name is not None:
            # Each device differentiates its own copy: otherwise shard_map sums the gradients
            # by itself, and the average below would leave them too large.
            trained = jax.tree.map(functools.partial(_to_varying, axis_name=axis_name), trained)

        def loss_of(trained: dict[str, jax.Array]) -> tuple[jax.Array, tuple[Any, Any]]:
            variables = {
                _model.PARAMS: _nest(frozen | trained),
                _model.BATCH_STATS: state.batch_stats,
                **state.extra,
            }
            mutable = [_model.BATCH_STATS, *state.extra, *([SUMMARIES] if with_summaries else [])]
            with global_step_is(state.step), self._frozen_batch_norm():
                result, updated = self.model.apply(variables, batch, rngs=rng, mutable=mutable)
            loss, outputs = _scalar_loss(result)
            return loss, (outputs, updated)

        with self._in_scope():
            (loss, (outputs, updated)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                trained
            )
        summaries = dict(updated.pop(SUMMARIES, {}))
        if axis_name is not None:
            loss, outputs, updated, gradients, summaries = jax.tree.map(
                functools.partial(_mean_over, axis_name=axis_name),
                (loss, outputs, dict(updated), gradients, summaries),
            )
        if self._gradient_multipliers is not None:
            gradients = multiply_gradients(gradients, self._gradient_multipliers)
        if self._clip_gradient_norm > 0:
            gradients = clip_gradient_norms(gradients, self._clip_gradient_norm)
        if self._transform_grads_fn is not None:
            gradients = _checked(self._transform_grads_fn(gradients), gradients)
        if with_summaries and self._summarize_update is not None:
            summaries |= self._summarize_update(loss, gradients, state)
        if with_summaries and self._summarize_gradients:
            summaries |= add_gradients_summaries(gradients)
        before, _ = self._split(state.params)
        updates, opt_state = self.optimizer.update(_nest(gradients), state.opt_state, _nest(before))
        changed = optax.apply_updates(_nest(before), updates)
        new = state.replace(
            step=state.step + 1,
            params=_nest(frozen | flax.traverse_util.flatten_dict(changed, sep="/")),
            batch_stats=updated.get(_model.BATCH_STATS, state.batch_stats),
            opt_state=opt_state,
            extra={name: updated.get(name, held) for name, held in state.extra.items()},
        )
        if self._moving_average_decay is not None:
            averages = self._averages(state, new, self._moving_average_decay)
            new = new.replace(ema_params=averages)
        return new, {"loss": loss, **outputs}, summaries

    @staticmethod
    def _averages(before: TrainState, after: TrainState, greatest_decay: float) -> Any:
        """TF's ExponentialMovingAverage with num_updates: quick at first, then `decay`."""
        step = before.step.astype(jnp.float32)
        decay = jnp.minimum(greatest_decay, (1.0 + step) / (10.0 + step))

        def move(average: jax.Array, value: jax.Array) -> jax.Array:
            weight = (1.0 - decay).astype(average.dtype)
            return average - (average - value.astype(average.dtype)) * weight

        current = {_model.PARAMS: after.params, _model.BATCH_STATS: after.batch_stats}
        return jax.tree.map(move, before.ema_params, current)


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def _as_key(rng: jax.Array | int) -> jax.Array:
    return jax.random.key(rng) if isinstance(rng, int) else rng


def _as_array(leaf: Any) -> Any:
    return np.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf


def _to_varying(x: jax.Array, axis_name: str) -> jax.Array:
    return jax.lax.pcast(x, axis_name, to="varying")


def _mean_over(x: jax.Array, axis_name: str) -> jax.Array:
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return jax.lax.pmean(x, axis_name)
    return jax.lax.pmax(x, axis_name)


def _checked(changed: Any, gradients: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """What a `transform_grads_fn` gave, if it fits what it was given."""

    def described(tree: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: (jnp.shape(leaf), getattr(leaf, "dtype", None)) for name, leaf in tree.items()
        }

    if not isinstance(changed, Mapping) or described(changed) != described(gradients):
        raise ScopeError(
            "create_train_op: transform_grads_fn must give back {name: gradient} with the names, "
            f"shapes and types that it was given, {described(gradients)}; got "
            f"{described(changed) if isinstance(changed, Mapping) else type(changed).__name__}"
        )
    return {name: changed[name] for name in gradients}


def _scalar_loss(result: Any) -> tuple[jax.Array, Outputs]:
    """The loss, and what the function returned beside it as `{name: array}`."""
    loss, outputs = result, {}
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        loss, outputs = result[0], dict(result[1])
    if not hasattr(loss, "dtype") or jnp.ndim(loss) != 0:
        kind = f"shape {jnp.shape(loss)}" if hasattr(loss, "dtype") else type(loss).__name__
        raise ScopeError(
            "create_train_op: the loss function must end in a scalar (such as "
            f"slim.losses.get_total_loss()), or in (scalar, {{name: array}}); it gave {kind}"
        )
    return loss, outputs


def create_train_op(
    total_loss: Callable[..., Any] | _model.Model,
    optimizer: optax.GradientTransformation,
    *,
    variables_to_train: Iterable[str] | None = None,
    clip_gradient_norm: float = 0.0,
    summarize_gradients: bool = False,
    gradient_multipliers: Mapping[str, Any] | None = None,
    check_numerics: bool = True,
    moving_average_decay: float | None = None,
    freeze_batch_norm: bool = False,
    mesh: Mesh | None = None,
    transform_grads_fn: GradientsFn | None = None,
    summarize_update: SummarizeUpdate | None = None,
) -> TrainOp:
    """Makes the training step of a loss function and an optimizer.

    The step computes loss and gradients, multiplies, clips and applies them, carries the moving
    statistics of batch norm on (they cannot be forgotten) and counts the step. Like TF-Slim's,
    it is built under the `arg_scope` that is current here.

    Differs from TF-Slim: `total_loss` is a function, since there is no graph to hold its value;
    there are no `update_ops` (freeze statistics by `is_training=False`); colocation, gating and
    aggregation belong to the compiler.

    Args:
      total_loss: A model function (or a `Model`) of one batch that ends in a scalar, or in
        `(scalar, {name: array})`, whose arrays come back in the step's outputs.
      optimizer: An optax transformation. It sees the trained variables alone.
      variables_to_train: Names, patterns or a `{name: leaf}` dict; None trains all that were
        made with `trainable=True`. Others get no gradient and no optimizer memory.
      clip_gradient_norm: The greatest L2 norm of each gradient, by itself; 0 does not clip.
      summarize_gradients: Whether summaries hold each gradient's histogram and norm.
      gradient_multipliers: `{name or pattern: multiplier}`, applied before clipping.
      check_numerics: Whether `train` stops with an error when the loss is NaN or infinite. A
        step called by hand does not look, since that would wait for the device.
      moving_average_decay: Keeps exponential moving averages of parameters and statistics in
        `state.ema_params`, with decay min(this, (1 + step) / (10 + step)).
      freeze_batch_norm: Whether batch normalization in layers of which nothing is trained (it and
        the convolution before it, in one scope) uses its moving statistics and leaves them. In
        TF-Slim, and without it, frozen layers still follow the statistics of the new images.
      mesh: The devices, from `data_mesh(n)`; default the first device.
      transform_grads_fn: `f({name: gradient})` gives the gradients to apply, under the same names;
        after multiplying and clipping, before summaries.
      summarize_update: `f(loss, {name: gradient}, state)` gives further summaries, as
        `slim.summary.scalar_summary` does; `state` is that before the update.

    Returns:
      A `TrainOp`: call `init(rng, batch)`, then `state, outputs = train_op(state, batch)`.

    Raises:
      TypeError: `total_loss` is a value, or `optimizer` is not an optax transformation.
      ValueError: A negative `clip_gradient_norm`; a decay outside (0, 1).
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
    if clip_gradient_norm < 0:
        raise ValueError(
            f"create_train_op: clip_gradient_norm must be at least 0, got {clip_gradient_norm}"
        )
    if moving_average_decay is not None and not 0 < moving_average_decay < 1:
        raise ValueError(
            "create_train_op: moving_average_decay must lie between 0 and 1, got "
            f"{moving_average_decay}"
        )
    return TrainOp(
        total_loss,
        optimizer,
        variables_to_train=variables_to_train,
        clip_gradient_norm=clip_gradient_norm,
        gradient_multipliers=gradient_multipliers,
        summarize_gradients=summarize_gradients,
        check_numerics=check_numerics,
        moving_average_decay=moving_average_decay,
        freeze_batch_norm=freeze_batch_norm,
        mesh=mesh,
        transform_grads_fn=transform_grads_fn,
        summarize_update=summarize_update,
    )
