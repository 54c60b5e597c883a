"""Images as sequences of their columns, and back: for recurrent layers over images."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.layers import _common
from jslim.layers._frame import Call, layer


@layer("ImagesToSequence", names=_common.op_name)
def images_to_sequence(
    call: Call,
    inputs: jax.Array,
    data_format: str = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """Each row of an image as a sequence over its columns, time first.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      data_format: 'NHWC' or 'NCHW'.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `ImagesToSequence`.

    Returns:
      `[width, batch * height, channels]`.

    Raises:
      ValueError: The inputs are not images, or `data_format` is unknown.
    """
    images = call.images(jnp.asarray(inputs))
    columns = lax.transpose(images, (3, 0, 2, 1) if call.channels_first else (2, 0, 1, 3))
    width, batch, height, channels = columns.shape
    return lax.reshape(columns, (width, batch * height, channels))


@layer("SequenceToImages", names=_common.op_name)
def sequence_to_images(
    call: Call,
    inputs: jax.Array,
    height: int,
    output_data_format: str = "channels_last",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The images of `images_to_sequence` again.

    Args:
      inputs: `[width, batch * height, channels]`.
      height: The height of the images.
      output_data_format: 'channels_last' or 'channels_first'.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `SequenceToImages`.

    Returns:
      `[batch, height, width, channels]`, or `[batch, channels, height, width]`.

    Raises:
      ValueError: The inputs have another rank, `height` does not divide their second axis, or the
        format is unknown.
    """
    columns = jnp.asarray(inputs)
    checks.rank(call.where, "inputs", columns, "[width, batch * height, channels]")
    formats = ("channels_last", "channels_first")
    checks.one_of(call.where, "output_data_format", output_data_format, formats)
    height = _common.check_num_outputs(call.where, height, "height")
    width, rows, channels = columns.shape
    if rows % height:
        raise ValueError(
            f"{call.where}: height must divide the second axis of the inputs, got {height} and "
            f"shape {columns.shape}"
        )
    columns = lax.reshape(columns, (width, rows // height, height, channels))
    axes = (1, 2, 0, 3) if output_data_format == "channels_last" else (1, 3, 2, 0)
    return lax.transpose(columns, axes)
