"""The places of the windows of convolutions and pools."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypeVar

import numpy as np

from jslim.core import checks

Pair = int | Sequence[int]
Padding = str | Sequence[Sequence[int]]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Windows:
    """The places of windows over images, for each spatial dimension."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    rate: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after
    count: tuple[int, ...]  # the spatial shape of the output
    channels_first: bool = False

    @property
    def axes(self) -> range:
        """The spatial axes of the images."""
        first = 2 if self.channels_first else 1
        return range(first, first + len(self.size))

    @property
    def channel_axis(self) -> int:
        return 1 if self.channels_first else len(self.size) + 1

    @property
    def extent(self) -> tuple[int, ...]:
        """The pixels from the first to the last of a window, with those that a rate skips."""
        return tuple((n - 1) * rate + 1 for n, rate in zip(self.size, self.rate, strict=True))

    @property
    def are_dense(self) -> bool:
        """Whether windows, and the pixels of a window, follow one another without a gap."""
        return max(*self.stride, *self.rate) == 1

    @property
    def are_side_by_side(self) -> bool:
        """Whether each pixel is in one window, as in blocks."""
        return self.stride == self.size and max(self.rate) == 1

    @property
    def positions(self) -> list[tuple[int, ...]]:
        """The places of the pixels within a window, in row-major order."""
        sides = zip(self.size, self.rate, strict=True)
        return list(itertools.product(*(range(0, n * rate, rate) for n, rate in sides)))

    def on_all_axes(self, values: Iterable[Value], other: Value) -> tuple[Value, ...]:
        """The values of the spatial axes, with another one for batch and channels."""
        return (other, other, *values) if self.channels_first else (other, *values, other)

    def output_shape(self, batch: int, channels: int) -> tuple[int, ...]:
        """The shape of images with one pixel for each window."""
        if self.channels_first:
            return (batch, channels, *self.count)
        return (batch, *self.count, channels)


def windows(
    where: str,
    spatial: Sequence[int],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    rate: tuple[int, ...] | None = None,
    channels_first: bool = False,
) -> Windows:
    """The windows over inputs of shape `spatial`, by TensorFlow's SAME and VALID rules.

    Raises:
      ValueError: `padding` is not one of these nor pairs of integers; a window does not fit.
    """
    rate = rate or (1,) * len(size)
    given = _given_padding(where, padding, len(size))
    paddings, counts = [], []
    for i, (length, taps, step, spread) in enumerate(zip(spatial, size, stride, rate, strict=True)):
        extent = (taps - 1) * spread + 1
        if given is None:
            counts.append(-(-length // step))
            total = max((counts[i] - 1) * step + extent - length, 0)
            paddings.append((total // 2, total - total // 2))  # the odd one goes after
        else:
            counts.append((length + sum(given[i]) - extent) // step + 1)
            paddings.append(given[i])
        if counts[i] < 1:
            is_padded = given is not None and any(map(any, given))
            padded = f"with padding {given}" if is_padded else "without padding"
            raise ValueError(
                f"{where}: a window of {size} (rate {rate}) does not fit into inputs of "
                f"{tuple(spatial)} {padded}; use padding='SAME', a smaller window or larger inputs"
            )
    return Windows(size, stride, rate, tuple(paddings), tuple(counts), channels_first)


def _given_padding(where: str, padding: Padding, dims: int) -> tuple[tuple[int, int], ...] | None:
    """`padding` before and after for each spatial dimension; None for SAME."""
    name = padding.upper() if isinstance(padding, str) else None
    if name == "EXPLICIT":
        raise ValueError(
            f"{where}: padding={padding!r} does not say how much; give the numbers of pixels "
            f"themselves, padding={[(1, 1)] * dims} for one on either side"
        )
    if name in ("SAME", "VALID"):
        return None if name == "SAME" else ((0, 0),) * dims
    pairs = np.array(padding, object)
    are_counts = all(isinstance(n, Integral) and int(n) >= 0 for n in pairs.flat)
    if pairs.shape == (dims, 2) and are_counts:
        return tuple((int(before), int(after)) for before, after in pairs)
    accepted = f"'SAME', 'VALID' or a sequence of {dims} pairs (before, after) of integers from 0"
    raise checks.refusal(where, "padding", accepted, repr(padding))


def is_same(where: str, padding: str) -> bool:
    """Whether `padding` is 'SAME' and not 'VALID'; refuses all others."""
    given = padding.upper() if isinstance(padding, str) else None
    if given not in ("SAME", "VALID"):
        raise checks.refusal(where, "padding", "'SAME' or 'VALID'", repr(padding))
    return given == "SAME"
