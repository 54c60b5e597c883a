"""What stands beside the arrays of a checkpoint, as JSON: bytes too, which JSON does not have."""

import base64
import binascii
import json
from typing import Any

_BYTES = "jslim/bytes"
_DICT = "jslim/dict"  # around a dict that would be taken for one of these


def encode(value: object) -> object:
    """`value`, its bytes as Base64."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        encoded = {key: encode(item) for key, item in value.items()}
        return {_DICT: encoded} if value.keys() & {_BYTES, _DICT} else encoded
    return value


def decode(value: object) -> Any:
    """What was given to `encode`.

    Raises:
        ValueError: it cannot have come from there.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    try:
        if _BYTES in value:
            return base64.b64decode(value[_BYTES], validate=True)
    except (TypeError, binascii.Error) as error:
        raise ValueError(f"{_BYTES} is no Base64: {error}") from error
    value = value.get(_DICT, value)
    if not isinstance(value, dict):
        raise ValueError(f"{_DICT} is no dict")
    return {key: decode(item) for key, item in value.items()}


def copy_json(what: str, value: object) -> Any:
    """A copy by way of JSON.

    Raises:
        TypeError: it would not come back as it is.
    """
    try:
        copy = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"CheckpointManager.save: {what} is not JSON: {error}.") from error
    if copy != value:
        raise TypeError(
            f"CheckpointManager.save: {what} would come back from JSON changed, as {copy!r}; "
            f"use lists for tuples, and strings for keys."
        )
    return copy
