"""Encoded image files to uint8 arrays, by Pillow, which only this file opens images with.

simplejpeg, where it is installed, decodes JPEGs to the same pixels in two thirds of the time.
"""

import contextlib
import functools
import io
import math
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from jslim.core.errors import DataError
from jslim.data._whole_images import has_too_many_scans, jpeg_end, png_is_short
from jslim.data.orientation import is_sideways, orientation_of, upright
from jslim.host.limits import IMAGE_PIXELS
from jslim.host.packages import needed

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # Pillow's names; its JPEGs include MPO

# Modes with more than 8 bits per channel are left out: Pillow would clip them, not scale them.
_EIGHT_BIT_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")

_ANIMATED = ("GIF", "PNG", "WEBP")  # formats that can be animated
_COUNTED = 1 << 18  # bytes; frames are counted only in smaller files, since counting takes time
_JPEG = b"\xff\xd8\xff"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's modes by the number of channels


def decode_image(
    encoded: bytes, record_key: str, channels: int = 3, *, apply_exif_orientation: bool = False
) -> np.ndarray:
    """The image in a JPEG, PNG, WebP or BMP file, as uint8 `[height, width, channels]`.

    Grey becomes three equal channels, transparency is dropped without blending, CMYK is converted.
    As in TensorFlow, a single channel of a JPEG in colours is its stored brightness, and the
    orientation in a photograph's EXIF data is ignored, unless it is asked for. JPEG pixels equal
    those of TensorFlow's `dct_method='INTEGER_ACCURATE'`.

    Args:
      encoded: The content of the file.
      record_key: What errors call the image.
      channels: 1 for grey, 3 for colours, 4 with transparency (255 where the image has none), or 0
        for as many of these as the image has.
      apply_exif_orientation: Whether to turn and mirror the image by its EXIF orientation, as
        Pillow's `ImageOps.exif_transpose` does.

    Raises:
      ValueError: `channels` is another number.
      DataError: It is not an image, is cut short, is animated, has more than 8 bits per channel, or
        more pixels than `JSLIM_MAX_IMAGE_PIXELS` in the environment, by default 50,331,648.
      ImportError: Pillow is not installed.
    """
    pixels = _decode(encoded, record_key, channels)
    return upright(pixels, orientation_of(encoded)) if apply_exif_orientation else pixels


