"""A hook around the call of every op: of every function that an `arg_scope` can set."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

# Called in place of each op, with the op and its arguments.
Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

AROUND: ContextVar[Around | None] = ContextVar("around_ops", default=None)


@contextlib.contextmanager
def around_ops(around: Around | None) -> Iterator[None]:
    """Within it every op is called by `around(op, args, kwargs)`; None calls it itself."""
    token = AROUND.set(around)
    try:
        yield
    finally:
        AROUND.reset(token)
