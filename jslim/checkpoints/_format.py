"""The format of a checkpoint on disk: a numbered directory, complete or absent.

    train_dir/
      1200/
        meta.json       step, contract, position of the data, and per array: name, shape, checksum
        state/          the arrays, as Orbax writes a tree (Orbax alone can read them)
      training_done.json

`meta.json` is written last: on a disk into a directory that still has another name, in an object
store as the object that makes the others a checkpoint. It holds a checksum of itself, the size of
every other file, so that a step can be found whole without reading its arrays, the checksums of the
small files, and the sums of the arrays (`_sums`). Reading compares the former first.

Format 1, which is still read, has checksums of all files, and CRC-32 of whole arrays for sums.
"""

import contextlib
import functools
import importlib.metadata
import itertools
import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np

from jslim.checkpoints import contract as _contract
from jslim.checkpoints._json import decode, encode
from jslim.core.errors import RestoreError
from jslim.host.files import open_regular, write_text
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.host.schema import Between, Invalid, conform, parse_json, read_json

FORMAT = 2
MAX_ELEMENTS = 1 << 48
META_FILE = "meta.json"
STATE_DIRECTORY = "state"
# Files with the places of the arrays, a few bytes for each, are smaller than this.
INDEX_BYTES = 1 << 18

_Count = Annotated[int, Between(0, (1 << 63) - 1)]
_Size = Annotated[int, Between(0, 1 << 48)]
_Crc32 = Annotated[int, Between(0, (1 << 32) - 1)]
_Sum = Annotated[str, Between(16, 16)]
_Name = TypeVar("_Name")
_Answer = TypeVar("_Answer")


def shorten(error: Exception) -> str:
    """The message of an error in one line, at most 300 characters: its start and its end."""
    message = " ".join(str(error).split())
    return message if len(message) <= 300 else f"{message[:100]} ... {message[-180:]}"


class BrokenCheckpoint(RestoreError):
    """A step is not as it was written; an older one may be used instead."""


class Leaf(NamedTuple):
    """A saved array.

    Attributes:
      name: Its path in the tree, joined by `/`.
      shape: Its shape; of a random key, that of its data.
      dtype: Its type as NumPy spells it.
      prng_impl: The implementation of a random key, or None.
      sum: Its `part_sum` in hexadecimal digits; None where it is not known, and in format 1.
      crc32: In format 1, the CRC-32 of its bytes in C order.
    """

    name: str
    shape: tuple[_Size, ...]
    dtype: str
    prng_impl: str | None = None
    sum: _Sum | None = None
    crc32: _Crc32 | None = None

    def __str__(self) -> str:
        kind = f" of a random key ({self.prng_impl})" if self.prng_impl else ""
        return f"{self.dtype} {self.shape}{kind}"


class File(NamedTuple):
    """A data file of a checkpoint, as it was written; a large one has no checksum in format 2."""

    size: _Size
    crc32: _Crc32 | None = None


class Meta(NamedTuple):
    """The content of `meta.json`; the names of files are their paths in the checkpoint."""

    step: _Count
    saved_at: float
    contract: _contract.Values
    data_state: object
    leaves: dict[str, Leaf]
    files: dict[str, File]


def _checksum(body: object) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _file_checksum(path: AnyPath) -> int:
    crc32 = 0
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            crc32 = zlib.crc32(block, crc32)
    return crc32


def list_files(step_dir: AnyPath) -> dict[str, File]:
    """The data files in `step_dir`; of the small ones, which say where all is, with checksums."""
    sizes = _sizes(step_dir)
    small = [name for name, size in sizes.items() if size <= INDEX_BYTES]
    found = _of_each(step_dir, small, lambda name: _file_checksum(step_dir / name))
    sums = dict(zip(small, found, strict=True))
    return {name: File(size, sums.get(name)) for name, size in sizes.items()}


def _of_each(
    directory: AnyPath, names: Sequence[_Name], ask: Callable[[_Name], _Answer]
) -> list[_Answer]:
    """What `ask` gives for each name; a store is asked for several at a time."""
    if not is_remote(directory):
        return [*map(ask, names)]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, names))


