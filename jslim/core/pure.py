"""Functions of a running model as pure ones, which JAX may evaluate any number of times.

A function is traced once, so its layers run once: a variable is made once, a moving statistic
moves once, a dropout mask is drawn once. Values that it reads from outside (variables, random keys,
arrays that it closes over) become inputs of the traced function, and so have gradients. Values that
it adds to the model (new statistics, losses, end points) become outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as jex_core

from jslim.core.access import FRAME, frame
from jslim.core.errors import ScopeError
from jslim.core.run import Run

Place = tuple[str, str, str]  # the kind of place, the collection, the name


@dataclass(frozen=True)
class Pure:
    """A traced function without effects: `(consts, *args) -> (output, values for the model)`."""

    closed: jex_core.ClosedJaxpr
    output_tree: jax.tree_util.PyTreeDef
    places: tuple[Place, ...]

    @property
    def consts(self) -> list[jax.Array]:
        """The values that the function reads from outside, in the trace around it."""
        return list(self.closed.consts)

    def __call__(self, consts: list[jax.Array], *args: object) -> tuple[Any, list[jax.Array]]:
        evaluate = jex_core.jaxpr_as_fun(jex_core.ClosedJaxpr(self.closed.jaxpr, consts))
        output, left = jax.tree.unflatten(self.output_tree, evaluate(*jax.tree.leaves(args)))
        return output, left


class Tracing:
    """Traces functions of the running model in turn, and adds their values to the model."""

    def __init__(self, where: str):
        self.where = where
        self.run = frame(where).run
        self.run.check_trace(where)
        self.run.settle()
        self._unknown: list[tuple[object, Place]] = []  # placeholders of values

    def trace(self, function: Callable[..., object], *args: object) -> Pure:
        """`function(*args)` as a pure function; nothing is computed.

        Raises:
          ScopeError: It reads a value that another function of this `Tracing` updates.
        """
        around = frame(self.where)
        places: list[Place] = []

        def body(*args: object) -> tuple[object, list[object]]:
            run = self.run.inside()
            before = _contents(run)
            token = FRAME.set(around._replace(run=run))
            try:
                output = function(*args)
                run.settle()
            finally:
                FRAME.reset(token)
            left = {
                place: value
                for place, value in _contents(run).items()
                if place not in before or before[place] is not value
            }
            places.extend(left)
            return output, list(left.values())

        closed, shapes = jax.make_jaxpr(body, return_shape=True)(*args)
        for stand_in, (_, collection, name) in self._unknown:
            if any(const is stand_in for const in closed.consts):
                raise ScopeError(
                    f"{self.where}: {name!r} of collection {collection!r} is updated by one "
                    "function and read by a later one, which sees only the earlier value; "
                    "give the functions variables of their own"
                )
        for place, shape in zip(places, shapes[1], strict=True):
            stand_in = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
            self._unknown += [(leaf, place) for leaf in jax.tree.leaves(stand_in)]
            _leave(self.run, place, stand_in)
        return Pure(closed, jax.tree.structure(shapes), tuple(places))

    def leave(self, pure: Pure, left: list[jax.Array]) -> None:
        """Adds the computed values of a traced function to the model."""
        for place, value in zip(pure.places, left, strict=True):
            _leave(self.run, place, value)


def _contents(run: Run) -> dict[Place, object]:
    """All values that a run holds and may change."""
    held: dict[Place, object] = {("own", "", name): value for name, value in run.store.own.items()}
    for collection, values in run.store.collections().items():
        if run.store.is_mutable(collection):
            held |= {("variable", collection, name): value for name, value in values.items()}
    for collection, values in run.collections.items():
        held |= {("collected", collection, name): value for name, value in values.items()}
    return held


def _leave(run: Run, place: Place, value: object) -> None:
    """Puts a value where `_contents` found it in another run."""
    kind, collection, name = place
    if kind == "variable":
        run.store.put(collection, name, value)
    elif kind == "own":
        run.store.own[name] = value
    else:
        run.collections[collection][name] = value
