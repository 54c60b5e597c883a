"""Evaluation: the metrics of one checkpoint, or of every new one while training runs.

    values = slim.evaluation.evaluate_once(checkpoint_path, eval_fn, batches, metrics)

`eval_fn(variables, batch)` returns the arguments of `metrics.update` after the state: a tuple such
as `(predictions, labels)`, or a dict such as `{'predictions': ..., 'labels': ..., 'weights': ...}`.
Without weights, those of the batch count: the batches of `jslim.data` have weight 0 in the rows
that fill up the last batch, so that they change nothing.
"""

import functools
import logging
import operator
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim import checkpoints
from jslim.checkpoints import checkpoints_iterator as checkpoints_iterator
from jslim.checkpoints import new_weights as new_weights
from jslim.checkpoints import wait_for_new_checkpoint as wait_for_new_checkpoint
from jslim.core import checks, reprs
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.trees import PyTree, check_kept
from jslim.host import display
from jslim.host.paths import output_directory
from jslim.host.processes import put
from jslim.learning import mesh as meshes
from jslim.learning.compiling import Compilations
from jslim.metrics import Metric
from jslim.summaries import NullWriter, SummaryWriter

logger = logging.getLogger("jslim")

Batch = PyTree  # a tree of arrays
Variables = Mapping[str, PyTree]  # {'params': ..., 'batch_stats': ...}
Values = PyTree  # from `metrics.finalize`
EvalFn = Callable[[Variables, Batch], object]  # gives the arguments of `metrics.update`
Batches = Iterable[Batch] | Callable[[], Iterable[Batch]]  # or a function that makes them


class MetricValues(dict[str, PyTree]):
    """The values of metrics by name, a dict that prints as numbers.

    >>> MetricValues(accuracy=np.asarray(0.975, np.float32), matrix=np.zeros((3, 3)))
    {'accuracy': 0.975, 'matrix': float64[3,3]}
    """

    def __repr__(self) -> str:
        return reprs.held_repr(dict(self))


# For JAX too it is a dict.
jax.tree_util.register_pytree_with_keys(
    MetricValues,
    lambda values: (
        [(jax.tree_util.DictKey(name), value) for name, value in sorted(values.items())],
        tuple(sorted(values)),
    ),
    lambda names, held: MetricValues(zip(names, held, strict=True)),
)


class Evaluate(Protocol):
    """The result of `make_evaluator`."""

    def __call__(
        self, variables: Variables, batches: Batches, num_evals: int | None = None
    ) -> Values: ...


def evaluate_variables(
    variables: Variables,
    eval_fn: EvalFn,
    batches: Batches,
    metrics: Metric,
    *,
    num_evals: int | None = None,
    mesh: Mesh | None = None,
) -> Values:
    """`evaluate_once` for given variables, such as those of `slim.load`.

    Args:
      variables: `{'params': ..., 'batch_stats': ...}`.
      eval_fn, batches, metrics, num_evals, mesh: As for `evaluate_once`.

    Returns:
      `metrics.finalize`'s values on the host.

    Raises:
      ValueError: There are fewer batches than `num_evals`, or none.

    Example:
      >>> import jslim as slim
      >>> metric = slim.metrics.streaming_accuracy()
      >>> batches = [{"x": np.array([1, 2, 3]), "label": np.array([1, 2, 0])}]
      >>> def eval_fn(variables, batch):
      ...     return batch["x"], batch["label"]
      >>> round(float(evaluate_variables({}, eval_fn, batches, metric)), 4)
      0.6667
    """
    return make_evaluator(eval_fn, metrics, mesh=mesh)(variables, batches, num_evals)


