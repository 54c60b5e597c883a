"""The interface of the decoders of a `Dataset`."""

import abc
from collections.abc import Sequence
from typing import Any


class DataDecoder(abc.ABC):
    """Turns a record into items; `tfexample_decoder` has decoders of TensorFlow's examples."""

    @abc.abstractmethod
    def decode(self, data: bytes, items: Sequence[str]) -> list[Any]:
        """The asked items, in this order.

        Args:
          data: The record.
          items: Names from `list_items()`.
        """

    @abc.abstractmethod
    def list_items(self) -> list[str]:
        """The names of all items."""
