"""`Model`: a plain function of arrays as a Flax Linen module, and the scopes it runs in.

This is the one file that touches `flax.core`. While a model function runs, a `_Run` holds what
it has made so far (which variables, under which names, with which regularizers; which losses and
end points), and a `_Frame` holds where it is (the variable scope and its `reuse`). Arrays live in
Flax's scope, so that Linen's `apply`, `tabulate`, `remat`, `scan` and NNX's bridge work as for any
other module; a `_Run` lives for one call and is seen by that call alone.
"""

import collections
import contextlib
import contextvars
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.core
import flax.linen as nn
import jax
from jax.extend import core as jex_core

from jslim import _arg_scope
from jslim._errors import ScopeError, did_you_mean

AUTO_REUSE = "AUTO_REUSE"
Reuse = bool | str | None

PARAMS = "params"
BATCH_STATS = "batch_stats"
LOCAL_VARIABLES = "local_variables"
LOSSES = "losses"
REGULARIZATION_LOSSES = "regularization_losses"

_LIBRARY = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NETS = os.path.join(_LIBRARY, "nets") + os.sep


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
    placement: jax.sharding.Sharding | jax.memory.Space | None = None


@dataclass(eq=False)
class _Run:
    """What one call of a model function has made so far."""

    root: flax.core.Scope
    trace_state: Any
    variables: dict[str, VariableInfo] = field(default_factory=dict)
    regularizers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    collected: dict[str, dict[str, Any]] = field(
        default_factory=lambda: collections.defaultdict(dict)
    )
    scopes: dict[str, flax.core.Scope] = field(default_factory=dict)
    scope_counts: collections.Counter[str] = field(default_factory=collections.Counter)
    op_counts: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def is_initializing(self) -> bool:
        return bool(self.root.get_flag("initializing", False))

    def scope(self, path: str) -> flax.core.Scope:
        """The Flax scope at `path`, pushed once and then kept."""
        if not path:
            return self.root
        if path not in self.scopes:
            parent, _, name = path.rpartition("/")
            self.scopes[path] = self.scope(parent).push(name, reuse=True)
        return self.scopes[path]

    def locate(self, name: str) -> tuple[flax.core.Scope, str]:
        path, _, leaf = name.rpartition("/")
        return self.scope(path), leaf

    def read(self, name: str) -> jax.Array:
        """The value of a variable of this run, as a layer is to see it."""
        info = self.variables[name]
        scope, leaf = self.locate(name)
        value = scope.get_variable(info.collection, leaf)
        if isinstance(value, nn.meta.AxisMetadata):
            value = value.unbox()
        if info.placement is jax.memory.Space.Host:
            value = jax.device_put(value, jax.memory.Space.Device)
        if info.collection == PARAMS and not info.trainable:
            value = jax.lax.stop_gradient(value)
        return value

    def add_tag(self, name: str, tag: str) -> None:
        info = self.variables[name]
        self.variables[name] = dataclasses.replace(info, tags=info.tags | {tag})

    def check_trace(self, what: str) -> None:
        """Refuses to let a value out of a JAX transformation that it cannot leave."""
        if self.trace_state != _trace_state():
            raise ScopeError(
                f"{what} happens inside a JAX transformation (grad, remat, scan, vmap, jit) that "
                "was started within the model function, and its value cannot leave that "
                "transformation; transform the whole Model (flax.linen.remat, scan, vmap), or "
                "move this out of the transformed function"
            )


@dataclass(frozen=True)
class _Frame:
    """Where a model function is: its run, the variable scope's full name, and `reuse`."""

    run: _Run
    name: str
    reuse: Reuse


_FRAME: contextvars.ContextVar[_Frame | None] = contextvars.ContextVar("frame", default=None)
_RECORDS: contextvars.ContextVar[list["_Run"] | None] = contextvars.ContextVar(
    "records", default=None
)


