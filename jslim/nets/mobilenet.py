"""Shared by MobileNet V2 and V3: the builder of networks from definitions, and the arg_scope.

A definition is a dict: `spec` is a list of layers, each made by `op`; `defaults` and `overrides`
are the `arg_scope`s of the architecture.

    conv_defs = {
        'defaults': {(slim.batch_norm,): {'center': True, 'scale': True}},
        'spec': [
            op(slim.conv2d, stride=2, num_outputs=32, kernel_size=[3, 3]),
            op(conv_blocks.expanded_conv, num_outputs=16),
        ],
    }
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jslim import layers
from jslim.core import checks
from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.errors import did_you_mean
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer, xavier_initializer, zeros_initializer
from jslim.layers import batch_norm, conv2d, dropout, separable_conv2d
from jslim.nets import _common
from jslim.nets._common import Arguments, EndPoints, Function, Outputs, Scope
from jslim.nets.conv_blocks import expanded_conv, make_divisible
from jslim.regularizers import l2_regularizer

safe_arg_scope = _common.safe_arg_scope

# The layers for which `training_scope` sets initializer, regularizer and normalizer.
LAYERS = (conv2d, layers.fully_connected, separable_conv2d)
# The collection in which the blocks of a layer put its end points.
_OUTPUTS = "mobilenet_outputs"

# A definition of a network, as in TF-Slim: {'spec': operations, 'defaults': arguments}.
ConvDefs = Mapping[str, Any]
Definition = dict[str, Any]  # a `ConvDefs` of this library
Defaults = dict[tuple[Callable[..., object], ...], dict[str, object]]  # arguments by layers


class Op(NamedTuple):
    """A layer of a definition, made by `op`."""

    op: Function
    params: Arguments
    multiplier_func: Callable[[Arguments, float], object]


@add_arg_scope
def depth_multiplier(
    output_params: Arguments,
    multiplier: float,
    divisible_by: int = 8,
    min_depth: int | None = 8,
    **unused_kwargs: object,
) -> None:
    """Multiplies the 'num_outputs' of a layer, if it has any: the `multiplier_func` of `op`.

    Args:
      output_params: The arguments of the layer, changed in place.
      multiplier: The factor.
      divisible_by: The result is rounded to a multiple of it, but not below 0.9 of the product.
      min_depth: The least number of channels; None for `divisible_by`.
      **unused_kwargs: Ignored; other functions of this kind have more arguments.

    >>> params = {"num_outputs": 32}
    >>> depth_multiplier(params, 0.35)
    >>> params
    {'num_outputs': 16}
    """
    if "num_outputs" in output_params:
        depth = output_params["num_outputs"] * multiplier
        output_params["num_outputs"] = make_divisible(depth, divisible_by, min_depth)


def op(
    opfunc: Function, multiplier_func: Callable[..., object] = depth_multiplier, **params: Any
) -> Op:
    """A layer for a definition: `opfunc(net, **params)`.

    Args:
      opfunc: A function of an array and of `params`. It always gets `stride`. It gets `rate` and
        `use_explicit_padding` if they are needed and it has these arguments.
      multiplier_func: Called as `multiplier_func(params, multiplier)` with a copy of `params`,
        which it changes. Also called `multiplier_transform`.
      **params: Arguments of the function.

    >>> op(conv2d, num_outputs=32, kernel_size=[3, 3]).params
    {'num_outputs': 32, 'kernel_size': [3, 3]}
    """
    multiplier_func = params.pop("multiplier_transform", multiplier_func)
    return Op(opfunc, params, multiplier_func)


def _takes(function: Callable[..., object], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _check(
    conv_defs: ConvDefs, multiplier: float, final_endpoint: str | None, output_stride: int | None
) -> None:
    """Refuses impossible arguments of `mobilenet_base`."""
    if not isinstance(conv_defs, Mapping) or "spec" not in conv_defs:
        raise ValueError(
            "mobilenet_base: conv_defs must be a dict with a list of layers 'spec', as "
            f"mobilenet_v2.V2_DEF is; got {conv_defs!r:.60}"
        )
    checks.number("mobilenet_base", "multiplier", multiplier, above=0)
    if output_stride not in (None, 1) and (output_stride < 1 or output_stride % 2):
        accepted, got = "None, 1 or a multiple of 2", str(output_stride)
        raise checks.refusal("mobilenet_base", "output_stride", accepted, got)
    if final_endpoint is not None:
        names = [f"layer_{number}" for number in range(1, len(conv_defs["spec"]) + 1)]
        more = f"there are {names[0]} to {names[-1]}"
        checks.known("mobilenet_base", "end point", final_endpoint, names, more)


@add_arg_scope
def mobilenet_base(
    inputs: jax.Array,
    conv_defs: ConvDefs,
    multiplier: float = 1.0,
    final_endpoint: str | None = None,
    output_stride: int | None = None,
    use_explicit_padding: bool = False,
    scope: Scope = None,
    is_training: bool | None = False,
) -> Outputs:
    """Applies the layers of a definition in order, without a classifier.

    Differs from TF-Slim: an unknown `final_endpoint` is an error, and so is an `output_stride` that
    no product of strides equals; layers without dilation (V3's pooling) take part in
    `output_stride` and explicit padding, so that V3's maps keep their size too.

    Args:
      inputs: Images, `[batch, height, width, channels]`.
      conv_defs: The definition; see the top of this module.
      multiplier: Factor of all numbers of channels, above 0.
      final_endpoint: The layer to stop at, 'layer_1' and so on; default the last.
      output_stride: The largest ratio of the sizes of images and map, 1 or even. Layers that would
        exceed it are dilated instead of strided. None for the product of all strides.
      use_explicit_padding: Whether padding depends on the kernel only, not on the size of the map.
      scope: The variable scope, default `Mobilenet`, made unique.
      is_training: Mode of batch normalization; None leaves it to the `arg_scope`.

    Returns:
      The output of the last layer; and the end points as a dict: the layers 'layer_1' and so on,
      then the blocks 'layer_2/expansion_output', 'layer_2/depthwise_output', 'layer_2/output' and
      so on.

    Raises:
      ValueError: An argument has another value than above.
    """
    _check(conv_defs, multiplier, final_endpoint, output_stride)
    spec = [(layer, dict(layer.params)) for layer in conv_defs["spec"]]
    net, end_points, inner = inputs, EndPoints(), EndPoints()
    with ExitStack() as stack:
        stack.enter_context(variable_scope(scope, "Mobilenet"))
        stack.enter_context(safe_arg_scope([batch_norm], is_training=is_training))
        stack.enter_context(arg_scope([expanded_conv], outputs_collections=_OUTPUTS))
        for which in ("defaults", "overrides"):
            for ops, arguments in dict(conv_defs.get(which, ())).items():
                stack.enter_context(arg_scope(list(ops), **arguments))
        for layer, params in spec:
            layer.multiplier_func(params, multiplier)
        strides = [params.get("stride", 1) for _, params in spec]
        steps = _common.strides_and_rates(strides, output_stride)
        reached = 1
        for number, ((layer, params), (stride, rate)) in enumerate(
            zip(spec, steps, strict=True), 1
        ):
            name = f"layer_{number}"
            params["stride"] = stride
            reached *= stride
            if output_stride is not None and reached > output_stride:
                raise ValueError(
                    f"mobilenet_base: output_stride {output_stride} cannot be reached, {name} "
                    f"goes from {reached // stride} to {reached}; pass one of these"
                )
            kernel_size = params.get("kernel_size")
            if rate > 1 and tuple(kernel_size or ()) != (1, 1) and _takes(layer.op, "rate"):
                params["rate"] = rate
            if use_explicit_padding:
                if _takes(layer.op, "use_explicit_padding"):
                    params["use_explicit_padding"] = True
                elif kernel_size is not None:
                    params["padding"] = _common.fixed_padding(kernel_size, params.get("rate", 1))
            try:
                net = end_points[name] = layer.op(net, **params)
            except Exception as error:
                error.add_note(f"in {name}: {getattr(layer.op, '__name__', layer.op)} of {params}")
                raise
            outputs = layers.utils.convert_collection_to_dict(_OUTPUTS, clear_collection=True)
            inner |= {f"{name}/{key}": value for key, value in outputs.items()}
            if name == final_endpoint:
                break
    return net, end_points | inner


def refuse_multiplier(network: str, kwargs: Mapping[str, object]) -> None:
    """Refuses `multiplier` for networks that call it `depth_multiplier`."""
    if "multiplier" in kwargs:
        raise ValueError(
            f"{network}: there is no argument 'multiplier' (got {kwargs['multiplier']!r}); the "
            "numbers of channels are multiplied by depth_multiplier, pass that instead"
        )


@add_arg_scope
def mobilenet(
    inputs: jax.Array,
    num_classes: int | None = 1001,
    prediction_fn: Function | None = layers.softmax,
    reuse: Reuse = None,
    scope: Scope = "Mobilenet",
    base_only: bool = False,
    use_reduce_mean_for_pooling: bool = False,
    **mobilenet_args: Any,
) -> Outputs:
    """The layers of a definition, and a linear classifier of the mean of the last map.

    The default mode is inference; `training_scope` or `is_training` change it.

    Args:
      inputs: Images, `[batch, height, width, channels]`.
      num_classes: Number of logits; None or 0 for the pooled features.
      prediction_fn: Called as `prediction_fn(logits, 'Predictions')`; its result is the end point
        'Predictions'. None for no such end point.
      reuse: Whether the variables exist already, as for `slim.variable_scope`.
      scope: The variable scope.
      base_only: Whether to return the map of the last layer, as `mobilenet_base` does.
      use_reduce_mean_for_pooling: As for `global_pool`.
      **mobilenet_args: Further arguments of `mobilenet_base`: `conv_defs`, and `multiplier`,
        `final_endpoint`, `output_stride`, `use_explicit_padding`, `is_training`. The last applies
        to dropout too; None leaves both to the `arg_scope`.

    Returns:
      The logits, `[batch, num_classes]`, the features, `[batch, 1, 1, channels]`, or the map,
      `[batch, height, width, channels]`; and the end points of `mobilenet_base`, global_pool,
      Logits and Predictions as a dict.

    Raises:
      TypeError: An argument is unknown.
      ValueError: The images are not a batch; or as `mobilenet_base`.
    """
    known = {
        **inspect.signature(mobilenet).parameters,
        **inspect.signature(mobilenet_base).parameters,
    }
    for name in mobilenet_args:
        if name not in known:
            raise TypeError(f"mobilenet: there is no argument {name!r}{did_you_mean(name, known)}")
    with variable_scope(scope, "Mobilenet", reuse=reuse) as opened:
        _common.check_images(inputs, opened.name, 1)
        net, end_points = mobilenet_base(inputs, scope=opened, **mobilenet_args)
        if base_only:
            return net, end_points
        with variable_scope("Logits"):
            net = end_points["global_pool"] = global_pool(net, use_reduce_mean_for_pooling)
            if not num_classes:
                return net, end_points
            with safe_arg_scope([dropout], is_training=mobilenet_args.get("is_training", False)):
                net = dropout(net, scope="Dropout")
            head = _common.Head(num_classes)
            zeros = zeros_initializer()
            logits = head.logits(net, opened.name, "Conv2d_1c_1x1", biases_initializer=zeros)
        end_points["Logits"] = logits
        if prediction_fn is not None:
            end_points["Predictions"] = prediction_fn(logits, "Predictions")
    return logits, end_points


def global_pool(
    input_tensor: jax.Array,
    use_reduce_mean_for_pooling: bool = False,
    pool_op: Function = layers.avg_pool2d,
) -> jax.Array:
    """Pools a map to one value per channel.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      use_reduce_mean_for_pooling: Whether to take the mean instead of `pool_op`.
      pool_op: A pooling layer, called with a window as large as the map.

    Returns:
      `[batch, 1, 1, channels]`.

    >>> global_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel().tolist()
    [1.5]
    """
    if use_reduce_mean_for_pooling:
        return jnp.mean(input_tensor, (1, 2), keepdims=True)
    return pool_op(input_tensor, input_tensor.shape[1:3], stride=1, padding="VALID")


def training_scope(
    is_training: bool | None = True,
    weight_decay: float = 0.00004,
    stddev: float = 0.09,
    dropout_keep_prob: float | None = 0.8,
    bn_decay: float | None = 0.997,
) -> ArgScope:
    """The defaults for training MobileNet V2 and V3.

    Args:
      is_training: Mode of the networks, batch normalization and dropout; None leaves it as it is.
      weight_decay: Scale of the L2 penalty on the weights of `conv2d`; 0.0 for none.
      stddev: Standard deviation of the initial weights; below 0 for Xavier's initializer.
      dropout_keep_prob: Share of the features that dropout keeps, in (0, 1]; None leaves it as it
        is.
      bn_decay: Weight of the old value in the moving statistics; None leaves it as it is.

    Returns:
      A scope for `slim.arg_scope`.
    """
    normal = xavier_initializer() if stddev < 0 else truncated_normal_initializer(stddev=stddev)
    with (
        arg_scope(LAYERS, weights_initializer=normal, normalizer_fn=batch_norm),
        arg_scope([mobilenet_base, mobilenet], is_training=is_training),
        safe_arg_scope([batch_norm], decay=bn_decay, is_training=is_training),
        safe_arg_scope([dropout], is_training=is_training, keep_prob=dropout_keep_prob),
        arg_scope([conv2d], weights_regularizer=l2_regularizer(weight_decay)),
        arg_scope([separable_conv2d], weights_regularizer=None) as scope,
    ):
        return scope
