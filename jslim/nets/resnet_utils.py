"""What ResNet V1 and V2 share: strided convolutions, blocks of units, the whole network.

As in TF-Slim a block makes the map smaller in its last unit, not its first: the same network, with
less memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.names import VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import variance_scaling_initializer
from jslim.layers import batch_norm, conv2d, max_pool2d, softmax
from jslim.layers.utils import collect_named_outputs, convert_collection_to_dict
from jslim.nets._common import (
    EndPoints,
    Head,
    check_images,
    fixed_padding,
    squeeze_logits,
)
from jslim.regularizers import l2_regularizer


class Block(NamedTuple):
    """One block of a ResNet."""

    scope: str
    unit_fn: Callable[..., jax.Array]  # (net, rate=..., **arguments) -> net
    args: Sequence[Mapping[str, int]]  # the arguments of each unit, 'stride' among them


def resnet_arg_scope(
    weight_decay: float = 0.0001,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
    batch_norm_scale: bool = True,
    activation_fn: Callable[[jax.Array], jax.Array] | None = jax.nn.relu,
    use_batch_norm: bool = True,
    batch_norm_updates_collections: str | None = "update_ops",
) -> ArgScope:
    """The defaults that the ResNets were made with: batch normalization, L2 on weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      batch_norm_scale: Whether batch normalization has a `gamma`.
      activation_fn: What follows each convolution.
      use_batch_norm: Whether convolutions are followed by batch normalization, or have biases.
      batch_norm_updates_collections: As for `batch_norm`.

    Returns:
      A scope for `slim.arg_scope`.
    """
    params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": batch_norm_scale,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
    }
    with (
        arg_scope(
            [conv2d],
            weights_regularizer=l2_regularizer(weight_decay),
            weights_initializer=variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=batch_norm if use_batch_norm else None,
            normalizer_params=params if use_batch_norm else {},
        ),
        arg_scope([batch_norm], **params),
        arg_scope([max_pool2d], padding="SAME") as scope,
    ):
        return scope


def subsample(inputs: jax.Array, factor: int, scope: str | None = None) -> jax.Array:
    """The pixels of a map that are `factor` apart, in rows and in columns.

    Args:
      inputs: `[batch, height, width, channels]`.
      factor: How far they are apart; 1 gives back the inputs.
      scope: Name of the op, as for `max_pool2d`.

    Returns:
      `[batch, ceil(height / factor), ceil(width / factor), channels]`.
    """
    return inputs if factor == 1 else max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


def conv2d_same(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: int,
    stride: int,
    rate: int = 1,
    scope: str | None = None,
) -> jax.Array:
    """A `conv2d` whose result with a stride is part of that without.

    It is `subsample(conv2d(inputs, ..., stride=1), stride)` without the pixels that this drops.
    SAME padding with a stride is different where a side of the map is even.

    Args:
      inputs: `[batch, height, width, channels]`.
      num_outputs: Number of filters.
      kernel_size: Height and width of the kernel, in pixels.
      stride: Step from one window to the next, in pixels.
      rate: Step between the pixels of a window; not together with `stride`.
      scope: Name of the variable scope, as for `conv2d`.

    Returns:
      `[batch, ceil(height / stride), ceil(width / stride), num_outputs]`.
    """
    padding = "SAME" if stride == 1 else fixed_padding([kernel_size, kernel_size], rate)
    return conv2d(
        inputs, num_outputs, kernel_size, stride=stride, rate=rate, padding=padding, scope=scope
    )


@add_arg_scope
def stack_blocks_dense(
    net: jax.Array,
    blocks: Sequence[Block],
    output_stride: int | None = None,
    store_non_strided_activations: bool = False,
    outputs_collections: str | Sequence[str] | None = None,
) -> jax.Array:
    """Blocks one after another; the last ones may keep the size of the map.

    Their units are then dilated in place of strided: Chen et al. (2016),
    https://arxiv.org/abs/1606.00915.

    Args:
      net: `[batch, height, width, channels]`.
      blocks: The blocks.
      output_stride: How many times smaller than `net` the result is; None for what the
        units' strides come to. It must be a product of the first of them.
      store_non_strided_activations: Whether a block's output is collected before it is made
        smaller, which costs four times as much in its last unit.
      outputs_collections: Collections that each block's output is added to, under its scope.

    Returns:
      The output of the last block.

    Raises:
      ValueError: The units' strides do not come to `output_stride`.
    """
    current, rate = 1, 1

    def is_reached() -> bool:
        return output_stride is not None and current == output_stride

    for block in blocks:
        with variable_scope(block.scope, "block") as opened:
            *_, last = block.args
            of_block = last.get("stride", 1) if store_non_strided_activations else 1
            for index, arguments in enumerate(block.args, 1):
                stride = arguments.get("stride", 1)
                if store_non_strided_activations and index == len(block.args):
                    stride = 1
                with variable_scope(f"unit_{index}"):
                    if is_reached():
                        net = block.unit_fn(net, rate=rate, **{**arguments, "stride": 1})
                        rate *= stride
                    else:
                        net = block.unit_fn(net, rate=1, **{**arguments, "stride": stride})
                        current *= stride
            net = collect_named_outputs(outputs_collections, opened.name, net)
            if is_reached():
                rate *= of_block
            else:
                net = subsample(net, of_block)
                current *= of_block
    if output_stride is not None and current != output_stride:
        raise ValueError(
            f"stack_blocks_dense: an output_stride of {output_stride} cannot be reached: the "
            f"strides of the units are {_strides(blocks)}, and it must be a product of the first "
            "of them"
        )
    return net


def _strides(blocks: Sequence[Block]) -> str:
    found = [arguments.get("stride", 1) for block in blocks for arguments in block.args]
    return ", ".join(str(stride) for stride in found if stride != 1) or "all 1"


@dataclass(frozen=True)
class Body:
    """What the features of a ResNet are made by.

    Args:
      output_stride: How many times smaller than the images the features are, a multiple of 4;
        None for what the blocks' strides come to, 32 in the networks that have names.
      include_root_block: Whether to begin with a convolution and a pool, which make the map 4
        times smaller.
      store_non_strided_activations: Whether the end points of blocks are taken before they are
        made smaller.
    """

    output_stride: int | None = None
    include_root_block: bool = True
    store_non_strided_activations: bool = False


@dataclass(frozen=True)
class Version:
    """What makes V1 or V2."""

    name: str
    unit_fn: Callable[..., jax.Array]
    is_preactivated: bool  # normalized before the convolutions and after the last block

    def block(self, scope: str, base_depth: int, num_units: int, stride: int) -> Block:
        """A block of units; the last one has the stride."""
        unit = {"depth": base_depth * 4, "depth_bottleneck": base_depth}
        strides = [1] * (num_units - 1) + [stride]
        return Block(scope, self.unit_fn, [{**unit, "stride": each} for each in strides])

    def blocks(self, layers: int, depth_multiplier: float = 1, least: int = 0) -> list[Block]:
        """The four blocks of the network with this number of layers."""
        depths = [max(int(depth * depth_multiplier), least) for depth in _BASE_DEPTHS]
        rows = zip(depths, _UNITS[layers], _STRIDES, strict=True)
        return [self.block(f"block{index}", *row) for index, row in enumerate(rows, 1)]

    def build(
        self,
        inputs: jax.Array,
        blocks: Sequence[Block],
        body: Body,
        head: Head,
        opened: VariableScope,
    ) -> tuple[jax.Array, EndPoints]:
        """The network, in the variable scope that is open."""
        check_images(inputs, self.name, 1)
        where, collection = opened.name, opened.original_name_scope + "_end_points"
        with arg_scope([conv2d, self.unit_fn, stack_blocks_dense], outputs_collections=collection):
            net, output_stride = inputs, body.output_stride
            if body.include_root_block:
                if output_stride is not None:
                    if output_stride % 4:
                        raise ValueError(
                            f"{where}: output_stride must be a multiple of 4, by which the "
                            f"root block makes the map smaller, got {output_stride}"
                        )
                    output_stride //= 4
                plain = {"activation_fn": None, "normalizer_fn": None}
                with arg_scope([conv2d], **(plain if self.is_preactivated else {})):
                    net = conv2d_same(net, 64, 7, stride=2, scope="conv1")
                net = max_pool2d(net, [3, 3], stride=2, scope="pool1")
            net = stack_blocks_dense(net, blocks, output_stride, body.store_non_strided_activations)
            if self.is_preactivated:
                net = batch_norm(net, activation_fn=jax.nn.relu, scope="postnorm")
            end_points = convert_collection_to_dict(collection, clear_collection=True)
            if head.global_pool:
                net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
            if head.num_classes:
                a_map = replace(head, spatial_squeeze=False)
                net = a_map.logits(net, where, "logits", outputs_collections=None)
                end_points[f"{where}/logits"] = net
                if head.spatial_squeeze:
                    net = end_points[f"{where}/spatial_squeeze"] = squeeze_logits(net, where)
                end_points["predictions"] = softmax(net, scope="predictions")
            return net, end_points


# The number of units of the four blocks, by the number of layers.
_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
_BASE_DEPTHS = (64, 128, 256, 512)
_STRIDES = (2, 2, 2, 1)
