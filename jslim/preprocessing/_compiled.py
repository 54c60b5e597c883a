"""The inner loop of bilinear resizing, compiled by numba where that is installed."""

import itertools
import threading
from collections.abc import Callable

import numpy as np

# Importing numba and compiling take about as long as NumPy loses on so many images.
IMAGES_BEFORE = 5_000

_asked = itertools.count()
_lock = threading.Lock()
_made: list[Callable[..., np.ndarray] | None] = []


def compiled_blend() -> Callable[..., np.ndarray] | None:
    """`_blend` as machine code for images of uint8, from the `IMAGES_BEFORE`th call on.

    It takes two fifths of the time of NumPy, which goes over its arrays in memory for each step,
    and rounds alike.

    Returns:
      None before that call, in other threads while one of them compiles, and where numba cannot be
      imported.
    """
    if _made:
        return _made[0]
    if next(_asked) < IMAGES_BEFORE or not _lock.acquire(blocking=False):
        return None
    try:
        if not _made:  # another thread may have just ended
            _made.append(_compile())
    finally:
        _lock.release()
    return _made[0]


def _compile() -> Callable[..., np.ndarray] | None:
    try:
        import numba
    except ImportError:  # also where numba does not know so new a NumPy
        return None
    lines = numba.types.Array(numba.uint8, 2, "A", readonly=True)  # any strides, writable or not
    places, weights = numba.int64[::1], numba.float32[::1]
    arguments = (lines, places, places, weights, places, places, weights)
    return numba.njit(numba.float32[:, ::1](*arguments), nogil=True)(_blend)


def _blend(
    lines: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    y_weight: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    x_weight: np.ndarray,
) -> np.ndarray:
    """Interpolates between rows, then between columns.

    Args:
      lines: The image, uint8 `[in_height, in_width * channels]`.
      upper, lower: For each row of the result two rows of the image, int64 `[height]`.
      y_weight: For each row of the result the weight of `lower`, float32 `[height]`.
      left, right, x_weight: The same for each value of a row, `[width * channels]`.

    Returns:
      float32 `[height, width * channels]`.
    """
    result = np.empty((len(upper), len(left)), np.float32)
    line = np.empty(lines.shape[1], np.float32)
    for row in range(len(upper)):
        above, below, weight = lines[upper[row]], lines[lower[row]], y_weight[row]
        for place in range(len(line)):
            first = np.float32(above[place])
            line[place] = first + (np.float32(below[place]) - first) * weight
        for place in range(len(left)):
            # Unsigned: numba need not look whether they count from the end.
            first = line[np.uint64(left[place])]
            second = line[np.uint64(right[place])]
            result[row, place] = first + (second - first) * x_weight[place]
    return result
