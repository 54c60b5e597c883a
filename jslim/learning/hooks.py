"""What a run does beside its steps, and when."""

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple


@dataclasses.dataclass(kw_only=True)
class Every:
    """When something is due: at multiples of a number of steps, or some time after the last time.

    Args:
      steps: Steps from one time to the next, counted over all runs.
      secs: Seconds from one time to the next; None or infinity for never. Not with `steps`.
    """

    steps: int | None = None
    secs: float | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Counts the seconds from now on, since it was done."""
        self._since = time.monotonic()

    def is_due(self, step: int) -> bool:
        if self.steps is not None:
            return step % self.steps == 0
        return self.secs is not None and time.monotonic() - self._since >= self.secs


class Hook(NamedTuple):
    """What is done after a step, where it is due.

    Attributes:
      is_due: Whether it is, after the step of this number.
      act: Does it; True ends the run.
    """

    is_due: Callable[[int], bool]
    act: Callable[[], bool | None]
