"""The steps in a directory, whole or broken, for lists of them."""

import os
from typing import NamedTuple

from jslim.checkpoints import _format
from jslim.checkpoints.contract import Values
from jslim.core.errors import RestoreError
from jslim.host.paths import AnyPath


class StepInfo(NamedTuple):
    """A step in a directory of checkpoints, of which no array was read.

    Attributes:
      path: Its directory.
      step: Its number.
      problem: Why it cannot be used; empty if all files have their full length.
      saved_at: When it was saved, in seconds since 1970; 0 if that is not known.
      num_bytes: What its files take on disk.
      contract: What it says about itself.
    """

    path: str
    step: int
    problem: str = ""
    saved_at: float = 0.0
    num_bytes: int = 0
    contract: Values = {}  # noqa: RUF012 (a default that is never changed)


def list_steps(directory: str | os.PathLike[str]) -> list[StepInfo]:
    """The steps of jslim in a directory, whole and broken, in rising order; none elsewhere.

    Raises:
      OSError: The directory cannot be read.
    """
    return [_info(path) for path in _format.step_directories(_format.directory_of(directory))]


def _info(path: AnyPath) -> StepInfo:
    try:
        meta = _format.read_meta(path)
    except RestoreError as error:
        return StepInfo(str(path), int(path.name), str(error))
    num_bytes = sum(file.size for file in meta.files.values())
    step = int(path.name)
    return StepInfo(str(path), step, "", meta.saved_at, num_bytes, meta.contract)
