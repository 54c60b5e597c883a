"""The context: all that decides how a layer computes, and is not given at its call.

It is one value in JAX's user context, which makes it part of the key of every cache that JAX has
(jit, scan, checkpoint, cond, ...): what was traced in one context is not used in another, and what
an op reads and what those caches look at cannot differ. So the context belongs to one thread, as
JAX's own settings do.

What belongs to one call is not in it, but in ContextVars. The call sets them, and resets them at
its end:

- `access.FRAME`: the running model and the variable scope. A trace that begins within the call
  cannot read it (`Run.check_trace`), so no cache of JAX's holds what was made of it.
- `initial_values._KEY`: the random key of the variable that is being made.
- `model._RECORDS`: where runs are noted for a caller that asks for their static facts.
- `variables._GLOBAL_STEP`: the step that a train op is tracing; an array, which has no key.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import jax

from jslim.core.defaults import ArgScope, key_of


class Around(Hashable, Protocol):
    """Called in place of an op: `around(op, args, kwargs)`."""

    def __call__(
        self, op: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object], /
    ) -> object: ...


@dataclass(frozen=True)
class Predicate:
    """A function of names, which compares by what it does as far as that can be seen."""

    test: Callable[[str], bool] = field(compare=False)
    key: Hashable

    @classmethod
    def of(cls, test: Callable[[str], bool], what: str) -> "Predicate":
        return cls(test, key_of(test, what))


class Gather(Hashable, Protocol):
    """Gives the whole of a variable that lies in parts on the devices: `gather(name, value)`.

    The value may be the variable in a narrower dtype, so that fewer bytes travel.
    """

    def __call__(self, name: str, value: jax.Array, /) -> jax.Array: ...


class Context(NamedTuple):
    arg_scope: ArgScope = ArgScope()
    around_ops: Around | None = None  # what calls every op that an arg_scope can set
    freezes_batch_norm: Predicate | None = None  # of the name of a layer's scope
    platform: str | None = None  # as on which layers compute; None is what is lowered for
    gather: Gather | None = None  # None where every device has the variables whole


CONTEXT = jax.make_user_context(default_value=Context())


def context() -> Context:
    """What is in force in this thread."""
    return CONTEXT.value


@contextlib.contextmanager
def changed_context(**changes: object) -> Iterator[None]:
    """Within it, these fields of the context have other values."""
    with CONTEXT(CONTEXT.value._replace(**changes)):
        yield