def _sizes(step_dir: AnyPath) -> dict[str, int]:
    """The sizes of the data files of a step, by their paths in it.

    Raises:
      BrokenCheckpoint: Something is neither a file nor a directory. Orbax would wait for a pipe.
    """
    if is_remote(step_dir):
        from jslim.host import stores

        found = stores.sizes(os.fspath(step_dir / STATE_DIRECTORY))
        return {f"{STATE_DIRECTORY}/{name}": size for name, size in found.items()}
    sizes = {}
    try:
        for path in (step_dir / STATE_DIRECTORY).rglob("*"):
            name = path.relative_to(step_dir).as_posix()
            if path.is_file():
                sizes[name] = path.stat().st_size
            elif not path.is_dir() and path.exists():
                raise BrokenCheckpoint(f"{name} is no file")
    except FileNotFoundError:  # deleted since its directory was listed
        raise BrokenCheckpoint("its files were deleted while they were listed") from None
    return sizes


def _jslim_version() -> str:
    try:
        return importlib.metadata.version("jslim")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write_meta(step_dir: AnyPath, meta: Meta) -> None:
    """Writes `meta.json`, which makes the directory a checkpoint."""
    body = {
        "format": FORMAT,
        "jslim_version": _jslim_version(),
        **meta._asdict(),
        "data_state": encode(meta.data_state),
        "leaves": [
            {key: value for key, value in leaf._asdict().items() if key != "crc32"}
            for leaf in meta.leaves.values()
        ],
        "files": {name: file._asdict() for name, file in meta.files.items()},
    }
    document = {"crc32": _checksum(body), "body": body}
    parse_json(json.dumps(document, indent=1).encode())  # fails now if it could not be read
    write_json(step_dir / META_FILE, document)


class _Document(NamedTuple):
    """`meta.json`."""

    crc32: _Crc32
    body: dict[str, Any]


class _Header(NamedTuple):
    """The part of the body that every format has."""

    format: _Count
    jslim_version: str


class _Body(NamedTuple):
    """The body in this format."""

    step: _Count
    saved_at: float
    contract: _contract.Values
    data_state: Any
    leaves: list[Leaf]
    files: dict[str, File]


def _parse_body(body: object, version: int) -> Meta:
    """The meta of a body, with names that are safe to use.

    Raises:
      Invalid: It is not from `write_meta`.
    """
    held = conform(body, _Body)
    leaves: dict[str, Leaf] = {}
    for leaf in held.leaves:
        if not is_dtype(leaf.dtype) or math.prod(size or 1 for size in leaf.shape) > MAX_ELEMENTS:
            raise Invalid(f"cannot be {leaf}", f"leaf {leaf.name!r}")
        # A scope may be called '', as in TensorFlow: 'params/a//v'.
        if leaf.name in leaves or not leaf.name or leaf.name.strip("/") != leaf.name:
            raise Invalid("must have a name of its own", f"leaf {leaf.name!r}")
        if (leaf.crc32 if version == 1 else leaf.sum) is None:
            raise Invalid("has no checksum", f"leaf {leaf.name!r}")
        leaves[leaf.name] = leaf
    above = {name[:at] for name in leaves for at, sign in enumerate(name) if sign == "/"}
    if both := sorted(above & leaves.keys()):
        raise Invalid("is an array and has arrays below it", f"leaf {both[0]!r}")
    for name in held.files:
        if not name.startswith(f"{STATE_DIRECTORY}/") or ".." in name.split("/") or "\0" in name:
            raise Invalid(f"must be below {STATE_DIRECTORY}", f"file {name!r}")
    contract = _contract.checked(held.contract)
    try:
        data_state = decode(held.data_state)
    except ValueError as error:
        raise Invalid(str(error), "data_state") from None
    read = {"leaves": leaves, "contract": contract, "data_state": data_state}
    return Meta(**{**held._asdict(), **read})


@functools.lru_cache(64)
def is_dtype(name: str) -> bool:
    """Whether `name` is NumPy's name for a type of numbers.

    >>> is_dtype("bfloat16"), is_dtype("object")
    (True, False)
    """
    try:
        dtype = np.dtype(name) if name.isidentifier() else None
    except TypeError:
        return False
    return dtype is not None and str(dtype) == name and dtype.kind in "biufcV"


