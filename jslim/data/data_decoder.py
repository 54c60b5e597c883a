"""What a `Dataset` decodes its records with."""

import abc
from collections.abc import Sequence
from typing import Any


class DataDecoder(abc.ABC):
    """Turns a record into items; `tfexample_decoder` has those of TensorFlow's examples."""

    @abc.abstractmethod
    def decode(self, data: bytes, items: Sequence[str]) -> list[Any]:
        """The items of those names.

        Args:
          data: The record.
          items: Names, out of `list_items()`.
        """

    @abc.abstractmethod
    def list_items(self) -> list[str]:
        """The names of all items."""