def make_evaluator(eval_fn: EvalFn, metrics: Metric, *, mesh: Mesh | None = None) -> Evaluate:
    """Makes an `evaluate_variables` that compiles once for many calls.

    Args:
      eval_fn, metrics, mesh: As for `evaluate_once`.

    Returns:
      `evaluate(variables, batches, num_evals=None)`, which returns the values of
      `metrics.finalize`.
    """
    hint = "make one of several by slim.metrics.aggregate_metric_map({name: metric})"
    if callable(metrics):
        hint = f"call it, {getattr(metrics, '__name__', 'it')}()"
    accepted = "a metric such as slim.metrics.streaming_accuracy()"
    checks.instance("evaluation", "metrics", metrics, Metric, accepted, hint)
    checks.function("evaluation", "eval_fn", eval_fn, "of variables and a batch")
    mesh = mesh or meshes.data_mesh(1)
    whole = NamedSharding(mesh, PartitionSpec())

    compilations = Compilations("the evaluation step")

    @functools.partial(jax.jit, donate_argnums=1, out_shardings=whole)
    def update(variables: Variables, state: PyTree, batch: Batch) -> PyTree:
        data = eval_fn(variables, batch)
        weights = batch.get("weights") if isinstance(batch, Mapping) else None
        try:
            if isinstance(data, Mapping):
                return metrics.update(state, **{"weights": weights, **data})
            data = data if isinstance(data, tuple) else (data,)
            return metrics.update(state, *data, weights=weights)
        except TypeError as error:
            raise TypeError(
                "evaluation: eval_fn must return what metrics.update takes after the state, such "
                f"as (predictions, labels), but it returned {_shown(data)}; {error}"
            ) from error

    def evaluate(variables: Variables, batches: Batches, num_evals: int | None = None) -> Values:
        if num_evals is not None:
            checks.count("evaluation", "num_evals", num_evals)
        check_kept("evaluation", variables)
        variables, state = jax.tree.map(lambda leaf: put(leaf, whole), (variables, metrics.init()))
        if hasattr(batches, "rewind"):
            batches.rewind()
        count = 0
        given = batches() if callable(batches) else batches
        total = num_evals or operator.length_hint(given) or None
        with display.task("evaluating", total, "batches") as task:
            for batch in given:
                with compilations.shown(batch):
                    state = update(variables, state, meshes.shard_batch(batch, mesh))
                count += 1
                meshes.wait_on_shared_cpu(mesh, state)
                if count % meshes.STEPS_IN_FLIGHT == 0:
                    jax.block_until_ready(state)
                task.advance()
                if count == num_evals:
                    break
            jax.block_until_ready(state)
        if count < (num_evals or 1):
            raise ValueError(
                f"evaluation: the batches ended after {count}"
                + (f", but num_evals asks for {num_evals}" if num_evals else "; there is no data")
                + "; a generator can be used once only: pass a list, a loader or a function"
            )
        values = metrics.finalize(state)
        if isinstance(values, dict):  # keeps their order; jax.tree would sort the names
            named = {name: jax.tree.map(np.asarray, value) for name, value in values.items()}
            return MetricValues(named)
        return jax.tree.map(np.asarray, values)

    return evaluate


def _shown(data: object) -> str:
    """What an `eval_fn` returned, by its shapes: `[2, 5]`, `([2, 5], dict)`."""
    if isinstance(data, tuple) and len(data) == 1:
        return _shown(data[0])
    if isinstance(data, tuple):
        return f"({', '.join(map(_shown, data))})"
    if isinstance(data, Mapping):
        return f"a dict of {', '.join(map(repr, data))}"
    shape = getattr(data, "shape", None)
    return type(data).__name__ if shape is None else f"an array of shape {shape}"


def evaluate_once(
    checkpoint_path: str | os.PathLike[str],
    eval_fn: EvalFn,
    batches: Batches,
    metrics: Metric,
    *,
    logdir: str | os.PathLike[str] | None = None,
    num_evals: int | None = None,
    use_moving_averages: bool | None = None,
    mesh: Mesh | None = None,
) -> Values:
    """Evaluates one checkpoint, which is read whole at the start.

    The result does not depend on the batch size or the number of devices, except for rounding.

    Differs from TF-Slim: the batches end by themselves, so `num_evals` may be left out; there is no
    session, and there are no ops to run before or after.

    Args:
      checkpoint_path: A checkpoint, or a directory of them, whose newest whole one is read.
      eval_fn: `eval_fn(variables, batch)` returns the arguments of `metrics.update` after the
        state, as a tuple or as a dict of keyword arguments; `batch['weights']` is added if it
        returns no weights. It is jitted.
      batches: An iterable of batches, or a function that returns one. A loader of `jslim.data`
        starts from its first record.
      metrics: A metric, or several from `aggregate_metric_map`.
      logdir: Where to write the values for TensorBoard, under the checkpoint's step.
      num_evals: The number of batches; None for all.
      use_moving_averages: Whether to use the moving averages of the variables; None uses them if
        jslim kept some. If there is a choice, the log says which are used.
      mesh: The devices, from `learning.data_mesh(n)`; default the first device.

    Returns:
      `metrics.finalize`'s values on the host: for a metric map `{name: value}`.

    Raises:
      RestoreError: There is no such checkpoint, or it is broken.
      ValueError: There are fewer batches than `num_evals`, or none.
    """
    logdir = None if logdir is None else output_directory(logdir, "evaluate_once: logdir")
    weights = checkpoints.read_weights(checkpoint_path, use_moving_averages)
    evaluate = make_evaluator(eval_fn, metrics, mesh=mesh)
    with writer_of(logdir) as writer:
        return evaluate_weights(evaluate, weights, batches, writer=writer, num_evals=num_evals)


