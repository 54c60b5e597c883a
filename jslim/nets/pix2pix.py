"""Pix2pix: the generator, an encoder and a decoder, and the discriminator of patches.

    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        logits, end_points = pix2pix.pix2pix_generator(images, num_outputs=3)
        fakes = end_points['predictions']
        pairs = jnp.concatenate([images, fakes], axis=3)
        logits, _ = pix2pix.pix2pix_discriminator(pairs, [64, 128, 256, 512])

Isola et al., "Image-to-image translation with conditional adversarial networks" (2017),
https://arxiv.org/abs/1611.07004, section 6.1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import random_normal_initializer
from jslim.layers import conv2d, conv2d_transpose, dropout, instance_norm
from jslim.nets._common import LINEAR, Activation, Arguments, EndPoints, Outputs, check_images
from jslim.nets._generative import enlarge_nearest, leaky_relu, with_border

_METHODS = ("nn_upsample_conv", "conv2d_transpose")


def pix2pix_arg_scope() -> ArgScope:
    """The defaults of pix2pix: instance normalization, normally distributed initial weights.

    Returns:
      A scope for `slim.arg_scope`, for `conv2d` and `conv2d_transpose`.
    """
    with arg_scope(
        [conv2d, conv2d_transpose],
        normalizer_fn=instance_norm,
        normalizer_params={"center": True, "scale": True, "epsilon": 0.00001},
        weights_initializer=random_normal_initializer(0.0, 0.02),
    ) as scope:
        return scope


def upsample(
    net: jax.Array, num_outputs: int, kernel_size: Sequence[int], method: str = "nn_upsample_conv"
) -> jax.Array:
    """Makes a map larger, with a 4x4 convolution without activation.

    Args:
      net: `[batch, height, width, channels]`.
      num_outputs: Number of output channels.
      kernel_size: Factors of the height and the width.
      method: 'nn_upsample_conv' for a block of each pixel and then the convolution,
        'conv2d_transpose' for a transposed convolution.

    Returns:
      `[batch, height * kernel_size[0], width * kernel_size[1], num_outputs]`.

    Raises:
      ValueError: The method is unknown; `kernel_size` is not two positive integers.
    """
    checks.known("upsample", "method", method, _METHODS)
    stride = checks.positive_integers("upsample", "kernel_size", kernel_size, 2)
    if method == "conv2d_transpose":
        return conv2d_transpose(net, num_outputs, [4, 4], stride=stride, activation_fn=None)
    return conv2d(enlarge_nearest(net, stride), num_outputs, [4, 4], activation_fn=None)


class Block(NamedTuple):
    """A layer of the encoder, which halves the map, and its counterpart in the decoder."""

    num_filters: int  # of both
    decoder_keep_prob: float  # share of the features that the decoder keeps; 0 for no dropout


_BLOCKS = (Block(64, 0.5), Block(128, 0.5), Block(256, 0.5), *[Block(512, 0)] * 4)


def pix2pix_generator(
    net: jax.Array,
    num_outputs: int,
    blocks: Sequence[Block] | None = None,
    upsample_method: str = "nn_upsample_conv",
    is_training: bool = False,
) -> Outputs:
    """A U-Net: at every size the decoder also sees the map of the encoder.

    Dropout is active at inference too, as a source of noise: `apply` needs `rngs={'dropout': key}`
    unless no block has dropout.

    Args:
      net: Images, `[batch, height, width, channels]`; height and width are multiples of
        2 ** len(blocks), by default 128.
      num_outputs: Number of channels of the result.
      blocks: The blocks, the outermost first; None for the seven of the paper.
      upsample_method: The `method` of `upsample` in the decoder.
      is_training: Ignored: training and inference are the same.

    Returns:
      The logits, `[batch, height, width, num_outputs]`; and the end points as a dict: encoder0
      and so on, decoder0 and so on, logits, and predictions, which are their tanh.

    Raises:
      ValueError: The images are not a batch, or of another size; the method is unknown.
      ScopeError: A block has dropout, and the model was given no random key.
    """
    del is_training
    where = "pix2pix_generator"
    blocks = [Block(*block) for block in blocks or _BLOCKS]
    check_images(net, where, 1)
    checks.known(where, "method", upsample_method, _METHODS)
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
            # The first one has no normalization, and the last one no activation either.
            plain: Arguments = {"normalizer_fn": None} if index == 0 or is_last else {}
            plain["activation_fn"] = leaky_relu if index == 0 or not is_last else None
            net = conv2d(net, block.num_filters, [4, 4], stride=2, **plain)
            end_points[f"encoder{index}"] = net
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
        logits = conv2d(net, num_outputs, [4, 4], **LINEAR)
    end_points |= {"logits": logits, "predictions": jnp.tanh(logits)}
    return logits, end_points


def pix2pix_discriminator(
    net: jax.Array,
    num_filters: Sequence[int],
    padding: int = 2,
    pad_mode: str = "REFLECT",
    activation_fn: Activation = leaky_relu,
    is_training: bool = False,
) -> Outputs:
    """4x4 convolutions, all but the last with stride 2, and a linear classifier per patch.

    The variables are in the current scope.

    Args:
      net: Images, or pairs of them along the channels, `[batch, height, width, channels]`.
      num_filters: Number of channels of each convolution, of two or more.
      padding: Number of pixels to add on each side before each convolution.
      pad_mode: Mode of this border: 'CONSTANT', 'REFLECT' or 'SYMMETRIC', as in TensorFlow.
      activation_fn: Function of each convolution's result, default leaky ReLU with slope 0.2.
      is_training: Ignored: training and inference are the same.

    Returns:
      The logits, `[batch, rows, columns, 1]`, high for patches that look real; and the end points
      as a dict: conv0, conv1 and so on, logits, and predictions, which are their sigmoid.

    Raises:
      ValueError: The images are not a batch, or too small; there are fewer than two convolutions;
        an argument has another value than above.
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
        raise checks.refusal(where, "padding", "0 or more pixels", str(padding))
    border = [(padding, padding)] * 2

    def convolve(net: jax.Array, depth: int, index: int, stride: int, **kwargs: Any) -> jax.Array:
        net, pads = with_border(where, net, border, pad_mode)
        return conv2d(net, depth, [4, 4], stride, pads, scope=f"conv{index}", **kwargs)

    end_points: EndPoints = {}
    last = len(num_filters) - 1
    for index, depth in enumerate(num_filters):
        plain: Arguments = {} if index else {"normalizer_fn": None}
        stride = 2 if index < last else 1
        net = convolve(net, depth, index, stride, activation_fn=activation_fn, **plain)
        end_points[f"conv{index}"] = net
    logits = convolve(net, 1, last + 1, 1, **LINEAR)
    end_points |= {"logits": logits, "predictions": jax.nn.sigmoid(logits)}
    return logits, end_points
