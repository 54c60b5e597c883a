"""Activations, normalizations and other functions of features of `tf.nn`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jslim.compat.tf._op import Axis, Undrawn, Values, array, axes_of, either, known, op, shape_of
from jslim.compat.tf._random import key_for
from jslim.core import checks


@op
def relu(features: Values, name: str | None = None) -> jax.Array:
    return jax.nn.relu(array(features))


@op
def relu6(features: Values, name: str | None = None) -> jax.Array:
    return jnp.clip(array(features), 0, 6)


@op
def elu(features: Values, name: str | None = None) -> jax.Array:
    return jax.nn.elu(array(features))


@op
def selu(features: Values, name: str | None = None) -> jax.Array:
    return jax.nn.selu(array(features))


@op
def crelu(features: Values, name: str | None = None, axis: int = -1) -> jax.Array:
    """The positive and the negative part, one after the other."""
    values = array(features)
    return jax.nn.relu(jnp.concatenate([values, -values], axis))


@op
def leaky_relu(features: Values, alpha: float = 0.2, name: str | None = None) -> jax.Array:
    return jax.nn.leaky_relu(array(features), alpha)


@op
def softplus(features: Values, name: str | None = None) -> jax.Array:
    return jax.nn.softplus(array(features))


@op
def softsign(features: Values, name: str | None = None) -> jax.Array:
    return jax.nn.soft_sign(array(features))


@op
def swish(features: Values, beta: float = 1.0) -> jax.Array:
    values = array(features)
    return values * jax.nn.sigmoid(beta * values)


@op
def softmax(
    logits: Values, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> jax.Array:
    chosen = either("tf.nn.softmax", axis=axis, dim=dim)
    return jax.nn.softmax(array(logits), -1 if chosen is None else chosen)


@op
def log_softmax(
    logits: Values, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> jax.Array:
    chosen = either("tf.nn.log_softmax", axis=axis, dim=dim)
    return jax.nn.log_softmax(array(logits), -1 if chosen is None else chosen)


@op
def bias_add(
    value: Values, bias: Values, data_format: str | None = None, name: str | None = None
) -> jax.Array:
    features, shift = array(value), array(bias)
    if data_format is not None and data_format.startswith("NC"):
        shift = shift.reshape(-1, *[1] * (features.ndim - 2))
    return features + shift


@op
def xw_plus_b(x: Values, weights: Values, biases: Values, name: str | None = None) -> jax.Array:
    """`x` by a matrix, plus biases."""
    return jnp.matmul(array(x), array(weights)) + array(biases)


@op
def relu_layer(x: Values, weights: Values, biases: Values, name: str | None = None) -> jax.Array:
    """ReLU of `xw_plus_b`."""
    return jax.nn.relu(jnp.matmul(array(x), array(weights)) + array(biases))


@op
def l2_loss(t: Values, name: str | None = None) -> jax.Array:
    """Half the sum of the squares."""
    return jnp.sum(jnp.square(array(t))) / 2


@op
def l2_normalize(
    x: Values,
    axis: Axis = None,
    epsilon: float = 1e-12,
    name: str | None = None,
    dim: Axis = None,
) -> jax.Array:
    """Divides by the norm over axes, whose square is at least `epsilon`."""
    values = array(x)
    over = axes_of("tf.nn.l2_normalize", either("tf.nn.l2_normalize", axis=axis, dim=dim))
    squares = jnp.sum(jnp.square(values), axis=over, keepdims=True)
    return values * jax.lax.rsqrt(jnp.maximum(squares, epsilon))


@op
def zero_fraction(value: Values, name: str | None = None) -> jax.Array:
    """The share of elements that are 0."""
    return jnp.mean((array(value) == 0).astype(jnp.float32))


@op
def moments(
    x: Values,
    axes: Axis,
    shift: Values | None = None,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance over axes, computed in at least float32."""
    values, over = array(x), axes_of("tf.nn.moments", axes, "axes")
    keeps = bool(either("tf.nn.moments", keepdims=keepdims, keep_dims=keep_dims))
    wide = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    mean = jnp.mean(wide, axis=over, keepdims=True)
    variance = jnp.mean(jnp.square(wide - mean), axis=over, keepdims=keeps)
    mean = mean if keeps else jnp.mean(wide, axis=over)
    return mean.astype(values.dtype), variance.astype(values.dtype)


@op
def batch_normalization(
    x: Values,
    mean: Values,
    variance: Values,
    offset: Values | None,
    scale: Values | None,
    variance_epsilon: float,
    name: str | None = None,
) -> jax.Array:
    """Normalizes by a mean and a variance that are given."""
    values = array(x)
    factor = jax.lax.rsqrt(array(variance) + variance_epsilon)
    factor = factor if scale is None else factor * array(scale)
    shift = -array(mean) * factor if offset is None else array(offset) - array(mean) * factor
    return values * factor.astype(values.dtype) + shift.astype(values.dtype)


