"""Where the batches of a run come from, and where the run stands in them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax

from jslim.core.trees import PyTree


class Source(Iterator[PyTree]):
    """The batches of a run, with an exact position wherever they have one.

    A position is what `get_state` gives and `set_state` takes: of the iterator, or else of the
    iterable that makes it. A batch that was drawn to see its shapes is given first, and until then
    the position is the one before it.

    Args:
      batches: What was given to `train`.

    Attributes:
      example: A batch, or the shapes of one.
      has_position: Whether training can go on from where it was.
      record_keys: What gives the names of the records before a position, if the batches can.

    Raises:
      ValueError: There is no batch.
    """

    def __init__(self, batches: Iterable[PyTree]):
        self._batches = batches
        self._iterator = iter(batches)
        owners = (owner for owner in (self._iterator, batches) if _has_position(owner))
        self._owner: Any = next(owners, None)
        self.has_position = self._owner is not None
        self.record_keys: Callable[[object], Sequence[str]] | None = None
        if self.has_position:
            self.record_keys = getattr(self._owner, "record_keys", None)
        self._drawn: list[PyTree] = []
        self._position_before: object = None
        self.example = _shapes(self._iterator)
        if self.example is None:
            # A copy: what an iterator gives may be what it counts in.
            self._position_before = copy.deepcopy(self.position())
            self.example = next(self._iterator, None)
            if self.example is None:
                raise ValueError("train: the batches are empty; there is nothing to train on")
            self._drawn = [self.example]

    def __next__(self) -> PyTree:
        return self._drawn.pop() if self._drawn else next(self._iterator)

    def position(self) -> object:
        """Where the batches stand after those that were given; None if they cannot say."""
        if self._drawn:
            return self._position_before
        return self._owner.get_state() if self.has_position else None

    def go_to(self, position: object) -> None:
        """Goes on from a position that was saved."""
        self._owner.set_state(position)
        self._drawn = []
        if self._owner is not self._iterator:
            self._iterator = iter(self._batches)


def _has_position(owner: object) -> bool:
    return hasattr(owner, "get_state") and hasattr(owner, "set_state")


def _shapes(iterator: object) -> PyTree:
    """The iterator's `element_spec`, if it is one of arrays."""
    spec = getattr(iterator, "element_spec", None)
    leaves = jax.tree.leaves(spec)
    is_of_arrays = all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves)
    return spec if leaves and is_of_arrays else None
