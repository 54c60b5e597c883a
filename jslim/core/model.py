"""`Model`: a plain function of arrays as a Flax Linen module, and the variables it makes.

This is the one file that touches `flax.core`. While a model function runs, a `_Run` holds what
it has made so far: which variables, under which names, with which regularizers; which losses and
end points. Arrays live in Flax's scope, so that Linen's `apply`, `tabulate`, `remat`, `scan` and
NNX's bridge work as for any other module; a `_Run` lives for one call and is seen by it alone.
"""

import collections
import contextlib
import contextvars
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import flax.core
import flax.linen as nn
import flax.traverse_util
import jax
from jax.extend import core as jex_core

from jslim.core import checks
from jslim.core.access import BATCH_STATS as BATCH_STATS
from jslim.core.access import GLOBAL as GLOBAL
from jslim.core.access import LOCAL_VARIABLES as LOCAL_VARIABLES
from jslim.core.access import LOSSES as LOSSES
from jslim.core.access import MODEL as MODEL
from jslim.core.access import PARAMS as PARAMS
from jslim.core.access import REGULARIZATION_LOSSES as REGULARIZATION_LOSSES
from jslim.core.access import TRAINABLE as TRAINABLE
from jslim.core.access import VariableInfo as VariableInfo
from jslim.core.access import assign as assign
from jslim.core.access import collect as collect
from jslim.core.access import collected as collected
from jslim.core.access import get_or_create as get_or_create
from jslim.core.access import make_rng as make_rng
from jslim.core.access import regularization_losses as regularization_losses
from jslim.core.devices import Space
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.scopes import AUTO_REUSE as AUTO_REUSE
from jslim.core.scopes import FRAME, Frame, Numbering, frame, user_site
from jslim.core.scopes import Reuse as Reuse
from jslim.core.scopes import VariableScope as VariableScope
from jslim.core.scopes import get_variable_scope as get_variable_scope
from jslim.core.scopes import unique_op_name as unique_op_name
from jslim.core.scopes import variable_scope as variable_scope


