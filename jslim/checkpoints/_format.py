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
from typing import Any, NamedTuple

from jslim._errors import RestoreError
from jslim._files import UnfinishedFile

FORMAT = 1
META_FILE = "meta.json"
STATE_DIRECTORY = "state"
MODEL_COLLECTIONS = ("params", "batch_stats")
_DONE_FILE = "training_done.json"


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
    shape: tuple[int, ...]
    dtype: str
    crc32: int
    prng_impl: str | None = None

    def __str__(self) -> str:
        kind = f" of a random key ({self.prng_impl})" if self.prng_impl else ""
        return f"{self.dtype} {self.shape}{kind}"


class File(NamedTuple):
    """A data file of a checkpoint, as it was written."""

    size: int
    crc32: int


class Meta(NamedTuple):
    """The contents of `meta.json`; the files are named by their path in the checkpoint."""

    step: int
    saved_at: float
    contract: dict[str, Any]
    data_state: dict[str, Any] | None
    leaves: dict[str, Leaf]
    files: dict[str, File]


def _checksum(body: Any) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _file_checksum(path: pathlib.Path) -> int:
    crc32 = 0
    with path.open("rb") as file:
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
        "leaves": [leaf._asdict() for leaf in meta.leaves.values()],
        "files": {name: file._asdict() for name, file in meta.files.items()},
    }
    write_json(step_dir / META_FILE, {"crc32": _checksum(body), "body": body})


def read_meta(step_dir: pathlib.Path) -> Meta:
    """Reads `meta.json` and looks whether the data files are there in their full length.

    Raises:
        BrokenCheckpoint: something is missing, cut short or altered.
        RestoreError: a newer jslim wrote it.
    """
    try:
        document = json.loads((step_dir / META_FILE).read_bytes())
        body = document["body"]
        if document["crc32"] != _checksum(body):
            raise BrokenCheckpoint(f"{META_FILE} does not match its checksum")
    except FileNotFoundError:
        raise BrokenCheckpoint(f"{META_FILE} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, BrokenCheckpoint):
            raise
        raise BrokenCheckpoint(f"{META_FILE} cannot be read: {error}") from error
    if body["format"] > FORMAT:
        raise RestoreError(
            f"checkpoint {step_dir} has format {body['format']}, written by jslim "
            f"{body['jslim_version']}; this jslim reads up to format {FORMAT}: install a newer one."
        )
    leaves = [Leaf(**{**leaf, "shape": tuple(leaf["shape"])}) for leaf in body["leaves"]]
    meta = Meta(
        step=body["step"],
        saved_at=body["saved_at"],
        contract=body["contract"],
        data_state=body["data_state"],
        leaves={leaf.name: leaf for leaf in leaves},
        files={name: File(**file) for name, file in body["files"].items()},
    )
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

    Orbax would notice most damage by itself, but only with all its reads under way, and those
    that are left then print their own failures.

    Raises:
        BrokenCheckpoint: a file is not what was written, or cannot be read.
    """
    for name, file in meta.files.items():
        if file.size > max_bytes:
            continue
        try:
            is_as_written = _file_checksum(step_dir / name) == file.crc32
        except OSError as error:
            raise BrokenCheckpoint(f"{name} cannot be read: {error}") from error
        if not is_as_written:
            raise BrokenCheckpoint(f"{name} does not match its checksum")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a JSON file that is on the disk, whole, under its name when this returns."""
    with UnfinishedFile(path) as unfinished:
        unfinished.path.write_text(json.dumps(value, indent=1))


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


def mark_done(directory: str | os.PathLike[str], step: int) -> None:
    """Notes in `directory` that training ended at `step`: what an evaluation loop waits for."""
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    write_json(pathlib.Path(directory) / _DONE_FILE, {"step": step, "finished_at": time.time()})


def is_done(directory: str | os.PathLike[str]) -> bool:
    """Whether the training that writes to `directory` has ended."""
    return (pathlib.Path(directory) / _DONE_FILE).is_file()


def clear_done(directory: str | os.PathLike[str]) -> None:
    """Takes the mark of `mark_done` away, because training goes on."""
    (pathlib.Path(directory) / _DONE_FILE).unlink(missing_ok=True)