class EncodedImage:
    """An image that is decoded when its pixels are asked for: `np.asarray(image)`.

    Preprocessing that makes images smaller can decode a JPEG in a half, a quarter or an eighth of
    its size, in less time.

    Args:
      encoded: The content of the file.
      record_key: What errors call the image.
      channels, apply_exif_orientation: See `decode_image`.

    Attributes:
      record_key: As given.
      apply_exif_orientation: As given.
      ndim: 3.
      dtype: uint8.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        encoded: bytes,
        record_key: str,
        channels: int = 3,
        *,
        apply_exif_orientation: bool = False,
    ):
        self.record_key = record_key
        self.apply_exif_orientation = apply_exif_orientation
        self._encoded = encoded
        self._channels = channels
        self._decoded: np.ndarray | None = None

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`; a JPEG is not decoded for it.

        Raises:
          DataError: As `decode_image`.
        """
        if self._jpeg_size is None or not self._channels:
            return np.asarray(self).shape
        rows, columns = self._jpeg_size
        return (columns, rows, self._channels) if self._turns else (rows, columns, self._channels)

    @functools.cached_property
    def orientation(self) -> int:
        """The EXIF orientation in the file, 1 to 8."""
        return orientation_of(self._encoded)

    @property
    def has_unapplied_orientation(self) -> bool:
        """Whether it carries an EXIF orientation that is not applied."""
        return not self.apply_exif_orientation and self.orientation != 1

    @property
    def _turns(self) -> bool:
        """Whether the image is as high as the file's is wide."""
        return self.apply_exif_orientation and is_sideways(self.orientation)

    @functools.cached_property
    def _jpeg_size(self) -> tuple[int, int] | None:
        return _jpeg_size(self._encoded)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if self._decoded is None:
            self._decoded = self._in_part(1)
        return np.array(self._decoded, dtype, copy=copy)

    def at_least(self, height: int, width: int) -> np.ndarray:
        """The image in its smallest size of at least this height and width.

        The sizes of a JPEG are its own, a half, a quarter and an eighth, rounded up; other formats
        have only their own.

        Raises:
          DataError: As `decode_image`.
        """
        rows, columns = self._jpeg_size or (0, 0)
        height, width = (width, height) if self._turns else (height, width)
        for divisor in (8, 4, 2):
            serves = -(-rows // divisor) >= height and -(-columns // divisor) >= width
            if serves and divisor <= min(rows, columns):
                return self._in_part(divisor)
        return np.asarray(self)

    def _in_part(self, divisor: int) -> np.ndarray:
        """The image with height and width divided."""
        pixels = _decode(self._encoded, self.record_key, self._channels, divisor)
        return upright(pixels, self.orientation) if self.apply_exif_orientation else pixels


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG that can be decoded in other sizes; None for other files."""
    if encoded[:3] != _JPEG:
        return None
    try:
        if (simplejpeg := _simplejpeg()) is not None:
            height, width, colorspace, _ = simplejpeg.decode_jpeg_header(encoded)
            return (height, width) if colorspace in ("YCbCr", "Gray", "RGB") else None
        with open_image(encoded) as file:
            return (file.height, file.width) if file.mode in ("L", "RGB") else None
    except Exception:  # decoding the pixels raises it again
        return None


def _pillow() -> types.ModuleType:
    with needed("Pillow", "reading image files"):
        from PIL import Image
    if IMAGE_PIXELS() > IMAGE_PIXELS.default:  # whoever raises our limit wants Pillow's raised too
        Image.MAX_IMAGE_PIXELS = max(IMAGE_PIXELS(), Image.MAX_IMAGE_PIXELS or 0)
    return Image


@contextlib.contextmanager
def open_image(encoded: bytes) -> Iterator["ImageFile"]:
    """The Pillow image of a file in one of `FORMATS`.

    For other formats Pillow starts programs (Ghostscript) or runs code that is hardly ever used.

    Raises:
      Exception: Of many kinds; it is not such a file, or has too many pixels.
    """
    image = _pillow()
    try:
        file = image.open(io.BytesIO(encoded), formats=FORMATS)
    except (image.DecompressionBombError, image.DecompressionBombWarning) as error:
        if (image.MAX_IMAGE_PIXELS or 0) < IMAGE_PIXELS():
            raise  # the program has set a lower limit in Pillow
        raise ValueError(IMAGE_PIXELS.exceeded("it has too many pixels")) from error
    with file:
        # libwebp holds three more copies of an image than the other libraries.
        most = IMAGE_PIXELS() // (2 if file.format == "WEBP" else 1)
        if file.width * file.height > most:
            raise ValueError(
                f"it has {file.height} x {file.width} pixels, more than the limit of {most}; "
                f"{IMAGE_PIXELS.variable} raises it"
            )
        yield file


def _decode(encoded: bytes, record_key: str, channels: int, divisor: int = 1) -> np.ndarray:
    """`decode_image`, with height and width of a JPEG divided by 1, 2, 4 or 8."""
    image = _pillow()
    if channels and channels not in MODES:
        raise ValueError(f"channels must be 0, 1, 3 or 4, got {channels}")
    most = min(IMAGE_PIXELS(), image.MAX_IMAGE_PIXELS or math.inf)
    try:
        if encoded[:3] == _JPEG and has_too_many_scans(encoded):
            raise ValueError("it has hundreds of scans")
        if (fast := _decode_jpeg(encoded, channels, most, divisor)) is not None:
            return fast
        pixels = _decode_by_pillow(encoded, channels, divisor)
        # A missing part of a JPEG in one scan is grey; in several scans it may be only detail.
        if encoded[:3] == _JPEG and ((pixels[-1, -1, :3] == 128).all() or b"\xff\xc2" in encoded):
            _check_jpeg_is_whole(encoded, pixels, channels, divisor)
        return pixels
    except DataError as error:
        raise DataError(f"image {record_key!r} {error}") from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        is_unknown = type(error).__name__ == "UnidentifiedImageError"
        reason = "not a JPEG, PNG, WebP or BMP file" if is_unknown else error
        raise DataError(
            f"image {record_key!r} cannot be decoded ({reason}); replace or delete the file"
        ) from error


def _decode_by_pillow(encoded: bytes, channels: int, divisor: int) -> np.ndarray:
    with open_image(encoded) as file:
        # The frames of a photograph (MPO) may be the photograph and a small copy of it.
        if file.format in _ANIMATED and getattr(file, "is_animated", False):
            frames = (
                f", with {getattr(file, 'n_frames', 0)} frames" if len(encoded) < _COUNTED else ""
            )
            raise ValueError(f"it is animated{frames}; one is wanted")
        # Of effect for JPEGs; other formats are converted below.
        if channels == 1 or divisor > 1:
            size = (file.width // divisor, file.height // divisor)
            file.draft("L" if channels == 1 else None, size)
        file.load()
        if file.format == "PNG" and _ends_in_zeros(file) and png_is_short(encoded):
            raise ValueError("it is cut short: rows are missing at its end")
        return pixels_of(file, channels)


def pixels_of(image: "PillowImage", channels: int = 3) -> np.ndarray:
    """The uint8 array `[height, width, channels]` of a Pillow image; see `decode_image`.

    Raises:
      DataError: It has more than 8 bits a channel.
    """
    mode = image.mode
    wanted = MODES[channels or _num_channels(image)]
    if mode not in _EIGHT_BIT_MODES:
        raise DataError(f"has more than 8 bits a channel (mode {mode}); convert it to 8 bits")
    # Pillow converts a transparent palette correctly only in two steps.
    if mode == "P" and (wanted != "RGB" or "transparency" in image.info):
        image = image.convert("RGBA")
    array = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return array if array.ndim == 3 else array[..., None]


def _num_channels(image: "PillowImage") -> int:
    """The channels of the image itself; a palette has those of its colours."""
    if image.has_transparency_data:
        return 4
    return 1 if image.mode in ("1", "L") else 3


def _ends_in_zeros(image: "PillowImage") -> bool:
    """Whether Pillow may have left the last row of a loaded image empty."""
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or last_row.getbbox(alpha_only=False) is None


def _check_jpeg_is_whole(encoded: bytes, pixels: np.ndarray, channels: int, divisor: int) -> None:
    """Refuses a JPEG whose data ends before its last block: libjpeg takes the rest for zeros.

    Bytes inserted before the end are skipped if the image is whole, and decoded if it is not.
    """
    end = jpeg_end(encoded)
    noise = bytes(range(1, 128)) * 4
    longer = encoded[:end] + noise + encoded[end:]
    if not np.array_equal(_decode_by_pillow(longer, channels, divisor), pixels):
        raise ValueError("it is cut short: blocks are missing at its end")


@functools.cache
def _simplejpeg() -> types.ModuleType | None:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _decode_jpeg(
    encoded: bytes, channels: int, most_pixels: float, divisor: int
) -> np.ndarray | None:
    """The pixels of a faultless JPEG in grey or colours; None for all others, left to Pillow.

    So simplejpeg, which takes harmless oddities for faults, changes only the time, and errors have
    the same words with and without it.
    """
    simplejpeg = _simplejpeg()
    if simplejpeg is None or channels not in (1, 3) or encoded[:3] != _JPEG:
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(encoded)
        if colorspace not in ("YCbCr", "Gray") or height * width > most_pixels:
            return None
        return simplejpeg.decode_jpeg(
            encoded,
            "GRAY" if channels == 1 else "RGB",
            # As Pillow and TensorFlow's INTEGER_ACCURATE: exact transform, smooth upsampling.
            fastdct=False,
            fastupsample=False,
            min_height=-(-height // divisor),
            min_width=-(-width // divisor),
        )
    except ValueError:
        return None
