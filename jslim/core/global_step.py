"""The global step: the number of the training step that runs."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.errors import ScopeError

_GLOBAL_STEP: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar(
    "global_step", default=None
)


@contextlib.contextmanager
def global_step_is(step: jax.Array) -> Iterator[None]:
    """Makes `step` the global step of the model functions called in the body."""
    token = _GLOBAL_STEP.set(step)
    try:
        yield
    finally:
        _GLOBAL_STEP.reset(token)


def get_global_step(graph: object = None) -> jax.Array | None:
    """The number of the running training step, an int32 scalar; None outside of one.

    Differs from TF-Slim: the step belongs to the `TrainState`, and the train op counts it. The
    argument `graph` is ignored, here and in the functions below.
    """
    return _GLOBAL_STEP.get()


def get_or_create_global_step(graph: object = None) -> jax.Array:
    """The number of the running training step, an int32 scalar; 0 outside of one.

    >>> int(get_or_create_global_step())
    0
    """
    step = _GLOBAL_STEP.get()
    return jnp.zeros((), jnp.int32) if step is None else step


def create_global_step(graph: object = None) -> jax.Array:
    """The number 0, an int32 scalar, outside of a training step.

    Differs from TF-Slim: nothing is created, since the step belongs to the `TrainState`.

    Raises:
      ScopeError: A training step is running, which has a global step.
    """
    if _GLOBAL_STEP.get() is not None:
        raise ScopeError(
            "create_global_step: the global step exists already, and the train op counts it; read "
            "it with get_global_step() or get_or_create_global_step()"
        )
    return get_or_create_global_step()


def assert_global_step(global_step_tensor: object) -> None:
    """Checks that an array can be a global step.

    Raises:
      TypeError: The argument is not an array, not of integers, or not a scalar.
    """
    shape = getattr(global_step_tensor, "shape", None)
    dtype = getattr(global_step_tensor, "dtype", None)
    if shape is None or dtype is None:
        accepted, got = "an integer scalar array", type(global_step_tensor).__name__
    elif shape != () or not jnp.issubdtype(dtype, jnp.integer):
        accepted, got = "an integer scalar", f"shape {shape} and dtype {dtype}"
    else:
        return
    hint = "use get_or_create_global_step() or state.step"
    where, what = "assert_global_step", "the global step"
    raise checks.refusal(where, what, accepted, got, hint, TypeError)


def assert_or_get_global_step(
    global_step_tensor: jax.Array | None = None, graph: object = None
) -> jax.Array | None:
    """The checked `global_step_tensor`, or without one the result of `get_global_step`.

    Raises:
      TypeError: As for `assert_global_step`.
    """
    if global_step_tensor is None:
        return get_global_step()
    assert_global_step(global_step_tensor)
    return global_step_tensor
