"""Classes of different sizes: weights of the loss by class, and an order that evens them out."""

import concurrent.futures
import functools
import logging
import os

import numpy as np
from numpy.typing import ArrayLike

from jslim.core import checks
from jslim.core.errors import DataError
from jslim.data._batch_loader import BadRecordError
from jslim.data.order import CLASS_STREAM, ORDER_OF_CLASSES_STREAM, Order, permutation
from jslim.data.sources import ImageDataset, check_label
from jslim.host.stores import REQUESTS

logger = logging.getLogger("jslim")

_AT_ONCE = 1024  # labels that a thread reads
_MAX_THREADS = 16


def labels_of(dataset: ImageDataset, skip_bad_records: int = 0) -> np.ndarray:
    """The label of every record, int64 `[len(dataset)]`; -1 for one that cannot be used.

    Records in files are read for it, which the log says; images are not decoded.

    Args:
      dataset: The data set.
      skip_bad_records: The number of records that may be unreadable or have a label out of range.

    Raises:
      BadRecordError: One more is.
    """
    count, bad = len(dataset), list[str]()

    def label(index: int) -> int:
        try:
            return check_label(dataset, dataset.label(index), dataset.record_key(index))
        except DataError as error:
            bad.append(str(error))
            if len(bad) > skip_bad_records:
                raise BadRecordError(str(error)) from error
            return -1

    at_once = -(-count // REQUESTS) if dataset.is_in_store else _AT_ONCE

    def some(start: int) -> list[int]:
        return [label(index) for index in range(start, min(start + at_once, count))]

    if not dataset.has_labels:
        logger.info("reading the labels of the %d records of %s", count, dataset.name)
    num_threads = 1 if dataset.has_labels else min(_MAX_THREADS, os.cpu_count() or 1)
    if dataset.is_in_store:
        num_threads = REQUESTS
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        parts = list(pool.map(some, range(0, count, at_once)))
    return np.concatenate([np.array(part, np.int64) for part in parts])


def balanced_class_weights(labels: ArrayLike, num_classes: int) -> np.ndarray:
    """Weights with which every class counts as much as any other, float32 `[num_classes]`.

    A class of `count` records among `n` of `k` classes gets `n / (k * count)`, as by scikit-learn's
    `compute_class_weight('balanced')`; so the mean weight of a record is 1. Classes without a
    record are not counted in `k`, and get 1.

    Args:
      labels: The label of every record, integers `[n]`; -1 for one that does not count.
      num_classes: The number of classes.

    Raises:
      ValueError: There is no label, or one is out of range.

    >>> balanced_class_weights([0, 0, 0, 1], num_classes=2).tolist()  # 4 / (2 * 3), 4 / (2 * 1)
    [0.6666666865348816, 2.0]
    """
    where, given = "balanced_class_weights", np.asarray(labels)
    checks.integers(where, "labels", given)
    checks.rank(where, "labels", given, "[num_samples]")
    counted = given[given != -1]
    if not counted.size:
        raise ValueError(f"{where}: there are no labels; pass those of all records")
    if counted.min() < 0 or counted.max() >= num_classes:
        got = f"{counted.min()} to {counted.max()}"
        raise checks.refusal(where, "labels", f"from 0 to {num_classes - 1}", got)
    counts = np.bincount(counted, minlength=num_classes)
    shares = counted.size / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts, shares, 1).astype(np.float32)


class BalancedOrder(Order):
    """An order in which each class comes equally often; picklable.

    With `k` classes, positions 0 to `k - 1` have one record of each, in random order, and so do the
    next `k`. The records of a class are shuffled anew each time that all have come. An epoch is as
    many positions as there are records, so that records of small classes come several times.

    Args:
      seed: As of `Order`.
      labels: The label of every record, int64 `[num_records]`. Records of label -1 never come, and
        classes without a record are left out.

    Raises:
      DataError: No record has a label.

    >>> order = BalancedOrder(0, np.array([0, 0, 0, 1]))
    >>> [order(position) for position in range(6)]
    [3, 0, 1, 3, 3, 2]
    """

    def __init__(self, seed: int, labels: np.ndarray):
        super().__init__(seed, len(labels), shuffle=True)
        self.labels = labels
        by_class = np.argsort(labels, kind="stable")
        classes, starts = np.unique(labels[by_class], return_index=True)
        members = zip(classes.tolist(), np.split(by_class, starts[1:]), strict=True)
        self._classes = [(label, records) for label, records in members if label != -1]
        if not self._classes:
            raise DataError("no record of the data set has a label that can be used")
        # A batch lies in one or two rounds of the classes, or in many if there are few classes.
        self._order_of_classes = functools.lru_cache(maxsize=64)(
            functools.partial(permutation, self.seed, ORDER_OF_CLASSES_STREAM)
        )
        self._order_in_class = functools.lru_cache(maxsize=2 * len(self._classes))(
            functools.partial(permutation, self.seed)
        )

    def __reduce__(self) -> tuple[object, ...]:
        return BalancedOrder, (self.seed, self.labels)

    def __call__(self, position: int) -> int:
        turn, place = divmod(position, len(self._classes))
        label, records = self._classes[self._order_of_classes(turn, len(self._classes))[place]]
        epoch, index = divmod(turn, len(records))
        return int(records[self._order_in_class(CLASS_STREAM + label, epoch, len(records))[index]])
