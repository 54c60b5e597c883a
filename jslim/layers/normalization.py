"""Normalization of each example by itself, and biases as a layer of their own."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core.arg_scope import add_arg_scope
from jslim.core.model import Reuse, variable_scope
from jslim.layers import _common, utils
from jslim.layers._common import (
    ZEROS,
    Activation,
    Collections,
    Initializer,
    Parameters,
    Regularizer,
)
from jslim.layers._normalizing import Over, beta_and_gamma, by_name, scale_and_shift
from jslim.layers._normalizing_groups import Groups, normalize_groups


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
def layer_norm(
    inputs: jax.Array,
    center: bool = True,
    scale: bool = True,
    activation_fn: Activation = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    scope: str | None = None,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """Makes the mean of each example 0 and its variance 1, then scales and shifts.

    By default over all axes but the first, with parameters for the last one alone. 1e-12 is added
    to the variance, 1e-3 if the result is float16. Half precision is computed in float32.

    Ba, Kiros and Hinton (2016), https://arxiv.org/abs/1607.06450.

    Args:
      inputs: `[batch, ...]`.
      center: Whether there is a `beta`.
      scale: Whether there is a `gamma`.
      activation_fn: Function of the result; default none.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      begin_norm_axis: The first axis that the mean is taken over, with all that follow; may be
        negative.
      begin_params_axis: The first axis of `beta` and `gamma`, `inputs.shape[begin_params_axis:]`;
        may be negative.
      scope: Name of the variable scope, default `LayerNorm`, made unique.
      dtype: What to return, default the dtype of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They have no axis that `begin_norm_axis` or `begin_params_axis` names, or no
        elements to normalize.
    """
    with variable_scope(scope, "LayerNorm", reuse=reuse) as sc:
        where = f"layer_norm at {sc.name!r}"
        outputs, result_dtype, exact = _as_exact(where, inputs, dtype)
        rank = outputs.ndim
        first = _axis(where, "begin_norm_axis", begin_norm_axis, outputs)
        first_of_params = _axis(where, "begin_params_axis", begin_params_axis, outputs)
        over = Over(tuple(range(first)))
        _check_not_empty(where, over, outputs)
        epsilon = 1e-3 if result_dtype == jnp.float16 else 1e-12
        outputs = normalize_groups(Groups(tuple(range(first, rank)), epsilon), outputs)
        parameters = Parameters(exact, param_dtype, trainable, variables_collections)
        axes = range(first_of_params, rank)
        shape = tuple(outputs.shape[axis] for axis in axes)
        beta, gamma = beta_and_gamma(parameters, shape, center, scale, {})
        outputs = scale_and_shift(outputs, gamma, beta, axes)
        outputs = _common.cast(outputs, result_dtype)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


@add_arg_scope
def instance_norm(
    inputs: jax.Array,
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Activation = None,
    param_initializers: Mapping[str, Initializer] | None = None,
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
    """Makes the mean of each channel of each example 0 and its variance 1, scales and shifts.

    Half precision is computed in float32.

    Differs from TF-Slim: inputs without an axis between batch and channels are refused; there the
    result was `beta`, whatever they were.

    Ulyanov, Vedaldi and Lempitsky (2016), https://arxiv.org/abs/1607.08022.

    Args:
      inputs: `[batch, ..., channels]`, or `[batch, channels, ...]` if NCHW, of rank 3 or more.
      center: Whether there is a `beta`, `[channels]`.
      scale: Whether there is a `gamma`, `[channels]`.
      epsilon: Added to the variance.
      activation_fn: Function of the result; default none.
      param_initializers: For `beta` (default zeros) and `gamma` (default ones), by name.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      data_format: 'NHWC' or 'NCHW', also for other ranks than 4.
      scope: Name of the variable scope, default `InstanceNorm`, made unique.
      dtype: What to return, default the dtype of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are of a rank below 3 or have no elements to normalize; `data_format` is
        unknown; `param_initializers` names a parameter that there is not.
    """
    with variable_scope(scope, "InstanceNorm", reuse=reuse) as sc:
        where = f"instance_norm at {sc.name!r}"
        outputs, result_dtype, exact = _as_exact(where, inputs, dtype)
        channels_first = _common.is_channels_first(where, data_format)
        if outputs.ndim < 3:
            raise ValueError(
                f"{where}: inputs must be [batch, ..., channels] with an axis to normalize over, "
                f"got shape {outputs.shape}; use layer_norm or batch_norm for rows"
            )
        initializers = by_name(where, "param_initializers", param_initializers, ("beta", "gamma"))
        axis = 1 if channels_first else outputs.ndim - 1
        channels = outputs.shape[axis]
        reduced = tuple(i for i in range(1, outputs.ndim) if i != axis)
        _check_not_empty(where, Over((0, axis)), outputs)
        parameters = Parameters(exact, param_dtype, trainable, variables_collections)
        beta, gamma = beta_and_gamma(parameters, (channels,), center, scale, initializers)
        each = Groups(reduced, epsilon, channels, axis)
        outputs = normalize_groups(each, outputs, gamma, beta)
        outputs = _common.cast(outputs, result_dtype)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


@add_arg_scope
def group_norm(
    inputs: jax.Array,
    groups: int = 32,
    channels_axis: int = -1,
    reduction_axes: Sequence[int] = (-3, -2),
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Activation = None,
    param_initializers: Mapping[str, Initializer] | None = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    mean_close_to_zero: bool = False,
    *,
    dtype: Any = None,
    param_dtype: Any = None,
) -> jax.Array:
    """Makes the mean of each group of channels of an example 0 and its variance 1.

    Then it scales and shifts each channel. Half precision is computed in float32.

    Wu and He (2018), https://arxiv.org/abs/1803.08494.

    Args:
      inputs: `[batch, height, width, channels]`, or any other order of axes.
      groups: How many groups the channels are divided into, each of consecutive ones.
      channels_axis: The axis of the channels: -1 for NHWC, -3 for NCHW.
      reduction_axes: The other axes that the mean is taken over: (-3, -2) for NHWC, (-2, -1) for
        NCHW.
      center: Whether there is a `beta`, `[channels]`.
      scale: Whether there is a `gamma`, `[channels]`.
      epsilon: Added to the variance.
      activation_fn: Function of the result; default none.
      param_initializers: For `beta` (default zeros) and `gamma` (default ones), by name.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether the variables are trained.
      scope: Name of the variable scope, default `GroupNorm`, made unique.
      mean_close_to_zero: Whether to compute the variance in one pass, as E[x^2] - E[x]^2. That is
        faster, and inexact where a mean is many times the deviation.
      dtype: What to return, default the dtype of `inputs`.
      param_dtype: What the variables are stored in, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: An axis is out of range or stands twice; the channels cannot be divided into
        `groups`; there are no elements to normalize; `param_initializers` names a parameter that
        there is not.
    """
    with variable_scope(scope, "GroupNorm", reuse=reuse) as sc:
        where = f"group_norm at {sc.name!r}"
        outputs, result_dtype, exact = _as_exact(where, inputs, dtype)
        axis = _axis(where, "channels_axis", channels_axis, outputs)
        reduced = [_axis(where, "reduction_axes", i, outputs) for i in reduction_axes]
        if len({axis, *reduced}) <= len(reduced):
            raise ValueError(
                f"{where}: channels_axis and reduction_axes must all be different axes, got "
                f"{channels_axis} and {tuple(reduction_axes)} for inputs of shape {outputs.shape}"
            )
        channels = outputs.shape[axis]
        if not isinstance(groups, Integral) or groups < 1 or channels % groups:
            raise ValueError(
                f"{where}: groups must be a positive integer that divides the {channels} "
                f"channels, got {groups!r}"
            )
        initializers = by_name(where, "param_initializers", param_initializers, ("beta", "gamma"))
        kept = tuple(i for i in range(outputs.ndim) if i not in (axis, *reduced))
        _check_not_empty(where, Over(kept), outputs)
        parameters = Parameters(exact, param_dtype, trainable, variables_collections)
        beta, gamma = beta_and_gamma(parameters, (channels,), center, scale, initializers)
        over = tuple(sorted(reduced))
        each = Groups(over, epsilon, int(groups), axis, bool(mean_close_to_zero))
        outputs = normalize_groups(each, outputs, gamma, beta)
        outputs = _common.cast(outputs, result_dtype)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return utils.collect_named_outputs(outputs_collections, sc.name, outputs)


def _as_exact(where: str, inputs: Any, dtype: Any) -> tuple[jax.Array, Any, Any]:
    """The inputs in at least float32, the dtype of the result, and that of the inputs now."""
    array = _common.as_floating(where, inputs)
    result_dtype = _common.floating_dtype(where, dtype or array.dtype)
    exact = _common.at_least_float32(result_dtype)
    return _common.cast(array, exact), result_dtype, exact


def _axis(where: str, argument: str, axis: int, array: jax.Array) -> int:
    """`axis` counted from the front."""
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(
            f"{where}: {argument} must be from {-array.ndim} to {array.ndim - 1} for inputs of "
            f"shape {array.shape}, got {axis}"
        )
    return axis % array.ndim


def _check_not_empty(where: str, over: Over, array: jax.Array) -> None:
    if not over.count(array):
        raise ValueError(
            f"{where}: there is nothing to take statistics of in inputs of shape {array.shape}"
        )


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
    where = f"unit_norm at {_common.scope_name(scope, 'UnitNorm')!r}"
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
