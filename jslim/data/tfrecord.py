"""TFRecord files: records of bytes with checksums, read at random or in order, and written.

A record is a length (8 bytes), the checksum of the length, the data, and the checksum of the data.
All numbers are little-endian, checksums are masked CRC-32C. Source: TensorFlow's record_writer.cc.
A file may be compressed as a whole by gzip or zlib.
"""

import bisect
import concurrent.futures
import contextlib
import glob
import hashlib
import mmap
import os
import pathlib
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Protocol

import numpy as np

from jslim.core import checks, reprs
from jslim.core.errors import DataError
from jslim.core.text import printable
from jslim.data._compressed import WINDOW_BITS, decompressed
from jslim.data._errors import reading
from jslim.data._shards import check_shards
from jslim.host import display
from jslim.host.crc32c import crc32c, crc32c_of_rows, mask
from jslim.host.files import UnfinishedFile, exists, is_directory, matching, open_regular, size_of
from jslim.host.paths import Path, as_path, cache_directory, is_remote, output_file, path_string

COMPRESSIONS = ("GZIP", "ZLIB")

_HEADER, _FOOTER = 12, 4
_LARGE = 1 << 26  # bytes; the index of a file of at least this size is kept
_REQUESTS = 16  # to an object store at once

DataSources = Path | Iterable[Path]


