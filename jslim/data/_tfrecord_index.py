"""Where the records of a TFRecord file lie: read from it, and kept in the cache directory."""

import contextlib
import hashlib
import mmap
import os
import pathlib
import zipfile
import zlib
from typing import IO

import numpy as np

from jslim.core.errors import DataError
from jslim.host.crc32c import crc32c_of_rows, mask
from jslim.host.files import UnfinishedFile, size_of
from jslim.host.paths import cache_directory, is_remote

HEADER, FOOTER = 12, 4  # bytes before and after the data of a record

_LARGE = 1 << 26  # bytes; the index of a file of at least this size is kept


def read_index(file: IO[bytes], path: str) -> tuple[np.ndarray, np.ndarray]:
    """The byte at which each record starts, and the length of its data."""
    size = size_of(file)
    starts: list[int] = []
    headers: list[bytes] = []
    at = 0
    with contextlib.ExitStack() as stack:
        data: mmap.mmap | _InStore
        if is_remote(path) and not isinstance(file.name, int):
            data = _InStore(file)
        elif size:  # an empty file cannot be mapped
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        while at < size:
            starts.append(at)
            headers.append(data[at : at + HEADER])
            at += HEADER + int.from_bytes(headers[-1][:8], "little") + FOOTER
    whole = b"".join(headers)
    parts = np.frombuffer(whole, [("length", "<u8"), ("crc", "<u4")], len(whole) // HEADER)
    lengths = parts["length"].copy()
    checksums = mask(crc32c_of_rows(lengths.view(np.uint8).reshape(-1, 8)))
    for index in np.flatnonzero(checksums != parts["crc"]):
        what = "is damaged" if index else "is no TFRecord file"
        raise DataError(
            f"{path!r} {what}: at byte {starts[index]}, where record {index} should start, there "
            "is no length with a right checksum; copy or convert the file again"
        )
    if at > size:
        raise DataError(
            f"{path!r} is cut short: it ends at byte {size} within record {len(starts) - 1}, which "
            f"starts at byte {starts[-1]}; copy or convert the file again"
        )
    return np.array(starts, np.int64), lengths.astype(np.int64)


class _InStore:
    """The bytes of a file in an object store, for reading the headers of records from it."""

    def __init__(self, file: IO[bytes]):
        self._file = file

    def __getitem__(self, part: slice) -> bytes:
        self._file.seek(part.start)  # within what is buffered it asks for nothing
        return self._file.read(part.stop - part.start)


def saved_index(path: str, file: IO[bytes]) -> pathlib.Path | None:
    """The file for the index of a large file; another one once the file has changed."""
    if is_remote(path):
        from jslim.host.stores import information, version_of

        identity = f"{path}\0{version_of(information(path))}"
    else:
        status = os.fstat(file.fileno())
        if status.st_size < _LARGE:
            return None
        identity = f"{os.path.realpath(path)}\0{status.st_size}\0{status.st_mtime_ns}"
    name = hashlib.blake2b(identity.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return cache_directory("tfrecord_index") / f"{name}.npz"


def load_index(saved: pathlib.Path) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with saved.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["starts"], arrays["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # not there, or cut short


def save_index(saved: pathlib.Path, starts: np.ndarray, lengths: np.ndarray) -> None:
    # A cache that cannot be written costs only time.
    with (
        contextlib.suppress(OSError),
        UnfinishedFile(saved) as unfinished,
        unfinished.path.open("wb") as file,
    ):
        np.savez(file, starts=starts, lengths=lengths)
