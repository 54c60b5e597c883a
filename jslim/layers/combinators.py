"""Applying a layer several times: the same one, or one after another with other arguments."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jslim.core.scopes import variable_scope
from jslim.layers.utils import whole_number


def _layer_name(layer: Callable[..., Any], otherwise: str) -> str:
    """What TF-Slim calls the scopes of a layer that is repeated without a scope."""
    function = layer if hasattr(layer, "__name__") else getattr(layer, "func", None)
    return getattr(function, "__name__", otherwise)


def repeat(
    inputs: jax.Array,
    repetitions: int,
    layer: Callable[..., jax.Array],
    *args: Any,
    **kwargs: Any,
) -> jax.Array:
    """Applies the same layer several times, each with variables of its own.

    `repeat(x, 3, conv2d, 64, [3, 3], scope='conv1')` makes `conv1/conv1_1` to `conv1/conv1_3`.

    Args:
      inputs: What the first one is applied to.
      repetitions: How many times, from 0.
      layer: A function `layer(inputs, *args, scope=..., **kwargs)`.
      *args: For `layer`.
      **kwargs: For `layer`; `scope` is the scope around them. Without it that is `Repeat`, made
        unique, and the scopes in it have the layer's name: `Repeat/convolution2d_1`.

    Returns:
      The output of the last one.

    Raises:
      ValueError: `repetitions` is not an integer from 0.
    """
    count = whole_number(repetitions)
    if count is None or count < 0:
        raise ValueError(f"repeat: repetitions must be an integer from 0, got {repetitions!r}")
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, "Repeat"):
        name = scope or _layer_name(layer, "repeat")
        outputs = inputs
        for index in range(1, count + 1):
            outputs = layer(outputs, *args, **kwargs, scope=f"{name}_{index}")
        return outputs


def stack(
    inputs: jax.Array,
    layer: Callable[..., jax.Array],
    stack_args: Sequence[Any],
    **kwargs: Any,
) -> jax.Array:
    """Applies a layer several times, each with other arguments.

    `stack(x, fully_connected, [32, 64], scope='fc')` makes `fc/fc_1` and `fc/fc_2`.

    Args:
      inputs: What the first one is applied to.
      layer: A function `layer(inputs, *args, scope=..., **kwargs)`.
      stack_args: For each application its positional arguments: a list or tuple of them, or
        one alone.
      **kwargs: For every one of them; `scope` is the scope around them. Without it that is
        `Stack`, made unique, and the scopes in it have the layer's name.

    Returns:
      The output of the last one.

    Raises:
      ValueError: `stack_args` is not a list or tuple.
    """
    if not isinstance(stack_args, (list, tuple)):
        raise ValueError(
            f"stack: stack_args must be a list or tuple with an entry for each layer, got "
            f"{stack_args!r}"
        )
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, "Stack"):
        name = scope or _layer_name(layer, "stack")
        outputs = inputs
        for index, arguments in enumerate(stack_args, start=1):
            if not isinstance(arguments, (list, tuple)):
                arguments = (arguments,)
            outputs = layer(outputs, *arguments, **kwargs, scope=f"{name}_{index}")
        return outputs
