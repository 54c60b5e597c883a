"""TFRecord files: records of bytes with checksums, read at random or in order, and written.

A record is its length (8 bytes), the checksum of that, the data, and the checksum of the data; all
numbers are little-endian, checksums are masked CRC-32C. Source: TensorFlow's record_writer.cc. A
file may be compressed as a whole by gzip or zlib.
"""

import bisect
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
from typing import IO, Any, Protocol

import numpy as np

from jslim.core import checks
from jslim.core.errors import DataError
from jslim.data._compressed import WINDOW_BITS, decompressed
from jslim.data._shards import check_shards
from jslim.host.crc32c import crc32c, mask
from jslim.host.files import UnfinishedFile, open_regular
from jslim.host.paths import local_path, output_file

COMPRESSIONS = ("GZIP", "ZLIB")

_HEADER, _FOOTER = 12, 4
_LARGE = 1 << 26  # bytes of a file whose index is kept


DataSources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class Records(Protocol):
    """The records of one file or several, by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> bytes: ...

    def record_key(self, index: int, /) -> str:
        """What errors call the record."""


def get_data_files(data_sources: DataSources) -> list[str]:
    """The files that a pattern, a name or a list of these mean, sorted within each pattern.

    Args:
      data_sources: A path; a pattern with `*`, `?` or `[`; `PATH@N`, the N shards
        `PATH-00000-of-0000N` and so on; or a list of such. What is there under a name, file or
        folder, is meant by it: of `exp [v2]/*.tfrecord` only the end is a pattern.

    Raises:
      DataError: A pattern matches nothing, or shards of which some are missing, or two copies.
    """
    if not isinstance(data_sources, (str, os.PathLike)):
        return [path for source in data_sources for path in get_data_files(source)]
    pattern = local_path(data_sources, "data_sources")
    if os.path.exists(pattern) or not any(sign in pattern for sign in "*?[@"):
        return [pattern]
    stem, at, count = pattern.rpartition("@")
    if at and count.isdecimal():
        return [f"{stem}-{i:05d}-of-{int(count):05d}" for i in range(int(count))]
    folder = pattern
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    rest = pattern[len(folder) :]
    if not glob.has_magic(rest):
        return [pattern]
    files = sorted(glob.glob(glob.escape(folder) + rest))
    if not files:
        raise DataError(f"no file matches the pattern {pattern!r}; check the directory and split.")
    check_shards(files, pattern)
    return files


class TFRecordFile(Sequence[bytes]):
    """The records of one file by number; safe in several threads, and picklable.

    Opening reads the length of every record once, and checks it; of a large file that is kept in
    the user's cache directory until the file changes. The data of a record is read and checked when
    it is asked for. A compressed file is decompressed into a temporary file first.

    Args:
      path: The file; whether and how it is compressed is found out.

    Raises:
      DataError: It cannot be read, is no TFRecord file, is cut short, or a checksum is wrong; the
        message has the path, the record's number and where it starts.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = local_path(path, "TFRecordFile: path")
        self._unpacked: IO[bytes] | None = None
        with self._opened() as file:
            head = file.read(_HEADER)
            if head and (compression := _compression_of(head)):
                self._unpacked = self._unpack(file, compression)
        with self._opened() as file:
            status = os.fstat(file.fileno())
            self._size = status.st_size
            saved = None if self._unpacked else _saved_index(self.path, status)
            index = _load_index(saved)
            self._starts, self._lengths = index or _read_index(file, self.path)
        if saved is not None and index is None:
            _save_index(saved, self._starts, self._lengths)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """What holds the plain records; an OSError becomes a DataError that names the file."""
        try:
            if self._unpacked is not None:
                yield self._unpacked
            else:
                with open_regular(self.path) as file:
                    yield file
        except OSError as error:
            raise DataError(
                f"{self.path!r} cannot be read ({error.strerror or error}); check the path and "
                "its permissions."
            ) from error

    def _unpack(self, file: IO[bytes], compression: str) -> IO[bytes]:
        file.seek(0)
        # It has no name, so that nothing is left of it however the process ends.
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
                "convert the file again."
            ) from error
        return temporary

    def __reduce__(self) -> Any:
        return TFRecordFile, (self.path,)

    def __len__(self) -> int:
        return len(self._starts)

    def offset(self, index: int) -> int:
        """Where the record starts in the file, or in what it is when decompressed."""
        return int(self._starts[index])

    def record_key(self, index: int) -> str:
        """`FILE:BYTE`, where the record starts, as TF-Slim's readers have it."""
        return f"{os.path.basename(self.path)}:{self.offset(index)}"

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # numbers, no slices
        start, length = int(self._starts[index]), int(self._lengths[index])
        with self._opened() as file:
            coded = os.pread(file.fileno(), length + _FOOTER, start + _HEADER)
            has_changed = os.fstat(file.fileno()).st_size != self._size
        where = f"record {index} of {self.path!r}, at byte {start},"
        if len(coded) != length + _FOOTER or has_changed:
            raise DataError(
                f"{where} is not where it was: the file has changed since it was opened; data must "
                "stay as it is while it is read."
            )
        data = coded[:length]
        if mask(crc32c(data)) != int.from_bytes(coded[length:], "little"):
            raise DataError(
                f"{where} is damaged: its checksum is wrong; copy or convert the file again."
            )
        return data


