"""The batches of a run and their position."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import jax

from jslim.core.trees import PyTree


@runtime_checkable
class Positioned(Protocol):
    """An iterator, or an iterable, with a position."""

    def get_state(self) -> object: ...

    def set_state(self, state: object) -> object: ...


class Source(Iterator[PyTree]):
    """The batches of a run, with their exact position if they have one.

    A position is the value of `get_state`, for `set_state`, of the iterator or else of its
    iterable. To learn the shapes, a batch may be drawn; it comes first, and until then the position
    is the one before it.

    Args:
      batches: The argument of `train`.
      where: The function, for errors.

    Attributes:
      example: A batch, or the shapes of one.
      has_position: Whether the batches have a position.
      record_keys: `f(position)` gives the names of the records in the batch before that position;
        None if the batches have no such function.

    Raises:
      ValueError: There is no batch.
    """

    def __init__(self, batches: Iterable[PyTree], where: str = "train"):
        self._batches = batches
        self._iterator = iter(batches)
        owners = (owner for owner in (self._iterator, batches) if isinstance(owner, Positioned))
        self._owner: Positioned | None = next(owners, None)
        self.has_position = self._owner is not None
        self.record_keys: Callable[[object], Sequence[str]] | None = getattr(
            self._owner, "record_keys", None
        )
        self._epoch_of: Callable[[object], float] | None = getattr(self._owner, "epoch_of", None)
        self._drawn: list[PyTree] = []
        self._position_before: object = None
        self.example = _shapes(self._iterator)
        if self.example is None:
            # A copy, since an iterator may go on counting in the state that it gave away.
            self._position_before = copy.deepcopy(self.position())
            self.example = next(self._iterator, None)
            if self.example is None:
                raise ValueError(f"{where}: the batches are empty; there is nothing to train on")
            self._drawn = [self.example]

    def __next__(self) -> PyTree:
        return self._drawn.pop() if self._drawn else next(self._iterator)

    def epoch(self) -> float | None:
        """How often the data was gone over so far; None if that is not known."""
        return None if self._epoch_of is None else self._epoch_of(self.position())

    def position(self) -> object:
        """The position after the batches so far, or None."""
        if self._drawn:
            return self._position_before
        return None if self._owner is None else self._owner.get_state()

    def go_to(self, position: object) -> None:
        """Continues from a saved position of batches that have one."""
        assert self._owner is not None
        self._owner.set_state(position)
        self._drawn = []
        if not isinstance(self._iterator, Positioned):
            self._iterator = iter(self._batches)


def _shapes(iterator: object) -> PyTree:
    """The iterator's `element_spec`, if it describes arrays."""
    spec = getattr(iterator, "element_spec", None)
    leaves = jax.tree.leaves(spec)
    is_of_arrays = all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves)
    return spec if leaves and is_of_arrays else None
