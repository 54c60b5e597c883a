"""The loop of `train`: one method for each thing that happens in a step.

Nothing here waits for the newest step: what is made of a step's numbers (its log line, its
summaries) is made when the devices have them, at latest before the next of its kind.
"""

import collections
import contextlib
import dataclasses
import functools
import logging
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

import jax
import numpy as np

from jslim.host.processes import any_of
from jslim.learning.accumulation import Outputs
from jslim.learning.directory import RunDirectory
from jslim.learning.hooks import Every, Hook
from jslim.learning.mesh import STEPS_IN_FLIGHT
from jslim.learning.numerics import FIRST_NONFINITE
from jslim.learning.profiling import StepProfiler
from jslim.learning.progress import Lap, Meter, ProgressLine
from jslim.learning.signals import TerminationSignals
from jslim.learning.source import Source
from jslim.learning.state import MAX_STEPS, PyTree, TrainState
from jslim.learning.train_op import TrainOp
from jslim.summaries import NullWriter

logger = logging.getLogger("jslim")

TrainStepFn = Callable[[TrainOp, TrainState, PyTree], tuple[TrainState, Outputs, bool]]
AfterStep = Callable[[int, TrainState], bool | None]
_LONG_CALL_SECS = 0.05
_RECORDS_NAMED = 8  # of a batch that went wrong
_MAX_UNREAD = 8 * STEPS_IN_FLIGHT
_NORMS = ("gradient_norm", "parameter_norm")


class _Taken(NamedTuple):
    """A step whose numbers have not been looked at."""

    step: int
    loss: jax.Array
    first_nonfinite: jax.Array | None
    position: object  # of the data, after its batch


class _Later(NamedTuple):
    """What is done when the devices have computed a step, which its loss shows."""

    loss: PyTree
    act: Callable[[], None]


