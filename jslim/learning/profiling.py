"""Traces of training steps, for TensorBoard's profiler and for Perfetto."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator

import jax

from jslim.core.trees import PyTree
from jslim.host.files import upload_tree
from jslim.host.paths import is_remote

logger = logging.getLogger("jslim")


class StepProfiler:
    """Records the work of host and devices in the steps `first` to `last`.

    It writes `logdir/plugins/profile/TIME/`, with a `perfetto_trace.json.gz` that
    https://ui.perfetto.dev opens. For a URL the profile is made in `$TMPDIR`, then uploaded.

    Args:
      steps: `(first, last)`, counted over all runs; None records nothing.
      logdir: Where to write.

    Raises:
      ValueError: The steps are not such a pair, or there is no `logdir`.
    """

    def __init__(self, steps: tuple[int, int] | None, logdir: str | os.PathLike[str] | None):
        self._first, self._last = steps or (0, 0)
        self._logdir = os.fspath(logdir or "")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._is_running = False
        if steps is not None and not (1 <= self._first <= self._last and self._logdir):
            raise ValueError(
                "train: profile_steps must be (first, last) with 1 <= first <= last, and needs a "
                f"logdir; got {steps} and logdir {logdir!r}"
            )

    @contextlib.contextmanager
    def step(self, number: int, state: Callable[[], PyTree]) -> Iterator[None]:
        """Around a step. Recording starts and ends when the devices have computed the state."""
        if number == self._first:
            jax.block_until_ready(state())
            if is_remote(self._logdir):
                self._folder = tempfile.TemporaryDirectory(prefix="jslim-")
            place = self._folder.name if self._folder else self._logdir
            jax.profiler.start_trace(place, create_perfetto_trace=True)
            self._is_running = True
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield
        if number == self._last:
            jax.block_until_ready(state())
            self.close()

    def close(self) -> None:
        """Writes the trace, if one is being recorded."""
        if self._is_running:
            self._is_running = False
            jax.profiler.stop_trace()
            if self._folder:
                upload_tree(self._folder.name, self._logdir)
                self._folder.cleanup()
            logger.info("wrote a profile of training steps to %s", self._logdir)
