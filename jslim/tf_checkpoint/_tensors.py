"""The description of a tensor in both versions: its type, its shape, and its slices."""

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_dtypes  # which JAX brings: NumPy itself has no bfloat16
import numpy as np

from jslim.tf_checkpoint._wire import Malformed

STRING = 7
# TensorFlow's types (tensorflow/core/framework/types.proto) that NumPy arrays can have.
DTYPES: dict[int, np.dtype] = {
    number: np.dtype(dtype)
    for number, dtype in {
        1: np.float32,
        2: np.float64,
        3: np.int32,
        4: np.uint8,
        5: np.int16,
        6: np.int8,
        STRING: np.object_,
        8: np.complex64,
        9: np.int64,
        10: np.bool_,
        11: np.int8,  # quantized, as are the next, 15 and 16
        12: np.uint8,
        13: np.int32,
        14: ml_dtypes.bfloat16,
        15: np.int16,
        16: np.uint16,
        17: np.uint16,
        18: np.complex128,
        19: np.float16,
        22: np.uint32,
        23: np.uint64,
        24: ml_dtypes.float8_e5m2,
        25: ml_dtypes.float8_e4m3fn,
    }.items()
}
_UNREADABLE = {20: "a resource", 21: "a variant"}
# The least number for each NumPy type, which is the one without quantization.
NUMBERS = {dtype: number for number, dtype in reversed(DTYPES.items()) if number != STRING}
_MOST_ELEMENTS = 1 << 48
_MOST_AXES = 32
_MOST_SLICES = 1 << 16


class Slice(NamedTuple):
    """A box within a tensor; a length of -1 stands for the whole dimension."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    def places(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """The box as an index into a tensor of this shape."""
        if len(self.starts) != len(shape):
            raise Malformed(f"a slice has {len(self.starts)} dimensions and not {len(shape)}")
        found = []
        for start, length, size in zip(self.starts, self.lengths, shape, strict=True):
            start, length = (0, size) if length == -1 else (start, length)
            if start < 0 or length < 0 or start + length > size:
                raise Malformed("a slice lies outside of its tensor")
            found.append(slice(start, start + length))
        return tuple(found)


class Entry(NamedTuple):
    """A tensor in the list of a checkpoint; `type` is TensorFlow's number of its type."""

    type: int
    shape: tuple[int, ...]
    slices: tuple[Slice, ...]

    @property
    def dtype(self) -> np.dtype:
        if self.type not in DTYPES:
            what = _UNREADABLE.get(self.type, f"of the unknown type {self.type}")
            raise Malformed(f"it is {what}, which has no values as an array")
        return DTYPES[self.type]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def assembled(entry: Entry, read: Callable[[Slice, tuple[int, ...]], np.ndarray]) -> np.ndarray:
    """A tensor, assembled from its slices.

    Args:
      entry: Its description in the checkpoint.
      read: Reads the values of a slice of the given shape.
    """
    boxes = []
    for part in entry.slices:
        places = part.places(entry.shape)
        boxes.append((part, places, tuple(place.stop - place.start for place in places)))
    # Checked before an array of the size that the checkpoint says is made.
    if sum(math.prod(shape) for *_, shape in boxes) != entry.size:
        raise Malformed("its slices leave some of it out, or overlap")
    pieces = [(places, read(part, shape)) for part, places, shape in boxes]
    if len(pieces) == 1 and pieces[0][1].shape == entry.shape:
        return pieces[0][1]
    whole = np.empty(entry.shape, entry.dtype)
    filled = np.zeros(entry.shape, bool)
    for places, piece in pieces:
        whole[places] = piece
        filled[places] = True
    if not filled.all():
        raise Malformed("its slices leave some of it out")
    return whole


def parsed_entry(type: int, shape: Any, slices: Sequence[Any]) -> Entry:
    """A tensor by its type, a TensorShapeProto and some TensorSliceProtos."""
    if shape.unknown_rank:
        raise Malformed("a tensor has no known shape")
    if len(shape.dim) > _MOST_AXES:
        raise Malformed(f"a tensor cannot have more than {_MOST_AXES} axes")
    if len(slices) > _MOST_SLICES:
        raise Malformed(f"a tensor cannot have more than {_MOST_SLICES} slices")
    sizes = tuple(dim.size for dim in shape.dim)
    if min(sizes, default=0) < 0 or math.prod(size or 1 for size in sizes) > _MOST_ELEMENTS:
        raise Malformed(f"a tensor cannot have the shape {sizes}")
    return Entry(type, sizes, tuple(map(parsed_slice, slices)))


def parsed_slice(message: Any) -> Slice:
    """The slice of a TensorSliceProto."""
    if len(message.extent) > _MOST_AXES:
        raise Malformed(f"a slice cannot have more than {_MOST_AXES} axes")
    return Slice(
        tuple(extent.start for extent in message.extent),
        tuple(extent.length if extent.HasField("length") else -1 for extent in message.extent),
    )


def slice_key(name: str, part: Slice) -> bytes:
    """The key of a slice, in TensorFlow's order-preserving code."""
    escapes = {0: b"\0\xff", 255: b"\xff\0"}
    escaped = b"".join(escapes.get(byte, bytes([byte])) for byte in name.encode())
    dims = len(part.starts)
    coded = b"\0" + escaped + b"\0\1" + (bytes([1, dims]) if dims else b"\0")
    for start, length in zip(part.starts, part.lengths, strict=True):
        coded += _ordered(start) + _ordered(length)
    return coded


def _ordered(value: int) -> bytes:
    """A signed number in as few bytes as hold it: their count as ones, then the number."""
    bits = (~value if value < 0 else value).bit_length()
    length = min(bits // 7 + 1, 10)
    if length == 1:
        return bytes([0x80 ^ (value & 0xFF)])
    coded = bytearray((b"\xff" * 2 if value < 0 else b"\0" * 2) + struct.pack(">q", value))
    coded = coded[-length:]
    header = (0xFFFF << (16 - length)) & 0xFFFF
    coded[0] ^= header >> 8
    coded[1] ^= header & 0xFF
    return bytes(coded)
