"""Conversion between trees of device arrays and the stored `{leaf name: NumPy array}`."""

import itertools
from collections import Counter

import jax
import numpy as np
from jax.typing import ArrayLike

from jslim.checkpoints._format import Leaf
from jslim.core.checks import Array
from jslim.core.trees import PyTree, Variables
from jslim.host.processes import put


def named_leaves(tree: PyTree) -> Variables:
    """`{name: leaf}`; a name is the path in the tree: `opt_state/0/trace/conv1/weights`.

    Raises:
      ValueError: Two leaves would have the same name (Orbax joins paths with dots).

    >>> named_leaves({"params": {"w": 1}, "opt_state": (2,)})
    {'opt_state/0': 2, 'params/w': 1}
    """
    leaves = [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    uses = Counter(name.replace("/", ".") for name, _ in leaves)
    # A leaf also conflicts with a branch of the same name.
    uses.update({parent for name in list(uses) for parent in _parents(name)})
    for name, _ in leaves:
        if uses[name.replace("/", ".")] > 1:
            raise ValueError(
                f"checkpoint: another leaf of the tree is named {name!r} too, or lies below that "
                f"name, where '/' and '.' count as the same; rename one of them."
            )
    return dict(leaves)


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _is_random_key(leaf: object) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def describe(name: str, leaf: PyTree) -> Leaf:
    """Shape and dtype of a leaf as it is stored, without a checksum.

    Raises:
      TypeError: The leaf is not an array, a number or a random key.
    """
    if _is_random_key(leaf):
        implementations = []

        def key_data(keys: jax.Array) -> jax.Array:
            implementations.append(jax.random.key_impl(keys))
            return jax.random.key_data(keys)

        data = jax.eval_shape(key_data, leaf)
        return Leaf(name, data.shape, str(data.dtype), str(implementations[0]))
    if isinstance(leaf, bool | int | float | complex):
        leaf = np.asarray(leaf)
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype") or leaf.dtype.kind in "OSUM":
        raise TypeError(
            f"checkpoint: leaf {name!r} of the state is a {type(leaf).__name__}; "
            f"only arrays, numbers and random keys can be saved."
        )
    return Leaf(name, tuple(leaf.shape), str(leaf.dtype))


def copy_to_host(leaves: Variables, described: dict[str, Leaf]) -> dict[str, np.ndarray]:
    """Copies of the values of `leaves`; their buffers may be donated afterwards."""
    shards = {name: _shards(leaf) for name, leaf in leaves.items()}
    for shard in itertools.chain.from_iterable(shards.values()):
        # Starts all transfers at once; on the CPU this would only prevent donation of the buffer.
        if shard.device.platform != "cpu":
            shard.data.copy_to_host_async()
    host = {}
    for name, leaf in leaves.items():
        if not isinstance(leaf, jax.Array):
            host[name] = np.array(leaf)
            continue
        host[name] = np.empty(described[name].shape, described[name].dtype)
        for shard in shards[name]:
            host[name][shard.index] = np.asarray(shard.data)
    return host


def _shards(leaf: object) -> list[jax.Shard]:
    """Shards of a device array that together hold each element once."""
    if not isinstance(leaf, jax.Array):
        return []
    data = jax.random.key_data(leaf) if _is_random_key(leaf) else leaf
    return [shard for shard in data.addressable_shards if shard.replica_id == 0]


def storable(leaf: ArrayLike) -> Array:
    """The leaf as an array, which stays on its devices; for a random key, its data."""
    if _is_random_key(leaf):
        return jax.random.key_data(leaf)
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)


def spread(like: PyTree, sharding: PyTree) -> jax.sharding.Sharding | None:
    """The sharding that a leaf like `like` is to have, if it lies in several processes."""
    if sharding is None and not isinstance(like, bool | int | float | complex):
        sharding = getattr(like, "sharding", None)
    # The data of random keys is small, and has another rank than they.
    if sharding is None or sharding.is_fully_addressable or _is_random_key(like):
        return None
    return sharding


def place(
    stored: np.ndarray | jax.Array, prng_impl: str | None, like: PyTree, sharding: PyTree
) -> PyTree:
    """`stored` as a leaf like `like`, with the given sharding or else that of `like`."""
    if isinstance(stored, jax.Array):  # it was read into its place
        return stored
    if isinstance(like, bool | int | float | complex):
        return stored.item()
    if isinstance(like, np.ndarray | np.generic) and sharding is None:
        return stored
    if sharding is None and not (isinstance(like, jax.Array) and not like.committed):
        sharding = like.sharding  # None for a ShapeDtypeStruct without devices
    if prng_impl is None:
        return put(stored, sharding)
    return put(jax.random.wrap_key_data(jax.numpy.asarray(stored), impl=prng_impl), sharding)
