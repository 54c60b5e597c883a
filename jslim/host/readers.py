"""Checkpoints as arrays by name, whatever their format."""

import abc
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Held(NamedTuple):
    """Shape and type of an array; the type as NumPy spells it: `float32`."""

    shape: tuple[int, ...]
    dtype: str


class CheckpointReader(abc.ABC):
    """Arrays by name, whatever the format; the methods are those of TensorFlow's reader.

    Attributes:
      path: The checkpoint, for messages.
      contract: What it says about itself (network, class names and so on); empty if it says
        nothing, as TensorFlow's.
    """

    def __init__(
        self, path: str, held: Mapping[str, Held], contract: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.contract = contract or {}
        self._held = held

    @property
    def step(self) -> int | None:
        """The training steps behind it; None where it does not say."""
        return None

    def has_tensor(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self._held

    def get_variable_to_shape_map(self) -> dict[str, tuple[int, ...]]:
        """`{name: shape}` of all arrays."""
        return {name: held.shape for name, held in self._held.items()}

    def get_variable_to_dtype_map(self) -> dict[str, str]:
        """`{name: dtype}` of all arrays, as NumPy spells it: `float32`."""
        return {name: held.dtype for name, held in self._held.items()}

    @abc.abstractmethod
    def get_tensor(self, name: str) -> np.ndarray:
        """Reads one array, and nothing of the others.

        Raises:
          RestoreError: There is no such array, or its bytes are not those that were written.
        """

    def get_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Reads these arrays and no others."""
        return {name: self.get_tensor(name) for name in names}
