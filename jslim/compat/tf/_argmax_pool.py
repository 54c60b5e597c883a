"""A pool that also says where the largest pixels are, as ENet and SegNet undo their pools with."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._convolutions import Steps, spatial
from jslim.compat.tf._op import Values, array, dtype_of, op
from jslim.core import checks
from jslim.layers._windows import windows


@op
def max_pool_with_argmax(
    input: Values,
    ksize: Steps,
    strides: Steps,
    padding: str,
    data_format: str = "NHWC",
    Targmax: DTypeLike | None = None,
    name: str | None = None,
    output_dtype: DTypeLike | None = None,
    include_batch_in_index: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """The largest pixel of each window, and its place: `(row * width + column) * channels + c`.

    Of equal pixels it is the first one. The places are int32, which JAX has in the place of int64.
    """
    where = "tf.nn.max_pool_with_argmax"
    checks.one_of(where, "data_format", data_format, ("NHWC",))
    images = array(input)
    batch, height, width, channels = images.shape
    size, steps = (spatial(where, n, v, 2) for n, v in (("ksize", ksize), ("strides", strides)))
    placed = windows(where, (height, width), size, steps, padding)
    axes = [
        np.arange(count)[:, None] * step + np.arange(taps) - before
        for count, step, taps, (before, _) in zip(
            placed.count, steps, size, placed.padding, strict=True
        )
    ]
    rows, columns = np.broadcast_arrays(axes[0][:, None, :, None], axes[1][None, :, None, :])
    is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    places = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
    places = places.reshape(*placed.count, -1)  # [rows, columns, pixels of a window]
    is_inside = is_inside.reshape(places.shape)
    seen = images.reshape(batch, height * width, channels)[:, places]
    counted = jnp.where(is_inside[..., None], seen, -jnp.inf)
    best = jnp.argmax(counted, axis=3, keepdims=True)
    largest = jnp.take_along_axis(seen, best, axis=3)[:, :, :, 0]
    chosen = jnp.take_along_axis(
        jnp.broadcast_to(jnp.asarray(places)[None, ..., None], seen.shape), best, axis=3
    )
    index = chosen[:, :, :, 0] * channels + jnp.arange(channels)
    if include_batch_in_index:
        index += (jnp.arange(batch) * height * width * channels)[:, None, None, None]
    return largest, index.astype(dtype_of(output_dtype or Targmax or jnp.int32))
