"""The context: all that decides how a layer computes, apart from the arguments of its call.

It is one value in JAX's user context, and so part of the key of all caches of JAX (jit, scan,
checkpoint, cond, ...). A program that was traced in one context is not used in another: the context
that an op reads is the context that the caches compare. It belongs to one thread, as JAX's own
settings do.

The state of a single call is kept apart, in ContextVars. The call sets them and resets them at its
end:

- `access.FRAME`: the running model and the variable scope. A trace that begins within the call
  cannot read it (`Run.check_trace`), so no cache of JAX depends on it.
- `initial_values._KEY`: the random key of the variable that is being made.
- `run.ONLY_INITIALIZERS_COMPUTE`: whether `init` traces the model and computes first values alone.
- `model._RECORDS`: the list that collects runs for a caller that asks for their static facts.
- `variables._GLOBAL_STEP`: the step that a train op is tracing; it is an array, which has no key.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping
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
    """A function of names; `key_of` says which ones are equal."""

    test: Callable[[str], bool] = field(compare=False)
    key: Hashable

    @classmethod
    def of(cls, test: Callable[[str], bool], what: str) -> "Predicate":
        return cls(test, key_of(test, what))


class Gather(Hashable, Protocol):
    """Makes a variable whole that lies in parts on the devices: `gather(name, value)`.

    The value may be the variable in a narrower dtype, so that fewer bytes travel.
    """

    def __call__(self, name: str, value: jax.Array, /) -> jax.Array: ...


class Observes(Hashable, Protocol):
    """Sees the calls of layers; `core/observing.py` has the one that does."""

    from_scopes: tuple[str, Mapping[str, tuple[object, str]]]

    def seen(
        self, key: str, layer: str, scope: str, compute: Callable[[], jax.Array], /
    ) -> jax.Array: ...


class Context(NamedTuple):
    arg_scope: ArgScope = ArgScope()
    around_ops: Around | None = None  # calls every op that an arg_scope can set
    freezes_batch_norm: Predicate | None = None  # of the name of a layer's scope
    platform: str | None = None  # layers compute as on it; None is the one that is lowered for
    gather: Gather | None = None  # None if every device has the variables whole
    observer: Observes | None = None
    draws: bool = True  # whether initializers draw random numbers; else they give zeros


CONTEXT = jax.make_user_context(default_value=Context())


def context() -> Context:
    """The context of this thread."""
    return CONTEXT.value


@contextlib.contextmanager
def changed_context(**changes: object) -> Iterator[None]:
    """Gives fields of the context other values while the body runs."""
    with CONTEXT(CONTEXT.value._replace(**changes)):
        yield
