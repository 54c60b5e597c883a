"""The model function that runs in this thread, as layers see it.

A `Frame` holds the current run of a model function and the current variable scope.
"""

import contextvars
import sys
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from jslim.core.errors import ScopeError
from jslim.core.names import LOSS_WITHOUT_REGULARIZATION, PARAMS, VariableScope, join
from jslim.core.run import Run


class Frame(NamedTuple):
    """The place of a model function: the run of its `Model`, the scope, the names of ops."""

    run: Run
    scope: VariableScope
    name_scope: str = ""  # the prefix of ops: a new one at each entry of a variable scope

    def new_name(self, name: str) -> str:
        """The full name of a new variable, numbered as an op is."""
        full = join(self.name_scope, name)
        while (numbered := self.run.numbering.unique_op(full)) in self.run.variables:
            pass
        return numbered


FRAME: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("frame", default=None)


def frame(what: str) -> Frame:
    """The current frame; `what` names the caller in the error.

    Raises:
      ScopeError: No model function is running.
    """
    current = FRAME.get()
    if current is None:
        remedy = "wrap the function that calls it in slim.Model(fn) and call .init and .apply"
        if (module := _linen_module()) is not None:
            remedy = (
                f"{module} is a Linen module: write a model function fn, and call "
                "slim.Model(fn)(inputs) in the module's @nn.compact method"
            )
        raise ScopeError(f"{what} only works inside a model function; {remedy}")
    return current


def _linen_module() -> str | None:
    """The class of the Linen module whose method is running; None outside of any."""
    at = sys._getframe(1)
    while at.f_back is not None:
        at = at.f_back
        running = at.f_locals.get("self")
        if isinstance(running, nn.Module) and not at.f_globals["__name__"].startswith("jslim."):
            return type(running).__name__
    return None


def is_running() -> bool:
    """Whether a model function is running in this thread and context."""
    return FRAME.get() is not None


def is_initializing() -> bool:
    """Whether the running model function is making its variables (`Model.init`).

    Raises:
      ScopeError: The call is outside a model function.
    """
    return frame("is_initializing").run.store.is_initializing


def assign(name: str, value: jax.Array) -> None:
    """Gives the variable `name` of the current scope a new value; later reads see it.

    `apply(..., mutable=['batch_stats'])` returns the new value with its collection, and `learning`
    always keeps it. `init` returns the initial values, whatever is assigned while it runs.

    Args:
      name: The name of an existing variable in the current scope.
      value: An array of the variable's shape; it is cast to the variable's dtype.

    Raises:
      ScopeError: There is no such variable; its collection is not mutable; the shapes differ.

    >>> import jslim as slim
    >>> def model():
    ...     count = slim.local_variable(0, name="count")
    ...     assign("count", count + 1)
    >>> _, state = slim.Model(model).apply({}, mutable=["local_variables"])
    >>> int(state["local_variables"]["count"])
    1
    """
    run, scope, _ = frame("assign")
    run.assign(scope.full_name(name), value)


def make_rng(stream: str, what: str = "make_rng") -> jax.Array:
    """A new key of the random stream `stream` ('dropout') for the current scope.

    Args:
      stream: The name of the stream in `apply(..., rngs={stream: key})`. If this stream was not
        given, the stream 'params' is used.
      what: The caller, for the errors.

    Returns:
      A key, different at each call.

    Raises:
      ScopeError: The call is outside a model function, or neither stream was given.
    """
    run, scope, _ = frame(what)
    where = f"{what} at {scope.name!r}" if scope.name else what
    run.check_trace(f"{where} draws random numbers")
    if not run.store.has_rng(stream) and not run.store.has_rng(PARAMS):
        raise ScopeError(
            f"{where} needs randomness; call "
            f"apply(..., rngs={{{stream!r}: key}}), or pass is_training=False"
        )
    return run.store.make_rng(scope.name, stream)


def collect(collection: str, name: str, value: object, *, replaces: bool = False) -> None:
    """Adds `value` under `name` to a collection of the running model.

    Args:
      collection: The collection's name.
      name: The full name.
      value: An array.
      replaces: Whether an earlier value of that name is replaced, in its place in the order;
        otherwise the new name is numbered (`name_1`).
    """
    run = frame(f"collection {collection!r}").run
    run.check_trace(f"{name!r} is added to collection {collection!r}")
    if replaces:
        run.collections[collection][name] = value
    else:
        run.collect(collection, name, value)


def note_loss_without_regularization(loss: jax.Array) -> None:
    """Collects it, unless a transformation is under way that it could not leave."""
    run = frame("get_total_loss").run
    if run.is_in_own_trace:
        run.collections[LOSS_WITHOUT_REGULARIZATION]["total"] = loss


def collected(collection: str) -> dict[str, Any]:
    """`{name: value}` for all that the running model has added to a collection so far."""
    return frame(f"collection {collection!r}").run.collected(collection)


def regularization_losses() -> dict[str, jax.Array]:
    """`{variable name/Regularizer: loss}` for each regularized variable of the running model."""
    return frame("regularization_losses").run.regularization_losses()
