"""What layers ask of the model function that runs: variables, randomness, collections.

`model.py` gives all of these on; the run itself, which talks to Flax, is there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from jslim.core.devices import Placement
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.initial_values import initial_value
from jslim.core.scopes import check_name, frame, join, user_site

# Flax's collections, which hold arrays.
PARAMS = "params"
BATCH_STATS = "batch_stats"
LOCAL_VARIABLES = "local_variables"
LOSSES = "losses"
REGULARIZATION_LOSSES = "regularization_losses"

# TF's collections, which a variable is in or not.
GLOBAL = "variables"
TRAINABLE = "trainable_variables"
MODEL = "model_variables"


@dataclass(frozen=True)
class VariableInfo:
    """What is known of a variable without its value."""

    name: str  # the full name, TF's: 'vgg_16/conv1/conv1_1/weights'
    shape: tuple[int, ...]
    dtype: Any
    collection: str  # the Flax collection that holds it
    trainable: bool
    tags: frozenset[str]  # TF's graph collections that it is in
    site: str  # file:line of the user's code that made it
    placement: Placement = None


def get_or_create(
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    initializer: Callable[..., Any] | jax.Array,
    *,
    regularizer: Callable[..., Any] | None = None,
    trainable: bool = True,
    collection: str = PARAMS,
    tags: frozenset[str] = frozenset(),
    placement: Placement = None,
    is_new: bool = False,
) -> jax.Array:
    """Makes or reads the variable `name` of the current scope; `variables.variable` explains.

    One that `is_new` is always made: its name is that of an op, and numbered.
    """
    run, around, name_scope = frame(f"variable {name!r}")
    check_name(name, "variable")
    full = around.full_name(name)
    if is_new:
        while (full := run.numbering.unique_op(join(name_scope, name))) in run.variables:
            pass
    run.check_trace(f"variable {full!r} is used")
    if (existing := run.variables.get(full)) is not None:
        if not around.reuse:
            raise ScopeError(
                f"variable {full!r} already exists: created at {existing.site}, and again at "
                f"{user_site()}; to share it enter its scope with reuse=True (or "
                "slim.AUTO_REUSE), otherwise give the two layers different scopes"
            )
        _check_shape(full, shape, existing.shape)
        return run.read(full)
    if around.reuse is True and not is_new:
        raise ScopeError(
            f"variable {full!r} does not exist yet, but its scope was entered with reuse=True"
            f"{did_you_mean(full, run.variables)}; create it first, or use slim.AUTO_REUSE"
        )
    _check_path(run, full, collection)
    held = run.held(collection, full)
    if held is None:
        held = _initialize(run, full, shape, dtype, initializer, collection)
        if placement is not None:
            held = jax.device_put(held, placement)
        if run.root.is_mutable_collection(collection):
            scope, leaf = run.locate(full)
            scope.put_variable(collection, leaf, held)
        elif collection == LOCAL_VARIABLES:
            run.own_values[full] = held
        else:
            raise _missing_variable(run, full, collection)
    value = run.unboxed(held)
    _check_shape(full, shape, jax.numpy.shape(value))
    run.variables[full] = VariableInfo(
        full,
        shape,
        jax.numpy.result_type(value),
        collection,
        trainable,
        tags,
        user_site(),
        placement,
    )
    if regularizer is not None:
        run.regularizers[full] = regularizer
    return run.read(full)


def _initialize(
    run: Any, name: str, shape: tuple[int, ...], dtype: Any, initializer: Any, collection: str
) -> Any:
    if not run.is_initializing and collection != LOCAL_VARIABLES:
        raise _missing_variable(run, name, collection)
    if not callable(initializer):
        held = initializer if initializer.ndim else jax.numpy.broadcast_to(initializer, shape)
        source = "initial value"
    else:
        scope, _ = run.locate(name)
        key = scope.make_rng(PARAMS) if scope.has_rng(PARAMS) else None
        held = initial_value(initializer, key, shape, dtype)
        source = f"initializer {initializer!r}"
    found = jax.numpy.shape(run.unboxed(held))
    if found != shape:
        raise ScopeError(
            f"variable {name!r}: its {source} has shape {found}, but shape {shape} was asked for"
        )
    return held


def _check_path(run: Any, name: str, collection: str) -> None:
    """A tree cannot hold an array and a subtree under one name, which TF's flat names can."""
    path = name
    while path := path.rpartition("/")[0]:
        if (other := run.variables.get(path)) is not None and other.collection == collection:
            raise ScopeError(
                f"variable {name!r} lies in a scope that has the name of variable {path!r} "
                f"(created at {other.site}), and a tree cannot hold both; rename one of them"
            )
    if isinstance(run.held(collection, name), Mapping):
        raise ScopeError(
            f"variable {name!r} has the name of a variable scope, and a tree cannot hold both; "
            "rename one of them"
        )