class Records(Protocol):
    """Records by number, of one file or several."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> bytes: ...

    def record_key(self, index: int, /) -> str:
        """What errors call the record."""


def get_data_files(data_sources: DataSources) -> list[str]:
    """The files that a pattern, a path or a list of these stand for, sorted within each pattern.

    Args:
      data_sources: A path; a pattern with `*`, `?` or `[`; `PATH@N`, the N shards
        `PATH-00000-of-0000N` and so on; or a list of these. A file or folder that exists is taken
        by its name: where the folder `exp [v2]` exists, only the end of `exp [v2]/*.tfrecord` is a
        pattern.

    Raises:
      DataError: A pattern matches nothing; some shards are missing, or there are two copies.

    >>> get_data_files("train@2")
    ['train-00000-of-00002', 'train-00001-of-00002']
    """
    if not isinstance(data_sources, (str, os.PathLike)):
        return [path for source in data_sources for path in get_data_files(source)]
    pattern = path_string(data_sources, "data_sources")
    if not any(sign in pattern for sign in "*?[@") or exists(pattern):
        return [pattern]
    stem, at, count = pattern.rpartition("@")
    if at and count.isdecimal():
        return [f"{stem}-{i:05d}-of-{int(count):05d}" for i in range(int(count))]
    folder = pattern
    while folder and not is_directory(folder):
        folder = os.path.dirname(folder)
        if folder.endswith("://"):
            folder = f"{folder}{pattern[len(folder) :].partition('/')[0]}"
            break
    rest = pattern[len(folder) :]
    if not glob.has_magic(rest):
        return [pattern]
    if is_remote(folder):
        there = as_path(folder, "data_sources")
        files = sorted(f"{folder}/{end}" for end in matching(there, rest.lstrip("/")))
    else:
        files = sorted(glob.glob(glob.escape(folder) + rest))
    if not files:
        raise DataError(f"no file matches the pattern {pattern!r}; check the directory and split")
    check_shards(files, pattern)
    return files


class TFRecordFile(Sequence[bytes]):
    """The records of one file by number; safe in several threads, and picklable.

    Opening reads and checks the length of every record. The lengths of a large file, and of one in
    an object store, are kept in the user's cache directory until the file changes. The data of a
    record is read and checked when it is asked for, from an object store by one request. A
    compressed file is first decompressed into a temporary file.

    Args:
      path: The file or URL, plain or compressed by gzip or zlib.

    Raises:
      DataError: It cannot be read, is not a TFRecord file, is cut short, or a checksum is wrong.
        The message has the path, the record's number and its first byte.
    """

    def __init__(self, path: Path):
        self.path = path_string(path, "TFRecordFile: path")
        self._unpacked: IO[bytes] | None = None
        with self._opened() as file:
            self._size = size_of(file)
            saved = _saved_index(self.path, file)
            index = _load_index(saved) if saved else None
            head = b"" if index else file.read(_HEADER)
            if head and (compression := _compression_of(head)):
                self._unpacked = self._unpack(file, compression)
        if index is None:
            with self._opened() as file:
                self._size = size_of(file)
                index = _read_index(file, self.path)
            if saved and self._unpacked is None:
                _save_index(saved, *index)
        self._starts, self._lengths = index
        self._is_in_store = self._unpacked is None and is_remote(self.path)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """The file of the plain records; an OSError becomes a DataError that names the path."""
        with reading(repr(self.path), "; check the path and its permissions"):
            if self._unpacked is not None:
                yield self._unpacked
            else:
                with open_regular(self.path) as file:
                    yield file

    def _unpack(self, file: IO[bytes], compression: str) -> IO[bytes]:
        file.seek(0)
        # A file without a name: nothing is left of it, however the process ends.
        temporary = tempfile.TemporaryFile(prefix="jslim-")  # noqa: SIM115
        weakref.finalize(self, temporary.close)
        try:
            for part in decompressed(file, compression):
                temporary.write(part)
            temporary.flush()
        except (OSError, EOFError, zlib.error) as error:
            temporary.close()
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"{self.path!r} cannot be decompressed ({compression.lower()}: {reason}); copy or "
                "convert the file again"
            ) from error
        return temporary

    def __reduce__(self) -> tuple[object, ...]:
        return TFRecordFile, (self.path,)

    def __repr__(self) -> str:
        return f"<TFRecordFile {printable(self.path)!r}: {reprs.counted(len(self), 'record')}>"

    def __len__(self) -> int:
        return len(self._starts)

    def offset(self, index: int) -> int:
        """The byte at which the record starts, in a compressed file counted when decompressed."""
        return int(self._starts[index])

    def record_key(self, index: int) -> str:
        """`FILE:BYTE` with the byte at which the record starts, as in TF-Slim's readers."""
        return f"{os.path.basename(self.path)}:{self.offset(index)}"

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # numbers, no slices
        start, length = int(self._starts[index]), int(self._lengths[index])
        if self._is_in_store:
            from jslim.host.stores import read

            with reading(repr(self.path), "; check the path and its permissions"):
                coded = read(self.path, start + _HEADER, start + _HEADER + length + _FOOTER)
            has_changed = False
        else:
            with self._opened() as file:
                coded = os.pread(file.fileno(), length + _FOOTER, start + _HEADER)
                has_changed = os.fstat(file.fileno()).st_size != self._size
        data = coded[:length]
        if len(coded) != length + _FOOTER or has_changed:
            problem = (
                "is not where it was: the file has changed since it was opened; data must stay as "
                "it is while it is read"
            )
        elif mask(crc32c(data)) != int.from_bytes(coded[length:], "little"):
            problem = "is damaged: its checksum is wrong; copy or convert the file again"
        else:
            return data
        raise DataError(f"record {index} of {self.path!r}, at byte {start}, {problem}")


class TFRecordFiles(Sequence[bytes]):
    """The records of several files, one file after the other.

    Args:
      data_sources: The files; see `get_data_files`.

    Raises:
      DataError: A file is broken, as of `TFRecordFile`, or there is no record at all.
    """

    def __init__(self, data_sources: DataSources):
        self.paths = get_data_files(data_sources)
        self.files = []
        are_remote = any(map(is_remote, self.paths))
        with (
            display.task("indexing", len(self.paths), "files") as task,
            concurrent.futures.ThreadPoolExecutor(_REQUESTS if are_remote else 1) as threads,
        ):
            for file in threads.map(TFRecordFile, self.paths):
                self.files.append(file)
                task.advance()
        self._ends = np.cumsum([len(file) for file in self.files]).tolist()
        if not self._ends or not self._ends[-1]:
            raise DataError(f"there is no record in {[file.path for file in self.files]}")

    def __repr__(self) -> str:
        records = reprs.counted(len(self), "record")
        return f"<TFRecordFiles: {records} in {reprs.counted(len(self.files), 'file')}>"

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, index: int) -> tuple[TFRecordFile, int]:
        number = bisect.bisect_right(self._ends, index)
        return self.files[number], index - (self._ends[number - 1] if number else 0)

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # numbers, no slices
        file, place = self._place(index)
        return file[place]

    def record_key(self, index: int) -> str:
        """`FILE:BYTE`; see `TFRecordFile.record_key`."""
        file, place = self._place(index)
        return file.record_key(place)


