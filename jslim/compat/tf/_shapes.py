"""TensorFlow 1's shapes: tuples that answer `as_list()`, of whole numbers that answer `value`."""

from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex, overload

import jax.export

from jslim.core import checks

# The class of a length that an export leaves open; JAX has no public name for it.
SYMBOL = type(jax.export.symbolic_shape("length")[0])


class Dimension(int):
    """The length of an axis: an int that also answers `value`, as in TensorFlow 1."""

    @property
    def value(self) -> int:
        return int(self)

    def __repr__(self) -> str:
        return f"Dimension({int(self)})"

    __str__ = int.__repr__


class TensorShape(tuple[Any, ...]):
    """The shape of an array, as TensorFlow 1's programs ask for it.

    It is a tuple of lengths, so that everything that takes a shape takes it. It is made of ints,
    `Dimension`s, or None for an unknown length, which no array has. In an export for all batch
    sizes that of the batch is a symbol of JAX, and stays one.

    >>> TensorShape([2, 3]).as_list(), TensorShape([2, 3])[1].value, TensorShape([2, 3]) == (2, 3)
    ([2, 3], 3, True)
    """

    def __new__(cls, dims: Iterable[SupportsIndex | None] | SupportsIndex = ()) -> "TensorShape":
        lengths: Iterable[Any] = dims if isinstance(dims, Iterable) else [dims]
        return super().__new__(
            cls, (length if is_open(length) else Dimension(length) for length in lengths)
        )

    @overload
    def __getitem__(self, at: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> "TensorShape": ...
    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        found = super().__getitem__(at)
        return TensorShape(found) if isinstance(at, slice) else found

    @property
    def ndims(self) -> int:
        return len(self)

    rank = ndims

    @property
    def dims(self) -> list[Dimension | None]:
        return list(self)

    def as_list(self) -> list[int | None]:
        """The lengths as a list of plain ints."""
        return list(map(dimension_value, self))

    def num_elements(self) -> int | None:
        """The product of the lengths; None if one is unknown."""
        product = 1
        for length in self:
            if length is None:
                return None
            product *= length
        return product

    def is_fully_defined(self) -> bool:
        return not any(map(is_open, self))

    def concatenate(self, other: Iterable[SupportsIndex | None]) -> "TensorShape":
        return TensorShape([*self, *TensorShape(other)])

    def is_compatible_with(self, other: Iterable[SupportsIndex | None]) -> bool:
        """Whether the ranks are equal, and the lengths where both are known."""
        others = TensorShape(other)
        return len(self) == len(others) and all(
            is_open(a) or is_open(b) or a == b for a, b in zip(self, others, strict=True)
        )

    def assert_is_compatible_with(self, other: Iterable[SupportsIndex | None]) -> None:
        """Raises a ValueError unless the shapes are compatible."""
        self.merge_with(other)

    def merge_with(self, other: Iterable[SupportsIndex | None]) -> "TensorShape":
        """This shape with the lengths that only the other one knows.

        Raises:
          ValueError: They are not compatible.
        """
        others = TensorShape(other)
        if not self.is_compatible_with(others):
            raise checks.refusal("", "the shape", f"{self.as_list()}", f"{others.as_list()}")
        return TensorShape(b if a is None else a for a, b in zip(self, others, strict=True))

    def with_rank(self, rank: int) -> "TensorShape":
        """This shape, if it has so many axes.

        Raises:
          ValueError: It has another number of them.
        """
        if len(self) != rank:
            raise checks.refusal("", "the shape", f"of rank {rank}", f"{self.as_list()}")
        return self

    def assert_is_fully_defined(self) -> None:
        """Raises a ValueError if a length is unknown."""
        if not self.is_fully_defined():
            raise checks.refusal("", "the shape", "fully known", f"{self.as_list()}")

    def assert_has_rank(self, rank: int) -> None:
        """Raises a ValueError unless the shape has so many axes."""
        self.with_rank(rank)

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def __repr__(self) -> str:
        return f"TensorShape({self.as_list()})"


def is_open(length: object) -> bool:
    """Whether a length is not known: None, or a symbol in an export for all batch sizes."""
    return length is None or isinstance(length, SYMBOL)


def dimension_value(dimension: Any) -> Any:
    """A length as a plain int; None and a symbol stay what they are."""
    return dimension if is_open(dimension) else int(dimension)
