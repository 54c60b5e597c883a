"""How large the variables and the intermediate results of a model are."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim._selection import named


def tensor_description(var: Any) -> str:
    """`'(float32 1x8x8x1024)'`: the dtype and shape of an array, or of what stands for one.

    Args:
      var: Anything with `shape` and `dtype`: an array, a `jax.ShapeDtypeStruct`.

    Raises:
      TypeError: It has none.

    >>> tensor_description(jnp.zeros([1, 8]))
    '(float32 1x8)'
    """
    if not hasattr(var, "shape") or not hasattr(var, "dtype"):
        raise TypeError(
            f"tensor_description: var must have a shape and a dtype, got {type(var).__name__}"
        )
    return f"({jnp.dtype(var.dtype).name} {'x'.join(map(str, var.shape))})"


def analyze_vars(variables: Any, print_info: bool = False) -> tuple[int, int]:
    """Counts the elements and bytes of variables.

    Differs from TF-Slim: names are printed without `:0`.

    Args:
      variables: The tree that `init` gave, or its shapes from `jax.eval_shape`; or a dict
        `{name: array}` of `get_variables` and its kind; or a `TrainState`.
      print_info: Whether to print a line `name (dtype shape) [size, bytes: bytes]` for each, and
        the totals.

    Returns:
      `(total size in elements, total bytes)`.

    Raises:
      TypeError: `variables` is not a tree of variables, or a leaf has no shape and dtype.
    """
    lines, total_size, total_bytes = [], 0, 0
    for name, leaf in named(variables).items():
        description = tensor_description(leaf)
        size = math.prod(leaf.shape)
        size_in_bytes = size * jnp.dtype(leaf.dtype).itemsize
        total_size += size
        total_bytes += size_in_bytes
        lines.append(f"{name} {description} [{size}, bytes: {size_in_bytes}]")
    if print_info:
        print("---------\nVariables: name (type shape) [size]\n---------", *lines, sep="\n")
        print(f"Total size of variables: {total_size}")
        print(f"Total bytes of variables: {total_bytes}")
    return total_size, total_bytes


def analyze_ops(function: Callable[..., Any], *args: Any, print_info: bool = False) -> int:
    """Counts the elements of all that a function computes, before XLA optimizes it.

    Differs from TF-Slim: there is no graph, so it takes a function and what to call it with, as
    in `analyze_ops(model.apply, variables, images)`, and counts the results of its operations in
    JAX's own program. What is computed within a call (of a jitted function, say) counts instead
    of the call; the body of a loop counts once.

    Args:
      function: A function of arrays; it is traced and not run.
      *args: Trees of arrays or of `jax.ShapeDtypeStruct`.
      print_info: Whether to print a line `name -> (dtype shape), ... [size]` for each operation,
        named by its variable scopes.

    Returns:
      The total number of elements.

    Raises:
      TypeError: `function` is not one.
    """
    if not callable(function):
        raise TypeError(
            f"analyze_ops: function must be a function of arrays, got {type(function).__name__}; "
            "pass model.apply and its arguments"
        )
    lines: list[str] = []
    total = _count(jax.make_jaxpr(function)(*args).jaxpr, "", lines)
    if print_info:
        print("---------\nOperations: name -> (type shapes) [size]\n---------", *lines, sep="\n")
    return total


def _count(jaxpr: Any, around: str, lines: list[str]) -> int:
    total = 0
    for equation in jaxpr.eqns:
        scope = "/".join(filter(None, (around, str(equation.source_info.name_stack))))
        within = [
            getattr(value, "jaxpr", value)
            for parameter in equation.params.values()
            for value in (parameter if isinstance(parameter, (list, tuple)) else [parameter])
            if hasattr(getattr(value, "jaxpr", value), "eqns")
        ]
        for part in within:
            total += _count(part, scope, lines)
        if not within:
            outputs = [variable.aval for variable in equation.outvars]
            shapes = ", ".join(tensor_description(output) for output in outputs if output.shape)
            size = sum(math.prod(output.shape) for output in outputs)
            name = "/".join(filter(None, (scope, equation.primitive.name)))
            lines.append(f"{name} \t-> {shapes} [{size}]")
            total += size
    return total
