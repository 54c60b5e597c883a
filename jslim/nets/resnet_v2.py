"""ResNet V2: residual networks of 50 to 200 layers, normalized before their convolutions.

    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        logits, end_points = resnet_v2.resnet_v2_50(images, 1001)

He et al., "Identity mappings in deep residual networks" (2016), https://arxiv.org/abs/1603.05027.
The published weights of TF-Slim need images of 299x299 pixels with Inception's preprocessing, and
have 1001 classes.
"""

from collections.abc import Sequence

import jax
from jax import lax

from jslim.core.arg_scope import add_arg_scope
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.layers import batch_norm, conv2d
from jslim.layers.utils import collect_named_outputs, last_dimension
from jslim.nets import resnet_utils
from jslim.nets._common import LINEAR, Head, Outputs, Scope, network_scope, with_image_size
from jslim.nets.resnet_utils import Block, Body, conv2d_same, subsample

resnet_arg_scope = resnet_utils.resnet_arg_scope


@add_arg_scope
def bottleneck(
    inputs: jax.Array,
    depth: int,
    depth_bottleneck: int,
    stride: int,
    rate: int = 1,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """A unit: normalization, a 1x1, a 3x3 and a 1x1 convolution, and a shortcut around them.

    Args:
      inputs: `[batch, height, width, channels]`.
      depth: Number of output channels. If the inputs have as many, the shortcut is the inputs,
        otherwise a 1x1 convolution after normalization.
      depth_bottleneck: Number of channels between the convolutions.
      stride: Stride of the 3x3 convolution.
      rate: Step between the pixels of the 3x3 window.
      outputs_collections: Collections to add the result to.
      scope: Name of the variable scope, default `bottleneck_v2`.

    Returns:
      `[batch, ceil(height / stride), ceil(width / stride), depth]`.
    """
    with variable_scope(scope, "bottleneck_v2") as opened:
        preact = batch_norm(inputs, activation_fn=jax.nn.relu, scope="preact")
        if depth == last_dimension(inputs.shape, min_rank=4):
            shortcut = subsample(inputs, stride, "shortcut")
        else:
            shortcut = conv2d(preact, depth, [1, 1], stride=stride, scope="shortcut", **LINEAR)
        residual = conv2d(preact, depth_bottleneck, [1, 1], scope="conv1")
        residual = conv2d_same(residual, depth_bottleneck, 3, stride, rate=rate, scope="conv2")
        residual = conv2d(residual, depth, [1, 1], scope="conv3", **LINEAR)
        outputs = lax.add(shortcut, residual)
        return collect_named_outputs(outputs_collections, opened.name, outputs)


_V2 = resnet_utils.Version("resnet_v2", bottleneck, is_preactivated=True)


@with_image_size(224, Body)
def resnet_v2(
    inputs: jax.Array,
    blocks: Sequence[Block],
    num_classes: int | None = None,
    is_training: bool | None = True,
    global_pool: bool = True,
    output_stride: int | None = None,
    include_root_block: bool = True,
    spatial_squeeze: bool = True,
    reuse: Reuse = None,
    scope: Scope = None,
) -> Outputs:
    """A root convolution, blocks of units, normalization, and a linear classifier.

    For a prediction per pixel pass `global_pool=False` and an `output_stride`. Images of a multiple
    of 32 pixels plus 1 then align the corners of the map with their own.

    Args:
      inputs: Images, `[batch, height, width, channels]`, of any size; without root block the
        result of a convolution without activation.
      blocks: The blocks, made by `resnet_v2_block`.
      is_training: Whether to normalize by the batch; None, which TF-Slim has for V1 alone, leaves
        that to an `arg_scope`.
      global_pool: Whether to average the features over height and width.
      scope: The variable scope, default `resnet_v2`.

    Returns:
      The logits, `[batch, num_classes]` (with their height and width in the middle if
      `spatial_squeeze` is False), or the features, `[batch, height, width, channels]`; and the
      end points as a dict: of each convolution, unit and block by its scope, then global_pool,
      SCOPE/logits, SCOPE/spatial_squeeze and predictions.

    Raises:
      ValueError: The images are not a batch, or too large to squeeze; `output_stride` is not the
        product of the first few strides.
    """
    body = Body(output_stride, include_root_block)
    head = Head(num_classes, spatial_squeeze, global_pool)
    with network_scope(scope, "resnet_v2", reuse, is_training, [batch_norm]) as opened:
        return _V2.build(inputs, blocks, body, head, opened)


def resnet_v2_block(scope: str, base_depth: int, num_units: int, stride: int) -> Block:
    """A block of `num_units` units with `4 * base_depth` channels; the last one has the stride.

    >>> [unit["stride"] for unit in resnet_v2_block("block1", 64, num_units=3, stride=2).args]
    [1, 1, 2]
    """
    return _V2.block(scope, base_depth, num_units, stride)


_ONLY_V1 = ("store_non_strided_activations", "min_base_depth", "depth_multiplier")
resnet_v2_50 = _V2.network(50, resnet_v2, _ONLY_V1)
resnet_v2_101 = _V2.network(101, resnet_v2, _ONLY_V1)
resnet_v2_152 = _V2.network(152, resnet_v2, _ONLY_V1)
resnet_v2_200 = _V2.network(200, resnet_v2, _ONLY_V1)
