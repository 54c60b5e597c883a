"""Sorted tables of keys and values in a file, the container of both versions of checkpoints.

The format is LevelDB's (https://github.com/google/leveldb/blob/main/doc/table_format.md): blocks of
entries, an index of the blocks, and a footer with the place of the index. A key leaves out the part
that it shares with the key before. Each block has a checksum.
"""

import bisect
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeVar

import numpy as np

from jslim.host.crc32c import crc32c, mask, unmask
from jslim.host.files import file_size, read_part
from jslim.host.limits import TENSORS
from jslim.host.paths import AnyPath
from jslim.tf_checkpoint._wire import Malformed, read_varint, varint

Entry = TypeVar("Entry")

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_SIZE = 48
_TRAILER_SIZE = 5  # the kind of compression, and the checksum of block and kind
_PLAIN, _SNAPPY = 0, 1
_ENTRIES_PER_RESTART = 16
_BLOCK_SIZE = 1 << 18
MOST_LISTED = 1 << 22  # bytes of the list of tensors, which is held in memory


def read_bytes(path: AnyPath, offset: int, size: int) -> np.ndarray:
    """`size` bytes from a place in a file."""
    try:
        if offset + size > file_size(path):
            raise Malformed(f"{path.name} is too short")
        return read_part(path, offset, size)
    except OSError as error:
        raise Malformed(f"{path.name} cannot be read: {error.strerror}") from error


def is_table(path: AnyPath) -> bool:
    """Whether a file ends as tables do."""
    size = file_size(path)
    end = len(_MAGIC)
    return size >= end and read_part(path, size - end, end).tobytes() == _MAGIC


class Table:
    """A table, read block by block."""

    def __init__(self, path: AnyPath) -> None:
        self._path = path
        self._size = file_size(path)
        if self._size < _FOOTER_SIZE:
            raise Malformed(f"{path.name} is too short for a table")
        footer = read_bytes(path, self._size - _FOOTER_SIZE, _FOOTER_SIZE).data
        if footer[-8:] != _MAGIC:
            raise Malformed(f"{path.name} does not end like a table")
        at = 0
        for _ in range(2):  # the handles of the block of meta data, which is empty, and the index
            offset, at = read_varint(footer, at)
            length, at = read_varint(footer, at)
        self._index = [
            (bytes(key), _handle(value)) for key, value in limited(self._entries((offset, length)))
        ]

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """All keys and values, in the order of the keys."""
        for _, handle in self._index:
            yield from self._entries(handle)

    def get(self, key: bytes, most: int | None = MOST_LISTED) -> memoryview | None:
        """The value of a key, or None; only the block with the key is read.

        Args:
          key: The key.
          most: The largest size of the block in bytes; None for any.
        """
        at = bisect.bisect_left(self._index, key, key=lambda entry: entry[0])
        if at == len(self._index):
            return None
        entries = self._entries(self._index[at][1], most)
        return next((value for k, value in entries if k == key), None)

    def _entries(
        self, handle: tuple[int, int], most: int | None = MOST_LISTED
    ) -> Iterator[tuple[bytes, memoryview]]:
        block = self._block(*handle, most)
        if len(block) < 4:
            raise Malformed("a block is too short")
        restarts = int.from_bytes(block[-4:], "little")
        end = len(block) - 4 * (restarts + 1)
        if end < 0:
            raise Malformed("a block is too short for its restarts")
        at, key = 0, b""
        while at < end:
            shared, at = read_varint(block, at)
            unshared, at = read_varint(block, at)
            length, at = read_varint(block, at)
            if shared > len(key) or unshared + length > end - at:
                raise Malformed("an entry does not fit into its block")
            key = key[:shared] + bytes(block[at : at + unshared])
            at += unshared
            yield key, block[at : at + length]
            at += length

    def _block(self, offset: int, length: int, most: int | None) -> memoryview:
        if most is not None and length > most:
            raise Malformed(f"a block has {length} bytes, and at most {most} are read there")
        if offset + length + _TRAILER_SIZE > self._size:
            raise Malformed("a block lies outside of the file")
        stored = read_bytes(self._path, offset, length + _TRAILER_SIZE).data
        block, kind = stored[:length], stored[length]
        checksum = unmask(int.from_bytes(stored[length + 1 :], "little"))
        if crc32c(stored[: length + 1]) != checksum:
            raise Malformed(f"the block at byte {offset} does not match its checksum")
        if kind == _PLAIN:
            return block
        if kind == _SNAPPY:
            return memoryview(decompress_snappy(block, most))
        raise Malformed(f"a block has the unknown compression {kind}")


