"""Batches for scripts whose queues made them: a function of one record, and what reads records.

    provider = slim.dataset_data_provider.DatasetDataProvider(dataset)

    def load_record(image, label):
        return {'image': preprocess(image), 'label': label}

    records = loaders.items(provider, ['image', 'label'])
    batches = loaders.batches(records, load_record, batch_size=32)
    batch = next(batches)                                  # {'image': ..., 'label': ...}

`jslim port` writes this in place of `tf.train.batch`, `slice_input_producer` and readers. New
programs use `slim.data.batches`.
"""

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np

from jslim.compat.tf import read_file
from jslim.core import checks
from jslim.core.errors import DataError
from jslim.core.model import Model
from jslim.core.seeds import key_of
from jslim.data._grain import ReadAhead
from jslim.data.order import Order, example_generator
from jslim.data.tfrecord import TFRecordFiles
from jslim.preprocessing.images import drawing_from
from jslim.tf_queues.dataset_data_provider import DatasetDataProvider
from jslim.tf_queues.prefetch_queue import stacked

Batch = dict[str, np.ndarray]
State = dict[str, Any]  # a position, in values of JSON


class Records:
    """Records by number, and how a queue of them was asked for.

    Args:
      read: Gives what the function of a record takes, by the number of the record.
      count: The number of records.
      shuffle: Whether each epoch has an order of its own, of all records.
      num_epochs: The number of epochs; None for no end.
      seed: The seed of the order; None for 0.

    Raises:
      DataError: There is no record.
    """

    def __init__(
        self,
        read: Callable[[int], Sequence[Any]],
        count: int,
        shuffle: bool = True,
        num_epochs: int | None = None,
        seed: int | None = None,
    ) -> None:
        if not count:
            raise DataError("loaders: there is no record; give at least one")
        if num_epochs is not None:
            checks.count("loaders", "num_epochs", num_epochs)
        self.read, self.count = read, count
        self.shuffle, self.num_epochs, self.seed = bool(shuffle), num_epochs, seed


def items(provider: DatasetDataProvider, names: Sequence[str]) -> Records:
    """Items of the records of a provider: in place of `provider.get(names)`.

    Order, epochs and seed are those that the provider was given.

    Raises:
      ValueError: The data set has no such item.
    """
    for name in names:
        checks.known("loaders.items", "name", name, provider.list_items())
    return Records(
        functools.partial(provider.read, items=list(names)),
        provider.count,
        provider.shuffle,
        provider.num_epochs,
        provider.seed,
    )


def slices(
    tensor_list: Sequence[Any],
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
) -> Records:
    """Rows of arrays: in place of `tf.train.slice_input_producer`.

    Args:
      tensor_list: Arrays or lists of one length.
      num_epochs, shuffle, seed: As of `Records`.

    Raises:
      ValueError: They are of several lengths.
    """
    arrays = [_array(values) for values in tensor_list]
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(
            f"loaders.slices: all arrays must have one length, got {[len(a) for a in arrays]}"
        )

    def read(index: int) -> list[Any]:
        # The text of an array of NumPy is bytes in TensorFlow.
        return [_value(array[index]) for array in arrays]

    return Records(read, lengths.pop(), shuffle, num_epochs, seed)


def records(
    string_tensor: Sequence[str] | str,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
) -> Records:
    """Records of TFRecord files: in place of `string_input_producer` and `TFRecordReader`.

    Differs from TensorFlow: with `shuffle` the order of all records changes, not of files only.

    Args:
      string_tensor: The files, or a pattern of `slim.data.get_data_files`.
      num_epochs, shuffle, seed: As of `Records`, which give the key and the bytes of one.

    Raises:
      DataError: A file is broken, or there is none.
    """
    files = TFRecordFiles(string_tensor)

    def read(index: int) -> tuple[str, bytes]:
        return files.record_key(index), files[index]

    return Records(read, len(files), shuffle, num_epochs, seed)


def files(
    string_tensor: Sequence[str],
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
) -> Records:
    """Whole files: in place of `string_input_producer` and `WholeFileReader`.

    Args:
      string_tensor: The paths.
      num_epochs, shuffle, seed: As of `Records`, which give the path and the bytes of a file.
    """
    paths = [_text(path) for path in string_tensor]
    return Records(
        lambda index: (paths[index], read_file(paths[index])),
        len(paths),
        shuffle,
        num_epochs,
        seed,
    )