def _trace_state() -> Any:
    return jex_core.get_opaque_trace_state(convention="flax")


def frame(what: str) -> _Frame:
    """The current frame; `what` names the caller where there is none."""
    current = _FRAME.get()
    if current is None:
        raise ScopeError(
            f"{what} only works inside a model function; wrap the function that calls it in "
            "slim.Model(fn) and call .init and .apply"
        )
    return current


def is_running() -> bool:
    """Whether a model function is running in this thread and context."""
    return _FRAME.get() is not None


def is_initializing() -> bool:
    """Whether the model function that runs is making its variables (`Model.init`)."""
    return frame("is_initializing").run.is_initializing


class Model(nn.Module):
    """A function of arrays as a Linen module: `Model(fn).init` and `.apply` are pure.

    `fn` makes or reads variables under their TF-Slim names by calling layers, `variable_scope`
    and `model_variable`. `init(rng, *args)` returns `{'params': ..., 'batch_stats': ...}` as
    plain nested dicts; `apply(variables, *args)` returns what `fn` returns. With
    `mutable=['batch_stats']` `apply` also returns the new moving statistics; `mutable` may name
    'losses', 'regularization_losses', 'summaries' or any collection that was named in
    `outputs_collections` or `variables_collections`, and then they come back too, as
    `{name: value}`.

    TF-Slim has no such class: there, a function built a graph that owned the variables.

    Attributes:
      fn: The model function. Its arguments are those of `init` and `apply`.
    """

    fn: Callable[..., Any]

    @nn.compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope = self.scope
        assert scope is not None
        run = _Run(scope, _trace_state())
        token = _FRAME.set(_Frame(run, "", None))
        try:
            with _arg_scope.inside_model():
                output = self.fn(*args, **kwargs)
            _export(run)
        finally:
            _FRAME.reset(token)
        if (records := _RECORDS.get()) is not None:
            records.append(run)
        return output


def _export(run: _Run) -> None:
    """Hands what was collected to the Flax collections that the caller asked for."""
    if run.is_initializing:
        return
    if run.root.is_mutable_collection(REGULARIZATION_LOSSES):
        run.collected[REGULARIZATION_LOSSES] = regularization_losses()
    for collection, values in run.collected.items():
        if run.root.is_mutable_collection(collection):
            for name, value in values.items():
                run.root.put_variable(collection, name, value)
    tags = {tag for info in run.variables.values() for tag in info.tags}
    for tag in sorted(tags - {PARAMS, BATCH_STATS, LOCAL_VARIABLES}):
        if run.root.is_mutable_collection(tag) and tag not in run.collected:
            for name, info in run.variables.items():
                if tag in info.tags:
                    run.root.put_variable(tag, name, run.read(name))


@contextlib.contextmanager
def recorded() -> Iterator[list[_Run]]:
    """Collects the runs of the models called in the body: their static facts, not values."""
    records: list[_Run] = []
    token = _RECORDS.set(records)
    try:
        yield records
    finally:
        _RECORDS.reset(token)


# Variable scopes -----------------------------------------------------------------------------


@dataclass(frozen=True)
class VariableScope:
    """What `variable_scope` gives: the full name of the scope, and whether it reuses."""

    name: str
    reuse: Reuse

    @property
    def original_name_scope(self) -> str:
        return self.name + "/" if self.name else ""

    def reuse_variables(self) -> None:
        """Makes the rest of this scope's body read existing variables only."""
        current = frame("reuse_variables")
        if current.name != self.name:
            raise ScopeError(
                f"reuse_variables: scope {self.name!r} is not the current one, which is "
                f"{current.name!r}; call it inside the scope's own with block"
            )
        _FRAME.set(_Frame(current.run, current.name, True))
        object.__setattr__(self, "reuse", True)


