"""The loop of `train`: one method for each thing that happens in a step.

Nothing here waits for the newest step. The log line and the summaries of a step are written when
the devices have computed it, at the latest before the next ones of their kind.
"""

import collections
import contextlib
import dataclasses
import functools
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, NoReturn

import jax
import numpy as np

from jslim.host import display
from jslim.host.paths import as_typed
from jslim.host.processes import any_of
from jslim.learning import directory, numerics, profiling, progress
from jslim.learning.accumulation import Outputs
from jslim.learning.compiling import Compilations
from jslim.learning.hooks import Every
from jslim.learning.mesh import STEPS_IN_FLIGHT
from jslim.learning.signals import TerminationSignals
from jslim.learning.source import Source
from jslim.learning.state import MAX_STEPS, PyTree, TrainState
from jslim.learning.train_op import TrainOp
from jslim.learning.writing import RunWriter
from jslim.summaries import NullWriter, Summaries

logger = logging.getLogger("jslim")

TrainStepFn = Callable[[TrainOp, TrainState, PyTree], tuple[TrainState, Outputs, bool]]
SummarizeFn = Callable[[TrainState, PyTree], Summaries]
AfterStep = Callable[[int, TrainState], bool | None]
_LONG_CALL_SECS = 0.05
_RECORDS_NAMED = 8  # of a batch that went wrong
_MAX_UNREAD = 8 * STEPS_IN_FLIGHT


class _Taken(NamedTuple):
    """A step whose numbers have not been checked.

    Attributes:
      step: Its number.
      loss: Its loss.
      first_nonfinite: See `learning.numerics`; None if not all quantities are checked.
      position: The position of the data after its batch.
      labels: Its batch, see `numerics.labels_of`.
    """

    step: int
    loss: jax.Array
    first_nonfinite: jax.Array | None
    position: object
    labels: PyTree


