"""Operations that are linear in their last argument, each with its transpose.

Their other arguments say which elements are meant, and have no derivative.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._primitives import (
    Operation,
    Shape,
    by_platform,
    divided,
    merged,
    transpose,
    vary_alike,
)


def linear(
    name: str,
    compute: Operation,
    output_shape: Callable[..., Shape],
    transposed: Operation | None = None,
) -> Primitive:
    """Makes such an operation. Axis 0 of every array is a batch.

    Args:
      name: Its name in a jaxpr.
      compute: What it computes, `(choices, *facts, vector, **static)`.
      output_shape: The shape of that, of all shapes and the static arguments.
      transposed: Its transpose, `(choices, *facts, cotangent, shape of the vector, **static)`; None
        for what JAX derives.
    """

    def compute_back(
        choices: Choices, *arrays: jax.Array, shape: Shape, **static: Any
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

    def transpose_there(cotangent: Any, *arrays: Any, **static: Any) -> list[Any]:
        *facts, vector = arrays
        shape = vector.aval.shape[1:]
        return [None for _ in facts] + [bind(back, *facts, cotangent, shape=shape, **static)]

    def transpose_back(given: Any, *arrays: Any, shape: Shape, **static: Any) -> list[Any]:
        facts = arrays[:-1]
        return [None for _ in facts] + [bind(there, *facts, given, **static)]

    for primitive, rule in ((there, transpose_there), (back, transpose_back)):
        ad.primitive_jvps[primitive] = _jvp_of(primitive)
        ad.primitive_transposes[primitive] = rule
        vectorize_batch(primitive)
    return there


def bind(primitive: Primitive, *arrays: jax.Array, **static: Any) -> jax.Array:
    array: jax.Array = primitive.bind(*vary_alike(*arrays), **static)
    return array


def zero_like(output: jax.Array) -> Any:
    """The tangent of an output that does not depend on what is differentiated."""
    return ad.Zero(jax.typeof(output).to_tangent_aval())


def _jvp_of(primitive: Primitive) -> Callable[..., Any]:
    def rule(primals: Sequence[Any], tangents: Sequence[Any], **static: Any) -> Any:
        output = bind(primitive, *primals, **static)
        if isinstance(tangents[-1], ad.Zero):
            return output, zero_like(output)
        return output, bind(primitive, *primals[:-1], tangents[-1], **static)

    return rule


def vectorize_batch(primitive: Primitive) -> None:
    """Has examples of a `vmap` be examples of the batch that is at axis 0 of every array."""

    def rule(
        arrays: Sequence[jax.Array], axes: Sequence[int | None], **static: Any
    ) -> tuple[jax.Array, int]:
        pairs = list(zip(arrays, axes, strict=True))
        size = next(array.shape[axis] for array, axis in pairs if axis is not None)
        output = bind(primitive, *(merged(a, axis, 0, size) for a, axis in pairs), **static)
        return divided(output, 0, size), 0

    batching.primitive_batchers[primitive] = rule
