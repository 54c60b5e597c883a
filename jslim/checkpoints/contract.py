"""The contract: what a checkpoint, a safetensors file or an exported model says about itself."""

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypedDict

from jslim.core.errors import RestoreError
from jslim.host.limits import CLASSES, IMAGE_PIXELS
from jslim.host.schema import Between, Invalid, conform

_Size = Annotated[int, Between(1, 1 << 16)]


# A contract as read from JSON, which may have further keys.
Values = dict[str, Any]


class Contract(TypedDict, total=False):
    """The keys that jslim uses; a contract may have others."""

    model_name: str
    num_classes: Annotated[int, Between(1, 1 << 62)]
    class_names: Annotated[list[str], Between(1, 1 << 62)]
    labels_offset: Annotated[int, Between(0, 1 << 62)]
    image_size: _Size
    num_channels: _Size
    preprocessing_name: str
    apply_exif_orientation: bool
    has_moving_averages: bool
    dataset: str
    num_train_images: Annotated[int, Between(0, 1 << 62)]
    dataset_split_name: str
    validation_fraction: Annotated[float, Between(0, 1)]
    validation_seed: Annotated[int, Between(0, 1 << 63)]
    started_from: str | None
    jax_version: str


def checked(contract: object) -> Values:
    """The contract, unchanged.

    Raises:
      Invalid: A key has a value that it cannot have.

    >>> checked({"num_classes": 10, "note": "ours"})
    {'num_classes': 10, 'note': 'ours'}
    """
    try:
        return _checked(contract)
    except Invalid as error:
        raise error.within("contract") from None


def _checked(contract: object) -> Values:
    held: Values = conform(contract, Contract)
    names, count = held.get("class_names"), held.get("num_classes")
    if (side := held.get("image_size", 1)) ** 2 > IMAGE_PIXELS():
        raise Invalid(IMAGE_PIXELS.exceeded(f"has images of {side} x {side} pixels"))
    if count is not None and count > CLASSES():
        raise Invalid(CLASSES.exceeded(f"has {count} classes"))
    if names is not None and count is not None and len(names) != count:
        raise Invalid(f"has {len(names)} class_names for num_classes {count}")
    return held


def require(
    contract: Mapping[str, object], keys: Iterable[str], path: str | os.PathLike[str]
) -> None:
    """Refuses a contract without these keys.

    Raises:
      RestoreError: The contract of `path` lacks a key.

    >>> require({"image_size": 28}, ["image_size"], "model.safetensors")
    """
    missing = [key for key in keys if key not in contract]
    if missing:
        raise RestoreError(
            f"the contract of {os.fspath(path)} does not say {', '.join(missing)}, which is needed "
            "here; give a file that train.py or slim.export has written"
        )
