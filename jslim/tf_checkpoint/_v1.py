"""Version 1: tables whose entries hold the tensors, in one file or in several.

TensorFlow's tensorflow/core/util/saved_tensor_slice.proto describes them.
"""

import math
from collections.abc import Sequence

import numpy as np

from jslim.host.paths import AnyPath
from jslim.tf_checkpoint._table import Table, limited
from jslim.tf_checkpoint._tensors import (
    STRING,
    Entry,
    Slice,
    assembled,
    parsed_entry,
    parsed_slice,
    slice_key,
)
from jslim.tf_checkpoint._wire import Malformed, fields, parse

_META_KEY = b""
_DATA = 2


class SlicedFiles:
    """The tensors of a checkpoint of version 1."""

    def __init__(self, files: Sequence[AnyPath]) -> None:
        self.entries: dict[str, Entry] = {}
        self._tables: dict[tuple[str, Slice], Table] = {}
        for path in files:
            table = Table(path)
            meta = table.get(_META_KEY)
            if meta is None:
                raise Malformed(f"{path.name} does not say what it holds")
            listed = list(limited(parse("SavedTensorSlices", meta).meta.tensor))
            if len({tensor.name for tensor in listed}) < len(listed):
                raise Malformed(f"{path.name} lists a tensor twice")
            for tensor in listed:
                name, entry = tensor.name, parsed_entry(tensor.type, tensor.shape, tensor.slice)
                self._tables |= dict.fromkeys(((name, part) for part in entry.slices), table)
                known = self.entries.setdefault(name, entry)
                if known[:2] != entry[:2]:
                    raise Malformed(f"its files differ about {name}")
                if known is not entry:
                    self.entries[name] = known._replace(slices=known.slices + entry.slices)

    def read(self, name: str) -> np.ndarray:
        """One tensor; the checksums of its blocks are compared."""
        entry = self.entries[name]

        def read_slice(part: Slice, shape: tuple[int, ...]) -> np.ndarray:
            # Small tensors share a block, and a number takes at most 16 bytes.
            most = None if entry.type == STRING else (1 << 20) + 16 * math.prod(shape)
            value = self._tables[name, part].get(slice_key(name, part), most)
            if value is None:
                raise Malformed("a slice of it is not there")
            return _parse_data(value, name, part, entry, shape)

        return assembled(entry, read_slice)


def _parse_data(
    value: memoryview, name: str, part: Slice, entry: Entry, shape: tuple[int, ...]
) -> np.ndarray:
    """The values of a SavedTensorSlices, whose SavedSlice must have that name and slice."""
    saved = _by_number(_bytes(_by_number(value), _DATA))
    found = bytes(_bytes(saved, 1)).decode(errors="replace")
    if (found, parsed_slice(parse("TensorSliceProto", _bytes(saved, 2)))) != (name, part):
        raise Malformed(f"there is {found!r} where it should be")
    array = _parse_tensor(_bytes(saved, 3), entry)
    if array.size != math.prod(shape):
        raise Malformed(f"it has {array.size} elements and not those of {shape}")
    return array.reshape(shape)


def _by_number(message: memoryview) -> dict[int, list[int | memoryview]]:
    found: dict[int, list[int | memoryview]] = {}
    for number, value in fields(message):
        found.setdefault(number, []).append(value)
    return found


def _bytes(found: dict[int, list[int | memoryview]], number: int) -> memoryview:
    value = found.get(number, [memoryview(b"")])[-1]
    if isinstance(value, int):
        raise Malformed("bytes are wanted where there is a number")
    return value


# The fields of a TensorProto for numbers of fixed size, packed or not, and their types.
_FIXED = {5: "<f4", 6: "<f8", 9: "<c8", 12: "<c16"}
_INTEGERS = ("int_val", "int64_val", "bool_val", "uint32_val", "uint64_val")


def _parse_tensor(content: memoryview, entry: Entry) -> np.ndarray:
    """A TensorProto, flat."""
    found, dtype = _by_number(content), entry.dtype
    if found.get(1, [entry.type])[-1] != entry.type:
        raise Malformed("it is of another type than the list of tensors says")
    if in_memory := _bytes(found, 4):  # tensor_content
        return _from_bytes(in_memory, dtype)
    for number, stored in _FIXED.items():
        if number in found:
            parts = [part for part in found[number] if not isinstance(part, int)]
            _check(dtype == stored and len(parts) == len(found[number]))
            return _from_bytes(parts[0] if len(parts) == 1 else b"".join(parts), dtype)
    message = parse("TensorProto", content)
    if entry.type == STRING:
        array = np.empty(len(message.string_val), object)
        array[:] = message.string_val
        return array
    if message.half_val:  # of float16 and bfloat16, their bits
        _check(dtype.itemsize == 2 and dtype.kind not in "iu")
        return np.array(message.half_val, np.int64).astype(np.uint16).view(dtype)
    for name in _INTEGERS:
        if values := getattr(message, name):
            _check(dtype.kind in "iub")
            return np.array(values, np.uint64 if min(values) >= 0 else np.int64).astype(dtype)
    return np.empty(0, dtype)


def _check(are_of_its_type: bool) -> None:
    if not are_of_its_type:
        raise Malformed("its values are of another type than its own")


def _from_bytes(content: bytes | memoryview, dtype: np.dtype) -> np.ndarray:
    if dtype.hasobject or len(content) % dtype.itemsize:
        raise Malformed(f"its {len(content)} bytes are no whole number of {dtype}")
    return np.frombuffer(content, dtype)
