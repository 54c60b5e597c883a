"""Normalization of each example by itself, and biases as a layer of their own."""

from collections.abc import Mapping, Sequence
from numbers import Integral

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.names import Reuse
from jslim.layers import _common
from jslim.layers._common import ZEROS, Activation, Collections, Initializer, Regularizer
from jslim.layers._frame import Call, layer
from jslim.layers._normalizing import by_name, scale_and_shift, scale_parameters
from jslim.layers._normalizing_groups import Groups, normalize_groups


@layer("BiasAdd", computes_in_dtype=True)
def bias_add(
    call: Call,
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
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
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
    outputs = call.floating(inputs)
    axis = call.find_channels(outputs)
    if call.channels_first:
        call.images(outputs)
    call.features(outputs, "channels")
    biases = call.parameter("biases", (call.channels(outputs),), initializer, regularizer)
    return _common.add_biases(outputs, biases, axis)


@layer("LayerNorm")
def layer_norm(
    call: Call,
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
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
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
    outputs = call.exact(inputs)
    first = checks.axis(call.where, "begin_norm_axis", begin_norm_axis, outputs)
    first_of_params = checks.axis(call.where, "begin_params_axis", begin_params_axis, outputs)
    reduced = tuple(range(first, outputs.ndim))
    _check_not_empty(call, reduced, outputs)
    epsilon = 1e-3 if call.result_dtype == jnp.float16 else 1e-12
    outputs = normalize_groups(Groups(reduced, epsilon), outputs)
    shape = outputs.shape[first_of_params:]
    made = scale_parameters(call, shape, {"beta": center, "gamma": scale})
    axes = range(first_of_params, outputs.ndim)
    return scale_and_shift(outputs, made["gamma"], made["beta"], axes)


@layer("InstanceNorm")
def instance_norm(
    call: Call,
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
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Makes the mean of each channel of each example 0 and its variance 1, scales and shifts.

    Half precision is computed in float32.

    Differs from TF-Slim: inputs without an axis between batch and channels are refused. There the
    result was always `beta`.

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
    outputs = call.exact(inputs)
    axis = call.find_channels(outputs)
    if outputs.ndim < 3:
        accepted = "[batch, ..., channels] with an axis to normalize over"
        hint = "use layer_norm or batch_norm for rows"
        raise checks.refusal(call.where, "inputs", accepted, f"shape {outputs.shape}", hint)
    reduced = tuple(i for i in range(1, outputs.ndim) if i != axis)
    each = Groups(reduced, epsilon, call.channels(outputs), axis)
    wanted = {"beta": center, "gamma": scale}
    return _normalized_groups(call, each, outputs, wanted, param_initializers)


@layer("GroupNorm")
def group_norm(
    call: Call,
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
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
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
    outputs = call.exact(inputs)
    axis = checks.axis(call.where, "channels_axis", channels_axis, outputs)
    reduced = [checks.axis(call.where, "reduction_axes", i, outputs) for i in reduction_axes]
    if len({axis, *reduced}) <= len(reduced):
        raise ValueError(
            f"{call.where}: channels_axis and reduction_axes must all be different axes, got "
            f"{channels_axis} and {tuple(reduction_axes)} for inputs of shape {outputs.shape}"
        )
    channels = outputs.shape[axis]
    if not isinstance(groups, Integral) or groups < 1 or channels % groups:
        accepted = f"a positive integer that divides the {channels} channels"
        raise checks.refusal(call.where, "groups", accepted, repr(groups))
    over = tuple(sorted(reduced))
    each = Groups(over, epsilon, int(groups), axis, bool(mean_close_to_zero))
    wanted = {"beta": center, "gamma": scale}
    return _normalized_groups(call, each, outputs, wanted, param_initializers)


def _normalized_groups(
    call: Call,
    groups: Groups,
    array: jax.Array,
    wanted: Mapping[str, bool],
    param_initializers: Mapping[str, Initializer] | None,
) -> jax.Array:
    """The array normalized by its groups of channels, scaled and shifted."""
    names = ("beta", "gamma")
    initializers = by_name(call.where, "param_initializers", param_initializers, names)
    axis = groups.channels_axis
    assert axis is not None
    _check_not_empty(call, (axis, *groups.reduced), array)
    made = scale_parameters(call, (array.shape[axis],), wanted, initializers)
    return normalize_groups(groups, array, **made)


def _check_not_empty(call: Call, axes: Sequence[int], array: jax.Array) -> None:
    if not all(array.shape[axis] for axis in axes):
        raise ValueError(
            f"{call.where}: there is nothing to take statistics of in inputs of shape {array.shape}"
        )


@layer("UnitNorm", names=_common.scope_name)
def unit_norm(
    call: Call, inputs: jax.Array, dim: int, epsilon: float = 1e-7, scope: str | None = None
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
    array = call.exact(inputs)
    checks.axis(call.where, "dim", dim, array, negative=False)
    squares = lax.reduce_sum(lax.square(array), (dim,))
    scale = lax.rsqrt(lax.add(squares, lax.full_like(squares, epsilon)))
    others = [axis for axis in range(array.ndim) if axis != dim]
    return lax.mul(array, lax.broadcast_in_dim(scale, array.shape, others))
