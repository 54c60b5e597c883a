"""The fully connected layers of TF-Slim before 1.0, for programs and checkpoints of that time."""

import functools
from collections.abc import Sequence

import jax

from jslim.core.names import GLOBAL
from jslim.layers import _common, _lowering
from jslim.layers._common import XAVIER, ZEROS, Activation, Initializer, Regularizer
from jslim.layers._frame import Call, layer
from jslim.layers.activations import relu
from jslim.variables import variable


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
      ValueError: It has no batch axis, or `num_output_units` is not a positive integer.
    """
    num_outputs = _common.check_num_outputs(call.where, num_output_units)
    features = call.features(call.floating(x))

    def make(
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer,
        regularizer: Regularizer,
        collections: Sequence[str] | None,
    ) -> jax.Array:
        value = variable(
            name,
            shape,
            _common.at_least_float32(features.dtype),
            initializer,
            regularizer,
            trainable=trainable,
            collections=[GLOBAL, *(collections or ())],
        )
        return _common.cast(value, features.dtype)

    shape = (features.shape[-1], num_outputs)
    weights = make("weights", shape, weight_init, weight_regularizer, weight_collections)
    outputs = _lowering.multiply(features, weights)
    if bias_init is None:
        return outputs
    bias = make("bias", (num_outputs,), bias_init, bias_regularizer, bias_collections)
    return _common.add_biases(outputs, bias, outputs.ndim - 1)


legacy_linear = legacy_fully_connected
legacy_relu = functools.partial(legacy_fully_connected, activation_fn=relu)
