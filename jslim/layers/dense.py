"""Fully connected layers."""

import functools
from collections.abc import Mapping, Sequence

import jax
from jax.typing import DTypeLike

from jslim.core.names import Reuse
from jslim.layers import _common, _lowering, activations
from jslim.layers._common import (
    XAVIER,
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Normalizer,
    Regularizer,
)
from jslim.layers._frame import Call, layer


@layer("fully_connected", computes_in_dtype=True)
def fully_connected(
    call: Call,
    inputs: jax.Array,
    num_outputs: int,
    activation_fn: Activation = activations.relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, object] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Multiplies the last axis by a matrix, then normalizer or biases, then activation.

    Inputs of a higher rank than 2 keep their other axes; `flatten` them first to connect all.

    Args:
      inputs: `[batch, ..., features]`.
      num_outputs: Number of output features.
      activation_fn: Function of the result, default ReLU; None for a linear layer.
      normalizer_fn: Called instead of adding biases, as `normalizer_fn(outputs, **params)`.
      normalizer_params: Arguments for it.
      weights_initializer: For `weights`, `[features, num_outputs]`; default Xavier uniform.
      weights_regularizer: Penalty on `weights`.
      biases_initializer: For `biases`, `[num_outputs]`; default zeros. None for no biases.
      biases_regularizer: Penalty on `biases`.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      scope: Name of the variable scope, default `fully_connected`, made unique.
      dtype: What to compute in, default that of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      `[batch, ..., num_outputs]`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They have no batch axis, or `num_outputs` is not a positive integer.
    """
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    features = call.features(call.floating(inputs))
    shape = (features.shape[-1], num_outputs)
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    return _lowering.multiply(features, weights)


# As in TF-Slim these are the layer with another default, which an arg_scope on it reaches.
linear = functools.partial(fully_connected, activation_fn=None)
relu = functools.partial(fully_connected, activation_fn=activations.relu)
relu6 = functools.partial(fully_connected, activation_fn=jax.nn.relu6)
elu = functools.partial(fully_connected, activation_fn=jax.nn.elu)