class Batches(Iterator[Batch]):
    """The iterator of `batches`, with a position that can be saved.

    Close it, or use it in a `with` statement, to end its threads.
    """

    def __init__(
        self,
        source: Records,
        make: Callable[[Order, range], Batch],
        batch_size: int,
        order: Order,
        is_padded: bool,
        num_threads: int,
    ) -> None:
        self.batch_size, self._make, self._order = batch_size, make, order
        self._position, self._num_threads, self._is_padded = 0, num_threads, is_padded
        self._stop = None if source.num_epochs is None else source.num_epochs * source.count
        self._ahead: ReadAhead[Batch] | None = None

    def _positions(self, start: int) -> range:
        end = start + self.batch_size
        if self._stop is not None and end > self._stop:
            end = self._stop if self._is_padded else start
        return range(start, end)

    def _load(self, number: int, first: int = 0) -> Batch:
        return self._make(self._order, self._positions(first + number * self.batch_size))

    def __next__(self) -> Batch:
        if not (positions := self._positions(self._position)):
            raise StopIteration
        if self._num_threads and self._ahead is None:
            self._ahead = ReadAhead(
                functools.partial(self._load, first=self._position),
                0,
                None if self._stop is None else -((self._position - self._stop) // self.batch_size),
                num_threads=self._num_threads,
            )
        batch = self._load(0, self._position) if self._ahead is None else next(self._ahead)
        self._position = positions.stop
        return batch

    @property
    def element_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape and dtype of every array of the first batch, which is made for it."""
        return {
            name: jax.ShapeDtypeStruct(array.shape, array.dtype)
            for name, array in self._load(0).items()
        }

    def get_state(self) -> State:
        """The position after the batches handed out so far, in values of JSON."""
        return {
            "num_samples": self._order.num_records,
            "is_shuffled": self._order.shuffle,
            "seed": self._order.seed,
            "position": self._position,
        }

    def set_state(self, state: State) -> None:
        """Goes on from a saved position.

        Raises:
          DataError: It was saved with other data, or in another order.
        """
        ours = self.get_state()
        for name, value in ours.items():
            if name != "position" and state.get(name) != value:
                raise DataError(
                    f"loaders: the saved position has {name} {state.get(name)!r}, these batches "
                    f"have {value!r}; use the same data and seed, or start anew"
                )
        self.close()
        self._position = operator.index(state["position"])

    def close(self) -> None:
        """Ends its threads."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def batches(
    source: Records,
    load_record: Callable[..., Mapping[str, Any]],
    batch_size: int,
    *,
    num_threads: int = 0,
    shuffle: bool | None = None,
    seed: int | None = None,
    allow_smaller_final_batch: bool = False,
    dynamic_pad: bool = False,
    batch_fn: Callable[[Batch], Mapping[str, Any]] | None = None,
) -> Batches:
    """Batches of what a function makes of each record: in place of `tf.train.batch`.

    The function may use `jslim.compat.tf` and `slim.preprocessing`: random numbers are those of the
    seed and of the place of the record, so that they do not depend on threads. It computes on the
    CPU. Unlike `slim.data.batches` there are no rows of weight 0.

    Args:
      source: Of `items`, `slices`, `records` or `files`.
      load_record: Takes what the source gives of a record, and returns a dict of arrays.
      batch_size: The number of records of a batch.
      num_threads: The number of threads that read ahead, by Grain; 0 reads in the calling thread.
      shuffle: Whether each epoch has an order of its own; None for what the source says.
      seed: The seed of order and random numbers; None for that of the source, or 0.
      allow_smaller_final_batch: Whether records are given that are left at the end, fewer than
        `batch_size`.
      dynamic_pad: Whether arrays of several shapes are filled up with zeros.
      batch_fn: Takes a batch and returns what is given in its place.

    Returns:
      An iterator over dicts of NumPy's arrays, `[batch_size, ...]`, with `get_state`, `set_state`,
      `element_spec` and `close`.

    Raises:
      ValueError: A number is out of range; or, from `next`, arrays of one name have several shapes.
      TypeError: From `next`: the function returned no dict.

    >>> rows = slices([[1, 2, 3, 4]], shuffle=False)
    >>> found = batches(rows, lambda number: {"square": number * number}, 2)
    >>> next(found)["square"].tolist(), next(found)["square"].tolist()
    ([1, 4], [9, 16])
    """
    checks.count("loaders.batches", "batch_size", batch_size)
    checks.number("loaders.batches", "num_threads", num_threads, at_least=0)
    drawn = (source.seed if seed is None else seed) or 0
    is_shuffled = source.shuffle if shuffle is None else bool(shuffle)

    def make(order: Order, positions: range) -> Batch:
        rows = [_made(source.read(order(at)), load_record, drawn, at) for at in positions]
        batch = stacked(rows, "loaders.batches", dynamic_pad)
        if batch_fn is not None:
            batch = _run(lambda: batch_fn(batch), drawn, positions.start)
        return {name: np.asarray(array) for name, array in batch.items()}

    order = Order(drawn, source.count, shuffle=is_shuffled)
    return Batches(source, make, batch_size, order, allow_smaller_final_batch, num_threads)


def _made(
    record: Sequence[Any], load_record: Callable[..., Mapping[str, Any]], seed: int, position: int
) -> Mapping[str, Any]:
    row = _run(lambda: load_record(*record), seed, position)
    if not isinstance(row, Mapping):
        raise TypeError(
            f"loaders.batches: {getattr(load_record, '__name__', 'load_record')} must return a "
            f"dict of arrays, {{'image': image}}, got {type(row).__name__}"
        )
    return row


def _run(function: Callable[[], Any], seed: int, position: int) -> Any:
    """What a function gives in a model function, with the random numbers of a record."""
    generator = example_generator(seed, position)
    with jax.default_device(jax.local_devices(backend="cpu")[0]), drawing_from(generator):
        # Streams of names that never meet those of a training step.
        key = jax.random.fold_in(key_of(seed), position)
        return Model(function).apply({}, rngs={"dropout": key})


def _array(values: Any) -> Any:
    """An array; texts stay what they are."""
    if isinstance(values, (jax.Array, np.ndarray)):
        return np.asarray(values)
    array = np.asarray(values)
    return list(values) if array.dtype.kind in "USO" else array


def _value(value: Any) -> Any:
    return _text(value) if isinstance(value, (str, bytes, np.str_, np.bytes_)) else value


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