def _compression_of(head: bytes) -> str | None:
    """The compression of a file that starts so; None if that is a length with its checksum."""
    if len(head) == _HEADER and mask(crc32c(head[:8])) == int.from_bytes(head[8:], "little"):
        return None
    if head[:2] == b"\x1f\x8b":
        return "GZIP"
    # RFC 1950: method 8 with a window of at most 32 KiB; the two bytes are a multiple of 31.
    if (
        len(head) > 1
        and head[0] & 15 == 8
        and head[0] >> 4 < 8
        and not (head[0] << 8 | head[1]) % 31
    ):
        return "ZLIB"
    return None


def _read_index(file: IO[bytes], path: str) -> tuple[np.ndarray, np.ndarray]:
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
            headers.append(data[at : at + _HEADER])
            at += _HEADER + int.from_bytes(headers[-1][:8], "little") + _FOOTER
    whole = b"".join(headers)
    parts = np.frombuffer(whole, [("length", "<u8"), ("crc", "<u4")], len(whole) // _HEADER)
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


def _saved_index(path: str, file: IO[bytes]) -> pathlib.Path | None:
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


def _load_index(saved: pathlib.Path) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with saved.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["starts"], arrays["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # not there, or cut short


def _save_index(saved: pathlib.Path, starts: np.ndarray, lengths: np.ndarray) -> None:
    # A cache that cannot be written costs only time.
    with (
        contextlib.suppress(OSError),
        UnfinishedFile(saved) as unfinished,
        unfinished.path.open("wb") as file,
    ):
        np.savez(file, starts=starts, lengths=lengths)


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a file one after another.

    Args:
      path: The file, plain or compressed.

    Raises:
      DataError: As `TFRecordFile`.
    """
    yield from TFRecordFile(path)


class TFRecordWriter:
    """Writes a TFRecord file, which gets its name only when it is whole.

        with TFRecordWriter(path) as writer:
            writer.write(example.SerializeToString())

    After an error within the `with` statement there is no file, or the one that was there before.

    Args:
      path: The file; its directory is made.
      compression: None, `'GZIP'` or `'ZLIB'`.

    Raises:
      ValueError: There is no such compression.
    """

    def __init__(self, path: Path, compression: str | None = None):
        checks.one_of("", "compression", compression, (None, *COMPRESSIONS))
        self._path = output_file(path, "TFRecordWriter: path")
        self._unfinished = UnfinishedFile(self._path)
        self._file = self._unfinished.path.open("xb")
        self._compress = zlib.compressobj(wbits=WINDOW_BITS[compression]) if compression else None

    def write(self, record: bytes) -> None:
        """Appends a record."""
        if self._file.closed:
            raise ValueError(f"the writer of {self._path!r} is closed")
        length = struct.pack("<Q", len(record))
        for part in (length, record):
            for coded in (part, struct.pack("<I", mask(crc32c(part)))):
                self._file.write(self._compress.compress(coded) if self._compress else coded)

    def close(self) -> None:
        """Writes everything to disk and gives the file its name."""
        if not self._file.closed:
            with self._unfinished, self._file:
                self._file.write(self._compress.flush() if self._compress else b"")

    def discard(self) -> None:
        """Closes the file and removes it."""
        if not self._file.closed:
            self._file.close()
            self._unfinished.discard()

    def __enter__(self) -> "TFRecordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        (self.close if kind is None else self.discard)()
