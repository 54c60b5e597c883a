"""What a checkpoint is on disk: a numbered directory, whole or not there at all.

    train_dir/
      1200/
        meta.json       step, contract, position of the data, and per array: name, shape, checksum
        state/          the arrays, as Orbax writes a tree of them (readable by Orbax alone)
      training_done.json

`meta.json` is written last into a directory that still has another name, so a step that has its
number is complete. It carries a checksum of itself and the size of every other file, so that a
step can be called whole without reading its arrays. When all of it is read, the files' checksums
are compared first, and for each array that is read, its own.
"""

import importlib.metadata
import json
import math
import os
import pathlib
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import numpy as np

from jslim.checkpoints import contract as _contract
from jslim.checkpoints._json import decode, encode
from jslim.core.errors import RestoreError
from jslim.host.files import open_regular, write_text
from jslim.host.paths import local_path
from jslim.host.schema import Between, Invalid, conform, parse_json, read_json

FORMAT = 1
MAX_ELEMENTS = 1 << 48
META_FILE = "meta.json"
STATE_DIRECTORY = "state"
MODEL_COLLECTIONS = ("params", "batch_stats")
_DONE_FILE = "training_done.json"
_STOPPED_FILE = "training_stopped.json"

_Count = Annotated[int, Between(0, (1 << 63) - 1)]
_Size = Annotated[int, Between(0, 1 << 48)]
_Crc32 = Annotated[int, Between(0, (1 << 32) - 1)]


def shorten(error: Exception) -> str:
    """An error's message in one line: what failed and, at its end, why."""
    message = " ".join(str(error).split())
    return message if len(message) <= 300 else f"{message[:100]} ... {message[-180:]}"


class BrokenCheckpoint(RestoreError):
    """A step is there but is not what was written; an older one may be used instead."""


class Leaf(NamedTuple):
    """One saved array, with the checksum of its bytes in C order.

    A random key is saved as its data, and `prng_impl` names what makes a key of them again.
    """

    name: str
    shape: tuple[_Size, ...]
    dtype: str
    crc32: _Crc32
    prng_impl: str | None = None

    def __str__(self) -> str:
        kind = f" of a random key ({self.prng_impl})" if self.prng_impl else ""
        return f"{self.dtype} {self.shape}{kind}"


class File(NamedTuple):
    """A data file of a checkpoint, as it was written."""

    size: _Size
    crc32: _Crc32


class Meta(NamedTuple):
    """The contents of `meta.json`; the files are named by their path in the checkpoint."""

    step: _Count
    saved_at: float
    contract: _contract.Values
    data_state: Any
    leaves: dict[str, Leaf]
    files: dict[str, File]


def _checksum(body: object) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _file_checksum(path: pathlib.Path) -> int:
    crc32 = 0
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            crc32 = zlib.crc32(block, crc32)
    return crc32


def list_files(step_dir: pathlib.Path) -> dict[str, File]:
    """The data files that stand in `step_dir`."""
    files = (path for path in (step_dir / STATE_DIRECTORY).rglob("*") if path.is_file())
    return {
        path.relative_to(step_dir).as_posix(): File(path.stat().st_size, _file_checksum(path))
        for path in files
    }


def _jslim_version() -> str:
    try:
        return importlib.metadata.version("jslim")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write_meta(step_dir: pathlib.Path, meta: Meta) -> None:
    """Writes `meta.json`, which makes a checkpoint of the directory."""
    body = {
        "format": FORMAT,
        "jslim_version": _jslim_version(),
        **meta._asdict(),
        "data_state": encode(meta.data_state),
        "leaves": [leaf._asdict() for leaf in meta.leaves.values()],
        "files": {name: file._asdict() for name, file in meta.files.items()},
    }
    document = {"crc32": _checksum(body), "body": body}
    parse_json(json.dumps(document, indent=1).encode())  # what cannot be read is not written
    write_json(step_dir / META_FILE, document)


class _Document(NamedTuple):
    """`meta.json`."""

    crc32: _Crc32
    body: dict[str, Any]


class _Header(NamedTuple):
    """What the body of every format has."""

    format: _Count
    jslim_version: str


class _Body(NamedTuple):
    """The body of this format."""

    step: _Count
    saved_at: float
    contract: _contract.Values
    data_state: Any
    leaves: list[Leaf]
    files: dict[str, File]


def _parse_body(body: dict[str, Any]) -> Meta:
    """The meta in a body, all of whose names can be used as such.

    Raises:
        Invalid: it is not what `write_meta` writes.
    """
    held = conform(body, _Body)
    leaves: dict[str, Leaf] = {}
    for leaf in held.leaves:
        if not is_dtype(leaf.dtype) or math.prod(size or 1 for size in leaf.shape) > MAX_ELEMENTS:
            raise Invalid(f"cannot be {leaf}", f"leaf {leaf.name!r}")
        if leaf.name in leaves or not all(leaf.name.split("/")):
            raise Invalid("must have a name of its own", f"leaf {leaf.name!r}")
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


def is_dtype(name: str) -> bool:
    """Whether it is NumPy's name for a type of numbers: `float32`, `bfloat16`."""
    try:
        dtype = np.dtype(name) if name.isidentifier() else None
    except TypeError:
        return False
    return dtype is not None and str(dtype) == name and dtype.kind in "biufcV"


