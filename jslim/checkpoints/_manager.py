"""Writes checkpoints while training goes on, and keeps the newest of them."""

import contextlib
import logging
import os
import pathlib
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor

import jax

from jslim.checkpoints import _format, _saving
from jslim.checkpoints import contract as _contract
from jslim.checkpoints._json import copy_json
from jslim.checkpoints._lock import DirectoryInUse, DirectoryLock
from jslim.core import checks, reprs
from jslim.core.text import printable
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

    `save` copies the state to the host and returns; a background thread computes checksums, writes
    files and deletes old checkpoints. A checkpoint appears under its number complete or not at
    all, even if the process is killed. The first checkpoint is read back before it appears. Use
    the manager in a `with` statement, or call `close`: otherwise Python may exit before the last
    save is complete.

    A directory has at most one manager at a time, in this process or another; a second one is
    refused. Readers need no manager. A killed process leaves nothing that blocks the next one.

    With several processes, each makes a manager of the same directory, on a disk that all can
    write to, and all save together: each writes its parts of the state, and `save` returns when
    the checkpoint is complete. Any number of processes can restore it.

    Args:
      directory: Where the checkpoints go; made if missing.
      keep: How many of the newest checkpoints to keep.
      save_interval_secs: Seconds after a save until `should_save` is true; 0 for always, None for
        never.
      keep_every_secs: Also keeps, for good, the first checkpoint and then one for each such
        number of seconds; None keeps only the newest.

    Raises:
      ValueError: `keep` or a time is not positive.
      OSError: The directory cannot be made or written to, or another run writes to it.
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

    def __repr__(self) -> str:
        steps = list(self._saved_at)
        held = "no checkpoint yet"
        if steps:
            held = f"{reprs.counted(len(steps), 'checkpoint')}, the newest of step {steps[-1]:,}"
        return f"<{type(self).__name__} of {printable(str(self.directory))!r}: {held}>"

    def _open(self) -> None:
        """Locks the directory, in the first process, and lists its checkpoints."""
        self._last_step: int | None = None
        self._is_tried = False
        # By step, when each complete checkpoint was saved; in the order of saving.
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
        for step_dir in _format.step_directories(self.directory):
            if (meta := _format.whole_meta(step_dir)) is not None:
                self._saved_at[int(step_dir.name)] = meta.saved_at

    def _take_directory(self) -> None:
        if self.directory.is_file():
            raise NotADirectoryError(f"{self.directory} is a file; give a directory to save in.")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.directory)
        self._clean_up()

    def is_lost(self) -> bool:
        """Whether the directory was deleted or renamed, so that saving fails."""
        return self._lock is not None and self._lock.is_lost()

    def reopen(self) -> None:
        """Recreates a lost directory. All processes call it together.

        Raises:
          OSError: As when the manager was made.
        """
        with contextlib.suppress(OSError):  # of a save into the lost directory
            self.wait()
        if self._lock is not None:
            self._lock.release()
        self._open()

    def _clean_up(self) -> None:
        """Removes or completes what a killed process left half done."""
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
        contract: _contract.Values | None = None,
    ) -> None:
        """Copies the state and lets a thread write it; waits first for a save still under way.

        Afterwards `directory/step` holds this state. An equal checkpoint under that number stays
        as it is, a different one is replaced, and a broken one is moved to `<step>.broken`.

        Args:
          step: The number of training steps behind `state`, from 0.
          state: A tree of arrays, numbers and typed random keys. Its buffers may be donated and
            its NumPy arrays changed as soon as this returns.
          data_state: The position of the data iterator: bytes, or values that JSON keeps unchanged.
          contract: What users of the weights need to know; values that JSON keeps unchanged.

        Raises:
          TypeError: A leaf cannot be saved, or a value does not survive JSON.
          ValueError: `step` is negative; the state holds nothing, or two leaves of one name.
          OSError: The save before this one failed.
        """
        step = checks.count("CheckpointManager.save", "step", step, least=0)
        position = copy_json("data_state", data_state)
        try:
            contract = _contract.checked(copy_json("contract", contract or {}))
        except Invalid as error:
            raise ValueError(f"CheckpointManager.save: {error}.") from None
        self.wait()
        arrays, leaves = _saving.arrays_of(state)
        meta = _format.Meta(step, 0.0, contract, position, leaves, {})
        if jax.process_count() == 1:
            self._running = self._thread.submit(self._write, arrays, meta)
        elif step != self._last_step:  # at the end of training it may be saved already
            self._write(arrays, meta)
            self._last_step = step
        self._last_save = time.monotonic()

    def rehearse(self, state: PyTree) -> None:
        """Writes the state, reads it back and removes it: fails now where `save` would later.

        Args:
          state: As for `save`.

        Raises:
          OSError: It cannot be written, or is not read back as it was.
        """
        self.wait()
        unfinished = self.directory / f"rehearsal{_UNFINISHED}"
        what = f"the state for {self.directory}"
        _saving.write(unfinished, *_saving.arrays_of(state), what, reads_back=True)
        self._is_tried = True
        if jax.process_index() == 0:
            shutil.rmtree(unfinished, ignore_errors=True)

    def wait(self) -> None:
        """Waits until the last save is on the disk.

        Raises:
          OSError: It failed; the checkpoints before it are untouched.
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

    def _write(self, arrays: Variables, meta: _format.Meta) -> None:
        """The part of a save that training need not wait for."""
        final = self.directory / str(meta.step)
        if jax.process_count() == 1 and final.exists():
            new = meta._replace(leaves=_saving.with_checksums(meta.leaves, arrays))
            standing = _format.whole_meta(final, verifies=True)
            if standing is not None and standing._replace(saved_at=0.0, files={}) == new:
                return
        _saving.write(
            final.with_suffix(_UNFINISHED),
            arrays,
            meta.leaves,
            f"checkpoint {final}",
            reads_back=not self._is_tried,
            publish=lambda noted: self._publish(final, meta._replace(leaves=noted)),
        )
        self._is_tried = True

    def _publish(self, final: pathlib.Path, meta: _format.Meta) -> None:
        """Makes a checkpoint of the written directory, under its number."""
        unfinished, replaced = final.with_suffix(_UNFINISHED), final.with_suffix(_REPLACED)
        meta = meta._replace(saved_at=time.time(), files=_format.list_files(unfinished))
        _format.write_meta(unfinished, meta)
        if final.exists() and _format.whole_meta(final, verifies=True) is not None:
            final.rename(replaced)
        elif final.exists():
            aside = _saving.unused_name(final.with_suffix(".broken"))
            final.rename(aside)
            _logger.warning("checkpoint %s was broken; moved it to %s", final, aside.name)
        unfinished.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)
        self._saved_at.pop(meta.step, None)
        self._saved_at[meta.step] = meta.saved_at
        self._delete_old()

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
            # Renamed first, so that a kill cannot leave half of it under its number.
            gone = old.with_suffix(_DELETED)
            with contextlib.suppress(FileNotFoundError):
                old.rename(gone)
                shutil.rmtree(gone)
