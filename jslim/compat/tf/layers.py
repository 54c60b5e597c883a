"""`tf.layers`: layers with TensorFlow's names, `conv2d/kernel` and `conv2d/bias`.

They compute as jslim's layers do. Moving statistics are carried on by the training step; there are
no update operations.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jslim import layers as _slim
from jslim.compat.tf import _activations, _convolutions, _missing, _pools
from jslim.compat.tf._op import Values, array
from jslim.compat.tf._variables import get_variable, variable_scope
from jslim.core import checks
from jslim.initializers import ones_initializer, zeros_initializer

_Activation = Callable[[jax.Array], jax.Array] | None
_Size = int | Sequence[int]


def _tuple(value: _Size, dims: int) -> tuple[int, ...]:
    return (value,) * dims if isinstance(value, int) else tuple(value)


def _format(data_format: str, dims: int) -> str:
    checks.one_of("tf.layers", "data_format", data_format, ("channels_last", "channels_first"))
    letters = "DHW"[-dims:]
    return f"N{letters}C" if data_format == "channels_last" else f"NC{letters}"


def _finished(
    features: jax.Array, given: dict[str, Any], filters: int, layout: str | None
) -> jax.Array:
    if given["use_bias"]:
        bias = _parameter("bias", [filters], given)
        features = _activations.bias_add(features, bias, layout)
    activation: _Activation = given["activation"]
    return features if activation is None else activation(features)


def _parameter(name: str, shape: Sequence[int], given: dict[str, Any]) -> jax.Array:
    if given[f"{name}_constraint"] is not None:
        hint = "project the parameters in the optimizer, by a transformation of optax"
        got = f"one for {name}"
        raise checks.refusal("tf.layers", "constraint", "None", got, hint)
    return get_variable(
        name,
        shape,
        initializer=given[f"{name}_initializer"],
        regularizer=given[f"{name}_regularizer"],
        trainable=given["trainable"],
    )


def _convolved(dims: int, kernel_size: _Size, given: dict[str, Any]) -> jax.Array:
    images, layout = array(given["inputs"]), _format(given["data_format"], dims)
    channels = images.shape[layout.index("C")]
    convolve = (_convolutions.conv1d, _convolutions.conv2d, _convolutions.conv3d)[dims - 1]
    with variable_scope(given["name"], f"conv{dims}d", reuse=given["reuse"]):
        shape = [*_tuple(kernel_size, dims), channels, given["filters"]]
        kernel = _parameter("kernel", shape, given)
        steps, rate = (_tuple(given[k], dims) for k in ("strides", "dilation_rate"))
        features = convolve(
            images, kernel, steps, given["padding"], data_format=layout, dilations=rate
        )
        return _finished(features, given, given["filters"], layout)


def conv1d(
    inputs: Values,
    filters: int,
    kernel_size: _Size,
    strides: _Size = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: _Size = 1,
    activation: _Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: None = None,
    kernel_constraint: None = None,
    bias_constraint: None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> jax.Array:
    """A convolution of sequences."""
    return _convolved(1, kernel_size, dict(locals()))


def conv2d(
    inputs: Values,
    filters: int,
    kernel_size: _Size,
    strides: _Size = (1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: _Size = (1, 1),
    activation: _Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: None = None,
    kernel_constraint: None = None,
    bias_constraint: None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> jax.Array:
    """A convolution of images."""
    return _convolved(2, kernel_size, dict(locals()))


def conv3d(
    inputs: Values,
    filters: int,
    kernel_size: _Size,
    strides: _Size = (1, 1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: _Size = (1, 1, 1),
    activation: _Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: None = None,
    kernel_constraint: None = None,
    bias_constraint: None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> jax.Array:
    """A convolution of volumes."""
    return _convolved(3, kernel_size, dict(locals()))


def conv2d_transpose(
    inputs: Values,
    filters: int,
    kernel_size: _Size,
    strides: _Size = (1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    activation: _Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: None = None,
    kernel_constraint: None = None,
    bias_constraint: None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> jax.Array:
    """The transpose of `conv2d`; its kernel is `[height, width, filters, channels]`."""
    given = dict(locals())
    images, layout = array(inputs), _format(data_format, 2)
    window, steps = _tuple(kernel_size, 2), _tuple(strides, 2)
    sizes = list(images.shape)
    sizes[layout.index("C")] = filters
    for axis, taps, step in zip((layout.index("H"), layout.index("W")), window, steps, strict=True):
        more = max(taps - step, 0) if padding.upper() == "VALID" else 0
        sizes[axis] = sizes[axis] * step + more
    with variable_scope(name, "conv2d_transpose", reuse=reuse):
        kernel = _parameter("kernel", [*window, filters, images.shape[layout.index("C")]], given)
        features = _convolutions.conv2d_transpose(
            images, kernel, sizes, steps, padding.upper(), layout
        )
        return _finished(features, given, filters, layout)


def separable_conv2d(
    inputs: Values,
    filters: int,
    kernel_size: _Size,
    strides: _Size = (1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: _Size = (1, 1),
    depth_multiplier: int = 1,
    activation: _Activation = None,
    use_bias: bool = True,
    depthwise_initializer: Any = None,
    pointwise_initializer: Any = None,
    bias_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    depthwise_regularizer: Any = None,
    pointwise_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: None = None,
    depthwise_constraint: None = None,
    pointwise_constraint: None = None,
    bias_constraint: None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> jax.Array:
    """Each channel by filters of its own, and a convolution of 1x1 pixels that mixes them."""
    given = dict(locals())
    for part in ("depthwise", "pointwise"):
        for what in ("initializer", "regularizer", "constraint"):
            given[f"{part}_kernel_{what}"] = given[f"{part}_{what}"]
    images, layout = array(inputs), _format(data_format, 2)
    channels = images.shape[layout.index("C")]
    with variable_scope(name, "separable_conv2d", reuse=reuse):
        window = [*_tuple(kernel_size, 2), channels, depth_multiplier]
        depthwise = _parameter("depthwise_kernel", window, given)
        pointwise = _parameter(
            "pointwise_kernel", [1, 1, channels * depth_multiplier, filters], given
        )
        features = _convolutions.separable_conv2d(
            images,
            depthwise,
            pointwise,
            _tuple(strides, 2),
            padding,
            _tuple(dilation_rate, 2),
            data_format=layout,
        )
        return _finished(features, given, filters, layout)


def dense(
    inputs: Values,
    units: int,
    activation: _Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: None = None,
    kernel_constraint: None = None,
    bias_constraint: None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> jax.Array:
    """The last axis by a matrix, plus biases."""
    given = dict(locals())
    features = array(inputs)
    with variable_scope(name, "dense", reuse=reuse):
        kernel = _parameter("kernel", [features.shape[-1], units], given)
        return _finished(jnp.tensordot(features, kernel, 1), given, units, None)


def flatten(
    inputs: Values, name: str | None = None, data_format: str = "channels_last"
) -> jax.Array:
    """All axes but the first as one."""
    features = array(inputs)
    if data_format == "channels_first" and features.ndim > 2:
        features = jnp.moveaxis(features, 1, -1)
    return features.reshape(features.shape[0], math.prod(features.shape[1:]))


def dropout(
    inputs: Values,
    rate: float = 0.5,
    noise_shape: Values | None = None,
    seed: int | None = None,
    training: bool = False,
    name: str | None = None,
) -> jax.Array:
    """Sets a share of elements to 0 in training, and nothing otherwise."""
    if not training:
        return array(inputs)
    dropped: Any = _activations.dropout(inputs, 1 - rate, noise_shape, seed)
    return dropped


def _pooled(pool: Any, dims: int, given: dict[str, Any]) -> jax.Array:
    layout = _format(given["data_format"], dims)
    size, steps = (_tuple(given[k], dims) for k in ("pool_size", "strides"))
    return pool(given["inputs"], size, steps, given["padding"].upper(), layout)


def max_pooling2d(
    inputs: Values,
    pool_size: _Size,
    strides: _Size,
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> jax.Array:
    """The largest pixel of each window."""
    return _pooled(_pools.max_pool, 2, dict(locals()))


def average_pooling2d(
    inputs: Values,
    pool_size: _Size,
    strides: _Size,
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> jax.Array:
    """The mean of each window, without padding."""
    return _pooled(_pools.avg_pool, 2, dict(locals()))


def batch_normalization(
    inputs: Values,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    gamma_initializer: Any = ones_initializer(),  # noqa: B008 (a value)
    moving_mean_initializer: Any = zeros_initializer(),  # noqa: B008 (a value)
    moving_variance_initializer: Any = ones_initializer(),  # noqa: B008 (a value)
    beta_regularizer: Any = None,
    gamma_regularizer: Any = None,
    beta_constraint: None = None,
    gamma_constraint: None = None,
    training: bool = False,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
    renorm: bool = False,
    renorm_clipping: Any = None,
    renorm_momentum: float = 0.99,
    fused: bool | None = None,
    virtual_batch_size: None = None,
    adjustment: Any = None,
) -> jax.Array:
    """`slim.batch_norm` under TensorFlow's names; `training` is False if left out, as there."""
    where = "tf.layers.batch_normalization"
    features = array(inputs)
    for unsupported, value in (
        ("beta_constraint", beta_constraint),
        ("gamma_constraint", gamma_constraint),
        ("virtual_batch_size", virtual_batch_size),
    ):
        checks.one_of(where, unsupported, value, (None,))
    place = axis if axis >= 0 else axis + features.ndim
    checks.one_of(where, "axis", place, (1, features.ndim - 1))
    layout = "NHWC" if place == features.ndim - 1 else "NCHW"
    with variable_scope(name, "batch_normalization", reuse=reuse) as scope:
        return _slim.batch_norm(
            features,
            decay=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            param_initializers={
                "beta": beta_initializer,
                "gamma": gamma_initializer,
                "moving_mean": moving_mean_initializer,
                "moving_variance": moving_variance_initializer,
            },
            param_regularizers={"beta": beta_regularizer, "gamma": gamma_regularizer},
            is_training=training,
            trainable=trainable,
            renorm=renorm,
            renorm_clipping=renorm_clipping,
            renorm_decay=renorm_momentum,
            fused=fused,
            data_format=layout,
            adjustment=adjustment,
            scope=scope,  # type: ignore[arg-type]
        )


__getattr__ = _missing.answering("tf.layers", __name__)
