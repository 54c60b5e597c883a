"""When something is due."""

import dataclasses
import time


@dataclasses.dataclass(kw_only=True)
class Every:
    """Due at multiples of a number of steps, or some seconds after the last `restart`.

    Args:
      steps: Steps from one time to the next, counted over all runs; None counts seconds.
      secs: Seconds from one time to the next; None or infinity for never. Not with `steps`.

    Example:
      >>> [step for step in range(9) if Every(steps=4).is_due(step)]
      [0, 4, 8]
    """

    steps: int | None = None
    secs: float | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Counts the seconds from now on."""
        self._since = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether it is due after the step of this number."""
        if self.steps is not None:
            return step % self.steps == 0
        return self.secs is not None and time.monotonic() - self._since >= self.secs
