"""Sums and parts by the value of an index."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._op import Values, array, dtype_of, known, op
from jslim.core import checks


@op
def confusion_matrix(
    labels: Values,
    predictions: Values,
    num_classes: int | None = None,
    dtype: DTypeLike = jnp.int32,
    name: str | None = None,
    weights: Values | None = None,
) -> jax.Array:
    """How often each prediction (columns) was given for each label (rows).

    Args:
      labels, predictions: Classes, `[count]`.
      num_classes: The number of classes. Without it they must be known while tracing.
      dtype: The type of the counts.
      weights: What each example counts, `[count]`; 1 by default.
    """
    rows, columns = jnp.squeeze(array(labels)), jnp.squeeze(array(predictions))
    if num_classes is None:
        hint = "or give num_classes"
        largest = [
            int(known("tf.confusion_matrix", f"{which} ({hint})", classes).max())
            for which, classes in (("labels", labels), ("predictions", predictions))
        ]
        num_classes = max(largest) + 1
    size, kind = int(known("tf.confusion_matrix", "num_classes", num_classes)), dtype_of(dtype)
    counts = jnp.ones(rows.shape, kind) if weights is None else array(weights).astype(kind)
    return jnp.zeros((size, size), kind).at[rows, columns].add(counts)


@op
def dynamic_partition(
    data: Values, partitions: Values, num_partitions: int, name: str | None = None
) -> list[jax.Array]:
    """The parts of `data` whose index in `partitions` is 0, 1 and so on.

    `partitions` must be known while tracing: the shapes depend on it.
    """
    where = "tf.dynamic_partition"
    places, source = known(where, "partitions", partitions), array(data)
    if source.shape[: places.ndim] != places.shape:
        got = f"shape {places.shape} for data of shape {source.shape}"
        raise checks.refusal(where, "partitions", "of the first lengths of data", got)
    flat = source.reshape(-1, *source.shape[places.ndim :])
    count = int(known(where, "num_partitions", num_partitions))
    return [flat[np.flatnonzero(places.reshape(-1) == at)] for at in range(count)]


@op
def dynamic_stitch(
    indices: Sequence[Values], data: Sequence[Values], name: str | None = None
) -> jax.Array:
    """One array of parts: `result[indices[k][i]] = data[k][i]`; of equal indices the last counts.

    `indices` must be known while tracing.
    """
    places = [known("tf.dynamic_stitch", "indices", part) for part in indices]
    parts = [array(part) for part in data]
    rest = parts[0].shape[places[0].ndim :]
    length = 1 + max((int(part.max()) for part in places if part.size), default=-1)
    dtype = jnp.result_type(*parts)
    result = jnp.zeros((length, *rest), dtype)
    for at, part in zip(places, parts, strict=True):
        result = result.at[at.reshape(-1)].set(part.reshape(-1, *rest).astype(dtype))
    return result