@dataclasses.dataclass(kw_only=True)
class Run:
    """A call of `train`: its arguments and its progress.

    Attributes:
      train_op: The step.
      state: The newest state.
      source: The batches.
      checkpoints: The directory of the run, or None.
      profiler: Profiles some of the steps.
      is_resumed: Whether the state was restored.
      every_log: When a log line is due.
      every_summaries: When summaries are due, asked before a step.

    The other fields are arguments of `train`. If `after_step` has an attribute `every`, it is
    called only when that is due, after the log lines of the steps before.
    """

    train_op: TrainOp
    state: TrainState
    source: Source
    checkpoints: directory.RunDirectory | None
    profiler: profiling.StepProfiler
    is_resumed: bool
    number_of_steps: int | None
    every_log: Every
    every_summaries: Every
    summary_writer: NullWriter | None
    report_to: Sequence[NullWriter]
    train_step_fn: TrainStepFn | None
    summarize_fn: SummarizeFn | None
    on_start: AfterStep | None
    after_step: AfterStep | None

    def __post_init__(self) -> None:
        self.step = int(self.state.step)
        self.first_step = self.step
        self.writer = RunWriter(
            self.checkpoints,
            has_events=self.summary_writer is None and self.every_summaries != Every(),
            given=(*self.report_to, *([self.summary_writer] if self.summary_writer else [])),
        )
        self.meter = progress.Meter(self.number_of_steps)
        self.taken: collections.deque[_Taken] = collections.deque()
        # By kind, the loss that shows when the devices have computed a step, and what is done then.
        self.later: dict[str, tuple[PyTree, Callable[[], None]]] = {}
        self.compilations = Compilations("the training step")
        self.must_save = False
        self.must_summarize = False
        self.has_data = True
        self.ended_by = ""  # the function that stopped it
        self.every_call: Every = getattr(self.after_step, "every", Every(steps=1))

    @property
    def _is_complete(self) -> bool:
        return self.step >= (MAX_STEPS if self.number_of_steps is None else self.number_of_steps)

    def run(self) -> TrainState:
        """Trains until the last step, the end of the data, a signal, or a function that stops."""
        with TerminationSignals() as signals:
            row = display.task("step", self.number_of_steps, done=self.step, is_log=True)
            with row as self.task:
                self._loop(signals)
                self._finish(signals.received is not None)
            if self.step > self.first_step:
                self._show_end(signals.received)
        return self.state

    def _loop(self, signals: TerminationSignals) -> None:
        if self._begin():
            self.ended_by = "on_start"
        while not self.ended_by and not self._is_complete:
            if self._agree(signals):
                break
            waiting_since = time.perf_counter()
            batch = self._next_batch(signals)
            if batch is None:
                self.has_data = signals.received is not None
                break
            waited = time.perf_counter() - waiting_since
            if self._take_step(batch):
                self.ended_by = "train_step_fn"
            self.meter.count(progress.num_examples(batch), waited)
            if self.step == self.first_step + 1:
                # The first step compiles; the rates are those of the steps after it.
                self.taken[-1].loss.block_until_ready()
                self.meter.restart()
            if self.every_log.is_due(self.step):
                now = self.step, self.outputs, self.source.epoch(), self.meter.lap()
                show = functools.partial(self._show_line, *now)
                self._do_later("line", self.outputs["loss"], show)
            if self.must_save:
                self.must_save = False
                self._save(may_fail=True)
            if self.after_step is not None and self.every_call.is_due(self.step):
                with self._saving_first("after_step"):
                    if self.every_call.steps != 1:
                        self._do_now("line")
                    if self._call(self.after_step):
                        self.ended_by = "after_step"

    def _begin(self) -> bool:
        """Makes sure that the run can be saved; returns whether to stop."""
        if self.checkpoints is not None:
            if self._is_complete:
                logger.warning(
                    "%s has step %d of %d already: nothing is left to train; give a larger "
                    "number_of_steps, or another directory",
                    self.checkpoints.directory,
                    self.step,
                    self.number_of_steps or MAX_STEPS,
                )
            elif self.is_resumed:
                self.checkpoints.rehearse(self.state)
            else:
                with display.status("writing the first checkpoint"):
                    self._save(may_fail=False)
                    self.checkpoints.wait()
        self.writer.open_files(self.step if self.is_resumed else None)
        should_stop = self.on_start is not None and self._call(self.on_start)
        if self.checkpoints is not None and not should_stop and not self._is_complete:
            self.checkpoints.clear_marks()
        return should_stop

    def _agree(self, signals: TerminationSignals) -> bool:
        """Whether to end, in all processes, which then have the same signal.

        Several processes agree only when a log line is due and all wait for the devices anyway.
        They agree also on whether to save and on whether summaries are due, since their clocks
        differ.
        """
        if jax.process_count() > 1 and not self.every_log.is_due(self.step):
            return False
        is_ended, must_save, self.must_summarize, is_saving = any_of(
            [
                signals.received is not None,
                self.checkpoints is not None and self.checkpoints.should_save(),
                self.every_summaries.is_due(self.step),
                self.checkpoints is not None and self.checkpoints.is_saving(),
            ]
        )
        if self.checkpoints is not None:
            self.must_save = must_save and not (is_saving and self.checkpoints.is_remote)
            if not is_saving:
                self.checkpoints.settle()
        if is_ended and signals.received is None:
            signals.received = signal.SIGTERM
        return is_ended

    def _next_batch(self, signals: TerminationSignals) -> PyTree:
        """The next batch; None at the end, or if a signal has ended its worker processes."""
        is_first = self.step == self.first_step
        status = display.status("waiting for the first batch")
        with self._saving_first("the data"), status if is_first else contextlib.nullcontext():
            try:
                return next(self.source, None)
            except Exception:
                if signals.received is None:
                    raise
                return None

    @contextlib.contextmanager
    def _saving_first(self, what: str) -> Iterator[None]:
        """Saves the steps so far before an error from outside the train op."""
        try:
            yield
        except Exception:
            # All processes would have to save together, but the others are in their next step.
            if self.checkpoints is not None and jax.process_count() == 1:
                saved = "is saved"
                try:
                    self._save(may_fail=False)
                    self.checkpoints.wait()
                except OSError as error:
                    saved = f"is lost: {error}"
                logger.warning("%s failed after step %d, which %s", what, self.step, saved)
            raise

    def _take_step(self, batch: PyTree) -> bool:
        with self.profiler.step(self.step + 1, lambda: self.state), self.compilations.shown(batch):
            self.outputs, should_stop = self._call_step(batch)
        self.step += 1
        self.taken.append(
            _Taken(
                self.step,
                self.outputs["loss"],
                self.outputs.get(numerics.FIRST_NONFINITE),
                # The state of an iterator may be large; it is read only if it names records.
                None if self.source.record_keys is None else self.source.position(),
                numerics.labels_of(batch),
            )
        )
        if len(self.taken) > STEPS_IN_FLIGHT:
            self.taken[-STEPS_IN_FLIGHT].loss.block_until_ready()
        if len(self.taken) > _MAX_UNREAD:
            self._check_losses(unread=STEPS_IN_FLIGHT)  # the devices may not have computed these
        if jax.process_count() == 1:  # several must find a bad number in the same step
            for kind in [kind for kind, (loss, _) in self.later.items() if loss.is_ready()]:
                self._do_now(kind)
        return should_stop

    def _call_step(self, batch: PyTree) -> tuple[Outputs, bool]:
        if self.train_step_fn is not None:
            self.state, outputs, should_stop = self.train_step_fn(self.train_op, self.state, batch)
            return outputs, should_stop
        # All processes count the same steps, but only `_agree` makes their clocks agree.
        every = self.every_summaries
        is_due = self.must_summarize if every.steps is None else every.is_due(self.step)
        if not is_due and not self.every_log.is_due(self.step + 1):
            self.state, outputs = self.train_op(self.state, batch)
            return outputs, False
        self.state, outputs, summaries = self.train_op.summarize(
            self.state, batch, only_scalars=not is_due
        )
        if is_due:
            self.must_summarize = False
            every.restart()
            if self.summarize_fn is not None and self.writer.is_open:
                started = time.perf_counter()
                summaries = {**summaries, **self.summarize_fn(self.state, batch)}
                self.meter.leave_out(time.perf_counter() - started)
        if summaries:
            write = functools.partial(self.writer.write, self.step + 1, summaries)
            self._do_later("summaries", outputs["loss"], write)
        return outputs, False

    def _do_later(self, kind: str, loss: jax.Array, act: Callable[[], None]) -> None:
        self._do_now(kind)
        self.later[kind] = loss, act

    def _do_now(self, kind: str) -> None:
        if kind in self.later:
            _, act = self.later.pop(kind)
            act()

    def _settle(self) -> None:
        """Waits for the newest step, writes what is left to write, and checks all numbers."""
        for kind in ("summaries", "line"):
            self._do_now(kind)
        self._check_losses()

    def _call(self, function: AfterStep) -> bool:
        started = time.perf_counter()
        should_stop = bool(function(self.step, self.state))
        seconds = time.perf_counter() - started
        if seconds > _LONG_CALL_SECS:  # which is no time of training
            self.meter.leave_out(seconds)
            self._do_now("line")
            self.meter.restart()
        return should_stop

    def _check_losses(self, unread: int = 0) -> None:
        """Stops training if a number since the last check is NaN or infinite.

        Args:
          unread: How many of the newest steps not to check.
        """
        taken = [self.taken.popleft() for _ in range(len(self.taken) - unread)]
        losses, places = jax.device_get(
            ([one.loss for one in taken], [one.first_nonfinite for one in taken])
        )
        if self.train_op.check_numerics:
            for one, loss, place in zip(taken, losses, places, strict=True):
                if place is not None and place >= 0:
                    self._stop_for(one, float(loss), self.train_op.quantities[int(place)])
                if not np.isfinite(loss):
                    self._stop_for(one, float(loss), "the loss")

    def _stop_for(self, taken: _Taken, loss: float, quantity: str) -> NoReturn:
        self._do_now("summaries")
        kept = "nothing was saved"
        if self.checkpoints is not None:
            kept = f"the newest checkpoint is {self.checkpoints.newest()}"
        what = f"{quantity} of step {taken.step} is {loss}"
        if quantity != "the loss":
            what = f"{quantity} is not finite in step {taken.step}, whose loss is {loss:.6g}"
        records = ""
        if self.source.record_keys is not None:
            keys = self.source.record_keys(taken.position)
            more = f" and {len(keys) - _RECORDS_NAMED} more" if len(keys) > _RECORDS_NAMED else ""
            records = f"; its batch had the records {', '.join(keys[:_RECORDS_NAMED])}{more}"
        advice = self.train_op.fault_of(self.state, taken.labels) or (
            "lower the learning rate, or clip gradients with clip_gradient_norm"
        )
        raise FloatingPointError(f"train: {what}; training stopped, {kept}; {advice}{records}")

    def _show_line(
        self, step: int, outputs: Outputs, epoch: float | None, lap: progress.Lap
    ) -> None:
        self._check_losses(unread=self.step - step)
        values = progress.scalars(outputs)
        report = self.meter.report(step, values["loss"], lap)
        if jax.process_index() != 0:
            return
        self.task.update(step, progress.fields(values, report, epoch), report.seconds_left)
        for name, value in report.summaries(values).items():
            self.writer.scalar(step, name, value)

    def _show_end(self, received: int | None) -> None:
        how = f"ended by {self.ended_by}" if self.ended_by else "done"
        if received is not None:
            how = f"interrupted by {signal.Signals(received).name}"
        elif not self.has_data:
            how = "ended with the data"
        directory = "" if self.checkpoints is None else as_typed(self.checkpoints.directory)
        values = progress.scalars(self.outputs)
        display.message(self.meter.last_line(how, self.step, values, directory))

    def _save(self, *, may_fail: bool) -> None:
        assert self.checkpoints is not None
        self._settle()
        now = self.step, self.state, self.source.position()
        written = self.writer.start_flush()  # a kill leaves the rows of all steps that are saved
        if self.checkpoints.save_state(*now, may_fail=may_fail, wait_for=written):
            self.writer.open_files(self.step)

    def _finish(self, interrupted: bool) -> None:
        self._settle()
        jax.block_until_ready(self.state.params)
        if not interrupted and not self.has_data and self.number_of_steps is not None:
            logger.warning(
                "the data ended at step %d of %d: the run is not done; give batches that go on, or "
                "number_of_steps=%d",
                self.step,
                self.number_of_steps,
                self.step,
            )
        if self.checkpoints is None:
            self.writer.flush()
            return
        if self.step > self.first_step or not self.is_resumed:
            with display.status("writing the last checkpoint"):
                self._save(may_fail=False)
                self.checkpoints.wait()
        self.writer.flush()
        if interrupted:
            logger.warning("interrupted: step %d is saved; start again to continue", self.step)
        else:
            is_done = self.has_data or self.number_of_steps is None
            self.checkpoints.mark_end(self.step, is_done)
