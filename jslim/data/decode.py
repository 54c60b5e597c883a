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

_ANIMATED = ("GIF", "PNG", "WEBP")  # the formats of Pillow that can be
_JPEG = b"\xff\xd8\xff"
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
      DataError: It is no image, is cut short, is animated, has more than 8 bits a channel, or more
        pixels than Pillow's limit.
      ImportError: Pillow is not installed.
    """
    return _decode(encoded, record_key, channels, None)


class EncodedImage:
    """An image that is decoded when its pixels are asked for: `np.asarray(image)`.

    Preprocessing that makes images smaller can ask for a JPEG in a half, a quarter or an eighth of
    its size, which takes a part of the time.

    Args:
      encoded: The content of the file.
      record_key: What errors call it.
      channels: As of `decode_image`.

    Attributes:
      record_key: As given.
      ndim: 3.
      dtype: uint8.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, encoded: bytes, record_key: str, channels: int = 3):
        self.record_key = record_key
        self._encoded = encoded
        self._channels = channels
        self._decoded: np.ndarray | None = None

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`; of a JPEG without decoding it.

        Raises:
          DataError: As `decode_image`.
        """
        if self._jpeg_size is None or not self._channels:
            return np.asarray(self).shape
        return (*self._jpeg_size, self._channels)

    @functools.cached_property
    def _jpeg_size(self) -> tuple[int, int] | None:
        return _jpeg_size(self._encoded)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._decoded is None:
            self._decoded = decode_image(self._encoded, self.record_key, self._channels)
        return np.array(self._decoded, dtype, copy=copy)

    def at_least(self, height: int, width: int) -> np.ndarray:
        """The image in the smallest size that is not below this one.

        A JPEG has its own, a half, a quarter and an eighth of it, rounded up; others their own.

        Raises:
          DataError: As `decode_image`.
        """
        rows, columns = self._jpeg_size or (0, 0)
        for divisor in (8, 4, 2):
            serves = -(-rows // divisor) >= height and -(-columns // divisor) >= width
            if serves and divisor <= min(rows, columns):
                return _decode(self._encoded, self.record_key, self._channels, divisor)
        return np.asarray(self)


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG that can be decoded in other sizes; None for all else."""
    if encoded[:3] != _JPEG:
        return None
    if (simplejpeg := _simplejpeg()) is not None:
        try:
            height, width, colorspace, _ = simplejpeg.decode_jpeg_header(encoded)
        except ValueError:
            return None
        return (height, width) if colorspace in ("YCbCr", "Gray", "RGB") else None
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as file:
            return (file.height, file.width) if file.mode in ("L", "RGB") else None
    except Exception:  # Who asks for the pixels hears of it.
        return None


def _decode(encoded: bytes, record_key: str, channels: int, divisor: int | None) -> np.ndarray:
    """`decode_image`, of a JPEG in a part of its size if a divisor is given."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            "reading image files needs Pillow, which is not installed; run: "
            "pip install 'jslim[cli]'"
        ) from error
    if channels and channels not in _MODES:
        raise ValueError(f"channels must be 0, 1, 3 or 4, got {channels}.")
    if (fast := _decode_jpeg(encoded, channels, Image.MAX_IMAGE_PIXELS, divisor)) is not None:
        return fast
    try:
        with Image.open(io.BytesIO(encoded)) as file:
            image: Image.Image = file
            # A photograph may have a small one of itself beside it; these have scenes.
            num_frames = getattr(file, "n_frames", 1)
            if file.format in _ANIMATED and num_frames > 1:
                raise ValueError(f"it is animated, with {num_frames} frames; one is wanted")
            # Only JPEGs can be read so; others are converted below.
            size = (file.width // divisor, file.height // divisor) if divisor else None
            if channels == 1 or divisor:
                file.draft("L" if channels == 1 else None, size)
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


def _decode_jpeg(
    encoded: bytes, channels: int, max_pixels: int | None, divisor: int | None = None
) -> np.ndarray | None:
    """A JPEG in grey or colours, if it is one without any fault; the rest is left to Pillow.

    That way it changes nothing but time: it takes harmless oddities for faults, and faults are to
    be said in the same words with and without it.
    """
    simplejpeg = _simplejpeg()
    if simplejpeg is None or channels not in (1, 3) or encoded[:3] != _JPEG:
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(encoded)
        if colorspace not in ("YCbCr", "Gray") or height * width > (max_pixels or math.inf):
            return None
        wanted = "GRAY" if channels == 1 else "RGB"
        options = {}
        if divisor:
            options = {"min_height": -(-height // divisor), "min_width": -(-width // divisor)}
        # Pillow and TensorFlow's INTEGER_ACCURATE have the exact transform and smooth upsampling.
        return simplejpeg.decode_jpeg(encoded, wanted, fastdct=False, fastupsample=False, **options)
    except ValueError:
        return None
