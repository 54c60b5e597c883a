"""Fully connected layers, also those of TF-Slim before 1.0 for old programs and checkpoints."""

import functools
from collections.abc import Mapping, Sequence

import jax
from jax.typing import DTypeLike

from jslim.core.names import GLOBAL, Reuse
from jslim.layers import _common, _defaults, _lowering
from jslim.layers._defaults import XAVIER, ZEROS
from jslim.layers._frame import Call, layer
from jslim.layers._types import Activation, Collections, Initializer, Names, Normalizer, Regularizer
from jslim.variables import variable


@layer("fully_connected", computes_in_dtype=True)
def fully_connected(
    call: Call,
    inputs: jax.Array,
    num_outputs: int,
    activation_fn: Activation = _defaults.relu,
    normalizer_fn: Normalizer = None,
    normalizer_params: Mapping[str, object] | None = None,
    weights_initializer: Initializer = XAVIER,
    weights_regularizer: Regularizer = None,
    biases_initializer: Initializer = ZEROS,
    biases_regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: Names = None,
    trainable: bool = True,
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Multiplies the last axis by a matrix, then normalizer or biases, then activation.

    Inputs of rank 3 and more keep their other axes. `flatten` them first to connect all features.

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
      dtype: Dtype of the computation, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      `[batch, ..., num_outputs]`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` have no batch axis, or `num_outputs` is not a positive integer.

    >>> import jax.numpy as jnp
    >>> import jslim as slim
    >>> model = slim.Model(
    ...     lambda x: fully_connected(x, 2, weights_initializer=slim.ones_initializer())
    ... )
    >>> model.init_with_output(jax.random.key(0), jnp.array([[1.0, 2.0]]))[0].tolist()
    [[3.0, 3.0]]
    """
    num_outputs = _common.check_num_outputs(call.where, num_outputs)
    features = call.features(call.floating(inputs))
    shape = (features.shape[-1], num_outputs)
    weights = call.parameter("weights", shape, weights_initializer, weights_regularizer)
    return _lowering.multiply(features, weights)


# `fully_connected` with another activation or none. As in TF-Slim its arg_scope reaches these.
linear = functools.partial(fully_connected, activation_fn=None)
relu = functools.partial(fully_connected, activation_fn=_defaults.relu)
relu6 = functools.partial(fully_connected, activation_fn=jax.nn.relu6)
elu = functools.partial(fully_connected, activation_fn=jax.nn.elu)


@layer("fully_connected", is_arg_scoped=False)
def legacy_fully_connected(
    call: Call,
    x: jax.Array,
    num_output_units: int,
    activation_fn: Activation = None,
    weight_init: Initializer = XAVIER,
    bias_init: Initializer = ZEROS,
    name: str | None = None,
    weight_collections: Sequence[str] = ("weights",),
    bias_collections: Sequence[str] = ("biases",),
    output_collections: Sequence[str] = ("activations",),
    trainable: bool = True,
    weight_regularizer: Regularizer = None,
    bias_regularizer: Regularizer = None,
) -> jax.Array:
    """Multiplies the last axis by a matrix, adds `bias`, then the activation.

    Its variables are `weights` and `bias` (not `biases`), and are not model variables. The layer
    cannot be listed in an `arg_scope`.

    Args:
      x: `[batch, ..., features]`.
      num_output_units: Number of output features.
      activation_fn: Function of the result; default none.
      weight_init: For `weights`, `[features, num_output_units]`; default Xavier uniform.
      bias_init: For `bias`, `[num_output_units]`; default zeros. None for no bias.
      name: Name of the variable scope, default `fully_connected`, made unique.
      weight_collections: Collections that `weights` is added to.
      bias_collections: Collections that `bias` is added to.
      output_collections: Collections that the result is added to.
      trainable: Whether the variables are trained.
      weight_regularizer: Penalty on `weights`.
      bias_regularizer: Penalty on `bias`.

    Returns:
      `[batch, ..., num_output_units]`.

    Raises:
      TypeError: `x` is not floating point.
      ValueError: `x` has no batch axis, or `num_output_units` is not a positive integer.
    """
    num_outputs = _common.check_num_outputs(call.where, num_output_units)
    features = call.features(call.floating(x))

    dtype = features.dtype
    make = functools.partial(variable, dtype=_common.at_least_float32(dtype), trainable=trainable)
    weights = make(
        "weights",
        (features.shape[-1], num_outputs),
        initializer=weight_init,
        regularizer=weight_regularizer,
        collections=[GLOBAL, *(weight_collections or ())],
    )
    outputs = _lowering.multiply(features, _common.cast(weights, dtype))
    if bias_init is None:
        return outputs
    bias = make(
        "bias",
        (num_outputs,),
        initializer=bias_init,
        regularizer=bias_regularizer,
        collections=[GLOBAL, *(bias_collections or ())],
    )
    return _common.add_biases(outputs, _common.cast(bias, dtype), outputs.ndim - 1)


legacy_linear = legacy_fully_connected
# `legacy_fully_connected` with ReLU.
legacy_relu = functools.partial(legacy_fully_connected, activation_fn=_defaults.relu)
