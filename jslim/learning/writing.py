"""Where the numbers of a run are written."""

import logging
from collections.abc import Sequence

import jax

from jslim.learning.directory import RunDirectory
from jslim.summaries import MetricsWriter, MultiWriter, NullWriter, SummaryWriter

logger = logging.getLogger("jslim")


class RunWriter(MultiWriter):
    """Writes to the files in the directory of a run, and to the writers of the user.

    The files are `metrics.jsonl` and `metrics.csv`, and an event file for TensorBoard. Only the
    first process writes them.

    Args:
      directory: Of the run; None writes no files.
      has_events: Whether there is an event file.
      given: The writers of the user; `close` closes them too.
    """

    def __init__(
        self, directory: RunDirectory | None, *, has_events: bool, given: Sequence[NullWriter]
    ) -> None:
        super().__init__(*given)
        self._directory = directory if jax.process_index() == 0 else None
        self._has_events = has_events
        self._given = tuple(given)

    @property
    def is_open(self) -> bool:
        """Whether anything is written."""
        return bool(self._writers)

    def open_files(self, resumed_step: int | None) -> None:
        """Opens the files, also anew, for a run that starts or goes on from a step.

        What a killed run wrote after that step is dropped from the table, and TensorBoard forgets
        it, because these steps are taken again.
        """
        if self._directory is None:
            return
        for writer in self._writers[len(self._given) :]:
            writer.close()
        path = self._directory.directory
        files: list[NullWriter] = [MetricsWriter(path, resumed_step)]
        if self._has_events:
            purge_step = None if resumed_step is None else resumed_step + 1
            try:
                files.append(SummaryWriter(path, purge_step=purge_step))
            except ImportError as error:
                logger.warning("no event files are written: %s", error)
        self._writers = (*self._given, *files)

    def __exit__(self, *error: object) -> None:
        """Closes all; what goes wrong there is no more than a warning after another error."""
        try:
            self.close()
        except OSError as closing:
            if error[0] is None:
                raise
            logger.warning("not all numbers of the run are written: %s", closing)
