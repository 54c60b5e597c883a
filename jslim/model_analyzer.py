"""Sizes of the variables and intermediate results of a model, and its operations."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.model import Model
from jslim.core.trees import named
from jslim.layers._lowering import xlas_operations

Jaxpr: TypeAlias = Any  # a program of JAX, whose parts have no public types
JaxprEqn: TypeAlias = Any  # an operation of it


def tensor_description(var: object) -> str:
    """The dtype and shape of an array as text, `'(float32 1x8x8x1024)'`.

    Args:
      var: An object with `shape` and `dtype`: an array, a `jax.ShapeDtypeStruct`.

    Raises:
      TypeError: `var` has no shape or no dtype.

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
        `{name: array}`, such as `get_variables` gives; or a `TrainState`.
      print_info: Whether to print a line `name (dtype shape) [size, bytes: bytes]` for each
        variable, and the totals.

    Returns:
      `(total size in elements, total bytes)`.

    Raises:
      TypeError: `variables` is not a tree of variables, or a leaf has no shape and dtype.

    >>> analyze_vars({"fc/weights": jnp.zeros([3, 2]), "fc/biases": jnp.zeros([2])})
    (8, 32)
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
    """Counts the elements of all intermediate results of a function, before XLA optimizes it.

    Differs from TF-Slim: there is no graph. It takes a function and its arguments, as in
    `analyze_ops(model.apply, variables, images)`, and counts the results of the operations in
    JAX's program. A call of a jitted function counts with the operations within it; the body of a
    loop counts once.

    Args:
      function: A function of arrays; it is traced and not run.
      *args: Trees of arrays or of `jax.ShapeDtypeStruct`.
      print_info: Whether to print a line `name -> (dtype shape), ... [size]` for each operation,
        named by its variable scopes.

    Returns:
      The total number of elements.

    Raises:
      TypeError: `function` cannot be called.

    >>> analyze_ops(lambda x: jnp.sin(x) + 1.0, jnp.zeros([2, 3]))
    12
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
    """The operations of a program and of the programs within it, with their scopes."""
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

    A multiplication and an addition count as two. Normalization, activations and pools do not
    count, as in most papers. Papers often count multiply-adds: half of these numbers.

    Args:
      function: A function of arrays, such as `model.apply`; it is traced and not run.
      *args: Trees of arrays or of `jax.ShapeDtypeStruct`.

    Returns:
      `{scope: number}` in the order of the operations; `sum(...values())` is the total.

    Raises:
      TypeError: `function` cannot be called.

    >>> count_flops(jnp.matmul, jnp.zeros([5, 3]), jnp.zeros([3, 2]))
    {'': 60}
    """
    counts: dict[str, int] = {}
    for scope, equation in _equations(_jaxpr_of("count_flops", function, args)):
        # Operations that layers lower in their own way count as XLA's would.
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

    The model is traced and not run.

    Args:
      model: A `slim.Model`.
      *inputs: The arguments of its function, as arrays or `jax.ShapeDtypeStruct`s.
      depth: The number of parts of a scope's name that make a line; default all.

    Returns:
      The table as text, with totals in the last line.

    >>> import jslim as slim
    >>> model = Model(lambda x: slim.linear(slim.linear(x, 4, scope="a"), 2, scope="b"))
    >>> print(summarize_model(model, jnp.zeros([1, 3])))
    layer     variables         bytes             FLOPs
    a                16            64                24
    b                10            40                16
    total            26           104                40
    """
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    rows: dict[str, list[int]] = {}

    def add(scope: str, column: int, value: int) -> None:
        name = "/".join(scope.split("/")[:depth])
        rows.setdefault(name, [0, 0, 0])[column] += value

    # The variables of batch normalization count with the layer.
    variables = named(shapes)
    layer_of = {name: name.rpartition("/")[0].removesuffix("/BatchNorm") for name in variables}
    layers = set(layer_of.values())
    flops = count_flops(lambda v, *a: model.apply(v, *a, mutable=list(v)), shapes, *inputs)
    for scope, count in flops.items():
        # A scope that is entered again within itself occurs twice in the name.
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


_tf_slim_names.answer_in(__name__)