class TFRecordFiles(Sequence[bytes]):
    """The records of several files, one file after the other.

    Args:
      data_sources: As `get_data_files` takes them.

    Raises:
      DataError: As `TFRecordFile`, or there is no record at all.
    """

    def __init__(self, data_sources: DataSources):
        self.paths = get_data_files(data_sources)
        self.files = [TFRecordFile(path) for path in self.paths]
        self._ends = np.cumsum([len(file) for file in self.files]).tolist()
        if not self._ends or not self._ends[-1]:
            raise DataError(f"there is no record in {[file.path for file in self.files]}.")

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, index: int) -> tuple[TFRecordFile, int]:
        number = bisect.bisect_right(self._ends, index)
        return self.files[number], index - (self._ends[number - 1] if number else 0)

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # numbers, no slices
        file, place = self._place(index)
        return file[place]

    def record_key(self, index: int) -> str:
        """That of its file; see `TFRecordFile`."""
        file, place = self._place(index)
        return file.record_key(place)


def _compression_of(head: bytes) -> str | None:
    """How a file that starts so is compressed; a length with a right checksum is none at all."""
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
    """Where each record starts, and how long its data is."""
    size = os.fstat(file.fileno()).st_size
    starts, headers = [], []
    at, is_short = 0, False
    if size:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            while at < size:
                header = data[at : at + _HEADER]
                length = int.from_bytes(header[:8], "little")
                end = at + _HEADER + length + _FOOTER
                starts.append(at)
                headers.append(header)
                if is_short := len(header) < _HEADER or end > size:
                    break
                at = end
    whole = [header for header in headers if len(header) == _HEADER]
    parts = np.frombuffer(b"".join(whole), np.dtype([("length", "<u8"), ("crc", "<u4")]))
    for index in np.flatnonzero(_length_checksums(parts["length"]) != parts["crc"]):
        what = "is no TFRecord file" if index == 0 else "is damaged"
        raise DataError(
            f"{path!r} {what}: at byte {starts[index]}, where record {index} should start, there "
            "is no length with a right checksum; copy or convert the file again."
        )
    if is_short:
        raise DataError(
            f"{path!r} is cut short: it ends at byte {size} within record {len(starts) - 1}, which "
            f"starts at byte {starts[-1]}; copy or convert the file again."
        )
    return np.array(starts, np.int64), parts["length"].astype(np.int64)


