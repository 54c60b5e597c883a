"""The fully connected layers of TF-Slim before 1.0, for programs and checkpoints of that time."""

import functools
from collections.abc import Sequence

import jax

from jslim.core.model import GLOBAL, variable_scope
from jslim.layers import _common, _lowering, utils
from jslim.layers._common import XAVIER, ZEROS, Activation, Initializer, Regularizer
from jslim.layers.activations import relu
from jslim.variables import variable


def legacy_fully_connected(
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
    with variable_scope(name, "fully_connected") as sc:
        where = f"legacy_fully_connected at {sc.name!r}"
        num_outputs = _common.check_num_outputs(where, num_output_units)
        features = _common.as_floating(where, x)
        if features.ndim < 2:
            raise ValueError(
                f"{where}: inputs must be [batch, ..., features], got shape {features.shape}; "
                "add a batch axis"
            )
        dtype = _common.at_least_float32(features.dtype)
        weights = variable(
            "weights",
            (features.shape[-1], num_outputs),
            dtype,
            weight_init,
            weight_regularizer,
            trainable,
            [GLOBAL, *(weight_collections or ())],
        )
        outputs = _lowering.multiply(features, _common.cast(weights, features.dtype))
        if bias_init is not None:
            collections = [GLOBAL, *(bias_collections or ())]
            bias = variable(
                "bias", (num_outputs,), dtype, bias_init, bias_regularizer, trainable, collections
            )
            bias = _common.cast(bias, features.dtype)
            outputs = _common.add_biases(outputs, bias, outputs.ndim - 1)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return utils.collect_named_outputs(output_collections, sc.name, outputs)


legacy_linear = legacy_fully_connected
legacy_relu = functools.partial(legacy_fully_connected, activation_fn=relu)
