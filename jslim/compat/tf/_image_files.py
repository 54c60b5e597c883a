"""Files and images in them, read and decoded at once: arrays of NumPy."""

from typing import Any

import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._examples import bytes_of
from jslim.compat.tf._op import Constant
from jslim.core import checks
from jslim.data.decode import decode_image as _decoded
from jslim.host.files import read_regular
from jslim.host.limits import IMAGE_BYTES
from jslim.host.paths import as_path


def read_file(filename: str | bytes, name: str | None = None) -> bytes:
    """The bytes of a file or of an object in a store, of at most `JSLIM_MAX_IMAGE_BYTES`.

    Raises:
      OSError: There is no such file, or it is larger.
    """
    held: Any = filename.item() if isinstance(filename, np.ndarray) else filename
    path = held.decode() if isinstance(held, bytes) else held
    return read_regular(as_path(path, "tf.read_file"), IMAGE_BYTES)


def decode_image(
    contents: bytes,
    channels: int | None = None,
    dtype: DTypeLike = np.uint8,
    name: str | None = None,
    expand_animations: bool = True,
) -> Constant:
    """The pixels of a JPEG, PNG, WebP or BMP file, uint8 `[height, width, channels]`.

    Those of a JPEG are TensorFlow's with `dct_method='INTEGER_ACCURATE'`.

    Args:
      contents: The bytes of the file.
      channels: 1, 3 or 4; None or 0 for those of the image.
      dtype: `tf.uint8`.
      name, expand_animations: Ignored.

    Raises:
      ScopeError: They are no bytes: they come from a queue or a function that is compiled.
      ValueError: Another number of channels or type is asked for.
      DataError: It is not an image, is cut short, is animated, or is too large.
    """
    where = "tf.image.decode_image"
    if np.dtype(dtype) != np.uint8:
        hint = "cast what it gives, as tf.image.convert_image_dtype does"
        raise checks.refusal(where, "dtype", "tf.uint8", str(np.dtype(dtype)), hint)
    return _decoded(bytes_of(where, contents), "contents", channels or 0).view(Constant)


def decode_jpeg(
    contents: bytes,
    channels: int = 0,
    ratio: int = 1,
    fancy_upscaling: bool = True,
    try_recover_truncated: bool = False,
    acceptable_fraction: float = 1,
    dct_method: str = "",
    name: str | None = None,
) -> Constant:
    """`decode_image`; of the arguments only `channels` has an effect, and `ratio` must be 1."""
    checks.one_of("tf.image.decode_jpeg", "ratio", ratio, (1,), "1")
    return decode_image(contents, channels)


def decode_png(
    contents: bytes, channels: int = 0, dtype: DTypeLike = np.uint8, name: str | None = None
) -> Constant:
    """`decode_image`."""
    return decode_image(contents, channels, dtype)
