"""CifarNet for small colour images, as TF-Slim trains it on CIFAR-10.

    with slim.arg_scope(cifarnet.cifarnet_arg_scope()):
        logits, end_points = cifarnet.cifarnet(images)

After Krizhevsky's cuda-convnet, https://code.google.com/archive/p/cuda-convnet/.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import constant_initializer, truncated_normal_initializer, zeros_initializer
from jslim.layers import conv2d, dropout, flatten, fully_connected, max_pool2d, softmax
from jslim.nets._common import EndPoints, Function, Outputs, check_images, with_image_size
from jslim.regularizers import l2_regularizer


def cifarnet_arg_scope(weight_decay: float = 0.004) -> ArgScope:
    """The defaults of CifarNet: L2 on the fully connected layers only.

    Args:
      weight_decay: Scale of the L2 penalty on `fc3` and `fc4`; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    with (
        arg_scope(
            [conv2d],
            weights_initializer=truncated_normal_initializer(stddev=0.05),
            activation_fn=jax.nn.relu,
        ),
        arg_scope(
            [fully_connected],
            biases_initializer=constant_initializer(0.1),
            weights_initializer=truncated_normal_initializer(stddev=0.04),
            weights_regularizer=l2_regularizer(weight_decay),
            activation_fn=jax.nn.relu,
        ) as scope,
    ):
        return scope


@jax.custom_jvp
def _normalize_locally(net: jax.Array) -> jax.Array:
    """Divides each channel by (1 + 0.001/9 * sum of squares of it and 4 on each side) ** 0.75.

    The derivative is written out: that of JAX keeps five arrays and takes a quarter longer.
    """
    factor, _ = _local_factor(net)
    return net * factor.astype(net.dtype)


_STRENGTH = 0.001 / 9


def _local_factor(net: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The factor of each channel, and the base of its power."""
    # Float32 under half precision, like all statistics.
    dtype = net.dtype if net.dtype == jnp.float64 else jnp.float32
    base = 1.0 + _STRENGTH * _sum_nearby(lax.square(net.astype(dtype)))
    # base ** -0.75 as two roots: on a CPU a power takes four times as long as all the rest.
    return lax.rsqrt(base * lax.sqrt(base)), base


def _sum_nearby(features: jax.Array) -> jax.Array:
    """The sum of each channel and 4 on each side of it, as a product with a band matrix."""
    *space, channels = features.shape
    at = np.arange(channels)
    band = jnp.asarray(np.abs(at[:, None] - at) <= 4, features.dtype)
    rows = lax.reshape(features, (math.prod(space), channels))
    return lax.reshape(lax.dot(rows, band, precision=lax.Precision.HIGHEST), features.shape)


@_normalize_locally.defjvp
def _normalize_locally_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (net,), (tangent,) = primals, tangents
    factor, base = _local_factor(net)
    output = net * factor.astype(net.dtype)
    nearby = _sum_nearby((net * tangent).astype(factor.dtype))
    scale = 1.5 * _STRENGTH * output.astype(factor.dtype) / base
    change = factor * tangent.astype(factor.dtype) - scale * nearby
    return output, change.astype(net.dtype)


@with_image_size(32)
def cifarnet(
    images: jax.Array,
    num_classes: int | None = 10,
    is_training: bool = False,
    dropout_keep_prob: float = 0.5,
    prediction_fn: Function = softmax,
    scope: str = "CifarNet",
) -> Outputs:
    """Two 5x5 convolutions with pooling and local normalization, three fully connected layers.

    Args:
      images: `[batch, height, width, channels]`, 4x4 pixels or more. The variables of `fc3`
        depend on height and width.
      num_classes: Number of logits; None or 0 for the features `fc4`.
      is_training: Whether to drop features of `fc3`.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, 192]`; and the end points
      conv1, pool1, conv2, pool2, Flatten, fc3, fc4, Logits, Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.
    """
    check_images(images, "cifarnet", 4)
    end_points: EndPoints = {}
    with variable_scope(scope, "CifarNet"):
        net = end_points["conv1"] = conv2d(images, 64, [5, 5], scope="conv1")
        net = end_points["pool1"] = max_pool2d(net, [2, 2], 2, scope="pool1")
        net = _normalize_locally(net)
        net = end_points["conv2"] = conv2d(net, 64, [5, 5], scope="conv2")
        net = _normalize_locally(net)
        net = end_points["pool2"] = max_pool2d(net, [2, 2], 2, scope="pool2")
        net = end_points["Flatten"] = flatten(net)
        net = end_points["fc3"] = fully_connected(net, 384, scope="fc3")
        net = dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout3")
        net = end_points["fc4"] = fully_connected(net, 192, scope="fc4")
        if not num_classes:
            return net, end_points
        logits = end_points["Logits"] = fully_connected(
            net,
            num_classes,
            biases_initializer=zeros_initializer(),
            weights_initializer=truncated_normal_initializer(stddev=1 / 192),
            weights_regularizer=None,
            activation_fn=None,
            scope="logits",
        )
    end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points
