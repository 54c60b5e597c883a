"""How checkpoints appear in a directory and vanish from it, whole or not at all.

On a disk, a name is given and taken by a rename. In a bucket nothing can be renamed: there
`meta.json`, written last and deleted first, makes the other objects of a step a checkpoint.
"""

import contextlib
import itertools
import logging
import pathlib
import shutil
from typing import Protocol

from jslim.checkpoints import _format, _restore
from jslim.checkpoints._lease import Lease
from jslim.checkpoints._lock import DirectoryLock
from jslim.host.files import remove_tree
from jslim.host.paths import AnyPath, is_remote

_logger = logging.getLogger("jslim")

REHEARSAL = "rehearsal.jslim-unfinished"

_UNCOMMITTED = ".orbax-checkpoint-tmp"
_REPLACED = ".jslim-replaced"
_DELETED = ".jslim-deleted"
# What a killed process leaves; jslim's own is from before Orbax wrote in the background.
_LEFT_OVER = (_UNCOMMITTED, ".jslim-unfinished", _DELETED)


class Place(Protocol):
    """A directory that one run writes to. With several processes the first one calls this."""

    def is_lost(self) -> bool:
        """Whether the directory was deleted or renamed, so that saving fails."""

    def confirm(self) -> None:
        """Raises an `OSError` if another run has taken the directory."""

    def make_room(self, final: AnyPath) -> None:
        """Puts aside what has the name of a new checkpoint."""

    def settle(self, final: AnyPath, *, is_saved: bool) -> None:
        """Removes what was put aside for a checkpoint; or brings it back, if that failed."""

    def remove(self, final: AnyPath) -> None:
        """Deletes a checkpoint; a kill leaves no part of it under its name."""

    def release(self) -> None:
        """Leaves the directory to other runs."""


def take(directory: AnyPath) -> Place:
    """Makes a directory this run's own, and cleans up what a killed one left half done.

    Raises:
      NotADirectoryError: It is a file.
      DirectoryInUse: Another run writes to it.
      OSError: It cannot be written to.
    """
    if directory.is_file():
        raise NotADirectoryError(f"{directory} is a file; give a directory to save in.")
    directory.mkdir(parents=True, exist_ok=True)
    return _Folder(directory) if is_remote(directory) else _Directory(directory)


class _Directory:
    """A directory on a disk."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._lock = DirectoryLock(directory)
        for path in directory.iterdir():
            if path.suffix in _LEFT_OVER:
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == _REPLACED:
                self._bring_back(path.with_suffix(""))

    def is_lost(self) -> bool:
        return self._lock.is_lost()

    def confirm(self) -> None:
        """The kernel's lock cannot be taken away."""

    def release(self) -> None:
        self._lock.release()

    def make_room(self, final: pathlib.Path) -> None:
        if not final.exists():
            return
        if _restore.is_as_saved(final):
            final.rename(final.with_suffix(_REPLACED))
        else:
            aside = _unused_name(final.with_suffix(".broken"))
            final.rename(aside)
            _logger.warning("checkpoint %s was broken; moved it to %s", final, aside.name)

    def settle(self, final: pathlib.Path, *, is_saved: bool) -> None:
        if not is_saved:
            shutil.rmtree(final.with_name(final.name + _UNCOMMITTED), ignore_errors=True)
        self._bring_back(final)

    def _bring_back(self, final: pathlib.Path) -> None:
        replaced = final.with_suffix(_REPLACED)
        if final.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        elif replaced.exists():
            replaced.rename(final)

    def remove(self, final: pathlib.Path) -> None:
        gone = final.with_suffix(_DELETED)
        with contextlib.suppress(FileNotFoundError):
            final.rename(gone)
            shutil.rmtree(gone)


def _unused_name(path: pathlib.Path) -> pathlib.Path:
    """`path`, or with a number appended if it exists."""
    names = (path.with_suffix(f"{path.suffix}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())


class _Folder:
    """A folder of a bucket."""

    def __init__(self, directory: AnyPath) -> None:
        self._lease = Lease(directory)
        whole = {path.name for path in _format.step_directories(directory)}
        for path in directory.iterdir():
            if path.name == REHEARSAL or (path.name.isdigit() and path.name not in whole):
                _remove_objects(path)

    def is_lost(self) -> bool:
        return self._lease.is_lost()

    def confirm(self) -> None:
        self._lease.confirm()

    def release(self) -> None:
        self._lease.release()

    def make_room(self, final: AnyPath) -> None:
        if _format.is_step(final):
            kind = "is replaced" if _restore.is_as_saved(final) else "was broken; it is replaced"
            _logger.warning("checkpoint %s %s", final, kind)
        # What has no meta.json is no checkpoint, and Orbax writes into an empty folder alone.
        self.remove(final)

    def settle(self, final: AnyPath, *, is_saved: bool) -> None:
        if not is_saved:
            with contextlib.suppress(OSError):  # the store may not answer
                self.remove(final)

    def remove(self, final: AnyPath) -> None:
        with contextlib.suppress(FileNotFoundError):
            (final / _format.META_FILE).unlink()
        _remove_objects(final)


def _remove_objects(folder: AnyPath) -> None:
    with contextlib.suppress(FileNotFoundError):
        remove_tree(folder)
