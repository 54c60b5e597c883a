"""Batches of a data set, from a position that can be saved and restored exactly."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jslim.core import checks, reprs
from jslim.core.errors import DataError
from jslim.data._batch_loader import BadRecordError, Batch, BatchLoader, Loaded
from jslim.data._grain import ReadAhead
from jslim.data._image_arrays import check_images
from jslim.data.balance import BalancedOrder, labels_of
from jslim.data.order import Order
from jslim.data.orientation import UnappliedOrientations
from jslim.data.sources import ArrayDataset, ImageDataset
from jslim.data.subset import whole_of

logger = logging.getLogger("jslim")

_MAX_THREADS = 16

State = dict[str, Any]  # a position, in values of JSON

_OF_RECORDS = ("dataset", "num_samples", "files")  # what a position says of its data


class OtherDataError(DataError):
    """A position was saved with other records: `takes_other_data` starts a new epoch there."""


@dataclasses.dataclass(eq=False, repr=False)
class BatchIterator(Iterator[Batch]):
    """The iterator of `batches`, with a position that can be saved.

    Close it, or use it in a `with` statement, to end its threads and processes.

    Attributes:
      loader: Makes the batches.
      skip_bad_records, drop_remainder, num_threads, num_workers, takes_other_data: As of `batches`.
      bad_records: The errors of the records that were left out so far, by their index in the data
        set.
    """

    loader: BatchLoader
    _: dataclasses.KW_ONLY
    skip_bad_records: int
    drop_remainder: bool
    num_threads: int
    num_workers: int
    takes_other_data: bool
    bad_records: dict[int, str] = dataclasses.field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._position = 0
        self._batches: ReadAhead[Loaded] | None = None
        self._is_closed = False
        self._orientations = UnappliedOrientations(self.dataset.name)

    def __repr__(self) -> str:
        order = self.loader.order
        epoch, image = divmod(self._position, len(self.dataset))
        parts = [
            f"BatchIterator of {self.dataset.name!r}: batches of {self.batch_size:,}",
            f"{'shuffled' if order.shuffle else 'in order'}",
            f"at image {image:,} of {len(self.dataset):,} in epoch {epoch + 1}",
        ]
        if self.bad_records:
            parts.append(f"{reprs.counted(len(self.bad_records), 'bad record')} left out")
        if self._is_closed:
            parts.append("closed")
        return f"<{', '.join(parts)}>"

    @property
    def dataset(self) -> ImageDataset:
        """The data set."""
        return self.loader.dataset

    @property
    def batch_size(self) -> int:
        """The rows of every batch, over all shards."""
        return self.loader.batch_size

    def __next__(self) -> Batch:
        if self._is_closed:
            raise ValueError(f"the batches of {self.dataset.name!r} are closed; make new ones")
        end = self.loader.end_of_batch(self._position)
        needed = self.batch_size if self.drop_remainder else 1
        if end - self._position < needed:
            raise StopIteration
        try:
            loaded = self._load_next()
            for index, reason in loaded.bad.items():
                self._note_bad_record(index, reason)
        except BaseException:
            self._end_threads()
            raise
        self._position = end
        self._orientations.note(loaded.unapplied, int(loaded.batch["weights"].sum()))
        return loaded.batch

    @property
    def element_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape and dtype of every array of a whole batch; one good record is read for it."""
        image, _ = self.loader.load_good_record()
        return {
            "image": jax.ShapeDtypeStruct((self.batch_size, *image.shape), image.dtype),
            "label": jax.ShapeDtypeStruct((self.batch_size,), np.int32),
            "weights": jax.ShapeDtypeStruct((self.batch_size,), np.float32),
        }

    def get_state(self) -> State:
        """The position after the batches handed out so far, in values of JSON."""
        return {
            "dataset": self.dataset.name,
            "num_samples": self.loader.order.num_records,
            "files": self.dataset.fingerprint,
            "is_shuffled": self.loader.order.shuffle,
            "is_balanced": isinstance(self.loader.order, BalancedOrder),
            "seed": self.loader.order.seed,
            "position": self._position,
        }

    def record_keys(self, state: State) -> list[str]:
        """The `record_key`s of the records in the batch that ends at `state`."""
        end = int(state["position"])
        positions = range(max(0, end - self.batch_size), end)
        return [self.dataset.record_key(self.loader.order(position)) for position in positions]

    def epoch_of(self, state: State) -> float:
        """How often the records were gone over before `state`.

        >>> from jslim.data import digits
        >>> made = batches(digits("test"), 90, is_training=True)
        >>> made.epoch_of({**made.get_state(), "position": 540})
        1.5
        """
        return int(state["position"]) / self.loader.order.num_records

    def __length_hint__(self) -> int:
        """How many batches are left; for `operator.length_hint`."""
        if self.loader.stop is None:
            return NotImplemented
        left = max(self.loader.stop - self._position, 0)
        return left // self.batch_size if self.drop_remainder else -(-left // self.batch_size)

    def set_state(self, state: State) -> None:
        """Goes on from a saved position: the next batch starts with the record at that position.

        The position counts records, so it may come from batches of another size. With
        `takes_other_data` it may also come from other records, such as before images were added:
        the next batch then starts the epoch after the one that the position is in.

        Raises:
          DataError: The position was saved with other data, or in another order.
        """
        ours = self.get_state()
        # What positions of earlier versions do not say.
        unsaid = {"files": self.dataset.fingerprint, "is_balanced": False}
        is_other = False
        for key, value in ours.items():
            if key not in {**state, **unsaid}:
                raise DataError(
                    f"the saved position of the batches of {self.dataset.name!r} must have "
                    f"{', '.join(ours)}, got {', '.join(state) or 'nothing'}"
                )
            saved = state.get(key, unsaid.get(key))
            if key == "position" or saved == value:
                continue
            is_other = True
            if not (self.takes_other_data and key in _OF_RECORDS):
                kind = OtherDataError if key in _OF_RECORDS else DataError
                raise kind(
                    f"the saved position cannot be used for the batches of {self.dataset.name!r}: "
                    f"it was saved with {key} {saved!r}, these have {value!r}; use the same "
                    "data and seed, or start anew"
                )
        position = _number_of_records(state["position"], self.dataset.name)
        if is_other:
            count = _number_of_records(state["num_samples"], self.dataset.name)
            epoch = -(-position // max(1, count))
            position = _number_of_records(epoch * self.loader.order.num_records, self.dataset.name)
            logger.warning(
                "the records of %r are not those of the saved position (%d then, %d now): epoch %d "
                "starts with them",
                self.dataset.name,
                count,
                self.loader.order.num_records,
                epoch + 1,
            )
        self._end_threads()
        self._position = position

    def rewind(self) -> None:
        """Goes back to the first record."""
        self.set_state({**self.get_state(), "position": 0})

    def close(self) -> None:
        """Ends threads and processes; `next` raises an error from then on."""
        self._is_closed = True
        self._end_threads()

    def __enter__(self) -> "BatchIterator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_threads(self) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _load_next(self) -> Loaded:
        """The batch at the position, by `ReadAhead` where threads or processes load."""
        if not (self.num_threads or self.num_workers):
            return self.loader(self._position)
        if self._batches is None:
            first, stop = self._position, self.loader.stop
            self._batches = ReadAhead(
                functools.partial(self.loader.batch_number, first=first),
                0,
                None if stop is None else -((first - stop) // self.batch_size),
                num_threads=self.num_threads,
                num_workers=self.num_workers,
            )
        return next(self._batches)

    def _note_bad_record(self, index: int, reason: str) -> None:
        if index in self.bad_records:
            return
        if len(self.bad_records) == self.skip_bad_records:
            raise BadRecordError(
                f"{reason} (this is one bad record more than "
                f"skip_bad_records={self.skip_bad_records} allows)"
            )
        self.bad_records[index] = reason
        logger.warning("bad record %d is left out: %s", len(self.bad_records), reason)


def batches(
    dataset: ImageDataset,
    batch_size: int,
    *,
    is_training: bool,
    preprocessing_fn: Callable[..., np.ndarray] | None = None,
    seed: int = 0,
    num_epochs: int | None = None,
    drop_remainder: bool = False,
    num_threads: int | None = None,
    num_workers: int = 0,
    skip_bad_records: int = 0,
    decode_images: bool = True,
    shard: tuple[int, int] = (0, 1),
    balanced_sampling: bool = False,
    takes_other_data: bool = False,
) -> BatchIterator:
    """Iterates over batches of a data set, in an order that depends on the seed alone.

    In training the records are shuffled anew in every epoch and repeat without end. A batch may
    hold the end of one epoch and the beginning of the next, so that no record is left out and every
    batch is full. In evaluation the records come once, in the order of the data set. Where the
    records end, the last batch is filled up with rows of weight 0.

    The order and the random numbers of every record are the same for any batch size and any number
    of threads, processes, shards or devices, with and without Grain.

    Args:
      dataset: The data set.
      batch_size: The rows of a batch, over all devices.
      is_training: Whether to shuffle and to repeat.
      preprocessing_fn: Takes the image of one record, `[height, width, channels]`, and returns the
        row of the batch. If it has an argument `rng`, it gets a `numpy.random.Generator` of this
        record in this epoch. None leaves images as they are.
      seed: The seed of the order and of the generators.
      num_epochs: The number of epochs; by default there is no end in training, and 1 in evaluation.
      drop_remainder: Whether to leave out a last batch that is not full.
      num_threads: The number of threads that read ahead, by Grain; 0 reads in the calling thread.
        By default 0 for data in memory, otherwise one for each CPU core, at most 16.
      num_workers: The number of processes that read ahead instead, by Grain, for more cores than
        the threads of one process can use. They take seconds to start, and the program needs
        `if __name__ == '__main__':`.
      skip_bad_records: The number of records that may be left out because they cannot be read or
        decoded, or have a label out of range. Their rows have weight 0; order and position stay the
        same. Each is logged once and added to `bad_records`; one more is an error.
      decode_images: False passes an `EncodedImage` to `preprocessing_fn` where the image comes from
        a file. In training, `slim.preprocessing` then decodes large JPEGs in a smaller size.
      shard: `(index, count)`. With several hosts, give `(jax.process_index(),
        jax.process_count())`: each host makes its `batch_size // count` rows of every batch.
      balanced_sampling: Whether in training each class comes equally often: every round of the
        classes has one record of each; see `jslim.data.balance.BalancedOrder`. An epoch has as many
        records as the data set all the same. The labels of all records are read for it.
      takes_other_data: Whether `set_state` takes a position of other records, such as before images
        were added, and starts a new epoch there. Otherwise it is an error.

    Returns:
      An iterator over `{'image': [batch_size, height, width, channels], 'label': int32
      [batch_size], 'weights': float32 [batch_size]}`, NumPy arrays. `weights` is 1 for a record and
      0 for a row that fills up the last batch or replaces a bad record. The iterator has
      `get_state`, `set_state`, `element_spec` and `close`.

    Raises:
      ValueError: An argument is out of range, or images in memory have values outside `[0, 255]`
        and `preprocessing_fn` is of `slim.preprocessing`.
      DataError: From `next`: a record cannot be read, or its label is out of range.
      RuntimeError: From `next`: a process was killed.

    >>> from jslim.data import digits
    >>> batch = next(batches(digits("test"), 64, is_training=False))
    >>> batch["image"].shape, batch["label"].shape, float(batch["weights"].sum())
    ((64, 8, 8, 1), (64,), 64.0)
    """
    checks.count("", "batch_size", batch_size)
    checks.count("", "num_epochs", 1 if num_epochs is None else num_epochs)
    checks.number("", "num_threads", num_threads or 0, at_least=0)
    checks.number("", "num_workers", num_workers, at_least=0)
    checks.number("", "skip_bad_records", skip_bad_records, at_least=0)
    if balanced_sampling and not is_training:
        raise ValueError(
            "balanced_sampling is for training: in evaluation each record comes once; leave it out"
        )
    if num_epochs is None and not is_training:
        num_epochs = 1
    if num_threads is None:
        num_threads = 0 if dataset.is_in_memory else min(_MAX_THREADS, os.cpu_count() or 1)
    whole = whole_of(dataset)
    if isinstance(whole, ArrayDataset) and _is_of_slim(preprocessing_fn):
        check_images(whole.images, repr(whole.name), in_255=True)
    index, count = shard
    if not 0 <= index < count or batch_size % count:
        raise ValueError(
            f"shard must be (index, count) with an index below the count, and the batch_size a "
            f"multiple of the count; got {shard} and batch_size {batch_size}"
        )
    order = Order(seed, len(dataset), shuffle=is_training)
    if balanced_sampling:
        order = BalancedOrder(order.seed, labels_of(dataset, skip_bad_records))
    loader = BatchLoader(
        dataset=dataset,
        batch_size=batch_size,
        order=order,
        stop=None if num_epochs is None else num_epochs * len(dataset),
        preprocessing_fn=preprocessing_fn,
        decode_images=decode_images or preprocessing_fn is None,
        skips_bad_records=skip_bad_records > 0,
        shard=shard,
    )
    return BatchIterator(
        loader,
        skip_bad_records=skip_bad_records,
        drop_remainder=drop_remainder,
        num_threads=num_threads,
        num_workers=num_workers,
        takes_other_data=takes_other_data,
    )


def _number_of_records(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise DataError(
            f"the saved position of the batches of {name!r} must be a number of records, got "
            f"{value!r}; start anew"
        )
    return value


def _is_of_slim(preprocessing_fn: Callable[..., np.ndarray] | None) -> bool:
    """Whether it is a function of `slim.preprocessing`, which takes values from 0 to 255."""
    while isinstance(preprocessing_fn, functools.partial):
        preprocessing_fn = preprocessing_fn.func
    return str(getattr(preprocessing_fn, "__module__", "")).startswith("jslim.preprocessing.")