@contextlib.contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    values: Any = None,
    *,
    reuse: Reuse = None,
) -> Iterator[VariableScope]:
    """Prefixes the names of the variables made in the body with `name/`.

    The names are TF's: a scope that is named by `default_name` alone is made unique within the
    scope around it (`Conv`, `Conv_1`, ...), a name given outright is taken as it is, and entering
    it again continues it.

    Args:
      name_or_scope: The scope's name, relative to the current one ('conv1', 'a/b'); or a
        `VariableScope`, which is re-entered wherever it is; or None to use `default_name`.
      default_name: What to call the scope if no name is given.
      values: Ignored; taken so that TF-Slim's calls read the same.
      reuse: True reads variables that exist already; `AUTO_REUSE` reads them where they exist
        and makes them where they do not; None or False inherits the setting of the scope around.

    Yields:
      The `VariableScope`.

    Raises:
      ScopeError: Outside a model function; neither a name nor a default name; `reuse` without a
        name; a name that is not a scope name.
    """
    current = frame("variable_scope")
    run = current.run
    saved_counts = None
    if isinstance(name_or_scope, VariableScope):
        full = name_or_scope.name
        reuse = reuse or name_or_scope.reuse
        # Re-entering a scope from elsewhere leaves the numbering of default names as it was.
        saved_counts = run.scope_counts.copy()
    else:
        if name_or_scope is None:
            if not default_name:
                raise ScopeError("variable_scope: give a name, or a default_name")
            if reuse:
                raise ScopeError(
                    f"variable_scope: reuse={reuse!r} needs a name to reuse; give the "
                    f"{default_name!r} layer scope='...'"
                )
            name_or_scope = _unique_scope_name(run, current.name, default_name)
        _check_name(name_or_scope, "variable_scope")
        full = f"{current.name}/{name_or_scope}" if current.name else name_or_scope
    run.scope_counts[full] += 1
    scope = VariableScope(full, reuse or current.reuse)
    token = _FRAME.set(_Frame(run, full, scope.reuse))
    try:
        with jax.named_scope(full.removeprefix(current.name + "/") or "root"):
            yield scope
    finally:
        _FRAME.reset(token)
        for counts in (run.scope_counts, run.op_counts):
            for counted in counts:
                if counted.startswith(full + "/"):
                    counts[counted] = 0
        if saved_counts is not None:
            run.scope_counts = saved_counts


def get_variable_scope() -> VariableScope:
    """The variable scope that is current in the running model function."""
    current = frame("get_variable_scope")
    return VariableScope(current.name, current.reuse)


def _unique_scope_name(run: _Run, prefix: str, name: str) -> str:
    full = f"{prefix}/{name}" if prefix else name
    if not run.scope_counts[full]:
        return name
    index = 1
    while run.scope_counts[f"{full}_{index}"]:
        index += 1
    return f"{name}_{index}"


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not all(name.split("/")):
        raise ScopeError(
            f"{what}: a name must be a non-empty string whose parts are separated by single "
            f"slashes ('conv1', 'block1/unit_2'), got {name!r}"
        )


def unique_op_name(name: str) -> str:
    """`name` under the current scope, numbered like TF's ops if it was given before."""
    current = frame("unique_op_name")
    full = f"{current.name}/{name}" if current.name else name
    count = current.run.op_counts[full]
    current.run.op_counts[full] += 1
    return f"{full}_{count}" if count else full


# Variables -----------------------------------------------------------------------------------


