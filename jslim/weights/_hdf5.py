"""Keras's files: the variables of a network by `layer/variable`."""

import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from jslim.core.errors import RestoreError
from jslim.host.files import ZIP_ERRORS, check_member, read_member
from jslim.host.packages import needed

# The order in which Keras 3 stores the variables of a layer, where it has them.
_VARIABLES = {
    "Conv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
# The arguments of a layer without which it lacks a variable.
_ARGUMENTS = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
_MODEL_WEIGHTS = "model.weights.h5"  # within a .keras file


class _Dataset(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, key: tuple[()]) -> np.ndarray: ...


class KerasFile(Mapping[str, np.ndarray]):
    """The variables in a `.h5` or `.keras` file, each read when it is asked for.

    Args:
      path: The file.

    Raises:
      RestoreError: It is no such file, is damaged, or holds no names of layers.
      ImportError: The package h5py is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with needed("h5py", "Keras's files", install="'jslim[hub]'"):
            import h5py
        self._path = os.fspath(path)
        try:
            if zipfile.is_zipfile(self._path):
                self._datasets = self._of_archive(h5py)
            else:
                file = h5py.File(self._path, "r")
                self._datasets = dict(_of_groups(h5py, file.get("model_weights", file)))
                if not self._datasets:
                    raise RestoreError(
                        f"{self._path} has no names of layers, as a file of weights alone of Keras "
                        "3; save the whole model as .keras or .h5"
                    )
        except (OSError, KeyError, UnicodeDecodeError, *ZIP_ERRORS) as error:
            raise RestoreError(
                f"{self._path} is no file of Keras, or is damaged: {error}; copy it again"
            ) from error

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return np.asarray(self._datasets[name][()])
        except OSError as error:
            raise RestoreError(f"{self._path} is damaged at {name}: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`{name: shape}` of all, without reading them."""
        return {name: tuple(dataset.shape) for name, dataset in self._datasets.items()}

    def _of_archive(self, h5py: Any) -> dict[str, _Dataset]:
        """The variables of a `.keras` file: named by the configuration beside them."""
        import io

        with zipfile.ZipFile(self._path) as archive:
            for member in archive.infolist():
                check_member(member)
            config = json.loads(read_member(archive, archive.getinfo("config.json")))
            content = read_member(archive, archive.getinfo(_MODEL_WEIGHTS))
        file = h5py.File(io.BytesIO(content), "r")
        counts: dict[str, int] = {}
        found = {}
        for layer in config["config"]["layers"]:
            kind, arguments = layer["class_name"], layer["config"]
            group = _snake_case(kind)
            counts[group] = number = counts.get(group, -1) + 1
            held = [
                name
                for name in _VARIABLES.get(kind, ())
                if arguments.get(_ARGUMENTS.get(name, ""), True)
            ]
            place = f"layers/{group}_{number}" if number else f"layers/{group}"
            for index, name in enumerate(held):
                found[f"{arguments['name']}/{name}"] = file[f"{place}/vars/{index}"]
        return found


def _of_groups(h5py: Any, file: Any) -> Iterator[tuple[str, _Dataset]]:
    """The variables of a `.h5` file: each group of a layer lists the names of its own."""
    for layer in file.attrs.get("layer_names", ()):
        group = file[_text(layer)]
        for name in group.attrs["weight_names"]:
            dataset = group[_text(name)]
            if not isinstance(dataset, h5py.Dataset):
                raise KeyError(f"{_text(name)} is no array")
            yield _text(name), dataset


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _snake_case(name: str) -> str:
    """Keras's name of a class in small letters.

    >>> _snake_case("DepthwiseConv2D")
    'depthwise_conv2d'
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
