"""`train`: runs a train op over batches, with checkpoints, exact resume, summaries and progress."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax

from jslim.core import checks
from jslim.core.errors import ScopeError
from jslim.core.trees import check_kept
from jslim.host import display
from jslim.host.paths import output_directory
from jslim.host.processes import put
from jslim.learning.directory import RunDirectory
from jslim.learning.hooks import Every
from jslim.learning.profiling import StepProfiler
from jslim.learning.running import AfterStep, Run, SummarizeFn, TrainStepFn
from jslim.learning.source import Source
from jslim.learning.state import MAX_STEPS, PyTree, TrainState
from jslim.learning.train_op import TrainOp
from jslim.summaries import NullWriter

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
    report_to: Sequence[NullWriter] = (),
    save_summaries_steps: int | None = None,
    summarize_fn: SummarizeFn | None = None,
    after_step: AfterStep | None = None,
    on_start: AfterStep | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> TrainState:
    """Trains until `number_of_steps`, the end of the data, a signal, or for ever.

    If `logdir` holds a checkpoint, training continues from the newest whole one; otherwise it
    starts from `train_op.init` and `init_fn`. A continued run ends with the same parameters as an
    unbroken one, bit for bit, if `batches` or its iterator has `get_state()` and
    `set_state(state)`, as in `jslim.data` and Grain.

    A checkpoint is written at the start; every `save_interval_secs`; on SIGTERM, SIGHUP, SIGUSR1 or
    Ctrl-C, after the step under way; when the data raises an error; and at the end. The first one
    is read back, so that a directory that cannot hold checkpoints is an error at once.

    While a run goes on, a second run in the same `logdir` is refused. If the directory is deleted
    or renamed, it is recreated within a second and saved to. A mark in it says that the run is
    done: at `number_of_steps`, when `after_step` or `train_step_fn` ends it, and without
    `number_of_steps` at the end of the data. Data that ends early is a warning, and no mark.

    Meanwhile it shows what it waits for, a line every `log_every_n_steps`, and in the end how it
    ended: in one row of a terminal, in the output of a notebook's cell, or line by line on the
    standard error. A line has the step, the losses, the other outputs that are numbers, the epoch,
    images per second, the share of time spent waiting for data, and the time left. If logging shows
    INFO of the logger `jslim`, lines are logged instead; if that logger's own level is higher,
    nothing is shown.

    Differs from TF-Slim: restarting a finished run takes no further step; the result is the state,
    not the loss; `log_every_n_steps` is 10 by default, not 1; a log line appears when the device
    has computed its step, and later steps do not wait for that; arguments about sessions and graphs
    are gone.

    Args:
      train_op: From `create_train_op`.
      batches: An iterable of arguments of the loss function, host arrays or device arrays.
      logdir: Where checkpoints go, event files, and the numbers as `metrics.jsonl` and
        `metrics.csv`; None keeps nothing.
      number_of_steps: The step at which to stop, counted over all runs; None for no limit.
      log_every_n_steps: Steps from one progress line to the next.
      rng: A key or a seed, for variables and dropout.
      init_fn: `init_fn(state)` takes the fresh `TrainState` and returns one, or a variables tree,
        as from `assign_from_checkpoint_fn`. Not called when training resumes.
      save_summaries_secs: Seconds between summaries; None or 0 writes none, and no event files.
        The numbers among them are written with each log line too.
      save_interval_secs: Seconds between checkpoints.
      max_to_keep: How many of the newest checkpoints to keep.
      contract: What users of the checkpoints need to know (network, image size, class names, ...),
        stored in each; JSON values.
      train_step_fn: `train_step_fn(train_op, state, batch)` is called in place of
        `train_op(state, batch)`; it returns `(state, outputs, should_stop)`.
      summary_writer: Where summaries go in place of an event file in `logdir`.
      report_to: Writers that get the same beside, such as a `WandbWriter`. The end of training
        closes these and `summary_writer`.
      summarize_fn: `summarize_fn(state, batch)` is called when summaries are due, after the step of
        this batch, and returns what is written with them, such as that of `slim.summary.
        host_histogram`. It must not keep the state. Training waits for it.
      after_step: `after_step(step, state)` is called after each step; True ends the training. It
        may look at the state, evaluate it or save it, but not keep it: the next step overwrites
        it. If it has an attribute `every`, such as `slim.learning.Every(steps=100)`, it is called
        only when that is due, after the log lines of the steps before.
      on_start: `on_start(step, state)` is called once, before the first step of this call. It can
        do what a killed run left undone after its last checkpoint. True ends the training.
      save_summaries_steps: Steps between summaries, counted over all runs, starting with the first
        step; in place of `save_summaries_secs`.
      profile_steps: `(first, last)`: the work of host and devices in these steps is written to
        `logdir/plugins/profile`, for TensorBoard and Perfetto.

    Returns:
      The final `TrainState`.

    Raises:
      ValueError: `number_of_steps` is not positive, or another number is out of range; there are no
        batches.
      OSError: `logdir` cannot hold checkpoints, or another run writes to it.
      TypeError: `train_op` is not a `TrainOp`, or `batches` is a directory.
      FloatingPointError: A number is NaN or infinite, see `create_train_op(check_numerics=...)`;
        the error names the first such quantity, the step and the records of its batch. The last
        checkpoint is from before that step.
      RestoreError: `logdir` holds checkpoints of another model.

    Example:
      >>> import optax, jslim as slim
      >>> def total_loss(batch):
      ...     return (slim.model_variable("w", [], initializer=2.0) * batch).mean()
      >>> train_op = slim.learning.create_train_op(total_loss, optax.sgd(0.1))
      >>> state = train(train_op, [jax.numpy.ones(3)] * 9, number_of_steps=5)
      >>> print(f"w = {state.params['w']:.1f} after step {state.step}")
      w = 1.5 after step 5
    """
    _check_types(train_op, batches)
    if number_of_steps is not None:
        number_of_steps = checks.count("train", "number_of_steps", number_of_steps)
        if number_of_steps > MAX_STEPS:
            accepted = f"at most {MAX_STEPS}, where the step's int32 ends"
            raise checks.refusal("train", "number_of_steps", accepted, str(number_of_steps))
    checks.count("train", "log_every_n_steps", log_every_n_steps)
    checks.count("train", "max_to_keep", max_to_keep)
    if save_summaries_steps is not None:
        checks.count("train", "save_summaries_steps", save_summaries_steps)
    checks.seconds("train", "save_interval_secs", save_interval_secs)
    checks.seconds("train", "save_summaries_secs", save_summaries_secs)
    if logdir is not None:
        logdir = output_directory(logdir, "train: logdir")
    for writer in report_to:
        checks.instance("train", "report_to", writer, NullWriter, "writers of summaries")
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
            opened.enter_context(directory)
            with display.status("tracing the model"):
                shapes = train_op.init_shapes(rng, source.example)
            with display.status("looking for a checkpoint"):
                restored = directory.restore(shapes)
        if restored is None:
            with display.status("initializing the variables"):
                state = initialized(train_op, rng, source.example, init_fn)
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
        run = Run(
            train_op=train_op,
            state=state,
            source=source,
            checkpoints=directory,
            profiler=profiler,
            is_resumed=restored is not None,
            number_of_steps=number_of_steps,
            every_log=Every(steps=log_every_n_steps),
            every_summaries=Every(steps=save_summaries_steps, secs=save_summaries_secs or None),
            summary_writer=summary_writer,
            report_to=report_to,
            train_step_fn=train_step_fn,
            summarize_fn=summarize_fn,
            on_start=on_start,
            after_step=after_step,
        )
        opened.push(run.writer)
        return run.run()


def _check_types(train_op: object, batches: object) -> None:
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


def initialized(
    train_op: TrainOp, rng: jax.Array | int, example: PyTree, init_fn: InitFn | None
) -> TrainState:
    """The state that training starts from; the arguments are those of `train`."""
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
    check_kept("train: init_fn", given)
    # The averages start from the values that training starts from.
    given = given.with_averages_since(state)
    # A copy: two leaves that share a buffer could not both be donated.
    return jax.tree.map(put, given, jax.tree.broadcast(train_op.state_sharding, given))
