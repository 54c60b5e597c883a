"""`tf.compat`: texts of both Pythons."""

from collections.abc import Sequence
from typing import Any

from jslim.compat.tf import _missing


def as_bytes(bytes_or_text: str | bytes, encoding: str = "utf-8") -> bytes:
    return bytes_or_text.encode(encoding) if isinstance(bytes_or_text, str) else bytes_or_text


def as_text(bytes_or_text: str | bytes, encoding: str = "utf-8") -> str:
    return bytes_or_text.decode(encoding) if isinstance(bytes_or_text, bytes) else bytes_or_text


as_str = as_text


def as_str_any(value: object) -> str:
    return as_text(value) if isinstance(value, bytes) else str(value)


def dimension_value(dimension: int | None) -> int | None:
    """A length as a plain int."""
    return None if dimension is None else int(dimension)


integral_types: Sequence[type] = (int,)

bytes_or_text_types = (bytes, str)
_answer = _missing.answering("tf.compat", __name__)


def __getattr__(name: str) -> Any:
    if name == "v1":
        import importlib

        return importlib.import_module("jslim.compat.tf")
    return _answer(name)
