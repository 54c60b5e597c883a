"""Operations whose way of being computed is chosen when they are lowered, for each platform."""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from jslim.layers._lowering._choices import CHOICES, Choices, choices, forced_platform

Shape = tuple[int, ...]
Operation = Callable[..., jax.Array]


def by_platform(name: str, compute: Operation, output_shape: Callable[..., Shape]) -> Primitive:
    """Makes a primitive that is lowered as `compute(choices, *arrays, **static)`.

    It has no derivatives and cannot be vectorized, which is up to the caller.

    Args:
      name: Its name in a jaxpr.
      compute: What it computes, as a function that JAX can trace, of arrays of one dtype.
      output_shape: The shape of that, of the arrays' shapes and the static arguments.
    """
    primitive = Primitive(name)

    def on(platform: str | None) -> Operation:
        def computed(
            *arrays: jax.Array, backend: str | None, precision: Any, **static: Any
        ) -> jax.Array:
            # Of products, as it was where they were traced.
            around: Any = contextlib.nullcontext()
            if precision is not None:
                around = jax.default_matmul_precision(precision)
            with around:
                return compute(choices(backend or platform), *arrays, **static)

        return computed

    for platform, chosen in CHOICES.items():
        if chosen != Choices():
            rule = mlir.lower_fun(on(platform), multiple_results=False)
            mlir.register_lowering(primitive, rule, platform)
    mlir.register_lowering(primitive, mlir.lower_fun(on(None), multiple_results=False))
    # Compiled once for each set of static arguments where it is called outside of jit.
    compiled = functools.cache(
        lambda static: jax.jit(lambda *arrays: primitive.bind(*arrays, **dict(static)))
    )
    primitive.def_impl(lambda *arrays, **static: compiled(tuple(static.items()))(*arrays))

    def result(*avals: Any, backend: Any, precision: Any, **static: Any) -> Any:
        shape = output_shape(*(aval.shape for aval in avals), **static)
        return avals[-1].update(shape=shape, weak_type=False)

    primitive.def_abstract_eval(result)
    _COMPUTED[primitive] = on(None)
    return primitive


_COMPUTED: dict[Primitive, Operation] = {}


def settings(backend: str | None) -> dict[str, Any]:
    """The static arguments that all of these primitives have.

    Args:
      backend: As which platform to compute, whatever the lowering is for.
    """
    config: Any = jax.config
    precision = config.jax_default_matmul_precision
    return {"backend": backend or forced_platform(), "precision": precision}


def xlas_operations(equation: Any) -> Any:
    """The jaxpr of an equation of such a primitive by XLA's operations; else None."""
    compute = _COMPUTED.get(equation.primitive)
    if compute is None:
        return None
    arrays = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
    static = {**equation.params, "backend": None}
    return jax.make_jaxpr(functools.partial(compute, **static))(*arrays).jaxpr


def vary_alike(*arrays: jax.Array) -> list[jax.Array]:
    """The arrays, each said to differ between those devices of a `shard_map` that any does.

    JAX's own operations see to that themselves; the transpose of it sums over the devices.
    """
    names = [_varying(array) for array in arrays]
    every = frozenset().union(*names)
    return [
        lax.pcast(array, tuple(every - own), to="varying") if every - own else array
        for array, own in zip(arrays, names, strict=True)
    ]


def _varying(array: jax.Array) -> frozenset[str]:
    kind: Any = jax.typeof(array)
    return kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying  # its later name


def num_devices(array: jax.Array) -> int:
    """How many devices the compiler may split the array among: those of its mesh."""
    mesh: Any = jax.typeof(array).sharding.mesh
    axes = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    return math.prod(size for size, kind in axes if kind == jax.sharding.AxisType.Auto)


def transpose(
    function: Operation, argument: jax.ShapeDtypeStruct, cotangent: jax.Array
) -> jax.Array:
    """The cotangent of the argument of a linear function."""
    zeros, _ = vary_alike(lax.full(argument.shape, 0, argument.dtype), cotangent)
    (result,) = jax.linear_transpose(function, zeros)(cotangent)
    return result


def merged(array: jax.Array, axis: int | None, at: int, size: int) -> jax.Array:
    """The examples of a `vmap` along `axis` as examples of the batch that is at axis `at`."""
    if axis is None:
        array = lax.broadcast(array, (size,))
    array = jax.numpy.moveaxis(array, axis or 0, at)
    shape = (*array.shape[:at], size * array.shape[at + 1], *array.shape[at + 2 :])
    return lax.reshape(array, shape)


def divided(array: jax.Array, at: int, size: int) -> jax.Array:
    """Undoes `merged`."""
    shape = (*array.shape[:at], size, array.shape[at] // size, *array.shape[at + 1 :])
    return lax.reshape(array, shape)
