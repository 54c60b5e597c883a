"""JSON with bytes, for what a checkpoint holds beside its arrays."""

import base64
import binascii
import json

_BYTES = "jslim/bytes"
_DICT = "jslim/dict"  # around a dict that has one of these keys itself


def encode(value: object) -> object:
    """`value` with its bytes as Base64.

    >>> encode([1, b"a"])
    [1, {'jslim/bytes': 'YQ=='}]
    """
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        encoded = {key: encode(item) for key, item in value.items()}
        return {_DICT: encoded} if value.keys() & {_BYTES, _DICT} else encoded
    return value


def decode(value: object) -> object:
    """The inverse of `encode`.

    Raises:
      ValueError: It is not from `encode`.
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


def copy_json(what: str, value: object) -> object:
    """A copy through JSON.

    Raises:
      TypeError: The copy would differ.
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
