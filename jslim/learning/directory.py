"""The directory of a run: its checkpoints, and the marks at its end."""

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


class RunDirectory(checkpoints.CheckpointManager):
    """The checkpoints of a run, in a directory that is recreated if it is deleted or renamed.

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
        self._contract = dict(contract or {})
        self._every_look = Every(secs=_LOOK_SECS)

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

    def save_state(self, step: int, state: TrainState, position: object) -> bool:
        """Saves, in all processes together, and returns whether the directory was recreated."""
        (is_lost,) = any_of([self.is_lost()])
        if is_lost:
            logger.warning(
                "%s was deleted or renamed while training wrote to it; it is made anew at step %d, "
                "without its older checkpoints",
                self.directory,
                step,
            )
            self.reopen()
        self.save(step, state, data_state=position, contract=self._contract)
        return is_lost

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
