"""Protocol buffers of checkpoints: the messages, and the encoding of numbers.

The encoding is described in https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import Any

from jslim.host import protobuf

_MESSAGES = """
package jslim.tf_checkpoint;
message Dim { int64 size = 1; }
message TensorShapeProto { repeated Dim dim = 2; int64 unknown_rank = 3; }
message Extent { int64 start = 1; oneof int64 length = 2; }
message TensorSliceProto { repeated Extent extent = 1; }

message VersionDef { int64 producer = 1; int64 min_consumer = 2; }
message BundleHeaderProto { int64 num_shards = 1; int64 endianness = 2; VersionDef version = 3; }
message BundleEntryProto {
  int64 dtype = 1;
  TensorShapeProto shape = 2;
  int64 shard_id = 3;
  int64 offset = 4;
  int64 size = 5;
  fixed32 crc32c = 6;
  repeated TensorSliceProto slices = 7;
}

message SavedSliceMeta {
  string name = 1;
  TensorShapeProto shape = 2;
  int64 type = 3;
  repeated TensorSliceProto slice = 4;
}
message SavedTensorSliceMeta { repeated SavedSliceMeta tensor = 1; }
message SavedTensorSlices { SavedTensorSliceMeta meta = 1; }
message TensorProto {
  repeated int64 int_val = 7;
  repeated bytes string_val = 8;
  repeated int64 int64_val = 10;
  repeated int64 bool_val = 11;
  repeated int64 half_val = 13;
  repeated int64 uint32_val = 16;
  repeated uint64 uint64_val = 17;
}
"""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes of a file are not in its format."""


def written(name: str, **values: object) -> bytes:
    """The bytes of a message with these fields; a dict stands for a message within it."""
    content: bytes = protobuf.messages(_MESSAGES)[name](**values).SerializeToString()
    return content


def parse(name: str, content: bytes | memoryview) -> Any:
    """The message of that name in the bytes.

    Raises:
      Malformed: They are no such message.
    """
    try:
        return protobuf.parsed(protobuf.messages(_MESSAGES)[name], bytes(content))
    except protobuf.Malformed as error:
        raise Malformed(f"it has no whole {name}: {error}") from None


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
    """A number as `read_varint` reads it; negative ones as 64 bits.

    >>> list(varint(300))
    [172, 2]
    """
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field, without a copy: for tensors of many megabytes."""
    at = 0
    while at < len(message):
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
        yield number, message[at : at + size]
        at += size
