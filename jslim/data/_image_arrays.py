"""The check of arrays of images in data sets, NumPy files and prediction."""

import jax.numpy as jnp
import numpy as np

_MOST_CHANNELS = 4


def check_images(images: np.ndarray, where: str, *, in_255: bool) -> None:
    """Refuses images that would be misread.

    Args:
      images: `[..., height, width, channels]`.
      where: What errors call them.
      in_255: Whether their values must be in `[0, 255]`, as preprocessing takes them.

    Raises:
      ValueError: They are not numbers, hold NaN or infinity, seem to have the channels before the
        height, or have values in another range with `in_255`.
    """
    is_float = bool(jnp.issubdtype(images.dtype, jnp.floating))
    if not is_float and not np.issubdtype(images.dtype, np.integer):
        raise ValueError(
            f"{where}: images must be integers or floats, got {images.dtype}; convert them, as in "
            "images.astype(np.uint8)"
        )
    height, width, channels = images.shape[-3:]
    if height in (1, 3) and min(width, channels) > _MOST_CHANNELS:
        raise ValueError(
            f"{where}: images must be [height, width, channels], got {images.shape[-3:]}, where "
            "the channels seem to come first; move them, as in np.moveaxis(images, -3, -1)"
        )
    if images.dtype == np.uint8 or not images.size or not (is_float or in_255):
        return
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{where}: images have values that are NaN or infinite; correct them")
    if in_255 and (problem := _range_problem(low, high, is_float)):
        raise ValueError(
            f"{where}: images must have values from 0 to 255, got {low:.4g} to {high:.4g}; "
            f"{problem}, and give uint8 where these are the values that are meant"
        )


def _range_problem(low: float, high: float, is_float: bool) -> str | None:
    """The advice for values in that range; None if they can be values from 0 to 255.

    Resizing may put floats a little outside. An image of one value is plain black or grey.
    """
    if is_float and low < high and low >= 0 and high <= 1:
        return "multiply them by 255"
    if is_float and low < high and low < 0 and high < 16:
        return "undo the scaling that was made for another network"
    if low < (-64 if is_float else 0) or high > (320 if is_float else 255):
        return "scale them to that range"
    return None
