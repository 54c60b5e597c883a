"""Sizes of the variables and intermediate results of a model, and its operations."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.arg_scope import ArgValue
from jslim.core.context import changed_context
from jslim.core.model import Model
from jslim.core.names import PARAMS
from jslim.core.observing import Observer, number_of_call
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
    for scope, flops in _flops_by_scope(_jaxpr_of("count_flops", function, args)):
        counts[scope] = counts.get(scope, 0) + flops
    return counts


def _flops_by_scope(jaxpr: Jaxpr) -> Iterator[tuple[str, int]]:
    """The scope and the number of floating-point operations of each operation that has some."""
    for scope, equation in _equations(jaxpr):
        # Operations that layers lower in their own way count as XLA's would.
        plain = xlas_operations(equation)
        flops = _flops(equation) if plain is None else sum(map(_flops, plain.eqns))
        if flops:
            yield scope, flops


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


@dataclass(frozen=True)
class LayerRow:
    """What one layer of a model has and does.

    Attributes:
      scope: The name of its scope; `''` for what no layer and no scope has.
      layer: The layer, 'conv2d'; `''` for variables and operations outside of layers.
      output: Shape and dtype of its result; None outside of layers.
      parameters: The number of elements of the variables in 'params' that it is the first to use.
      statistics: The same of other collections, such as moving statistics.
      size_in_bytes: The bytes of both.
      flops: Its floating-point operations, as `count_flops` counts them.
      arguments: `{argument: (value, set_by)}` for the arguments that an `arg_scope` set, with its
        `file:line`; those of a normalizer within it as `batch_norm.decay`.
    """

    scope: str
    layer: str = ""
    output: jax.ShapeDtypeStruct | None = None
    parameters: int = 0
    statistics: int = 0
    size_in_bytes: int = 0
    flops: int = 0
    arguments: Mapping[str, ArgValue] = field(default_factory=dict)


def layer_rows(model: Model, *inputs: object, **arguments: object) -> list[LayerRow]:
    """The layers of a model in the order of their calls; the model is traced and not run.

    A layer that is called within another one, as a normalizer is, counts with that. The body of a
    loop (`nn.scan`) counts once. What no layer has comes last, by its scope.

    Args:
      model: A `slim.Model`.
      *inputs: The arguments of its function, as arrays or `jax.ShapeDtypeStruct`s.
      **arguments: Those that are given by name. Only arrays and shapes are traced.

    >>> import jslim as slim
    >>> model = Model(lambda x: slim.linear(slim.flatten(x), 4))
    >>> [(row.layer, row.parameters, row.flops) for row in layer_rows(model, jnp.zeros([1, 3]))]
    [('flatten', 0, 0), ('fully_connected', 16, 24)]
    """
    arrays = {name: value for name, value in arguments.items() if _is_of_arrays(value)}
    fixed = {name: value for name, value in arguments.items() if name not in arrays}
    init = functools.partial(model.init, jax.random.key(0), **fixed)
    shapes = jax.eval_shape(init, *inputs, **arrays)
    observer = Observer()

    def apply(variables: Any, arrays: dict[str, object], *inputs: object) -> object:
        rngs, mutable = jax.random.key(0), list(variables)
        return model.apply(variables, *inputs, **fixed, **arrays, rngs=rngs, mutable=mutable)

    with changed_context(observer=observer):
        jaxpr = _jaxpr_of("layer_rows", apply, (shapes, arrays, *inputs))
    flops: dict[int | str, int] = {}  # by the number of a call, or by a scope
    for names, count in _flops_by_scope(jaxpr):
        number = number_of_call(names)
        place = names.partition("/")[2] if number is None else number
        flops[place] = flops.get(place, 0) + count
    collections = {key: named(tree) for key, tree in shapes.items()}
    parameters = collections.get(PARAMS, {})
    held = {name: leaf for tree in collections.values() for name, leaf in tree.items()}
    rows = []
    for number, call in enumerate(observer.calls):
        own = {name: held.pop(name) for name in call.variables if name in held}
        set_by = {name: ArgValue(*value) for name, value in call.arguments.items()}
        output = None
        if call.output is not None:
            output = jax.ShapeDtypeStruct(call.output.shape, call.output.dtype)
        row = LayerRow(call.scope, call.layer, output, arguments=set_by)
        rows.append(_with_variables(row, own, parameters, flops.pop(number, 0)))
    others: dict[str, dict[str, Any]] = {}
    for name, leaf in held.items():
        others.setdefault(name.rpartition("/")[0], {})[name] = leaf
    flops_of_others: dict[str, int] = {}
    for scope, count in flops.items():
        own_scope = _scope_among(others, str(scope))
        flops_of_others[own_scope] = flops_of_others.get(own_scope, 0) + count
    rows += [
        _with_variables(
            LayerRow(scope), others.get(scope, {}), parameters, flops_of_others.get(scope, 0)
        )
        for scope in {**others, **flops_of_others}
    ]
    return rows


def _scope_among(scopes: Collection[str], scope: str) -> str:
    """The innermost of the scopes around a scope, which a Linen module opens; else that itself."""
    around = scope
    while around and around not in scopes:
        around = around.rpartition("/")[0]
    return around or scope


def _is_of_arrays(value: object) -> bool:
    leaves = jax.tree.leaves(value)
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def _with_variables(
    row: LayerRow, own: Mapping[str, Any], parameters: Mapping[str, Any], flops: int
) -> LayerRow:
    """The row with the sizes of its variables, of which some are parameters."""
    sizes = {name: math.prod(leaf.shape) for name, leaf in own.items()}
    trained = sum(size for name, size in sizes.items() if name in parameters)
    size_in_bytes = sum(sizes[name] * leaf.dtype.itemsize for name, leaf in own.items())
    return dataclasses.replace(
        row,
        parameters=trained,
        statistics=sum(sizes.values()) - trained,
        size_in_bytes=size_in_bytes,
        flops=flops,
    )


def summarize_model(model: Model, *inputs: object, depth: int | None = None) -> str:
    """A table of a model's layers: variables, their bytes, and floating-point operations.

    The model is traced and not run. `slim.summary_table` has output shapes and arguments too.

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
    lines_of: dict[str, list[int]] = {}
    for row in layer_rows(model, *inputs):
        counts = (row.parameters + row.statistics, row.size_in_bytes, row.flops)
        if any(counts):
            name = "/".join(row.scope.split("/")[:depth])
            before = lines_of.get(name, [0, 0, 0])
            lines_of[name] = [a + b for a, b in zip(before, counts, strict=True)]
    lines_of["total"] = [sum(line[column] for line in lines_of.values()) for column in range(3)]
    width = max(map(len, lines_of))
    lines = [f"{'layer':{width}}{'variables':>14}{'bytes':>14}{'FLOPs':>18}"]
    for name, (variables, size, flops) in lines_of.items():
        lines.append(f"{name:{width}}{variables:14,}{size:14,}{flops:18,}")
    return "\n".join(lines)


_tf_slim_names.answer_in(__name__)
