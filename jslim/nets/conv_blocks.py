"""The blocks of MobileNet V2 and V3.

Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks" (2018),
https://arxiv.org/abs/1801.04381; Howard et al., "Searching for MobileNetV3" (2019),
https://arxiv.org/abs/1905.02244.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import add_arg_scope
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool2d, conv2d, separable_conv2d
from jslim.layers.utils import collect_named_outputs
from jslim.nets._common import EndPoints, Function, fixed_padding, safe_arg_scope


def make_divisible(value: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, and not below 0.9 of it.

    Args:
      value: The number of channels before rounding.
      divisor: The result is a multiple of it.
      min_value: The least result, default `divisor`.

    >>> make_divisible(20, 8), make_divisible(11, 8), make_divisible(3, 8)
    (24, 16, 8)
    """
    least = divisor if min_value is None else min_value
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return int(rounded + divisor if rounded < 0.9 * value else rounded)


def expand_input_by_factor(n: float, divisible_by: int = 8) -> Callable[..., int]:
    """An `expansion_size` for `expanded_conv`: `n` times the channels of its input.

    Args:
      n: The factor.
      divisible_by: The result is rounded to a multiple of it.

    >>> expand_input_by_factor(6)(num_inputs=24)
    144
    """

    def expand(num_inputs: int, **_: object) -> int:
        return make_divisible(num_inputs * n, divisible_by)

    return expand


_SIX_TIMES = expand_input_by_factor(6)