def get_or_create(
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    initializer: Callable[..., jax.Array],
    *,
    regularizer: Callable[..., Any] | None = None,
    trainable: bool = True,
    collection: str = PARAMS,
    tags: frozenset[str] = frozenset(),
    placement: jax.sharding.Sharding | jax.memory.Space | None = None,
) -> jax.Array:
    """Makes or reads the variable `name` of the current scope; `variables.variable` explains."""
    current = frame(f"variable {name!r}")
    run = current.run
    _check_name(name, "variable")
    full = f"{current.name}/{name}" if current.name else name
    if (existing := run.variables.get(full)) is not None:
        return _reused(current, existing, shape, dtype)
    if current.reuse is True:
        raise ScopeError(
            f"variable {full!r} does not exist yet, but its scope was entered with reuse=True"
            f"{did_you_mean(full, run.variables)}; create it first, or use slim.AUTO_REUSE"
        )
    scope, leaf = run.locate(full)
    held = scope.get_variable(collection, leaf)
    if isinstance(held, Mapping):
        raise ScopeError(
            f"variable {full!r} has the name of a variable scope, and a tree cannot hold both; "
            "give one of them another name"
        )
    if held is None:
        if not run.is_initializing and collection != LOCAL_VARIABLES:
            raise _missing_variable(run, full, collection)
        run.check_trace(f"variable {full!r} is created, which")
        held = initializer(scope.make_rng(PARAMS), shape, dtype)
        if jax.numpy.shape(held) != shape:
            raise ScopeError(
                f"variable {full!r}: its initializer {initializer!r} gave shape "
                f"{jax.numpy.shape(held)}, but shape {shape} was asked for"
            )
        if placement is not None:
            held = jax.device_put(held, placement)
        if run.root.is_mutable_collection(collection):
            scope.put_variable(collection, leaf, held)
        elif collection != LOCAL_VARIABLES:
            raise _missing_variable(run, full, collection)
    else:
        _check_shape(full, shape, jax.numpy.shape(held))
    run.variables[full] = VariableInfo(
        full, shape, jax.numpy.result_type(held), collection, trainable, tags, _site(), placement
    )
    if regularizer is not None:
        run.regularizers[full] = regularizer
    return run.read(full) if scope.has_variable(collection, leaf) else held


