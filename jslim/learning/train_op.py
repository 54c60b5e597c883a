"""`TrainOp`: the training step as one pure function, jitted over a mesh of devices."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.core.arg_scope import arg_scope, current_arg_scope
from jslim.core.errors import ScopeError
from jslim.core.model import Model, recorded
from jslim.core.names import BATCH_STATS, PARAMS
from jslim.core.run import VariableInfo
from jslim.core.seeds import key_of
from jslim.layers import frozen_batch_norm
from jslim.learning.accumulation import accumulate
from jslim.learning.gradients import (
    GradientsFn,
    add_gradients_summaries,
    check_trainable,
    check_transformed,
    global_norm,
)
from jslim.learning.mesh import (
    DATA_AXIS,
    data_mesh,
    mean_over,
    shard_batch,
    to_varying,
    wait_on_shared_cpu,
)
from jslim.learning.numerics import EVERYTHING, FIRST_NONFINITE, first_nonfinite, quantities_of_step
from jslim.learning.sharding import DATA_PARALLEL, Rules, state_shardings
from jslim.learning.state import TrainState, moving_averages
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
      state_sharding: How a state lies on the devices: one sharding, or a tree of them from `init`
        or `init_shapes` on.
      quantities: What `outputs['first_nonfinite']` counts, from the first step on.
      counts_steps: Whether a step makes `state.step` greater.
    """

    def __init__(
        self,
        total_loss: Callable[..., Any] | Model,
        optimizer: optax.GradientTransformation,
        *,
        counts_steps: bool,
        updates_statistics: bool,
        variables_to_train: Iterable[str] | None,
        gradients_fns: Sequence[GradientsFn],
        summarize_gradients: bool,
        check_numerics: bool | str,
        moving_average_decay: float | None,
        freeze_batch_norm: bool,
        mesh: Mesh | None,
        summarize_update: SummarizeUpdate | None,
        gradient_accumulation_steps: int,
        report_norms: bool,
        sharding_rules: Rules,
        batch_norm_statistics: str,
    ):
        self.model = total_loss if isinstance(total_loss, Model) else Model(total_loss)
        self.optimizer = optimizer
        self.mesh = mesh or data_mesh(1)
        self.check_numerics = check_numerics
        self.records_summaries = summarize_gradients or summarize_update is not None
        self.quantities: list[str] = []
        self.counts_steps = counts_steps
        self._updates_statistics = updates_statistics
        self._variables_to_train = variables_to_train
        self._gradients_fns = gradients_fns
        self._summarize_gradients = summarize_gradients
        self._summarize_update = summarize_update
        self._moving_average_decay = moving_average_decay
        self._freeze_batch_norm = freeze_batch_norm
        self._accumulation_steps = gradient_accumulation_steps
        self._report_norms = report_norms
        self._rules = sharding_rules
        self._statistics_of_replicas = batch_norm_statistics == "replica"
        self._scope = current_arg_scope()
        self._trained: frozenset[str] | None = None
        self._whole = NamedSharding(self.mesh, PartitionSpec())
        self.state_sharding: Any = self._whole
        self._compile()

    def _compile(self) -> None:
        jit = functools.partial(jax.jit, donate_argnums=0)
        step = self._map_step if self._statistics_of_replicas else self._step
        self._jitted_step = jit(
            lambda state, batch: step(state, batch)[:2],
            out_shardings=(self.state_sharding, self._whole),
        )
        self._jitted_summarize = jit(
            functools.partial(step, with_summaries=True),
            out_shardings=(self.state_sharding, self._whole, self._whole),
        )
        # It runs once; on the CPU nearly all of its time is compiling, a third less of it this way.
        on_cpu = self.mesh.devices.flat[0].platform == "cpu"
        self._jitted_init = jax.jit(
            self._init,
            out_shardings=self.state_sharding,
            compiler_options={"xla_backend_optimization_level": 1} if on_cpu else None,
        )

    @property
    def _lies_in_parts(self) -> bool:
        """Whether each leaf of the state has a sharding of its own, by the rules."""
        return isinstance(self.state_sharding, TrainState)

    def _shard(self, rng: jax.Array, batch: Batch) -> None:
        """Finds out how the state lies on the devices, where rules say it."""
        if self._rules is DATA_PARALLEL or self._lies_in_parts:
            return
        shapes = jax.eval_shape(self._init, rng, batch)
        self.state_sharding = state_shardings(shapes, self._rules, self.mesh)
        self._compile()

    def init(self, rng: jax.Array | int, batch: Batch) -> TrainState:
        """The state to start from: fresh variables, on the devices of the mesh.

        Args:
          rng: A key, `jax.random.key(seed)`, or the seed. Variables and every step's randomness
            come from it.
          batch: What the loss function takes, or `jax.ShapeDtypeStruct`s of it: only shapes and
            types matter.

        Returns:
          A `TrainState` at step 0.

        Raises:
          ScopeError: `variables_to_train` or `gradient_multipliers` name what is not there, or
            `sharding_rules` do not fit.
        """
        with self._in_scope():
            rng, batch = _as_key(rng), jax.tree.map(_as_array, batch)
            self._shard(rng, batch)
            return self._jitted_init(rng, batch)

    def init_shapes(self, rng: jax.Array | int, batch: Batch) -> TrainState:
        """`init` without computing: the state as `jax.ShapeDtypeStruct`s on the mesh."""
        with self._in_scope():
            rng = _as_key(rng)
            self._shard(rng, batch)
            shapes = self._jitted_init.eval_shape(rng, batch)  # a trace that `init` takes again
        shardings = jax.tree.broadcast(self.state_sharding, shapes)
        return jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            shapes,
            shardings,
        )

    def _init(self, rng: jax.Array, batch: Batch) -> TrainState:
        init_rng, step_rng = jax.random.split(rng)
        step = jnp.zeros((), jnp.int32)
        with recorded() as runs, global_step_is(step):
            variables = dict(self.model.init(init_rng, batch))
        self._note(runs)
        params = variables.pop(PARAMS, {})
        batch_stats = variables.pop(BATCH_STATS, {})
        self._trained = check_trainable(
            self._variables_to_train,
            params,
            batch_stats,
            frozenset(name for name, info in self._infos.items() if info.trainable),
        )
        trained, _ = self._split(params)
        averages = None
        if self._moving_average_decay is not None:
            averages = {PARAMS: params, BATCH_STATS: batch_stats}
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
        self._infos = {info.name: info for info in infos}
        if any(run.collections.get(SUMMARIES) for run in runs):
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

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        """The step as JAX lowers it, to be compiled and looked at: memory, FLOPs, collectives.

        Args:
          state: A state, or its shapes from `init_shapes`.
          batch: A batch, or the `jax.ShapeDtypeStruct`s of one over all devices.
        """
        self._require_init()

        def described(leaf: Any) -> jax.ShapeDtypeStruct:
            spec = PartitionSpec(DATA_AXIS) if jnp.ndim(leaf) else PartitionSpec()
            sharding = NamedSharding(self.mesh, spec)
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

        with self._in_scope():
            return self._jitted_step.lower(state, jax.tree.map(described, batch))

    @property
    def variable_infos(self) -> dict[str, VariableInfo]:
        """What the model says of its variables, which `slim.get_trainable_variables` asks for."""
        self._require_init()
        return self._infos

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

    def _map_step(
        self, state: TrainState, batch: Batch, *, with_summaries: bool = False
    ) -> tuple[TrainState, Outputs, dict[str, Any]]:
        """The step on each device's part of the batch, whose statistics are then its own."""
        whole, split = PartitionSpec(), PartitionSpec(DATA_AXIS)
        step = functools.partial(self._step, axis_name=DATA_AXIS, with_summaries=with_summaries)
        return jax.shard_map(
            step,
            mesh=self.mesh,
            in_specs=(whole, jax.tree.map(lambda x: split if jnp.ndim(x) else whole, batch)),
            out_specs=whole,
            # What differs between devices is averaged by the step itself; jax's own bookkeeping of
            # it refuses custom derivatives whose tangents are the same everywhere.
            check_vma=False,
        )(state, batch)

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
        held = self._gathered(state)
        trained, _ = self._split(held.params)
        if axis_name is not None:
            # Each device differentiates its own copy: otherwise shard_map sums the gradients
            # by itself, and the average below would leave them too large.
            trained = to_varying(trained, axis_name)
        with self._in_scope():
            loss, outputs, updated, gradients = self._differentiate(
                held, trained, batch, rng, with_summaries
            )
        summaries = dict(updated.pop(SUMMARIES, {}))
        if axis_name is not None:
            loss, outputs, updated, gradients, summaries = mean_over(
                (loss, outputs, dict(updated), gradients, summaries), axis_name
            )
        gradients = self._scattered(gradients)
        if self._report_norms:
            outputs["gradient_norm"] = global_norm(gradients.values())
        unchanged = gradients
        for change in self._gradients_fns:
            gradients = check_transformed(change(gradients), unchanged)
        if with_summaries and self._summarize_update is not None:
            summaries |= self._summarize_update(loss, gradients, state)
        if with_summaries and self._summarize_gradients:
            summaries |= add_gradients_summaries(gradients)
        new = self._updated(state, gradients, updated)
        if self._report_norms:
            outputs["parameter_norm"] = global_norm(self._split(new.params)[0].values())
        if self.check_numerics == EVERYTHING:
            found = quantities_of_step(loss, unchanged, new.params, new.batch_stats)
            self.quantities = list(found)
            outputs[FIRST_NONFINITE] = first_nonfinite(found)
        return new, {"loss": loss, **outputs}, summaries

    def _differentiate(
        self,
        state: TrainState,
        trained: dict[str, jax.Array],
        batch: Batch,
        rng: jax.Array,
        with_summaries: bool,
    ) -> tuple[jax.Array, Outputs, dict[str, Any], dict[str, jax.Array]]:
        """Loss, outputs, updated collections and gradients of a batch."""
        _, frozen = self._split(state.params)
        collected = [SUMMARIES] if with_summaries else []

        def loss_of(
            trained: dict[str, jax.Array], held: dict[str, Any], batch: Batch, rng: jax.Array
        ) -> tuple[jax.Array, tuple[Outputs, dict[str, Any]]]:
            variables = {PARAMS: _nest(frozen | trained), **held}
            with global_step_is(state.step), self._frozen_batch_norm():
                result, updated = self.model.apply(
                    variables, batch, rngs=rng, mutable=[*held, *collected]
                )
            loss, outputs = _scalar_loss(result)
            return loss, (outputs, dict(updated))

        gradients_of = jax.value_and_grad(loss_of, has_aux=True)
        held = {BATCH_STATS: state.batch_stats, **state.extra}
        if self._accumulation_steps > 1:
            gradients_of = accumulate(gradients_of, self._accumulation_steps)
        (loss, (outputs, updated)), gradients = gradients_of(trained, held, batch, rng)
        return loss, outputs, updated, gradients

    def _gathered(self, state: TrainState) -> TrainState:
        """The state with its variables whole on every device, where they lie in parts."""
        if not self._lies_in_parts:
            return state

        def gather(tree: Any) -> Any:
            return jax.lax.with_sharding_constraint(tree, self._whole)

        return state.replace(
            params=gather(state.params),
            batch_stats=gather(state.batch_stats),
            extra=gather(state.extra),
        )

    def _scattered(self, gradients: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Gradients that lie as their variables do."""
        if not self._lies_in_parts:
            return gradients
        shardings, _ = self._split(self.state_sharding.params)
        return jax.lax.with_sharding_constraint(gradients, shardings)

    def _updated(
        self, state: TrainState, gradients: Mapping[str, jax.Array], updated: Mapping[str, Any]
    ) -> TrainState:
        """The state after the optimizer's update."""
        before, frozen = self._split(state.params)
        updates, opt_state = self.optimizer.update(_nest(gradients), state.opt_state, _nest(before))
        changed = optax.apply_updates(_nest(before), updates)
        batch_stats = state.batch_stats
        if self._updates_statistics:
            batch_stats = updated.get(BATCH_STATS, batch_stats)
        new = state.replace(
            step=state.step + 1 if self.counts_steps else state.step,
            # The randomness of a step is by its number; without one the key itself moves on.
            rng=state.rng if self.counts_steps else jax.random.split(state.rng, 1)[0],
            params=_nest(frozen | flax.traverse_util.flatten_dict(changed, sep="/")),
            batch_stats=batch_stats,
            opt_state=opt_state,
            extra={name: updated.get(name, held) for name, held in state.extra.items()},
        )
        if self._moving_average_decay is None:
            return new
        averages = moving_averages(state, new, self._moving_average_decay)
        return new.replace(ema_params=averages)


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def _as_key(rng: Any) -> jax.Array:
    # A key of the old style, that is not typed, has an axis.
    if hasattr(rng, "dtype") and (
        rng.ndim or jax.dtypes.issubdtype(rng.dtype, jax.dtypes.prng_key)
    ):
        return rng
    return key_of(rng, "rng")


def _as_array(leaf: Any) -> Any:
    return np.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf


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
