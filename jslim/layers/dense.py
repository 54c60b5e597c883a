"""Fully connected layers."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jslim.core.arg_scope import add_arg_scope
from jslim.core.model import Reuse, variable_scope
from jslim.layers import _common, _lowering, activations, utils
from jslim.layers._common import (
    XAVIER,
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Normalizer,
    Parameters,
    Regularizer,
)


@add_arg_scope
def fully_connected(
    inputs: jax.Array,
    num_outputs: int,
    activation_fn: Activation = activations.relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, Any] | None = None,
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
    dtype: Any = None,
    param_dtype: Any = None,
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
    with variable_scope(scope, "fully_connected", reuse=reuse) as sc:
        where = f"fully_connected at {sc.name!r}"
        num_outputs = _common.check_num_outputs(where, num_outputs)
        features = _common.as_floating(where, inputs, dtype)
        if features.ndim < 2:
            raise ValueError(
                f"{where}: inputs must be [batch, ..., features], got shape {features.shape}; "
                "add a batch axis"
            )
        parameters = Parameters(features.dtype, param_dtype, trainable, variables_collections)
        shape = (features.shape[-1], num_outputs)
        weights = parameters("weights", shape, weights_initializer, weights_regularizer)
        outputs = _common.finish(
            _lowering.multiply(features, weights),
            parameters,
            features.ndim - 1,
            biases_initializer,
            biases_regularizer,
            normalizer_fn,
            normalizer_params,
            activation_fn,
        )
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


# As in TF-Slim these are the layer with another default, which an arg_scope on it reaches.
linear = functools.partial(fully_connected, activation_fn=None)
relu = functools.partial(fully_connected, activation_fn=activations.relu)
relu6 = functools.partial(fully_connected, activation_fn=jax.nn.relu6)
elu = functools.partial(fully_connected, activation_fn=jax.nn.elu)
