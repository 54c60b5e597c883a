"""Safetensors files: arrays by name, which other frameworks read too."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jslim._errors import RestoreError, did_you_mean
from jslim._files import UnfinishedFile

SUFFIX = ".safetensors"
_NUMPY_NAMES = {"F": "float", "I": "int", "U": "uint", "BF16": "bfloat16", "BOOL": "bool"}


def _library() -> Any:
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
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Writes arrays as a safetensors file, whole or not at all.

    Args:
        path: the file to write.
        arrays: `{name: array}`, such as `slim.get_variables(variables)` gives.
        metadata: strings to store with them.

    Returns:
        The path.

    Raises:
        ValueError: there are no arrays.
        ImportError: the package safetensors is not installed.
    """
    if not arrays:
        raise ValueError("save_safetensors: there are no arrays; give {name: array}")
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray makes a vector of a scalar.
    held = {name: array.reshape(np.shape(arrays[name])) for name, array in held.items()}
    library = _library().numpy
    with UnfinishedFile(path) as unfinished:
        library.save_file(held, unfinished.path, metadata=dict(metadata or {}))
    return str(path)


class SafetensorsReader:
    """The `CheckpointReader` of safetensors files."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)
        self.step: int | None = None  # which such a file does not say
        self.contract: dict[str, Any] = {}
        library = _library()
        try:
            self._file = library.safe_open(self.path, framework="numpy")
            slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118
            self.contract = json.loads((self._file.metadata() or {}).get("contract", "{}"))
        except (library.SafetensorError, OSError, ValueError) as error:
            raise RestoreError(
                f"{self.path} is no safetensors file, or is damaged: {error}; copy it again"
            ) from error
        self._shapes = {name: tuple(part.get_shape()) for name, part in sorted(slices.items())}
        self._dtypes = {name: _dtype_name(part.get_dtype()) for name, part in slices.items()}

    def has_tensor(self, name: str) -> bool:
        return name in self._shapes

    def get_variable_to_shape_map(self) -> dict[str, tuple[int, ...]]:
        return dict(self._shapes)

    def get_variable_to_dtype_map(self) -> dict[str, str]:
        return {name: self._dtypes[name] for name in self._shapes}

    def get_tensor(self, name: str) -> np.ndarray:
        if name not in self._shapes:
            raise RestoreError(
                f"checkpoint {self.path} has no variable {name!r}"
                f"{did_you_mean(name, self._shapes)}."
            )
        tensor: np.ndarray = self._file.get_tensor(name)
        return tensor

    def get_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        return {name: self.get_tensor(name) for name in names}


def _dtype_name(code: str) -> str:
    """The format's F32, I64, BF16 as NumPy spells them."""
    if code in _NUMPY_NAMES:
        return _NUMPY_NAMES[code]
    return f"{_NUMPY_NAMES.get(code[:1], code[:1])}{code[1:]}"
