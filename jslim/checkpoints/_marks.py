"""Marks of the end of a training, in its directory, for those that wait for checkpoints."""

import os
import time

from jslim.checkpoints._format import directory_of, write_json

_DONE_FILE = "training_done.json"
_STOPPED_FILE = "training_stopped.json"


def mark_done(directory: str | os.PathLike[str], step: int) -> None:
    """Notes in `directory` that training is done at `step`; this ends evaluation loops."""
    directory_of(directory).mkdir(parents=True, exist_ok=True)
    write_json(directory_of(directory) / _DONE_FILE, {"step": step, "finished_at": time.time()})


def mark_stopped(directory: str | os.PathLike[str], step: int) -> None:
    """Notes in `directory` that training stopped at `step` because its data ended."""
    write_json(directory_of(directory) / _STOPPED_FILE, {"step": step, "stopped_at": time.time()})


def is_done(directory: str | os.PathLike[str]) -> bool:
    """Whether training in `directory` is done."""
    return (directory_of(directory) / _DONE_FILE).is_file()


def has_ended(directory: str | os.PathLike[str]) -> bool:
    """Whether training in `directory` is done or has run out of data."""
    return is_done(directory) or (directory_of(directory) / _STOPPED_FILE).is_file()


def clear_done(directory: str | os.PathLike[str]) -> None:
    """Removes the marks of `mark_done` and `mark_stopped`, because training goes on."""
    for name in (_DONE_FILE, _STOPPED_FILE):
        (directory_of(directory) / name).unlink(missing_ok=True)
