"""TFRecord files: records of bytes with checksums, read at random or in order, and written.

A record is a length (8 bytes), the checksum of the length, the data, and the checksum of the data.
All numbers are little-endian, checksums are masked CRC-32C. Source: TensorFlow's record_writer.cc.
A file may be compressed as a whole by gzip or zlib.
"""

import bisect
import concurrent.futures
import contextlib
import glob
import os
import struct
import tempfile
import weakref
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
from jslim.data._tfrecord_index import (
    FOOTER,
    HEADER,
    load_index,
    read_index,
    save_index,
    saved_index,
)
from jslim.host import display
from jslim.host.crc32c import crc32c, mask
from jslim.host.files import UnfinishedFile, exists, is_directory, matching, open_regular, size_of
from jslim.host.paths import Path, as_path, is_remote, output_file, path_string

COMPRESSIONS = ("GZIP", "ZLIB")

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
            saved = saved_index(self.path, file)
            index = load_index(saved) if saved else None
            head = b"" if index else file.read(HEADER)
            if head and (compression := _compression_of(head)):
                self._unpacked = self._unpack(file, compression)
        if index is None:
            with self._opened() as file:
                self._size = size_of(file)
                index = read_index(file, self.path)
            if saved and self._unpacked is None:
                save_index(saved, *index)
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
                coded = read(self.path, start + HEADER, start + HEADER + length + FOOTER)
            has_changed = False
        else:
            with self._opened() as file:
                coded = os.pread(file.fileno(), length + FOOTER, start + HEADER)
                has_changed = os.fstat(file.fileno()).st_size != self._size
        data = coded[:length]
        if len(coded) != length + FOOTER or has_changed:
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
    if len(head) == HEADER and mask(crc32c(head[:8])) == int.from_bytes(head[8:], "little"):
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
