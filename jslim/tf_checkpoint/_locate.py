"""Which checkpoint a path means."""

import pathlib
import re
from typing import NamedTuple

from jslim._errors import RestoreError
from jslim.tf_checkpoint._table import is_table


class Located(NamedTuple):
    """A checkpoint: its prefix, and the files of version 1; none for version 2."""

    path: pathlib.Path
    files_of_v1: tuple[pathlib.Path, ...]


_DATA_FILE = re.compile(r"\.data-\d{5}-of-\d{5}$")
_SHARD_OF_V1 = re.compile(r"-\d{5}-of-\d{5}$")
_STATE_FILE = "checkpoint"


def find(path: pathlib.Path) -> Located | None:
    """The checkpoint of TensorFlow at `path`: a prefix, a file of it, or a directory; else None.

    Raises:
      RestoreError: A directory has several of which none is the latest, or files are missing.
    """
    if path.is_dir():
        return _find_in(path)
    for end in (".index", ".meta"):
        if path.name.endswith(end) and path.is_file():
            return find(path.with_name(path.name.removesuffix(end)))
    if _DATA_FILE.search(path.name):
        prefix = path.with_name(_DATA_FILE.sub("", path.name))
        if not _index_of(prefix).is_file():
            raise RestoreError(
                f"{path} is the data of a TensorFlow checkpoint whose index, "
                f"{_index_of(prefix).name}, is not beside it; get that file too"
            )
        return Located(prefix, ())
    if _index_of(path).is_file():
        return Located(path, ())
    if _SHARD_OF_V1.search(path.name) and path.is_file():
        return find(path.with_name(_SHARD_OF_V1.sub("", path.name)))
    if path.is_file():
        return Located(path, (path,)) if is_table(path) else None
    return _sharded_v1(path)


def _index_of(prefix: pathlib.Path) -> pathlib.Path:
    return prefix.with_name(prefix.name + ".index")


def _sharded_v1(prefix: pathlib.Path) -> Located | None:
    if not prefix.parent.is_dir():
        return None
    shards = sorted(
        file
        for file in prefix.parent.iterdir()
        if file.name.startswith(f"{prefix.name}-")
        and _SHARD_OF_V1.search(file.name)
        and len(file.name) == len(prefix.name) + len("-00000-of-00000")
    )
    if not shards:
        return None
    count = int(shards[0].name[-5:])
    if len(shards) != count:
        raise RestoreError(
            f"{prefix} is a TensorFlow checkpoint of {count} files, of which {len(shards)} are "
            "there; get the others too"
        )
    return Located(prefix, tuple(shards))


def _find_in(directory: pathlib.Path) -> Located | None:
    """The latest checkpoint by the file `checkpoint`, or else the only one there is."""
    state = directory / _STATE_FILE
    if state.is_file():
        latest = re.search(
            r'^model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', _text_of(state), re.MULTILINE
        )
        if latest is None:
            raise RestoreError(
                f"{state} does not say which checkpoint is the latest; give the checkpoint itself"
            )
        named = re.sub(r"\\(.)", r"\1", latest[1])
        named = re.sub(r"-\?{5}-of-\d{5}$", "", named)  # of version 1 in several files
        # Where the directory was moved, a path in full is that of another machine.
        for candidate in (directory / named, directory / pathlib.PurePath(named).name):
            found = None if candidate.is_dir() else find(candidate)
            if found is not None:
                return found
        raise RestoreError(f"{state} names {named}, which is not there; give the checkpoint itself")
    files = [path for path in sorted(directory.iterdir()) if path.is_file()]
    prefixes = {located.path for path in files if (located := _of_file(path)) is not None}
    if len(prefixes) > 1:
        raise RestoreError(
            f"{directory} holds several TensorFlow checkpoints; give one of them: "
            + ", ".join(sorted(path.name for path in prefixes))
        )
    return find(prefixes.pop()) if prefixes else None


def _of_file(path: pathlib.Path) -> Located | None:
    """The checkpoint that a file of a directory is the index of, or the whole of."""
    if path.name.endswith(".index"):
        prefix = path.with_name(path.name.removesuffix(".index"))
        data = (p.name.removeprefix(prefix.name) for p in path.parent.iterdir())
        is_bundle = any(map(_DATA_FILE.fullmatch, data))
        return Located(prefix, ()) if is_bundle else None
    return find(path) if is_table(path) and not _DATA_FILE.search(path.name) else None


def _text_of(path: pathlib.Path) -> str:
    return path.read_bytes().decode(errors="replace")
