"""Finds the TensorFlow checkpoint that a path means."""

import os
import pathlib
import re
from typing import NamedTuple

from jslim.core.errors import RestoreError
from jslim.host.files import names_in
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.tf_checkpoint._table import is_table
from jslim.tf_checkpoint._wire import Malformed


class Located(NamedTuple):
    """A checkpoint: its prefix, and the files of version 1 (empty for version 2)."""

    path: AnyPath
    files_of_v1: tuple[AnyPath, ...]


_DATA_FILE = re.compile(r"(?<=.)\.data-\d{5}-of-\d{5}$")
_SHARD_OF_V1 = re.compile(r"(?<=.)-\d{5}-of-\d{5}$")
_NUMBERED = re.compile(r"(.*)-(\d+)")
_STATE_FILE = "checkpoint"
# The text of a protocol buffer: a string in quotes, where a backslash escapes.
_LATEST = re.compile(rb"""^\s*model_checkpoint_path\s*:\s*(["'])((?:\\.|(?!\1)[^\\\n])*)\1""", re.M)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|(.))", re.S)
_MAX_STATE_BYTES = 1 << 20


def find(path: AnyPath) -> Located | None:
    """The TensorFlow checkpoint at `path`: a prefix, a file of one, or a directory; else None.

    Raises:
      RestoreError: A directory has several and does not name the latest, or files are missing.
    """
    if path.is_dir():
        return _find_in(path)
    for end in (".index", ".meta"):
        if path.name.endswith(end) and path.name != end and path.is_file():
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


def _index_of(prefix: AnyPath) -> AnyPath:
    return prefix.with_name(prefix.name + ".index")


def _sharded_v1(prefix: AnyPath) -> Located | None:
    if not prefix.parent.is_dir():
        return None
    shards = sorted(
        prefix.with_name(name)
        for name in names_in(prefix.parent)
        if name.startswith(f"{prefix.name}-")
        and _SHARD_OF_V1.search(name)
        and len(name) == len(prefix.name) + len("-00000-of-00000")
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


def _find_in(directory: AnyPath) -> Located | None:
    """The latest checkpoint, by the file `checkpoint` or else by number; or the only one."""
    if (directory / _STATE_FILE).is_file():
        return find_latest(directory)
    prefixes = find_all(directory)
    if len({_stem_of(prefix) for prefix in prefixes}) > 1:
        raise RestoreError(
            f"{directory} holds several TensorFlow checkpoints; give one of them: "
            + ", ".join(sorted(prefix.name for prefix in prefixes))
        )
    return find(prefixes[-1]) if prefixes else None


def find_latest(directory: AnyPath) -> Located | None:
    """The checkpoint that the file `checkpoint` names, as training of TensorFlow writes it.

    Returns:
      None if there is no such file.

    Raises:
      RestoreError: It names no checkpoint, or a missing one.
    """
    state = directory / _STATE_FILE
    if not state.is_file():
        return None
    with state.open("rb") as file:
        latest = _LATEST.search(file.read(_MAX_STATE_BYTES))
    if latest is None:
        raise RestoreError(
            f"{state} does not say which checkpoint is the latest; give the checkpoint itself"
        )
    named = os.fsdecode(_ESCAPE.sub(_unescaped, latest[2]))
    named = re.sub(r"-\?{5}-of-\d{5}$", "", named)  # of version 1 in several files
    # If the directory was moved or copied, a full path still names the first one.
    elsewhere = as_path(named, str(state)) if is_remote(named) else pathlib.Path(named)
    is_whole = is_remote(named) or elsewhere.is_absolute()
    for candidate in (directory / elsewhere.name, elsewhere if is_whole else directory / named):
        found = None if candidate.is_dir() else find(candidate)
        if found is not None:
            return found
    raise RestoreError(f"{state} names {named}, which is not there; give the checkpoint itself")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    octal, hexadecimal, unicode, character = escape.groups()
    if character is not None:
        return {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(character, character)
    if unicode is not None:
        return chr(int(unicode, 16)).encode(errors="surrogatepass")
    return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])


def state_naming(prefix: AnyPath) -> str:
    """The text of a file `checkpoint` that names the checkpoint as the latest and only one."""
    plain = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in "\\\"'"}
    name = "".join(plain.get(byte, f"\\{byte:03o}") for byte in os.fsencode(prefix.name))
    return f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'


def find_all(directory: AnyPath) -> list[AnyPath]:
    """The prefixes of all checkpoints in a directory: those without a number, then by number."""
    names = {name for name, is_folder in names_in(directory).items() if not is_folder}
    prefixes = {
        located.path for name in names if (located := _of_file(directory / name, names)) is not None
    }

    def age(prefix: AnyPath) -> tuple[int, str]:
        number = number_of(prefix)
        return -1 if number is None else number, prefix.name

    return sorted(prefixes, key=age)


def number_of(prefix: AnyPath) -> int | None:
    """The step in the name of a checkpoint.

    >>> number_of(pathlib.Path("train_dir/model.ckpt-1000"))
    1000
    """
    numbered = _NUMBERED.fullmatch(prefix.name)
    return int(numbered[2]) if numbered else None


def _stem_of(prefix: AnyPath) -> tuple[str, bool]:
    """The name that checkpoints of one training share, and whether they are numbered."""
    numbered = _NUMBERED.fullmatch(prefix.name)
    return (numbered[1], True) if numbered else (prefix.name, False)


def _of_file(path: AnyPath, names: set[str]) -> Located | None:
    """The checkpoint of which a file in a directory is the index, or the whole."""
    if path.name.endswith(".index"):
        prefix = path.with_name(path.name.removesuffix(".index"))
        is_bundle = any(_DATA_FILE.sub("", n) == prefix.name != n for n in names)
        return Located(prefix, ()) if is_bundle else None
    try:
        return find(path) if is_table(path) and not _DATA_FILE.search(path.name) else None
    except Malformed:  # unreadable, so it may be any file
        return None
