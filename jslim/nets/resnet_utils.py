"""What ResNet V1 and V2 share: strided convolutions, blocks of units, the whole network.

As in TF-Slim a block makes the map smaller in its last unit, not its first: the same network, with
less memory.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import variance_scaling_initializer
from jslim.layers import batch_norm, conv2d, max_pool2d, softmax
from jslim.layers.utils import collect_named_outputs, convert_collection_to_dict
from jslim.nets._common import EndPoints, check_images, fixed_padding, squeeze_logits
from jslim.regularizers import l2_regularizer


class Block(NamedTuple):
    """One block of a ResNet."""

    scope: str
    unit_fn: Callable[..., jax.Array]  # (net, rate=..., **arguments) -> net
    args: Sequence[Mapping[str, Any]]  # the arguments of each unit, 'stride' among them


def resnet_arg_scope(
    weight_decay: float = 0.0001,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
    batch_norm_scale: bool = True,
    activation_fn: Callable[[jax.Array], jax.Array] | None = jax.nn.relu,
    use_batch_norm: bool = True,
    batch_norm_updates_collections: Any = "update_ops",
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
    """Every so many-th pixel of a row and of a column.

    Args:
      inputs: `[batch, height, width, channels]`.
      factor: How far these are apart; 1 gives back the inputs.
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
    if stride == 1:
        return conv2d(
            inputs, num_outputs, kernel_size, stride=1, rate=rate, padding="SAME", scope=scope
        )
    return conv2d(
        inputs,
        num_outputs,
        kernel_size,
        stride=stride,
        rate=rate,
        padding=fixed_padding([kernel_size, kernel_size], rate),
        scope=scope,
    )


@add_arg_scope
def stack_blocks_dense(
    net: jax.Array,
    blocks: Sequence[Block],
    output_stride: int | None = None,
    store_non_strided_activations: bool = False,
    outputs_collections: str | Sequence[str] | None = None,
) -> jax.Array:
    """Blocks one after another, of which the last ones may keep the size of the map.

    Their units are then dilated in place of strided: Chen et al. (2016),
    https://arxiv.org/abs/1606.00915.

    Args:
      net: `[batch, height, width, channels]`.
      blocks: The blocks.
      output_stride: How many times smaller than `net` the result is; None for as many as the
        units' strides say. It must be the product of the first so many of them.
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


class Version(NamedTuple):
    """What makes V1 or V2."""

    name: str
    unit_fn: Callable[..., jax.Array]
    is_preactivated: bool  # normalized before the convolutions and after the last block


def build(
    version: Version,
    inputs: jax.Array,
    blocks: Sequence[Block],
    num_classes: int | None,
    is_training: bool | None,
    global_pool: bool,
    output_stride: int | None,
    include_root_block: bool,
    spatial_squeeze: bool,
    reuse: Reuse,
    scope: str | VariableScope | None,
    store_non_strided_activations: bool = False,
) -> tuple[jax.Array, EndPoints]:
    """The network of `resnet_v1` and `resnet_v2`, which say what the arguments are."""
    check_images(inputs, version.name, 1)
    with variable_scope(scope, version.name, reuse=reuse) as opened:
        collection = opened.original_name_scope + "_end_points"
        with (
            arg_scope(
                [conv2d, version.unit_fn, stack_blocks_dense], outputs_collections=collection
            ),
            nullcontext()
            if is_training is None
            else arg_scope([batch_norm], is_training=is_training),
        ):
            net = inputs
            if include_root_block:
                if output_stride is not None:
                    if output_stride % 4:
                        raise ValueError(
                            f"{opened.name}: output_stride must be a multiple of 4, by which the "
                            f"root block makes the map smaller, got {output_stride}"
                        )
                    output_stride //= 4
                plain = {"activation_fn": None, "normalizer_fn": None}
                with arg_scope([conv2d], **(plain if version.is_preactivated else {})):
                    net = conv2d_same(net, 64, 7, stride=2, scope="conv1")
                net = max_pool2d(net, [3, 3], stride=2, scope="pool1")
            net = stack_blocks_dense(net, blocks, output_stride, store_non_strided_activations)
            if version.is_preactivated:
                net = batch_norm(net, activation_fn=jax.nn.relu, scope="postnorm")
            end_points = convert_collection_to_dict(collection, clear_collection=True)
            if global_pool:
                net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
            if num_classes:
                net = conv2d(
                    net,
                    num_classes,
                    [1, 1],
                    activation_fn=None,
                    normalizer_fn=None,
                    outputs_collections=None,
                    scope="logits",
                )
                end_points[f"{opened.name}/logits"] = net
                if spatial_squeeze:
                    net = squeeze_logits(net, opened.name)
                    end_points[f"{opened.name}/spatial_squeeze"] = net
                end_points["predictions"] = softmax(net, scope="predictions")
            return net, end_points


def bottleneck_block(
    unit_fn: Callable[..., jax.Array], scope: str, base_depth: int, num_units: int, stride: int
) -> Block:
    """A block of so many units, of which the last has the stride."""
    unit = {"depth": base_depth * 4, "depth_bottleneck": base_depth}
    strides = [1] * (num_units - 1) + [stride]
    return Block(scope, unit_fn, [{**unit, "stride": each} for each in strides])


# The number of units of the four blocks, by the number of layers.
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
BASE_DEPTHS = (64, 128, 256, 512)
STRIDES = (2, 2, 2, 1)
