"""TF-Slim's `prefetch_queue`: items made ahead in threads.

    queue = slim.prefetch_queue.prefetch_queue(lambda: provider.get(['image', 'label']), capacity=8)
    with slim.queues.QueueRunners([queue]):
        images, labels = queue.dequeue_many(32)

For training, `slim.data.batches` and `slim.data.prefetch_to_device` are faster, and their position
can be saved.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.tf_queues.queues import FIFOQueue, QueueRunner

# The arrays of one item, by place or by name.
Item = Sequence[ArrayLike] | Mapping[str, ArrayLike]


class PrefetchQueue(QueueRunner[Any]):
    """The result of `prefetch_queue`: a queue runner that also gives batches of items."""

    def __init__(self, make: Callable[[], Item], capacity: int, num_threads: int, pad: bool):
        super().__init__(FIFOQueue(capacity), make, num_threads, "jslim-prefetch-queue")
        self._pad = pad

    def dequeue_many(self, n: int) -> Any:
        """The next `n` items, their arrays stacked along a new first axis.

        Raises:
          OutOfRangeError: Fewer items are left; they are lost, as in TensorFlow.
          ValueError: The arrays of one name differ in shape, and `dynamic_pad` is off.
        """
        return self._stack([self.dequeue() for _ in range(checks.count("", "n", n))])

    def dequeue_up_to(self, n: int) -> Any:
        """`dequeue_many`, or a smaller batch at the end.

        Raises:
          OutOfRangeError: No item is left.
        """
        return self._stack(self.take_up_to(checks.count("", "n", n)))

    def _stack(self, items: list[Any]) -> Any:
        if isinstance(items[0], Mapping):
            return stacked(items, "prefetch_queue", self._pad)
        columns = zip(*items, strict=True)
        return [
            _stack_one(column, "prefetch_queue", number, self._pad)
            for number, column in enumerate(columns)
        ]


def stacked(
    items: Sequence[Mapping[str, ArrayLike]], where: str, pad: bool
) -> dict[str, np.ndarray]:
    """The arrays of several items along a new first axis.

    Args:
      items: At least one, all with the same names.
      where: What errors call it.
      pad: Whether arrays of several shapes are filled up with zeros.

    Raises:
      ValueError: The arrays of one name differ in shape, or their ranks do.
    """
    return {
        name: _stack_one([item[name] for item in items], where, name, pad)
        for name in sorted(items[0])
    }


def _stack_one(values: Sequence[ArrayLike], where: str, name: object, pad: bool) -> np.ndarray:
    arrays = [np.asarray(value) for value in values]
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) == 1:
        return np.stack(arrays)
    if not pad or len({len(shape) for shape in shapes}) > 1:
        raise ValueError(
            f"{where}: {name!r} of a batch has the shapes {sorted(set(shapes))}; give "
            "all of them one shape, or one rank and dynamic_pad=True"
        )
    padded = np.zeros((len(arrays), *np.max(shapes, axis=0)), arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return padded


def prefetch_queue(
    tensors: Callable[[], Item] | Iterable[Item],
    capacity: int = 8,
    num_threads: int = 1,
    dynamic_pad: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> PrefetchQueue:
    """Makes items ahead in threads.

    Differs from TF-Slim: the threads run within `slim.queues.QueueRunners([queue])`.

    Args:
      tensors: A function that returns one item, a list or dict of arrays, or an iterable of items.
        In TF-Slim, tensors.
      capacity: The number of items that are made ahead.
      num_threads: The number of threads that make items; 1 for an iterable.
      dynamic_pad: Whether `dequeue_many` pads arrays to one shape, with zeros at their ends.
      shared_name: Ignored: there are no sessions.
      name: Ignored.

    Returns:
      A queue with `dequeue`, `dequeue_many(n)`, `dequeue_up_to(n)` and `size`; iterating over it
      gives the items up to the end.

    Raises:
      ValueError: `capacity` or `num_threads` is below 1, or an iterable has several threads.

    >>> from jslim.tf_queues.queues import QueueRunners
    >>> queue = prefetch_queue([[1, 10], [2, 20]])
    >>> with QueueRunners([queue]):
    ...     [array.tolist() for array in queue.dequeue_many(2)]
    [[1, 2], [10, 20]]
    """
    if not callable(tensors):
        if num_threads > 1:
            raise ValueError(
                f"prefetch_queue: an iterable cannot be read by {num_threads} threads at once; "
                "give a function that makes an item, or num_threads=1"
            )
        tensors = iter(tensors).__next__
    return PrefetchQueue(tensors, capacity, num_threads, dynamic_pad)


_tf_slim_names.answer_in(__name__)
