"""Trees of variables as users give them, and the names of their leaves."""

import contextlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax

from jslim.core.errors import ScopeError
from jslim.core.names import BATCH_STATS, LOCAL_VARIABLES, PARAMS

Variables = dict[str, Any]
PyTree = Any  # arrays, and dicts, lists, tuples and dataclasses of such, as JAX takes them


def named(variables: object) -> Variables:
    """`{name: leaf}` for a variables tree, in the tree's own order, without local variables.

    Args:
      variables: `{'params': {...}, 'batch_stats': {...}}`, one of those collections alone, a
        `TrainState`, or a dict that maps names to leaves already.

    Raises:
      ScopeError: One name is in two collections.
      TypeError: `variables` is not a tree of variables.

    >>> named({"params": {"fc": {"weights": 1.0}}, "batch_stats": {"fc": {"mean": 0.0}}})
    {'fc/weights': 1.0, 'fc/mean': 0.0}
    """
    tree = as_mapping(variables)
    if has_collections(tree):
        collections = [tree[name] for name in tree if name != LOCAL_VARIABLES]
    else:
        collections = [tree]
    flat: Variables = {}
    for collection in collections:
        for name, leaf in flax.traverse_util.flatten_dict(_plain(collection), sep="/").items():
            if name in flat:
                raise ScopeError(f"variable {name!r} is in two collections of the tree")
            flat[name] = leaf
    return flat


def check_kept(where: str, tree: PyTree) -> None:
    """Refuses arrays that a step of training has used up: it makes the new state in their memory.

    Raises:
      ValueError: An array of the tree was donated, so that it has no value any more.
    """
    if any(map(is_used_up, jax.tree.leaves(tree))):
        raise ValueError(
            f"{where}: the state was given to a step before, which makes the new one in its "
            "memory; use the state that the step returned: state, outputs = train_op(state, batch)"
        )


def is_used_up(leaf: object) -> bool:
    """Whether a leaf is an array that was donated; a traced one is not."""
    with contextlib.suppress(AttributeError, jax.errors.ConcretizationTypeError):
        return bool(leaf.is_deleted())  # type: ignore[attr-defined]
    return False


def is_tree(value: object) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "params")


def as_mapping(variables: object) -> Mapping[str, Any]:
    if not is_tree(variables):
        raise TypeError(
            "the variables must be a tree such as Model.init returns, a TrainState or "
            f"{{name: leaf}}; got {type(variables).__name__}"
        )
    if isinstance(variables, Mapping):
        return variables
    fields = (PARAMS, BATCH_STATS)
    return {name: held for name in fields if (held := getattr(variables, name, None)) is not None}


def has_collections(tree: Mapping[str, object]) -> bool:
    return PARAMS in tree or BATCH_STATS in tree


def _plain(tree: object) -> object:
    return {k: _plain(v) for k, v in tree.items()} if isinstance(tree, Mapping) else tree
