"""From gradients to updates of variables: the parts of one optax chain.

Gradients are a tree like that of the variables. Names are used only for a user's functions and
patterns. Summaries are recorded on the way.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from jslim.core.selection import select
from jslim.learning.gradients import (
    Gradients,
    GradientsFn,
    Multipliers,
    check_multipliers,
    check_transformed,
    multiply_gradients,
)
from jslim.learning.state import PyTree, TrainState
from jslim.summaries import Summaries, when_due


def part(tree: PyTree, mask: PyTree) -> PyTree:
    """The leaves of nested dicts for which `mask` is True, without empty dicts.

    >>> mask = {"a": {"w": True, "b": False}, "c": {"w": False}}
    >>> part({"a": {"w": 1, "b": 2}, "c": {"w": 3}}, mask)
    {'a': {'w': 1}}
    """
    kept = {}
    for key, node in tree.items():
        if isinstance(node, Mapping):
            if inner := part(node, mask[key]):
                kept[key] = inner
        elif mask[key]:
            kept[key] = node
    return kept


def merged(tree: PyTree, changed: PyTree) -> PyTree:
    """Nested dicts with some leaves replaced by those of `changed`.

    >>> merged({"a": {"w": 1, "b": 2}}, {"a": {"w": 5}})
    {'a': {'w': 5, 'b': 2}}
    """
    if not isinstance(tree, Mapping):
        return changed
    return {k: merged(node, changed[k]) if k in changed else node for k, node in tree.items()}


def by_name(change: GradientsFn) -> Callable[[PyTree], PyTree]:
    """Makes a function of trees from a function of `{name: gradient}`."""

    def of_tree(gradients: PyTree) -> PyTree:
        flat = flatten_dict(gradients)
        paths = {"/".join(path): path for path in flat}
        changed = change({name: flat[path] for name, path in paths.items()})
        return unflatten_dict({paths[name]: value for name, value in changed.items()})

    return of_tree


def stateless(change: Callable[[PyTree], PyTree]) -> optax.GradientTransformation:
    """The transformation that applies a function to the tree of gradients."""
    return optax.stateless(lambda gradients, params: change(gradients))


def transform(where: str, function: GradientsFn) -> optax.GradientTransformation:
    """A user's function of `{name: gradient}` as a transformation; its results are checked.

    Args:
      where: The argument of that function, for errors.
      function: The function.
    """
    return stateless(by_name(lambda named: check_transformed(where, function(named), named)))


def multiply(multipliers: Multipliers) -> optax.GradientTransformation:
    """`multiply_gradients` as a transformation; its `init` refuses keys that match nothing."""
    check_multipliers(multipliers)
    change = by_name(functools.partial(multiply_gradients, gradient_multipliers=multipliers))

    def init(params: PyTree) -> optax.EmptyState:
        select(flatten_dict(params, sep="/"), multipliers, "gradient_multipliers")
        return optax.EmptyState()

    return optax.GradientTransformation(init, stateless(change).update)


def before(
    optimizer: optax.GradientTransformation, *changes: optax.GradientTransformation
) -> optax.GradientTransformation:
    """`optax.chain(*changes, optimizer)` for stateless changes: the state is the optimizer's."""
    if not changes:
        return optimizer
    changed, inner = optax.chain(*changes), optax.with_extra_args_support(optimizer)

    def init(params: PyTree) -> PyTree:
        changed.init(params)
        return inner.init(params)

    def update(
        gradients: PyTree, state: PyTree, params: PyTree = None, **extra: object
    ) -> tuple[PyTree, PyTree]:
        gradients, _ = changed.update(gradients, changed.init(gradients), params, **extra)
        return inner.update(gradients, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


@dataclasses.dataclass
class Update:
    """The update of a step under way, which `watched` transformations take as `seen`.

    Attributes:
      loss: The loss.
      state: The training state before the update.
      summaries: The summaries so far.
    """

    loss: jax.Array
    state: TrainState
    summaries: Summaries = dataclasses.field(default_factory=dict)


# From the update, the gradients by name and the state of the transformation, to summaries.
Watch = Callable[[Update, Gradients, PyTree], Summaries]


def watched(
    transformation: optax.GradientTransformation, watch: Watch
) -> optax.GradientTransformation:
    """The transformation, with summaries of the gradients that it gives."""
    inner = optax.with_extra_args_support(transformation)

    def update(
        gradients: PyTree,
        state: PyTree,
        params: PyTree = None,
        *,
        seen: Update | None = None,
        **extra: object,
    ) -> tuple[PyTree, PyTree]:
        gradients, state = inner.update(gradients, state, params, seen=seen, **extra)
        if seen is not None:
            seen.summaries |= when_due(lambda: watch(seen, flatten_dict(gradients, sep="/"), state))
        return gradients, state

    return optax.GradientTransformationExtraArgs(inner.init, update)
