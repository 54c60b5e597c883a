"""The gradients of a batch that is computed in parts, one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim.summaries import SUMMARIES

# ((loss, (outputs, updated collections)), gradients) of (trained, held, batch, rng).
GradientsOf = Callable[..., tuple[tuple[jax.Array, tuple[Any, dict[str, Any]]], Any]]


def accumulate(gradients_of: GradientsOf, count: int) -> GradientsOf:
    """`gradients_of` by the parts of a batch: the memory of one part, the gradients of all.

    Losses, gradients and floating-point outputs are means over the parts, other outputs their
    greatest. The held collections, such as moving statistics, go from part to part; summaries are
    those of the last one.
    """

    def of_parts(
        trained: Any, held: dict[str, Any], batch: Any, rng: jax.Array
    ) -> tuple[tuple[jax.Array, tuple[Any, dict[str, Any]]], Any]:
        def add(carry: Any, part: Any) -> Any:
            held, total = carry
            index, batch = part
            (loss, (outputs, updated)), gradients = gradients_of(
                trained, held, batch, jax.random.fold_in(rng, index)
            )
            summaries = updated.pop(SUMMARIES, {})
            held = {name: updated.get(name, value) for name, value in held.items()}
            return (held, jax.tree.map(jnp.add, total, gradients)), (loss, outputs, summaries)

        start = (held, jax.tree.map(jnp.zeros_like, trained))
        parts = (jnp.arange(count), split_batch(batch, count))
        (held, total), (losses, outputs, summaries) = jax.lax.scan(add, start, parts)
        gradients = jax.tree.map(lambda x: x / jnp.asarray(count, x.dtype), total)
        last = jax.tree.map(lambda x: x[-1], summaries)
        outputs = jax.tree.map(_mean_of_parts, outputs)
        return (jnp.mean(losses), (outputs, {**held, SUMMARIES: last})), gradients

    return of_parts


def split_batch(batch: Any, count: int) -> Any:
    """The batch in `count` parts of equal size, along a new first axis of every array.

    Every `count`-th row goes into one part, so that each part is spread over the devices as the
    batch is. Scalars are repeated.

    Raises:
      ValueError: The batch cannot be divided so.
    """

    def split(path: Any, leaf: jax.Array) -> jax.Array:
        if not jnp.ndim(leaf):
            return jnp.broadcast_to(leaf, (count,))
        if leaf.shape[0] % count:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)}: {leaf.shape[0]} examples cannot be computed "
                f"in {count} parts; use a batch size that is a multiple of it"
            )
        return jnp.swapaxes(leaf.reshape(-1, count, *leaf.shape[1:]), 0, 1)

    return jax.tree_util.tree_map_with_path(split, batch)


def _mean_of_parts(parts: jax.Array) -> jax.Array:
    if jnp.issubdtype(parts.dtype, jnp.inexact):
        return jnp.mean(parts, axis=0)
    return jnp.max(parts, axis=0)
