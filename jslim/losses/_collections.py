"""The losses that the running model has collected."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jslim import regularizers as _regularizers
from jslim.core.access import (
    collect,
    collected,
    frame,
    is_running,
    note_loss_without_regularization,
    regularization_losses,
)
from jslim.core.arg_scope import add_arg_scope
from jslim.core.arguments import explained, has_no_argument
from jslim.core.errors import ScopeError, given_more_than_once
from jslim.core.names import LOSSES, REGULARIZATION_LOSSES, Regularizer, VariableScope
from jslim.core.scopes import unique_op_name
from jslim.core.selection import get_variables
from jslim.core.trees import named

# The graph collection in which TF looks for weights to regularize.
_WEIGHTS = "weights"


Collections = Mapping[str, object] | None
Scope = str | VariableScope | None
T = TypeVar("T")


def _with_collections_first(function: Callable[..., T]) -> Callable[..., T]:
    """Makes the first argument optional: of all arguments only the collections are a dict."""
    what = function.__name__
    names = list(inspect.signature(function).parameters)[1:]

    @functools.wraps(function)
    def with_collections_first(*args: object, **keywords: object) -> T:
        if args and isinstance(args[0], Mapping):
            collections, *rest = args
        else:
            collections, rest = keywords.pop("collections", None), list(args)
        if len(rest) > len(names):
            raise TypeError(
                f"{what} takes at most {len(names)} positional arguments after the collections, "
                f"got {len(rest)}"
            )
        for name in keywords:
            if name not in names:
                raise TypeError(has_no_argument(what, name, ["collections", *names]))
        twice = [name for name in names[: len(rest)] if name in keywords]
        if twice:
            raise given_more_than_once(what, "collections", names, len(rest), twice)
        return function(collections, *rest, **keywords)

    return with_collections_first


@add_arg_scope
def add_loss(
    loss: ArrayLike, loss_collection: str | None = LOSSES, *, scope: str | None = None
) -> None:
    """Adds a loss that was computed elsewhere to the losses of the running model.

    The loss functions call it too: `arg_scope([add_loss], loss_collection='other')` diverts their
    losses to another collection, and `loss_collection=None` keeps them out of any.

    Args:
      loss: A scalar.
      loss_collection: The collection to add it to; None adds it to none.
      scope: Name for `get_losses`, under the current variable scope; default `loss`.

    Raises:
      ScopeError: Outside a model function, or inside a JAX transformation within one.
      ValueError: `loss` is not a scalar.
    """
    if loss_collection is None:
        return
    frame("add_loss")
    if jnp.shape(loss) != ():
        raise ValueError(
            f"add_loss: a loss must be a scalar, got shape {jnp.shape(loss)}; average it, or use "
            "compute_weighted_loss"
        )
    name = f"{unique_op_name(scope or 'loss')}/value"
    collect(loss_collection, name, jnp.asarray(loss, jnp.float32))


@explained
def apply_regularization(regularizer: Regularizer, weights_list: object = None) -> jax.Array:
    """The sum of `regularizer` over several variables; the running model collects it.

    Inside a model function the sum joins the regularization losses, once for each call.

    Args:
      regularizer: `f(array) -> scalar or None`, None counting as 0.
      weights_list: The variables: a list, or a dict or tree of them. Default: those made with
        `variables_collections=['weights']`.

    Returns:
      A float32 scalar.

    Raises:
      ScopeError: Outside a model function without `weights_list`.
      ValueError: There are no variables, or the regularizer returns something that is not a
        scalar.

    >>> import jslim as slim
    >>> float(apply_regularization(slim.l2_regularizer(0.5), [jnp.array([1.0, 3.0])]))
    2.5
    """
    if weights_list is None:
        weights_list = get_variables(collection=_WEIGHTS)
    penalty = _regularizers.apply_regularization(regularizer, weights_list)
    if is_running():
        name = unique_op_name("get_regularization_penalty")
        collect(REGULARIZATION_LOSSES, name, penalty)
    return penalty


@_with_collections_first
def named_losses(
    collections: Collections = None, scope: Scope = None, loss_collection: str = LOSSES
) -> dict[str, jax.Array]:
    """`get_losses` with the names: `{'softmax_cross_entropy_loss/value': loss}`. New in jslim.

    Arguments and errors are those of `get_losses`.
    """
    return _select("named_losses", collections, loss_collection, scope)


@_with_collections_first
def get_losses(
    collections: Collections = None, scope: Scope = None, loss_collection: str = LOSSES
) -> list[jax.Array]:
    """`get_losses([collections,] scope=None, loss_collection='losses')`: the collected losses.

    Args:
      collections: Outside a model function, the result of
        `apply(..., mutable=['losses', 'regularization_losses'])`. Inside a model function it is
        left out, and the next argument comes first.
      scope: A regular expression that the name starts with ('aux', 'task_b/'), or a
        `VariableScope`.
      loss_collection: The collection that `add_loss` was given.

    Returns:
      Scalars, in the order in which they were added (`jit` returns them sorted by name).

    Raises:
      ScopeError: Outside a model function without collections.

    >>> [float(loss) for loss in get_losses({"losses": {"a/value": 1.0, "b/value": 2.0}}, "b")]
    [2.0]
    """
    return list(_select("get_losses", collections, loss_collection, scope).values())


@_with_collections_first
def get_regularization_losses(
    collections: Collections = None, scope: Scope = None
) -> list[jax.Array]:
    """`get_regularization_losses([collections,] scope=None)`: one for each regularized variable.

    They are named after the variable (`conv1/weights/Regularizer`). A variable counts once,
    however often it is used. Arguments, result and errors are those of `get_losses`.
    """
    what = "get_regularization_losses"
    return list(_select(what, collections, REGULARIZATION_LOSSES, scope).values())


@_with_collections_first
def get_regularization_loss(
    collections: Collections = None,
    scope: Scope = None,
    name: str = "total_regularization_loss",
) -> jax.Array:
    """`get_regularization_loss([collections,] scope=None)`: the sum of the regularization losses.

    Arguments and errors are those of `get_regularization_losses`; `name` names the sum in a
    profile.

    Returns:
      A float32 scalar; 0 if nothing is regularized.
    """
    what = "get_regularization_loss"
    return _sum(_select(what, collections, REGULARIZATION_LOSSES, scope).values(), name)


@_with_collections_first
def get_total_loss(
    collections: Collections = None,
    add_regularization_losses: bool = True,
    name: str = "total_loss",
) -> jax.Array:
    """`get_total_loss([collections,] add_regularization_losses=True)`: the sum of all losses.

    Args:
      collections: Outside a model function, the result of
        `apply(..., mutable=['losses', 'regularization_losses'])`. Inside a model function it is
        left out, and the next argument comes first.
      add_regularization_losses: Whether the regularization losses count.
      name: Names the sum in a profile.

    Returns:
      A float32 scalar.

    Raises:
      ScopeError: Outside a model function without collections.
      ValueError: Nothing was collected.

    >>> collections = {"losses": {"task": jnp.float32(2)}, "regularization_losses": {"w": 0.5}}
    >>> float(get_total_loss(collections))
    2.5
    """
    what = "get_total_loss"
    losses = list(_select(what, collections, LOSSES, None).values())
    penalties: list[jax.Array] = []
    if add_regularization_losses:
        penalties += _select(what, collections, REGULARIZATION_LOSSES, None).values()
    if not losses and not penalties:
        raise ValueError(
            "get_total_loss: no loss was collected; call a loss function such as "
            "softmax_cross_entropy, or add_loss, in this model function first"
        )
    if collections is None and losses and penalties:
        losses = [_sum(losses, name)]
        note_loss_without_regularization(losses[0])
    return _sum([*losses, *penalties], name)


def _select(
    what: str, collections: Collections, collection: str, scope: Scope
) -> dict[str, jax.Array]:
    """The losses in `collection` whose name starts with `scope`."""
    if collections is not None:
        held = named(collections.get(collection, {}))
    elif not is_running():
        raise ScopeError(
            f"{what}: outside a model function the collections come first: {what}(collections), "
            "where _, collections = model.apply(..., mutable=['losses', 'regularization_losses'])"
        )
    elif collection == REGULARIZATION_LOSSES:
        held = regularization_losses()
    else:
        held = collected(collection)
    # TF's losses are called `name:0`, and its patterns are matched against that.
    starts = re.compile((scope.name if isinstance(scope, VariableScope) else scope) or "")
    return {name: loss for name, loss in held.items() if starts.match(f"{name}:0")}


def _sum(losses: Iterable[jax.Array], name: str) -> jax.Array:
    with jax.named_scope(name):
        scalars = [jnp.asarray(loss, jnp.float32) for loss in losses]
        # lax.add and not jnp's, which is jitted: there is one for each regularized variable.
        return functools.reduce(lax.add, scalars) if scalars else jnp.zeros((), jnp.float32)
