"""Applying a layer several times, with the same arguments or with others each time."""

from collections.abc import Callable, Mapping, Sequence

import jax

from jslim.core import checks
from jslim.core.access import frame
from jslim.core.scopes import variable_scope


def _applied(
    where: str,
    inputs: jax.Array,
    layer: Callable[..., jax.Array],
    arguments: Sequence[Sequence[object]],
    *,
    scope: str | None,
    kwargs: Mapping[str, object],
) -> jax.Array:
    """Applies the layer once with each of the arguments, in a scope around all."""
    checks.function(where, "layer", layer, "such as slim.conv2d", "give the function itself")
    frame(where)  # for its error
    default = where.capitalize()
    with variable_scope(scope, default):
        # Without a scope TF-Slim names those within by the function of the layer.
        function = layer if hasattr(layer, "__name__") else getattr(layer, "func", None)
        name = scope or getattr(function, "__name__", default.lower())
        for index, each in enumerate(arguments, start=1):
            inputs = layer(inputs, *each, **kwargs, scope=f"{name}_{index}")
        return inputs


def repeat(
    inputs: jax.Array,
    repetitions: int,
    layer: Callable[..., jax.Array],
    *args: object,
    scope: str | None = None,
    **kwargs: object,
) -> jax.Array:
    """Applies the same layer several times, each with variables of its own.

    `repeat(x, 3, conv2d, 64, [3, 3], scope='conv1')` makes `conv1/conv1_1` to `conv1/conv1_3`.

    Args:
      inputs: The inputs of the first one.
      repetitions: The number of times, from 0.
      layer: A function `layer(inputs, *args, scope=..., **kwargs)`.
      *args: For `layer`.
      scope: The scope around them. The default is `Repeat`, made unique, in which the scopes have
        the layer's name: `Repeat/convolution2d_1`.
      **kwargs: For `layer`.

    Returns:
      The output of the last one.

    Raises:
      ValueError: `repetitions` is not an integer from 0.

    >>> def double(inputs, scope=None):
    ...     return 2 * inputs
    >>> import jslim as slim
    >>> slim.Model(lambda x: repeat(x, 3, double)).apply({}, 1.0)
    8.0
    """
    count = checks.whole_number(repetitions)
    if count is None or count < 0:
        raise checks.refusal("repeat", "repetitions", "an integer from 0", repr(repetitions))
    arguments = [args] * count
    return _applied("repeat", inputs, layer, arguments, scope=scope, kwargs=kwargs)


def stack(
    inputs: jax.Array,
    layer: Callable[..., jax.Array],
    stack_args: Sequence[object],
    *,
    scope: str | None = None,
    **kwargs: object,
) -> jax.Array:
    """Applies a layer several times, each with other arguments.

    `stack(x, fully_connected, [32, 64], scope='fc')` makes `fc/fc_1` and `fc/fc_2`.

    Args:
      inputs: The inputs of the first one.
      layer: A function `layer(inputs, *args, scope=..., **kwargs)`.
      stack_args: The positional arguments of each application: a list or tuple of them, or
        one alone.
      scope: The scope around them. The default is `Stack`, made unique, in which the scopes have
        the layer's name.
      **kwargs: For each application.

    Returns:
      The output of the last one.

    Raises:
      ValueError: `stack_args` is not a list or tuple.

    >>> def add(inputs, number, scope=None):
    ...     return inputs + number
    >>> import jslim as slim
    >>> slim.Model(lambda x: stack(x, add, [20, 1])).apply({}, 0.5)
    21.5
    """
    if not isinstance(stack_args, (list, tuple)):
        accepted = "a list or tuple with an entry for each layer"
        raise checks.refusal("stack", "stack_args", accepted, repr(stack_args))
    arguments = [each if isinstance(each, (list, tuple)) else (each,) for each in stack_args]
    return _applied("stack", inputs, layer, arguments, scope=scope, kwargs=kwargs)
