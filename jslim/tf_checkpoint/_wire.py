"""Protocol buffers on the wire: just what the messages of checkpoints need.

The encoding is described in https://protobuf.dev/programming-guides/encoding. Messages are not
known here: `fields` gives numbers and raw values.
"""

import struct
from collections.abc import Iterable, Iterator

import numpy as np

Value = int | memoryview

_MOST_FIELDS = 1 << 16  # more than the tensors, or strings, of a checkpoint
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """These bytes are not what they should be."""


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, below 2**64, and where the next byte is."""
    value = shift = 0
    while shift < 64:
        if at >= len(data):
            raise Malformed("a number is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise Malformed("a number has more than 64 bits")


def varint(value: int) -> bytes:
    """A number as `read_varint` reads it; negative ones as 64 bits."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: an unsigned integer, or the bytes of anything longer."""
    at = count = 0
    while at < len(message):
        count += 1
        if count > _MOST_FIELDS:
            raise Malformed(f"a message has more than {_MOST_FIELDS} fields")
        key, at = read_varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = read_varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = read_varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise Malformed(f"field {number} is of the unknown wire type {kind}")
        if size > len(message) - at:
            raise Malformed(f"field {number} is cut short")
        part = message[at : at + size]
        at += size
        yield number, part if kind == _BYTES else int.from_bytes(part, "little")


def field(number: int, value: int | bytes) -> bytes:
    """One field: a varint, or bytes."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def fixed32(number: int, value: int) -> bytes:
    """One field of four bytes."""
    return varint(number << 3 | _FIXED32) + struct.pack("<I", value)


def signed(value: Value) -> int:
    """A varint as int64."""
    number = integer(value)
    return number - (1 << 64) if number >> 63 else number


def integer(value: Value) -> int:
    if not isinstance(value, int):
        raise Malformed("a number is wanted where there are bytes")
    return value


def data(value: Value) -> memoryview:
    if isinstance(value, int):
        raise Malformed("bytes are wanted where there is a number")
    return value


def text(value: Value) -> str:
    try:
        return bytes(data(value)).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a name is not UTF-8: {error}") from None


def packed_varints(values: Iterable[Value]) -> np.ndarray:
    """A repeated field of varints, packed or not, as uint64."""
    parts = []
    for value in values:
        if isinstance(value, int):
            parts.append(np.array([value], np.uint64))
        else:
            parts.append(_varints(np.frombuffer(value, np.uint8)))
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def _varints(coded: np.ndarray) -> np.ndarray:
    """Many numbers one after another, each of up to ten bytes."""
    (ends,) = np.nonzero(coded < 0x80)
    if coded.size and (not ends.size or ends[-1] != coded.size - 1):
        raise Malformed("a number is cut short")
    starts = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    lengths = ends - starts + 1
    if lengths.size and lengths.max() > 10:
        raise Malformed("a number has more than 64 bits")
    values = np.zeros(ends.size, np.uint64)
    for place in range(int(lengths.max()) if lengths.size else 0):
        has_more = lengths > place
        digits = coded[starts[has_more] + place].astype(np.uint64) & np.uint64(0x7F)
        values[has_more] |= digits << np.uint64(7 * place)
    return values
