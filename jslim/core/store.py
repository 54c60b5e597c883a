"""The arrays of one call of a model, by the full names of variables.

This is the one file that touches `flax.core`. The arrays live in Flax's own scope, so that Linen's
`apply`, `tabulate`, `remat`, `scan` and NNX's bridge work as for any other module.
"""

from collections.abc import Mapping
from typing import Any

import flax.core
import flax.traverse_util
import jax

Held = Any  # an array, an array in Linen's box with the names of its axes, a subtree, or None


class Store:
    """The variables of one call of a model, `{collection: {name: array}}`."""

    def __init__(self, root: flax.core.Scope):
        self._root = root
        self._scopes: dict[str, flax.core.Scope] = {}
        self.own: dict[str, Held] = {}  # by name; the arrays that are not in Flax's scope

    @property
    def path(self) -> tuple[str, ...]:
        """The place of this model in the tree of the outermost module."""
        return tuple(self._root.path)

    @property
    def is_initializing(self) -> bool:
        return bool(self._root.get_flag("initializing", False))

    def is_mutable(self, collection: str) -> bool:
        return bool(self._root.is_mutable_collection(collection))

    def is_below(self, other: "Store") -> bool:
        """Whether its path is within the path of the other one."""
        depth = len(other.path)
        return len(self.path) > depth and self.path[:depth] == other.path

    def is_in_tree_of(self, other: "Store") -> bool:
        """Whether both belong to one call; a lifted transformation makes a call of its own."""
        return self._root.root is other._root.root

    def get(self, collection: str, name: str) -> Held:
        """The array or subtree of a name, or None."""
        if name in self.own:
            return self.own[name]
        scope, leaf = self._locate(name)
        return scope.get_variable(collection, leaf)

    def put(self, collection: str, name: str, value: Held) -> None:
        scope, leaf = self._locate(name)
        scope.put_variable(collection, leaf, value)

    def put_all(self, collection: str, values: Mapping[str, object]) -> None:
        """Adds values under their full names to a collection that the caller asked for."""
        if self.is_mutable(collection):
            for name, value in values.items():
                self._root.put_variable(collection, name, value)

    def collections(self) -> dict[str, dict[str, Held]]:
        """`{collection: {name: array}}` for all variables in Flax's scope, given or made."""
        return {
            collection: flax.traverse_util.flatten_dict(_plain(tree), sep="/")
            for collection, tree in self._root.variables().items()
        }

    def has_rng(self, stream: str) -> bool:
        return bool(self._root.has_rng(stream))

    def make_rng(self, path: str, stream: str) -> jax.Array:
        """A new key of a stream; it depends on the scope at `path`."""
        return self.scope(path).make_rng(stream)

    def skip_rng(self, path: str, stream: str) -> None:
        """Counts a key that nobody needs, so that the next ones are what they were."""
        self.scope(path).rng_counters[stream] += 1

    def scope(self, path: str) -> flax.core.Scope:
        """Flax's scope at a path; it is pushed once and kept."""
        if not path:
            return self._root
        if path not in self._scopes:
            parent, _, name = path.rpartition("/")
            self._scopes[path] = self.scope(parent).push(name, reuse=True)
        return self._scopes[path]

    def apart(self) -> "Store":
        """A copy with arrays of its own, which shares the count of random numbers."""
        outer = self._root
        tree = {name: _plain(held) for name, held in outer.variables().items()}
        root = flax.core.Scope(
            tree, outer.rngs, outer.name, outer.mutable, None, outer.path, (), outer.flags
        )
        root.rng_counters = outer.rng_counters
        copy = Store(root)
        copy.own = dict(self.own)
        return copy

    def _locate(self, name: str) -> tuple[flax.core.Scope, str]:
        path, _, leaf = name.rpartition("/")
        return self.scope(path), leaf


def unboxed(held: Held) -> jax.Array:
    """The array itself; Linen may keep it in a box with the names of its axes."""
    return held.unbox() if isinstance(held, flax.core.meta.AxisMetadata) else held


def _plain(tree: Any) -> dict[str, Held]:
    return flax.core.unfreeze(tree)
