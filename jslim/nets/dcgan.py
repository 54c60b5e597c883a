"""DCGAN: a generator of images and a discriminator, mirrored stacks of convolutions.

    fakes, _ = dcgan.generator(noise)
    logits, _ = dcgan.discriminator(fakes)

Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks" (2015), https://arxiv.org/abs/1511.06434.
"""

import jax
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import arg_scope
from jslim.core.names import Reuse
from jslim.layers import batch_norm, conv2d, conv2d_transpose
from jslim.nets import _common
from jslim.nets._common import Arguments, EndPoints, Outputs, Scope
from jslim.nets._generative import leaky_relu


def _classify(net: jax.Array, num_outputs: int, scope: str | None = None) -> jax.Array:
    """The logits of each pixel, by a 1x1 convolution."""
    return conv2d(net, num_outputs, [1, 1], scope=scope, **_common.LINEAR)


def _is_power_of_2(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


@_common.described()
def discriminator(
    inputs: jax.Array,
    depth: int = 64,
    is_training: bool = True,
    reuse: Reuse = None,
    scope: Scope = "Discriminator",
    fused_batch_norm: bool = False,
) -> Outputs:
    """4x4 convolutions with stride 2 down to one pixel, and a linear classifier.

    Args:
      inputs: Images, `[batch, size, size, channels]`, whose `size` is a power of 2.
      depth: Number of channels of the first convolution; each later one has twice as many.
      is_training: Whether to normalize by the batch.
      fused_batch_norm: The `fused` of `batch_norm`: how the moving variance is estimated.

    Returns:
      The logits, `[batch, 1]`, high for images that look real; and the end points as a dict:
      conv1, conv2 and so on, and logits.

    Raises:
      ValueError: The inputs are not a batch of images of such a size.
    """
    _common.check_images(inputs, "discriminator", 1)
    height, size = inputs.shape[1:3]
    if height != size or not _is_power_of_2(size):
        what, got = "the height and the width of images", f"{height}x{size}"
        accepted = "the same power of 2"
        raise checks.refusal("discriminator", what, accepted, got, "resize or crop them")
    net, end_points = inputs, EndPoints()
    with (
        _common.network_scope(scope, "Discriminator", reuse, is_training, [batch_norm]),
        arg_scope([batch_norm], zero_debias_moving_mean=True, fused=fused_batch_norm),
    ):
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
        logits = end_points["logits"] = lax.squeeze(_classify(net, 1), (1, 2))
    return logits, end_points


@_common.described()
def generator(
    inputs: jax.Array,
    depth: int = 64,
    final_size: int = 32,
    num_outputs: int = 3,
    is_training: bool = True,
    reuse: Reuse = None,
    scope: Scope = "Generator",
    fused_batch_norm: bool = False,
) -> Outputs:
    """4x4 transposed convolutions: the first makes 4x4 pixels, each later one doubles the size.

    Args:
      inputs: Noise, `[batch, length]`.
      depth: Number of channels of the last transposed convolution; each earlier one has twice as
        many.
      final_size: Height and width of the result: 8, 16, 32 or another power of 2.
      num_outputs: Number of channels of the result.
      is_training: Whether to normalize by the batch.
      fused_batch_norm: The `fused` of `batch_norm`: how the moving variance is estimated.

    Returns:
      The images, `[batch, final_size, final_size, num_outputs]`, as logits: apply tanh for values
      in (-1, 1); and the end points as a dict: deconv1, deconv2 and so on, and logits.

    Raises:
      ValueError: The inputs are not a batch of vectors, or `final_size` is another number.
    """
    checks.rank("generator", "inputs", inputs, "[batch, length]")
    if final_size < 8 or not _is_power_of_2(final_size):
        accepted, got = "a power of 2 and 8 or more", str(final_size)
        raise checks.refusal("generator", "final_size", accepted, got)
    last = final_size.bit_length() - 2
    net, end_points = lax.expand_dims(inputs, (1, 2)), EndPoints()
    with (
        _common.network_scope(scope, "Generator", reuse, is_training, [batch_norm]),
        arg_scope([batch_norm], zero_debias_moving_mean=True, fused=fused_batch_norm),
    ):
        for index in range(1, last + 1):
            name = f"deconv{index}"
            options: Arguments = {"activation_fn": None} if index == last else {}
            options |= {"stride": 1, "padding": "VALID"} if index == 1 else {"stride": 2}
            net = end_points[name] = conv2d_transpose(
                net,
                depth * 2 ** (last - index),
                [4, 4],
                normalizer_fn=None if index == last else batch_norm,
                scope=name,
                **options,
            )
        logits = end_points["logits"] = _classify(net, num_outputs, "logits")
    return logits, end_points