def _split_divisible(where: str, num: int, num_ways: int, divisible_by: int) -> list[int]:
    """Splits `num` into nearly equal multiples of `divisible_by`."""
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
    """A 1x1 convolution in groups, each from its part of the inputs to its part of the outputs.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      num_outputs: Number of filters of all groups together.
      num_ways: Number of groups. If a group had fewer than `divisible_by` channels, one plain
        convolution is used.
      scope: Name of the convolution, to which '_part_0' and so on are added.
      divisible_by: The channels of a group are a multiple of it.
      outputs_collections: Collections to add the result of each group to.
      **kwargs: Further arguments of `conv2d`.

    Returns:
      `[batch, height, width, num_outputs]`.

    Raises:
      ValueError: The number of inputs or outputs is not a multiple of `divisible_by`.
    """
    channels = input_tensor.shape[3]
    if num_ways == 1 or min(channels, num_outputs) // num_ways < divisible_by:
        return conv2d(input_tensor, num_outputs, [1, 1], scope=scope, **kwargs)
    where = f"split_conv at {scope!r}"
    sizes = _split_divisible(where, channels, num_ways, divisible_by)
    depths = _split_divisible(where, num_outputs, num_ways, divisible_by)
    outputs = []
    for i, part in enumerate(lax.split(input_tensor, sizes, axis=3)):
        net = conv2d(part, depths[i], [1, 1], scope=f"{scope}_part_{i}", **kwargs)
        name = f"{scope}_part_{i}_output"
        outputs.append(collect_named_outputs(outputs_collections, name, net))
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
        'pointwise' in the scope `separable`, made unique.
      normalizer_fn: Normalizer of both convolutions; None for biases.
      stride: Stride of the depthwise convolution.
      rate: Step between the pixels of a window of the depthwise convolution.
      endpoints: A dict that the outputs of both are added to, by their names.
      use_explicit_padding: Whether the padding depends on the kernel only.

    Returns:
      `[batch, new_height, new_width, num_outputs]`.
    """
    prefix = "" if scope is None else f"{scope}_"
    endpoints = {} if endpoints is None else endpoints
    padding = fixed_padding([3, 3], rate) if use_explicit_padding else "SAME"
    with variable_scope(None, "separable") if scope is None else nullcontext():
        depthwise, pointwise = f"{prefix}depthwise", f"{prefix}pointwise"
        net = endpoints[depthwise] = separable_conv2d(
            input_tensor,
            None,
            [3, 3],
            1,
            stride,
            padding,
            rate=rate,
            normalizer_fn=normalizer_fn,
            scope=depthwise,
        )
        net = endpoints[pointwise] = conv2d(
            net, num_outputs, [1, 1], normalizer_fn=normalizer_fn, scope=pointwise
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
    padding: str | Sequence[tuple[int, int]] = "SAME",
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
      expansion_size: Number of channels after the expansion, or a function `f(num_inputs=n)` that
        returns it. Without more channels than before there is no expansion.
      stride: Stride of the depthwise convolution.
      rate: Step between the pixels of a window of the depthwise convolution.
      kernel_size: Height and width in pixels of the depthwise kernel.
      residual: Whether to add the input to the result, if the stride is 1 and the numbers of
        channels are equal; or a function of `input_tensor` and `output_tensor` that returns the
        result.
      normalizer_fn: Normalizer of all three convolutions; None for biases.
      split_projection: Number of groups of the projection, the `num_ways` of `split_conv`.
      split_expansion: Number of groups of the expansion.
      split_divisible_by: The channels of a group are a multiple of it.
      expansion_transform: A function of `expansion_tensor` and `input_tensor` whose result is
        projected.
      depthwise_location: The place of the depthwise convolution: after the 'input', the 'expansion'
        or the 'output', or None for no such convolution. After input and output it has no
        activation.
      depthwise_channel_multiplier: Number of depthwise filters for each channel.
      endpoints: A dict that 'expansion_output', 'depthwise_output' and 'projection_output' are
        added to.
      use_explicit_padding: Whether the padding depends on the kernel only.
      padding: Padding of the depthwise convolution without `use_explicit_padding`.
      inner_activation_fn: Activation of expansion and depthwise convolution, default that of the
        `arg_scope`.
      depthwise_activation_fn: Activation of the depthwise convolution, if it differs.
      project_activation_fn: Activation of the projection, default none.
      depthwise_fn: Replaces `separable_conv2d`.
      expansion_fn: Replaces `split_conv` in the expansion, which then ignores the `split_`
        arguments.
      projection_fn: Replaces `split_conv` in the projection, in the same way.
      scope: Name of the variable scope, default `expanded_conv`, made unique.
      outputs_collections: Collections to add 'expansion_output', 'depthwise_output' and 'output'
        to, by these names; a MobileNet sets it, to have them as end points.

    Returns:
      `[batch, new_height, new_width, num_outputs]`.

    Raises:
      TypeError: `depthwise_location` is not one of these; `padding` is given together with
        `use_explicit_padding`.
    """
    places = ("input", "expansion", "output", None)
    if depthwise_location not in places:
        accepted, got = checks.choices(places), checks.shown(depthwise_location)
        raise checks.refusal("expanded_conv", "depthwise_location", accepted, got, kind=TypeError)
    if use_explicit_padding and padding != "SAME":
        raise TypeError(
            f"expanded_conv: use_explicit_padding stands for padding='SAME', got {padding!r} with "
            "it; leave one of them out"
        )

    def keep(name: str, net: jax.Array) -> jax.Array:
        if endpoints is not None:
            endpoints[name] = net
        return collect_named_outputs(outputs_collections, name, net)

    def depthwise(net: jax.Array, **kwargs: object) -> jax.Array:
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

    split = functools.partial(
        split_conv, divisible_by=split_divisible_by, outputs_collections=outputs_collections
    )
    if expansion_fn is split_conv:
        expansion_fn = functools.partial(split, num_ways=split_expansion)
    if projection_fn is split_conv:
        projection_fn = functools.partial(split, num_ways=split_projection)
    between = depthwise_activation_fn or inner_activation_fn
    with (
        variable_scope(scope, "expanded_conv"),
        safe_arg_scope([conv2d], activation_fn=inner_activation_fn),
        safe_arg_scope([separable_conv2d], activation_fn=between),
    ):
        net = input_tensor
        if depthwise_location == "input":
            net = depthwise(net, activation_fn=None)
        channels = input_tensor.shape[3]
        depth = expansion_size(num_inputs=channels) if callable(expansion_size) else expansion_size
        if depth > net.shape[3]:
            net = expansion_fn(net, depth, scope="expand", normalizer_fn=normalizer_fn)
            net = keep("expansion_output", net)
        if depthwise_location == "expansion":
            net = depthwise(net)
        if expansion_transform is not None:
            net = expansion_transform(expansion_tensor=net, input_tensor=input_tensor)
        net = projection_fn(
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
        elif residual and stride == 1 and net.shape[3] == channels:
            net = net + input_tensor
        return collect_named_outputs(outputs_collections, "output", net)


def _resize_with_corners(images: jax.Array, height: int, width: int) -> jax.Array:
    """Bilinear interpolation that keeps the corner pixels at the corners."""

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
    """Scales each channel by a gate: two 1x1 convolutions of the means of all channels.

    Hu et al., "Squeeze-and-excitation networks" (2017), https://arxiv.org/abs/1709.01507.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      divisible_by: The number of channels between the convolutions is a multiple of it.
      squeeze_factor: The number of channels is divided by it between the convolutions.
      inner_activation_fn: Activation of the first convolution.
      gating_fn: Activation of the second.
      squeeze_input_tensor: Source of the means, `[batch, height, width, any]`, default
        `input_tensor`.
      pool: Height and width in pixels of windows. Each has its own mean, if the map is `pool`
        pixels high or more, and scales are interpolated between windows. Default one mean of the
        whole map.

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
        inner = make_divisible(source.shape[3] / squeeze_factor, divisible_by)
        for depth, function in ((inner, inner_activation_fn), (input_tensor.shape[3], gating_fn)):
            net = conv2d(net, depth, [1, 1], activation_fn=function, normalizer_fn=None)
        if pool is not None:
            net = _resize_with_corners(net, *input_tensor.shape[1:3])
        return input_tensor * net
