"""The order of the records: a pure function of a seed and a position.

A run reads an endless stream of records, epoch after epoch. Position 0 is the first record of the
first epoch; position `p` lies in epoch `p // num_records`. All random numbers of the input are
drawn from `(seed, epoch)` (the shuffle) or `(seed, position)` (the augmentation of one example);
`balance.BalancedOrder` draws from `(seed, round of the classes)` and `(seed, class, epoch of it)`.
So they are the same for every batch size and every number of threads and devices, and a run is
resumed from one integer.
"""

import fractions
import functools
import math

import numpy as np

from jslim.core import checks
from jslim.core.seeds import check_seed

_SHUFFLE_STREAM = 0
_EXAMPLE_STREAM = 1
ORDER_OF_CLASSES_STREAM = 2
CLASS_STREAM = 3  # of class 0; the others follow


def _philox(seed: int, stream: int, number: int) -> np.random.Philox:
    """The bit generator of one epoch or one example, with 2**192 steps before the next one's."""
    return np.random.Philox(key=seed | stream << 64, counter=number << 192)


def example_generator(seed: int, position: int) -> np.random.Generator:
    """The generator for the augmentation of the example at a position of the stream.

    >>> example_generator(seed=0, position=7).integers(100, size=3).tolist()
    [83, 7, 48]
    """
    return np.random.Generator(_philox(seed, _EXAMPLE_STREAM, position))


def permutation(seed: int, stream: int, number: int, count: int) -> np.ndarray:
    """The numbers from 0 to `count - 1` in the random order of that number of a stream.

    Sorting raw 64-bit numbers gives the same order with every version of NumPy, which keeps the bit
    stream of a generator but not the results of `Generator.permutation`.
    """
    return np.argsort(_philox(seed, stream, number).random_raw(count), kind="stable")


def epoch_permutation(seed: int, epoch: int, num_records: int) -> np.ndarray:
    """The indices of the records in the order of one epoch, int64 `[num_records]`.

    >>> epoch_permutation(seed=0, epoch=0, num_records=5).tolist()
    [0, 2, 1, 4, 3]
    """
    return permutation(seed, _SHUFFLE_STREAM, epoch, num_records)


def steps_of_epochs(num_epochs: float, num_samples: int, batch_size: int) -> int:
    """The steps in which a data set is gone over so often, rounded up.

    Epochs follow each other without a gap, so only the last batch of all can have images of one
    epoch more than asked for. A number such as 0.1 counts as the decimal number that it is written
    as, not as the nearest binary one.

    Args:
      num_epochs: How often, above 0; 0.5 is half of the images.
      num_samples: The number of records in the data set.
      batch_size: The rows of a batch, over all devices and processes.

    Raises:
      ValueError: An argument is out of range.

    >>> steps_of_epochs(3, num_samples=1437, batch_size=64)  # 67.36
    68
    """
    checks.number("steps_of_epochs", "num_epochs", num_epochs, above=0, below=math.inf)
    num_samples = checks.count("steps_of_epochs", "num_samples", num_samples)
    batch_size = checks.count("steps_of_epochs", "batch_size", batch_size)
    return math.ceil(fractions.Fraction(str(num_epochs)) * num_samples / batch_size)


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
