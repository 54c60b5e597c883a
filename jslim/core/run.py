"""One call of a model function: the variables and collections that it has made so far.

A `Run` holds the facts of variables by name, their regularizers, and collections: losses, end
points, summaries. The arrays of variables are in its `Store`. A run lives for one call, and that
call alone sees it.
"""

import collections
import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as jex_core
from jax.typing import DTypeLike

from jslim.core.array_names import ArrayNames
from jslim.core.context import context
from jslim.core.devices import Placement, Space
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.initial_values import Initializer, NamedInitializer, initial_value
from jslim.core.names import (
    BATCH_STATS,
    GLOBAL,
    LOCAL_VARIABLES,
    LOSSES,
    MODEL,
    PARAMS,
    REGULARIZATION_LOSSES,
    TRAINABLE,
    Numbering,
    Regularizer,
    Reuse,
    VariableScope,
    numbered,
    user_site,
)
from jslim.core.store import Held, Store, unboxed

# Whether initializers compute at once while the model function is traced.
ONLY_INITIALIZERS_COMPUTE: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "only_initializers_compute", default=False
)


@dataclass(frozen=True)
class VariableInfo:
    """The facts of a variable, without its value."""

    name: str  # the full name, as in TF: 'vgg_16/conv1/conv1_1/weights'
    shape: tuple[int, ...]
    dtype: DTypeLike
    collection: str  # the Flax collection that holds it
    trainable: bool
    tags: frozenset[str]  # TF's graph collections that it is in
    site: str  # file:line in the user's code
    placement: Placement = None
    is_linens: bool = False  # a Linen module reads it, without this room


def _trace_state() -> object:
    return jex_core.get_opaque_trace_state(convention="flax")


