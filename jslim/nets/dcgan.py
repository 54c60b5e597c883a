"""DCGAN: a generator of images and a discriminator, mirrored stacks of convolutions.

    fakes, _ = dcgan.generator(noise)
    logits, _ = dcgan.discriminator(fakes)

Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks" (2015), https://arxiv.org/abs/1511.06434.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.layers import batch_norm, conv2d, conv2d_transpose
from jslim.nets._common import EndPoints, check_images
from jslim.nets._generative import leaky_relu


def _normalizing(is_training: bool, fused: bool) -> ArgScope:
    with arg_scope(
        [batch_norm], is_training=is_training, zero_debias_moving_mean=True, fused=fused
    ) as scope:
        return scope


def _is_power_of_2(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def discriminator(
    inputs: jax.Array,
    depth: int = 64,
    is_training: bool = True,
    reuse: Reuse = None,
    scope: str | VariableScope | None = "Discriminator",
    fused_batch_norm: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """4x4 convolutions with stride 2 until one pixel is left, and a linear classifier of it.

    Args:
      inputs: Images, `[batch, size, size, channels]`, whose size is a power of 2.
      depth: Number of channels of the first convolution; each one has twice as many as the last.
      is_training: Whether to normalize by the batch.
      reuse: Whether the variables exist already, as for `slim.variable_scope`.
      scope: The variable scope.
      fused_batch_norm: Which variance goes into the moving one, `fused` of `batch_norm`.

    Returns:
      The logits, `[batch, 1]`, high for images that look real; and the end points as a dict:
      conv1, conv2 and so on, and logits.

    Raises:
      ValueError: The inputs are not a batch of images, or these not of a size as above.
    """
    check_images(inputs, "discriminator", 1)
    height, size = inputs.shape[1:3]
    if height != size or not _is_power_of_2(size):
        raise ValueError(
            f"discriminator: the height and the width of images must be the same power of 2, got "
            f"{height}x{size}; resize or crop them"
        )
    end_points: EndPoints = {}
    with (
        variable_scope(scope, "Discriminator", reuse=reuse),
        arg_scope(_normalizing(is_training, fused_batch_norm)),
    ):
        net = inputs
        for index in range(size.bit_length() - 1):
            name = f"conv{index + 1}"
            net = end_points[name] = conv2d(
                net,
                depth * 2**index,
                [4, 4],
                stride=2,
                activation_fn=leaky_relu,
                normalizer_fn=batch_norm if index else None,
                scope=name,
            )
        logits = conv2d(
            net, 1, [1, 1], stride=1, padding="VALID", normalizer_fn=None, activation_fn=None
        )
        logits = end_points["logits"] = lax.squeeze(logits, (1, 2))
    return logits, end_points


def generator(
    inputs: jax.Array,
    depth: int = 64,
    final_size: int = 32,
    num_outputs: int = 3,
    is_training: bool = True,
    reuse: Reuse = None,
    scope: str | VariableScope | None = "Generator",
    fused_batch_norm: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """4x4 transposed convolutions, the first to 4x4 pixels and each further one to twice as many.

    Args:
      inputs: Noise, `[batch, length]`.
      depth: Number of channels of the last transposed convolution; each one before has twice as
        many.
      final_size: Height and width of the result, a power of 2 that is 8 or more.
      num_outputs: Number of channels of the result.
      is_training: Whether to normalize by the batch.
      reuse: Whether the variables exist already, as for `slim.variable_scope`.
      scope: The variable scope.
      fused_batch_norm: Which variance goes into the moving one, `fused` of `batch_norm`.

    Returns:
      The images, `[batch, final_size, final_size, num_outputs]`, as logits: apply tanh for values
      in (-1, 1); and the end points as a dict: deconv1, deconv2 and so on, and logits.

    Raises:
      ValueError: The inputs are not a batch of vectors, or there is no such `final_size`.
    """
    if jnp.ndim(inputs) != 2:
        raise ValueError(
            f"generator: inputs must be [batch, length], got shape {jnp.shape(inputs)}"
        )
    if final_size < 8 or not _is_power_of_2(final_size):
        raise ValueError(
            f"generator: final_size must be a power of 2 and 8 or more, got {final_size}"
        )
    num_layers = final_size.bit_length() - 2
    end_points: EndPoints = {}
    with (
        variable_scope(scope, "Generator", reuse=reuse),
        arg_scope(_normalizing(is_training, fused_batch_norm)),
    ):
        net = lax.expand_dims(inputs, (1, 2))
        for index in range(1, num_layers + 1):
            name = f"deconv{index}"
            first: dict[str, Any] = {"stride": 1, "padding": "VALID"} if index == 1 else {}
            last: dict[str, Any] = {"activation_fn": None} if index == num_layers else {}
            net = end_points[name] = conv2d_transpose(
                net,
                depth * 2 ** (num_layers - index),
                [4, 4],
                normalizer_fn=None if last else batch_norm,
                scope=name,
                **({"stride": 2} | first),
                **last,
            )
        logits = end_points["logits"] = conv2d(
            net,
            num_outputs,
            [1, 1],
            stride=1,
            padding="VALID",
            normalizer_fn=None,
            activation_fn=None,
            scope="logits",
        )
    return logits, end_points
