"""The order of the records: a pure function of a seed and a position.

A run reads an endless stream of records, epoch after epoch. Position 0 is the first record of the
first epoch; position `p` lies in epoch `p // num_records`. All random numbers of the input are
drawn from `(seed, epoch)` (the shuffle) or `(seed, position)` (the augmentation of one example).
So they are the same for every batch size and every number of threads and devices, and a run is
resumed from one integer.
"""

import functools

import numpy as np

from jslim.core.seeds import check_seed

_SHUFFLE_STREAM = 0
_EXAMPLE_STREAM = 1


def _philox(seed: int, stream: int, number: int) -> np.random.Philox:
    """The bit generator of one epoch or one example, with 2**192 steps before the next one's."""
    return np.random.Philox(key=seed | stream << 64, counter=number << 192)


def example_generator(seed: int, position: int) -> np.random.Generator:
    """The generator for the augmentation of the example at a position of the stream.

    >>> example_generator(seed=0, position=7).integers(100, size=3).tolist()
    [83, 7, 48]
    """
    return np.random.Generator(_philox(seed, _EXAMPLE_STREAM, position))


def epoch_permutation(seed: int, epoch: int, num_records: int) -> np.ndarray:
    """The indices of the records in the order of one epoch, int64 `[num_records]`.

    Sorting raw 64-bit numbers gives the same order with every version of NumPy, which keeps the bit
    stream of a generator but not the results of `Generator.permutation`.

    >>> epoch_permutation(seed=0, epoch=0, num_records=5).tolist()
    [0, 2, 1, 4, 3]
    """
    keys = _philox(seed, _SHUFFLE_STREAM, epoch).random_raw(num_records)
    return np.argsort(keys, kind="stable")


class Order:
    """The index of the record at each position of the stream; picklable.

    Args:
      seed: The seed of the shuffles, in `[0, 2**64)`.
      num_records: The number of records in an epoch.
      shuffle: Whether each epoch has an order of its own; otherwise it is that of the data set.

    >>> order = Order(seed=0, num_records=3, shuffle=False)
    >>> [order(position) for position in range(6)]
    [0, 1, 2, 0, 1, 2]
    """

    def __init__(self, seed: int, num_records: int, *, shuffle: bool):
        self.seed = seed = check_seed(seed)
        self.num_records = num_records
        self.shuffle = shuffle
        # Two permutations are kept: a batch may lie across the boundary of two epochs.
        self._permutation = functools.lru_cache(maxsize=2)(
            functools.partial(epoch_permutation, seed, num_records=num_records)
        )

    def __reduce__(self) -> tuple[object, ...]:
        return functools.partial(Order, self.seed, self.num_records, shuffle=self.shuffle), ()

    def __call__(self, position: int) -> int:
        """The index of the record at `position`."""
        epoch, index = divmod(position, self.num_records)
        return int(self._permutation(epoch)[index]) if self.shuffle else index