@dataclass(eq=False)
class _Run:
    """What one call of a model function has made so far."""

    root: flax.core.Scope
    trace_state: Any
    numbering: Numbering = field(default_factory=Numbering)
    variables: dict[str, VariableInfo] = field(default_factory=dict)
    regularizers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    collected: dict[str, dict[str, Any]] = field(
        default_factory=lambda: collections.defaultdict(dict)
    )
    scopes: dict[str, flax.core.Scope] = field(default_factory=dict)
    own_values: dict[str, jax.Array] = field(default_factory=dict)  # not kept in Flax's scope
    views: dict[str, tuple[Any, jax.Array]] = field(default_factory=dict)
    linen_sites: dict[str, str] = field(default_factory=dict)
    blocks: dict[Any, VariableScope] = field(default_factory=dict)  # those entered, and where
    parts: list["_Run"] = field(default_factory=list)  # Models called within, not looked at yet

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

    def held(self, collection: str, name: str) -> Any:
        """What Flax's scope holds under `name`: an array, a subtree, or None."""
        if name in self.own_values:
            return self.own_values[name]
        scope, leaf = self.locate(name)
        return scope.get_variable(collection, leaf)

    @staticmethod
    def unboxed(held: Any) -> Any:
        """The array itself, of one that Linen keeps in a box with the names of its axes."""
        return held.unbox() if isinstance(held, nn.meta.AxisMetadata) else held

    def names_by_collection(self) -> dict[str, list[str]]:
        """The names that Flax's scope holds, in each collection that it was given."""
        return {
            collection: list(flax.traverse_util.flatten_dict(_plain(tree), sep="/"))
            for collection, tree in self.root.variables().items()
        }

    def read(self, name: str) -> jax.Array:
        """The value of a variable of this run, as a layer is to see it.

        The same object each time, until the value changes: an array stands for its variable.
        """
        self.check_trace(f"variable {name!r} is used")
        info = self.variables[name]
        held = self.held(info.collection, name)
        view = self.views.get(name)
        if view is None or view[0] is not held:
            view = self.views[name] = held, _as_seen(info, held)
        return view[1]

    def check_trace(self, what: str) -> None:
        """Refuses to deal with this run within a JAX transformation that began within it.

        JAX keeps the traces of jit, scan, checkpoint and cond by function: they would be run
        again with the variables of another scope, or of another call, without a word.
        """
        if self.trace_state != _trace_state():
            raise ScopeError(
                f"{what}, which happens inside a JAX transformation (grad, remat, scan, vmap, jit) "
                "that was started within the model function; JAX may keep what it traced and take "
                "it for other variables; transform a Model instead, as in slim.call_linen("
                "flax.linen.remat(slim.Model)(fn), inputs, scope='name')"
            )

    def settle(self) -> None:
        """Takes over what the Models called within this one have made, as far as they are of it.

        A Model called by Linen has its variables in this one's tree, below its own path; one
        that was called by `apply` with variables of its own has not.
        """
        parts, self.parts = self.parts, []
        for part in parts:
            prefix = "/".join(part.root.path[len(self.root.path) :]) + "/"
            is_same_tree = part.root.root is self.root.root
            found = {
                name: held
                for name, info in part.variables.items()
                if (held := self.held(info.collection, prefix + name)) is not None
            }
            if not found and not is_same_tree:
                continue
            for name, held in found.items():
                info = part.variables[name]
                # A lifted scan or vmap has given the variable another shape.
                shape = jax.numpy.shape(self.unboxed(held))
                self.variables[prefix + name] = dataclasses.replace(
                    info, name=prefix + name, shape=shape
                )
                if name in part.regularizers:
                    self.regularizers[prefix + name] = part.regularizers[name]
            for collection, values in part.collected.items():
                if part.trace_state == self.trace_state:
                    for name, value in values.items():
                        self.add(collection, prefix + name, value)
                elif collection in (LOSSES, REGULARIZATION_LOSSES) and values:
                    raise ScopeError(
                        f"loss {next(iter(values))!r} was added inside a Model at {prefix[:-1]!r} "
                        "that runs under a lifted transformation (remat, scan, vmap), and cannot "
                        "leave it this way; return it from that Model and add it outside"
                    )

    def inside(self) -> "_Run":
        """This run in a trace of its own: it reads and counts on, but what it makes stays apart."""
        outer = self.root
        tree = {name: _plain(held) for name, held in outer.variables().items()}
        root = flax.core.Scope(
            tree, outer.rngs, outer.name, outer.mutable, None, outer.path, (), outer.flags
        )
        root.rng_counters = outer.rng_counters
        collected = collections.defaultdict(dict, {k: dict(v) for k, v in self.collected.items()})
        apart: dict[str, Any] = {"scopes": {}, "views": {}, "parts": []}
        apart |= {"collected": collected, "own_values": dict(self.own_values)}
        return dataclasses.replace(self, root=root, trace_state=_trace_state(), **apart)

    def known_variables(self) -> dict[str, VariableInfo]:
        """The variables made so far, with those of the Models called within."""
        self.settle()
        return self.variables

    def add_linen_variables(self, path: str, is_linens: Callable[[str], bool]) -> None:
        """Counts what Linen modules made below `path` among the variables of the model."""
        site = user_site()
        for collection in (PARAMS, BATCH_STATS):
            tree = self.root.variables().get(collection, {})
            for part in path.split("/") if path else ():
                tree = tree.get(part, {})
            boxed = flax.traverse_util.flatten_dict(_plain(tree), sep="/")
            tags = {GLOBAL, MODEL} | ({TRAINABLE} if collection == PARAMS else set())
            for leaf, value in nn.meta.unbox(boxed).items():
                name = f"{path}/{leaf}" if path else leaf
                if name not in self.variables and is_linens(leaf.partition("/")[0]):
                    self.variables[name] = VariableInfo(
                        name,
                        jax.numpy.shape(value),
                        jax.numpy.result_type(value),
                        collection,
                        collection == PARAMS,
                        frozenset(tags),
                        site,
                    )

    def add(self, collection: str, name: str, value: Any) -> None:
        """Collects a value; its name is numbered if it was given before."""
        held = self.collected[collection]
        names = itertools.chain([name], (f"{name}_{index}" for index in itertools.count(1)))
        held[next(unused for unused in names if unused not in held)] = value

    def add_tag(self, name: str, tag: str) -> None:
        info = self.variables[name]
        self.variables[name] = dataclasses.replace(info, tags=info.tags | {tag})


def _plain(tree: Any) -> dict[str, Any]:
    return flax.core.unfreeze(tree)


def _as_seen(info: VariableInfo, held: Any) -> jax.Array:
    value = _Run.unboxed(held)
    if info.placement is Space.Host:
        value = jax.device_put(value, Space.Device)
    if info.collection == PARAMS and not info.trainable:
        value = jax.lax.stop_gradient(value)
    return value


_RECORDS: contextvars.ContextVar[list["_Run"] | None] = contextvars.ContextVar(
    "records", default=None
)


def _trace_state() -> Any:
    return jex_core.get_opaque_trace_state(convention="flax")