def read_meta(step_dir: AnyPath) -> Meta:
    """Reads `meta.json` and checks that the data files have their full length.

    Raises:
      BrokenCheckpoint: A file is missing, cut short or altered.
      RestoreError: A newer jslim wrote it.
    """
    path = step_dir / META_FILE
    try:
        document = conform(read_json(path), _Document)
        body = document.body
        if document.crc32 != _checksum(body):
            raise BrokenCheckpoint(f"{META_FILE} does not match its checksum")
        header = conform(body, _Header)
        if header.format > FORMAT:
            raise RestoreError(
                f"checkpoint {step_dir} has format {header.format}, written by jslim "
                f"{header.jslim_version}; this jslim reads up to format {FORMAT}: install a newer "
                "one."
            )
        meta = _parse_body(body, header.format)
    except FileNotFoundError:
        raise BrokenCheckpoint(f"{META_FILE} is missing") from None
    except OSError as error:
        raise BrokenCheckpoint(f"{META_FILE} cannot be read: {error.strerror}") from error
    except Invalid as error:
        raise BrokenCheckpoint(f"{META_FILE} cannot be read: {error}") from error
    sizes = _sizes(step_dir)
    for name, file in meta.files.items():
        if name not in sizes:
            raise BrokenCheckpoint(f"{name} is missing")
        if sizes[name] != file.size:
            raise BrokenCheckpoint(f"{name} has {sizes[name]} bytes where {file.size} were written")
    return meta


def verify_files(step_dir: AnyPath, meta: Meta, max_bytes: float = math.inf) -> None:
    """Compares the checksums, where there are any, of the data files of at most `max_bytes`.

    Orbax finds most damage itself, but only after it has started all its reads, which then print
    their own failures.

    Raises:
      BrokenCheckpoint: A file is not as written, or cannot be read.
    """

    def verify(name: str) -> None:
        try:
            is_as_written = _file_checksum(step_dir / name) == meta.files[name].crc32
        except OSError as error:
            raise BrokenCheckpoint(f"{name} cannot be read: {error.strerror}") from error
        if not is_as_written:
            raise BrokenCheckpoint(f"{name} does not match its checksum")

    with_sums = {name: file for name, file in meta.files.items() if file.crc32 is not None}
    small = [name for name, file in with_sums.items() if file.size <= max_bytes]
    _of_each(step_dir, small, verify)


def write_json(path: AnyPath, value: object) -> None:
    """Writes a JSON file, which is complete on the disk when this returns."""
    write_text(path, json.dumps(value, indent=1))


def step_directories(directory: AnyPath) -> list[AnyPath]:
    """The directories in `directory` named by a number, whole or broken, in rising order."""
    if not directory.is_dir():
        return []
    named = [path for path in directory.iterdir() if re.fullmatch(r"0|[1-9]\d*", path.name)]
    are_steps = _of_each(directory, named, is_step)
    return sorted(itertools.compress(named, are_steps), key=lambda path: int(path.name))


def is_step(path: AnyPath) -> bool:
    """Whether a path named by a number is a checkpoint, whole or broken.

    On a disk any directory is. In a bucket, where there are no directories, `meta.json` makes it
    one: a kill may leave other objects.
    """
    return (path / META_FILE).is_file() if is_remote(path) else path.is_dir()


def whole_meta(step_dir: AnyPath) -> Meta | None:
    """The meta of a step, or None if it is broken: files are missing or have another length."""
    try:
        return read_meta(step_dir)
    except BrokenCheckpoint:
        return None


def is_whole(step_dir: AnyPath) -> bool:
    """Whether every file of the step has its full length."""
    return whole_meta(step_dir) is not None


def _is_gone(step_dir: AnyPath) -> bool:
    try:
        return not is_step(step_dir)
    except OSError:  # a store that does not answer
        return False


@contextlib.contextmanager
def named_in_errors(step_dir: AnyPath) -> Iterator[None]:
    """Puts the path of a step into a `BrokenCheckpoint`, and says so where no step is left."""
    try:
        yield
    except BrokenCheckpoint as error:
        if _is_gone(step_dir):
            raise BrokenCheckpoint(
                f"checkpoint {step_dir} was deleted while it was read: a run keeps its newest ones "
                "alone. Read the newest, or let the run keep more (max_to_keep)."
            ) from error
        raise BrokenCheckpoint(f"checkpoint {step_dir} is broken: {error}.") from error


def read_step(step_dir: AnyPath) -> Meta:
    """`read_meta` with the path of the step in the error."""
    with named_in_errors(step_dir):
        return read_meta(step_dir)


def directory_of(path: str | os.PathLike[str]) -> AnyPath:
    """The path of a directory of checkpoints.

    Raises:
      TypeError, ValueError: As `as_path`.
    """
    return as_path(path, "the directory of checkpoints")