@dataclasses.dataclass(kw_only=True)
class Run:
    """One call of `train`: what it was given, and where it stands.

    Attributes:
      train_op: The step.
      state: The newest state.
      source: The batches.
      directory: Where checkpoints go, if anywhere.
      open_writer: Makes what summaries go to, for a run that goes on from a step or does not.
      profiler: What profiles some of the steps.
      is_resumed: Whether the state was restored.
      every_log: When a log line is due.
      every_summaries: When summaries are due, which is asked before a step.

    The other fields are arguments of `train`. `after_step` may say in an attribute `every` when it
    is to be called; the lines of the steps before are then shown first.
    """

    train_op: TrainOp
    state: TrainState
    source: Source
    directory: RunDirectory | None
    open_writer: Callable[[int | None], NullWriter]
    profiler: StepProfiler
    is_resumed: bool
    number_of_steps: int | None
    every_log: Every
    every_summaries: Every
    train_step_fn: TrainStepFn | None
    on_start: AfterStep | None
    after_step: AfterStep | None

    def __post_init__(self) -> None:
        self.step = int(self.state.step)
        self.first_step = self.step
        self.writer = self.open_writer(self.step if self.is_resumed else None)
        self.progress = ProgressLine(self.number_of_steps)
        self.meter = Meter(self.number_of_steps)
        self.taken: collections.deque[_Taken] = collections.deque()
        self.later: dict[str, _Later] = {}  # by kind, at most one of each
        self.must_save = False
        self.must_summarize = False
        self.every_call: Every = getattr(self.after_step, "every", Every(steps=1))
        self.hooks = [
            Hook(self.every_log.is_due, self._start_line),
            Hook(lambda step: self.must_save, self._save_now),
        ]
        if self.after_step is not None:
            self.hooks.append(Hook(self.every_call.is_due, self._call_after_step))

    def close(self) -> None:
        """Ends what it opened itself."""
        self.progress.close()
        self.writer.close()

    @property
    def _is_complete(self) -> bool:
        return self.step >= (MAX_STEPS if self.number_of_steps is None else self.number_of_steps)

    def run(self) -> TrainState:
        """Trains to the end, whatever that is."""
        has_data = True
        with TerminationSignals() as signals:
            should_stop = self._begin()
            while not should_stop and not self._is_complete:
                if self._agree(signals):
                    break
                waiting_since = time.perf_counter()
                batch = self._next_batch(signals)
                if batch is None:
                    has_data = signals.received is not None
                    break
                waited = time.perf_counter() - waiting_since
                should_stop = self._take_step(batch)
                self.meter.count(_num_examples(batch), waited)
                if self.step == self.first_step + 1:
                    # The first step compiles; the rates are those of the steps after it.
                    self.taken[-1].loss.block_until_ready()
                    self.meter.restart()
                for hook in self.hooks:
                    if hook.is_due(self.step):
                        should_stop |= bool(hook.act())
            self._finish(signals.received is not None, has_data)
        return self.state

    def _begin(self) -> bool:
        """Makes sure that there is something to do and that it can be saved; whether to stop."""
        if self.directory is not None:
            if self._is_complete:
                logger.warning(
                    "%s has step %d of %d already: nothing is left to train; give a larger "
                    "number_of_steps, or another directory",
                    self.directory.path,
                    self.step,
                    self.number_of_steps or MAX_STEPS,
                )
            elif self.is_resumed:
                self.directory.try_out(self.state)
            else:
                self._save()
                self.directory.wait()
        should_stop = self.on_start is not None and self._call(self.on_start)
        if self.directory is not None and not should_stop and not self._is_complete:
            self.directory.clear_marks()
        return should_stop

    def _agree(self, signals: TerminationSignals) -> bool:
        """Whether all processes are to end, which then have the same signal.

        With several it is asked together with the log lines, when all wait for the devices anyway;
        so is whether to save, and whether summaries are due: they have clocks of their own.
        """
        if jax.process_count() > 1 and not self.every_log.is_due(self.step):
            return False
        is_ended, self.must_save, self.must_summarize = any_of(
            [
                signals.received is not None,
                self.directory is not None and self.directory.should_save(self.step),
                self.every_summaries.is_due(self.step),
            ]
        )
        if is_ended and signals.received is None:
            signals.received = signal.SIGTERM
        return is_ended

    def _next_batch(self, signals: TerminationSignals) -> PyTree:
        """The next batch; None at the end, and where a signal has ended what reads them too."""
        with self._saving_first("the data"):
            try:
                return next(self.source, None)
            except Exception:
                if signals.received is None:
                    raise
                return None

    @contextlib.contextmanager
    def _saving_first(self, what: str) -> Iterator[None]:
        """Saves the steps so far before an error that has nothing to do with them."""
        try:
            yield
        except Exception:
            # Saving takes all processes, and the others are in their next step.
            if self.directory is not None and jax.process_count() == 1:
                self._settle()
                saved = "is saved"
                try:
                    self._save()
                    self.directory.wait()
                except OSError as error:
                    saved = f"is lost: {error}"
                logger.warning("%s failed after step %d, which %s", what, self.step, saved)
            raise

    def _take_step(self, batch: PyTree) -> bool:
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
                None if self.source.record_keys is None else self.source.position(),
            )
        )
        if len(self.taken) > STEPS_IN_FLIGHT:
            self.taken[-STEPS_IN_FLIGHT].loss.block_until_ready()
        if len(self.taken) > _MAX_UNREAD:
            self._check_losses(unread=STEPS_IN_FLIGHT)  # of which the devices may not be done
        self.profiler.end_step(self.step, self.state)
        if jax.process_count() == 1:  # several find what is not finite in the same step
            for kind in [kind for kind, later in self.later.items() if later.loss.is_ready()]:
                self._do_now(kind)
        return should_stop

    def _call_step(self, batch: PyTree) -> tuple[Outputs, bool]:
        if self.train_step_fn is not None:
            self.state, outputs, should_stop = self.train_step_fn(self.train_op, self.state, batch)
            return outputs, should_stop
        # Steps are counted alike in all processes.
        every = self.every_summaries
        if not (self.must_summarize if every.steps is None else every.is_due(self.step)):
            self.state, outputs = self.train_op(self.state, batch)
            return outputs, False
        self.must_summarize = False
        self.state, outputs, summaries = self.train_op.summarize(self.state, batch)
        every.restart()
        if summaries:
            write = functools.partial(self.writer.write, self.step + 1, summaries)
            self._do_later("summaries", outputs["loss"], write)
        return outputs, False

    def _do_later(self, kind: str, loss: jax.Array, act: Callable[[], None]) -> None:
        self._do_now(kind)
        self.later[kind] = _Later(loss, act)

    def _do_now(self, kind: str) -> None:
        if (later := self.later.pop(kind, None)) is not None:
            later.act()

    def _settle(self) -> None:
        """Waits for the newest step, does what was left for later, and checks all numbers."""
        for kind in ("summaries", "line"):
            self._do_now(kind)
        self._check_losses()

    def _call_after_step(self) -> bool:
        assert self.after_step is not None
        with self._saving_first("after_step"):
            if self.every_call.steps != 1:
                self._do_now("line")
            return self._call(self.after_step)

    def _call(self, function: AfterStep) -> bool:
        started = time.perf_counter()
        should_stop = bool(function(self.step, self.state))
        seconds = time.perf_counter() - started
        if seconds > _LONG_CALL_SECS:  # the rates are those of training
            self.meter.leave_out(seconds)
            self._do_now("line")
            self.meter.restart()
        return should_stop

    def _check_losses(self, unread: int = 0) -> None:
        """Makes sure that no number since the last check is NaN or infinite.

        Args:
          unread: How many of the newest steps are left for the next time.
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
        if self.directory is not None:
            kept = f"the newest checkpoint is {self.directory.newest()}"
        records = ""
        if self.source.record_keys is not None:
            keys = self.source.record_keys(taken.position)
            more = f" and {len(keys) - _RECORDS_NAMED} more" if len(keys) > _RECORDS_NAMED else ""
            records = f"; its batch had the records {', '.join(keys[:_RECORDS_NAMED])}{more}"
        what = f"{quantity} of step {taken.step} is {loss}"
        if quantity != "the loss":
            what = f"{quantity} is not finite in step {taken.step}, whose loss is {loss:.6g}"
        raise FloatingPointError(
            f"train: {what}; training stopped, {kept}; lower the learning rate, or clip gradients "
            f"with clip_gradient_norm{records}"
        )

    def _start_line(self) -> None:
        show = functools.partial(self._show_line, self.step, self.outputs, self.meter.lap())
        self._do_later("line", self.outputs["loss"], show)

    def _show_line(self, step: int, outputs: Outputs, lap: Lap) -> None:
        self._check_losses(unread=self.step - step)
        report = self.meter.report(step, float(outputs["loss"]), lap)
        norms = {name: float(outputs[name]) for name in _NORMS if name in outputs}
        if jax.process_index() != 0:
            return
        self.progress.show(report, norms)
        values = {
            **norms,
            "total_loss": report.loss,
            "global_step/sec": report.steps_per_sec,
            "images/sec": report.examples_per_sec,
            "data_wait": report.data_wait,
        }
        for name, value in values.items():
            self.writer.scalar(step, name, value)

    def _save_now(self) -> None:
        self.must_save = False
        self._settle()
        self._save()

    def _save(self) -> None:
        assert self.directory is not None
        is_anew = self.directory.save(self.step, self.state, self.source.position())
        if is_anew and (writer := self.open_writer(self.step)) is not self.writer:
            self.writer.close()
            self.writer = writer

    def _finish(self, interrupted: bool, has_data: bool) -> None:
        self._settle()
        jax.block_until_ready(self.state.params)
        self.progress.close()
        self.writer.flush()
        if not interrupted and not has_data and self.number_of_steps is not None:
            logger.warning(
                "the data ended at step %d of %d: the run is not done; give batches that go on, or "
                "number_of_steps=%d",
                self.step,
                self.number_of_steps,
                self.step,
            )
        if self.directory is None:
            return
        if self.step > self.first_step or not self.is_resumed:
            self._save()
            self.directory.wait()
        if interrupted:
            logger.warning("interrupted: step %d is saved; start again to continue", self.step)
        else:
            is_done = has_data or self.number_of_steps is None
            self.directory.mark_end(self.step, is_done)


def _num_examples(batch: PyTree) -> int:
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
    return next((shape[0] for shape in shapes if shape), 1)