def _saved_index(path: str, status: os.stat_result) -> pathlib.Path | None:
    """Where the index of a large file is kept; another place once the file has changed."""
    if status.st_size < _LARGE:
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    identity = f"{os.path.realpath(path)}\0{status.st_size}\0{status.st_mtime_ns}"
    name = hashlib.blake2b(identity.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return pathlib.Path(cache, "jslim", "tfrecord_index", f"{name}.npz")


def _load_index(saved: pathlib.Path | None) -> tuple[np.ndarray, np.ndarray] | None:
    if saved is None:
        return None
    try:
        with saved.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["starts"], arrays["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # there is none, or it was cut short


def _save_index(saved: pathlib.Path, starts: np.ndarray, lengths: np.ndarray) -> None:
    # A cache that cannot be written to costs only time.
    with (
        contextlib.suppress(OSError),
        UnfinishedFile(saved) as unfinished,
        unfinished.path.open("wb") as file,
    ):
        np.savez(file, starts=starts, lengths=lengths)


def _length_checksums(lengths: np.ndarray) -> np.ndarray:
    """The masked checksum of each number as eight bytes, all at once."""
    table = _byte_table()
    state = np.full(lengths.shape, 0xFFFFFFFF, np.uint32)
    for place in range(8):
        byte = (lengths >> np.uint64(8 * place)).astype(np.uint32) & np.uint32(0xFF)
        state = state >> np.uint32(8) ^ table[(state ^ byte) & np.uint32(0xFF)]
    state ^= np.uint32(0xFFFFFFFF)
    rotated = state >> np.uint32(15) | state << np.uint32(17)
    return rotated + np.uint32(mask(0))


def _byte_table() -> np.ndarray:
    """What one byte adds to a checksum."""
    zero = crc32c(b"\0")
    # The checksum is linear apart from what comes of the initial state.
    table = [crc32c(bytes([byte])) ^ zero for byte in range(256)]
    return np.array(table, np.uint32)


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The records of a file one after another.

    Args:
      path: The file, plain or compressed.

    Raises:
      DataError: As `TFRecordFile`.
    """
    yield from TFRecordFile(path)


class TFRecordWriter:
    """Writes a TFRecord file, which has its name only when it is whole.

        with TFRecordWriter(path) as writer:
            writer.write(example.SerializeToString())

    An error within the `with` statement leaves no file, and one that was there before as it was.

    Args:
      path: The file; its directory is made.
      compression: None, `'GZIP'` or `'ZLIB'`.

    Raises:
      ValueError: There is no such compression.
    """

    def __init__(self, path: str | os.PathLike[str], compression: str | None = None):
        checks.one_of("", "compression", compression, (None, *COMPRESSIONS))
        path = output_file(path, "TFRecordWriter: path")
        self._path = pathlib.Path(path)
        self._unfinished = UnfinishedFile(path)
        self._file: IO[bytes] | None = self._unfinished.path.open("xb")
        self._compress: Any = None
        if compression is not None:
            self._compress = zlib.compressobj(wbits=WINDOW_BITS[compression])

    def write(self, record: bytes) -> None:
        """Appends a record."""
        if self._file is None:
            raise ValueError(f"the writer of {str(self._path)!r} is closed.")
        length = struct.pack("<Q", len(record))
        parts = (
            length,
            struct.pack("<I", mask(crc32c(length))),
            record,
            struct.pack("<I", mask(crc32c(record))),
        )
        for part in parts:
            self._file.write(self._compress.compress(part) if self._compress else part)

    def close(self) -> None:
        """Writes everything to disk and gives the file its name."""
        if self._file is not None:
            file, self._file = self._file, None
            with self._unfinished, file:
                file.write(self._compress.flush() if self._compress else b"")

    def discard(self) -> None:
        """Closes and removes what has been written."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._unfinished.discard()

    def __enter__(self) -> "TFRecordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        (self.close if kind is None else self.discard)()