def _reused(current: _Frame, info: VariableInfo, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    if not current.reuse:
        raise ScopeError(
            f"variable {info.name!r} already exists: created at {info.site}, and again at "
            f"{_site()}; to share it enter its scope with reuse=True (or slim.AUTO_REUSE), "
            "otherwise give the two layers different scopes"
        )
    _check_shape(info.name, shape, info.shape)
    return current.run.read(info.name)


def _check_shape(name: str, wanted: tuple[int, ...], found: tuple[int, ...]) -> None:
    if tuple(wanted) != tuple(found):
        raise ScopeError(
            f"variable {name!r} has shape {tuple(found)}, but this call needs shape "
            f"{tuple(wanted)}; it was made for other inputs or arguments than these"
        )


def _missing_variable(run: _Run, name: str, collection: str) -> ScopeError:
    held = run.root.variables().get(collection)
    if held is None:
        given = sorted(run.root.variables()) or "nothing"
        return ScopeError(
            f"variable {name!r} is in collection {collection!r}, which was not given to apply "
            f"(it was given {given}); pass all that init returned"
        )
    names = flax.traverse_util.flatten_dict(dict(held), sep="/")
    return ScopeError(
        f"variable {name!r} is not among the {len(names)} variables of {collection!r} that apply "
        f"was given{did_you_mean(name, names)}; make the variables with init of this same model"
    )


def _site() -> str:
    """The `file:line` of the innermost frame outside the library; a net counts as outside."""
    at = sys._getframe(1)
    while at.f_back is not None:
        path = at.f_code.co_filename
        outside = not path.startswith(_LIBRARY) or path.startswith(_NETS)
        if outside and f"{os.sep}contextlib.py" not in path:
            break
        at = at.f_back
    return f"{at.f_code.co_filename}:{at.f_lineno}"


def assign(name: str, value: jax.Array) -> None:
    """Gives the variable `name` of the current scope a new value, to be read from then on.

    While `Model.init` makes the variables it changes nothing, so that they come out as their
    initializers made them. The new value leaves the model through its collection: with
    `apply(..., mutable=['batch_stats'])` it comes back, and `learning` always carries it on.

    Args:
      name: The variable's name in the current scope; it exists already.
      value: An array of the variable's shape; it is cast to the variable's dtype.

    Raises:
      ScopeError: There is no such variable; its collection is not mutable; other shape.
    """
    current = frame("assign")
    full = f"{current.name}/{name}" if current.name else name
    run = current.run
    if full not in run.variables:
        raise ScopeError(
            f"assign: there is no variable {full!r}{did_you_mean(full, run.variables)}; create "
            "it first with slim.variable"
        )
    info = run.variables[full]
    _check_shape(full, jax.numpy.shape(value), info.shape)
    if run.is_initializing:
        return
    if not run.root.is_mutable_collection(info.collection):
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
    run.check_trace(f"variable {full!r} is updated, which")
    scope, leaf = run.locate(full)
    scope.put_variable(info.collection, leaf, jax.numpy.asarray(value, info.dtype))


def make_rng(stream: str, what: str) -> jax.Array:
    """A fresh key of `stream` for the current scope; `what` names the caller in errors."""
    current = frame(what)
    if not current.run.root.has_rng(stream) and not current.run.root.has_rng(PARAMS):
        raise ScopeError(
            f"{what} at {current.name!r} needs randomness; call "
            f"apply(..., rngs={{{stream!r}: key}}), or pass is_training=False"
        )
    return current.run.scope(current.name).make_rng(stream)


# What a run collects -------------------------------------------------------------------------


def collect(collection: str, name: str, value: Any) -> None:
    """Adds `value` under the unique `name` to a collection of the running model."""
    run = frame(f"collection {collection!r}").run
    run.check_trace(f"{name!r} is added to collection {collection!r}, which")
    run.collected[collection][name] = value


def collected(collection: str) -> dict[str, Any]:
    """`{name: value}` of what the running model has added to a collection so far."""
    return dict(frame(f"collection {collection!r}").run.collected.get(collection, {}))


def regularization_losses() -> dict[str, jax.Array]:
    """`{variable name/Regularizer: loss}` for each regularized variable, once each.

    They are computed here from the variables and not where those were made, so that one made
    inside a lifted transformation counts like any other.
    """
    run = frame("regularization_losses").run
    losses = {}
    for name, regularizer in run.regularizers.items():
        loss = regularizer(run.read(name))
        if loss is not None:
            losses[f"{name}/Regularizer"] = loss
    losses.update(run.collected.get(REGULARIZATION_LOSSES, {}))
    return losses


def call_linen(module: nn.Module, *args: Any, scope: str | None = None, **kwargs: Any) -> Any:
    """Calls a Linen module inside a model function, under the current variable scope.

    A Linen layer that is called directly also works, but then Flax names it and hangs it on the
    Model's root, outside any `variable_scope`. New in jslim.

    Args:
      module: An unbound Linen module, such as `nn.Dense(7)`.
      *args, **kwargs: What it is called with.
      scope: Its variable scope; by default the module's `name` or class name, made unique.

    Returns:
      What the module returns; its variables count as model variables (`scope/kernel`, ...).
    """
    with variable_scope(scope or module.name, type(module).__name__) as opened:
        run = frame("call_linen").run
        flax_scope = run.scope(opened.name)
        output = module.clone(parent=flax_scope.rewound(), name=None)(*args, **kwargs)
        for collection in (PARAMS, BATCH_STATS):
            held = flax_scope.root.variables().get(collection, {})
            for part in flax_scope.path:
                held = held.get(part, {})
            for leaf, value in flax.traverse_util.flatten_dict(dict(held), sep="/").items():
                name = f"{opened.name}/{leaf}"
                tags = frozenset({"variables", "model_variables"})
                run.variables[name] = VariableInfo(
                    name,
                    jax.numpy.shape(value),
                    jax.numpy.result_type(value),
                    collection,
                    collection == PARAMS,
                    tags | ({"trainable_variables"} if collection == PARAMS else set()),
                    _site(),
                )
    return output
