"""Arrays as lists of their entries, in place of TF-Slim's `SparseTensor`s.

Such a list is a `jax.experimental.sparse.BCOO`, with `indices` `[entries, rank]` and `data`
`[entries]`. Under `jit` the number of entries must be known before their values, so there is room
for one entry per element, or for `nse` of them. The entries come first, in row-major order. The
rest has an index beyond the shape, which all of JAX's sparse operations pass over.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core.arg_scope import add_arg_scope
from jslim.core.arguments import explained
from jslim.layers import _common, utils
from jslim.layers._types import Names

if TYPE_CHECKING:
    from jax.experimental import sparse


@add_arg_scope
@explained
def dense_to_sparse(
    tensor: jax.Array,
    eos_token: float = 0,
    outputs_collections: Names = None,
    scope: str | None = None,
    *,
    nse: int | None = None,
) -> "sparse.BCOO":
    """The elements that are not `eos_token`, as a list of entries.

    Args:
      tensor: An array of any shape.
      eos_token: The element that is left out, such as the padding of sequences.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `dense_to_sparse`.
      nse: The number of entries that there is room for, default one per element. Entries beyond
        it are left out.

    Returns:
      A BCOO of the shape and dtype of `tensor`.

    Raises:
      ValueError: `nse` is negative.

    >>> dense_to_sparse(jnp.array([[7, 0], [0, 9]]), nse=3).indices.tolist()
    [[0, 0], [1, 1], [2, 2]]
    """
    name = _common.scope_name(scope, "dense_to_sparse")
    outputs = dense_to_sparse_tensor(tensor, eos_token, nse=nse)
    return utils.collect_named_outputs(outputs_collections, name, outputs)


def dense_to_sparse_tensor(
    dense_tensor: jax.Array, ignore_value: ArrayLike | None = None, *, nse: int | None = None
) -> "sparse.BCOO":
    """The elements that are not `ignore_value`, by default 0, as a list of entries.

    Args:
      dense_tensor: An array of any shape.
      ignore_value: The element that is left out.
      nse: The number of entries that there is room for, default one per element. Entries beyond
        it are left out.

    Returns:
      A BCOO of the shape and dtype of `dense_tensor`.

    Raises:
      ValueError: `nse` is negative.

    >>> dense_to_sparse_tensor(jnp.array([[7, 0], [0, 9]]), nse=2).data.tolist()
    [7, 9]
    """
    array = checks.numbers_in("dense_to_sparse", "tensor", dense_tensor)
    checks.rank("dense_to_sparse", "tensor", array, "[..., length]")
    ignored = jnp.asarray(0 if ignore_value is None else ignore_value, array.dtype)
    return _entries(array, array != ignored, nse)


def _entries(array: jax.Array, is_entry: jax.Array, nse: int | None) -> "sparse.BCOO":
    room = array.size if nse is None else nse
    checks.not_negative("dense_to_sparse", "nse", room)
    places = jnp.nonzero(is_entry.reshape(-1), size=room, fill_value=array.size)[0]
    data = jnp.take(array.reshape(-1), places, mode="fill", fill_value=0)
    # BCOO marks places beyond the last entry by the shape itself.
    indices = jnp.stack(jnp.unravel_index(places, array.shape), -1).astype(jnp.int32)
    beyond = jnp.asarray(array.shape, jnp.int32)
    indices = jnp.where((places < array.size)[:, None], indices, beyond[None, :])
    # Imported here because it imports SciPy, a quarter of the time that `import jax` takes.
    from jax.experimental import sparse

    return sparse.BCOO((data, indices), shape=array.shape)


def indicators_to_sparse_ids(
    indicators: jax.Array, ignore_value: ArrayLike | None = None, dtype: DTypeLike = jnp.int32
) -> "sparse.BCOO":
    """The numbers of the columns that are set, for each row one after another.

    Differs from TF-Slim: the last axis of the result stays as long as that of `indicators`, where
    TF-Slim makes it as long as the longest row, and the default type is int32.

    Args:
      indicators: `[..., num_ids]`.
      ignore_value: The element of columns that are not set, default 0 or False.
      dtype: The type of the numbers, an integer one.

    Returns:
      A BCOO of the shape of `indicators`: entry `[..., j]` is the number of the column that is the
      j-th one set.

    Raises:
      ValueError: `dtype` is not an integer type; `indicators` are a scalar.

    >>> indicators_to_sparse_ids(jnp.array([[0, 0, 1], [1, 1, 0]]), dtype=jnp.int32).data.tolist()
    [2, 0, 1, 0, 0, 0]
    """
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(
            f"indicators_to_sparse_ids: dtype must be an integer type, got {jnp.dtype(dtype).name}"
        )
    array = jnp.asarray(indicators)
    if array.ndim < 1:
        raise ValueError("indicators_to_sparse_ids: indicators must have an axis, got a scalar")
    is_set = array != jnp.asarray(0 if ignore_value is None else ignore_value, array.dtype)
    ids = jnp.argsort(~is_set, axis=-1, stable=True).astype(dtype)
    count = jnp.sum(is_set, -1, keepdims=True, dtype=jnp.int32)
    columns = jax.lax.broadcasted_iota(jnp.int32, array.shape, array.ndim - 1)
    return _entries(ids, columns < jnp.broadcast_to(count, array.shape), None)


def sparse_row_envelope(
    sparse_input: "sparse.BCOO", row_axis: int = 0, col_axis: int = 1, name: str | None = None
) -> jax.Array:
    """The length of each row: the number of its last column that has an entry, plus one.

    Args:
      sparse_input: A BCOO without batch or dense dimensions.
      row_axis: The axis of the rows.
      col_axis: The axis of the columns.
      name: Not used; for TF-Slim's signature.

    Returns:
      int32 `[rows]`; 0 for a row without entries.

    Raises:
      ValueError: The axes are equal, or are not axes of `sparse_input`.

    >>> sparse_row_envelope(dense_to_sparse(jnp.array([[1, 0, 5], [0, 0, 0]]))).tolist()
    [3, 0]
    """
    del name
    rank = sparse_input.ndim
    axes = (row_axis, col_axis)
    if row_axis == col_axis or not all(isinstance(a, int) and 0 <= a < rank for a in axes):
        raise ValueError(
            f"sparse_row_envelope: row_axis and col_axis must be two different axes from 0 to "
            f"{rank - 1}, got {row_axis!r} and {col_axis!r}"
        )
    rows, columns = sparse_input.indices[:, row_axis], sparse_input.indices[:, col_axis]
    ends = jnp.zeros(sparse_input.shape[row_axis], jnp.int32)
    return ends.at[rows].max(columns.astype(jnp.int32) + 1, mode="drop")