@dataclass(eq=False)
class Run:
    """The variables and collections that one call of a model function has made so far."""

    store: Store
    trace_state: object = field(default_factory=_trace_state)
    numbering: Numbering = field(default_factory=Numbering)
    variables: dict[str, VariableInfo] = field(default_factory=dict)
    regularizers: dict[str, Regularizer] = field(default_factory=dict)
    collections: dict[str, dict[str, Any]] = field(
        default_factory=lambda: collections.defaultdict(dict)
    )
    views: dict[str, tuple[Held, jax.Array]] = field(default_factory=dict)
    array_names: ArrayNames = field(default_factory=ArrayNames)
    linen_sites: dict[str, str] = field(default_factory=dict)
    blocks: dict[object, VariableScope] = field(default_factory=dict)  # the scope of each block
    parts: list["Run"] = field(default_factory=list)  # of Models called within; see `settle`

    @property
    def is_in_own_trace(self) -> bool:
        """Whether no JAX transformation is under way that began within the model function."""
        return self.trace_state == _trace_state()

    def check_trace(self, what: str) -> None:
        """Refuses access to this run from a JAX transformation that began within it.

        JAX keeps the traces of jit, scan, checkpoint and cond by function. A later use of the trace
        would silently take the variables of another scope, or of another call.
        """
        if not self.is_in_own_trace:
            raise ScopeError(
                f"{what}, which happens inside a JAX transformation (grad, remat, scan, vmap, jit) "
                "that was started within the model function; JAX may keep the trace and use it "
                "with other variables; transform a Model instead, as in slim.call_linen("
                "flax.linen.remat(slim.Model)(fn), inputs, scope='name')"
            )

    def make_or_read(
        self,
        wanted: VariableInfo,
        initializer: Initializer | jax.Array,
        regularizer: Regularizer | None,
        reuse: Reuse,
    ) -> jax.Array:
        """Makes the variable that is wanted, or reads it; `variables.variable` explains."""
        name, collection = wanted.name, wanted.collection
        self.check_trace(f"variable {name!r} is used")
        if (existing := self.variables.get(name)) is not None:
            if not reuse:
                raise ScopeError(
                    f"variable {name!r} already exists: created at {existing.site}, and again at "
                    f"{wanted.site}; to share it enter its scope with reuse=True (or "
                    "slim.AUTO_REUSE), otherwise give the two layers different scopes"
                )
            _check_shape(wanted, existing.shape)
            return self.read(name)
        if reuse is True:
            raise ScopeError(
                f"variable {name!r} does not exist yet, but its scope was entered with reuse=True"
                f"{did_you_mean(name, self.variables)}; create it first, or use slim.AUTO_REUSE"
            )
        self._check_path(wanted)
        held = self.store.get(collection, name)
        if held is None:
            is_mutable = self.store.is_mutable(collection)
            is_local = collection == LOCAL_VARIABLES
            if not is_local and not (is_mutable and self.store.is_initializing):
                raise self._missing(wanted)
            is_alone = ONLY_INITIALIZERS_COMPUTE.get() and self.is_in_own_trace
            with jax.ensure_compile_time_eval() if is_alone else contextlib.nullcontext():
                held = self._initial_value(wanted, initializer)
            if is_mutable:
                self.store.put(collection, name, held)
            else:
                self.store.own[name] = held
        value = unboxed(held)
        _check_shape(wanted, jnp.shape(value))
        self.variables[name] = dataclasses.replace(wanted, dtype=jnp.result_type(value))
        if regularizer is not None:
            self.regularizers[name] = regularizer
        return self.read(name)

    def _initial_value(self, wanted: VariableInfo, initializer: Initializer | jax.Array) -> Held:
        if callable(initializer):
            key = self._initial_key(wanted.name.rpartition("/")[0], initializer)
            held = initial_value(initializer, key, wanted.shape, wanted.dtype)
            if callable(held):
                name = getattr(initializer, "__name__", "it")
                raise ScopeError(
                    f"variable {wanted.name!r}: its initializer {name} gave a function and not an "
                    f"array; give the function that it makes, {name}()"
                )
            source = f"initializer {initializer!r}"
        else:
            held = initializer if initializer.ndim else jnp.broadcast_to(initializer, wanted.shape)
            source = "initial value"
        found = jnp.shape(unboxed(held))
        if found != wanted.shape:
            raise ScopeError(
                f"variable {wanted.name!r}: its {source} has shape {found}, but shape "
                f"{wanted.shape} was asked for"
            )
        return held if wanted.placement is None else jax.device_put(held, wanted.placement)

    def _initial_key(self, path: str, initializer: Initializer) -> jax.Array | None:
        """A new key, but for zeros and the like none, which would be half the work."""
        if not self.store.has_rng(PARAMS):
            return None
        if not isinstance(initializer, NamedInitializer) or initializer.takes_key:
            return self.store.make_rng(path, PARAMS)
        self.store.skip_rng(path, PARAMS)
        return None

    def _check_path(self, wanted: VariableInfo) -> None:
        """A tree cannot hold an array and a subtree under one name; TF's flat names can."""
        name = path = wanted.name
        while path := path.rpartition("/")[0]:
            other = self.variables.get(path)
            if other is not None and other.collection == wanted.collection:
                raise ScopeError(
                    f"variable {name!r} lies in a scope that has the name of variable {path!r} "
                    f"(created at {other.site}), and a tree cannot hold both; rename one of them"
                )
        if isinstance(self.store.get(wanted.collection, name), Mapping):
            raise ScopeError(
                f"variable {name!r} has the name of a variable scope, and a tree cannot hold both; "
                "rename one of them"
            )

    def _missing(self, wanted: VariableInfo) -> ScopeError:
        name, collection = wanted.name, wanted.collection
        held = self.store.collections()
        if collection not in held:
            given = ", ".join(map(repr, sorted(held))) or "nothing"
            return ScopeError(
                f"variable {name!r} is in collection {collection!r}, which was not given to apply "
                f"(it was given {given}); pass all that init returned"
            )
        names = held[collection]
        return ScopeError(
            f"variable {name!r} is not among the {len(names)} variables of {collection!r} that "
            f"apply was given{did_you_mean(name, names)}; make the variables with init of this "
            "same model"
        )

    def read(self, name: str) -> jax.Array:
        """The value of a variable of this run, as layers see it.

        Until the value changes this is the same object each time, so that an array identifies its
        variable.
        """
        self.check_trace(f"variable {name!r} is used")
        info = self.variables[name]
        held = self.store.get(info.collection, name)
        view = self.views.get(name)
        if view is None or view[0] is not held:
            value, gather = self.stored(name), context().gather
            view = self.views[name] = held, value if gather is None else gather(name, value)
        return view[1]

    def stored(self, name: str) -> jax.Array:
        """`read` without gathering: a variable that lies in parts on the devices stays so."""
        info = self.variables[name]
        value = unboxed(self.store.get(info.collection, name))
        if info.placement is Space.Host:
            value = jax.device_put(value, Space.Device)
        if info.collection == PARAMS and not info.trainable:
            value = jax.lax.stop_gradient(value)
        return value

    def assign(self, name: str, value: jax.Array) -> None:
        """Gives a variable a new value; `access.assign` explains."""
        if name not in self.variables:
            raise ScopeError(
                f"assign: there is no variable {name!r}{did_you_mean(name, self.variables)}; "
                "create it first with slim.variable"
            )
        self.check_trace(f"variable {name!r} is updated")
        info = self.variables[name]
        if jnp.shape(value) != info.shape:
            raise ScopeError(
                f"assign: variable {name!r} has shape {info.shape}, but the new value has shape "
                f"{jnp.shape(value)}"
            )
        value = jnp.asarray(value, info.dtype)
        is_mutable = self.store.is_mutable(info.collection)
        if self.store.is_initializing or (info.collection == LOCAL_VARIABLES and not is_mutable):
            self.store.own[name] = value
            return
        if not is_mutable:
            remedy = (
                f"call apply(..., mutable=[{info.collection!r}]) and keep what it returns, or pass "
                "is_training=False if nothing should be updated"
            )
            if info.collection == PARAMS:
                remedy = "create it with trainable=False, collections=['batch_stats']"
            raise ScopeError(
                f"variable {name!r} is updated, but its collection {info.collection!r} is not "
                f"mutable; {remedy}"
            )
        self.store.put(info.collection, name, value)

    def known_variables(self) -> dict[str, VariableInfo]:
        """The variables made so far, with those of the Models called within."""
        self.settle()
        return self.variables

    def add_tag(self, name: str, tag: str) -> None:
        info = self.variables[name]
        self.variables[name] = dataclasses.replace(info, tags=info.tags | {tag})

    def collect(self, collection: str, name: str, value: object) -> None:
        """Adds a value to a collection; its name is numbered if it was given before."""
        held = self.collections[collection]
        held[next(n for n in numbered(name) if n not in held)] = value

    def collected(self, collection: str) -> dict[str, Any]:
        """`{name: value}` for all that was added to a collection so far."""
        self.settle()
        return dict(self.collections.get(collection, {}))

    def regularization_losses(self) -> dict[str, jax.Array]:
        """`{variable name/Regularizer: loss}` for each regularized variable, once each.

        They are computed here and not where the variables are made, so that a variable of a Model
        under a lifted transformation counts like any other.
        """
        self.settle()
        losses = {
            f"{name}/Regularizer": loss
            for name, regularizer in self.regularizers.items()
            if (loss := regularizer(self.stored(name))) is not None
        }
        return losses | self.collections.get(REGULARIZATION_LOSSES, {})

    def settle(self) -> None:
        """Takes over the variables and collections of Models that were called within this one.

        A Model that Linen calls has its variables in this run's tree, below its own path. A Model
        that is called by `apply` has a tree of its own, and is left alone.
        """
        parts, self.parts = self.parts, []
        for part in parts:
            self._take_over(part)

    def _take_over(self, part: "Run") -> None:
        prefix = "/".join(part.store.path[len(self.store.path) :]) + "/"
        found = {
            name: held
            for name, info in part.variables.items()
            if (held := self.store.get(info.collection, prefix + name)) is not None
        }
        if not found and not part.store.is_in_tree_of(self.store):
            return
        for name, held in found.items():
            full = prefix + name
            shape = jnp.shape(unboxed(held))  # a lifted scan or vmap has given it another one
            self.variables[full] = dataclasses.replace(part.variables[name], name=full, shape=shape)
            if name in part.regularizers:
                self.regularizers[full] = part.regularizers[name]
        for collection, values in part.collections.items():
            if part.trace_state == self.trace_state:
                for name, value in values.items():
                    self.collect(collection, prefix + name, value)
            elif collection in (LOSSES, REGULARIZATION_LOSSES) and values:
                raise ScopeError(
                    f"loss {next(iter(values))!r} was added inside a Model at {prefix[:-1]!r} "
                    "that runs under a lifted transformation (remat, scan, vmap), and cannot "
                    "leave it this way; return it from that Model and add it outside"
                )

    def inside(self) -> "Run":
        """A copy of this run for a trace: it reads and counts on; its own results stay apart."""
        copies = {name: dict(held) for name, held in self.collections.items()}
        return dataclasses.replace(
            self,
            store=self.store.apart(),
            trace_state=_trace_state(),
            collections=collections.defaultdict(dict, copies),
            views={},
            parts=[],
        )

    def add_linen_variables(self, path: str, is_linens: Callable[[str], bool]) -> None:
        """Adds the variables that Linen modules made below `path` to those of the model."""
        site, prefix = user_site(), f"{path}/" if path else ""
        held = self.store.collections()
        for collection, trainable in ((PARAMS, True), (BATCH_STATS, False)):
            tags = frozenset({GLOBAL, MODEL, TRAINABLE} if trainable else {GLOBAL, MODEL})
            for name, boxed in held.get(collection, {}).items():
                first = name.removeprefix(prefix).partition("/")[0]
                if name.startswith(prefix) and name not in self.variables and is_linens(first):
                    value = unboxed(boxed)
                    shape, dtype = jnp.shape(value), jnp.result_type(value)
                    self.variables[name] = VariableInfo(
                        name, shape, dtype, collection, trainable, tags, site, is_linens=True
                    )

    def export(self) -> None:
        """Writes the collections that the caller of `apply` asked for to Flax's."""
        for collection, values in self.collections.items():
            self.store.put_all(collection, values)

    def collect_facts(self) -> None:
        """Collects regularization losses and tagged variables, if the caller asked for them."""
        if self.store.is_mutable(REGULARIZATION_LOSSES):
            self.collections[REGULARIZATION_LOSSES] = self.regularization_losses()
        tags = {tag for info in self.variables.values() for tag in info.tags}
        for tag in sorted(tags - {PARAMS, BATCH_STATS, LOCAL_VARIABLES, GLOBAL, TRAINABLE, MODEL}):
            if self.store.is_mutable(tag) and tag not in self.collections:
                tagged = [name for name, info in self.variables.items() if tag in info.tags]
                self.collections[tag] = {name: self.read(name) for name in tagged}


def _check_shape(wanted: VariableInfo, found: tuple[int, ...]) -> None:
    if wanted.shape != found:
        raise ScopeError(
            f"variable {wanted.name!r} has shape {found}, but this call needs shape "
            f"{wanted.shape}; it was made for other inputs or arguments than these"
        )
