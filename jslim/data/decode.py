"""Encoded image files to uint8 arrays, through Pillow, which is imported here alone."""

import io

import numpy as np

from jslim._errors import DataError

# Modes with more than 8 bits a channel are left out: Pillow would clip them, not scale them.
_EIGHT_BIT_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


def decode_image(encoded: bytes, record_key: str) -> np.ndarray:
    """The image in a JPEG, PNG, WebP or BMP file, as uint8 `[height, width, 3]` in `[0, 255]`.

    Grey becomes three equal channels, transparency is dropped without blending, CMYK is converted.
    As in TensorFlow, the orientation in a photograph's EXIF data is ignored, so the pixels are
    those that are stored. JPEG pixels equal TensorFlow's `dct_method='INTEGER_ACCURATE'`.

    Args:
      encoded: The content of the file.
      record_key: What errors call it.

    Raises:
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
    try:
        with Image.open(io.BytesIO(encoded)) as file:
            image: Image.Image = file
            mode = image.mode
            if mode == "P":  # Pillow wants a transparent palette to be converted in two steps.
                image = image.convert("RGBA")
            if mode in _EIGHT_BIT_MODES:
                return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise many kinds.
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "not a JPEG, PNG, WebP or BMP file" if is_unknown else error
        raise DataError(
            f"image {record_key!r} cannot be decoded ({reason}); replace or delete the file."
        ) from error
    raise DataError(
        f"image {record_key!r} has more than 8 bits a channel (mode {mode}); convert it to 8 bits."
    )
