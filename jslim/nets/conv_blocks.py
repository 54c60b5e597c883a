"""The blocks that MobileNet V2 and V3 are made of.

Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks" (2018),
https://arxiv.org/abs/1801.04381; Howard et al., "Searching for MobileNetV3" (2019),
https://arxiv.org/abs/1905.02244.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core.arg_scope import add_arg_scope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool2d, conv2d, separable_conv2d, utils
from jslim.nets._common import EndPoints, fixed_padding

Function = Callable[..., jax.Array]


def make_divisible(value: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, and not below 0.9 of it.

    Args:
      value: How many channels there would be.
      divisor: What their number has to be a multiple of.
      min_value: The least number; default `divisor`.
    """
    least = divisor if min_value is None else min_value
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return int(rounded + divisor if rounded < 0.9 * value else rounded)


def expand_input_by_factor(n: float, divisible_by: int = 8) -> Callable[..., int]:
    """An `expansion_size` of `expanded_conv`: `n` times the channels of its input.

    Args:
      n: The factor.
      divisible_by: What the number of channels is rounded to a multiple of.
    """

    def expand(num_inputs: int, **_: Any) -> int:
        return make_divisible(num_inputs * n, divisible_by)

    return expand


_SIX_TIMES = expand_input_by_factor(6)


