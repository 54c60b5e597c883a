"""Writes checkpoints while training goes on, and keeps the newest of them."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import jax

from jslim.checkpoints import _format, _places, _restore, _trees
from jslim.checkpoints import contract as _contract
from jslim.checkpoints._format import BrokenCheckpoint, Meta
from jslim.checkpoints._json import copy_json
from jslim.checkpoints._lock import DirectoryInUse
from jslim.checkpoints._places import REHEARSAL
from jslim.checkpoints._sums import whole_sums
from jslim.core import checks, reprs
from jslim.core.text import printable
from jslim.core.trees import PyTree, Variables, check_kept
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.host.processes import raise_together, run_together
from jslim.host.schema import Invalid

_logger = logging.getLogger("jslim")

if TYPE_CHECKING:
    from jslim.checkpoints._orbax.writing import Sums, Writer


class CheckpointManager:
    """Saves training states as numbered checkpoints in one directory, on a disk or in a bucket.

    `save` copies the state to the host and returns; threads compute checksums, write files and
    delete old checkpoints. A checkpoint appears under its number complete or not at all, even if
    the process is killed. The first checkpoint is read back before it counts. Use the manager in a
    `with` statement, or call `close`: otherwise Python may exit before the last save is complete.

    A directory has at most one manager at a time, in this process or another; a second one is
    refused. Readers need no manager. A killed process leaves nothing that blocks the next one; in a
    bucket, one on another machine may have to wait for up to 45 s.

    With several processes, each makes a manager of the same directory, which all can write to, and
    all call its methods together: each writes its parts of the state. Any number of processes can
    restore it.

    In a bucket nothing can be renamed: there a checkpoint that is replaced is deleted first, and so
    is a broken one.

    Args:
      directory: Where the checkpoints go, a path or a URL (`gs://`, `s3://`); made if missing.
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
        path = as_path(directory, "CheckpointManager: directory")
        self.directory: AnyPath = path if is_remote(path) else path.absolute()
        self._keep = keep
        self._save_interval_secs = save_interval_secs
        self._keep_every_secs = keep_every_secs
        self._last_save = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._running: tuple[AnyPath, Future[None]] | None = None
        self._place: _places.Place | None = None
        self._open()

    def __repr__(self) -> str:
        steps = list(self._saved_at)
        held = "no checkpoint yet"
        if steps:
            held = f"{reprs.counted(len(steps), 'checkpoint')}, the newest of step {steps[-1]:,}"
        return f"<{type(self).__name__} of {printable(str(self.directory))!r}: {held}>"

    def _open(self) -> None:
        """Locks the directory, in the first process, and lists its checkpoints."""
        self._writer: Writer | None = None
        self._last_step: int | None = None
        self._is_tried = False
        # By step, when each complete checkpoint was saved; in the order of saving.
        self._saved_at: dict[int, float] = {}
        error: OSError | None = None
        try:
            if jax.process_index() == 0:
                self._place = _places.take(self.directory)
        except (DirectoryInUse, NotADirectoryError) as given:
            error = type(given)(f"CheckpointManager: {given}")
        except OSError as given:
            error = OSError(
                f"CheckpointManager: {self.directory} cannot be written to: {given}; give another "
                "directory."
            )
            error.__cause__ = given
        raise_together(error)
        for step_dir in _format.step_directories(self.directory):
            if (meta := _format.whole_meta(step_dir)) is not None:
                self._saved_at[int(step_dir.name)] = meta.saved_at

    def is_lost(self) -> bool:
        """Whether the directory was deleted or renamed, so that saving fails."""
        return self._place is not None and self._place.is_lost()

    def reopen(self) -> None:
        """Recreates a lost directory. All processes call it together.

        Raises:
          OSError: As when the manager was made.
        """
        with contextlib.suppress(OSError):  # of a save into the lost directory
            self.wait()
        self._release()
        self._open()

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._place is not None:
            self._place.release()

    def is_saving(self) -> bool:
        """Whether this process still writes what `save` was given last."""
        return self._running is not None and not self._running[1].done()

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
        wait_for: Callable[[], object] | None = None,
    ) -> None:
        """Copies the state and lets threads write it; waits first for a save still under way.

        Afterwards `directory/step` holds this state. An equal checkpoint under that number stays
        as it is, a different one is replaced, and a broken one is moved to `<step>.broken`.

        Args:
          step: The number of training steps behind `state`, from 0.
          state: A tree of arrays, numbers and typed random keys. Its buffers may be donated and
            its NumPy arrays changed as soon as this returns.
          data_state: The position of the data iterator: bytes, or values that JSON keeps unchanged.
          contract: What users of the weights need to know; values that JSON keeps unchanged.
          wait_for: Called by a thread of the first process when the state is written, before it
            counts as a checkpoint; an error of it fails the save.

        Raises:
          TypeError: A leaf cannot be saved, or a value does not survive JSON.
          ValueError: `step` is negative; the state holds nothing, or two leaves of one name.
          OSError: The save before this one failed, or this one cannot begin.
        """
        step = checks.count("CheckpointManager.save", "step", step, least=0)
        position = copy_json("data_state", data_state)
        try:
            contract = _contract.checked(copy_json("contract", contract or {}))
        except Invalid as error:
            raise ValueError(f"CheckpointManager.save: {error}.") from None
        self.wait()
        arrays, leaves = self._arrays_of(state)
        meta = Meta(step, 0.0, contract, position, leaves, {})
        if jax.process_count() > 1:
            if step == self._last_step:  # at the end of training it may be saved already
                return
            if not self._is_tried:
                self.rehearse(state)
        self._last_save = time.monotonic()
        self._start(str(step), arrays, meta, wait_for)
        self._last_step = step

    def rehearse(self, state: PyTree) -> None:
        """Writes the state, reads it back and removes it: fails now where `save` would later.

        Args:
          state: As for `save`.

        Raises:
          OSError: It cannot be written, or is not read back as it was.
        """
        self.wait()
        arrays, leaves = self._arrays_of(state)
        rehearsal = self.directory / REHEARSAL
        try:
            self._start(REHEARSAL, arrays, Meta(0, 0.0, {}, None, leaves, {}))
            self.wait()
            if jax.process_count() > 1:
                _restore.verify(rehearsal, like=state)
        except BrokenCheckpoint as error:
            raise OSError(
                f"the state for {self.directory} could not be saved: what was written does not "
                f"come back: {error}."
            ) from error
        finally:
            if self._place is not None:
                with contextlib.suppress(OSError):
                    self._place.remove(rehearsal)

    def _arrays_of(self, state: PyTree) -> tuple[Variables, dict[str, _format.Leaf]]:
        """The arrays of a state by name, and their descriptions without sums.

        With one process they are copies on the host. With several they are the arrays on the
        devices, of which each process copies its parts.
        """
        check_kept("CheckpointManager.save", state)
        leaves = _trees.named_leaves(state)
        if not leaves:
            raise ValueError("CheckpointManager.save: the state holds no arrays.")
        described = {name: _trees.describe(name, leaf) for name, leaf in leaves.items()}
        if jax.process_count() == 1:
            return _trees.copy_to_host(leaves, described), described
        return {name: _trees.storable(leaf) for name, leaf in leaves.items()}, described

    def wait(self) -> None:
        """Waits until the last save is on the disk. All processes call it together.

        Raises:
          OSError: It failed; the checkpoints before it are untouched.
        """
        if self._running is not None:
            (final, running), self._running = self._running, None
            with self._explained(final):
                try:
                    raise_together(running.exception())
                except BaseException:
                    self._last_step = None  # which is not saved
                    raise

    def close(self) -> None:
        """Waits for the last save, ends the threads, and leaves the directory to others.

        Raises:
          OSError: The last save failed, in this process.
        """
        try:
            if self._running is not None:
                (final, running), self._running = self._running, None
                with self._explained(final):  # the other processes may be anywhere
                    running.result()
        finally:
            self._thread.shutdown()
            self._release()

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(
        self,
        name: str,
        arrays: Variables,
        meta: Meta,
        wait_for: Callable[[], object] | None = None,
    ) -> None:
        """The part of a save that training waits for."""
        from jslim.checkpoints._orbax.writing import Save, Writer

        final = self.directory / name

        def publish(written: AnyPath, sums: "Sums") -> None:
            if wait_for is not None:
                wait_for()
            self._publish(written, meta, sums)

        def make_room() -> None:
            assert self._place is not None
            self._place.make_room(final)

        def start() -> None:
            if self._writer is None:
                self._writer = Writer(self.directory)
            try:
                self._writer.start(name, Save(arrays, make_room, publish))
            except BaseException:
                self._settle(final, is_saved=False)
                raise

        def write() -> None:
            if not self._holds(final, arrays, meta):
                start()
                self._finish(final)

        if jax.process_count() == 1:  # the arrays are copies already
            self._running = final, self._thread.submit(write)
            return
        with self._explained(final):
            run_together(start)
        self._running = final, self._thread.submit(self._finish, final)

    def _holds(self, final: AnyPath, arrays: Variables, meta: Meta) -> bool:
        """Whether an equal and unbroken checkpoint is there."""
        if not final.exists():
            return False
        sums = whole_sums(arrays)
        leaves = {name: leaf._replace(sum=sums[name]) for name, leaf in meta.leaves.items()}
        standing = _format.whole_meta(final)
        is_equal = standing is not None and standing._replace(
            saved_at=0.0, files={}
        ) == meta._replace(leaves=leaves)
        return is_equal and _restore.is_as_saved(final)

    def _publish(self, written: AnyPath, meta: Meta, sums: "Sums") -> None:
        """Completes what was written, in the first process; then it gets its name."""
        leaves = {name: leaf._replace(sum=sums[name]) for name, leaf in meta.leaves.items()}
        files = _format.list_files(written)
        meta = meta._replace(leaves=leaves, saved_at=time.time(), files=files)
        if jax.process_count() == 1 and not self._is_tried:
            try:
                _restore.read_leaves(written, meta, list(leaves))
            except BrokenCheckpoint as error:
                raise OSError(f"what was written does not come back: {error.__cause__}") from error
        assert self._place is not None
        self._place.confirm()
        _format.write_meta(written, meta)

    def _finish(self, final: AnyPath) -> None:
        """The part of a save after the writing, in the background."""
        assert self._writer is not None
        try:
            self._writer.finish()
        except BaseException:
            self._settle(final, is_saved=False)
            raise
        self._settle(final, is_saved=True)
        self._is_tried = True
        if self._place is not None and final.name != REHEARSAL:
            self._saved_at.pop(int(final.name), None)
            self._saved_at[int(final.name)] = time.time()
            self._delete_old()

    def _settle(self, final: AnyPath, *, is_saved: bool) -> None:
        if self._place is not None:
            with contextlib.suppress(OSError):  # the next start cleans up
                self._place.settle(final, is_saved=is_saved)

    @contextlib.contextmanager
    def _explained(self, final: AnyPath) -> Iterator[None]:
        """Turns what goes wrong in a save into an `OSError` that says what was lost."""
        try:
            yield
        except jax.errors.JaxRuntimeError:  # another process is lost, and its part with it
            raise
        except Exception as error:
            what = f"checkpoint {final}"
            if final.name == REHEARSAL:
                what = f"the state for {self.directory}"
            raise OSError(
                f"{what} could not be saved: {_format.shorten(error)}; the checkpoints before it "
                "are untouched."
            ) from error

    def _delete_old(self) -> None:
        assert self._place is not None
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
            try:
                self._place.remove(old)
            except OSError as error:  # the new one is saved all the same
                _logger.warning("checkpoint %s could not be deleted: %s", old, error)
