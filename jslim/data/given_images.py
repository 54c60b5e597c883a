"""Images in the forms that `predict` takes: paths, folders, bytes, Pillow images, arrays."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from jslim.core.errors import DataError
from jslim.data._errors import reading
from jslim.data._image_arrays import check_images
from jslim.data.decode import FORMATS, MODES, decode_image, pixels_of
from jslim.data.orientation import orientation_of, orientation_of_pillow, upright
from jslim.data.trees import IMAGE_EXTENSIONS, log_passed_over, open_tree
from jslim.host.files import exists, is_directory, read_regular
from jslim.host.limits import IMAGE_BYTES
from jslim.host.paths import Path, as_path, path_string

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
else:
    PillowImage = object

Image = np.ndarray | bytes | Path | PillowImage

# The weights of red, green and blue in the brightness of ITU-R 601, out of 65536, as in image
# libraries.
_BRIGHTNESS = (19595, 38470, 7471)


def several_images(images: Image | Iterable[Image]) -> Iterable[Image]:
    """The images one by one of an argument of `predict`: a path, a folder, an array, or several.

    Raises:
      ValueError: It is something else.
      DataError: The folder has no image.
    """
    if isinstance(images, str | os.PathLike):
        images = path_string(images, "predict: images")
        return list_images([images]) if is_directory(images) else [images]
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


def _is_of_pillow(image: object) -> TypeGuard[PillowImage]:
    pillow = sys.modules.get("PIL.Image")  # if it is not imported, there are no such images
    return pillow is not None and isinstance(image, pillow.Image)


def pixels_of_image(
    image: Image,
    channels: int,
    *,
    apply_exif_orientation: bool = False,
    unapplied: list[str] | None = None,
) -> np.ndarray:
    """The pixels `[height, width, channels]` of an image in any of its forms.

    Args:
      image: A path, the content of an image file, a Pillow image, or anything `np.asarray` takes.
      channels: The number of channels that the network takes. A file is decoded as in a data set
        with this number; an array in colours becomes grey for a network of one channel.
      apply_exif_orientation: As of `decode_image`, of files and Pillow images.
      unapplied: A list that gets the name of an image whose EXIF orientation is not applied.

    Raises:
      ValueError: It is something else, or has other channels.
      DataError: The file cannot be read.

    >>> pixels_of_image(np.zeros((8, 8)), channels=1).shape
    (8, 8, 1)
    """
    decoded = channels if channels in MODES else 3
    name, orientation = "a Pillow image", 1
    if isinstance(image, bytes | str | os.PathLike):
        name = "<bytes>" if isinstance(image, bytes) else os.fspath(image)
        encoded = image if isinstance(image, bytes) else _read(image)
        pixels = decode_image(encoded, name, decoded)
        orientation = orientation_of(encoded)
    elif _is_of_pillow(image):
        pixels = _pixels_of_pillow(image, decoded)
        orientation = orientation_of_pillow(image)
    else:
        pixels = _checked_array(image)
        if pixels.shape[2:] == (3,) and channels == 1:
            grey = (pixels @ np.array(_BRIGHTNESS, np.float64) + 32768) // 65536
            pixels = grey[..., None].clip(0, 255).astype(np.uint8)
    if orientation != 1 and apply_exif_orientation:
        pixels = upright(pixels, orientation)
    elif orientation != 1 and unapplied is not None:
        unapplied.append(name)
    if pixels.ndim != 3 or pixels.shape[2] != channels or not pixels.size:
        raise ValueError(
            f"predict: images must be [height, width, {channels}] or paths of image files, got "
            f"shape {pixels.shape}"
        )
    return pixels


def _pixels_of_pillow(image: PillowImage, channels: int) -> np.ndarray:
    if image.format not in (None, "MPO", *FORMATS):
        raise ValueError(
            f"predict: a Pillow image in the format {image.format} is not read from its file "
            "here; give image.copy(), which reads it"
        )
    try:
        return pixels_of(image, channels)
    except (OSError, DataError) as error:
        raise DataError(f"predict: a Pillow image {error}") from error


def _checked_array(image: object) -> np.ndarray:
    """The image as an array with an axis of channels and values in `[0, 255]`."""
    try:
        pixels = np.asarray(image)
    except ValueError:
        pixels = np.empty(0, object)  # rows of different lengths
    if jnp.issubdtype(pixels.dtype, jnp.floating):
        pixels = pixels.astype(np.float32, copy=False)  # bfloat16 too, which NumPy does not know
    if pixels.dtype.kind not in "iuf":
        raise ValueError(
            "predict: an image must be a path, a Pillow image or an array of numbers, got "
            f"{type(image).__name__}{f' of {pixels.dtype}' if pixels.size else ''}"
        )
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim == 3 and pixels.size:
        check_images(pixels, "predict", in_255=True)
    return pixels


def _read(path: Path) -> bytes:
    with reading(f"image {os.fspath(path)!r}", kinds=(OSError, ValueError)):
        encoded = read_regular(path_string(path, "it"), IMAGE_BYTES)
    if encoded.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        raise DataError(
            f"image {os.fspath(path)!r} is an archive or a NumPy file, not an image; unpack it, or "
            "give predict the arrays in it"
        )
    return encoded


def list_images(paths: Sequence[Path]) -> list[str]:
    """The image files among `paths` and, sorted, below the folders among them.

    As in data sets, links are followed; hidden files and files that are not images by their name
    are passed over and logged.

    Raises:
      DataError: A path does not exist, or a folder has no image below it.
    """
    found: list[str] = []
    for path in [as_path(path, "an image or folder") for path in paths]:
        if not (exists(path) or os.path.lexists(path)):
            raise DataError(f"there is no image file or folder {str(path)!r}")
        if not is_directory(path):
            found.append(str(path))
            continue
        tree = open_tree(path)
        images, passed_over = tree.walk()
        if not images:
            raise DataError(
                f"the folder {str(path)!r} has no image ({', '.join(IMAGE_EXTENSIONS)}) below it"
            )
        log_passed_over(passed_over, str(path))
        found += map(tree.name_of, images)
    return found
