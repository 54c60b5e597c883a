"""Checkpoints of all formats as arrays by name."""

import abc
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jslim.core import reprs
from jslim.core.text import printable


class Held(NamedTuple):
    """Shape and dtype of an array; the dtype by its name in NumPy: `float32`."""

    shape: tuple[int, ...]
    dtype: str


class CheckpointReader(abc.ABC):
    """Arrays by name, with the methods of TensorFlow's reader.

    Attributes:
      path: The path of the checkpoint, for messages.
      contract: Its description (network, class names and so on); empty for formats without one,
        such as TensorFlow's.
    """

    def __init__(
        self, path: str, held: Mapping[str, Held], contract: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.contract = contract or {}
        self._held = held

    def __repr__(self) -> str:
        arrays = reprs.counted(len(self._held), "array")
        numbers = sum(math.prod(held.shape) for held in self._held.values())
        network = f" of {self.contract['model_name']}" if "model_name" in self.contract else ""
        size = reprs.counted(numbers, "number")
        return f"<{type(self).__name__} of {printable(self.path)!r}{network}: {arrays}, {size}>"

    @property
    def step(self) -> int | None:
        """The number of training steps before it was saved; None where it is not known."""
        return None

    def has_tensor(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self._held

    def get_variable_to_shape_map(self) -> dict[str, tuple[int, ...]]:
        """`{name: shape}` of all arrays."""
        return {name: held.shape for name, held in self._held.items()}

    def get_variable_to_dtype_map(self) -> dict[str, str]:
        """`{name: dtype}` of all arrays, by the names of NumPy: `float32`."""
        return {name: held.dtype for name, held in self._held.items()}

    @abc.abstractmethod
    def get_tensor(self, name: str) -> np.ndarray:
        """Reads one array and no others.

        Raises:
          RestoreError: There is no such array, or its bytes have changed since they were written.
        """

    def get_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Reads these arrays and no others."""
        return {name: self.get_tensor(name) for name in names}
