"""TF-Slim's `DatasetDataProvider`: items of one record after another.

    dataset = slim.dataset.Dataset('flowers_train_*.tfrecord', TFRecordFiles, decoder, None, {})
    provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=False, num_epochs=1)
    image, label = provider.get(['image', 'label'])

For training `slim.data.batches` is faster, and its position can be saved.
"""

import inspect
import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.data.order import Order
from jslim.data.sources import ImageDataset
from jslim.data.tfrecord import TFRecordFiles
from jslim.data.tfrecord_datasets import TFRecordDataset
from jslim.tf_queues.dataset import Dataset
from jslim.tf_queues.queues import OutOfRangeError


class DatasetDataProvider:
    """Gives the items of one record at each `get`.

    Differs from TF-Slim: values are NumPy arrays, and each `get` reads a new record. Each epoch
    shuffles the whole data set anew, by the seed alone. After the last epoch `get` raises an
    `OutOfRangeError`; a loop over the provider ends.

    Args:
      dataset: A `Dataset`, or an `ImageDataset` of `slim.data.get_dataset`.
      num_readers: Ignored, like the capacities: a record is read when it is asked for.
      reader_kwargs: Keyword arguments of the reader.
      shuffle: Whether each epoch has an order of its own.
      num_epochs: The number of epochs; None for no end.
      common_queue_capacity: Ignored.
      common_queue_min: Ignored.
      record_key: The name of the item that identifies the record.
      seed: The seed of the order; None draws one.
      scope: Ignored, since there is no graph.

    Attributes:
      count: The number of records in the files.
      shuffle, num_epochs, seed: As given.

    Raises:
      ValueError: The data set has an item of the name `record_key`, or `num_epochs` is below 1.
      DataError: A file or a record is broken.
    """

    def __init__(
        self,
        dataset: Dataset | ImageDataset,
        num_readers: int = 1,
        reader_kwargs: Mapping[str, object] | None = None,
        shuffle: bool = True,
        num_epochs: int | None = None,
        common_queue_capacity: int = 256,
        common_queue_min: int = 128,
        record_key: str = "record_key",
        seed: int | None = None,
        scope: str | None = None,
    ):
        items = _items_of(dataset)
        if record_key in items:
            raise ValueError(
                f"The item name used for `record_key` cannot also be used for a dataset item: "
                f"{record_key}"
            )
        if num_epochs is not None:
            checks.count("", "num_epochs", num_epochs)
        self._source = (
            _OfImages(dataset)
            if isinstance(dataset, ImageDataset)
            else _OfFiles(dataset, reader_kwargs)
        )
        self._record_key = record_key
        self._items = [*items, record_key]
        self._num_samples = dataset.num_samples
        self.count = count = len(self._source)
        self.shuffle, self.num_epochs, self.seed = shuffle, num_epochs, seed
        order = Order(secrets.randbits(32) if seed is None else seed, count, shuffle=shuffle)
        ends = itertools.count() if num_epochs is None else range(num_epochs * count)
        self._indices = map(order, ends)

    def list_items(self) -> list[str]:
        """The names of the items, the record's key last."""
        return list(self._items)

    def num_samples(self) -> int:
        """The number of records that the data set declares, or else the number in the files."""
        return self.count if self._num_samples is None else self._num_samples

    def get(self, items: Sequence[str]) -> list[Any]:
        """The asked items of the next record, in this order.

        Raises:
          ValueError: `items` is not a list or tuple, or there is no such item.
          OutOfRangeError: All epochs have been read.
        """
        if not isinstance(items, (list, tuple)):
            raise checks.refusal("", "items", "a list or tuple of names", repr(items))
        for item in items:
            checks.known("", "item", item, self._items)
        for index in self._indices:
            return self.read(index, items)
        raise OutOfRangeError("all epochs of the data set have been read")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All items of every record that is left, by name."""
        for index in self._indices:
            yield dict(zip(self._items, self.read(index, self._items), strict=True))

    def read(self, index: int, items: Sequence[str]) -> list[Any]:
        """Items of a record by its number, in `[0, count)`; safe in several threads."""
        decoded = [item for item in items if item != self._record_key]
        values = self._source.decode(index, decoded)
        found = dict(zip(decoded, values, strict=True))
        found[self._record_key] = self._source.record_key(index)
        return [found[item] for item in items]


class _OfFiles:
    """The records of a `Dataset`."""

    def __init__(self, dataset: Dataset, reader_kwargs: Mapping[str, object] | None) -> None:
        reader = dataset.reader or TFRecordFiles
        self._records = reader(dataset.data_sources, **(reader_kwargs or {}))
        self._decoder = dataset.decoder
        # Decoders of TF-Slim's kind take only the record and the items.
        parameters = inspect.signature(dataset.decoder.decode).parameters
        self._is_told_keys = "record_key" in parameters or len(parameters) > 2
        self.record_key = self._records.record_key

    def __len__(self) -> int:
        return len(self._records)

    def decode(self, index: int, items: Sequence[str]) -> Sequence[Any]:
        keys = (self.record_key(index),) if self._is_told_keys else ()
        return self._decoder.decode(self._records[index], items, *keys)


class _OfImages:
    """The records of an `ImageDataset`."""

    def __init__(self, dataset: ImageDataset) -> None:
        self._dataset = dataset
        self.record_key = dataset.record_key

    def __len__(self) -> int:
        return len(self._dataset)

    def decode(self, index: int, items: Sequence[str]) -> Sequence[Any]:
        if isinstance(self._dataset, TFRecordDataset):
            return self._dataset.decode(index, items)
        example = self._dataset[index]
        values = {"image": example["image"], "label": np.int64(example["label"])}
        return [values[item] for item in items]


def _items_of(dataset: Dataset | ImageDataset) -> Sequence[str]:
    if isinstance(dataset, ImageDataset) and not isinstance(dataset, TFRecordDataset):
        return ["image", "label"]
    return dataset.decoder.list_items()


_tf_slim_names.answer_in(__name__)
