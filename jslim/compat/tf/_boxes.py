"""Boxes in images."""

import jax
import jax.numpy as jnp
import numpy as np

from jslim.compat.tf._op import Values, array, known, op
from jslim.core import checks


@op
def crop_and_resize(
    image: Values,
    boxes: Values,
    box_ind: Values | None = None,
    crop_size: Values | None = None,
    method: str = "bilinear",
    extrapolation_value: float = 0,
    name: str | None = None,
    box_indices: Values | None = None,
) -> jax.Array:
    """Cuts boxes `[y1, x1, y2, x2]`, in shares of the image, and resizes them by two corners.

    Places outside of the image have the `extrapolation_value`.
    """
    where = "tf.image.crop_and_resize"
    pixels, corners = array(image).astype(jnp.float32), array(boxes)
    owners = array(checks.given(where, "box_ind", box_indices if box_ind is None else box_ind))
    new = [int(n) for n in known(where, "crop_size", checks.given(where, "crop_size", crop_size))]
    checks.one_of(where, "method", method, ("bilinear", "nearest"))

    def places(low: jax.Array, high: jax.Array, length: int, count: int) -> jax.Array:
        if count == 1:
            return (0.5 * (low + high) * (length - 1))[:, None]
        step = (high - low) * (length - 1) / (count - 1)
        return (low * (length - 1))[:, None] + jnp.arange(count) * step[:, None]

    def nearest(at: jax.Array) -> jax.Array:
        return jnp.floor(at + 0.5).astype(jnp.int32)

    rows, columns = pixels.shape[1:3]
    ys = places(corners[:, 0], corners[:, 2], rows, new[0])
    xs = places(corners[:, 1], corners[:, 3], columns, new[1])

    def cut(owner: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
        own = pixels[owner]

        def at(row: jax.Array, column: jax.Array) -> jax.Array:
            return own[jnp.clip(row, 0, rows - 1)[:, None], jnp.clip(column, 0, columns - 1)]

        if method == "nearest":
            found = at(nearest(y), nearest(x))
        else:
            top, left = jnp.floor(y).astype(jnp.int32), jnp.floor(x).astype(jnp.int32)
            bottom, right = jnp.ceil(y).astype(jnp.int32), jnp.ceil(x).astype(jnp.int32)
            dy, dx = (y - top)[:, None, None], (x - left)[:, None]
            upper = at(top, left) * (1 - dx) + at(top, right) * dx
            lower = at(bottom, left) * (1 - dx) + at(bottom, right) * dx
            found = upper * (1 - dy) + lower * dy
        is_in = ((y >= 0) & (y <= rows - 1))[:, None] & ((x >= 0) & (x <= columns - 1))
        return jnp.where(is_in[..., None], found, extrapolation_value)

    return jax.vmap(cut)(owners, ys, xs)


def non_max_suppression(
    boxes: Values,
    scores: Values,
    max_output_size: int,
    iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
    name: str | None = None,
) -> np.ndarray:
    """The numbers of the boxes that overlap no better one by more than a share of their union.

    How many there are depends on the values, so both arrays must be known.

    Raises:
      ValueError: They depend on the inputs of a compiled function.
    """
    where = "tf.image.non_max_suppression"
    corners, values = known(where, "boxes", boxes), known(where, "scores", scores)
    y1, x1 = np.minimum(corners[:, :2], corners[:, 2:]).T
    y2, x2 = np.maximum(corners[:, :2], corners[:, 2:]).T
    areas = (y2 - y1) * (x2 - x1)
    chosen: list[int] = []
    for box in np.argsort(-values, kind="stable"):
        if len(chosen) == int(max_output_size) or values[box] <= score_threshold:
            break
        height = np.minimum(y2[box], y2[chosen]) - np.maximum(y1[box], y1[chosen])
        width = np.minimum(x2[box], x2[chosen]) - np.maximum(x1[box], x1[chosen])
        shared = np.clip(height, 0, None) * np.clip(width, 0, None)
        union = areas[box] + areas[chosen] - shared
        overlap = np.where(union > 0, shared / np.where(union > 0, union, 1), 0)
        if not (overlap > iou_threshold).any():
            chosen.append(int(box))
    return np.array(chosen, np.int32)
