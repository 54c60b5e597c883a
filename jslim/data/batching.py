"""Batches of a data set, from a position that can be saved and restored exactly."""

import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jslim._errors import DataError
from jslim.data._grain import ReadAhead
from jslim.data.order import Order, example_generator
from jslim.data.sources import ImageDataset

logger = logging.getLogger("jslim")

Batch = dict[str, np.ndarray]

_MAX_THREADS = 16


class BatchIterator(Iterator[Batch]):
    """What `batches` gives: an iterator over batches with a position of its own.

    Close it, or use it in a `with` statement, to end its threads.

    Attributes:
      dataset: Where the records come from.
      batch_size: The rows of every batch.
      bad_records: The records that were left out so far, by their index in the data set, each with
        what is wrong with it.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        order: Order,
        *,
        skip_bad_records: int,
        stop: int | None,
        drop_remainder: bool,
        preprocessing_fn: Callable[..., np.ndarray] | None,
        num_threads: int,
        decode_images: bool,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.bad_records: dict[int, str] = {}
        self._skip_bad_records = skip_bad_records
        self._lock = threading.Lock()  # of bad_records
        self._order = order
        self._stop = stop
        self._drop_remainder = drop_remainder
        self._preprocessing_fn = preprocessing_fn
        self._draws_random_numbers = preprocessing_fn is not None and _takes_rng(preprocessing_fn)
        self._num_threads = num_threads
        self._decode_images = decode_images
        self._position = 0
        self._batches: ReadAhead[Batch] | None = None
        self._is_closed = False

    def __next__(self) -> Batch:
        if self._is_closed:
            raise ValueError(f"the batches of {self.dataset.name!r} are closed; make new ones.")
        end = self._end_of_batch(self._position)
        needed = self.batch_size if self._drop_remainder else 1
        if end - self._position < needed:
            raise StopIteration
        try:
            batch = self._load_next()
        except BaseException:
            self._end_threads()
            raise
        self._position = end
        return batch

    @property
    def element_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape and dtype of every array of a batch. Reads one good record to find out."""
        image, _ = next(filter(None, map(self._load_or_skip, range(self._order.num_records))))
        return {
            "image": jax.ShapeDtypeStruct((self.batch_size, *image.shape), image.dtype),
            "label": jax.ShapeDtypeStruct((self.batch_size,), np.int32),
            "weights": jax.ShapeDtypeStruct((self.batch_size,), np.float32),
        }

    def get_state(self) -> dict[str, Any]:
        """The position after the batches handed out so far, as values that JSON can hold."""
        return {
            "dataset": self.dataset.name,
            "num_samples": self._order.num_records,
            "is_shuffled": self._order.shuffle,
            "seed": self._order.seed,
            "position": self._position,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved position: the next batch starts with the record that comes there.

        The position counts records, so it may come from batches of another size.

        Raises:
          DataError: The position was saved with other data, or in another order.
        """
        for key, ours in self.get_state().items():
            if key not in state:
                raise DataError(
                    f"the saved position of the batches of {self.dataset.name!r} must have "
                    f"{', '.join(self.get_state())}, got {', '.join(state) or 'nothing'}."
                )
            if key != "position" and state[key] != ours:
                raise DataError(
                    f"the saved position cannot be used for the batches of {self.dataset.name!r}: "
                    f"it was saved with {key} {state[key]!r}, these have {ours!r}; use the same "
                    "data and seed, or start anew."
                )
        self._end_threads()
        self._position = int(state["position"])

    def rewind(self) -> None:
        """Goes back to the first record, as evaluation does before each pass."""
        self.set_state({**self.get_state(), "position": 0})

    def close(self) -> None:
        """Ends the threads; no batch can be asked for afterwards."""
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

    def _end_of_batch(self, start: int) -> int:
        end = start + self.batch_size
        return end if self._stop is None else max(start, min(end, self._stop))

    def _load_next(self) -> Batch:
        """The batch at the position, which `ReadAhead` has loaded already if all is well."""
        if not self._num_threads:
            return self._load_batch(self._position)
        if self._batches is None:
            first = self._position
            count = None if self._stop is None else -((first - self._stop) // self.batch_size)
            self._batches = ReadAhead(
                lambda number: self._load_batch(first + number * self.batch_size),
                0,
                count,
                num_threads=self._num_threads,
            )
        return next(self._batches)

    def _load_batch(self, start: int) -> Batch:
        """The batch whose first record is at position `start`."""
        end = self._end_of_batch(start)
        loaded = [self._load_or_skip(position) for position in range(start, end)]
        good = [row for row in loaded if row is not None]
        if not good:
            raise DataError(
                f"every record of a batch of {self.dataset.name!r} is bad; the last one: "
                f"{self.bad_records[self._order(end - 1)]}"
            )
        for position, row in zip(range(start, end), loaded, strict=True):
            if row is not None and row[0].shape != good[0][0].shape:
                first = next(p for p, r in zip(range(start, end), loaded, strict=True) if r)
                raise DataError(
                    f"the images of a batch must have one shape: {self._key(position)!r} has "
                    f"{row[0].shape}, {self._key(first)!r} has {good[0][0].shape}; pass a "
                    "preprocessing_fn that gives all of them one size."
                )
        rows = loaded + [None] * (self.batch_size - len(loaded))
        weights = np.array([row is not None for row in rows], np.float32)
        # Copies of a real record, not zeros: should a net make NaN of an empty image, that would
        # get through a weight of 0.
        images, labels = zip(*(row or good[-1] for row in rows), strict=True)
        return {"image": np.stack(images), "label": np.array(labels, np.int32), "weights": weights}

    def _load_or_skip(self, position: int) -> tuple[np.ndarray, int] | None:
        """`_load_example`, or None for a bad record while there are not too many."""
        try:
            return self._load_example(position)
        except DataError as error:
            self._note_bad_record(self._order(position), error)
            return None

    def _note_bad_record(self, index: int, error: DataError) -> None:
        with self._lock:
            if index in self.bad_records:
                return
            if len(self.bad_records) < self._skip_bad_records:
                self.bad_records[index] = str(error)
                logger.warning("bad record %d is left out: %s", len(self.bad_records), error)
                return
        if not self._skip_bad_records:
            raise error
        raise DataError(
            f"{error} (this is one bad record more than skip_bad_records={self._skip_bad_records} "
            "allows)"
        ) from error

    def _load_example(self, position: int) -> tuple[np.ndarray, int]:
        """The preprocessed image and the checked label at a position of the stream."""
        index = self._order(position)
        example = self.dataset[index] if self._decode_images else self.dataset.undecoded(index)
        image: Any = example["image"]
        label, key = example["label"], example["record_key"]
        if not 0 <= label < self.dataset.num_classes:
            raise DataError(
                f"record {key!r} of {self.dataset.name!r} has label {label}, outside 0 to "
                f"{self.dataset.num_classes - 1}, the labels of its {self.dataset.num_classes} "
                "classes; correct the label or num_classes."
            )
        if self._preprocessing_fn is not None:
            options = {}
            if self._draws_random_numbers:
                options["rng"] = example_generator(self._order.seed, position)
            try:
                image = self._preprocessing_fn(image, **options)
            except DataError:
                raise  # of decoding, which names the record
            except ValueError as error:
                raise DataError(f"record {key!r} of {self.dataset.name!r}: {error}") from error
        return image, label

    def _key(self, position: int) -> str:
        return self.dataset[self._order(position)]["record_key"]


def _takes_rng(function: Callable[..., Any]) -> bool:
    try:
        return "rng" in inspect.signature(function).parameters
    except ValueError:  # Some functions written in C have no signature.
        return False


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
    skip_bad_records: int = 0,
    decode_images: bool = True,
) -> BatchIterator:
    """Iterates over batches of a data set, in an order that depends on the seed alone.

    In training the records are shuffled anew in every epoch and go on for ever; a batch may hold
    the end of one epoch and the beginning of the next, so that no record is left out and every
    batch is full. In evaluation the records come once, as they are in the data set. Where the
    records end, the last batch is filled up with rows of weight 0.

    The order and the random numbers of every record are the same for any number of threads or
    devices, with Grain or without it, and for any batch size.

    Args:
      dataset: Where the records come from.
      batch_size: The rows of a batch, over all devices.
      is_training: Whether to shuffle and to repeat.
      preprocessing_fn: From the image of one record, `[height, width, channels]`, to what stands
        in the batch. If it has an argument `rng`, that is the `numpy.random.Generator` of this
        record in this epoch. None takes images as they are.
      seed: What the order and the generators are drawn from.
      num_epochs: After how many epochs to stop; None means never in training, and 1 in evaluation.
      drop_remainder: Whether to leave out a last batch that is not full.
      num_threads: How many threads read ahead, through Grain; 0 reads in the calling thread. By
        default 0 for data in memory, otherwise one for each CPU core, at most 16.
      skip_bad_records: How many records may be left out that cannot be read or decoded, or have a
        label out of range. Their rows have weight 0, so that the order and the position stay what
        they are. Each is logged once, and stands in `bad_records`; one more is an error.
      decode_images: False gives `preprocessing_fn` an `EncodedImage` where the image comes from a
        file. Those of `slim.preprocessing` then decode large JPEGs in a smaller size, in training.

    Returns:
      An iterator over `{'image': [batch_size, height, width, channels], 'label': int32
      [batch_size], 'weights': float32 [batch_size]}`, NumPy arrays, where `weights` is 1 for a
      record and 0 for a row that fills up the last batch or stands for a bad record. It has
      `get_state`, `set_state`, `element_spec` and `close`.

    Raises:
      ValueError: An argument is out of range.
      DataError: From `next`: a record cannot be read, or its label is out of range.
    """
    for name, number, lowest in (
        ("batch_size", batch_size, 1),
        ("num_epochs", 1 if num_epochs is None else num_epochs, 1),
        ("num_threads", num_threads or 0, 0),
        ("skip_bad_records", skip_bad_records, 0),
    ):
        if number < lowest:
            raise ValueError(f"{name} must be at least {lowest}, got {number}.")
    if num_epochs is None and not is_training:
        num_epochs = 1
    if num_threads is None:
        num_threads = 0 if dataset.is_in_memory else min(_MAX_THREADS, os.cpu_count() or 1)
    return BatchIterator(
        dataset,
        batch_size,
        Order(seed, len(dataset), shuffle=is_training),
        stop=None if num_epochs is None else num_epochs * len(dataset),
        drop_remainder=drop_remainder,
        preprocessing_fn=preprocessing_fn,
        num_threads=num_threads,
        skip_bad_records=skip_bad_records,
        decode_images=decode_images or preprocessing_fn is None,
    )
