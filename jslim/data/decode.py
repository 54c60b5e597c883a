"""Encoded image files to uint8 arrays, through Pillow, which is imported here alone.

Where simplejpeg is installed it decodes JPEGs, to the same pixels in two thirds of the time.
"""

import contextlib
import functools
import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from jslim.core.errors import DataError
from jslim.data._whole_images import has_too_many_scans, jpeg_end, png_is_short
from jslim.host.limits import IMAGE_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # of Pillow; its JPEGs include MPO

# Modes with more than 8 bits a channel are left out: Pillow would clip them, not scale them.
_EIGHT_BIT_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")

_ANIMATED = ("GIF", "PNG", "WEBP")  # the formats of Pillow that can be
_COUNTED = 1 << 18  # bytes of a file whose frames are counted, each of which takes time
_JPEG = b"\xff\xd8\xff"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by the number of channels


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
        pixels than `JSLIM_MAX_IMAGE_PIXELS` in the environment, by default 50,331,648.
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

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
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
    try:
        with open_image(encoded) as file:
            return (file.height, file.width) if file.mode in ("L", "RGB") else None
    except Exception:  # Who asks for the pixels hears of it.
        return None


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "reading image files needs Pillow, which is not installed; run: "
            "pip install 'jslim[cli]'"
        ) from error
    if IMAGE_PIXELS() > IMAGE_PIXELS.default:  # was raised, which is meant for Pillow too
        Image.MAX_IMAGE_PIXELS = max(IMAGE_PIXELS(), Image.MAX_IMAGE_PIXELS or 0)
    return Image


@contextlib.contextmanager
def open_image(encoded: bytes) -> Iterator["ImageFile"]:
    """The Pillow image of a file: of all that Pillow reads, in the formats alone that are named.

    For others it starts programs (Ghostscript), or reads code that is hardly used.

    Raises:
      Exception: Of many kinds; it is no such file, or has too many pixels.
    """
    image = _pillow()
    try:
        file = image.open(io.BytesIO(encoded), formats=FORMATS)
    except (image.DecompressionBombError, image.DecompressionBombWarning) as error:
        if (image.MAX_IMAGE_PIXELS or 0) < IMAGE_PIXELS():
            raise  # by a limit of who set Pillow's own
        raise ValueError(IMAGE_PIXELS.exceeded("it has too many pixels")) from error
    with file:
        # libwebp has three more copies of an image than the others.
        most = IMAGE_PIXELS() // (2 if file.format == "WEBP" else 1)
        if file.width * file.height > most:
            raise ValueError(
                f"it has {file.height} x {file.width} pixels, more than the limit of {most}; "
                f"{IMAGE_PIXELS.variable} raises it"
            )
        yield file


def _decode(encoded: bytes, record_key: str, channels: int, divisor: int | None) -> np.ndarray:
    """`decode_image`, of a JPEG in a part of its size if a divisor is given."""
    image = _pillow()
    if channels and channels not in MODES:
        raise ValueError(f"channels must be 0, 1, 3 or 4, got {channels}.")
    most = min(IMAGE_PIXELS(), image.MAX_IMAGE_PIXELS or math.inf)
    try:
        if encoded[:3] == _JPEG and has_too_many_scans(encoded):
            raise ValueError("it has hundreds of scans")
        if (fast := _decode_jpeg(encoded, channels, most, divisor)) is not None:
            return fast
        pixels = _decode_by_pillow(encoded, channels, divisor)
        # What is missing of a JPEG in one scan is grey; in several, it may be but detail.
        if encoded[:3] == _JPEG and ((pixels[-1, -1, :3] == 128).all() or b"\xff\xc2" in encoded):
            _check_jpeg_is_whole(encoded, pixels, channels, divisor)
        return pixels
    except DataError as error:
        raise DataError(f"image {record_key!r} {error}") from None
    except Exception as error:  # Pillow's decoders raise many kinds.
        is_unknown = type(error).__name__ == "UnidentifiedImageError"
        reason = "not a JPEG, PNG, WebP or BMP file" if is_unknown else error
        raise DataError(
            f"image {record_key!r} cannot be decoded ({reason}); replace or delete the file."
        ) from error


def _decode_by_pillow(encoded: bytes, channels: int, divisor: int | None) -> np.ndarray:
    with open_image(encoded) as file:
        # A photograph may have a small one of itself beside it; these have scenes.
        if file.format in _ANIMATED and getattr(file, "is_animated", False):
            frames = (
                f", with {getattr(file, 'n_frames', 0)} frames" if len(encoded) < _COUNTED else ""
            )
            raise ValueError(f"it is animated{frames}; one is wanted")
        # Only JPEGs can be read so; others are converted below.
        size = (file.width // divisor, file.height // divisor) if divisor else None
        if channels == 1 or divisor:
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
        raise DataError(f"has more than 8 bits a channel (mode {mode}); convert it to 8 bits.")
    # Pillow wants a transparent palette to be converted in two steps.
    if mode == "P" and (wanted != "RGB" or "transparency" in image.info):
        image = image.convert("RGBA")
    array = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return array if array.ndim == 3 else array[..., None]


def _num_channels(image: "PillowImage") -> int:
    """How many channels an image has of itself: a palette counts by what it holds."""
    if image.has_transparency_data:
        return 4
    return 1 if image.mode in ("1", "L") else 3


def _ends_in_zeros(image: "PillowImage") -> bool:
    """Whether Pillow may have left the last row of a loaded image empty."""
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or last_row.getbbox(alpha_only=False) is None


def _check_jpeg_is_whole(
    encoded: bytes, pixels: np.ndarray, channels: int, divisor: int | None
) -> None:
    """Refuses a JPEG whose data ends before its last block: libjpeg takes the rest for zeros.

    Bytes put before the end are skipped where the image is whole, and decoded where it is not.
    """
    end = jpeg_end(encoded)
    noise = bytes(range(1, 128)) * 4
    longer = encoded[:end] + noise + encoded[end:]
    if not np.array_equal(_decode_by_pillow(longer, channels, divisor), pixels):
        raise ValueError("it is cut short: blocks are missing at its end")


@functools.cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _decode_jpeg(
    encoded: bytes, channels: int, max_pixels: float | None, divisor: int | None = None
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
