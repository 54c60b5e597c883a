"""Operations that are linear in their last argument, or in each of two, with their transposes.

JAX derives the transpose of such an operation from the way it is computed, also for `custom_jvp`;
`custom_vjp` could say otherwise but has no forward mode. A primitive has both modes: it is its own
derivative in forward mode, and its transposes, which are such operations again, give reverse mode
of any order. https://docs.jax.dev/en/latest/jax-primitives.html
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
    bind,
    by_platform,
    divided,
    merged,
    settings,
    transpose,
)

Transpose = Callable[..., jax.Array | None]
Linear = Any  # an array, or what stands for it in the rule of a transpose


class Bilinear(NamedTuple):
    """An operation and one of its transposes, `(first, second, **static) -> output`.

    Attributes:
      forward: The operation itself.
      by_first: Its transpose by the first argument, as a function of a cotangent and the second
        argument. The static argument `shape` is the shape of the first without its batch.
    """

    forward: Operation
    by_first: Operation


def _as_jax_derives_it(*arrays: object, **static: object) -> None:
    """Leaves a transpose to JAX."""


def bilinear(
    name: str,
    compute: Operation,
    output_shape: Callable[..., Shape],
    is_xlas: Callable[..., bool],
    by_first: Transpose = _as_jax_derives_it,
    by_second: Transpose = _as_jax_derives_it,
) -> Bilinear:
    """Makes an operation that is linear in each of two arguments.

    Axis 0 of the first argument and of the output is a batch.

    Args:
      name: Its name in a jaxpr.
      compute: Its function, `(choices, first, second, **static)`, which JAX can trace. The output
        has the dtype of the arguments.
      output_shape: The shape of the output, from the two shapes and the static arguments.
      is_xlas: Whether `compute` is an operation of XLA's, with derivatives of JAX's; from the
        choices, the two shapes and the static arguments.
      by_first: Its transpose by the first argument, `(choices, cotangent, second, shape of first,
        **static)`. Returns None to leave it to JAX.
      by_second: The same by the second, `(choices, first, cotangent, shape of second, **static)`.
    """

    def compute_by_first(
        choices: Choices, cotangent: jax.Array, second: jax.Array, shape: Shape, **static: object
    ) -> jax.Array:
        whole = (cotangent.shape[0], *shape)
        own = by_first(choices, cotangent, second, whole, **static)
        if own is not None:
            return own
        first = jax.ShapeDtypeStruct(whole, cotangent.dtype)
        return transpose(lambda x: compute(choices, x, second, **static), first, cotangent)

    def compute_by_second(
        choices: Choices, first: jax.Array, cotangent: jax.Array, shape: Shape, **static: object
    ) -> jax.Array:
        own = by_second(choices, first, cotangent, shape, **static)
        if own is not None:
            return own
        second = jax.ShapeDtypeStruct(shape, cotangent.dtype)
        return transpose(lambda x: compute(choices, first, x, **static), second, cotangent)

    to_output = _mapped(name, compute, output_shape)
    to_first = _mapped(
        f"{name}_by_first", compute_by_first, lambda ct, second, shape, **static: (ct[0], *shape)
    )
    to_second = _mapped(
        f"{name}_by_second", compute_by_second, lambda first, ct, shape, **static: shape
    )
    for primitive, has_batch in ((to_output, True), (to_first, True), (to_second, False)):
        batching.primitive_batchers[primitive] = functools.partial(_vectorize, primitive, has_batch)

    # The cotangent of each of the three arrays, from the other two.
    def of_first(
        cotangent: Linear, first: Linear, second: Linear, mapped: int, **static: object
    ) -> jax.Array:
        static |= {"mapped": mapped, "shape": first.aval.shape[mapped + 1 :]}
        return bind(to_first, cotangent, second, **static)

    def of_second(
        cotangent: Linear, first: Linear, second: Linear, mapped: int, **static: object
    ) -> jax.Array:
        static |= {"mapped": mapped, "shape": second.aval.shape[mapped:]}
        return bind(to_second, first, cotangent, **static)

    def of_output(first: Linear, second: Linear, shape: Shape, **static: object) -> jax.Array:
        return bind(to_output, first, second, **static)

    ad.defbilinear(to_output, of_first, of_second)
    ad.defbilinear(
        to_first,
        lambda given, cotangent, second, **static: of_output(given, second, **static),
        lambda given, cotangent, second, **static: of_second(cotangent, given, second, **static),
    )
    ad.defbilinear(
        to_second,
        lambda given, first, cotangent, **static: of_first(cotangent, first, given, **static),
        lambda given, first, cotangent, **static: of_output(first, given, **static),
    )

    def forward(first: jax.Array, second: jax.Array, **static: object) -> jax.Array:
        set_here = settings()
        forced = set_here["forced"]
        every = CHOICES.values() if forced is None else [choices(forced)]
        if all(is_xlas(each, first.shape, second.shape, **static) for each in every):
            return compute(Choices(), first, second, **static)
        return bind(to_output, first, second, mapped=0, **set_here, **static)

    def transposed(cotangent: jax.Array, second: jax.Array, **static: object) -> jax.Array:
        return bind(to_first, cotangent, second, mapped=0, **settings(), **static)

    return Bilinear(forward, transposed)


def _mapped(name: str, compute: Operation, output_shape: Callable[..., Shape]) -> Primitive:
    """A primitive of `compute`, vectorized over the first `mapped` axes of all arrays."""

    def computed(choices: Choices, *arrays: jax.Array, mapped: int, **static: object) -> jax.Array:
        function = functools.partial(compute, choices, **static)
        for _ in range(mapped):
            function = jax.vmap(function)
        return function(*arrays)

    def shape(first: Shape, second: Shape, mapped: int, **static: object) -> Shape:
        return (*first[:mapped], *output_shape(first[mapped:], second[mapped:], **static))

    return by_platform(name, computed, shape)


def _vectorize(
    primitive: Primitive,
    has_batch: bool,
    arrays: Sequence[jax.Array],
    axes: Sequence[int | None],
    mapped: int,
    **static: object,
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


def linear(
    name: str,
    compute: Operation,
    output_shape: Callable[..., Shape],
    transposed: Operation | None = None,
    num_facts: int = 0,
) -> Primitive:
    """Makes an operation that is linear in its last argument. Axis 0 of every array is a batch.

    The other arguments are facts that select elements, and have no derivative.

    Args:
      name: Its name in a jaxpr.
      compute: Its function, `(choices, *facts, vector, **static)`.
      output_shape: The shape of the result, from all shapes and the static arguments.
      transposed: Its transpose, `(choices, *facts, cotangent, shape of the vector, **static)`;
        None to leave it to JAX.
      num_facts: The number of arguments before the vector.
    """

    def compute_back(
        choices: Choices, *arrays: jax.Array, shape: Shape, **static: object
    ) -> jax.Array:
        *facts, cotangent = arrays
        whole = (cotangent.shape[0], *shape)
        if transposed is not None:
            return transposed(choices, *arrays, shape=whole, **static)
        vector = jax.ShapeDtypeStruct(whole, cotangent.dtype)
        return transpose(lambda x: compute(choices, *facts, x, **static), vector, cotangent)

    there = by_platform(name, compute, output_shape)
    back = by_platform(
        f"{name}_back", compute_back, lambda *shapes, shape, **static: (shapes[-1][0], *shape)
    )

    def transpose_there(cotangent: Linear, *arrays: Linear, **static: object) -> list[Linear]:
        *facts, vector = arrays
        shape = vector.aval.shape[1:]
        return [*nothing, bind(back, *facts, cotangent, shape=shape, **static)]

    def transpose_back(
        given: Linear, *arrays: Linear, shape: Shape, **static: object
    ) -> list[Linear]:
        return [*nothing, bind(there, *arrays[:-1], given, **static)]

    def tangent(primitive: Primitive, dot: Linear, *arrays: Linear, **static: object) -> jax.Array:
        return bind(primitive, *arrays[:-1], dot, **static)

    nothing = [None] * num_facts
    for primitive, rule in ((there, transpose_there), (back, transpose_back)):
        ad.defjvp(primitive, *nothing, functools.partial(tangent, primitive))
        ad.primitive_transposes[primitive] = rule
        vectorize_batch(primitive)
    return there


def vectorize_batch(primitive: Primitive) -> None:
    """Makes `vmap` add its examples to the batch, which is axis 0 of every array."""

    def rule(
        arrays: Sequence[jax.Array], axes: Sequence[int | None], **static: object
    ) -> tuple[jax.Array, int]:
        pairs = list(zip(arrays, axes, strict=True))
        size = next(array.shape[axis] for array, axis in pairs if axis is not None)
        output = bind(primitive, *(merged(a, axis, 0, size) for a, axis in pairs), **static)
        return divided(output, 0, size), 0

    batching.primitive_batchers[primitive] = rule
