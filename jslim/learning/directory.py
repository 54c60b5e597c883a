"""The directory of a run: its checkpoints, and the marks at its end."""

import logging
import os
import time
from collections.abc import Callable, Mapping

import jax

from jslim import checkpoints
from jslim.core.errors import RestoreError
from jslim.host.paths import AnyPath, is_remote
from jslim.host.processes import FailedElsewhere, any_of
from jslim.learning.hooks import Every
from jslim.learning.state import MAX_STEPS, TrainState

logger = logging.getLogger("jslim")

_LOOK_SECS = 1.0
_MOST_FAILED = 3  # saves in a row that the store may miss
_LONGEST_SECS = 1e7  # until a save whose time is worth saying


def was_outage(directory: AnyPath, error: OSError) -> bool:
    """Whether a save failed since the store did not answer; all processes ask together.

    Args:
      directory: Of the `CheckpointManager`.
      error: What it raised.
    """
    if not is_remote(directory):
        return False
    from jslim.host import stores

    is_own = not isinstance(error.__cause__, FailedElsewhere)
    (is_other,) = any_of([is_own and not stores.is_outage(error)])
    return not is_other


class RunDirectory(checkpoints.CheckpointManager):
    """The checkpoints of a run, in a directory that is recreated if it is deleted or renamed.

    In a bucket, a save may fail since the store does not answer: that is a warning, and training
    goes on. The third such save in a row is an error.

    Attributes:
      is_remote: Whether it is in a bucket. Then training does not wait for the store: it begins no
        save while one is under way.

    Args:
      path: The directory.
      contract: What users of the weights need to know.
      max_to_keep: How many of the newest checkpoints to keep.
      save_interval_secs: Seconds from one checkpoint to the next; infinity for never.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        contract: Mapping[str, object] | None,
        *,
        max_to_keep: int,
        save_interval_secs: float,
    ):
        super().__init__(path, keep=max_to_keep, save_interval_secs=save_interval_secs)
        self.is_remote = is_remote(self.directory)
        self._contract = dict(contract or {})
        self._every_look = Every(secs=_LOOK_SECS)
        self._interval_secs = save_interval_secs
        self._under_way: int | None = None  # the step of the last save, until it is settled
        self._started = 0.0
        self._num_failed = 0

    def restore(self, target: TrainState) -> checkpoints.Restored | None:
        """The newest whole checkpoint, or None.

        Raises:
          RestoreError: It is of another model, or counts more steps than a state can.
        """
        restored = checkpoints.restore_latest(self.directory, target)
        if restored is not None and not 0 <= int(restored.state.step) == restored.step <= MAX_STEPS:
            raise RestoreError(
                f"checkpoint {restored.path} is of step {restored.step} and its state counts "
                f"{int(restored.state.step)}; train counts steps up to {MAX_STEPS}, and the same "
                "in both: start anew from its variables, with assign_from_checkpoint_fn"
            )
        return restored

    def should_save(self) -> bool:
        """Whether it is time for a checkpoint, or the directory is lost."""
        if super().should_save():
            return True
        if not self._every_look.is_due(0):
            return False
        self._every_look.restart()
        return self.is_lost()

    def save_state(
        self,
        step: int,
        state: TrainState,
        position: object,
        *,
        may_fail: bool,
        wait_for: Callable[[], object],
    ) -> bool:
        """Saves, in all processes together, and returns whether the directory was recreated.

        Args:
          step: The step.
          state: The state after it.
          position: That of the data.
          may_fail: Whether training goes on if the store does not answer.
          wait_for: As of `CheckpointManager.save`.

        Raises:
          OSError: This save cannot begin; or as of `settle`, of the one before.
        """
        self.settle(may_fail=may_fail)
        (is_lost,) = any_of([self.is_lost()])
        if is_lost:
            logger.warning(
                "%s was deleted or renamed while training wrote to it; it is made anew at step %d, "
                "without its older checkpoints",
                self.directory,
                step,
            )
            self.reopen()
        self._started = time.time()
        try:
            self.save(step, state, data_state=position, contract=self._contract, wait_for=wait_for)
            self._under_way = step
        except OSError as error:
            if not may_fail or not was_outage(self.directory, error):
                raise
            self._note_failed(error, may_fail)
        return is_lost

    def settle(self, *, may_fail: bool = True) -> None:
        """Waits for the last save. If it failed since the store did not answer, that is a warning.

        Args:
          may_fail: Whether to go on after it means to wait for the next save when that is due; a
            third failure in a row is an error then.

        Raises:
          OSError: It failed for another reason, or is the third in a row.
        """
        if self._under_way is None:
            return
        self._under_way = None
        try:
            self.wait()
        except OSError as error:
            if not was_outage(self.directory, error):
                raise
            self._note_failed(error, may_fail)
        else:
            self._num_failed = 0

    def _note_failed(self, error: OSError, may_fail: bool) -> None:
        self._num_failed += 1
        if may_fail and self._num_failed == _MOST_FAILED:
            raise OSError(
                f"{str(error).rstrip('.')}; these were {_MOST_FAILED} saves in a row, and training "
                "ends."
            ) from error
        at = "at the end of training"
        if self._interval_secs < _LONGEST_SECS:
            due = max(self._started + self._interval_secs, time.time())
            at = time.strftime("at %H:%M:%S", time.localtime(due))
        if jax.process_index() == 0:
            why = str(error).rstrip(".")
            logger.warning("%s; training goes on, and the next save comes %s", why, at)

    def newest(self) -> str | None:
        """The newest checkpoint, after a save under way."""
        self.wait()
        return checkpoints.latest_checkpoint(self.directory)

    def mark_end(self, step: int, is_done: bool) -> None:
        """Notes that the run ended at `step`, for evaluation loops."""
        if jax.process_index() == 0:
            (checkpoints.mark_done if is_done else checkpoints.mark_stopped)(self.directory, step)

    def clear_marks(self) -> None:
        """Removes the marks, because training goes on."""
        if jax.process_index() == 0:
            checkpoints.clear_done(self.directory)
