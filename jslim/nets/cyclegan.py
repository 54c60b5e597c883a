"""CycleGAN: the generator, a residual network from images to images of the same size.

    fakes, end_points = cyclegan.cyclegan_generator_resnet(images)

Its discriminator is `pix2pix.pix2pix_discriminator`.

Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks"
(2017), https://arxiv.org/abs/1703.10593, section 7.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import random_normal_initializer
from jslim.layers import conv2d, conv2d_transpose, instance_norm
from jslim.nets._common import LINEAR, EndPoints, Function, Outputs, check_images, fixed_padding
from jslim.nets._generative import enlarge_bilinear, enlarge_nearest, with_border
from jslim.regularizers import l2_regularizer

_METHODS = ("nn_upsample_conv", "bilinear_upsample_conv", "conv2d_transpose")


def cyclegan_arg_scope(
    instance_norm_center: bool = True,
    instance_norm_scale: bool = True,
    instance_norm_epsilon: float = 0.001,
    weights_init_stddev: float = 0.02,
    weight_decay: float = 0.0,
) -> ArgScope:
    """The defaults of CycleGAN: instance normalization of each convolution.

    Differs from TF-Slim: a negative `weight_decay` is an error.

    Args:
      instance_norm_center: Whether there is a `beta`.
      instance_norm_scale: Whether there is a `gamma`.
      instance_norm_epsilon: Added to the variance.
      weights_init_stddev: Standard deviation of the initial weights.
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`, for `conv2d` only.

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
    """Makes a map larger, in the variable scope `upconv`.

    Args:
      net: `[batch, height, width, channels]`.
      num_outputs: Number of output channels.
      stride: Factors of the height and the width.
      method: 'nn_upsample_conv' or 'bilinear_upsample_conv' for resizing and a 3x3 convolution,
        'conv2d_transpose' for a transposed 3x3 convolution without its first row and column.
      pad_mode: Border of a resized map: 'CONSTANT', 'REFLECT' or 'SYMMETRIC', as in TensorFlow.
      align_corners: Whether bilinear resizing keeps the corners at the corners.

    Returns:
      `[batch, height * stride[0], width * stride[1], num_outputs]`. 'conv2d_transpose' gives one
      pixel more in a direction of stride 1, and one pixel less with a stride above 2.

    Raises:
      ValueError: The method or mode is unknown; `stride` is not two positive integers.
    """
    where = "cyclegan_upsample"
    checks.known(where, "method", method, _METHODS)
    stride = checks.positive_integers(where, "stride", stride, 2)
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
    upsample_fn: Function = cyclegan_upsample,
    kernel_size: int | Sequence[int] = 3,
    tanh_linear_slope: float = 0.0,
    is_training: bool = False,
) -> Outputs:
    """An encoder, residual blocks at a quarter of the size, and a decoder.

    All convolutions have a reflected border.

    Args:
      images: `[batch, height, width, channels]`; height and width are multiples of 4, 8 or more.
      arg_scope_fn: Makes the defaults of all layers.
      num_resnet_blocks: Number of residual blocks; the paper has 6 for 128x128 images and 9 for
        larger ones.
      num_filters: Number of channels of the first layer; the blocks have 4 times as many.
      upsample_fn: Doubles the size of the map, called as `f(net, num_outputs=n, stride=[2, 2])`.
      kernel_size: Kernel size of all convolutions except the first and the last, which have 7x7:
        height and width in pixels, or one number for both.
      tanh_linear_slope: The predictions are tanh of the logits, plus this factor times the logits.
      is_training: Ignored: training and inference are the same.

    Returns:
      The new images, of the shape of `images` with values in (-1, 1) unless there is a slope; and
      the end points as a dict: encoder_0 to encoder_2, resnet_block_0 and so on, decoder1,
      decoder2, logits and predictions.

    Raises:
      ValueError: The images are not a batch, or of another size; `upsample_fn` does not double
        the size; an argument has another value than above.
    """
    del is_training
    where = "cyclegan_generator_resnet"
    check_images(images, where, 4)
    height, width, channels = images.shape[1:]
    if height % 4 or width % 4:
        what, got = "the height and the width of images", f"{height}x{width}"
        raise checks.refusal(where, what, "multiples of 4", got, "resize or crop them")
    kernel_size = checks.positive_integers(where, "kernel_size", kernel_size, 2)

    def convolve(
        net: jax.Array, depth: int, kernel: Sequence[int] = kernel_size, **kwargs: Any
    ) -> jax.Array:
        net, padding = with_border(where, net, fixed_padding(kernel), "REFLECT")
        return conv2d(net, depth, kernel, padding=padding, **kwargs)

    end_points: EndPoints = {}
    with arg_scope(arg_scope_fn()):
        with variable_scope("input"):
            net = end_points["encoder_0"] = convolve(images, num_filters, (7, 7))
        with arg_scope([conv2d], activation_fn=jax.nn.relu):
            with variable_scope("encoder"):
                for index in (1, 2):
                    net = convolve(net, num_filters * 2**index, stride=2)
                    end_points[f"encoder_{index}"] = net
            with variable_scope("residual_blocks"):
                for index in range(num_resnet_blocks):
                    with variable_scope(f"block_{index}"):
                        residual = convolve(net, num_filters * 4, stride=1)
                        residual = convolve(residual, num_filters * 4, stride=1, activation_fn=None)
                        net = end_points[f"resnet_block_{index}"] = net + residual
            with variable_scope("decoder"), arg_scope([conv2d], kernel_size=kernel_size, stride=1):
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
            logits = convolve(net, channels, (7, 7), **LINEAR)
            predictions = jnp.tanh(logits) + logits * tanh_linear_slope
            end_points |= {"logits": logits, "predictions": predictions}
    return predictions, end_points
