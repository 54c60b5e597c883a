"""Writes checkpoints while training goes on, and keeps the newest of them."""

import contextlib
import logging
import os
import pathlib
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from jslim.checkpoints import _trees
from jslim.checkpoints import contract as _contract
from jslim.checkpoints._format import (
    BrokenCheckpoint,
    Leaf,
    Meta,
    list_files,
    read_meta,
    step_directories,
    write_meta,
)
from jslim.checkpoints._json import copy_json
from jslim.checkpoints._lock import DirectoryInUse, DirectoryLock
from jslim.checkpoints._saving import (
    described_leaves,
    read_whole,
    unfinished_directory,
    unused_name,
    with_checksums,
    write,
    write_jointly,
)
from jslim.checkpoints.contract import Values
from jslim.core import checks
from jslim.core.trees import PyTree, Variables
from jslim.host.paths import local_path
from jslim.host.processes import raise_together
from jslim.host.schema import Invalid

_logger = logging.getLogger("jslim")

_UNFINISHED = ".jslim-unfinished"
_REPLACED = ".jslim-replaced"
_DELETED = ".jslim-deleted"


class CheckpointManager:
    """Saves training states as numbered checkpoints in one directory of this machine.

    `save` copies the state to the host and returns; checksums, files and the deletion of old
    checkpoints are a background thread's. A checkpoint appears under its number complete or not
    at all, whenever the process ends. The first one is also read back before it does. Use it in a
    `with` statement, or call `close`, so that the last save is not lost when Python exits.

    The directory is the manager's until then: another one of it, in this process or another, is
    refused. Reading needs no such right. A process that was killed leaves nothing in the way.

    Where several processes train as one, each makes a manager of the same directory, which all can
    write to, and all save together: each writes the parts of the state that it has, and `save`
    returns when the checkpoint is there. It can be restored by any number of processes.

    Args:
        directory: where the checkpoints go; made if it is not there.
        keep: how many of the newest checkpoints stay.
        save_interval_secs: how long after a save `should_save` asks for another; 0 for each time it
            is asked, None for never.
        keep_every_secs: also keeps for good the first checkpoint, and then one in each such time;
            None keeps the newest alone.

    Raises:
        ValueError: `keep` or a time is not positive.
        OSError: the directory cannot be made or written to, or another run writes to it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keep: int = 5,
        save_interval_secs: float | None = 600.0,
        keep_every_secs: float | None = None,
    ) -> None:
        checks.count("CheckpointManager", "keep", keep)
        accepted = "a number of seconds or None"
        checks.seconds("CheckpointManager", "save_interval_secs", save_interval_secs, accepted)
        checks.seconds("CheckpointManager", "keep_every_secs", keep_every_secs, accepted)
        directory = local_path(directory, "CheckpointManager: directory")
        self.directory = pathlib.Path(directory).absolute()
        self._keep = keep
        self._save_interval_secs = save_interval_secs
        self._keep_every_secs = keep_every_secs
        self._last_save = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._running: Future[None] | None = None
        self._lock: DirectoryLock | None = None
        self._open()

    def _open(self) -> None:
        """Takes the directory for this run; of several processes the first one does."""
        self._last_step: int | None = None
        self._is_tried = False
        # The whole checkpoints and when they were saved, in the order in which they were.
        self._saved_at: dict[int, float] = {}
        error: OSError | None = None
        try:
            if jax.process_index() == 0:
                self._take_directory()
        except (DirectoryInUse, NotADirectoryError) as given:
            error = type(given)(f"CheckpointManager: {given}")
        except OSError as given:
            error = OSError(
                f"CheckpointManager: {self.directory} cannot be written to: {given}; give another "
                "directory."
            )
        raise_together(error)
        for step_dir in step_directories(self.directory):
            try:
                self._saved_at[int(step_dir.name)] = read_meta(step_dir).saved_at
            except BrokenCheckpoint:
                continue

    def _take_directory(self) -> None:
        if self.directory.is_file():
            raise NotADirectoryError(f"{self.directory} is a file; give a directory to save in.")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.directory)
        self._clean_up()

    def is_lost(self) -> bool:
        """Whether the directory was deleted or renamed since; saving fails then."""
        return self._lock is not None and self._lock.is_lost()

    def reopen(self) -> None:
        """Makes a directory that is lost anew. All processes call it together.

        Raises:
            OSError: as when the manager was made.
        """
        with contextlib.suppress(OSError):  # which went to the one that is lost
            self.wait()
        if self._lock is not None:
            self._lock.release()
        self._open()

    def _clean_up(self) -> None:
        """Removes what a killed process left between two steps of its work."""
        for path in self.directory.iterdir():
            if path.suffix in (_UNFINISHED, _DELETED):
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == _REPLACED:
                final = path.with_suffix("")
                if final.exists():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.rename(final)

    def should_save(self) -> bool:
        """Whether `save_interval_secs` have passed since the last save, or since the start."""
        if self._save_interval_secs is None:
            return False
        return time.monotonic() - self._last_save >= self._save_interval_secs

    def save(
        self,
        step: int,
        state: PyTree,
        *,
        data_state: object = None,
        contract: Values | None = None,
    ) -> None:
        """Copies the state and lets a thread write it; waits first for a save still under way.

        Afterwards `directory/step` holds this state: a whole checkpoint that is equal stays as it
        is, one that differs is replaced, and a broken one is moved aside to `<step>.broken`.

        Args:
            step: the number of training steps behind `state`, from 0.
            state: a tree of arrays, numbers and typed random keys. Its buffers may be donated and
                its NumPy arrays changed as soon as this returns.
            data_state: where the data iterator stands; bytes, or what JSON gives back unchanged.
            contract: what a user of the weights has to know; what JSON gives back unchanged.

        Raises:
            TypeError: a leaf cannot be saved, or a dict does not survive JSON.
            ValueError: `step` is negative, or the state holds nothing, or names two leaves alike.
            OSError: the save before this one failed.
        """
        step = checks.count("CheckpointManager.save", "step", step, least=0)
        leaves, described = described_leaves(state)
        notes = (copy_json("data_state", data_state), copy_json("contract", contract or {}))
        try:
            _contract.checked(notes[1])
        except Invalid as error:
            raise ValueError(f"CheckpointManager.save: {error}.") from None
        self.wait()
        meta = Meta(step, 0.0, notes[1], notes[0], described, {})
        if jax.process_count() > 1:
            self._save_jointly(leaves, meta)
        else:
            arrays = _trees.copy_to_host(leaves, described)
            self._running = self._thread.submit(self._write, arrays, meta)
        self._last_save = time.monotonic()

    def rehearse(self, state: PyTree) -> None:
        """Writes the state, reads it back and removes it: fails now where `save` would later.

        Args:
            state: as for `save`.

        Raises:
            OSError: it could not be written, or does not come back as it was.
        """
        self.wait()
        leaves, described = described_leaves(state)
        what = f"the state for {self.directory}"
        unfinished = self.directory / f"rehearsal{_UNFINISHED}"
        if jax.process_count() > 1:
            write_jointly(unfinished, leaves, described, what, reads_back=True)
        else:
            arrays = _trees.copy_to_host(leaves, described)
            with unfinished_directory(unfinished, what):
                write(unfinished, arrays, with_checksums(described, arrays), reads_back=True)
        self._is_tried = True
        if jax.process_index() == 0:
            shutil.rmtree(unfinished, ignore_errors=True)

    def wait(self) -> None:
        """Waits until the last save is on the disk.

        Raises:
            OSError: it failed; the checkpoints before it are untouched.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """Waits for the last save, ends the thread, and leaves the directory to others."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, arrays: dict[str, np.ndarray], meta: Meta) -> None:
        """Everything of a save that the training need not wait for."""
        meta = meta._replace(leaves=with_checksums(meta.leaves, arrays))
        final, unfinished = self._paths(meta)
        standing = read_whole(final) if final.exists() else None
        if standing is not None and standing._replace(saved_at=0.0, files={}) == meta:
            return
        with unfinished_directory(unfinished, f"checkpoint {final}"):
            write(unfinished, arrays, meta.leaves, reads_back=not self._is_tried)
            self._is_tried = True
            self._publish(meta, is_standing=standing is not None)

    def _paths(self, meta: Meta) -> tuple[pathlib.Path, pathlib.Path]:
        """Where a checkpoint is when it is whole, and before that."""
        final = self.directory / str(meta.step)
        return final, final.with_suffix(_UNFINISHED)

    def _publish(self, meta: Meta, *, is_standing: bool) -> None:
        """Makes a checkpoint of what has been written, under its number."""
        final, unfinished = self._paths(meta)
        meta = meta._replace(saved_at=time.time(), files=list_files(unfinished))
        write_meta(unfinished, meta)
        replaced = final.with_suffix(_REPLACED)
        if is_standing:
            final.rename(replaced)
        elif final.exists():
            aside = unused_name(final.with_suffix(".broken"))
            final.rename(aside)
            _logger.warning("checkpoint %s was broken; moved it to %s", final, aside.name)
        unfinished.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)
        self._saved_at.pop(meta.step, None)
        self._saved_at[meta.step] = meta.saved_at
        self._delete_old()

    def _save_jointly(self, leaves: Variables, meta: Meta) -> None:
        """A save by all processes together, which return when it is whole."""
        if meta.step == self._last_step:  # as at the end of training, where it was just saved
            return
        final, unfinished = self._paths(meta)

        def publish(noted: dict[str, Leaf]) -> None:
            is_standing = final.exists() and read_whole(final) is not None
            self._publish(meta._replace(leaves=noted), is_standing=is_standing)

        what, described = f"checkpoint {final}", meta.leaves
        write_jointly(unfinished, leaves, described, what, not self._is_tried, publish)
        self._is_tried = True
        self._last_step = meta.step

    def _delete_old(self) -> None:
        kept = set(list(self._saved_at)[-self._keep :])
        if self._keep_every_secs is not None:
            last_kept = -float("inf")
            for step, saved_at in self._saved_at.items():
                if saved_at - last_kept >= self._keep_every_secs:
                    kept.add(step)
                    last_kept = saved_at
        for step in self._saved_at.keys() - kept:
            del self._saved_at[step]
            old = self.directory / str(step)
            # Renamed first, so that a kill meanwhile cannot leave half of it under its number.
            gone = old.with_suffix(_DELETED)
            with contextlib.suppress(FileNotFoundError):
                old.rename(gone)
                shutil.rmtree(gone)
