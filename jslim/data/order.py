"""Which record comes when: one pure function of a seed and a position.

A run reads an endless stream of records, the epochs one after the other. Position 0 is the first
record of the first epoch; position `p` lies in epoch `p // num_records`. Everything random about
the input (the shuffle, the augmentation of one example) is drawn from `(seed, epoch)` or
`(seed, position)` alone, so it is the same for every batch size, number of threads and number of
devices, and a run is resumed from one integer.
"""

import functools
from typing import Any

import numpy as np

from jslim.core.seeds import check_seed

_SHUFFLE_STREAM = 0
_EXAMPLE_STREAM = 1


def _philox(seed: int, stream: int, number: int) -> np.random.Philox:
    """The bit generator of one epoch or one example; its counter has 2**192 steps of its own."""
    return np.random.Philox(key=seed | stream << 64, counter=number << 192)


def example_generator(seed: int, position: int) -> np.random.Generator:
    """The random numbers that the example at `position` of the stream is augmented with."""
    return np.random.Generator(_philox(seed, _EXAMPLE_STREAM, position))


def epoch_permutation(seed: int, epoch: int, num_records: int) -> np.ndarray:
    """The record indices of one epoch in shuffled order, int64 `[num_records]`.

    Sorting raw 64-bit numbers keeps the order the same on every NumPy: only the bit stream of a
    generator is promised to stay, not what `Generator.permutation` makes of it.
    """
    keys = _philox(seed, _SHUFFLE_STREAM, epoch).random_raw(num_records)
    return np.argsort(keys, kind="stable")


class Order:
    """The record index at each position of the stream.

    Args:
      seed: What the shuffles are drawn from, in `[0, 2**64)`.
      num_records: How many records one epoch has.
      shuffle: Whether each epoch has an order of its own; otherwise records come as they are.

    Example: `Order(seed=0, num_records=3, shuffle=False)` gives 0, 1, 2, 0, 1, 2, ... for the
    positions 0, 1, 2, 3, 4, 5, ...
    """

    def __init__(self, seed: int, num_records: int, *, shuffle: bool):
        self.seed = seed = check_seed(seed)
        self.num_records = num_records
        self.shuffle = shuffle
        # Two, because a batch may lie across the boundary of two epochs.
        self._permutation = functools.lru_cache(maxsize=2)(
            functools.partial(epoch_permutation, seed, num_records=num_records)
        )

    def __reduce__(self) -> Any:
        return functools.partial(Order, self.seed, self.num_records, shuffle=self.shuffle), ()

    def __call__(self, position: int) -> int:
        """The index of the record at `position`."""
        epoch, index = divmod(position, self.num_records)
        return int(self._permutation(epoch)[index]) if self.shuffle else index
