"""Shared by ResNet V1 and V2: strided convolutions, blocks of units, the whole network.

As in TF-Slim the last unit of a block makes the map smaller, not the first: that needs less memory
for an equivalent network.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import variance_scaling_initializer
from jslim.layers import batch_norm, conv2d, max_pool2d, softmax
from jslim.layers.utils import collect_named_outputs, convert_collection_to_dict
from jslim.nets import _common
from jslim.nets._common import Function, Head, Outputs
from jslim.regularizers import l2_regularizer


class Block(NamedTuple):
    """One block of a ResNet."""

    scope: str
    unit_fn: Function  # (net, rate=..., **arguments) -> net
    args: Sequence[Mapping[str, int]]  # the arguments of each unit, 'stride' among them


def resnet_arg_scope(
    weight_decay: float = 0.0001,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
    batch_norm_scale: bool = True,
    activation_fn: _common.Activation = jax.nn.relu,
    use_batch_norm: bool = True,
    batch_norm_updates_collections: str | None = "update_ops",
) -> ArgScope:
    """The defaults of the ResNets: batch normalization, L2 on weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      batch_norm_scale: Whether batch normalization has a `gamma`.
      activation_fn: Function of each convolution's result.
      use_batch_norm: Whether convolutions have batch normalization, or biases.
      batch_norm_updates_collections: As for `batch_norm`.

    Returns:
      A scope for `slim.arg_scope`.
    """
    params = _common.batch_norm_params(
        batch_norm_decay, batch_norm_epsilon, batch_norm_updates_collections, batch_norm_scale
    )
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
    """Keeps every `factor`-th pixel along height and width.

    Args:
      inputs: `[batch, height, width, channels]`.
      factor: Step from one pixel to the next; 1 returns the inputs.
      scope: Name of the op, as for `max_pool2d`.

    Returns:
      `[batch, ceil(height / factor), ceil(width / factor), channels]`.

    >>> subsample(jnp.arange(5.0).reshape(1, 1, 5, 1), 2).ravel().tolist()
    [0.0, 2.0, 4.0]
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
    """A strided `conv2d` with the same result as a subsampled one without stride.

    The result is that of `subsample(conv2d(inputs, ..., stride=1), stride)`, without computing the
    pixels that `subsample` drops. SAME padding with a stride differs if height or width is even.

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
    padding = "SAME" if stride == 1 else _common.fixed_padding([kernel_size, kernel_size], rate)
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
    """Applies blocks in order; with `output_stride` the last ones may keep the size of the map.

    Their units are then dilated instead of strided: Chen et al. (2016),
    https://arxiv.org/abs/1606.00915.

    Args:
      net: `[batch, height, width, channels]`.
      blocks: The blocks.
      output_stride: Ratio of the sizes of `net` and the result, which must be the product of the
        first few strides; None for the product of all strides.
      store_non_strided_activations: Whether a block's output is collected before its stride. The
        last unit then costs four times as much.
      outputs_collections: Collections that each block's output is added to, under its scope.

    Returns:
      The output of the last block.

    Raises:
      ValueError: `output_stride` is not the product of the first few strides.
    """
    strides: list[int] = []  # of each block: of its units, then of its output
    for block in blocks:
        *first, last = [arguments.get("stride", 1) for arguments in block.args]
        strides += [*first, 1, last] if store_non_strided_activations else [*first, last, 1]
    steps = list(_common.strides_and_rates(strides, output_stride))
    if output_stride is not None and math.prod(stride for stride, _ in steps) != output_stride:
        found = ", ".join(str(stride) for stride in strides if stride != 1) or "all 1"
        raise ValueError(
            f"stack_blocks_dense: an output_stride of {output_stride} cannot be reached: the "
            f"strides of the units are {found}, and it must be a product of the first of them"
        )
    remaining = iter(steps)
    for block in blocks:
        with variable_scope(block.scope, "block") as opened:
            for index, arguments in enumerate(block.args, 1):
                stride, rate = next(remaining)
                with variable_scope(f"unit_{index}"):
                    net = block.unit_fn(net, rate=rate, **{**arguments, "stride": stride})
            net = collect_named_outputs(outputs_collections, opened.name, net)
            net = subsample(net, next(remaining)[0])
    return net


@dataclass(frozen=True)
class Body:
    """The part of a ResNet that makes the features.

    Args:
      output_stride: Ratio of the sizes of images and features, a multiple of 4; None for the
        product of all strides, which is 32 in the networks of 50 to 200 layers.
      include_root_block: Whether to begin with a convolution and a pool of stride 2 each.
      store_non_strided_activations: Whether the end points of blocks are taken before the stride.
    """

    output_stride: int | None = None
    include_root_block: bool = True
    store_non_strided_activations: bool = False


@dataclass(frozen=True)
class Version:
    """ResNet V1 or V2."""

    name: str
    unit_fn: Function
    is_preactivated: bool  # normalization is before the convolutions, and after the last block

    def block(self, scope: str, base_depth: int, num_units: int, stride: int) -> Block:
        """A block of `num_units` units with `4 * base_depth` channels, the last with the stride."""
        unit = {"depth": base_depth * 4, "depth_bottleneck": base_depth}
        strides = [1] * (num_units - 1) + [stride]
        return Block(scope, self.unit_fn, [{**unit, "stride": each} for each in strides])

    def build(
        self,
        inputs: jax.Array,
        blocks: Sequence[Block],
        body: Body,
        head: Head,
        opened: VariableScope,
    ) -> Outputs:
        """Builds the network in the current variable scope."""
        _common.check_images(inputs, self.name, 1)
        where, collection = opened.name, opened.original_name_scope + "_end_points"
        with arg_scope([conv2d, self.unit_fn, stack_blocks_dense], outputs_collections=collection):
            net, output_stride = inputs, body.output_stride
            if body.include_root_block:
                if output_stride is not None:
                    if output_stride % 4:
                        accepted = "a multiple of 4, by which the root block makes the map smaller"
                        got = str(output_stride)
                        raise checks.refusal(where, "output_stride", accepted, got)
                    output_stride //= 4
                with arg_scope([conv2d], **(_common.LINEAR if self.is_preactivated else {})):
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
                    net = _common.squeeze_logits(net, where)
                    end_points[f"{where}/spatial_squeeze"] = net
                end_points["predictions"] = softmax(net, scope="predictions")
            return net, end_points

    def network(
        self, layers: int, general: _common.Network, without: Sequence[str] = ()
    ) -> _common.Network:
        """The network with this number of layers.

        Args:
          layers: 50, 101, 152 or 200.
          general: `resnet_v1` or `resnet_v2`, the source of its module and docstring.
          without: Arguments that this version lacks.
        """
        name = f"{self.name}_{layers}"

        @_common.with_image_size(224, general)
        @_common.without(*without)
        @_common.named(name, general.__module__)
        def resnet(
            inputs: jax.Array,
            num_classes: int | None = None,
            is_training: bool | None = True,
            global_pool: bool = True,
            output_stride: int | None = None,
            spatial_squeeze: bool = True,
            store_non_strided_activations: bool = False,
            min_base_depth: int = 8,
            depth_multiplier: float = 1,
            reuse: Reuse = None,
            scope: _common.Scope = name,
        ) -> Outputs:
            """The paper's network of four blocks with this number of layers.

            Args:
              inputs: Images, `[batch, height, width, channels]`, of any size.
              min_base_depth: The least number of channels between the convolutions of a unit.
              depth_multiplier: Factor of these numbers, which are 64, 128, 256 and 512.
              scope: The variable scope.

            Returns and raises the same as `resnet_v1` or `resnet_v2`.
            """
            depths = [max(int(depth * depth_multiplier), min_base_depth) for depth in _DEPTHS]
            rows = zip(depths, _UNITS[layers], _STRIDES, strict=True)
            blocks = [self.block(f"block{index}", *row) for index, row in enumerate(rows, 1)]
            body = Body(output_stride, True, store_non_strided_activations)
            head = Head(num_classes, spatial_squeeze, global_pool)
            with _common.network_scope(
                scope, self.name, reuse, is_training, [batch_norm]
            ) as opened:
                return self.build(inputs, blocks, body, head, opened)

        return resnet


# The number of units of the four blocks, by the number of layers.
_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
_DEPTHS = (64, 128, 256, 512)
_STRIDES = (2, 2, 2, 1)
