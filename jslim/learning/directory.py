"""What a run keeps in its directory: checkpoints, and the marks at its end."""

import logging
import os
from collections.abc import Mapping

import jax

from jslim import checkpoints
from jslim.core.errors import RestoreError
from jslim.host.processes import any_of
from jslim.learning.hooks import Every
from jslim.learning.state import MAX_STEPS, TrainState

logger = logging.getLogger("jslim")

_LOOK_SECS = 1.0


class RunDirectory:
    """The directory of a run, which is the run's alone while it goes on.

    Where it was deleted or renamed meanwhile it is made anew, since the state is still there.

    Args:
      path: Where it is.
      contract: What is needed to use the checkpoints.
      max_to_keep: How many checkpoints to keep, the newest.
      save_interval_secs: Seconds from one checkpoint to the next; None for never.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        contract: Mapping[str, object] | None,
        *,
        max_to_keep: int,
        save_interval_secs: float | None,
    ):
        self._manager = checkpoints.CheckpointManager(path, keep=max_to_keep)
        self.path = self._manager.directory
        self._contract = dict(contract or {})
        self._every_save = Every(secs=save_interval_secs)
        self._every_look = Every(secs=_LOOK_SECS)

    def restore(self, target: TrainState) -> checkpoints.Restored | None:
        """The newest whole checkpoint, if there is any.

        Raises:
          RestoreError: It is of another model, or counts its steps beyond what a state can.
        """
        restored = checkpoints.restore_latest(self.path, target)
        if restored is not None and not 0 <= int(restored.state.step) == restored.step <= MAX_STEPS:
            raise RestoreError(
                f"checkpoint {restored.path} is of step {restored.step} and its state counts "
                f"{int(restored.state.step)}; train counts steps up to {MAX_STEPS}, and the same "
                "in both: start anew from its variables, with assign_from_checkpoint_fn"
            )
        return restored

    def try_out(self, state: TrainState) -> None:
        """Fails now if the directory cannot hold checkpoints any more."""
        self._manager.rehearse(state)

    def should_save(self, step: int) -> bool:
        """Whether it is time for a checkpoint, or the directory is lost."""
        if self._every_save.is_due(step):
            return True
        if not self._every_look.is_due(step):
            return False
        self._every_look.restart()
        return self._manager.is_lost()

    def save(self, step: int, state: TrainState, position: object) -> bool:
        """Saves, in all processes together; whether the directory had to be made anew."""
        (is_lost,) = any_of([self._manager.is_lost()])
        if is_lost:
            logger.warning(
                "%s was deleted or renamed while training wrote to it; it is made anew at step %d, "
                "without its older checkpoints",
                self.path,
                step,
            )
            self._manager.reopen()
        self._manager.save(step, state, data_state=position, contract=self._contract)
        self._every_save.restart()
        return is_lost

    def wait(self) -> None:
        """Waits until the last save is on the disk."""
        self._manager.wait()

    def newest(self) -> str | None:
        """The newest checkpoint, after waiting for one under way."""
        self.wait()
        return checkpoints.latest_checkpoint(self.path)

    def mark_end(self, step: int, is_done: bool) -> None:
        """Notes that the run has ended at `step`, for those who wait for more."""
        if jax.process_index() == 0:
            (checkpoints.mark_done if is_done else checkpoints.mark_stopped)(self.path, step)

    def clear_marks(self) -> None:
        """Takes the marks away, because training goes on."""
        if jax.process_index() == 0:
            checkpoints.clear_done(self.path)

    def close(self) -> None:
        """Ends the last save, and leaves the directory to others."""
        self._manager.close()
