"""The loss and the gradients of a batch, at once or in parts."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jslim.core.errors import ScopeError
from jslim.core.names import LOSS_WITHOUT_REGULARIZATION
from jslim.learning.state import PyTree
from jslim.summaries import SUMMARIES

Outputs = dict[str, jax.Array]
Collections = dict[str, PyTree]
LossAndGradients = tuple[tuple[jax.Array, tuple[Outputs, Collections]], PyTree]
# From the trained variables, the other collections, the batch and the random key.
GradientsOf = Callable[[PyTree, Collections, PyTree, jax.Array], LossAndGradients]


def scalar_loss(
    result: PyTree, without_regularization: Mapping[str, jax.Array]
) -> tuple[jax.Array, Outputs]:
    """The loss and the outputs `{name: array}` from the result of a loss function.

    Args:
      result: The result.
      without_regularization: The collection of that name, which has one loss or none.

    Raises:
      ScopeError: The loss is not a scalar.
    """
    loss, outputs = result, {}
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        loss, outputs = result[0], dict(result[1])
    if not hasattr(loss, "dtype") or jnp.ndim(loss) != 0:
        kind = f"shape {jnp.shape(loss)}" if hasattr(loss, "dtype") else type(loss).__name__
        raise ScopeError(
            "create_train_op: the loss function must end in a scalar (such as "
            f"slim.losses.get_total_loss()), or in (scalar, {{name: array}}); it gave {kind}"
        )
    for bare in without_regularization.values():
        outputs = {LOSS_WITHOUT_REGULARIZATION: bare, **outputs}
    return loss, outputs


def accumulate(gradients_of: GradientsOf, count: int) -> GradientsOf:
    """`gradients_of` for a batch in `count` parts, with the memory of one part.

    Losses, gradients and floating-point outputs are means over the parts, other outputs maxima.
    Held collections, such as moving statistics, go from part to part; summaries are those of the
    last part.
    """

    def of_parts(
        trained: PyTree, held: Collections, batch: PyTree, rng: jax.Array
    ) -> LossAndGradients:
        def add(carry: PyTree, part: PyTree) -> PyTree:
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


def split_batch(batch: PyTree, count: int) -> PyTree:
    """The batch in `count` parts of equal size, along a new first axis of every array.

    Part i has the rows i, i + count, ..., so that each part is spread over the devices like the
    batch. Scalars are repeated.

    Raises:
      ValueError: `count` does not divide the batch.

    >>> split_batch(jnp.arange(6), 2).tolist()
    [[0, 2, 4], [1, 3, 5]]
    """

    def split(path: tuple[object, ...], leaf: jax.Array) -> jax.Array:
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