def _check_shape(name: str, wanted: tuple[int, ...], found: tuple[int, ...]) -> None:
    if tuple(wanted) != tuple(found):
        raise ScopeError(
            f"variable {name!r} has shape {tuple(found)}, but this call needs shape "
            f"{tuple(wanted)}; it was made for other inputs or arguments than these"
        )


def _missing_variable(run: Any, name: str, collection: str) -> ScopeError:
    held = run.names_by_collection()
    if collection not in held:
        given = ", ".join(map(repr, sorted(held))) or "nothing"
        return ScopeError(
            f"variable {name!r} is in collection {collection!r}, which was not given to apply "
            f"(it was given {given}); pass all that init returned"
        )
    names = held[collection]
    return ScopeError(
        f"variable {name!r} is not among the {len(names)} variables of {collection!r} that apply "
        f"was given{did_you_mean(name, names)}; make the variables with init of this same model"
    )


def assign(name: str, value: jax.Array) -> None:
    """Gives the variable `name` of the current scope a new value, to be read from then on.

    The new value leaves the model through its collection: with
    `apply(..., mutable=['batch_stats'])` it comes back, and `learning` always carries it on.
    `init` returns the initial values, whatever is assigned while it runs.

    Args:
      name: The variable's name in the current scope; it exists already.
      value: An array of the variable's shape; it is cast to the variable's dtype.

    Raises:
      ScopeError: There is no such variable; its collection is not mutable; other shape.
    """
    run, around, _ = frame("assign")
    full = around.full_name(name)
    if full not in run.variables:
        raise ScopeError(
            f"assign: there is no variable {full!r}{did_you_mean(full, run.variables)}; create "
            "it first with slim.variable"
        )
    run.check_trace(f"variable {full!r} is updated")
    info = run.variables[full]
    if jax.numpy.shape(value) != info.shape:
        raise ScopeError(
            f"assign: variable {full!r} has shape {info.shape}, but the new value has shape "
            f"{jax.numpy.shape(value)}"
        )
    value = jax.numpy.asarray(value, info.dtype)
    is_mutable = run.root.is_mutable_collection(info.collection)
    if run.is_initializing or (info.collection == LOCAL_VARIABLES and not is_mutable):
        run.own_values[full] = value
        return
    if not is_mutable:
        remedy = (
            f"call apply(..., mutable=[{info.collection!r}]) and keep what it returns, or pass "
            "is_training=False if nothing should be updated"
        )
        if info.collection == PARAMS:
            remedy = "create it with trainable=False, collections=['batch_stats']"
        raise ScopeError(
            f"variable {full!r} is updated, but its collection {info.collection!r} is not "
            f"mutable; {remedy}"
        )
    scope, leaf = run.locate(full)
    scope.put_variable(info.collection, leaf, value)


def make_rng(stream: str, what: str = "make_rng") -> jax.Array:
    """A fresh key of the random stream `stream` ('dropout') for the current scope.

    Args:
      stream: Its name in `apply(..., rngs={stream: key})`. Where it was not given, 'params' is
        used if that was.
      what: Who asks, for the errors.

    Returns:
      A key; each call gives another one.

    Raises:
      ScopeError: Outside a model function, or neither stream was given.
    """
    run, scope, _ = frame(what)
    where = f"{what} at {scope.name!r}" if scope.name else what
    run.check_trace(f"{where} draws random numbers")
    if not run.root.has_rng(stream) and not run.root.has_rng(PARAMS):
        raise ScopeError(
            f"{where} needs randomness; call "
            f"apply(..., rngs={{{stream!r}: key}}), or pass is_training=False"
        )
    return run.scope(scope.name).make_rng(stream)


# What a run collects -------------------------------------------------------------------------


def collect(collection: str, name: str, value: Any, *, replaces: bool = False) -> None:
    """Adds `value` under `name` to a collection of the running model.

    Args:
      collection: The collection's name.
      name: The full name.
      value: An array.
      replaces: Whether a value that is held under that name gives way, in its place in the order;
        otherwise the new name is numbered (`name_1`).
    """
    run = frame(f"collection {collection!r}").run
    run.check_trace(f"{name!r} is added to collection {collection!r}")
    if replaces:
        run.collected[collection][name] = value
    else:
        run.add(collection, name, value)


def collected(collection: str) -> dict[str, Any]:
    """`{name: value}` of what the running model has added to a collection so far."""
    run = frame(f"collection {collection!r}").run
    run.settle()
    return dict(run.collected.get(collection, {}))


def regularization_losses() -> dict[str, jax.Array]:
    """`{variable name/Regularizer: loss}` for each regularized variable, once each.

    They are computed here from the variables and not where those were made, so that a variable
    of a Model under a lifted transformation counts like any other.
    """
    run = frame("regularization_losses").run
    run.settle()
    losses = {}
    for name, regularizer in run.regularizers.items():
        loss = regularizer(run.read(name))
        if loss is not None:
            losses[f"{name}/Regularizer"] = loss
    losses.update(run.collected.get(REGULARIZATION_LOSSES, {}))
    return losses
