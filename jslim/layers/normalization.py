"""Normalization of each example by itself, and biases as a layer of their own."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax

from jslim._arg_scope import add_arg_scope
from jslim.layers import _common, utils
from jslim.layers._common import (
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Parameters,
    Regularizer,
)
from jslim.model import Reuse, variable_scope


@add_arg_scope
def bias_add(
    inputs: jax.Array,
    activation_fn: Activation = None,
    initializer: Initializer = ZEROS,
    regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    scope: str | None = None,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """Adds a bias to each channel; can stand as a `normalizer_fn`.

    Args:
      inputs: `[batch, ..., channels]`, or `[batch, channels, height, width]` if NCHW.
      activation_fn: Function of the result; default none.
      initializer: For `biases`, `[channels]`; default zeros.
      regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for `biases`, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether `biases` are trained.
      data_format: 'NHWC' or 'NCHW'.
      scope: Name of the variable scope, default `BiasAdd`, made unique.
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What `biases` are stored in, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They have no channels, or are not of rank 4 if NCHW.
    """
    with variable_scope(scope, "BiasAdd", reuse=reuse) as sc:
        where = f"bias_add at {sc.name!r}"
        outputs = _common.as_floating(where, inputs, dtype)
        channels_first = _common.is_channels_first(where, data_format)
        if channels_first:
            _common.check_images(where, outputs, channels_first)
        if outputs.ndim < 2:
            raise ValueError(
                f"{where}: inputs must be [batch, ..., channels], got shape {outputs.shape}; add "
                "a batch axis"
            )
        channel_axis = 1 if channels_first else outputs.ndim - 1
        parameters = Parameters(outputs.dtype, param_dtype, trainable, variables_collections)
        shape = (outputs.shape[channel_axis],)
        biases = parameters("biases", shape, initializer, regularizer)
        outputs = _common.add_biases(outputs, biases, channel_axis)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


@add_arg_scope
def unit_norm(
    inputs: jax.Array, dim: int, epsilon: float = 1e-7, scope: str | None = None
) -> jax.Array:
    """Divides by the Euclidean norm over one axis: `inputs / sqrt(epsilon + sum(inputs ** 2))`.

    Half precision is computed in float32.

    Args:
      inputs: An array of known rank.
      dim: The axis, from 0 up to the rank.
      epsilon: Added to the sum of squares.
      scope: Name of the op, default `UnitNorm`.

    Returns:
      An array of the shape and dtype of `inputs`; zeros where they are all zero.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `dim` is negative or not below the rank.
    """
    where = f"unit_norm at {_common.op_name(scope, 'UnitNorm')!r}"
    array = _common.as_floating(where, inputs)
    if not 0 <= dim < array.ndim:
        raise ValueError(
            f"{where}: dim must be from 0 to {array.ndim - 1} for inputs of shape {array.shape}, "
            f"got {dim}"
        )
    exact = _common.cast(array, _common.at_least_float32(array.dtype))
    squares: Any = lax.reduce_sum(lax.square(exact), (dim,))
    scale = lax.rsqrt(lax.add(squares, lax.full_like(squares, epsilon)))
    others = [axis for axis in range(array.ndim) if axis != dim]
    outputs = lax.mul(exact, lax.broadcast_in_dim(scale, array.shape, others))
    return _common.cast(outputs, array.dtype)
