"""Images as they are given to predict: paths, folders, Pillow images, arrays."""

import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jslim.core.errors import DataError
from jslim.data.decode import FORMATS, decode_image, pixels_of
from jslim.data.trees import IMAGE_EXTENSIONS, log_passed_over, open_tree
from jslim.host.files import read_regular
from jslim.host.limits import IMAGE_BYTES
from jslim.host.paths import local_path

Image = np.ndarray | str | os.PathLike[str]


def several_images(images: Any) -> Iterable[Image]:
    """The images one by one, of what `predict` takes: a path, a folder, an array, or several.

    Raises:
      ValueError: It is none of these.
      DataError: The folder has no image.
    """
    if isinstance(images, str | os.PathLike):
        images = local_path(images, "predict: images")
        return list_images([images]) if os.path.isdir(images) else [images]
    if _is_of_pillow(images):
        return [images]
    if isinstance(images, np.ndarray | jax.Array) and images.ndim in (2, 3):
        return [np.asarray(images)]
    if isinstance(images, bytes | dict) or not isinstance(images, Iterable):
        raise ValueError(
            "predict: images must be a path, a folder, a Pillow image, an array, or several of "
            f"them, got {type(images).__name__}"
        )
    return images


def _is_of_pillow(image: object) -> bool:
    pillow = sys.modules.get("PIL.Image")  # without which there are no such images
    return pillow is not None and isinstance(image, pillow.Image)


def pixels_of_image(image: Any) -> np.ndarray:
    """The array of an image given as a path, as Pillow's, or as what NumPy makes an array of.

    Raises:
      ValueError: It is something else.
      DataError: The file cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return _read(image)
    if _is_of_pillow(image):
        if image.format not in (None, "MPO", *FORMATS):
            raise ValueError(
                f"predict: a Pillow image in the format {image.format} is not read from its file "
                "here; give image.copy(), which reads it"
            )
        try:
            return pixels_of(image)
        except (OSError, DataError) as error:
            raise DataError(f"predict: a Pillow image {error}") from error
    try:
        pixels = np.asarray(image)
    except ValueError:
        pixels = np.empty(0, object)  # rows of different lengths
    if jnp.issubdtype(pixels.dtype, jnp.floating):
        pixels = pixels.astype(np.float32, copy=False)  # of those that NumPy knows but half too
    if pixels.dtype.kind not in "iuf":
        raise ValueError(
            "predict: an image must be a path, a Pillow image or an array of numbers, got "
            f"{type(image).__name__}{f' of {pixels.dtype}' if pixels.size else ''}"
        )
    return pixels


def _read(path: str | os.PathLike[str]) -> np.ndarray:
    try:
        encoded = read_regular(local_path(path, "it"), IMAGE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"image {os.fspath(path)!r} cannot be read ({reason}).") from error
    if encoded.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        raise DataError(
            f"image {os.fspath(path)!r} is an archive or a NumPy file, not an image; unpack it, or "
            "give predict the arrays in it."
        )
    return decode_image(encoded, os.fspath(path))


def list_images(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The image files among `paths` and, sorted, below the folders among them.

    Folders are walked as data sets are: links are followed, hidden files and what is no image by
    its name are passed over, and the log says so.

    Raises:
        DataError: Something is not there, or a folder has no image below it.
    """
    found: list[str] = []
    for path in [pathlib.Path(local_path(path, "an image or folder")) for path in paths]:
        if not os.path.lexists(path):
            raise DataError(f"there is no image file or folder {str(path)!r}.")
        if not path.is_dir():
            found.append(str(path))
            continue
        tree = open_tree(path)
        images, passed_over = tree.walk()
        if not images:
            raise DataError(
                f"the folder {str(path)!r} has no image ({', '.join(IMAGE_EXTENSIONS)}) below it."
            )
        log_passed_over(passed_over, str(path))
        found += map(tree.name_of, images)
    return found
