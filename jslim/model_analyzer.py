"""How large the variables and the intermediate results of a model are."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.model import Model
from jslim.core.trees import named
from jslim.layers._lowering import xlas_operations

Jaxpr: TypeAlias = Any  # JAX's own program, whose classes have no public types
JaxprEqn: TypeAlias = Any  # one operation of it


def tensor_description(var: object) -> str:
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


def analyze_vars(variables: object, print_info: bool = False) -> tuple[int, int]:
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


def analyze_ops(function: Callable[..., object], *args: object, print_info: bool = False) -> int:
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
    lines, total = [], 0
    for scope, equation in _equations(_jaxpr_of("analyze_ops", function, args)):
        outputs = [variable.aval for variable in equation.outvars]
        shapes = ", ".join(tensor_description(output) for output in outputs if output.shape)
        size = sum(math.prod(output.shape) for output in outputs)
        name = "/".join(filter(None, (scope, equation.primitive.name)))
        lines.append(f"{name} \t-> {shapes} [{size}]")
        total += size
    if print_info:
        print("---------\nOperations: name -> (type shapes) [size]\n---------", *lines, sep="\n")
    return total


def _jaxpr_of(where: str, function: Callable[..., object], args: Sequence[object]) -> Jaxpr:
    hint = "pass model.apply and its arguments"
    checks.function(where, "function", function, "of arrays", hint)
    return jax.make_jaxpr(lambda *a: function(*a))(*args).jaxpr


def _equations(jaxpr: Jaxpr, around: str = "") -> Iterator[tuple[str, JaxprEqn]]:
    """The operations of a program and of those within it, with the scopes they stand in."""
    for equation in jaxpr.eqns:
        scope = "/".join(filter(None, (around, str(equation.source_info.name_stack))))
        within = [
            getattr(value, "jaxpr", value)
            for parameter in equation.params.values()
            for value in (parameter if isinstance(parameter, (list, tuple)) else [parameter])
            if hasattr(getattr(value, "jaxpr", value), "eqns")
        ]
        for part in within:
            yield from _equations(part, scope)
        if not within:
            yield scope, equation


def count_flops(function: Callable[..., object], *args: object) -> dict[str, int]:
    """The floating-point operations of convolutions and matrix products, by scope.

    A multiplication and an addition are two. Everything else (normalization, activations, pools)
    is left out, as in the figures of papers, which often count multiply-adds: half of these.

    Args:
      function: A function of arrays, such as `model.apply`; it is traced and not run.
      *args: Trees of arrays or of `jax.ShapeDtypeStruct`.

    Returns:
      `{scope: number}` in the order of the operations; `sum(...values())` is the total.

    Raises:
      TypeError: `function` is not one.
    """
    counts: dict[str, int] = {}
    for scope, equation in _equations(_jaxpr_of("count_flops", function, args)):
        # Those that layers choose for each platform count as XLA's own, whatever is taken.
        plain = xlas_operations(equation)
        flops = _flops(equation) if plain is None else sum(map(_flops, plain.eqns))
        if flops:
            counts[scope] = counts.get(scope, 0) + flops
    return counts


def _flops(equation: JaxprEqn) -> int:
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        terms = math.prod(kernel) // outputs
    elif equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        terms = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    else:
        return 0
    return 2 * terms * math.prod(equation.outvars[0].aval.shape)


def summarize_model(model: Model, *inputs: object, depth: int | None = None) -> str:
    """A table of a model's layers: variables, their bytes, and floating-point operations.

    Nothing is computed. The model runs as it is, for inference if its function says so.

    Args:
      model: A `slim.Model`.
      *inputs: What its function takes, as arrays or `jax.ShapeDtypeStruct`s.
      depth: How many parts of a scope's name make a line; default all.

    Returns:
      The table, with a last line of totals; `print` it.
    """
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    rows: dict[str, list[int]] = {}

    def add(scope: str, column: int, value: int) -> None:
        name = "/".join(scope.split("/")[:depth])
        rows.setdefault(name, [0, 0, 0])[column] += value

    # The statistics of a layer, and its beta, stand with its weights.
    variables = named(shapes)
    layer_of = {name: name.rpartition("/")[0].removesuffix("/BatchNorm") for name in variables}
    layers = set(layer_of.values())
    flops = count_flops(lambda v, *a: model.apply(v, *a, mutable=list(v)), shapes, *inputs)
    for scope, count in flops.items():
        # A scope that was entered again within itself stands twice in the name.
        parts = scope.split("/")
        ends = ("/".join(parts[first:]) for first in range(len(parts)))
        add(next((end for end in ends if end in layers), scope), 2, count)
    for name, leaf in variables.items():
        scope = layer_of[name]
        add(scope, 0, math.prod(leaf.shape))
        add(scope, 1, math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize)
    totals = [sum(row[column] for row in rows.values()) for column in range(3)]
    width = max(len("total"), *(len(name) for name in rows)) if rows else len("total")
    lines = [f"{'layer':{width}}{'variables':>14}{'bytes':>14}{'FLOPs':>18}"]
    for name, row in [*rows.items(), ("total", totals)]:
        lines.append(f"{name:{width}}{row[0]:14,}{row[1]:14,}{row[2]:18,}")
    return "\n".join(lines)
