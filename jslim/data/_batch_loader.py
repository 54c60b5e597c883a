"""One batch of a data set: its records loaded, preprocessed, checked and stacked."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from jslim.core.errors import DataError
from jslim.data.decode import EncodedImage
from jslim.data.order import Order, example_generator
from jslim.data.sources import Example, ImageDataset, check_label
from jslim.host.stores import REQUESTS

Batch = dict[str, np.ndarray]
Preprocessing = Callable[..., np.ndarray]
Read = Callable[[int], Example]  # the record at a position


class Loaded(NamedTuple):
    """What the loader makes.

    Attributes:
      batch: The batch.
      bad: The errors of its bad records, by their index in the data set.
      unapplied: The record keys of images with an EXIF orientation that is not applied.
    """

    batch: Batch
    bad: dict[int, str]
    unapplied: list[str]


class BadRecordError(DataError):
    """A record cannot be read, or its label is out of range: `skip_bad_records` leaves it out."""

    @classmethod
    def of(cls, error: DataError) -> "BadRecordError":
        """The error of a record, with what to do."""
        remedy = "give skip_bad_records=N to leave out as many as N records like it"
        return cls(f"{error}; or {remedy}")


@dataclasses.dataclass(kw_only=True)
class BatchLoader:
    """Makes the batch that begins at a position; picklable if its attributes are.

    Attributes:
      dataset: The data set.
      batch_size: The rows of every batch, over all shards.
      order: The record at each position.
      stop: The position after the last one; None for no end.
      preprocessing_fn: As of `batches`.
      decode_images: As of `batches`.
      skips_bad_records: Whether a record that cannot be read is left out, or an error.
      shard: As of `batches`: which rows of every batch are made.
    """

    dataset: ImageDataset
    batch_size: int
    order: Order
    stop: int | None
    preprocessing_fn: Preprocessing | None
    decode_images: bool
    skips_bad_records: bool
    shard: tuple[int, int]

    def __post_init__(self) -> None:
        function = self.preprocessing_fn
        self._draws_random_numbers = function is not None and _takes_rng(function)

    def end_of_batch(self, start: int) -> int:
        """The position after the last record of the batch that begins at `start`."""
        end = start + self.batch_size
        return end if self.stop is None else max(start, min(end, self.stop))

    def batch_number(self, number: int, first: int) -> Loaded:
        """The batch `number` batches after the one that begins at `first`."""
        return self(first + number * self.batch_size)

    def __call__(self, start: int) -> Loaded:
        """The rows of this shard of the batch whose first record is at position `start`."""
        index, count = self.shard
        num_rows = self.batch_size // count
        first_row = start + index * num_rows
        positions = range(first_row, min(first_row + num_rows, self.end_of_batch(start)))
        bad: dict[int, str] = {}
        unapplied: list[str] = []
        labels, weights = np.zeros(num_rows, np.int32), np.zeros(num_rows, np.float32)
        images: np.ndarray | None = None
        read = self._reader(positions)
        for row, position in enumerate(positions):
            if (example := self.load_or_skip(position, bad, unapplied, read)) is None:
                continue
            image, label = example
            if images is None:
                images = np.empty((num_rows, *image.shape), image.dtype)
                first = position
            if image.shape != images.shape[1:]:
                raise DataError(
                    f"the images of a batch must have one shape: {self._key(position)!r} has "
                    f"{image.shape}, {self._key(first)!r} has {images.shape[1:]}; pass a "
                    "preprocessing_fn that gives all of them one size"
                )
            if image.dtype != images.dtype:
                images = images.astype(np.result_type(images, image))
            # At once: the image is still in the processor's cache.
            images[row], labels[row], weights[row], last = image, label, 1, row
        if images is None and positions:
            raise DataError(
                f"every record of a batch of {self.dataset.name!r} is bad; the last one: "
                f"{bad[self.order(positions[-1])]}"
            )
        if images is None:  # the records end before the rows of this shard
            image, label = self.load_good_record(start)
            images, last = np.empty((num_rows, *image.shape), image.dtype), 0
            images[0], labels[0] = image, label
        # Copies of a real record, not zeros: a network may give NaN for an empty image, and NaN
        # times a weight of 0 is NaN.
        images[weights == 0], labels[weights == 0] = images[last], labels[last]
        batch = {"image": images, "label": labels, "weights": weights}
        return Loaded(batch, bad, unapplied)

    def _reader(self, positions: Iterable[int]) -> Read:
        """What gives the record at each position; those in an object store are asked for now."""
        if not self.dataset.is_in_store:
            return self._read
        pool = _request_threads()
        found = {position: pool.submit(self._read, position) for position in positions}
        return lambda position: found.pop(position).result()

    def _read(self, position: int) -> Example:
        return self.dataset.undecoded(self.order(position))

    def load_or_skip(
        self, position: int, bad: dict[int, str], unapplied: list[str], read: Read | None = None
    ) -> tuple[np.ndarray, int] | None:
        """The preprocessed image and the label; None for a bad record, whose error `bad` gets.

        If it has an EXIF orientation that is not applied, its key is added to `unapplied`.
        """
        try:
            return self._load_example((read or self._read)(position), position, unapplied)
        except DataError as error:
            if not self.skips_bad_records:
                raise BadRecordError.of(error) from error
            bad[self.order(position)] = str(error)
            return None

    def load_good_record(self, start: int = 0) -> tuple[np.ndarray, int]:
        """The first record at or after a position that can be read."""
        found = (self.load_or_skip(start + k, {}, []) for k in range(self.order.num_records))
        if (row := next(filter(None, found), None)) is None:
            raise DataError(f"no record of {self.dataset.name!r} can be read")
        return row

    def _load_example(
        self, example: Example, position: int, unapplied: list[str]
    ) -> tuple[np.ndarray, int]:
        """The preprocessed image and the checked label of a record."""
        image, key = example["image"], example["record_key"]
        if isinstance(image, EncodedImage):
            if image.has_unapplied_orientation:
                unapplied.append(key)
            if self.decode_images:
                image = np.asarray(image)
        label = check_label(self.dataset, example["label"], key)
        if self.preprocessing_fn is not None:
            options = {}
            if self._draws_random_numbers:
                options["rng"] = example_generator(self.order.seed, position)
            try:
                image = self.preprocessing_fn(image, **options)
            except DataError:
                raise  # an error of decoding, which names the record
            except ValueError as error:
                raise DataError(f"record {key!r} of {self.dataset.name!r}: {error}") from error
        return np.asarray(image), label

    def _key(self, position: int) -> str:
        return self.dataset[self.order(position)]["record_key"]


@functools.cache
def _request_threads() -> ThreadPoolExecutor:
    """The threads that ask object stores for records, for all loaders of this process."""
    return ThreadPoolExecutor(REQUESTS, thread_name_prefix="records")


def _takes_rng(function: Preprocessing) -> bool:
    try:
        return "rng" in inspect.signature(function).parameters
    except ValueError:  # some functions written in C have no signature
        return False
