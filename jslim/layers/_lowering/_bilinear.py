"""Operations of two arrays, linear in each, that have derivatives of their own making.

JAX derives how such an operation is transposed from how it is computed, and so it does for
`custom_jvp`; `custom_vjp` would do otherwise but has no forward mode. A primitive has all: it is
its own derivative in forward mode, and its two transposes, which are such operations again, give
reverse mode of any order. https://docs.jax.dev/en/latest/jax-primitives.html
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jslim.layers._lowering._choices import CHOICES, Choices, choices
from jslim.layers._lowering._primitives import (
    Operation,
    Shape,
    by_platform,
    divided,
    merged,
    settings,
    transpose,
    vary_alike,
)


class Bilinear(NamedTuple):
    """An operation and one of its transposes, `(first, second, backend, **static) -> output`.

    Attributes:
      forward: The operation itself.
      by_first: Its transpose by the first argument: of a cotangent and the second argument, with
        the static argument `shape`, that of the first without its batch.
    """

    forward: Operation
    by_first: Operation


def bilinear(
    name: str,
    compute: Operation,
    output_shape: Callable[..., Shape],
    is_xlas: Callable[..., bool],
    by_first: Callable[..., jax.Array | None] | None = None,
    by_second: Callable[..., jax.Array | None] | None = None,
) -> Bilinear:
    """Makes such an operation. Axis 0 of the first argument and of the output is a batch.

    Args:
      name: Its name in a jaxpr.
      compute: What it computes, `(choices, first, second, **static)`, as a function that JAX can
        trace. Its output has the dtype of its arguments.
      output_shape: The shape of that, of the two shapes and the static arguments.
      is_xlas: Whether that is an operation of XLA's with JAX's derivatives, of choices, the two
        shapes and the static arguments.
      by_first: Where it is not, its transpose by the first argument, `(choices, cotangent, second,
        shape of first, **static)`. Gives None, or is None, for what JAX derives.
      by_second: That by the second, `(choices, first, cotangent, shape of second, **static)`, in
        the same way.
    """

    def compute_by_first(
        choices: Choices, cotangent: jax.Array, second: jax.Array, shape: Shape, **static: Any
    ) -> jax.Array:
        whole = (cotangent.shape[0], *shape)
        if by_first and not is_xlas(choices, whole, second.shape, **static):
            own = by_first(choices, cotangent, second, whole, **static)
            if own is not None:
                return own
        first = jax.ShapeDtypeStruct(whole, cotangent.dtype)
        return transpose(lambda x: compute(choices, x, second, **static), first, cotangent)

    def compute_by_second(
        choices: Choices, first: jax.Array, cotangent: jax.Array, shape: Shape, **static: Any
    ) -> jax.Array:
        if by_second and not is_xlas(choices, first.shape, shape, **static):
            own = by_second(choices, first, cotangent, shape, **static)
            if own is not None:
                return own
        second = jax.ShapeDtypeStruct(shape, cotangent.dtype)
        return transpose(lambda x: compute(choices, first, x, **static), second, cotangent)

    def shape_by_first(cotangent: Shape, second: Shape, shape: Shape, **static: Any) -> Shape:
        return (cotangent[0], *shape)

    def shape_by_second(first: Shape, cotangent: Shape, shape: Shape, **static: Any) -> Shape:
        return shape

    to_output = _mapped(name, compute, output_shape)
    to_first = _mapped(f"{name}_by_first", compute_by_first, shape_by_first)
    to_second = _mapped(f"{name}_by_second", compute_by_second, shape_by_second)
    for primitive, has_batch in ((to_output, True), (to_first, True), (to_second, False)):
        batching.primitive_batchers[primitive] = functools.partial(_vectorize, primitive, has_batch)

    def cotangent_of_first(cotangent: Any, first: Any, second: Any, **static: Any) -> jax.Array:
        shape = first.aval.shape[static["mapped"] + 1 :]
        return bind(to_first, cotangent, second, **{**static, "shape": shape})

    def cotangent_of_second(cotangent: Any, first: Any, second: Any, **static: Any) -> jax.Array:
        shape = second.aval.shape[static["mapped"] :]
        return bind(to_second, first, cotangent, **{**static, "shape": shape})

    def cotangent_of_output(*arrays: jax.Array, shape: Shape, **static: Any) -> jax.Array:
        return bind(to_output, *arrays, **static)

    ad.defbilinear(to_output, cotangent_of_first, cotangent_of_second)
    ad.defbilinear(
        to_first,
        lambda given, cotangent, second, **static: cotangent_of_output(given, second, **static),
        lambda given, cotangent, second, **static: cotangent_of_second(
            cotangent, given, second, **static
        ),
    )
    ad.defbilinear(
        to_second,
        lambda given, first, cotangent, **static: cotangent_of_first(
            cotangent, first, given, **static
        ),
        lambda given, first, cotangent, **static: cotangent_of_output(first, given, **static),
    )

    def forward(
        first: jax.Array, second: jax.Array, backend: str | None = None, **static: Any
    ) -> jax.Array:
        set_here = settings(backend)
        forced = set_here["backend"]
        every = CHOICES.values() if forced is None else [choices(forced)]
        if all(is_xlas(each, first.shape, second.shape, **static) for each in every):
            return compute(Choices(), first, second, **static)
        return bind(to_output, first, second, mapped=0, **set_here, **static)

    def transposed(
        cotangent: jax.Array, second: jax.Array, backend: str | None = None, **static: Any
    ) -> jax.Array:
        return bind(to_first, cotangent, second, mapped=0, **settings(backend), **static)

    return Bilinear(forward, transposed)


def bind(primitive: Primitive, first: jax.Array, second: jax.Array, **static: Any) -> jax.Array:
    array: jax.Array = primitive.bind(*vary_alike(first, second), **static)
    return array


def _mapped(name: str, compute: Operation, output_shape: Callable[..., Shape]) -> Primitive:
    """A primitive of `compute` vectorized over the first `mapped` axes of all arrays."""

    def computed(choices: Choices, *arrays: jax.Array, mapped: int, **static: Any) -> jax.Array:
        function = functools.partial(compute, choices, **static)
        for _ in range(mapped):
            function = jax.vmap(function)
        return function(*arrays)

    def shape(first: Shape, second: Shape, mapped: int, **static: Any) -> Shape:
        return (*first[:mapped], *output_shape(first[mapped:], second[mapped:], **static))

    return by_platform(name, computed, shape)


def _vectorize(
    primitive: Primitive,
    has_batch: bool,
    arrays: Sequence[jax.Array],
    axes: Sequence[int | None],
    mapped: int,
    **static: Any,
) -> tuple[jax.Array, int]:
    size = next(a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None)
    if has_batch and axes[1] is None:
        # Examples of the `vmap` are examples of a batch.
        first = merged(arrays[0], axes[0], mapped, size)
        output = bind(primitive, first, arrays[1], mapped=mapped, **static)
        return divided(output, mapped, size), mapped
    first, second = (
        lax.broadcast(array, (size,)) if axis is None else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays, axes, strict=True)
    )
    return bind(primitive, first, second, mapped=mapped + 1, **static), 0
