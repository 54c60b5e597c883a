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
from jslim.layers._defaults import ZEROS
from jslim.layers._frame import Call, layer
from jslim.layers._normalizing import by_name, scale_and_shift, scale_parameters
from jslim.layers._normalizing_groups import Groups, normalize_groups
from jslim.layers._types import Activation, Collections, Initializer, Names, Regularizer


@layer("BiasAdd", computes_in_dtype=True)
def bias_add(
    call: Call,
    inputs: jax.Array,
    activation_fn: Activation = None,
    initializer: Initializer = ZEROS,
    regularizer: Regularizer = None,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: Names = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Adds a bias to each channel; also works as a `normalizer_fn`.

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
      dtype: Dtype of the computation, default that of `inputs`.
      param_dtype: Dtype of `biases`, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` have no channels, or are not of rank 4 if NCHW.

    >>> import jslim as slim
    >>> model = slim.Model(lambda x: bias_add(x, initializer=slim.constant_initializer([1, 2])))
    >>> model.init_with_output(jax.random.key(0), jnp.zeros((1, 2)))[0].tolist()
    [[1.0, 2.0]]
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
    outputs_collections: Names = None,
    trainable: bool = True,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Makes the mean of each example 0 and its variance 1, then scales and shifts.

    The default is over all axes but the first, with parameters for the last axis alone. 1e-12 is
    added to the variance, 1e-3 if the result is float16. Half precision is computed in float32.

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
      begin_norm_axis: The first axis that the mean is taken over, together with all axes after
        it; may be negative.
      begin_params_axis: The first axis of `beta` and `gamma`, `inputs.shape[begin_params_axis:]`;
        may be negative.
      scope: Name of the variable scope, default `LayerNorm`, made unique.
      dtype: Dtype of the result, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` have no axis `begin_norm_axis` or `begin_params_axis`, or no elements
        to normalize.

    >>> import jslim as slim
    >>> rows = jnp.array([[1.0, 3.0], [0.0, 8.0]])
    >>> slim.Model(layer_norm).init_with_output(jax.random.key(0), rows)[0].round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    outputs = call.exact(inputs)
    first = checks.axis(call.where, "begin_norm_axis", begin_norm_axis, outputs)
    first_of_params = checks.axis(call.where, "begin_params_axis", begin_params_axis, outputs)
    epsilon = 1e-3 if call.result_dtype == jnp.float16 else 1e-12
    outputs = _normalized(call, Groups(tuple(range(first)), epsilon=epsilon), outputs)
    shape = outputs.shape[first_of_params:]
    made = scale_parameters(call, shape, {"beta": center, "gamma": scale})
    return scale_and_shift(outputs, **made, axes=range(first_of_params, outputs.ndim))


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
    outputs_collections: Names = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    scope: str | None = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Makes the mean of each channel of each example 0 and its variance 1, scales and shifts.

    Half precision is computed in float32.

    Differs from TF-Slim: inputs without an axis between batch and channels are refused. Their
    result in TF-Slim is always `beta`.

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
      dtype: Dtype of the result, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` are of a rank below 3 or have no elements to normalize; `data_format`
        or a name in `param_initializers` is unknown.

    >>> import jslim as slim
    >>> waves = jnp.array([[[0.0, 4.0], [2.0, 8.0]]])
    >>> slim.Model(instance_norm).init_with_output(jax.random.key(0), waves)[0].round(3).tolist()
    [[[-1.0, -1.0], [1.0, 1.0]]]
    """
    outputs = call.exact(inputs)
    axis = call.find_channels(outputs)
    if outputs.ndim < 3:
        accepted = "[batch, ..., channels] with an axis to normalize over"
        hint = "use layer_norm or batch_norm for rows"
        raise checks.refusal(call.where, "inputs", accepted, f"shape {outputs.shape}", hint)
    channels = call.channels(outputs)
    groups = Groups((0, axis), epsilon=epsilon, number=channels, channels_axis=axis)
    wanted = {"beta": center, "gamma": scale}
    return _normalized(call, groups, outputs, wanted, param_initializers)


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
    outputs_collections: Names = None,
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
      groups: The number of groups; the channels of a group are consecutive.
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
        faster, and inexact if a mean is many times the deviation.
      dtype: Dtype of the result, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: An axis is out of range or given twice; `groups` does not divide the number of
        channels; there are no elements to normalize; a name in `param_initializers` is unknown.

    >>> import jslim as slim
    >>> model = slim.Model(lambda x: group_norm(x, groups=2))
    >>> image = jnp.array([[[[0.0, 2.0, 5.0, 9.0]]]])
    >>> model.init_with_output(jax.random.key(0), image)[0].round(3).tolist()
    [[[[-1.0, 1.0, -1.0, 1.0]]]]
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
    over = Groups(
        tuple(i for i in range(outputs.ndim) if i not in reduced),
        has_one_pass=bool(mean_close_to_zero),
        epsilon=epsilon,
        number=int(groups),
        channels_axis=axis,
    )
    wanted = {"beta": center, "gamma": scale}
    return _normalized(call, over, outputs, wanted, param_initializers)


def _normalized(
    call: Call,
    groups: Groups,
    array: jax.Array,
    wanted: Mapping[str, bool] | None = None,
    param_initializers: Mapping[str, Initializer] | None = None,
) -> jax.Array:
    """The array normalized by its groups, and its channels then scaled and shifted as wanted."""
    names = ("beta", "gamma")
    initializers = by_name(call.where, "param_initializers", param_initializers, names)
    channels = () if groups.channels_axis is None else (array.shape[groups.channels_axis],)
    if not groups.count(array) or 0 in channels:
        raise ValueError(
            f"{call.where}: there is nothing to take statistics of in inputs of shape {array.shape}"
        )
    made = scale_parameters(call, channels, wanted or {}, initializers)
    return normalize_groups(groups, array, **made)


@layer("UnitNorm", names=_common.scope_name)
def unit_norm(
    call: Call, inputs: jax.Array, dim: int, epsilon: float = 1e-7, scope: str | None = None
) -> jax.Array:
    """Divides by the Euclidean norm over one axis: `inputs / sqrt(epsilon + sum(inputs ** 2))`.

    Half precision is computed in float32.

    Args:
      inputs: An array of any shape.
      dim: The axis, counted from 0.
      epsilon: Added to the sum of squares.
      scope: Name of the op, default `UnitNorm`.

    Returns:
      An array of the shape and dtype of `inputs`; zeros for vectors of zeros.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `dim` is negative or not below the rank.

    >>> unit_norm(jnp.array([[0.0, -4.0]]), 1).round(3).tolist()
    [[0.0, -1.0]]
    """
    array = call.exact(inputs)
    checks.axis(call.where, "dim", dim, array, negative=False)
    squares = lax.reduce_sum(lax.square(array), (dim,))
    scale = lax.rsqrt(lax.add(squares, lax.full_like(squares, epsilon)))
    others = [axis for axis in range(array.ndim) if axis != dim]
    return lax.mul(array, lax.broadcast_in_dim(scale, array.shape, others))
