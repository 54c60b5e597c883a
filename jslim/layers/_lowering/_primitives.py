"""Operations that are computed in another way on each platform, chosen when they are lowered."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, Primitive
from jax.interpreters import mlir

from jslim.core.context import context
from jslim.layers._lowering._choices import CHOICES, choices

Shape = tuple[int, ...]
Operation = Callable[..., jax.Array]

_COMPUTED: dict[Primitive, Operation] = {}


def by_platform(name: str, compute: Operation, output_shape: Callable[..., Shape]) -> Primitive:
    """Makes a primitive that is lowered as `compute(choices, *arrays, **static)`.

    Its derivatives and its rule for `vmap` are up to the caller.

    Args:
      name: Its name in a jaxpr.
      compute: A function that JAX can trace, of arrays of one dtype.
      output_shape: The shape of the result, from the arrays' shapes and the static arguments.
    """
    primitive = Primitive(name)

    def on(platform: str | None) -> Operation:
        def computed(
            *arrays: jax.Array, forced: str | None, precision: str | None, **static: object
        ) -> jax.Array:
            with jax.default_matmul_precision(precision):
                return compute(choices(forced or platform), *arrays, **static)

        return computed

    for platform in (None, *CHOICES):
        rule = mlir.lower_fun(on(platform), multiple_results=False)
        mlir.register_lowering(primitive, rule, platform)
    # Compiled once for each set of static arguments where it is called outside of jit.
    compiled = functools.cache(
        lambda static: jax.jit(lambda *arrays: primitive.bind(*arrays, **dict(static)))
    )
    primitive.def_impl(lambda *arrays, **static: compiled(tuple(static.items()))(*arrays))

    def result(*avals: Any, forced: object, precision: object, **static: object) -> Any:
        shape = output_shape(*(aval.shape for aval in avals), **static)
        return avals[-1].update(shape=shape, weak_type=False)

    primitive.def_abstract_eval(result)
    _COMPUTED[primitive] = on(None)
    return primitive


def is_own(primitive: Primitive) -> bool:
    """Whether `by_platform` has made it: a convolution, a product or a pool."""
    return primitive in _COMPUTED


def settings() -> dict[str, str | None]:
    """The static arguments of all these primitives: what is in force where they are traced.

    The platform that `lowered_for` forces, and the precision of products of matrices.
    """
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined,unused-ignore]
    return {"forced": context().platform, "precision": precision}


def bind(primitive: Primitive, *arrays: jax.Array, **static: object) -> jax.Array:
    """The primitive's result."""
    output: jax.Array = primitive.bind(*vary_alike(*arrays), **static)
    return output


def xlas_operations(equation: Any) -> Jaxpr | None:
    """The jaxpr of an equation of such a primitive by XLA's operations; None for another one."""
    compute = _COMPUTED.get(equation.primitive)
    if compute is None:
        return None
    arrays = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
    static = {**equation.params, "forced": None}
    return jax.make_jaxpr(functools.partial(compute, **static))(*arrays).jaxpr


def vary_alike(*arrays: jax.Array) -> list[jax.Array]:
    """The arrays, each marked as different on all those devices where one of them is.

    The devices are those of a `shard_map`. JAX's own operations do the same themselves. The
    transpose of the mark sums over the devices.
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
    """The number of devices in the array's mesh, among which the compiler may split it."""
    mesh: Any = jax.typeof(array).sharding.mesh
    axes = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    return math.prod(size for size, kind in axes if kind == jax.sharding.AxisType.Auto)


def is_known(shape: Shape) -> bool:
    """Whether all lengths are numbers; an exported program may have a free batch size."""
    return all(isinstance(length, int) for length in shape)


def transpose(
    function: Operation, argument: jax.ShapeDtypeStruct, cotangent: jax.Array
) -> jax.Array:
    """The cotangent of the argument of a linear function."""
    zeros, _ = vary_alike(lax.full(argument.shape, 0, argument.dtype), cotangent)
    (result,) = jax.linear_transpose(function, zeros)(cotangent)
    return result


def merged(array: jax.Array, axis: int | None, at: int, size: int) -> jax.Array:
    """The array with the examples of a `vmap` along `axis` added to the batch at axis `at`."""
    if axis is None:
        array = lax.broadcast(array, (size,))
    array = jnp.moveaxis(array, axis or 0, at)
    shape = (*array.shape[:at], size * array.shape[at + 1], *array.shape[at + 2 :])
    return lax.reshape(array, shape)


def divided(array: jax.Array, at: int, size: int) -> jax.Array:
    """Undoes `merged`."""
    shape = (*array.shape[:at], size, array.shape[at] // size, *array.shape[at + 1 :])
    return lax.reshape(array, shape)
