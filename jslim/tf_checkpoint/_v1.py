"""Version 1: tables whose entries hold the tensors, in one file or in several.

TensorFlow's tensorflow/core/util/saved_tensor_slice.proto says what is in them.
"""

import math
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from jslim.tf_checkpoint._table import Table, limited
from jslim.tf_checkpoint._tensors import (
    STRING,
    Entry,
    Slice,
    assembled,
    parse_shape,
    parse_slice,
    slice_key,
)
from jslim.tf_checkpoint._wire import (
    Malformed,
    Value,
    data,
    fields,
    integer,
    packed_varints,
    text,
)

_META_KEY = b""
_META, _DATA = 1, 2


class SlicedFiles:
    """The tensors of a checkpoint of version 1."""

    def __init__(self, files: Sequence[pathlib.Path]) -> None:
        self.files = list(files)
        self.entries: dict[str, Entry] = {}
        self._tables: dict[tuple[str, Slice], Table] = {}
        for path in self.files:
            table = Table(path)
            meta = table.get(_META_KEY)
            if meta is None:
                raise Malformed(f"{path.name} does not say what it holds")
            listed = list(limited(_parse_meta(meta)))
            if len({name for name, _ in listed}) < len(listed):
                raise Malformed(f"{path.name} lists a tensor twice")
            for name, entry in listed:
                for part in entry.slices:
                    self._tables[name, part] = table
                known = self.entries.get(name)
                if known is not None:
                    if known[:2] != entry[:2]:
                        raise Malformed(f"its files differ about {name}")
                    entry = entry._replace(slices=known.slices + entry.slices)
                self.entries[name] = entry

    def read(self, name: str) -> np.ndarray:
        """One tensor; the blocks it is in are verified."""
        entry = self.entries[name]

        def read_slice(part: Slice, shape: tuple[int, ...]) -> np.ndarray:
            # Small tensors share a block; of one of numbers a number takes at most 16 bytes.
            most = None if entry.type == STRING else (1 << 20) + 16 * math.prod(shape)
            value = self._tables[name, part].get(slice_key(name, part), most)
            if value is None:
                raise Malformed("a slice of it is not there")
            return _parse_data(value, name, part, entry, shape)

        return assembled(entry, read_slice)


def _parse_meta(value: memoryview) -> Iterator[tuple[str, Entry]]:
    """The SavedTensorSliceMeta in a SavedTensorSlices."""
    for number, message in fields(value):
        if number != _META:
            continue
        for inner, tensor in fields(data(message)):
            if inner != 1:
                continue
            name, kind, slices = "", 0, []
            shape: tuple[int, ...] = ()
            for field, part in fields(data(tensor)):
                if field == 1:
                    name = text(part)
                elif field == 2:
                    shape = parse_shape(part)
                elif field == 3:
                    kind = integer(part)
                elif field == 4:
                    slices.append(parse_slice(part))
            yield name, Entry(kind, shape, tuple(slices))


def _parse_data(
    value: memoryview, name: str, part: Slice, entry: Entry, shape: tuple[int, ...]
) -> np.ndarray:
    """The SavedSlice in a SavedTensorSlices, which must be of that name and slice."""
    saved = [message for number, message in fields(value) if number == _DATA]
    if len(saved) != 1:
        raise Malformed("it has no data, or twice")
    found_name, found_part, tensor = "", Slice((), ()), None
    for number, message in fields(data(saved[0])):
        if number == 1:
            found_name = text(message)
        elif number == 2:
            found_part = parse_slice(message)
        elif number == 3:
            tensor = message
    if tensor is None or (found_name, found_part) != (name, part):
        raise Malformed(f"there is {found_name!r} where it should be")
    array = _parse_tensor(tensor, entry)
    if array.size != math.prod(shape):
        raise Malformed(f"it has {array.size} elements and not those of {shape}")
    return array.reshape(shape)


# The fields of a TensorProto with fixed-size numbers, and the numbers.
_FIXED = {5: "<f4", 6: "<f8", 9: "<c8", 12: "<c16"}
_VARINTS = {7, 10, 11, 16, 17}  # int_val, int64_val, bool_val, uint32_val, uint64_val
_HALVES = 13  # float16 and bfloat16, their bits as numbers
_STRINGS = 8


def _parse_tensor(message: Value, entry: Entry) -> np.ndarray:
    """A TensorProto, flat."""
    by_number: dict[int, list[Value]] = {}
    for number, value in fields(data(message)):
        by_number.setdefault(number, []).append(value)
    dtype = entry.dtype
    if by_number.get(1, [entry.type])[-1] != entry.type:
        raise Malformed("it is of another type than the list of tensors says")
    if 4 in by_number and len(data(by_number[4][-1])):  # tensor_content: as in memory
        return _from_bytes(data(by_number[4][-1]), dtype)
    if entry.type == STRING:
        strings = [bytes(data(value)) for value in by_number.get(_STRINGS, [])]
        array = np.empty(len(strings), object)
        array[:] = strings
        return array
    for number, stored in _FIXED.items():
        if number in by_number:
            width = 4 if stored in ("<f4", "<c8") else 8
            stored_alone = [v for v in by_number[number] if isinstance(v, int)]
            _check(all(v.bit_length() <= 8 * width for v in stored_alone))
            parts = [
                v.to_bytes(width, "little") if isinstance(v, int) else v for v in by_number[number]
            ]
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            _check(dtype == stored)
            return _from_bytes(content, dtype)
    if _HALVES in by_number:
        _check(dtype.itemsize == 2 and dtype.kind not in "iu")
        return packed_varints(by_number[_HALVES]).astype(np.uint16).view(dtype)
    for number in _VARINTS & by_number.keys():
        _check(dtype.kind in "iub")
        return packed_varints(by_number[number]).view(np.int64).astype(dtype)
    return np.empty(0, dtype)


def _check(are_of_its_type: bool) -> None:
    if not are_of_its_type:
        raise Malformed("its values are of another type than its own")


def _from_bytes(content: bytes | memoryview, dtype: np.dtype) -> np.ndarray:
    if dtype.hasobject or len(content) % dtype.itemsize:
        raise Malformed(f"its {len(content)} bytes are no whole number of {dtype}")
    return np.frombuffer(content, dtype)
