"""CycleGAN: the generator, a residual network that makes of images others of their size.

    fakes, end_points = cyclegan.cyclegan_generator_resnet(images)

Its discriminator is `pix2pix.pix2pix_discriminator`.

Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks"
(2017), https://arxiv.org/abs/1703.10593, section 7.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import random_normal_initializer
from jslim.layers import conv2d, conv2d_transpose, instance_norm
from jslim.nets._common import EndPoints, check_images, fixed_padding
from jslim.nets._generative import (
    check_method,
    enlarge_bilinear,
    enlarge_nearest,
    pair,
    with_border,
)
from jslim.regularizers import l2_regularizer

_METHODS = ("nn_upsample_conv", "bilinear_upsample_conv", "conv2d_transpose")


def cyclegan_arg_scope(
    instance_norm_center: bool = True,
    instance_norm_scale: bool = True,
    instance_norm_epsilon: float = 0.001,
    weights_init_stddev: float = 0.02,
    weight_decay: float = 0.0,
) -> ArgScope:
    """The defaults that CycleGAN was made with: instance normalization of each convolution.

    Differs from TF-Slim: a negative `weight_decay` is refused.

    Args:
      instance_norm_center: Whether there is a `beta`.
      instance_norm_scale: Whether there is a `gamma`.
      instance_norm_epsilon: Added to the variance.
      weights_init_stddev: Standard deviation of the initial weights.
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`, of `conv2d` alone.

    Raises:
      ValueError: `weight_decay` is an integer or negative.
    """
    params = {
        "center": instance_norm_center,
        "scale": instance_norm_scale,
        "epsilon": instance_norm_epsilon,
    }
    with arg_scope(
        [conv2d],
        normalizer_fn=instance_norm,
        normalizer_params=params,
        weights_initializer=random_normal_initializer(0.0, weights_init_stddev),
        weights_regularizer=l2_regularizer(weight_decay),
    ) as scope:
        return scope


def cyclegan_upsample(
    net: jax.Array,
    num_outputs: int,
    stride: Sequence[int],
    method: str = "conv2d_transpose",
    pad_mode: str = "REFLECT",
    align_corners: bool = False,
) -> jax.Array:
    """A larger map, in the variable scope `upconv`.

    Args:
      net: `[batch, height, width, channels]`.
      num_outputs: Number of output channels.
      stride: How many times larger the height and the width become.
      method: 'nn_upsample_conv' or 'bilinear_upsample_conv': the map is resized and then goes
        through a 3x3 convolution; 'conv2d_transpose': through a transposed 3x3 convolution,
        whose first row and column are dropped.
      pad_mode: What is beyond the edges of a resized map: 'CONSTANT', 'REFLECT' or 'SYMMETRIC',
        as in TensorFlow.
      align_corners: Whether bilinear resizing leaves the corners at the corners.

    Returns:
      `[batch, height * stride[0], width * stride[1], num_outputs]`; by 'conv2d_transpose' larger
      by a pixel in a direction of stride 1, and smaller by one where the stride is above 2.

    Raises:
      ValueError: There is no such method or mode; `stride` is not two positive integers.
    """
    where = "cyclegan_upsample"
    check_method(where, method, _METHODS)
    stride = pair(where, "stride", stride)
    with variable_scope("upconv"):
        if method == "conv2d_transpose":
            net = conv2d_transpose(net, num_outputs, [3, 3], stride, padding="VALID")
            return net[:, 1:, 1:]
        if method == "nn_upsample_conv":
            net = enlarge_nearest(net, stride)
        else:
            net = enlarge_bilinear(net, stride, align_corners)
        net, padding = with_border(where, net, fixed_padding((3, 3)), pad_mode)
        return conv2d(net, num_outputs, [3, 3], padding=padding)


def cyclegan_generator_resnet(
    images: jax.Array,
    arg_scope_fn: Callable[[], ArgScope] = cyclegan_arg_scope,
    num_resnet_blocks: int = 6,
    num_filters: int = 64,
    upsample_fn: Callable[..., jax.Array] = cyclegan_upsample,
    kernel_size: int | Sequence[int] = 3,
    tanh_linear_slope: float = 0.0,
    is_training: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """An encoder, residual blocks at a quarter of the size, and a decoder.

    All of it is continued beyond the edges by reflection.

    Args:
      images: `[batch, height, width, channels]`, whose sides are multiples of 4, and 8 or more.
      arg_scope_fn: Makes the defaults of all layers.
      num_resnet_blocks: Number of residual blocks; the paper has 6 for 128x128 images and 9 for
        larger ones.
      num_filters: Number of channels of the first layer; the blocks have 4 times as many.
      upsample_fn: Makes the map twice as large, `f(net, num_outputs=n, stride=[2, 2])`.
      kernel_size: Of all convolutions but the first and the last, which have 7x7; one number for
        height and width, or both.
      tanh_linear_slope: How many times the logits are added to their tanh.
      is_training: Ignored, as it makes no difference here.

    Returns:
      The new images, of the shape of `images` with values in (-1, 1) unless there is a slope; and
      the end points as a dict: encoder_0 to encoder_2, resnet_block_0 and so on, decoder1,
      decoder2, logits and predictions.

    Raises:
      ValueError: The images are not a batch, or of another size; `upsample_fn` does not double
        the size; an argument is not one of the above.
    """
    del is_training
    where = "cyclegan_generator_resnet"
    check_images(images, where, 4)
    height, width, channels = images.shape[1:]
    if height % 4 or width % 4:
        raise ValueError(
            f"{where}: the height and the width of images must be multiples of 4, got "
            f"{height}x{width}; resize or crop them"
        )
    kernel = pair(where, "kernel_size", kernel_size)

    def convolve(net: jax.Array, depth: int, kernel: tuple[int, int], **kwargs: Any) -> jax.Array:
        net, padding = with_border(where, net, fixed_padding(kernel), "REFLECT")
        return conv2d(net, depth, kernel, padding=padding, **kwargs)

    end_points: EndPoints = {}
    relu = {"activation_fn": jax.nn.relu}
    with arg_scope(arg_scope_fn()):
        with variable_scope("input"):
            net = end_points["encoder_0"] = convolve(images, num_filters, (7, 7))
        with variable_scope("encoder"):
            for index in (1, 2):
                net = convolve(net, num_filters * 2**index, kernel, stride=2, **relu)
                end_points[f"encoder_{index}"] = net
        with variable_scope("residual_blocks"):
            for index in range(num_resnet_blocks):
                with variable_scope(f"block_{index}"):
                    residual = convolve(net, num_filters * 4, kernel, stride=1, **relu)
                    residual = convolve(
                        residual, num_filters * 4, kernel, stride=1, activation_fn=None
                    )
                    net = end_points[f"resnet_block_{index}"] = net + residual
        with (
            variable_scope("decoder"),
            arg_scope([conv2d], kernel_size=kernel, stride=1, **relu),
        ):
            for index, depth in ((1, num_filters * 2), (2, num_filters)):
                with variable_scope(f"decoder{index}"):
                    net = upsample_fn(net, num_outputs=depth, stride=[2, 2])
                end_points[f"decoder{index}"] = net
        with variable_scope("output"):
            if net.shape[1:3] != (height, width):
                raise ValueError(
                    f"{where}: upsample_fn must make maps twice as large, and after two of them "
                    f"there are {net.shape[1]}x{net.shape[2]} pixels in place of {height}x{width}"
                )
            logits = convolve(net, channels, (7, 7), activation_fn=None, normalizer_fn=None)
            end_points["logits"] = logits
            predictions = jnp.tanh(logits) + logits * tanh_linear_slope
            end_points["predictions"] = predictions
    return predictions, end_points
