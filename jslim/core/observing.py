"""What a trace of a model tells of its layers, for a table of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import jax

from jslim.core.access import FRAME
from jslim.core.names import join

# The value of an argument that an arg_scope has set, and the `file:line` of that scope.
FromScope = tuple[object, str]

_MARK = "jslim_call_"


@dataclass
class Observed:
    """One call of a layer.

    Attributes:
      layer: Its name, 'conv2d'.
      scope: The full name of its scope.
      arguments: Those that arg_scopes have set; of a layer within it as `batch_norm.decay`.
      variables: The full names of those that it was the first to use.
      output: Its result, of which shape and dtype count.
    """

    layer: str
    scope: str
    arguments: dict[str, FromScope]
    variables: list[str] = field(default_factory=list)
    output: jax.Array | None = None


class Observer:
    """Notes the calls of layers; a layer that is called within another one counts with that.

    Attributes:
      calls: The calls so far.
      from_scopes: The op that is about to be called, and the arguments that arg_scopes set for it.
    """

    def __init__(self) -> None:
        self.calls: list[Observed] = []
        self.from_scopes: tuple[str, Mapping[str, FromScope]] = ("", {})
        self._around: Observed | None = None

    def seen(self, key: str, layer: str, scope: str, compute: Callable[[], jax.Array]) -> jax.Array:
        """Calls `compute`, and notes it as a call of a layer.

        Args:
          key: The key of the op in arg_scopes.
          layer, scope: As of `Observed`; the scope as the running model names it.
          compute: Computes the result.
        """
        op, arguments = self.from_scopes
        if op != key:  # of an op around this one
            arguments = {}
        if self._around is not None:
            self._around.arguments |= {f"{layer}.{n}": value for n, value in arguments.items()}
            return compute()
        running = FRAME.get()
        prefix = "/".join(running.run.store.path) if running else ""
        before = set(running.run.variables) if running else set()
        self._around = call = Observed(layer, join(prefix, scope), dict(arguments))
        self.calls.append(call)
        try:
            with jax.named_scope(f"{_MARK}{len(self.calls) - 1}"):
                output = compute()
        finally:
            self._around = None
        call.output = output
        if running:
            call.variables = [join(prefix, n) for n in running.run.variables if n not in before]
        return output


def number_of_call(names: str) -> int | None:
    """The place in `calls` of the layer that an operation belongs to, by its scopes; or None."""
    found = re.search(rf"{_MARK}(\d+)", names)
    return int(found.group(1)) if found else None
