"""Safetensors files: arrays by name, which other frameworks read too.

The package safetensors writes them. They are read here, within limits that the package lacks.
"""

import math
import os
import types
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jslim.checkpoints import contract as _contract
from jslim.core.errors import RestoreError, did_you_mean
from jslim.host import readers
from jslim.host.files import UnfinishedFile, open_regular, read_part, size_of
from jslim.host.limits import TEXT_BYTES
from jslim.host.paths import output_file
from jslim.host.schema import Between, Invalid, conform, parse_json

SUFFIX = ".safetensors"
# The types of the format, with NumPy's names.
DTYPES = {
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"},
    **{"BOOL": "bool", "C64": "complex64"},
}
_Size = Annotated[int, Between(0, 1 << 48)]


def _library() -> types.ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "safetensors files need the package safetensors, which is not installed; run: "
            "pip install 'jslim[cli]'"
        ) from error
    return safetensors


def save_safetensors(
    path: str | os.PathLike[str],
    arrays: Mapping[str, ArrayLike],
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Writes arrays as a safetensors file, whole or not at all.

    Args:
      path: The file to write; its name ends in `.safetensors`.
      arrays: `{name: array}`, as from `slim.get_variables(variables)`.
      metadata: Strings to store with them.

    Returns:
      The path.

    Raises:
      ValueError: There are no arrays; the path cannot be written.
      ImportError: The package safetensors is not installed.
    """
    path = output_file(path, "save_safetensors: path", {SUFFIX: "what it writes"})
    if not arrays:
        raise ValueError("save_safetensors: there are no arrays; give {name: array}")
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray turns scalars into vectors.
    held = {name: array.reshape(np.shape(arrays[name])) for name, array in held.items()}
    library = _library().numpy
    with UnfinishedFile(path) as unfinished:
        library.save_file(held, unfinished.path, metadata=dict(metadata or {}))
    return path


class _Tensor(NamedTuple):
    """An array in the header; its bytes lie between two offsets after the header."""

    dtype: str
    shape: Annotated[tuple[_Size, ...], Between(0, 32)]
    data_offsets: Annotated[tuple[_Size, ...], Between(2, 2)]


class _Header(NamedTuple):
    """The header: where the arrays start in the file, their descriptions, and the contract."""

    start: int
    tensors: dict[str, _Tensor]
    contract: _contract.Values


def _read_header(path: str | os.PathLike[str]) -> _Header:
    """Reads the header: eight bytes with the length of a JSON object, and the object.

    The arrays follow without gaps.

    Raises:
      Invalid: The file is something else.
      OSError: The file cannot be read.
    """
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > TEXT_BYTES():
            raise Invalid(TEXT_BYTES.exceeded(f"its header has {length} bytes"))
        header = conform(parse_json(file.read(length)), dict[str, Any])
        size = size_of(file) - 8 - length
    metadata = conform(header.pop("__metadata__", {}), dict[str, str])
    contract = _contract.checked(parse_json(metadata.get("contract", "{}").encode()))
    tensors = conform(header, dict[str, _Tensor])
    at = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        start, end = tensor.data_offsets
        wanted = end - start  # any size, for a type that NumPy lacks
        if tensor.dtype in DTYPES:
            wanted = math.prod(tensor.shape) * np.dtype(DTYPES[tensor.dtype]).itemsize
        if start != at or end - start != wanted:
            what = f"{tensor.dtype} {tensor.shape}"
            raise Invalid(f"cannot be {what} in bytes {start} to {end}", name)
        at = end
    if at != size:
        raise Invalid(f"it has {size} bytes of arrays where its header says {at}")
    return _Header(8 + length, dict(sorted(tensors.items())), contract)


class SafetensorsReader(readers.CheckpointReader):
    """Reads safetensors files, each array when it is asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)
        try:
            self._header = _read_header(path)
        except (Invalid, OSError) as error:
            raise self._broken(error) from error
        held = {
            name: readers.Held(tensor.shape, DTYPES.get(tensor.dtype, tensor.dtype))
            for name, tensor in self._header.tensors.items()
        }
        super().__init__(self.path, held, self._header.contract)

    def get_tensor(self, name: str) -> np.ndarray:
        if name not in self._header.tensors:
            raise RestoreError(
                f"checkpoint {self.path} has no variable {name!r}"
                f"{did_you_mean(name, self._header.tensors)}."
            )
        tensor = self._header.tensors[name]
        if tensor.dtype not in DTYPES:
            raise RestoreError(
                f"{name} in {self.path} is of type {tensor.dtype}, which NumPy does not have; "
                f"convert it to one of {', '.join(DTYPES)}"
            )
        start, end = tensor.data_offsets
        try:
            content = read_part(self.path, self._header.start + start, end - start)
        except OSError as error:
            raise self._broken(error) from error
        return content.view(DTYPES[tensor.dtype]).reshape(tensor.shape)

    def _broken(self, error: Exception) -> RestoreError:
        why = error.strerror if isinstance(error, OSError) else error
        return RestoreError(
            f"{self.path} is no safetensors file, or is damaged: {why}; copy it again"
        )
