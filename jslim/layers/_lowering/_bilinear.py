"""Operations of two arrays, linear in each, that have derivatives of their own making.

JAX derives how such an operation is transposed from how it is computed, and so it does for
`custom_jvp`; `custom_vjp` would do otherwise but has no forward mode. A primitive has all: it is
its own derivative in forward mode, and its two transposes, which may be such operations again, give
reverse mode of any order. https://docs.jax.dev/en/latest/jax-primitives.html
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Shape = tuple[int, ...]
Operation = Callable[..., jax.Array]


def bilinear(
    name: str,
    compute: Operation,
    output_shape: Callable[..., Shape],
    by_first: Operation,
    by_second: Operation,
    plain: Operation,
    has_batch: bool,
) -> Operation:
    """Makes the operation `(first, second, **static) -> output`.

    Args:
      name: Its name in a jaxpr.
      compute: What it computes, as a function that JAX can trace. Its output has the dtype of its
        arguments and as many dimensions as both.
      output_shape: The shape of that, of the two shapes and the static arguments.
      by_first: Its transpose by the first argument, of which only the shape is known:
        `(cotangent, second, shape of first, **static)`.
      by_second: That by the second: `(cotangent, first, shape of second, **static)`.
      plain: The same as `compute`, of JAX's operations with JAX's derivatives, for `vmap`.
      has_batch: Whether axis 0 of the first argument and of the output is a batch.
    """
    primitive = Primitive(name)

    def operation(first: jax.Array, second: jax.Array, **static: Any) -> jax.Array:
        return primitive.bind(*vary_alike(first, second), **static)

    def vectorize(
        arrays: Sequence[jax.Array], axes: Sequence[int | None], **static: Any
    ) -> tuple[jax.Array, int]:
        first, second = arrays
        if not has_batch or axes[1] is not None:
            mapped = jax.vmap(functools.partial(plain, **static), tuple(axes))
            return mapped(first, second), 0
        # Examples of the `vmap` are examples of a batch.
        first = jnp.moveaxis(first, axes[0] or 0, 0)
        merged = lax.reshape(first, (first.shape[0] * first.shape[1], *first.shape[2:]))
        output = operation(merged, second, **static)
        return lax.reshape(output, (*first.shape[:2], *output.shape[1:])), 0

    # Compiled once for each set of static arguments where it is called outside of jit.
    compiled = functools.cache(lambda static: jax.jit(functools.partial(compute, **dict(static))))
    primitive.def_impl(
        lambda first, second, **static: compiled(tuple(static.items()))(first, second)
    )
    primitive.def_abstract_eval(
        lambda first, second, **static: first.update(
            shape=output_shape(first.shape, second.shape, **static), weak_type=False
        )
    )
    mlir.register_lowering(primitive, mlir.lower_fun(compute, multiple_results=False))
    ad.defbilinear(
        primitive,
        lambda cotangent, first, second, **static: by_first(
            cotangent, second, first.aval.shape, **static
        ),
        lambda cotangent, first, second, **static: by_second(
            cotangent, first, second.aval.shape, **static
        ),
    )
    batching.primitive_batchers[primitive] = vectorize
    return operation


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


def transposed_by_second(function: Operation) -> Operation:
    """`(first, cotangent, shape of second, **static)` of what JAX derives from `function`."""

    def transpose(first: jax.Array, cotangent: jax.Array, shape: Shape, **static: Any) -> jax.Array:
        zeros, _ = vary_alike(lax.full(shape, 0, first.dtype), cotangent)
        _, pull = jax.vjp(lambda second: function(first, second, **static), zeros)
        return pull(cotangent)[0]

    return transpose
