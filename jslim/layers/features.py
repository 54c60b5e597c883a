"""Layers that rework features: maxima, positions, lengths, gradients and buckets."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.arguments import explained
from jslim.initializers import constant_initializer
from jslim.layers import _common
from jslim.layers._frame import Call, layer
from jslim.layers._types import Collections


@layer("MaxOut", names=_common.scope_name)
def maxout(
    call: Call, inputs: jax.Array, num_units: int, axis: int = -1, scope: str | None = None
) -> jax.Array:
    """The largest of each group of consecutive channels.

    Goodfellow et al. (2013), https://arxiv.org/abs/1302.4389. Differs from TF-Slim: an axis other
    than the last is divided into groups too, where TF-Slim mixes the axes.

    Args:
      inputs: An array with a number of channels that `num_units` divides.
      num_units: Number of groups, and of channels in the result.
      axis: The axis of the channels.
      scope: Name of the op, default `MaxOut`.

    Returns:
      The shape of `inputs` with `num_units` at `axis`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: There is no such axis, or `num_units` does not divide its length.

    >>> maxout(jnp.array([[1.0, 5.0, 3.0, 4.0, 9.0, 0.0]]), 2).tolist()
    [[5.0, 9.0]]
    """
    array = call.floating(inputs)
    axis = checks.axis(call.where, "axis", axis, array)
    channels = array.shape[axis]
    units = _common.check_num_outputs(call.where, num_units, "num_units")
    if channels % units:
        raise ValueError(
            f"{call.where}: num_units must divide the {channels} channels of axis {axis}, got "
            f"{units}"
        )
    shape = (*array.shape[:axis], units, channels // units, *array.shape[axis + 1 :])
    return jnp.max(lax.reshape(array, shape), axis + 1)


@layer("spatial_softmax")
def spatial_softmax(
    call: Call,
    features: jax.Array,
    temperature: float | None = None,
    name: str | None = None,
    variables_collections: Collections = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """The position of high values in each channel: its mean under a softmax over the image.

    Finn et al. (2015), https://arxiv.org/abs/1509.06113.

    Args:
      features: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      temperature: The divisor of the features: the initial value of the variable `temperature`;
        default 1.
      name: Name of the variable scope, default `spatial_softmax`, made unique.
      variables_collections: Collections for the variable, or a dict of them by variable name.
      trainable: Whether the temperature is trained.
      data_format: 'NHWC' or 'NCHW'.
      dtype: Dtype of the result, default that of `features`; half precision is computed in
        float32.
      param_dtype: Dtype of the variable, default at least float32.

    Returns:
      `[batch, 2 * channels]`: for each channel the row and then the column, from -1 at the first
      to 1 at the last.

    Raises:
      TypeError: `features` are not floating point.
      ValueError: `features` are not images, or `data_format` is unknown.

    >>> import jslim as slim
    >>> image = jnp.array([[[[0.0], [50.0]], [[0.0], [0.0]]]])  # high at the top right
    >>> slim.Model(spatial_softmax).init_with_output(jax.random.key(0), image)[0].tolist()
    [[-1.0, 1.0]]
    """
    array = call.images(call.exact(features))
    initial = constant_initializer(1.0 if temperature is None else temperature)
    divisor = call.parameter("temperature", (), initial)
    if not call.channels_first:
        array = lax.transpose(array, (0, 3, 1, 2))
    batch, channels, height, width = array.shape
    pixels = lax.reshape(array, (batch, channels, height * width))
    shares = jax.nn.softmax(lax.div(pixels, lax.broadcast(divisor, pixels.shape)))
    sides = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    positions = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 2)
    means = jnp.dot(shares, jnp.asarray(positions, array.dtype), precision="highest")
    return lax.reshape(means, (batch, channels * 2))


@explained
def poincare_normalize(
    x: jax.Array, axis: int | Sequence[int] = 1, epsilon: float = 1e-5, name: str | None = None
) -> jax.Array:
    """Shortens vectors that are longer than `1 - epsilon` to that length.

    This keeps them inside the Poincare ball of Nickel and Kiela (2017),
    https://arxiv.org/abs/1705.08039.

    Args:
      x: Floating point, of any shape.
      axis: The axis or axes along which a vector lies.
      epsilon: The difference of the greatest length from 1.
      name: Not used; for TF-Slim's signature.

    Returns:
      An array of the shape of `x`.

    Raises:
      TypeError: `x` is not floating point.
      ValueError: There is no such axis.

    >>> poincare_normalize(jnp.array([[0.0, 4.0], [0.25, 0.0]]), epsilon=0.5).tolist()
    [[0.0, 0.5], [0.25, 0.0]]
    """
    del name
    op = "poincare_normalize"
    array = _common.as_floating(op, x)
    given = axis if isinstance(axis, Sequence) else [axis]
    axes = tuple(checks.axis(op, "axis", one, array) for one in given)
    square = jnp.sum(lax.square(array), axes, keepdims=True)
    # The length has a least value: the gradient is finite at zero, where that of TF-Slim is not.
    length = lax.rsqrt(lax.max(square, lax.full_like(square, epsilon * epsilon)))
    share = lax.min(lax.mul(length, lax.full_like(length, 1 - epsilon)), lax.full_like(length, 1))
    return lax.mul(array, jnp.broadcast_to(share, array.shape))


def scale_gradient(inputs: jax.Array, gradient_multiplier: float | jax.Array) -> jax.Array:
    """Returns the inputs unchanged, and multiplies their gradient.

    Args:
      inputs: An array.
      gradient_multiplier: The factor, a number or a scalar array. 0 stops the gradient, a negative
        number reverses it.

    Returns:
      `inputs`.

    >>> jax.grad(lambda x: scale_gradient(x, 0.5) ** 2)(3.0).item()
    3.0
    """
    array = jnp.asarray(inputs)
    return _scale_gradient(array, jnp.asarray(gradient_multiplier, array.dtype))


@jax.custom_jvp
def _scale_gradient(array: jax.Array, multiplier: jax.Array) -> jax.Array:
    del multiplier
    return array


@_scale_gradient.defjvp
def _scale_gradient_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    array, multiplier = primals
    return array, tangents[0] * multiplier


@explained
def bucketize(
    input_tensor: jax.Array, boundaries: Sequence[float], name: str | None = None
) -> jax.Array:
    """The bucket of each value: the number of boundaries that are not above it.

    Args:
      input_tensor: Numbers, of any shape.
      boundaries: The boundaries between buckets, in ascending order.
      name: Not used; for TF-Slim's signature.

    Returns:
      int32 of the shape of `input_tensor`, from 0 to `len(boundaries)`.

    Raises:
      ValueError: The boundaries are not in ascending order.

    >>> bucketize(jnp.array([-5, 0, 3, 10, 150]), [0, 10, 100]).tolist()
    [0, 1, 1, 2, 3]
    """
    del name
    checks.numbers_in("bucketize", "boundaries", boundaries)
    limits = np.asarray(boundaries, np.float32)
    if limits.ndim != 1 or (np.diff(limits) < 0).any():
        raise ValueError(
            f"bucketize: boundaries must be a list in ascending order, got {list(boundaries)}"
        )
    values = checks.numbers_in("bucketize", "input_tensor", input_tensor, jnp.float32)
    return jnp.searchsorted(limits, values, side="right", method="compare_all").astype(jnp.int32)