def limited(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, up to the largest number that is held in memory."""
    most = TENSORS()
    for number, entry in enumerate(entries):
        if number > most:
            raise Malformed(TENSORS.exceeded(f"it lists {number} tensors or more"))
        yield entry


def _handle(value: memoryview) -> tuple[int, int]:
    offset, at = read_varint(value, 0)
    length, _ = read_varint(value, at)
    return offset, length


def decompress_snappy(data: memoryview, most: int | None = None) -> bytes:
    """Snappy's format (github.com/google/snappy/blob/main/format_description.txt), decompressed.

    TensorFlow 1 compressed indices by it; they are short.

    >>> decompress_snappy(memoryview(bytes([2, 4]) + b"hi"))
    b'hi'
    """
    size, at = read_varint(data, 0)
    if most is not None and size > most:
        raise Malformed(f"a block has {size} bytes decompressed, and at most {most} are read there")
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:  # a literal
            length, extra = (tag >> 2) + 1, max((tag >> 2) - 59, 0)
            if extra:
                length = int.from_bytes(data[at : at + extra], "little") + 1
            at += extra
            if length > len(data) - at:
                raise Malformed("compressed data is cut short")
            out += data[at : at + length]
            at += length
        else:  # a copy of earlier output
            if tag & 3 == 1:
                length, extra, high = (tag >> 2 & 7) + 4, 1, (tag >> 5) << 8
            else:
                length, extra, high = (tag >> 2) + 1, 2 if tag & 3 == 2 else 4, 0
            offset = high | int.from_bytes(data[at : at + extra], "little")
            at += extra
            if not 0 < offset <= len(out) or at > len(data):
                raise Malformed("compressed data refers to what is not there")
            start = len(out) - offset
            piece = out[start : start + length]
            out += (piece * (length // offset + 1))[:length]
        if len(out) > size:
            break
    if len(out) != size:
        raise Malformed("compressed data has another length than it says")
    return bytes(out)


def write_table(file: BinaryIO, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Writes a table of sorted keys and their values, without compression."""
    index = []
    entries: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in items:
        entries.append((key, value))
        size += len(key) + len(value)
        if size >= _BLOCK_SIZE:
            index.append((key, _write_block(file, entries)))
            entries, size = [], 0
    if entries:
        index.append((entries[-1][0], _write_block(file, entries)))
    meta = _write_block(file, [])
    footer = meta + _write_block(file, index)
    file.write(footer.ljust(_FOOTER_SIZE - len(_MAGIC), b"\0") + _MAGIC)


def _write_block(file: BinaryIO, entries: list[tuple[bytes, bytes]]) -> bytes:
    """Writes a block and returns its handle."""
    block = bytearray()
    restarts = []
    before = b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % _ENTRIES_PER_RESTART == 0:
            restarts.append(len(block))
        else:
            most = min(len(key), len(before))
            shared = next((i for i in range(most) if key[i] != before[i]), most)
        block += varint(shared) + varint(len(key) - shared) + varint(len(value))
        block += key[shared:] + value
        before = key
    restarts = restarts or [0]
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = varint(file.tell()) + varint(len(block))
    block.append(_PLAIN)
    file.write(bytes(block) + struct.pack("<I", mask(crc32c(block))))
    return handle
