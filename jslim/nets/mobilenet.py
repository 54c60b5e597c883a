"""What MobileNet V2 and V3 share: how a network is built of its definition, and the arg_scope.

A definition is a dict with a list of layers, `spec`, each made by `op`, and with the `arg_scope`s
that belong to the architecture, `defaults` and `overrides`:

    conv_defs = {
        'defaults': {(slim.batch_norm,): {'center': True, 'scale': True}},
        'spec': [
            op(slim.conv2d, stride=2, num_outputs=32, kernel_size=[3, 3]),
            op(conv_blocks.expanded_conv, num_outputs=16),
        ],
    }
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.errors import did_you_mean
from jslim.core.names import Reuse, VariableScope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer, xavier_initializer, zeros_initializer
from jslim.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    dropout,
    fully_connected,
    separable_conv2d,
    softmax,
    utils,
)
from jslim.nets._common import EndPoints, check_images, fixed_padding
from jslim.nets.conv_blocks import expanded_conv, make_divisible
from jslim.regularizers import l2_regularizer

# Where the blocks of a layer leave what become its end points.
_OUTPUTS = "mobilenet_outputs"

ConvDefs = Mapping[str, Any]
Definition = dict[str, Any]  # a `ConvDefs` of this library
Defaults = dict[tuple[Callable[..., object], ...], dict[str, object]]  # arguments by layers
Params = dict[str, Any]  # arguments of a layer


class Op(NamedTuple):
    """A layer of a definition, as `op` makes it."""

    op: Callable[..., jax.Array]
    params: Params
    multiplier_func: Callable[[Params, float], object]


@add_arg_scope
def depth_multiplier(
    output_params: Params,
    multiplier: float,
    divisible_by: int = 8,
    min_depth: int | None = 8,
    **unused_kwargs: object,
) -> None:
    """Multiplies the 'num_outputs' of a layer, where it has any: the `multiplier_func` of `op`.

    Args:
      output_params: The arguments of the layer, which are changed.
      multiplier: The factor.
      divisible_by: What the number of channels is rounded to a multiple of, to not below 0.9.
      min_depth: The least number of channels; None for `divisible_by`.
      **unused_kwargs: Of other such functions.
    """
    if "num_outputs" in output_params:
        depth = output_params["num_outputs"] * multiplier
        output_params["num_outputs"] = make_divisible(depth, divisible_by, min_depth)


def op(
    opfunc: Callable[..., jax.Array],
    multiplier_func: Callable[..., object] = depth_multiplier,
    **params: Any,
) -> Op:
    """A layer for a definition: `opfunc(net, **params)`.

    Args:
      opfunc: A function of an array and of `params`. It is given `stride` always; `rate` and
        `use_explicit_padding`, where they are wanted and it takes them.
      multiplier_func: Changes a copy of `params` to what they are with the multiplier, its second
        argument. Also called `multiplier_transform`.
      **params: Arguments for the function.
    """
    multiplier_func = params.pop("multiplier_transform", multiplier_func)
    return Op(opfunc, params, multiplier_func)


@contextmanager
def safe_arg_scope(funcs: Iterable[Callable[..., object]], **kwargs: object) -> Iterator[ArgScope]:
    """`slim.arg_scope` without the arguments that are None: those stay as they are."""
    with arg_scope(list(funcs), **{k: v for k, v in kwargs.items() if v is not None}) as scope:
        yield scope


def _takes(function: Callable[..., object], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _check(
    conv_defs: ConvDefs, multiplier: float, final_endpoint: str | None, output_stride: int | None
) -> None:
    """Refuses the arguments of `mobilenet_base` that nothing can be built with."""
    if not isinstance(conv_defs, Mapping) or "spec" not in conv_defs:
        raise ValueError(
            "mobilenet_base: conv_defs must be a dict with a list of layers 'spec', as "
            f"mobilenet_v2.V2_DEF is; got {conv_defs!r:.60}"
        )
    checks.number("mobilenet_base", "multiplier", multiplier, above=0)
    if output_stride is not None and not (
        output_stride == 1 or (output_stride > 1 and output_stride % 2 == 0)
    ):
        raise ValueError(
            f"mobilenet_base: output_stride must be None, 1 or a multiple of 2, got {output_stride}"
        )
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
    scope: str | VariableScope | None = None,
    is_training: bool | None = False,
) -> tuple[jax.Array, EndPoints]:
    """The layers of a definition one after another, without a classifier.

    Differs from TF-Slim: a `final_endpoint` that is not there, and an `output_stride` that the
    strides of the layers pass over, are errors; layers without dilation (V3's pooling) take part
    in `output_stride` and explicit padding; and this keeps the size of the maps for V3 too.

    Args:
      inputs: Images, `[batch, height, width, channels]`.
      conv_defs: The definition; see the top of this module.
      multiplier: What the numbers of channels are multiplied by, above 0.
      final_endpoint: The layer to stop at, 'layer_1' or so; default the last.
      output_stride: How many times smaller than the images the map is at most, 1 or even. Later
        layers are dilated in place of strided. None for what the strides come to.
      use_explicit_padding: Whether what a layer pads depends on its kernel alone, and not on the
        size of the map.
      scope: The variable scope, default `Mobilenet`, made unique.
      is_training: Of batch normalization; None leaves it to the `arg_scope`.

    Returns:
      The output of the last layer; and as a dict, those of all, 'layer_1' and so on, and then of
      the blocks 'layer_2/expansion_output', 'layer_2/depthwise_output' and 'layer_2/output'.

    Raises:
      ValueError: An argument is not one of the above.
    """
    _check(conv_defs, multiplier, final_endpoint, output_stride)
    end_points: EndPoints = {}
    inner: EndPoints = {}
    net, current, rate = inputs, 1, 1
    with ExitStack() as stack:
        stack.enter_context(variable_scope(scope, "Mobilenet"))
        stack.enter_context(safe_arg_scope([batch_norm], is_training=is_training))
        stack.enter_context(arg_scope([expanded_conv], outputs_collections=_OUTPUTS))
        for which in ("defaults", "overrides"):
            for layers, arguments in dict(conv_defs.get(which, ())).items():
                stack.enter_context(arg_scope(list(layers), **arguments))
        for number, layer in enumerate(conv_defs["spec"], 1):
            name = f"layer_{number}"
            params = dict(layer.params)
            layer.multiplier_func(params, multiplier)
            stride = params.get("stride", 1)
            layer_rate = 1
            if current == output_stride:
                params["stride"], layer_rate = 1, rate
                rate *= stride
            else:
                params["stride"] = stride
                current *= stride
            if output_stride is not None and current > output_stride:
                raise ValueError(
                    f"mobilenet_base: output_stride {output_stride} cannot be reached, {name} "
                    f"goes from {current // stride} to {current}; pass one of these"
                )
            kernel_size = params.get("kernel_size")
            if layer_rate > 1 and tuple(kernel_size or ()) != (1, 1) and _takes(layer.op, "rate"):
                params["rate"] = layer_rate
            if use_explicit_padding:
                if _takes(layer.op, "use_explicit_padding"):
                    params["use_explicit_padding"] = True
                elif kernel_size is not None:
                    params["padding"] = fixed_padding(kernel_size, params.get("rate", 1))
            try:
                net = end_points[name] = layer.op(net, **params)
            except Exception as error:
                error.add_note(f"in {name}: {getattr(layer.op, '__name__', layer.op)} of {params}")
                raise
            outputs = utils.convert_collection_to_dict(_OUTPUTS, clear_collection=True)
            inner |= {f"{name}/{key}": value for key, value in outputs.items()}
            if name == final_endpoint:
                break
    return net, end_points | inner


def refuse_multiplier(network: str, kwargs: Mapping[str, object]) -> None:
    """Refuses the `multiplier` of `mobilenet_base` where it is called `depth_multiplier`."""
    if "multiplier" in kwargs:
        raise ValueError(
            f"{network}: there is no argument 'multiplier' (got {kwargs['multiplier']!r}); the "
            "numbers of channels are multiplied by depth_multiplier, pass that instead"
        )


@add_arg_scope
def mobilenet(
    inputs: jax.Array,
    num_classes: int | None = 1001,
    prediction_fn: Callable[..., jax.Array] | None = softmax,
    reuse: Reuse = None,
    scope: str | VariableScope | None = "Mobilenet",
    base_only: bool = False,
    use_reduce_mean_for_pooling: bool = False,
    **mobilenet_args: Any,
) -> tuple[jax.Array, EndPoints]:
    """The layers of a definition and a linear classifier of the mean of their map.

    It is built for inference, unless `training_scope` or `is_training` say otherwise.

    Args:
      inputs: Images, `[batch, height, width, channels]`.
      num_classes: How many logits to give; None or 0 for the pooled features.
      prediction_fn: Makes the end point 'Predictions' of `(logits, 'Predictions')`; None for none.
      reuse: Whether the variables exist already, as for `slim.variable_scope`.
      scope: The variable scope.
      base_only: Whether to give the map of the last layer, as `mobilenet_base` does.
      use_reduce_mean_for_pooling: As for `global_pool`.
      **mobilenet_args: Further arguments of `mobilenet_base`: `conv_defs`, and `multiplier`,
        `final_endpoint`, `output_stride`, `use_explicit_padding`, `is_training`. The last is also
        that of dropout, and None leaves both to the `arg_scope`.

    Returns:
      The logits, `[batch, num_classes]`, the features, `[batch, 1, 1, channels]`, or the map,
      `[batch, height, width, channels]`; and the end points of `mobilenet_base`, global_pool,
      Logits and Predictions as a dict.

    Raises:
      TypeError: There is no such argument.
      ValueError: The images are not a batch; what `mobilenet_base` raises.
    """
    known = {
        **inspect.signature(mobilenet).parameters,
        **inspect.signature(mobilenet_base).parameters,
    }
    for name in mobilenet_args:
        if name not in known:
            raise TypeError(f"mobilenet: there is no argument {name!r}{did_you_mean(name, known)}")
    with variable_scope(scope, "Mobilenet", reuse=reuse) as opened:
        check_images(inputs, opened.name, 1)
        net, end_points = mobilenet_base(inputs, scope=opened, **mobilenet_args)
        if base_only:
            return net, end_points
        with variable_scope("Logits"):
            net = end_points["global_pool"] = global_pool(net, use_reduce_mean_for_pooling)
            if not num_classes:
                return net, end_points
            with safe_arg_scope([dropout], is_training=mobilenet_args.get("is_training", False)):
                net = dropout(net, scope="Dropout")
            logits = conv2d(
                net,
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                biases_initializer=zeros_initializer(),
                scope="Conv2d_1c_1x1",
            )
        logits = end_points["Logits"] = lax.squeeze(logits, (1, 2))
        if prediction_fn is not None:
            end_points["Predictions"] = prediction_fn(logits, "Predictions")
    return logits, end_points


def global_pool(
    input_tensor: jax.Array,
    use_reduce_mean_for_pooling: bool = False,
    pool_op: Callable[..., jax.Array] = avg_pool2d,
) -> jax.Array:
    """One value for each channel of a map.

    Args:
      input_tensor: `[batch, height, width, channels]`.
      use_reduce_mean_for_pooling: Whether to take the mean and not `pool_op`.
      pool_op: A pooling layer, which is given a window as large as the map.

    Returns:
      `[batch, 1, 1, channels]`.
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
    """The defaults that MobileNet V2 and V3 are trained with.

    Args:
      is_training: Of the networks, batch normalization and dropout; None leaves it as it is.
      weight_decay: Scale of the L2 penalty on the weights of `conv2d`; 0.0 for none.
      stddev: Standard deviation of the initial weights; below 0 for Xavier's.
      dropout_keep_prob: The share of features that dropout keeps, in (0, 1]; None leaves it.
      bn_decay: Weight of the old value in the moving statistics; None leaves it.

    Returns:
      A scope for `slim.arg_scope`.
    """
    normal = xavier_initializer() if stddev < 0 else truncated_normal_initializer(stddev=stddev)
    with (
        arg_scope(
            [conv2d, fully_connected, separable_conv2d],
            weights_initializer=normal,
            normalizer_fn=batch_norm,
        ),
        arg_scope([mobilenet_base, mobilenet], is_training=is_training),
        safe_arg_scope([batch_norm], decay=bn_decay, is_training=is_training),
        safe_arg_scope([dropout], is_training=is_training, keep_prob=dropout_keep_prob),
        arg_scope([conv2d], weights_regularizer=l2_regularizer(weight_decay)),
        arg_scope([separable_conv2d], weights_regularizer=None) as scope,
    ):
        return scope