def read_meta(step_dir: pathlib.Path) -> Meta:
    """Reads `meta.json` and looks whether the data files are there in their full length.

    Raises:
        BrokenCheckpoint: something is missing, cut short or altered.
        RestoreError: a newer jslim wrote it.
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
        meta = _parse_body(body)
    except FileNotFoundError:
        raise BrokenCheckpoint(f"{META_FILE} is missing") from None
    except OSError as error:
        raise BrokenCheckpoint(f"{META_FILE} cannot be read: {error.strerror}") from error
    except Invalid as error:
        raise BrokenCheckpoint(f"{META_FILE} cannot be read: {error}") from error
    for name, file in meta.files.items():
        try:
            size = (step_dir / name).stat().st_size
        except OSError:
            raise BrokenCheckpoint(f"{name} is missing") from None
        if size != file.size:
            raise BrokenCheckpoint(f"{name} has {size} bytes where {file.size} were written")
    return meta


def verify_files(step_dir: pathlib.Path, meta: Meta, max_bytes: float = math.inf) -> None:
    """Compares the checksums of the data files that are no larger than `max_bytes`.

    Whatever else is there must be a file, since Orbax would wait for a pipe.

    Orbax would notice most damage by itself, but only with all its reads under way, and those
    that are left then print their own failures.

    Raises:
        BrokenCheckpoint: a file is not what was written, or cannot be read.
    """
    for path in (step_dir / STATE_DIRECTORY).rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise BrokenCheckpoint(f"{path.relative_to(step_dir)} is no file")
    for name, file in meta.files.items():
        if file.size > max_bytes:
            continue
        try:
            is_as_written = _file_checksum(step_dir / name) == file.crc32
        except OSError as error:
            raise BrokenCheckpoint(f"{name} cannot be read: {error.strerror}") from error
        if not is_as_written:
            raise BrokenCheckpoint(f"{name} does not match its checksum")


def write_json(path: pathlib.Path, value: object) -> None:
    """Writes a JSON file that is on the disk, whole, under its name when this returns."""
    write_text(path, json.dumps(value, indent=1))


def step_directories(directory: pathlib.Path) -> list[pathlib.Path]:
    """Everything in `directory` that is named like a step, broken or not, oldest first."""
    if not directory.is_dir():
        return []
    steps = [p for p in directory.iterdir() if re.fullmatch(r"0|[1-9]\d*", p.name) and p.is_dir()]
    return sorted(steps, key=lambda path: int(path.name))


def is_whole(step_dir: pathlib.Path) -> bool:
    """Whether every file of the step is there in its full length."""
    try:
        read_meta(step_dir)
    except BrokenCheckpoint:
        return False
    return True


def read_step(step_dir: pathlib.Path) -> Meta:
    """`read_meta` with the path of the step in the error."""
    try:
        return read_meta(step_dir)
    except BrokenCheckpoint as error:
        raise BrokenCheckpoint(f"checkpoint {step_dir} is broken: {error}.") from error


def variable_names(leaf_names: Iterable[str]) -> dict[str, str]:
    """`{name: leaf name}` where model variables go by the name that TF-Slim gives them.

    `params/vgg_16/conv1/weights` and `batch_stats/...` lose their collection; all other leaves
    (`step`, `opt_state/...`, `ema_params/...`) keep it, and so do names that would meet.
    """
    leaf_names = list(leaf_names)

    def model_name(leaf_name: str) -> str:
        collection, _, rest = leaf_name.partition("/")
        return rest if collection in MODEL_COLLECTIONS and rest else leaf_name

    uses = Counter(map(model_name, leaf_names))
    return {
        model_name(leaf_name) if uses[model_name(leaf_name)] == 1 else leaf_name: leaf_name
        for leaf_name in leaf_names
    }


def _directory(path: str | os.PathLike[str]) -> pathlib.Path:
    return pathlib.Path(local_path(path, "the directory of checkpoints"))


def mark_done(directory: str | os.PathLike[str], step: int) -> None:
    """Notes in `directory` that training ended at `step`: what an evaluation loop waits for."""
    _directory(directory).mkdir(parents=True, exist_ok=True)
    write_json(_directory(directory) / _DONE_FILE, {"step": step, "finished_at": time.time()})


def mark_stopped(directory: str | os.PathLike[str], step: int) -> None:
    """Notes that training ended at `step` without being done, and does not go on by itself."""
    write_json(_directory(directory) / _STOPPED_FILE, {"step": step, "stopped_at": time.time()})


def is_done(directory: str | os.PathLike[str]) -> bool:
    """Whether the training that writes to `directory` is done."""
    return (_directory(directory) / _DONE_FILE).is_file()


def has_ended(directory: str | os.PathLike[str]) -> bool:
    """Whether the training that wrote to `directory` is done, or its data has ended."""
    return is_done(directory) or (_directory(directory) / _STOPPED_FILE).is_file()


def clear_done(directory: str | os.PathLike[str]) -> None:
    """Takes the marks of `mark_done` and `mark_stopped` away, because training goes on."""
    for name in (_DONE_FILE, _STOPPED_FILE):
        (_directory(directory) / name).unlink(missing_ok=True)