def _split_divisible(where: str, num: int, num_ways: int, divisible_by: int) -> list[int]:
    """Nearly equal multiples of `divisible_by` that add up to `num`."""
    if num % divisible_by:
        raise ValueError(
            f"{where}: {num} channels cannot be split into parts that are multiples of "
            f"{divisible_by}; pass another divisible_by, or num_ways=1"
        )
    pieces = num // divisible_by
    ends = [-(-pieces * i // num_ways) for i in range(num_ways + 1)]
    return [(end - begin) * divisible_by for begin, end in itertools.pairwise(ends)]


def split_conv(
    input_tensor: jax.Array,
    num_outputs: int,
    num_ways: int,
    scope: str,
    divisible_by: int = 8,
    outputs_collections: str | Sequence[str] | None = None,
    **kwargs: Any,
) -> jax.Array:
    """A 1x1 convolution in groups: the n-th part of the inputs makes the n-th of the outputs.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      num_outputs: Number of filters of all parts together.
      num_ways: How many parts there are; with less than `divisible_by` channels a part it is one
        plain convolution.
      scope: Name of the convolution, to which '_part_0' and so on are added.
      divisible_by: What the numbers of channels of a part are multiples of.
      outputs_collections: Collections to add the results of the parts to.
      **kwargs: Further arguments of `conv2d`.

    Returns:
      `[batch, height, width, num_outputs]`.

    Raises:
      ValueError: The number of inputs or outputs is not a multiple of `divisible_by`.
    """
    channels = input_tensor.shape[3]
    if num_ways == 1 or min(channels, num_outputs) // num_ways < divisible_by:
        return conv2d(input_tensor, num_outputs, [1, 1], scope=scope, **kwargs)
    sizes, depths = (
        _split_divisible(f"split_conv at {scope!r}", num, num_ways, divisible_by)
        for num in (channels, num_outputs)
    )
    outputs = []
    for i, (part, depth) in enumerate(
        zip(lax.split(input_tensor, sizes, axis=3), depths, strict=True)
    ):
        net = conv2d(part, depth, [1, 1], scope=f"{scope}_part_{i}", **kwargs)
        outputs.append(
            utils.collect_named_outputs(outputs_collections, f"{scope}_part_{i}_output", net)
        )
    return lax.concatenate(outputs, 3)


@add_arg_scope
def split_separable_conv2d(
    input_tensor: jax.Array,
    num_outputs: int,
    scope: str | None = None,
    normalizer_fn: Function | None = None,
    stride: int = 1,
    rate: int = 1,
    endpoints: EndPoints | None = None,
    use_explicit_padding: bool = False,
) -> jax.Array:
    """The block of MobileNet V1: a depthwise 3x3 convolution and a 1x1 one, both normalized.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      num_outputs: Number of filters of the 1x1 convolution.
      scope: The names are 'SCOPE_depthwise' and 'SCOPE_pointwise'; by default 'depthwise' and
        'pointwise' in a scope `separable`, made unique.
      normalizer_fn: Of both convolutions; None for biases.
      stride: Of the depthwise convolution.
      rate: Of the depthwise convolution, the step between the pixels of a window.
      endpoints: A dict to which the outputs of both are added by their names.
      use_explicit_padding: Whether the padding depends on the kernel alone.

    Returns:
      `[batch, new_height, new_width, num_outputs]`.
    """
    prefix = "" if scope is None else f"{scope}_"
    endpoints = {} if endpoints is None else endpoints
    with ExitStack() as stack:
        if scope is None:
            stack.enter_context(variable_scope(None, "separable"))
        net = endpoints[f"{prefix}depthwise"] = separable_conv2d(
            input_tensor,
            None,
            [3, 3],
            depth_multiplier=1,
            stride=stride,
            rate=rate,
            normalizer_fn=normalizer_fn,
            padding=fixed_padding([3, 3], rate) if use_explicit_padding else "SAME",
            scope=f"{prefix}depthwise",
        )
        net = endpoints[f"{prefix}pointwise"] = conv2d(
            net,
            num_outputs,
            [1, 1],
            stride=1,
            normalizer_fn=normalizer_fn,
            scope=f"{prefix}pointwise",
        )
    return net


@add_arg_scope
def expanded_conv(
    input_tensor: jax.Array,
    num_outputs: int,
    expansion_size: int | Callable[..., int] = _SIX_TIMES,
    stride: int = 1,
    rate: int = 1,
    kernel_size: Sequence[int] = (3, 3),
    residual: bool | Function = True,
    normalizer_fn: Function | None = None,
    split_projection: int = 1,
    split_expansion: int = 1,
    split_divisible_by: int = 8,
    expansion_transform: Function | None = None,
    depthwise_location: str | None = "expansion",
    depthwise_channel_multiplier: int = 1,
    endpoints: EndPoints | None = None,
    use_explicit_padding: bool = False,
    padding: Any = "SAME",
    inner_activation_fn: Function | None = None,
    depthwise_activation_fn: Function | None = None,
    project_activation_fn: Function | None = None,
    depthwise_fn: Function = separable_conv2d,
    expansion_fn: Function = split_conv,
    projection_fn: Function = split_conv,
    scope: str | None = None,
    *,
    outputs_collections: str | Sequence[str] | None = None,
) -> jax.Array:
    """The inverted residual block: 1x1 expansion, depthwise convolution, 1x1 projection.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      num_outputs: Number of channels of the result.
      expansion_size: To how many channels to expand, or a function of `num_inputs` that says so.
        If that is not more than there are, nothing is expanded.
      stride: Of the depthwise convolution.
      rate: Of the depthwise convolution, the step between the pixels of a window.
      kernel_size: Of the depthwise convolution, height and width in pixels.
      residual: Whether the input is added to the result, where the stride is 1 and the channels
        are as many; or a function of `input_tensor` and `output_tensor` that gives the result.
      normalizer_fn: Of all three convolutions; None for biases.
      split_projection: In how many groups to project: `num_ways` of `split_conv`.
      split_expansion: In how many to expand.
      split_divisible_by: What the channels of such a group are a multiple of.
      expansion_transform: A function of `expansion_tensor` and `input_tensor` whose result is
        projected.
      depthwise_location: Where that convolution stands: on the 'input', the 'expansion' or the
        'output', or None for nowhere. On the first and last it has no activation.
      depthwise_channel_multiplier: Number of depthwise filters for each channel.
      endpoints: A dict to which 'expansion_output', 'depthwise_output' and 'projection_output'
        are added.
      use_explicit_padding: Whether the padding depends on the kernel alone.
      padding: Of the depthwise convolution, where it does not.
      inner_activation_fn: What follows expansion and depthwise convolution, default what the
        `arg_scope` says.
      depthwise_activation_fn: What follows the latter, where it is something else.
      project_activation_fn: What follows the projection, default nothing.
      depthwise_fn: In place of `separable_conv2d`.
      expansion_fn: In place of `split_conv`; then two of the `split_` arguments mean nothing.
      projection_fn: In place of `split_conv` too.
      scope: Name of the variable scope, default `expanded_conv`, made unique.
      outputs_collections: Collections to add 'expansion_output', 'depthwise_output' and 'output'
        to, by these names; a MobileNet sets it, to have them as end points.

    Returns:
      `[batch, new_height, new_width, num_outputs]`.

    Raises:
      TypeError: `depthwise_location` is not one of these; `padding` is given together with
        `use_explicit_padding`.
    """
    if depthwise_location not in (None, "input", "output", "expansion"):
        raise TypeError(
            "expanded_conv: depthwise_location must be 'input', 'expansion', 'output' or None, "
            f"got {depthwise_location!r}"
        )
    if use_explicit_padding and padding != "SAME":
        raise TypeError(
            f"expanded_conv: use_explicit_padding stands for padding='SAME', got {padding!r} with "
            "it; leave one of them out"
        )

    def keep(name: str, net: jax.Array) -> jax.Array:
        if endpoints is not None:
            endpoints[name] = net
        return utils.collect_named_outputs(outputs_collections, name, net)

    def depthwise(net: jax.Array, **kwargs: Any) -> jax.Array:
        net = depthwise_fn(
            net,
            num_outputs=None,
            kernel_size=kernel_size,
            depth_multiplier=depthwise_channel_multiplier,
            stride=stride,
            rate=rate,
            normalizer_fn=normalizer_fn,
            padding=fixed_padding(kernel_size, rate) if use_explicit_padding else padding,
            scope="depthwise",
            **kwargs,
        )
        return keep("depthwise_output", net)

    def in_groups(function: Function, num_ways: int) -> Function:
        if function is not split_conv:
            return function
        return functools.partial(
            split_conv,
            num_ways=num_ways,
            divisible_by=split_divisible_by,
            outputs_collections=outputs_collections,
            stride=1,
        )

    with ExitStack() as stack:
        stack.enter_context(variable_scope(scope, "expanded_conv"))
        for layer, activation_fn in (
            (conv2d, inner_activation_fn),
            (separable_conv2d, depthwise_activation_fn or inner_activation_fn),
        ):
            if activation_fn is not None:
                stack.enter_context(arg_scope([layer], activation_fn=activation_fn))
        net = input_tensor
        if depthwise_location == "input":
            net = depthwise(net, activation_fn=None)
        depth = expansion_size
        if callable(depth):
            depth = depth(num_inputs=input_tensor.shape[3])
        if depth > net.shape[3]:
            expand = in_groups(expansion_fn, split_expansion)
            net = expand(net, depth, scope="expand", normalizer_fn=normalizer_fn)
            net = keep("expansion_output", net)
        if depthwise_location == "expansion":
            net = depthwise(net)
        if expansion_transform is not None:
            net = expansion_transform(expansion_tensor=net, input_tensor=input_tensor)
        project = in_groups(projection_fn, split_projection)
        net = project(
            net,
            num_outputs,
            scope="project",
            normalizer_fn=normalizer_fn,
            activation_fn=project_activation_fn,
        )
        if endpoints is not None:
            endpoints["projection_output"] = net
        if depthwise_location == "output":
            net = depthwise(net, activation_fn=None)
        if callable(residual):
            net = residual(input_tensor=input_tensor, output_tensor=net)
        elif residual and stride == 1 and net.shape[3] == input_tensor.shape[3]:
            net = net + input_tensor
        return utils.collect_named_outputs(outputs_collections, "output", net)


def _resize_with_corners(images: jax.Array, height: int, width: int) -> jax.Array:
    """Bilinear interpolation that maps the corner pixels onto each other."""

    def weights(before: int, after: int) -> jax.Array:
        places = np.linspace(0, before - 1, after)[:, None]
        return jnp.asarray(np.maximum(0, 1 - abs(places - np.arange(before))), images.dtype)

    rows, columns = weights(images.shape[1], height), weights(images.shape[2], width)
    return jnp.einsum("yh,bhwc,xw->byxc", rows, images, columns)


@add_arg_scope
def squeeze_excite(
    input_tensor: jax.Array,
    divisible_by: int = 8,
    squeeze_factor: float = 3,
    inner_activation_fn: Function | None = jax.nn.relu,
    gating_fn: Function | None = jax.nn.sigmoid,
    squeeze_input_tensor: jax.Array | None = None,
    pool: int | None = None,
) -> jax.Array:
    """Scales each channel by what two 1x1 convolutions make of the means of all channels.

    Hu et al., "Squeeze-and-excitation networks" (2017), https://arxiv.org/abs/1709.01507.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      divisible_by: What the number of channels between the convolutions is a multiple of.
      squeeze_factor: How many times fewer these are.
      inner_activation_fn: What follows the first convolution.
      gating_fn: What follows the second.
      squeeze_input_tensor: What the means are of, `[batch, height, width, any]`, default
        `input_tensor`.
      pool: Means of windows of this number of pixels, and scales that are interpolated between them
        (where the height is `pool` or more); default one mean of the whole map.

    Returns:
      An array like `input_tensor`.
    """
    source = input_tensor if squeeze_input_tensor is None else squeeze_input_tensor
    with variable_scope("squeeze_excite"):
        if pool is None:
            net = jnp.mean(source, (1, 2), keepdims=True)
        elif source.shape[1] >= pool:
            net = avg_pool2d(source, [pool, pool], stride=pool, padding="VALID")
        else:
            net = avg_pool2d(source, source.shape[1:3], stride=1, padding="VALID")
        net = conv2d(
            net,
            make_divisible(source.shape[3] / squeeze_factor, divisible_by),
            [1, 1],
            normalizer_fn=None,
            activation_fn=inner_activation_fn,
        )
        net = conv2d(
            net, input_tensor.shape[3], [1, 1], normalizer_fn=None, activation_fn=gating_fn
        )
        if pool is not None:
            net = _resize_with_corners(net, *input_tensor.shape[1:3])
        return input_tensor * net
