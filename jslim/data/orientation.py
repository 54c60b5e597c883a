"""The orientation in the EXIF data of image files: how the camera was held.

Source of the format: CIPA DC-008, "Exchangeable image file format for digital still cameras".
"""

import logging
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

logger = logging.getLogger("jslim")

ORIENTATION_TAG = 0x0112
_TYPES = {1: "B", 3: "H", 4: "L"}  # the types of numbers without a sign
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_EXIF = b"Exif\0\0"


def orientation_of(encoded: bytes) -> int:
    """The EXIF orientation of a JPEG, PNG or WebP file, 1 to 8; 1 where it says none.

    Only headers are read. EXIF data that is damaged says nothing.

    >>> orientation_of(b"no image")
    1
    """
    try:
        if encoded[:2] == b"\xff\xd8":
            found = _in_tiff(_exif_of_jpeg(encoded))
        elif encoded[:4] == b"\x89PNG":
            found = _in_tiff(_exif_of_png(encoded))
        elif encoded[:4] == b"RIFF":
            found = _in_tiff(_exif_of_webp(encoded))
        else:
            return 1
    except (struct.error, IndexError, KeyError):  # cut short, without EXIF data, or damaged
        return 1
    return found if 1 <= found <= 8 else 1


def orientation_of_pillow(image: "PillowImage") -> int:
    """The EXIF orientation that a Pillow image has from its file, 1 to 8."""
    try:
        found = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises errors of many kinds for data that is damaged
        return 1
    return found if found in range(1, 9) else 1


def _exif_of_jpeg(encoded: bytes) -> bytes:
    at = 2
    while encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker in (0xD9, 0xDA):  # the end, or pixels
            break
        if marker == 0xFF:  # fills up
            at += 1
            continue
        (size,) = struct.unpack_from(">H", encoded, at + 2)
        if marker == 0xE1 and encoded[at + 4 : at + 10] == _EXIF:
            return encoded[at + 10 : at + 2 + size]
        at += 2 + size
    return b""


def _exif_of_png(encoded: bytes) -> bytes:
    at = 8
    while True:
        size, kind = struct.unpack_from(">L4s", encoded, at)
        if kind == b"eXIf":
            return encoded[at + 8 : at + 8 + size]
        at += 12 + size


def _exif_of_webp(encoded: bytes) -> bytes:
    at = 12
    while True:
        kind, size = struct.unpack_from("<4sL", encoded, at)
        if kind == b"EXIF":
            return encoded[at + 8 : at + 8 + size].removeprefix(_EXIF)
        at += 8 + size + size % 2


def _in_tiff(tiff: bytes) -> int:
    """The number of the tag in EXIF data, which has the form of a TIFF file; or 0."""
    order = _BYTE_ORDERS[tiff[:4]]
    (start,) = struct.unpack_from(f"{order}L", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(f"{order}HHL", tiff, entry)
        if tag == ORIENTATION_TAG:
            return struct.unpack_from(f"{order}{_TYPES[kind]}", tiff, entry + 8)[0]
    return 0


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels `[height, width, channels]` as the camera saw them.

    Args:
      pixels: As stored in a file.
      orientation: The EXIF orientation, 1 to 8.

    >>> upright(np.array([[[1], [2]]]), 6)[..., 0].tolist()  # a quarter turn to the right
    [[1], [2]]
    """
    if is_sideways(orientation):
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def is_sideways(orientation: int) -> bool:
    """Whether `upright` swaps height and width."""
    return orientation >= 5


class UnappliedOrientations:
    """Warns once of images that carry an orientation which is not applied.

    Args:
      where: What has the images.
    """

    def __init__(self, where: str):
        self._where = where
        self._num_images = 0
        self._has_warned = False

    def note(self, record_keys: Sequence[str], num_images: int) -> None:
        """Warns the first time that there are such images.

        Args:
          record_keys: Those among the next images that are such.
          num_images: How many the next images are.
        """
        self._num_images += num_images
        if record_keys and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s: %d of the first %d images carry an EXIF orientation that is not applied, nor "
                "is it by TensorFlow: networks see them lying or upside down, such as %s; give "
                "apply_exif_orientation when training starts to have them turned upright",
                self._where,
                len(record_keys),
                self._num_images,
                record_keys[0],
            )
