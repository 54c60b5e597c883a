"""The names of arrays in a running model: the scope they were made in, and what made them.

TensorFlow names every operation. Programs use the names of activations for summaries and as keys of
end points; `jslim.compat` gives them. Nothing else in jslim depends on them.
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from jslim.core.names import join


class ArrayName(NamedTuple):
    """The name of an array.

    Attributes:
      scope: The full name of the scope of names, without a slash at its end.
      name: The name that a program has given it there; empty where it gave none.
      made_by: The function that made the array, 'relu'.
      number: Its place among the results of that function.
    """

    scope: str
    name: str
    made_by: str
    number: int = 0


class _Entry(NamedTuple):
    array: Callable[[], Any]  # None where it is gone
    name: ArrayName


@dataclass
class ArrayNames:
    """The names of the arrays of one run; the last one of an array counts.

    Attributes:
      is_busy: Whether a function is at work that will name its result: what it calls names none.
    """

    entries: list[_Entry] = field(default_factory=list)
    by_id: dict[int, _Entry] = field(default_factory=dict)
    is_busy: bool = False

    def note(self, array: Any, name: ArrayName, *, keeps: bool = False) -> None:
        """Notes the name of an array. Only one that is kept is sure to live on until the end."""
        if not isinstance(array, jax.Array):
            return
        reference = (lambda: array) if keeps else weakref.ref(array)
        entry = _Entry(reference, name)
        self.by_id[id(array)] = entry
        self.entries.append(entry)

    def note_result(self, array: Any, scope: str, made_by: str) -> None:
        """Notes the result of a layer, unless what the layer called has named it in its scope."""
        known = self.of(array)
        if known is None or not f"{known.scope}/".startswith(f"{scope}/"):
            self.note(array, ArrayName(scope, "", made_by))

    def of(self, array: Any) -> ArrayName | None:
        """The name of an array; None if it has none."""
        entry = self.by_id.get(id(array))
        return None if entry is None or entry.array() is not array else entry.name

    def __iter__(self) -> Iterator[tuple[Any, ArrayName]]:
        """The arrays that still live, with their names, in the order of their making."""
        for entry in self.entries:
            if (array := entry.array()) is not None:
                yield array, entry.name


def full_name(name: ArrayName, label: str) -> str:
    """The full name, with `label` where the program gave no name."""
    return join(name.scope, name.name or label)
