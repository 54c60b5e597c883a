"""`train`: runs a train op over batches, with checkpoints, exact resume, summaries and progress."""

import collections
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from jslim import checkpoints
from jslim._checks import check_count, check_secs
from jslim._errors import ScopeError
from jslim._paths import output_directory
from jslim._processes import any_of, put
from jslim.learning.mesh import STEPS_IN_FLIGHT
from jslim.learning.numerics import FIRST_NONFINITE
from jslim.learning.profiling import StepProfiler
from jslim.learning.progress import Meter, ProgressLine
from jslim.learning.signals import TerminationSignals
from jslim.learning.state import TrainState
from jslim.learning.train_op import Outputs, TrainOp
from jslim.summaries import NullWriter, SummaryWriter

logger = logging.getLogger("jslim")

TrainStepFn = Callable[[TrainOp, TrainState, Any], tuple[TrainState, Outputs, bool]]
AfterStep = Callable[[int, TrainState], bool | None]
_LONG_CALL_SECS = 0.05
_RECORDS_NAMED = 8  # of a batch that went wrong
_NORMS = ("gradient_norm", "parameter_norm")


def train(
    train_op: TrainOp,
    batches: Iterable[Any],
    logdir: str | os.PathLike[str] | None = None,
    *,
    number_of_steps: int | None = None,
    log_every_n_steps: int = 10,
    rng: jax.Array | int = 0,
    init_fn: Callable[[Any], Any] | None = None,
    save_summaries_secs: float | None = 600.0,
    save_interval_secs: float = 600.0,
    max_to_keep: int = 5,
    contract: Mapping[str, Any] | None = None,
    train_step_fn: TrainStepFn | None = None,
    summary_writer: Any = None,
    save_summaries_steps: int | None = None,
    after_step: AfterStep | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> TrainState:
    """Trains until `number_of_steps`, the end of the data, SIGTERM, or for ever.

    Where `logdir` holds a checkpoint, training continues from the newest whole one and ends with
    the parameters that a run without a break would have had, to the bit, if `batches` has
    `get_state()` and `set_state(state)` (those of `jslim.data` do). Otherwise it starts from
    `train_op.init` and `init_fn`. A checkpoint is written at the start, every
    `save_interval_secs`, on SIGTERM or Ctrl-C (the step is finished and saved first), and at the
    end.

    Differs from TF-Slim: restarting a finished run takes no further step; it returns the state
    and not the loss; `log_every_n_steps` is 10 by default and not 1, since a log line waits for
    the device; what belongs to a session or a graph is gone.

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
      save_summaries_steps: Steps between summaries, the first step's among them, counted over
        all runs; in place of `save_summaries_secs`.
      profile_steps: `(first, last)`: what host and devices do in these steps is written to
        `logdir/plugins/profile` for TensorBoard, and there as a trace for Perfetto.

    Returns:
      The final `TrainState`.

    Raises:
      ValueError: `number_of_steps` is not positive, or another number makes no sense; the batches
        are empty.
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
    number_of_steps = number_of_steps and check_count(number_of_steps, "train: number_of_steps")
    check_secs(save_interval_secs, "train: save_interval_secs")
    check_secs(save_summaries_secs, "train: save_summaries_secs")
    if logdir is not None:
        logdir = output_directory(logdir, "train: logdir")
    profiler = StepProfiler(profile_steps, logdir)
    loader = iter(batches)
    resumes_data = hasattr(loader, "get_state") and hasattr(loader, "set_state")
    if hasattr(loader, "element_spec"):
        example, first = loader.element_spec, None
    else:
        example = first = next(loader, None)
    if example is None:
        raise ValueError("train: the batches are empty; there is nothing to train on")

    manager = None
    restored = None
    if logdir is not None:
        manager = checkpoints.CheckpointManager(
            logdir, keep=max_to_keep, save_interval_secs=save_interval_secs
        )
        target = train_op.init_shapes(rng, example)
        restored = checkpoints.restore_latest(logdir, target)
    if restored is not None:
        state, data_state = restored.state, restored.data_state
        logger.info("going on from step %d of %s", restored.step, logdir)
        if resumes_data and data_state is not None:
            loader.set_state(data_state)  # type: ignore[attr-defined]
        else:
            logger.warning(
                "the batches have no get_state and set_state, or the checkpoint has no position "
                "of theirs: the data starts over"
            )
    else:
        state = _initialize(train_op, rng, example, init_fn)
    writer = summary_writer
    if writer is None:
        has_summaries = bool(save_summaries_secs or save_summaries_steps)
        writer = _default_writer(logdir, has_summaries, restored and restored.step)
    loop = _Loop(
        train_op,
        state,
        _rewound(first, loader) if first is not None else loader,
        (lambda: loader.get_state()) if resumes_data else lambda: None,  # type: ignore[attr-defined]
        manager,
        dict(contract or {}),
        writer,
        number_of_steps,
        log_every_n_steps,
        save_summaries_secs or float("inf"),
        save_summaries_steps,
        train_step_fn,
        after_step,
        getattr(loader, "record_keys", None) if resumes_data else None,
        profiler,
    )
    try:
        return loop.run(is_resumed=restored is not None)
    finally:
        profiler.close()
        loop.progress.close()
        writer.close()
        if manager is not None:
            manager.close()


def _rewound(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _check_arguments(train_op: Any, batches: Any, **counts: float | None) -> None:
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
            check_count(count, f"train: {name}")


def _initialize(
    train_op: TrainOp, rng: jax.Array | int, example: Any, init_fn: Callable[[Any], Any] | None
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
    if given.ema_params is not None:
        # The averages start from the values that training starts from.
        given = given.replace(ema_params={"params": given.params, "batch_stats": given.batch_stats})
    # A copy: two leaves that share a buffer could not both be donated.
    return jax.tree.map(
        put,
        given,
        jax.tree.broadcast(train_op.state_sharding, given),
    )


def _default_writer(logdir: Any, has_summaries: bool, resumed: int | None) -> Any:
    if logdir is None or not has_summaries or jax.process_index() != 0:
        return NullWriter()
    try:
        # What a killed run wrote beyond its last checkpoint is taken again.
        return SummaryWriter(logdir, purge_step=None if resumed is None else resumed + 1)
    except ImportError as error:
        logger.warning("no event files are written: %s", error)
        return NullWriter()


class _Taken(NamedTuple):
    """A step whose numbers have not been looked at."""

    step: int
    loss: jax.Array
    first_nonfinite: jax.Array | None
    data_state: Any  # after its batch


class _Loop:
    """The state of one call of `train`, one method for each thing that happens in a step."""

    def __init__(
        self,
        train_op: TrainOp,
        state: TrainState,
        batches: Iterator[Any],
        get_data_state: Callable[[], Any],
        manager: Any,
        contract: dict[str, Any],
        writer: Any,
        last_step: int | None,
        log_every_n_steps: int,
        save_summaries_secs: float,
        save_summaries_steps: int | None,
        train_step_fn: TrainStepFn | None,
        after_step: AfterStep | None,
        record_keys: Callable[[Any], Sequence[str]] | None,
        profiler: StepProfiler,
    ):
        self.train_op = train_op
        self.state = state
        self.step = int(state.step)
        self.batches = batches
        self.get_data_state = get_data_state
        self.manager = manager
        self.contract = contract
        self.writer = writer
        self.last_step = last_step
        self.log_every_n_steps = log_every_n_steps
        self.save_summaries_secs = save_summaries_secs
        self.save_summaries_steps = save_summaries_steps
        self.train_step_fn = train_step_fn
        self.after_step = after_step
        self.record_keys = record_keys
        self.profiler = profiler
        self.progress = ProgressLine(last_step)
        self.meter = Meter(last_step)
        self.taken: collections.deque[_Taken] = collections.deque()
        self.outputs: Outputs = {}
        self.must_save = False
        self.must_summarize = False
        self.next_summaries = time.monotonic() + save_summaries_secs

    def run(self, is_resumed: bool) -> TrainState:
        if self.manager is not None:
            is_first_process = jax.process_index() == 0
            if is_first_process and (self.last_step is None or self.step < self.last_step):
                checkpoints.clear_done(self.manager.directory)
            if not is_resumed:
                self._save()
        should_stop = False
        with TerminationSignals() as signals:
            is_first = True
            while not should_stop and (self.last_step is None or self.step < self.last_step):
                if self._agree(signals):
                    break
                waiting_since = time.perf_counter()
                batch = next(self.batches, None)
                if batch is None:
                    break
                waited = time.perf_counter() - waiting_since
                should_stop = self._take_step(batch)
                self.meter.count(_num_examples(batch), waited)
                if is_first:
                    # The first step compiles; the rates are those of the steps after it.
                    self.taken[-1].loss.block_until_ready()
                    self.meter.restart()
                    is_first = False
                if self.step % self.log_every_n_steps == 0:
                    self._log()
                if self.must_save:
                    self.must_save = False
                    self._check_losses()
                    self._save()
                if self.after_step is not None:
                    should_stop |= self._call_after_step(self.after_step)
            self._finish(interrupted=signals.received is not None)
        return self.state

    def _agree(self, signals: TerminationSignals) -> bool:
        """Whether all processes are to end, which then have the same signal.

        With several it is asked together with the log lines, when all wait for the devices anyway;
        so is whether to save, and whether summaries are due: they have clocks of their own.
        """
        if jax.process_count() > 1 and self.step % self.log_every_n_steps:
            return False
        is_ended, self.must_save, self.must_summarize = any_of(
            [
                signals.received is not None,
                self.manager is not None and self.manager.should_save(),
                time.monotonic() >= self.next_summaries,
            ]
        )
        if is_ended and signals.received is None:
            signals.received = signal.SIGTERM
        return is_ended

    def _take_step(self, batch: Any) -> bool:
        with self.profiler.step(self.step + 1, self.state):
            outputs, should_stop = self._call_step(batch)
        self.step += 1
        self.outputs = outputs
        self.taken.append(
            _Taken(
                self.step,
                outputs["loss"],
                outputs.get(FIRST_NONFINITE),
                # An iterator's state may cost much; it is asked for where it names records.
                None if self.record_keys is None else self.get_data_state(),
            )
        )
        if len(self.taken) > STEPS_IN_FLIGHT:
            self.taken[-STEPS_IN_FLIGHT].loss.block_until_ready()
        self.profiler.end_step(self.step, self.state)
        return should_stop

    def _call_step(self, batch: Any) -> tuple[Outputs, bool]:
        if self.train_step_fn is not None:
            self.state, outputs, should_stop = self.train_step_fn(self.train_op, self.state, batch)
            return outputs, should_stop
        is_due = self.must_summarize
        if self.save_summaries_steps is not None:
            is_due = self.step % self.save_summaries_steps == 0
        if self.train_op.records_summaries and is_due:
            self.must_summarize = False
            self.state, outputs, summaries = self.train_op.summarize(self.state, batch)
            self.writer.write(self.step + 1, summaries)
            self.next_summaries = time.monotonic() + self.save_summaries_secs
            return outputs, False
        self.state, outputs = self.train_op(self.state, batch)
        return outputs, False

    def _call_after_step(self, after_step: AfterStep) -> bool:
        started = time.perf_counter()
        should_stop = bool(after_step(self.step, self.state))
        if time.perf_counter() - started > _LONG_CALL_SECS:
            self.meter.restart()  # the rates are those of training
        return should_stop

    def _check_losses(self) -> float:
        """The newest loss, after making sure that no number since the last check is NaN or such."""
        taken = list(self.taken)
        self.taken.clear()
        losses, places = jax.device_get(
            ([one.loss for one in taken], [one.first_nonfinite for one in taken])
        )
        if self.train_op.check_numerics:
            for one, loss, place in zip(taken, losses, places, strict=True):
                if place is not None and place >= 0:
                    self._stop_for(one, float(loss), self.train_op.quantities[int(place)])
                if not np.isfinite(loss):
                    self._stop_for(one, float(loss), "the loss")
        return float(losses[-1]) if losses else float("nan")

    def _stop_for(self, taken: _Taken, loss: float, quantity: str) -> NoReturn:
        kept = "nothing was saved"
        if self.manager is not None:
            self.manager.wait()
            newest = checkpoints.latest_checkpoint(self.manager.directory)
            kept = f"the newest checkpoint is {newest}"
        records = ""
        if self.record_keys is not None:
            keys = self.record_keys(taken.data_state)
            more = f" and {len(keys) - _RECORDS_NAMED} more" if len(keys) > _RECORDS_NAMED else ""
            records = f"; its batch had the records {', '.join(keys[:_RECORDS_NAMED])}{more}"
        what = f"{quantity} of step {taken.step} is {loss}"
        if quantity != "the loss":
            what = f"{quantity} is not finite in step {taken.step}, whose loss is {loss:.6g}"
        raise FloatingPointError(
            f"train: {what}; training stopped, {kept}; lower the learning rate, or clip gradients "
            f"with clip_gradient_norm{records}"
        )

    def _log(self) -> None:
        report = self.meter.report(self.step, self._check_losses())
        norms = {name: float(self.outputs[name]) for name in _NORMS if name in self.outputs}
        if jax.process_index() != 0:
            return
        self.progress.show(report, norms)
        for name, norm in norms.items():
            self.writer.scalar(self.step, name, norm)
        self.writer.scalar(self.step, "total_loss", report.loss)
        self.writer.scalar(self.step, "global_step/sec", report.steps_per_sec)
        self.writer.scalar(self.step, "images/sec", report.examples_per_sec)
        self.writer.scalar(self.step, "data_wait", report.data_wait)

    def _save(self) -> None:
        self.manager.save(
            self.step, self.state, data_state=self.get_data_state(), contract=self.contract
        )

    def _finish(self, interrupted: bool) -> None:
        if self.taken:
            self._check_losses()
        jax.block_until_ready(self.state.params)
        self.progress.close()
        self.writer.flush()
        if self.manager is None:
            return
        self._save()
        self.manager.wait()
        if interrupted:
            logger.warning("interrupted: step %d is saved; start again to continue", self.step)
        elif jax.process_index() == 0:
            checkpoints.mark_done(self.manager.directory, self.step)


def _num_examples(batch: Any) -> int:
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
    return next((shape[0] for shape in shapes if shape), 1)
