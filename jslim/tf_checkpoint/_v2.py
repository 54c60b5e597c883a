"""Version 2: an index `PREFIX.index`, and the bytes of the tensors in `PREFIX.data-*`.

TensorFlow's tensorflow/core/protobuf/tensor_bundle.proto describes the index.
"""

import math
from collections.abc import Mapping
from typing import IO, NamedTuple

import numpy as np

from jslim.host.crc32c import crc32c, mask, unmask
from jslim.host.files import UnfinishedFile
from jslim.host.paths import AnyPath
from jslim.tf_checkpoint._table import MOST_LISTED, Table, limited, read_bytes, write_table
from jslim.tf_checkpoint._tensors import (
    NUMBERS,
    STRING,
    Entry,
    assembled,
    parsed_entry,
    slice_key,
)
from jslim.tf_checkpoint._wire import Malformed, parse, read_varint, varint, written

_HEADER_KEY = b""
_NEWEST_READER = 1  # the version of the format that is read here


class _Place(NamedTuple):
    """The place of the bytes of a tensor or of a slice."""

    shard: int
    offset: int
    size: int
    crc: int


class Bundle:
    """The tensors of a checkpoint of version 2."""

    def __init__(self, prefix: AnyPath) -> None:
        index = prefix.with_name(prefix.name + ".index")
        if index.stat().st_size > MOST_LISTED:
            raise Malformed(f"{index.name} has more than {MOST_LISTED} bytes")
        self._prefix, self._shards = prefix, 0
        self.entries: dict[str, Entry] = {}
        self._places: dict[bytes, _Place] = {}
        for key, value in limited(Table(index).items()):
            if key == _HEADER_KEY:
                self._shards = _parse_header(value)
                continue
            entry, self._places[key] = _parse_entry(value)
            if not key.startswith(b"\0"):  # which is the key of a slice
                self.entries[_name(key)] = entry
        if not self._shards:
            raise Malformed("its index has no header")

    def read(self, name: str) -> np.ndarray:
        """One tensor; its checksum is compared."""
        entry = self.entries[name]
        if not entry.slices:
            return self._read(name.encode(), entry.type, entry.shape)
        return assembled(
            entry, lambda part, shape: self._read(slice_key(name, part), entry.type, shape)
        )

    def _read(self, key: bytes, type: int, shape: tuple[int, ...]) -> np.ndarray:
        if key not in self._places:
            raise Malformed("a slice of it is not there")
        place, tensor = self._places[key], Entry(type, shape, ())
        dtype = tensor.dtype
        if type != STRING and place.size != tensor.size * dtype.itemsize:
            raise Malformed(f"{place.size} bytes cannot be {dtype} {shape}")
        if not 0 <= place.shard < self._shards:
            raise Malformed(f"there is no shard {place.shard}")
        name = f"{self._prefix.name}.data-{place.shard:05d}-of-{self._shards:05d}"
        content = read_bytes(self._prefix.with_name(name), place.offset, place.size)
        if type == STRING:
            return _parse_strings(content, shape, place.crc)
        if crc32c(content) != place.crc:
            raise Malformed("its bytes do not match their checksum")
        return content.view(dtype).reshape(shape)


def _name(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a name is not UTF-8: {error}") from None


def _parse_header(content: memoryview) -> int:
    """The number of shards."""
    header = parse("BundleHeaderProto", content)
    if header.endianness:
        raise Malformed("its numbers are big-endian")
    if (least := header.version.min_consumer) > _NEWEST_READER:
        raise Malformed(f"it wants a reader of version {least}; this one is older")
    if not 0 < header.num_shards < 100_000:
        raise Malformed(f"it says that it has {header.num_shards} data files")
    return header.num_shards


def _parse_entry(content: memoryview) -> tuple[Entry, _Place]:
    message = parse("BundleEntryProto", content)
    if min(message.offset, message.size) < 0:
        raise Malformed("an entry has a negative size")
    place = _Place(message.shard_id, message.offset, message.size, unmask(message.crc32c))
    return parsed_entry(message.dtype, message.shape, message.slices), place


def _parse_strings(content: np.ndarray, shape: tuple[int, ...], crc: int) -> np.ndarray:
    """Strings: their lengths, a checksum of the lengths, and their bytes."""
    view = content.data
    count = math.prod(shape)
    if count > len(view):
        raise Malformed(f"{len(view)} bytes cannot be {count} strings")
    lengths, at = [], 0
    for _ in range(count):
        length, at = read_varint(view, at)
        lengths.append(length)
    checked = _lengths_as_checked(lengths)
    if unmask(int.from_bytes(view[at : at + 4], "little")) != crc32c(checked):
        raise Malformed("the lengths of its strings do not match their checksum")
    if crc32c(checked + view[at:]) != crc or sum(lengths) != len(view) - at - 4:
        raise Malformed("its bytes do not match their checksum")
    at += 4
    strings = np.empty(count, object)
    for i, length in enumerate(lengths):
        strings[i] = bytes(view[at : at + length])
        at += length
    return strings.reshape(shape)


def _lengths_as_checked(lengths: list[int]) -> bytes:
    """The bytes of the lengths for the checksums: 32 bits each, or 64 for a large one."""
    return b"".join(n.to_bytes(4 if n < 1 << 32 else 8, "little") for n in lengths)


def _strings(array: np.ndarray) -> tuple[memoryview, int]:
    """The bytes of strings for `_parse_strings`, and their checksum."""
    items = [s.encode() if isinstance(s, str) else bytes(s) for s in array.ravel().tolist()]
    lengths = [len(item) for item in items]
    checked = _lengths_as_checked(lengths)
    rest = mask(crc32c(checked)).to_bytes(4, "little") + b"".join(items)
    return memoryview(b"".join(map(varint, lengths)) + rest), crc32c(checked + rest)


def write_bundle(prefix: AnyPath, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as a checkpoint of one data file; the index comes last and completes it."""
    items = [(_HEADER_KEY, written("BundleHeaderProto", num_shards=1, version={"producer": 1}))]
    data_path = prefix.with_name(f"{prefix.name}.data-00000-of-00001")
    index_path = prefix.with_name(prefix.name + ".index")
    # The data takes its name before the index does.
    with UnfinishedFile(index_path) as index, UnfinishedFile(data_path) as data:
        with data.path.open("wb") as file:
            for name, array in sorted((name.encode(), array) for name, array in arrays.items()):
                items.append((name, _write_array(file, array)))
        with index.path.open("wb") as file:
            write_table(file, items)
        for unfinished in (data, index):
            unfinished.sync()
        index_path.unlink(missing_ok=True)  # of an older checkpoint, whose data goes now


def _write_array(file: IO[bytes], array: np.ndarray) -> bytes:
    """Appends an array to the data file; returns its entry in the index."""
    is_text = array.dtype.kind in "OSU"
    if is_text:
        content, crc = _strings(array)
    else:
        flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
        content = flat.view(np.uint8).data
        crc = crc32c(content)
    entry = written(
        "BundleEntryProto",
        dtype=STRING if is_text else NUMBERS[array.dtype.newbyteorder("=")],
        shape={"dim": [{"size": size} for size in array.shape]},
        offset=file.tell(),
        size=len(content),
        crc32c=mask(crc),
    )
    file.write(content)
    return entry