def evaluate_weights(
    evaluate: Evaluate,
    weights: checkpoints.Weights,
    batches: Batches,
    *,
    writer: NullWriter | None = None,
    num_evals: int | None = None,
) -> Values:
    """`evaluate_once` for weights from `checkpoints.read_weights`.

    Args:
      evaluate: From `make_evaluator`.
      weights: The weights of a checkpoint.
      batches, num_evals: As for `evaluate_once`.
      writer: Gets the values that are single numbers, under the step of the checkpoint; one
        without a step counts as step 0.
    """
    if which := checkpoints.describe(weights):
        logger.info("%s", which)
    started = time.perf_counter()
    values = evaluate(weights.variables, batches, num_evals)
    name = weights.path if weights.step is None else f"step {weights.step}"
    logger.info("evaluated %s in %.1f s", name, time.perf_counter() - started)
    if writer is not None:
        writer.write(weights.step or 0, scalars(values))
    return values


def writer_of(logdir: str | os.PathLike[str] | None) -> NullWriter:
    """A writer of values for TensorBoard; of nothing without `logdir`, or beside the first process.

    Raises:
      ImportError: The package tensorboard is not installed.
    """
    return NullWriter() if logdir is None or jax.process_index() != 0 else SummaryWriter(logdir)


def scalars(values: Values) -> dict[str, float]:
    """The values that are single numbers, by name.

    >>> scalars({"accuracy": np.float32(0.5), "curve": np.ones(3)})
    {'accuracy': 0.5}
    """
    if isinstance(values, (list, tuple)):
        values = {f"value_{index}": value for index, value in enumerate(values)}
    elif not isinstance(values, Mapping):
        values = {"value": values}
    return {name: float(value) for name, value in values.items() if np.ndim(value) == 0}


def evaluation_loop(
    checkpoint_dir: str | os.PathLike[str],
    eval_fn: EvalFn,
    batches: Batches,
    metrics: Metric,
    *,
    logdir: str | os.PathLike[str] | None = None,
    num_evals: int | None = None,
    eval_interval_secs: float = 60.0,
    max_number_of_evaluations: int | None = None,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    use_moving_averages: bool | None = None,
    mesh: Mesh | None = None,
    on_values: Callable[[int, Values], None] | None = None,
) -> Values:
    """Evaluates every new checkpoint until training ends.

    The last checkpoint of a training run is always evaluated. A checkpoint that is deleted or
    broken before it is read is skipped with one line in the log.

    Args:
      checkpoint_dir: The directory that training writes to.
      eval_fn, batches, metrics, logdir, num_evals, use_moving_averages, mesh: As for
        `evaluate_once`; `batches` is iterated once for each checkpoint.
      eval_interval_secs: The least number of seconds from one evaluation to the next.
      max_number_of_evaluations: The greatest number of evaluations; None for no limit.
      timeout: Seconds to wait for a new checkpoint; None waits until training has ended.
      timeout_fn: Called after a timeout: True stops, False waits on.
      on_values: Called with `(step, values)` after each evaluation.

    Returns:
      The values of the last evaluation, or None if there was none.
    """
    logdir = None if logdir is None else output_directory(logdir, "evaluation_loop: logdir")
    checks.seconds("evaluation_loop", "eval_interval_secs", eval_interval_secs)
    checks.seconds("evaluation_loop", "timeout", timeout)
    counts = {"num_evals": num_evals, "max_number_of_evaluations": max_number_of_evaluations}
    for name, number in counts.items():
        if number is not None:
            checks.count("evaluation_loop", name, number)
    evaluate = make_evaluator(eval_fn, metrics, mesh=mesh)
    values = None
    read = functools.partial(checkpoints.read_weights, use_moving_averages=use_moving_averages)
    every = new_weights(checkpoint_dir, read, eval_interval_secs, timeout, timeout_fn)
    with writer_of(logdir) as writer:  # one file for all evaluations
        for count, weights in enumerate(every, 1):
            values = evaluate_weights(
                evaluate, weights, batches, writer=writer, num_evals=num_evals
            )
            if on_values is not None:
                on_values(weights.step or 0, values)
            if count == max_number_of_evaluations:
                break
    return values


_tf_slim_names.answer_in(__name__)
