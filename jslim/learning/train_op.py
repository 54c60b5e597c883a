"""`TrainOp`: the training step as one pure function, jitted over a mesh of devices."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import NamedSharding, PartitionSpec

from jslim.core import checks, reprs
from jslim.core.arg_scope import arg_scope, current_arg_scope
from jslim.core.context import changed_context
from jslim.core.errors import ScopeError
from jslim.core.global_step import global_step_is
from jslim.core.model import Model, recorded
from jslim.core.names import BATCH_STATS, LOSS_WITHOUT_REGULARIZATION, PARAMS
from jslim.core.run import VariableInfo
from jslim.core.seeds import as_key
from jslim.core.trees import check_kept
from jslim.layers import frozen_batch_norm
from jslim.layers.recomputing import recompute_elementwise
from jslim.learning import mesh as meshes
from jslim.learning import numerics, sharding
from jslim.learning.accumulation import LossAndGradients, Outputs, accumulate, scalar_loss
from jslim.learning.chain import Update, merged, part
from jslim.learning.compiling import options_of_one_run
from jslim.learning.gradients import check_trainable, global_norm
from jslim.learning.options import StepOptions
from jslim.learning.state import PyTree, TrainState, moving_averages
from jslim.summaries import SUMMARIES, Summaries, scalars_of, summaries_due


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class TrainOp(StepOptions):
    """The training step that `create_train_op` makes.

    Attributes:
      model: The `Model` that computes the loss.
      mesh: The devices it runs on.
      counts_steps: Whether a step increases `state.step`.
      updates_statistics: Whether a step carries the moving statistics on.
      records_summaries: Whether the model recorded summaries in `init` or in the first step.
      state_sharding: Of a state: one for all leaves; from `init` or `init_shapes` on, a tree.
      trained_variables: The names of the variables that are trained, known from then on.
      quantities: The names that `outputs['first_nonfinite']` counts, from the first step on.

    Raises:
      ValueError: An option is not among its choices, or out of range.
    """

    model: Model
    optimizer: optax.GradientTransformation

    def __post_init__(self) -> None:
        super().__post_init__()
        self._update = optax.with_extra_args_support(self.optimizer).update
        self._scope = current_arg_scope()
        self._trained: PyTree = None  # like the params: whether each is trained
        self._whole = NamedSharding(self.mesh, PartitionSpec())
        self.records_summaries = False
        self.quantities: list[str] = []
        self.state_sharding: PyTree = self._whole
        self._gather: sharding.Gathering | None = None  # if the state lies in parts
        self._compile()

    def __repr__(self) -> str:
        devices = self.mesh.devices.flat
        parts = [
            f"TrainOp of {reprs.call_of(self.model.fn)}",
            f"on {reprs.counted(len(devices), f'{devices[0].platform} device')}",
        ]
        if self._trained is None:
            parts.append("before init")
        else:
            parts.append(f"trains {len(self.trained_variables)} of {len(self._infos)} variables")
        return f"<{', '.join([*parts, *self.given_in_words()])}>"

    def _compile(self) -> None:
        is_of_replicas = self.batch_norm_statistics == "replica"
        self._jitted_step = jax.jit(
            self._map_step if is_of_replicas else self._step,
            donate_argnums=0,
            out_shardings=(self.state_sharding, self._whole, self._whole),
        )
        self._jitted_init = jax.jit(
            self._init,
            out_shardings=self.state_sharding,
            compiler_options=options_of_one_run(self.mesh.devices.flat[0].platform),
        )

    def _shard(self, rng: jax.Array, batch: PyTree) -> None:
        """Applies the rules for the sharding of the state, once."""
        if self.sharding_rules is sharding.DATA_PARALLEL or self._gather is not None:
            return
        shapes = jax.eval_shape(self._init, rng, batch)
        self.state_sharding = sharding.state_shardings(shapes, self.sharding_rules, self.mesh)
        self._gather = sharding.Gathering(shapes, self.state_sharding, self.mesh)
        self._compile()

    def init(self, rng: jax.Array | int, batch: PyTree) -> TrainState:
        """The first state: fresh variables, on the devices of the mesh.

        Args:
          rng: A key, `jax.random.key(seed)`, or the seed, for the variables and the randomness of
            every step.
          batch: An argument of the loss function, or its `jax.ShapeDtypeStruct`s: only shapes and
            types matter.

        Returns:
          A `TrainState` at step 0.

        Raises:
          ScopeError: `variables_to_train` or `gradient_multipliers` names no variable, or
            `sharding_rules` do not fit.
        """
        with self._in_scope():
            rng, batch = as_key(rng, "rng"), jax.tree_util.tree_map_with_path(_as_array, batch)
            self._shard(rng, batch)
            return self._jitted_init(rng, batch)

    def init_shapes(self, rng: jax.Array | int, batch: PyTree) -> TrainState:
        """`init` without computing: the state as `jax.ShapeDtypeStruct`s on the mesh."""
        with self._in_scope():
            rng = as_key(rng, "rng")
            self._shard(rng, batch)
            shapes = self._jitted_init.eval_shape(rng, batch)  # a trace that `init` takes again
        return jax.tree.map(
            lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
            shapes,
            jax.tree.broadcast(self.state_sharding, shapes),
        )

    def _init(self, rng: jax.Array, batch: PyTree) -> TrainState:
        init_rng, step_rng = jax.random.split(rng)
        step = jnp.zeros((), jnp.int32)
        with recorded() as runs, global_step_is(step):
            variables = dict(self.model.init(init_rng, batch))
        if not runs:
            raise ScopeError("create_train_op: the loss function ran no model")
        self._infos = {info.name: info for run in runs for info in run.variables.values()}
        self.records_summaries |= any(run.collections.get(SUMMARIES) for run in runs)
        params = variables.pop(PARAMS, {})
        batch_stats = variables.pop(BATCH_STATS, {})
        trainable = frozenset(name for name, info in self._infos.items() if info.trainable)
        wanted = self.variables_to_train
        self.trained_variables = check_trainable(wanted, params, batch_stats, trainable)
        self._trained = unflatten_dict(
            {path: "/".join(path) in self.trained_variables for path in flatten_dict(params)}
        )
        averages = None
        if self.moving_average_decay is not None:
            averages = {PARAMS: params, BATCH_STATS: batch_stats}
        return TrainState(
            step=step,
            params=params,
            batch_stats=batch_stats,
            opt_state=self.optimizer.init(part(params, self._trained)),
            rng=step_rng,
            ema_params=averages,
            extra=variables,
        )

    def __call__(self, state: TrainState, batch: PyTree) -> tuple[TrainState, Outputs]:
        """One step over the mesh. It donates `state`: use the returned one.

        Args:
          state: From `init`, a checkpoint or the step before.
          batch: A tree of arrays, each split over the devices along its first axis.

        Returns:
          `(state, outputs)`. `outputs['loss']` is the loss before the update, a float32 scalar,
          and 'loss_without_regularization' what it is before `get_total_loss` adds some, if it
          does. The other outputs are those of the loss function.
        """
        return self._run(state, batch, is_due=False)[:2]

    def summarize(
        self, state: TrainState, batch: PyTree, *, only_scalars: bool = False
    ) -> tuple[TrainState, Outputs, Summaries]:
        """Like `__call__`, and returns the summaries too. It runs the same compiled program.

        Args:
          state, batch: As of `__call__`.
          only_scalars: Leaves out histograms and images, which are then not computed.
        """
        state, outputs, found = self._run(state, batch, is_due=not only_scalars)
        return state, outputs, scalars_of(found) if only_scalars else found

    def _run(
        self, state: TrainState, batch: PyTree, *, is_due: bool
    ) -> tuple[TrainState, Outputs, Summaries]:
        checks.instance("train_op", "state", state, TrainState, "a TrainState, as init returns")
        check_kept("train_op", state.step)
        with self._in_scope():
            batch = meshes.shard_batch(batch, self.mesh)
            results = self._jitted_step(state, batch, np.bool_(is_due))
        meshes.wait_on_shared_cpu(self.mesh, results)
        return results

    def lower(self, state: TrainState, batch: PyTree) -> jax.stages.Lowered:
        """The lowered step, to be compiled and analyzed: memory, FLOPs, collectives.

        Args:
          state: A state, or its shapes from `init_shapes`.
          batch: A batch for all devices, or its `jax.ShapeDtypeStruct`s.
        """

        def described(leaf: jax.Array) -> jax.ShapeDtypeStruct:
            place = NamedSharding(self.mesh, meshes.batch_spec(leaf))
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

        with self._in_scope():
            return self._jitted_step.lower(state, jax.tree.map(described, batch), np.bool_(False))

    @property
    def variable_infos(self) -> dict[str, VariableInfo]:
        """The model's facts about its variables, for `slim.get_trainable_variables`."""
        self._require_init()
        return self._infos

    def _require_init(self) -> None:
        if self._trained is None:
            raise ScopeError(
                "create_train_op: call train_op.init(rng, batch), or init_shapes, before the "
                "first step; it finds out which variables are trained"
            )

    def fault_of(self, state: TrainState, labels: PyTree) -> str:
        """Why the loss of a batch is NaN, if its labels are the reason; else `''`.

        Args:
          state: Any state.
          labels: The batch, by `numerics.labels_of`.
        """

        def loss_of(batch: PyTree) -> object:
            with global_step_is(jnp.zeros((), jnp.int32)):
                held = [BATCH_STATS, *state.extra]
                return self.model.apply(state.variables, batch, rngs=state.rng, mutable=held)

        with self._in_scope():
            return numerics.fault_of_labels(loss_of, labels)

    def _in_scope(self) -> contextlib.AbstractContextManager[object]:
        # Like TF-Slim's graph, the loss is traced under the scope around create_train_op.
        if current_arg_scope() == self._scope:
            return contextlib.nullcontext()
        return arg_scope(self._scope)

    def _frozen_batch_norm(self) -> contextlib.AbstractContextManager[None]:
        if not self.freeze_batch_norm:
            return contextlib.nullcontext()

        def is_frozen(name: str) -> bool:
            layer = f"{name.rpartition('/')[0] or name}/"  # with the convolution before it
            return not any(variable.startswith(layer) for variable in self.trained_variables)

        return frozen_batch_norm(is_frozen)

    def step(
        self, state: TrainState, batch: PyTree, axis_name: str | None = None
    ) -> tuple[TrainState, Outputs]:
        """The pure step, for `jax.jit`, `jax.pmap` or `jax.shard_map`.

        Args:
          state: The state; under a map the same on every device.
          batch: The batch, or under a map this device's part of it.
          axis_name: The mapped axis. Gradients, loss and moving statistics are averaged over it;
            each device has its own batch statistics, as with TF-Slim's clones, unless
            `batch_norm(axis_name=...)` is given.

        Returns:
          `(state, outputs)`.
        """
        state, outputs, _ = self._step(state, batch, None, axis_name)
        return state, outputs

    def _map_step(
        self, state: TrainState, batch: PyTree, is_due: jax.Array
    ) -> tuple[TrainState, Outputs, Summaries]:
        """The step on each device's part of the batch, with its own batch statistics."""
        whole = PartitionSpec()
        return jax.shard_map(
            functools.partial(self._step, axis_name=meshes.DATA_AXIS),
            mesh=self.mesh,
            in_specs=(whole, jax.tree.map(meshes.batch_spec, batch), whole),
            out_specs=whole,
            # The step itself averages what differs between devices; jax's own bookkeeping of that
            # refuses custom derivatives whose tangents are the same everywhere.
            check_vma=False,
        )(state, batch, is_due)

    def _step(
        self,
        state: TrainState,
        batch: PyTree,
        is_due: jax.Array | None,
        axis_name: str | None = None,
    ) -> tuple[TrainState, Outputs, Summaries]:
        """The step with its summaries, which are empty if `is_due` is None."""
        with_summaries = is_due is not None
        self._require_init()
        rng = jax.random.fold_in(state.rng, state.step)
        if axis_name is not None:
            rng = jax.random.fold_in(rng, jax.lax.axis_index(axis_name))
        held = state if self._gather is None else self._gather.rest(state, self._infos)
        trained = part(held.params, self._trained)
        if axis_name is not None:
            # Each device differentiates its own copy: otherwise shard_map sums the gradients,
            # and the average below would leave them too large.
            trained = meshes.to_varying(trained, axis_name)
        with self._in_scope(), summaries_due(False if is_due is None else is_due):
            results = self._differentiate(held, trained, batch, rng, with_summaries)
            (loss, (outputs, updated)), gradients = results
            if axis_name is not None:
                loss, outputs, updated = meshes.mean_over((loss, outputs, updated), axis_name)
                gradients = meshes.mean_over(gradients, axis_name, self.reduce_dtype)
            if self._gather is not None:
                shardings = part(self.state_sharding.params, self._trained)
                gradients = jax.lax.with_sharding_constraint(gradients, shardings)
            gradients = meshes.finished(gradients, self.mesh)
            update = Update(loss, state, dict(updated.get(SUMMARIES, {})))
            new = self._updated(state, gradients, updated, update if with_summaries else None)
        if self.report_norms:
            outputs["gradient_norm"] = global_norm(gradients)
            outputs["parameter_norm"] = global_norm(part(new.params, self._trained))
        if self.check_numerics == numerics.EVERYTHING:
            found = numerics.quantities_of_step(loss, gradients, new.params, new.batch_stats)
            self.quantities = list(found)
            outputs[numerics.FIRST_NONFINITE] = numerics.first_nonfinite(found)
        self.records_summaries |= bool(update.summaries)
        return new, {"loss": loss, **outputs}, update.summaries

    def _differentiate(
        self,
        state: TrainState,
        trained: PyTree,
        batch: PyTree,
        rng: jax.Array,
        with_summaries: bool,
    ) -> LossAndGradients:
        """Loss, outputs, updated collections and gradients of a batch."""
        collected = [LOSS_WITHOUT_REGULARIZATION, *([SUMMARIES] if with_summaries else [])]

        def loss_of(
            trained: PyTree, held: dict[str, PyTree], batch: PyTree, rng: jax.Array
        ) -> tuple[jax.Array, tuple[Outputs, dict[str, PyTree]]]:
            variables = {PARAMS: merged(state.params, trained), **held}
            gathers = changed_context(gather=self._gather)
            with global_step_is(state.step), self._frozen_batch_norm(), gathers:
                mutable = [*held, *collected]
                result, updated = self.model.apply(variables, batch, rngs=rng, mutable=mutable)
            updated = dict(updated)
            loss, outputs = scalar_loss(result, updated.pop(LOSS_WITHOUT_REGULARIZATION, {}))
            return loss, (outputs, updated)

        recomputed = recompute_elementwise(loss_of) if self.recompute_elementwise else loss_of
        gradients_of = jax.value_and_grad(recomputed, has_aux=True)
        held = {BATCH_STATS: state.batch_stats, **state.extra}
        if self.gradient_accumulation_steps > 1:
            gradients_of = accumulate(gradients_of, self.gradient_accumulation_steps)
        return gradients_of(trained, held, batch, rng)

    def _updated(
        self,
        state: TrainState,
        gradients: PyTree,
        updated: Mapping[str, PyTree],
        seen: Update | None,
    ) -> TrainState:
        """The state after the optimizer's update."""
        before = part(state.params, self._trained)
        updates, opt_state = self._update(gradients, state.opt_state, before, seen=seen)
        batch_stats = state.batch_stats
        if self.updates_statistics:
            batch_stats = updated.get(BATCH_STATS, batch_stats)
        new = state.replace(
            step=state.step + 1 if self.counts_steps else state.step,
            # The randomness of a step comes from its number; if that stays, the key changes.
            rng=state.rng if self.counts_steps else jax.random.split(state.rng, 1)[0],
            params=merged(state.params, optax.apply_updates(before, updates)),
            batch_stats=batch_stats,
            opt_state=opt_state,
            extra={name: updated.get(name, held) for name, held in state.extra.items()},
        )
        if self.moving_average_decay is None:
            return new
        averages = moving_averages(
            state, new, self.moving_average_decay, self.moving_average_warmup
        )
        return new.replace(ema_params=averages)


def _as_array(path: tuple[object, ...], leaf: PyTree) -> PyTree:
    meshes.check_numbers(path, leaf)
    return np.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf
