"""`train`: runs a train op over batches, with checkpoints, exact resume, summaries and progress."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping

import jax

from jslim.core import checks
from jslim.core.errors import ScopeError
from jslim.host.paths import output_directory
from jslim.host.processes import put
from jslim.learning.directory import RunDirectory
from jslim.learning.hooks import Every
from jslim.learning.profiling import StepProfiler
from jslim.learning.running import AfterStep, Run, TrainStepFn
from jslim.learning.source import Source
from jslim.learning.state import MAX_STEPS, PyTree, TrainState
from jslim.learning.train_op import TrainOp
from jslim.summaries import NullWriter, SummaryWriter

logger = logging.getLogger("jslim")

InitFn = Callable[[TrainState], TrainState | Mapping[str, PyTree]]


def train(
    train_op: TrainOp,
    batches: Iterable[PyTree],
    logdir: str | os.PathLike[str] | None = None,
    *,
    number_of_steps: int | None = None,
    log_every_n_steps: int = 10,
    rng: jax.Array | int = 0,
    init_fn: InitFn | None = None,
    save_summaries_secs: float | None = 600.0,
    save_interval_secs: float = 600.0,
    max_to_keep: int = 5,
    contract: Mapping[str, object] | None = None,
    train_step_fn: TrainStepFn | None = None,
    summary_writer: NullWriter | None = None,
    save_summaries_steps: int | None = None,
    after_step: AfterStep | None = None,
    on_start: AfterStep | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> TrainState:
    """Trains until `number_of_steps`, the end of the data, a signal, or for ever.

    Where `logdir` holds a checkpoint, training continues from the newest whole one and ends with
    the parameters that a run without a break would have had, to the bit, if `batches` or its
    iterator has `get_state()` and `set_state(state)`: those of `jslim.data` and of Grain do.
    Otherwise it starts from `train_op.init` and `init_fn`. A checkpoint is written at the start,
    every `save_interval_secs`, on SIGTERM, SIGHUP, SIGUSR1 or Ctrl-C (the step is finished and
    saved first), where the data raises an error, and at the end. The first one is read back, so
    that a directory that cannot hold checkpoints is an error at once.

    `logdir` is this run's alone meanwhile: a second one is refused. If it is deleted or renamed,
    it is made anew within a second and saved to. When the run is done, a mark says so: at
    `number_of_steps`, where `after_step` or `train_step_fn` ends it, and without
    `number_of_steps` at the end of the data. Data that ends before is a warning, and no mark.

    Differs from TF-Slim: restarting a finished run takes no further step; it returns the state
    and not the loss; `log_every_n_steps` is 10 by default and not 1; a log line is shown when the
    device has computed its step, and later steps do not wait for that; what belongs to a session or
    a graph is gone.

    Args:
      train_op: From `create_train_op`.
      batches: An iterable of what the loss function takes, host arrays or device arrays.
      logdir: Where checkpoints and event files go; None keeps nothing.
      number_of_steps: The step at which to stop, counted over all runs; None means no limit.
      log_every_n_steps: Steps from one progress line to the next.
      rng: A key or a seed: variables and dropout come from it.
      init_fn: Takes the fresh `TrainState` and gives one, or a variables tree to put in it, as
        `assign_from_checkpoint_fn` does. Not called when training resumes.
      save_summaries_secs: Seconds between summaries; None or 0 writes no event files.
      save_interval_secs: Seconds between checkpoints.
      max_to_keep: How many checkpoints to keep, the newest.
      contract: What is needed to use the checkpoints (network, image size, class names, ...),
        stored in each; JSON values.
      train_step_fn: Called for each step in place of `train_op(state, batch)`, with
        `(train_op, state, batch)`; gives `(state, outputs, should_stop)`.
      summary_writer: Where summaries go; default a `SummaryWriter` on `logdir`.
      after_step: Called after each step with its number and the state, which is the next step's to
        overwrite: look at it, evaluate it or save it, but do not keep it. True ends the training.
        If it has an attribute `every`, such as `slim.learning.Every(steps=100)`, it is called only
        when that is due, after the log lines of the steps before.
      on_start: Called with the same, once, before the first step that is taken here. What a kill
        left undone after the checkpoint that training goes on from can be done there.
      save_summaries_steps: Steps between summaries, the first step's among them, counted over
        all runs; in place of `save_summaries_secs`.
      profile_steps: `(first, last)`: what host and devices do in these steps is written to
        `logdir/plugins/profile` for TensorBoard, and there as a trace for Perfetto.

    Returns:
      The final `TrainState`.

    Raises:
      ValueError: `number_of_steps` is not positive, or another number makes no sense; the batches
        are empty.
      OSError: `logdir` cannot hold checkpoints, or another run writes to it.
      TypeError: `train_op` is not one, or a directory stands where the batches do.
      FloatingPointError: A number is NaN or infinite, see `create_train_op(check_numerics=...)`; it
        names the first such quantity, the step and the records of its batch. The last checkpoint is
        from before that.
      RestoreError: `logdir` holds checkpoints of another model.
    """
    _check_arguments(
        train_op,
        batches,
        number_of_steps=number_of_steps,
        log_every_n_steps=log_every_n_steps,
        max_to_keep=max_to_keep,
        save_summaries_steps=save_summaries_steps,
    )
    number_of_steps = number_of_steps and checks.count("train", "number_of_steps", number_of_steps)
    if number_of_steps is not None and number_of_steps > MAX_STEPS:
        raise ValueError(
            f"train: number_of_steps must be at most {MAX_STEPS}, where the step's int32 ends, got "
            f"{number_of_steps}"
        )
    checks.seconds("train", "save_interval_secs", save_interval_secs)
    checks.seconds("train", "save_summaries_secs", save_summaries_secs)
    if logdir is not None:
        logdir = output_directory(logdir, "train: logdir")
    source = Source(batches)
    with contextlib.ExitStack() as opened:
        profiler = StepProfiler(profile_steps, logdir)
        opened.callback(profiler.close)
        directory = None
        restored = None
        if logdir is not None:
            directory = RunDirectory(
                logdir, contract, max_to_keep=max_to_keep, save_interval_secs=save_interval_secs
            )
            opened.callback(directory.close)
            restored = directory.restore(train_op.init_shapes(rng, source.example))
        if restored is None:
            state = _initialize(train_op, rng, source.example, init_fn)
        else:
            state = restored.state
            logger.info("going on from step %d of %s", restored.step, logdir)
            if source.has_position and restored.data_state is not None:
                source.go_to(restored.data_state)
            else:
                logger.warning(
                    "the batches have no get_state and set_state, or the checkpoint has no "
                    "position of theirs: the data starts over"
                )
        has_summaries = bool(save_summaries_secs or save_summaries_steps)

        def open_writer(resumed_step: int | None) -> NullWriter:
            if summary_writer is not None:
                return summary_writer
            return _default_writer(logdir, has_summaries, resumed_step)

        run = Run(
            train_op=train_op,
            state=state,
            source=source,
            directory=directory,
            open_writer=open_writer,
            profiler=profiler,
            is_resumed=restored is not None,
            number_of_steps=number_of_steps,
            every_log=Every(steps=log_every_n_steps),
            every_summaries=Every(steps=save_summaries_steps, secs=save_summaries_secs or None),
            train_step_fn=train_step_fn,
            on_start=on_start,
            after_step=after_step,
        )
        opened.callback(run.close)
        return run.run()


def _check_arguments(train_op: object, batches: object, **counts: float | None) -> None:
    if not isinstance(train_op, TrainOp):
        raise TypeError(
            "train: train_op must come from slim.learning.create_train_op, got "
            f"{type(train_op).__name__}"
        )
    if not train_op.counts_steps:
        raise ValueError(
            "train: a train op that was made with global_step=None counts no steps, so that its "
            "training could neither end nor go on; leave global_step out, or call the train op"
        )
    if isinstance(batches, (str, os.PathLike)):
        raise TypeError(
            f"train: the batches come second, before the directory: train(train_op, batches, "
            f"{os.fspath(batches)!r}); TF-Slim had them in the graph"
        )
    for name, count in counts.items():
        if count is not None:
            checks.count("train", name, count)


def _initialize(
    train_op: TrainOp, rng: jax.Array | int, example: PyTree, init_fn: InitFn | None
) -> TrainState:
    state = train_op.init(rng, example)
    if init_fn is None:
        return state
    given = init_fn(state)
    if isinstance(given, Mapping):
        given = state.replace_variables(dict(given))
    if not isinstance(given, TrainState):
        raise ScopeError(
            "train: init_fn must give back a TrainState or a variables tree {'params': ..., "
            f"'batch_stats': ...}}, got {type(given).__name__}"
        )
    # The averages start from the values that training starts from.
    given = given.with_averages_since(state)
    # A copy: two leaves that share a buffer could not both be donated.
    return jax.tree.map(put, given, jax.tree.broadcast(train_op.state_sharding, given))


def _default_writer(
    logdir: str | os.PathLike[str] | None, has_summaries: bool, resumed: int | None
) -> NullWriter:
    if logdir is None or not has_summaries or jax.process_index() != 0:
        return NullWriter()
    try:
        # What a killed run wrote beyond its last checkpoint is taken again.
        return SummaryWriter(logdir, purge_step=None if resumed is None else resumed + 1)
    except ImportError as error:
        logger.warning("no event files are written: %s", error)
        return NullWriter()
