"""What keeps computations apart, also on XLA's CPU backend, which drops optimization barriers."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jslim.layers._lowering._choices import on_platform

Tree = TypeVar("Tree")


def never(arrays: Iterable[jax.Array]) -> jax.Array:
    """False, computed from the first number of each array. XLA cannot foresee the value."""
    sign: ArrayLike = np.int32(0)
    for array in arrays:
        first = lax.reshape(lax.slice(array, (0,) * array.ndim, (1,) * array.ndim), ())
        bits = lax.bitcast_convert_type(lax.convert_element_type(first, np.float32), np.int32)
        # The sign bit: 0 or -1 for any number, infinite ones and NaN included.
        sign = lax.bitwise_or(sign, lax.shift_right_arithmetic(bits, np.int32(31)))
    return lax.lt(np.int32(0), sign)


def materialized(array: jax.Array) -> jax.Array:
    """The array, in memory.

    The CPU backend would compute a sum anew for each use, element by element where that is a sum
    itself (the gradient of a batch normalization took 10 times as long). It does not look through a
    branch that it cannot foresee.
    """
    return lax.cond(never([array]), lax.neg, lambda kept: kept, array)


def has_values(cotangent: jax.Array) -> bool:
    """Whether it is of floating point numbers: integers have no cotangents."""
    return cotangent.dtype != jax.dtypes.float0


def together(cotangents: Tree) -> Tree:
    """The cotangents, each of which can be used only when all are computed."""
    leaves, tree = jax.tree.flatten(cotangents)
    ready = iter(lax.optimization_barrier([leaf for leaf in leaves if has_values(leaf)]))
    return jax.tree.unflatten(tree, [next(ready) if has_values(x) else x for x in leaves])


def after(
    cotangents: object, arrays: Sequence[jax.Array], everywhere: bool | None = None
) -> Sequence[jax.Array]:
    """The arrays, which XLA can use only when it has the cotangents.

    Everywhere, nowhere, or (None) on platforms where XLA drops its barriers.
    """
    if everywhere is False:
        return arrays
    # A sum with a zero made of the cotangents would not do: XLA would fuse all such sums into one
    # operation at the end.
    has_none = never(x for x in jax.tree.leaves(cotangents) if has_values(x) and x.size)

    def kept(arrays: list[jax.Array]) -> list[jax.Array]:
        return lax.cond(has_none, lambda given: [lax.full_like(x, 0) for x in given], list, arrays)

    if everywhere:
        return kept(list(arrays))
    return on_platform("drops_barriers", kept, list, list(arrays))
