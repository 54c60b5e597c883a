"""Encoded image files to uint8 arrays, through Pillow, which is imported here alone.

Where simplejpeg is installed it decodes JPEGs, to the same pixels in two thirds of the time.
"""

import functools
import io
import math
from typing import Any

import numpy as np

from jslim._errors import DataError

# Modes with more than 8 bits a channel are left out: Pillow would clip them, not scale them.
_EIGHT_BIT_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by the number of channels


def decode_image(encoded: bytes, record_key: str, channels: int = 3) -> np.ndarray:
    """The image in a JPEG, PNG, WebP or BMP file, as uint8 `[height, width, channels]`.

    Grey becomes three equal channels, transparency is dropped without blending, CMYK is converted.
    One channel of a JPEG in colours is its brightness as it is stored, as in TensorFlow.
    As in TensorFlow, the orientation in a photograph's EXIF data is ignored, so the pixels are
    those that are stored. JPEG pixels equal TensorFlow's `dct_method='INTEGER_ACCURATE'`.

    Args:
      encoded: The content of the file.
      record_key: What errors call it.
      channels: 1 for grey, 3 for colours, 4 with transparency (255 where it has none), or 0 for
        as many of these as the image has.

    Raises:
      ValueError: `channels` is another number.
      DataError: It is no image, is cut short, or has more than 8 bits a channel.
      ImportError: Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            "reading image files needs Pillow, which is not installed; run: "
            "pip install 'jslim[cli]'"
        ) from error
    if channels and channels not in _MODES:
        raise ValueError(f"channels must be 0, 1, 3 or 4, got {channels}.")
    if (fast := _decode_jpeg(encoded, channels, Image.MAX_IMAGE_PIXELS)) is not None:
        return fast
    try:
        with Image.open(io.BytesIO(encoded)) as file:
            image: Image.Image = file
            if channels == 1:
                file.draft("L", None)  # only JPEGs can be read so; others are converted below
            mode = image.mode
            wanted = _MODES[channels or _num_channels(file)]
            if mode == "P":  # Pillow wants a transparent palette to be converted in two steps.
                image = image.convert("RGBA")
            if mode in _EIGHT_BIT_MODES:
                array = np.asarray(image if image.mode == wanted else image.convert(wanted))
                return array if array.ndim == 3 else array[..., None]
    except Exception as error:  # Pillow's decoders raise many kinds.
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "not a JPEG, PNG, WebP or BMP file" if is_unknown else error
        raise DataError(
            f"image {record_key!r} cannot be decoded ({reason}); replace or delete the file."
        ) from error
    raise DataError(
        f"image {record_key!r} has more than 8 bits a channel (mode {mode}); convert it to 8 bits."
    )


def _num_channels(image: Any) -> int:
    """How many channels an image has of itself: a palette counts by what it holds."""
    if image.has_transparency_data:
        return 4
    return 1 if image.mode in ("1", "L") else 3


@functools.cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _decode_jpeg(encoded: bytes, channels: int, max_pixels: int | None) -> np.ndarray | None:
    """A JPEG in grey or colours, if it is one without any fault; the rest is left to Pillow.

    That way it changes nothing but time: it takes harmless oddities for faults, and faults are to
    be said in the same words with and without it.
    """
    simplejpeg = _simplejpeg()
    if simplejpeg is None or channels not in (1, 3) or encoded[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(encoded)
        if colorspace not in ("YCbCr", "Gray") or height * width > (max_pixels or math.inf):
            return None
        wanted = "GRAY" if channels == 1 else "RGB"
        # Pillow and TensorFlow's INTEGER_ACCURATE have the exact transform and smooth upsampling.
        return simplejpeg.decode_jpeg(encoded, wanted, fastdct=False, fastupsample=False)
    except ValueError:
        return None
