"""A loop that saves by the clock and goes on where it was, and its summaries."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jslim import checkpoints
from jslim.compat.sessions._fetches import GLOBAL_STEP, SUMMARIES
from jslim.compat.sessions._saver import Saver
from jslim.compat.sessions._session import Batch, Then, TrainSession
from jslim.learning.train_op import TrainOp
from jslim.summaries import SummaryWriter

_OWN = Saver()


class FileWriter:
    """Writes summaries that a session gave, for TensorBoard.

    Args:
      logdir: The folder.
      graph: Ignored, like what else there is to say about a graph or a queue.
    """

    def __init__(self, logdir: str, graph: object = None, **_: object) -> None:
        self._writer = SummaryWriter(logdir)

    def add_summary(self, summary: Mapping[str, object], global_step: Any = None) -> None:
        """Writes what `run(SUMMARIES)` gave, or `{tag: number}`."""
        self._writer.write(0 if global_step is None else int(global_step), summary)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Supervisor:
    """Gives a session that goes on where it was, and saves by the clock and at the end.

    Args:
      train_op, batches: As of `TrainSession`.
      logdir: Where checkpoints go, and where they are looked for.
      init_fn: `init_fn(session)`, called where there is no checkpoint to go on from.
      saver: What saves; None saves nothing, and goes on from nothing.
      save_model_secs: Seconds between checkpoints; 0 saves at the end only.
      save_path: As of `Saver.save`, in `logdir`.
      summary_op, save_summaries_secs: None and 0: it writes no summaries by itself.

    Raises:
      ValueError: It is to write summaries by itself.
    """

    summary_op = SUMMARIES
    global_step = GLOBAL_STEP

    def __init__(
        self,
        train_op: TrainOp | None = None,
        batches: Iterable[Batch] | None = None,
        *,
        logdir: str,
        init_fn: Then | None = None,
        saver: Saver | None = _OWN,
        save_model_secs: float = 600,
        save_path: str = "model.ckpt",
        summary_op: str | None = None,
        save_summaries_secs: float = 0,
    ) -> None:
        if summary_op is not None or save_summaries_secs:
            raise ValueError(
                "Supervisor: it writes no summaries by itself; leave summary_op and "
                "save_summaries_secs out, fetch SUMMARIES and give them to summary_computed"
            )
        self._train_op, self._batches, self._init_fn = train_op, batches, init_fn
        self._save_secs, self._saved_at = save_model_secs, time.monotonic()
        self.logdir, self.saver = logdir, saver
        self.save_path = os.path.join(logdir, save_path)
        self._writer: FileWriter | None = None
        self._is_stopped = False

    @property
    def summary_writer(self) -> FileWriter:
        """Writes into `logdir`."""
        if self._writer is None:
            self._writer = FileWriter(self.logdir)
        return self._writer

    def summary_computed(self, sess: TrainSession, summary: Mapping[str, object]) -> None:
        """Writes what `sess.run(SUMMARIES)` gave, under the number of steps taken."""
        self.summary_writer.add_summary(summary, sess.state.step)

    def should_stop(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopped

    def stop(self) -> None:
        """Ends a loop that asks `should_stop`."""
        self._is_stopped = True

    @contextlib.contextmanager
    def managed_session(self) -> Iterator[TrainSession]:
        """A session; when the block ends without an error its state is saved."""
        with TrainSession(self._train_op, self._batches) as session:
            session.after_step(self._save_when_due)
            if self.saver is not None and checkpoints.exists(self.logdir):
                Saver().restore(session, self.logdir)
            elif self._init_fn is not None:
                self._init_fn(session)
            yield session
            if self.saver is not None and session.has_state:
                self.saver.save(session, self.save_path)
            if self._writer is not None:
                self._writer.close()

    def _save_when_due(self, session: TrainSession) -> None:
        is_due = self._save_secs and time.monotonic() - self._saved_at >= self._save_secs
        if self.saver is not None and is_due:
            self.saver.save(session, self.save_path)
            self._saved_at = time.monotonic()
