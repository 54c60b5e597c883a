"""Layers without variables: dropout, flatten, one-hot encoding, softmax, images as sequences.

They also work outside a model function, except dropout in training, which needs a model's
random state.
"""

import math
import numbers
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.core.access import make_rng
from jslim.core.seeds import mixed_into
from jslim.layers import _common
from jslim.layers._frame import Call, layer
from jslim.layers._types import Names


@layer("Dropout", names=_common.scope_name)
def dropout(
    call: Call,
    inputs: jax.Array,
    keep_prob: float | jax.Array = 0.5,
    noise_shape: Sequence[int | None] | None = None,
    is_training: bool = True,
    outputs_collections: Names = None,
    scope: str | None = None,
    seed: int | None = None,
) -> jax.Array:
    """Sets random elements to zero in training and scales the others up by `1 / keep_prob`.

    Differs from TF-Slim: the key comes from the stream 'dropout' of `apply(..., rngs=)`, and is
    another one for each dropout of a model; a `seed` is mixed into it.

    Args:
      inputs: An array of any shape.
      keep_prob: Probability that an element is kept, above 0 and at most 1. A scalar array, as
        from a schedule, is not checked.
      noise_shape: Shape of the random mask, which is broadcast to that of `inputs`: 1 for one draw
        for the whole axis, None for a draw for each of its elements. Default: all of them.
      is_training: False returns `inputs`. Note the default of True.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `Dropout`.
      seed: Another seed gives other masks from the same key. The masks still differ by step.

    Returns:
      An array of the shape and dtype of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point, or `is_training` is traced.
      ValueError: `keep_prob` is out of range, or `noise_shape` does not fit.
      ScopeError: There is no random state: `apply` was not given `rngs={'dropout': key}`.

    >>> dropout(jnp.array([1.0, 2.0]), is_training=False).tolist()
    [1.0, 2.0]
    """
    outputs = call.floating(inputs)
    is_array = isinstance(keep_prob, jax.Array)
    is_number = isinstance(keep_prob, numbers.Real) or np.shape(keep_prob) == ()
    if not is_number or (not is_array and not 0 < keep_prob <= 1):
        raise ValueError(
            f"{call.where}: keep_prob is the probability of keeping, above 0 and at most 1, got "
            f"{keep_prob!r}"
        )
    is_random = _common.static_bool(call.where, "is_training", is_training)
    if not is_random or (not is_array and keep_prob == 1):
        return outputs
    shape = _mask_shape(call.where, outputs.shape, noise_shape)
    key = make_rng("dropout", "dropout")
    if seed is not None:
        key = mixed_into(key, seed, f"{call.where}: seed")
    is_kept = jax.random.bernoulli(key, keep_prob, shape)
    is_kept = lax.broadcast_in_dim(is_kept, outputs.shape, range(outputs.ndim))
    scaled = lax.div(outputs, lax.full_like(outputs, keep_prob))
    return lax.select(is_kept, scaled, lax.full_like(outputs, 0))


def _mask_shape(
    where: str, shape: tuple[int, ...], noise_shape: Sequence[int | None] | None
) -> tuple[int, ...]:
    if noise_shape is None:
        return shape
    mask_shape = tuple(
        axis if drawn is None else drawn for axis, drawn in zip(shape, noise_shape, strict=False)
    )
    fits = len(noise_shape) == len(shape) and all(
        drawn in (1, axis) for axis, drawn in zip(shape, mask_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{where}: noise_shape must hold for each axis of {shape} that length, 1 or None, got "
            f"{tuple(noise_shape)}"
        )
    return mask_shape


@layer("Flatten", names=_common.op_name)
def flatten(
    call: Call,
    inputs: jax.Array,
    outputs_collections: Names = None,
    scope: str | None = None,
) -> jax.Array:
    """Merges all axes but the first into one, in row-major order.

    Args:
      inputs: `[batch, ...]`.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `Flatten`.

    Returns:
      `[batch, features]`; `[batch, 1]` for a vector.

    Raises:
      ValueError: `inputs` are a scalar.

    >>> flatten(jnp.ones((2, 3, 4))).shape
    (2, 12)
    """
    array = checks.numbers_in(call.where, "inputs", inputs)
    checks.rank(call.where, "inputs", array, "[batch, ...]", "add a batch axis")
    return lax.reshape(array, (array.shape[0], math.prod(array.shape[1:])))


@layer("OneHotEncoding", names=_common.op_name)
def one_hot_encoding(
    call: Call,
    labels: jax.Array,
    num_classes: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: Names = None,
    scope: str | None = None,
) -> jax.Array:
    """Turns class numbers into rows that are `on_value` at the class and `off_value` elsewhere.

    Args:
      labels: Integers in `[0, num_classes)`, of any shape. As in TF-Slim, the row of another label
        is `off_value` throughout.
      num_classes: Number of classes.
      on_value: Value at the label.
      off_value: Value elsewhere.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `OneHotEncoding`.

    Returns:
      `[*labels.shape, num_classes]`, float32.

    Raises:
      TypeError: `labels` are not integers.
      ValueError: `num_classes` is not a positive integer.

    >>> one_hot_encoding(jnp.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    classes = checks.numbers_in(call.where, "labels", labels)
    hint = "they are the numbers of the classes: convert them with labels.astype('int32')"
    checks.integers(call.where, "labels", classes, hint=hint)
    count = checks.positive_integer(call.where, "num_classes", num_classes)
    is_label = jax.nn.one_hot(classes.astype(jnp.int32), count, dtype=bool)
    return jnp.where(is_label, jnp.float32(on_value), jnp.float32(off_value))


@layer("softmax", names=_common.scope_name)
def softmax(call: Call, logits: jax.Array, scope: str | None = None) -> jax.Array:
    """Probabilities from logits, over the last axis.

    Half precision is computed in float32.

    Args:
      logits: `[batch, ..., num_classes]`.
      scope: Name of the op, default `softmax`.

    Returns:
      Probabilities of the shape and dtype of `logits`.

    Raises:
      TypeError: `logits` are not floating point.
      ValueError: `logits` have no batch axis.

    >>> softmax(jnp.array([[2.0, 2.0, 2.0, 2.0]])).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    array = call.exact(logits)
    checks.rank(call.where, "logits", array, "[batch, ..., num_classes]", "add a batch axis")
    return jax.nn.softmax(array)


@layer("ImagesToSequence", names=_common.op_name)
def images_to_sequence(
    call: Call,
    inputs: jax.Array,
    data_format: str = "NHWC",
    outputs_collections: Names = None,
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

    >>> images_to_sequence(jnp.array([[[[1], [2], [3]], [[4], [5], [6]]]]))[..., 0].tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    images = call.images(checks.numbers_in(call.where, "inputs", inputs))
    columns = lax.transpose(images, (3, 0, 2, 1) if call.channels_first else (2, 0, 1, 3))
    width, batch, height, channels = columns.shape
    return lax.reshape(columns, (width, batch * height, channels))


@layer("SequenceToImages", names=_common.op_name)
def sequence_to_images(
    call: Call,
    inputs: jax.Array,
    height: int,
    output_data_format: str = "channels_last",
    outputs_collections: Names = None,
    scope: str | None = None,
) -> jax.Array:
    """The inverse of `images_to_sequence`.

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

    >>> sequence_to_images(jnp.array([[[1], [4]], [[2], [5]], [[3], [6]]]), 2)[0, ..., 0].tolist()
    [[1, 2, 3], [4, 5, 6]]
    """
    columns = checks.numbers_in(call.where, "inputs", inputs)
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