def is_running() -> bool:
    """Whether a model function is running in this thread and context."""
    return FRAME.get() is not None


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

    Transform it as a whole: `jax.jit`, `grad`, `vmap`, `checkpoint` of its `apply`, or Flax's
    lifted `nn.remat(Model)`, `nn.scan(Model, ...)`. A transformation that is started inside `fn`
    cannot reach variables; put what it covers into a Model of its own and see `call_linen`.

    TF-Slim has no such class: there, a function built a graph that owned the variables.

    Attributes:
      fn: The model function. Its arguments are those of `init` and `apply`.
    """

    fn: Callable[..., Any]

    @nn.compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        hint = "give the function itself, and its arguments to init and apply"
        checks.function("Model", "fn", self.fn, "of arrays", hint)
        scope = self.scope
        assert scope is not None
        run = _Run(scope, _trace_state())
        around = FRAME.get()
        is_part = around is not None and _is_below(scope, around.run.root)
        token = FRAME.set(Frame(run, VariableScope("")))
        try:
            output = self.fn(*args, **kwargs)
            run.settle()
            if run.is_initializing:
                run.add_linen_variables("", lambda name: True)
            elif around is None or not is_part:
                _export_facts(run)
                _export(run)
            elif scope.root is not around.run.root.root:  # under a lifted transformation
                _export(run)
        finally:
            FRAME.reset(token)
        if around is not None and is_part:
            around.run.parts.append(run)
        elif around is None and (records := _RECORDS.get()) is not None:
            prefix = "".join(f"{part}/" for part in scope.path)
            infos = [dataclasses.replace(i, name=prefix + i.name) for i in run.variables.values()]
            run.variables = {info.name: info for info in infos}
            records.append(run)
        return output


def _is_below(scope: flax.core.Scope, root: flax.core.Scope) -> bool:
    depth = len(root.path)
    return len(scope.path) > depth and scope.path[:depth] == root.path


def _export_facts(run: _Run) -> None:
    """Collects what follows from the variables, where the caller asked for it."""
    mutable = run.root.is_mutable_collection
    if mutable(REGULARIZATION_LOSSES):
        run.collected[REGULARIZATION_LOSSES] = regularization_losses()
    tags = {tag for info in run.variables.values() for tag in info.tags}
    for tag in sorted(tags - {PARAMS, BATCH_STATS, LOCAL_VARIABLES, GLOBAL, TRAINABLE, MODEL}):
        if mutable(tag) and tag not in run.collected:
            tagged = [name for name, info in run.variables.items() if tag in info.tags]
            run.collected[tag] = {name: run.read(name) for name in tagged}


def _export(run: _Run) -> None:
    """Hands what was collected to the Flax collections that the caller asked for."""
    for collection, values in run.collected.items():
        if run.root.is_mutable_collection(collection):
            for name, value in values.items():
                run.root.put_variable(collection, name, value)


@contextlib.contextmanager
def recorded() -> Iterator[list[_Run]]:
    """Collects the runs of the models called in the body: their static facts, not values.

    Names are those of the whole tree, also where a Linen module calls the Model. A Model called
    within another is part of the outer one's run.
    """
    records: list[_Run] = []
    token = _RECORDS.set(records)
    try:
        yield records
    finally:
        _RECORDS.reset(token)


def call_linen(module: nn.Module, *args: Any, scope: str | None = None, **kwargs: Any) -> Any:
    """Calls a Linen module inside a model function, under the current variable scope.

    The module may be a lifted Model: `call_linen(nn.remat(slim.Model)(block), net, scope='b1')`
    recomputes `block` in the backward pass. A Linen layer that is called directly also works,
    but then Flax names it and hangs it on the Model's root, outside any `variable_scope`, and
    the `get_*` functions do not see it. New in jslim.

    Args:
      module: An unbound Linen module, such as `nn.Dense(7)`.
      *args, **kwargs: What it is called with.
      scope: Its variable scope; by default the module's `name` or class name, made unique.

    Returns:
      What the module returns; its variables count as model variables (`scope/kernel`, ...).

    Raises:
      ScopeError: A module was called under that scope before, and `reuse` is not set; or the
        reverse.
    """
    run = frame("call_linen").run
    kind = type(module).__name__
    # Linen numbers what is made within a module over the whole of it: `Dense_7` is no given name.
    given = module.name and not re.fullmatch(rf"{kind}_\d+", module.name)
    with variable_scope(scope or (module.name if given else None), kind) as opened:
        run.check_trace(f"Linen module {opened.name!r} is called")
        before = run.linen_sites.get(opened.name)
        if before is not None and not opened.reuse:
            raise ScopeError(
                f"call_linen: a module was called in scope {opened.name!r} at {before}, and again "
                f"at {user_site()}; to share its variables enter the scope around with "
                "reuse=True, otherwise give the two modules different scopes"
            )
        if before is None and opened.reuse is True:
            raise ScopeError(
                f"call_linen: no module was called in scope {opened.name!r} yet, but it was "
                f"entered with reuse=True{did_you_mean(opened.name, run.linen_sites)}"
            )
        run.linen_sites.setdefault(opened.name, user_site())
        flax_scope = run.scope(opened.name).rewound()
        output = module.clone(parent=flax_scope, name=None)(*args, **kwargs)
        run.settle()
        run.add_linen_variables(opened.name, flax_scope.name_reserved)
    return output
