"""Pix2pix: the generator, an encoder and a decoder of its maps, and the discriminator of patches.

    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        logits, end_points = pix2pix.pix2pix_generator(images, num_outputs=3)
        fakes = end_points['predictions']
        pairs = jnp.concatenate([images, fakes], axis=3)
        logits, _ = pix2pix.pix2pix_discriminator(pairs, [64, 128, 256, 512])

Isola et al., "Image-to-image translation with conditional adversarial networks" (2017),
https://arxiv.org/abs/1611.07004, section 6.1.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import random_normal_initializer
from jslim.layers import conv2d, conv2d_transpose, dropout, instance_norm
from jslim.nets._common import EndPoints, check_images
from jslim.nets._generative import (
    check_method,
    enlarge_nearest,
    leaky_relu,
    pair,
    with_border,
)

_METHODS = ("nn_upsample_conv", "conv2d_transpose")


def pix2pix_arg_scope() -> ArgScope:
    """The defaults that pix2pix was made with: instance normalization, normal initial weights.

    Returns:
      A scope for `slim.arg_scope`, of `conv2d` and `conv2d_transpose`.
    """
    with arg_scope(
        [conv2d, conv2d_transpose],
        normalizer_fn=instance_norm,
        normalizer_params={"center": True, "scale": True, "epsilon": 0.00001},
        weights_initializer=random_normal_initializer(0.0, 0.02),
    ) as scope:
        return scope


def upsample(
    net: jax.Array,
    num_outputs: int,
    kernel_size: Sequence[int],
    method: str = "nn_upsample_conv",
) -> jax.Array:
    """A larger map, through a 4x4 convolution without activation.

    Args:
      net: `[batch, height, width, channels]`.
      num_outputs: Number of output channels.
      kernel_size: How many times larger the height and the width become.
      method: 'nn_upsample_conv': every pixel becomes a block, then comes the convolution;
        'conv2d_transpose': a transposed one does both.

    Returns:
      `[batch, height * kernel_size[0], width * kernel_size[1], num_outputs]`.

    Raises:
      ValueError: There is no such method; `kernel_size` is not two positive integers.
    """
    check_method("upsample", method, _METHODS)
    stride = pair("upsample", "kernel_size", kernel_size)
    if method == "conv2d_transpose":
        return conv2d_transpose(net, num_outputs, [4, 4], stride=stride, activation_fn=None)
    return conv2d(enlarge_nearest(net, stride), num_outputs, [4, 4], activation_fn=None)


class Block(NamedTuple):
    """A layer of the encoder, which halves the map, and that of the decoder which doubles it."""

    num_filters: int  # of both
    decoder_keep_prob: float  # the share of its features that the decoder keeps; 0 for all


_BLOCKS = (Block(64, 0.5), Block(128, 0.5), Block(256, 0.5), *[Block(512, 0)] * 4)


def pix2pix_generator(
    net: jax.Array,
    num_outputs: int,
    blocks: Sequence[Block] | None = None,
    upsample_method: str = "nn_upsample_conv",
    is_training: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """A U-Net: a decoder that sees at every size what the encoder made of the images.

    Its dropout is also there at inference, as the noise that makes images differ: `apply` needs
    `rngs={'dropout': key}` unless the blocks have none.

    Args:
      net: Images, `[batch, height, width, channels]`, whose sides are multiples of 2 to the number
        of blocks, 128 by default.
      num_outputs: Number of channels of the result.
      blocks: The blocks from the images inwards; None for the seven of the paper.
      upsample_method: How the decoder doubles the size, a `method` of `upsample`.
      is_training: Ignored, as it makes no difference here.

    Returns:
      The logits, `[batch, height, width, num_outputs]`; and the end points as a dict: encoder0
      and so on, decoder0 and so on, logits, and predictions, which are their tanh.

    Raises:
      ValueError: The images are not a batch, or of another size; there is no such method.
      ScopeError: There is dropout and no random state.
    """
    del is_training
    where = "pix2pix_generator"
    blocks = [Block(*block) for block in blocks or _BLOCKS]
    check_images(net, where, 1)
    check_method(where, upsample_method, _METHODS)
    height, width = net.shape[1:3]
    multiple = 2 ** len(blocks)
    if height % multiple or width % multiple:
        raise ValueError(
            f"{where}: the height and the width of images must be multiples of {multiple}, as each "
            f"of {len(blocks)} blocks halves them, got {height}x{width}; resize them or pass fewer "
            "blocks"
        )
    end_points: EndPoints = {}
    encoded = []
    with variable_scope("encoder"):
        for index, block in enumerate(blocks):
            is_last = index == len(blocks) - 1
            # No normalization of the first one, and of the last one no activation either.
            plain: dict[str, Any] = {"normalizer_fn": None} if index == 0 or is_last else {}
            activation_fn = leaky_relu if index == 0 or not is_last else None
            net = end_points[f"encoder{index}"] = conv2d(
                net, block.num_filters, [4, 4], stride=2, activation_fn=activation_fn, **plain
            )
            encoded.append(net)
    with variable_scope("decoder"):
        for index, block in enumerate(reversed(blocks)):
            if index:
                net = lax.concatenate([net, encoded[-index - 1]], 3)
            net = upsample(jax.nn.relu(net), block.num_filters, (2, 2), upsample_method)
            if block.decoder_keep_prob > 0:
                net = dropout(net, block.decoder_keep_prob, is_training=True)
            end_points[f"decoder{index}"] = net
    with variable_scope("output"):
        logits = conv2d(net, num_outputs, [4, 4], activation_fn=None, normalizer_fn=None)
    end_points["logits"] = logits
    end_points["predictions"] = jnp.tanh(logits)
    return logits, end_points


def pix2pix_discriminator(
    net: jax.Array,
    num_filters: Sequence[int],
    padding: int = 2,
    pad_mode: str = "REFLECT",
    activation_fn: Callable[[jax.Array], jax.Array] | None = leaky_relu,
    is_training: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """4x4 convolutions, all but the last with stride 2, and a linear classifier of each patch.

    It makes its variables in the scope that is current.

    Args:
      net: Images, or pairs of them along the channels, `[batch, height, width, channels]`.
      num_filters: Number of channels of each convolution, of two or more.
      padding: How many pixels to add on each side before each convolution.
      pad_mode: What they are: 'CONSTANT', 'REFLECT' or 'SYMMETRIC', as in TensorFlow.
      activation_fn: Function of each convolution's result, default leaky ReLU with slope 0.2.
      is_training: Ignored, as it makes no difference here.

    Returns:
      The logits, `[batch, rows, columns, 1]`, high for patches that look real; and the end points
      as a dict: conv0, conv1 and so on, logits, and predictions, which are their sigmoid.

    Raises:
      ValueError: The images are not a batch, or too small; there are fewer than two convolutions;
        an argument is not one of the above.
    """
    del is_training
    where = "pix2pix_discriminator"
    check_images(net, where, 1)
    if len(num_filters) < 2:
        raise ValueError(
            f"{where}: num_filters must hold the channels of two or more convolutions, got "
            f"{num_filters}"
        )
    if padding < 0:
        raise ValueError(f"{where}: padding must be 0 or more pixels, got {padding}")
    border = [(padding, padding)] * 2

    def convolve(net: jax.Array, depth: int, index: int, stride: int, **kwargs: Any) -> jax.Array:
        net, pads = with_border(where, net, border, pad_mode)
        return conv2d(net, depth, [4, 4], stride, pads, scope=f"conv{index}", **kwargs)

    end_points: EndPoints = {}
    last = len(num_filters) - 1
    for index, depth in enumerate(num_filters):
        plain: dict[str, Any] = {} if index else {"normalizer_fn": None}
        stride = 2 if index < last else 1
        net = convolve(net, depth, index, stride, activation_fn=activation_fn, **plain)
        end_points[f"conv{index}"] = net
    logits = convolve(net, 1, last + 1, 1, activation_fn=None, normalizer_fn=None)
    end_points["logits"] = logits
    end_points["predictions"] = jax.nn.sigmoid(logits)
    return logits, end_points
