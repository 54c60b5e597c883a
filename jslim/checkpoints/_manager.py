"""Writes checkpoints while training goes on, and keeps the newest of them."""

import contextlib
import itertools
import json
import logging
import os
import pathlib
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import jax
import numpy as np

from jslim import _contract
from jslim._checks import check_count, check_secs
from jslim._paths import local_path
from jslim._processes import wait_for_all
from jslim._schema import Invalid
from jslim.checkpoints import _arrays, _trees
from jslim.checkpoints._format import (
    STATE_DIRECTORY,
    BrokenCheckpoint,
    Leaf,
    Meta,
    list_files,
    read_meta,
    shorten,
    step_directories,
    verify_files,
    write_meta,
)

_logger = logging.getLogger("jslim")

_UNFINISHED = ".jslim-unfinished"
_REPLACED = ".jslim-replaced"
_DELETED = ".jslim-deleted"


class CheckpointManager:
    """Saves training states as numbered checkpoints in one directory of this machine.

    `save` copies the state to the host and returns; checksums, files and the deletion of old
    checkpoints are a background thread's. A checkpoint appears under its number complete or not
    at all, whenever the process ends. One run may write to a directory at a time. Use it in a
    `with` statement, or call `close`, so that the last save is not lost when Python exits.

    Where several processes train as one, each makes a manager of the same directory, which all can
    write to, and all save together: each writes the parts of the state that it has, and `save`
    returns when the checkpoint is there. It can be restored by any number of processes.

    Args:
        directory: where the checkpoints go; made if it is not there.
        keep: how many of the newest checkpoints stay.
        save_interval_secs: how long after a save `should_save` asks for another; 0 for each time it
            is asked, None for never.
        keep_every_secs: also keeps the first checkpoint, and for good one in each such time after
            it; None for no others than the newest.

    Raises:
        ValueError: `keep` or a time is not positive.
        OSError: the directory cannot be made.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keep: int = 5,
        save_interval_secs: float | None = 600.0,
        keep_every_secs: float | None = None,
    ) -> None:
        check_count(keep, "CheckpointManager: keep")
        accepted = "a number of seconds or None"
        check_secs(save_interval_secs, "CheckpointManager: save_interval_secs", accepted)
        check_secs(keep_every_secs, "CheckpointManager: keep_every_secs", accepted)
        directory = local_path(directory, "CheckpointManager: directory")
        self.directory = pathlib.Path(directory).absolute()
        self._keep = keep
        self._save_interval_secs = save_interval_secs
        self._keep_every_secs = keep_every_secs
        self._last_save = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._running: Future[None] | None = None
        if self.directory.is_file():
            raise NotADirectoryError(
                f"CheckpointManager: {self.directory} is a file; give a directory to save in."
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            self._clean_up()
        wait_for_all(f"checkpoints in {self.directory}")
        self._last_step: int | None = None
        # The whole checkpoints and when they were saved, in the order in which they were.
        self._saved_at: dict[int, float] = {}
        for step_dir in step_directories(self.directory):
            try:
                self._saved_at[int(step_dir.name)] = read_meta(step_dir).saved_at
            except BrokenCheckpoint:
                continue

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
        state: Any,
        *,
        data_state: dict[str, Any] | None = None,
        contract: dict[str, Any] | None = None,
    ) -> None:
        """Copies the state and lets a thread write it; waits first for a save still under way.

        Afterwards `directory/step` holds this state: a whole checkpoint that is equal stays as it
        is, one that differs is replaced, and a broken one is moved aside to `<step>.broken`.

        Args:
            step: the number of training steps behind `state`, from 0.
            state: a tree of arrays, numbers and typed random keys. Its buffers may be donated and
                its NumPy arrays changed as soon as this returns.
            data_state: where the data iterator stands; what JSON gives back unchanged.
            contract: what a user of the weights has to know; what JSON gives back unchanged.

        Raises:
            TypeError: a leaf cannot be saved, or a dict does not survive JSON.
            ValueError: `step` is negative, or the state holds nothing, or names two leaves alike.
            OSError: the save before this one failed.
        """
        step = check_count(step, "CheckpointManager.save: step", least=0)
        leaves = _trees.named_leaves(state)
        if not leaves:
            raise ValueError("CheckpointManager.save: the state holds no arrays.")
        described = {name: _trees.describe(name, leaf) for name, leaf in leaves.items()}
        notes = (_copy_json("data_state", data_state), _copy_json("contract", contract or {}))
        try:
            _contract.checked(notes[1])
        except Invalid as error:
            raise ValueError(f"CheckpointManager.save: {error}.") from None
        self.wait()
        if jax.process_count() > 1:
            self._save_jointly(int(step), leaves, described, *notes)
            self._last_save = time.monotonic()
            return
        arrays = _trees.copy_to_host(leaves, described)
        self._last_save = time.monotonic()
        self._running = self._thread.submit(self._write, int(step), arrays, described, *notes)

    def wait(self) -> None:
        """Waits until the last save is on the disk.

        Raises:
            OSError: it failed; the checkpoints before it are untouched.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """Waits for the last save and ends the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(
        self,
        step: int,
        arrays: dict[str, np.ndarray],
        described: dict[str, Leaf],
        data_state: dict[str, Any] | None,
        contract: dict[str, Any],
    ) -> None:
        """Everything of a save that the training need not wait for."""
        leaves = {
            name: leaf._replace(crc32=_arrays.checksum(arrays[name]))
            for name, leaf in described.items()
        }
        final = self.directory / str(step)
        unfinished = final.with_suffix(_UNFINISHED)
        try:
            standing = _read_whole(final) if final.exists() else None
            if standing is not None:
                held = (standing.leaves, standing.data_state, standing.contract)
                if held == (leaves, data_state, contract):
                    return
            unfinished.mkdir()
            _arrays.write_arrays(unfinished / STATE_DIRECTORY, arrays)
            files = list_files(unfinished)
            meta = Meta(step, time.time(), contract, data_state, leaves, files)
            self._publish(unfinished, meta, is_standing=standing is not None)
        except Exception as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise OSError(
                f"checkpoint {final} could not be saved: {shorten(error)}; "
                f"the checkpoints before it are untouched."
            ) from error

    def _publish(self, unfinished: pathlib.Path, meta: Meta, *, is_standing: bool) -> None:
        """Makes a checkpoint of what has been written, under its number."""
        final = self.directory / str(meta.step)
        write_meta(unfinished, meta)
        replaced = final.with_suffix(_REPLACED)
        if is_standing:
            final.rename(replaced)
        elif final.exists():
            aside = _unused_name(final.with_suffix(".broken"))
            final.rename(aside)
            _logger.warning("checkpoint %s was broken; moved it to %s", final, aside.name)
        unfinished.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)
        self._saved_at.pop(meta.step, None)
        self._saved_at[meta.step] = meta.saved_at
        self._delete_old()

    def _save_jointly(
        self,
        step: int,
        leaves: dict[str, Any],
        described: dict[str, Leaf],
        data_state: dict[str, Any] | None,
        contract: dict[str, Any],
    ) -> None:
        """A save by all processes together, which return when it is whole.

        The first one reads what others have written once more, to note its checksums.
        """
        if step == self._last_step:  # as at the end of training, where it has just been saved
            return
        is_first = jax.process_index() == 0
        final = self.directory / str(step)
        unfinished = final.with_suffix(_UNFINISHED)
        if is_first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
        wait_for_all(f"before step {step}")
        state_directory = unfinished / STATE_DIRECTORY
        arrays = {name: _trees.storable(leaf) for name, leaf in leaves.items()}
        try:
            _arrays.write_arrays(state_directory, arrays, is_joint=True)
            if is_first:
                split = [
                    leaf
                    for name, leaf in described.items()
                    if not getattr(arrays[name], "is_fully_replicated", True)
                ]
                whole = _arrays.read_stored(state_directory, split) if split else {}
                noted = {}
                for name, leaf in described.items():
                    array = whole[name] if name in whole else np.asarray(arrays[name])
                    noted[name] = leaf._replace(crc32=_arrays.checksum(array))
                files = list_files(unfinished)
                meta = Meta(step, time.time(), contract, data_state, noted, files)
                is_standing = final.exists() and _read_whole(final) is not None
                self._publish(unfinished, meta, is_standing=is_standing)
        except Exception as error:
            raise OSError(
                f"checkpoint {final} could not be saved: {shorten(error)}; "
                f"the checkpoints before it are untouched."
            ) from error
        wait_for_all(f"after step {step}")
        self._last_step = step

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


def _read_whole(step_dir: pathlib.Path) -> Meta | None:
    """The meta of a step all of whose files and numbers are as written, else None."""
    try:
        meta = read_meta(step_dir)
        verify_files(step_dir, meta)
    except BrokenCheckpoint:
        return None
    return meta


def _unused_name(path: pathlib.Path) -> pathlib.Path:
    names = (path.with_suffix(f"{path.suffix}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())


def _copy_json(what: str, value: Any) -> Any:
    try:
        copy = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"CheckpointManager.save: {what} is not JSON: {error}.") from error
    if copy != value:
        raise TypeError(
            f"CheckpointManager.save: {what} would come back from JSON changed, as {copy!r}; "
            f"use lists for tuples, and strings for keys."
        )
    return copy