@op
def batch_norm_with_global_normalization(
    t: Values | None = None,
    m: Values | None = None,
    v: Values | None = None,
    beta: Values | None = None,
    gamma: Values | None = None,
    variance_epsilon: float | None = None,
    scale_after_normalization: bool | None = None,
    name: str | None = None,
    input: Values | None = None,
    mean: Values | None = None,
    variance: Values | None = None,
) -> jax.Array:
    """`batch_normalization` that heeds `gamma` only with `scale_after_normalization`."""
    where = "tf.nn.batch_norm_with_global_normalization"
    values = checks.given(where, "t", either(where, t=t, input=input))
    middle = checks.given(where, "m", either(where, m=m, mean=mean))
    spread = checks.given(where, "v", either(where, v=v, variance=variance))
    epsilon = checks.given(where, "variance_epsilon", variance_epsilon)
    scale = gamma if scale_after_normalization else None
    return batch_normalization(values, middle, spread, beta, scale, epsilon)


@op
def local_response_normalization(
    input: Values,
    depth_radius: int = 5,
    bias: float = 1,
    alpha: float = 1,
    beta: float = 0.5,
    name: str | None = None,
) -> jax.Array:
    """`x / (bias + alpha * s) ** beta`, s the sum of squares of the channels near it."""
    values = array(input)
    squares = jnp.square(values)
    window = (1,) * (values.ndim - 1) + (2 * depth_radius + 1,)
    ends = [(0, 0)] * (values.ndim - 1) + [(depth_radius, depth_radius)]
    sums = jax.lax.reduce_window(
        squares, np.zeros((), values.dtype)[()], jax.lax.add, window, (1,) * values.ndim, ends
    )
    return values / jnp.power(bias + alpha * sums, beta)


lrn = local_response_normalization


def dropout(
    x: Values,
    keep_prob: Any = None,
    noise_shape: Values | None = None,
    seed: int | None = None,
    name: str | None = None,
    rate: Any = None,
) -> jax.Array | Undrawn:
    """Sets elements to 0 and divides the others by the share that stays.

    `keep_prob` is that share, `rate` is 1 less it. It always drops: leave the call out, or give
    `keep_prob` 1, for inference. The key is that of the stream 'dropout'.

    Raises:
      ValueError: Both or neither are given, or the share is out of range.
    """
    where = "tf.nn.dropout"
    if (keep_prob is None) == (rate is None):
        raise ValueError(f"{where}: give keep_prob, or rate, which is 1 less keep_prob")
    values = array(x)
    keeps = 1 - rate if keep_prob is None else keep_prob
    if isinstance(keeps, (int, float, np.ndarray)):
        checks.number(where, "keep_prob", float(keeps), at_least=0, at_most=1)
        if float(keeps) == 1:
            return values
    shape = values.shape if noise_shape is None else shape_of(where, noise_shape, "noise_shape")
    key = key_for(where, seed)
    if key is None:
        raise Undrawn(where, values.shape, values.dtype).refusal()
    mask = jnp.broadcast_to(jax.random.bernoulli(key, array(keeps), shape), values.shape)
    return jnp.where(mask, values / jnp.asarray(keeps, values.dtype), 0)


@op
def top_k(
    input: Values, k: int = 1, sorted: bool = True, name: str | None = None
) -> tuple[jax.Array, jax.Array]:
    """The `k` largest elements of the last axis and their places; of equals the first one."""
    count = int(known("tf.nn.top_k", "k", k))
    return tuple(jax.lax.top_k(array(input), count))  # type: ignore[return-value]


@op
def in_top_k(predictions: Values, targets: Values, k: int, name: str | None = None) -> jax.Array:
    """Whether the class of each example is among its `k` most likely ones."""
    scores = array(predictions)
    own = jnp.take_along_axis(scores, array(targets)[:, None], axis=1)
    return jnp.sum(scores > own, axis=1) < k


@op
def embedding_lookup(
    params: Any,
    ids: Values,
    partition_strategy: str = "mod",
    name: str | None = None,
    validate_indices: bool = True,
    max_norm: float | None = None,
) -> jax.Array:
    """The rows of `params` with the numbers `ids`."""
    where = "tf.nn.embedding_lookup"
    if isinstance(params, (list, tuple)):
        hint = "give one array; a sharding takes the place of parts"
        parts = f"{len(params)} arrays"
        if len(params) != 1:
            raise checks.refusal(where, "params", "one array", parts, hint)
        params = params[0]
    rows = jnp.take(array(params), array(ids), axis=0, mode="clip")
    if max_norm is None:
        return rows
    length = jnp.sqrt(jnp.sum(jnp.square(rows), axis=-1, keepdims=True))
    return rows * max_norm / jnp.maximum(length, max_norm)
