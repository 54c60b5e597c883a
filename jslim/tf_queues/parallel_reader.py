"""TF-Slim's `parallel_reader`: several threads read the records of several files.

    reader = slim.parallel_reader.parallel_read('flowers_train_*.tfrecord', TFRecordFile, seed=0)
    with slim.queues.QueueRunners([reader]):
        key, value = reader.read()

The order depends on the threads; that of `slim.data.batches` does not.
"""

import collections
import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.errors import DataError
from jslim.data.tfrecord import DataSources, Records, TFRecordFile, get_data_files
from jslim.tf_queues.queues import FIFOQueue, QueueRunner, RandomShuffleQueue

# The key of a record, and its content.
Record = tuple[str, bytes]
# Takes the path of a file, and returns its records with `record_key(index)`.
ReaderClass = Callable[..., Records]


class ParallelReader(QueueRunner[Record]):
    """Threads that fill one queue with records, each thread from one file at a time.

    Differs from TF-Slim: it takes the files, and it is its own queue runner.

    Args:
      reader_class: Takes the path of a file and returns its records, such as `TFRecordFile`.
      common_queue: The queue of the records, a `FIFOQueue` or a `RandomShuffleQueue`.
      files: The paths.
      num_readers: The number of threads.
      reader_kwargs: Keyword arguments of `reader_class`.
      num_epochs: The number of times that each file is read; None for no end.
      shuffle: Whether the files come in another order in every epoch.
      seed: The seed of these orders; None draws one.

    Raises:
      ValueError: `num_readers` or `num_epochs` is below 1.
    """

    def __init__(
        self,
        reader_class: ReaderClass,
        common_queue: FIFOQueue[Record],
        files: Sequence[str],
        num_readers: int = 4,
        reader_kwargs: Mapping[str, object] | None = None,
        *,
        num_epochs: int | None = None,
        shuffle: bool = False,
        seed: int | None = None,
    ):
        if num_epochs is not None:
            checks.count("", "num_epochs", num_epochs)
        super().__init__(common_queue, self._next_record, num_readers, "jslim-parallel-reader")
        self.num_readers = num_readers
        self._reader_class = reader_class
        self._reader_kwargs = dict(reader_kwargs or {})
        self._files = self._in_epochs(list(files), num_epochs, random.Random(seed), shuffle)
        self._files_lock = threading.Lock()
        self._of_thread = threading.local()
        self._counts: collections.Counter[str] = collections.Counter()

    @property
    def common_queue(self) -> FIFOQueue[Record]:
        """The queue of the records."""
        return self.queue

    def read(self) -> Record:
        """The key, `FILE:BYTE`, and the bytes of the next record.

        Raises:
          OutOfRangeError: All epochs have been read.
          DataError: A file or a record is broken.
        """
        return self.dequeue()

    def read_up_to(self, num_records: int) -> list[Record]:
        """The next `num_records`, or fewer at the end.

        Raises:
          OutOfRangeError: All epochs have been read.
        """
        return self.take_up_to(num_records)

    def num_records_produced(self) -> int:
        """The number of records that all readers have read."""
        return self._counts["records"]

    def num_work_units_completed(self) -> int:
        """The number of files that have been read to their end."""
        return self._counts["files"]

    def _in_epochs(
        self, files: list[str], num_epochs: int | None, generator: random.Random, shuffle: bool
    ) -> Iterator[str]:
        for epoch in itertools.count() if num_epochs is None else range(num_epochs):
            if epoch and self._counts["files"] >= len(files) and not self._counts["records"]:
                raise DataError(f"there is no record in {files}")
            yield from generator.sample(files, len(files)) if shuffle else files

    def _next_record(self) -> Record:
        if not hasattr(self._of_thread, "records"):
            self._of_thread.records = self._records()
        record: Record = next(self._of_thread.records)  # its StopIteration ends this thread
        self._count("records")
        return record

    def _records(self) -> Iterator[Record]:
        """The records of the files that come to this thread."""
        while True:
            with self._files_lock:
                path = next(self._files, None)
            if path is None:
                return
            file = self._reader_class(path, **self._reader_kwargs)
            for index in range(len(file)):
                yield file.record_key(index), file[index]
            self._count("files")

    def _count(self, what: str) -> None:
        with self._files_lock:
            self._counts[what] += 1


def parallel_read(
    data_sources: DataSources,
    reader_class: ReaderClass = TFRecordFile,
    num_epochs: int | None = None,
    num_readers: int = 4,
    reader_kwargs: Mapping[str, object] | None = None,
    shuffle: bool = True,
    dtypes: object = None,
    capacity: int = 256,
    min_after_dequeue: int = 128,
    seed: int | None = None,
    scope: str | None = None,
) -> ParallelReader:
    """Reads files in several threads, in a random order.

    Differs from TF-Slim: it returns the reader, whose `read()` gives key and value. There is no
    summary of the size of the queue; `reader.size()` gives it.

    Args:
      data_sources: The files; see `slim.data.get_data_files`.
      reader_class: See `ParallelReader`.
      num_epochs: The number of times that each file is read; None for no end.
      num_readers: The number of threads.
      reader_kwargs: Keyword arguments of `reader_class`.
      shuffle: Whether the files come in another order in every epoch, and records through a
        `RandomShuffleQueue`.
      dtypes: Ignored: keys are text, values bytes.
      capacity: The number of records that are read ahead.
      min_after_dequeue: See `RandomShuffleQueue`.
      seed: The seed of the order; None draws one.
      scope: Ignored, since there is no graph.

    Returns:
      A `ParallelReader`, for `slim.queues.QueueRunners`.

    Raises:
      ValueError: A number is out of range.
      DataError: There is no file.
    """
    queue: FIFOQueue[Record] = FIFOQueue(capacity)
    if shuffle:
        queue = RandomShuffleQueue(capacity, min_after_dequeue, seed)
    return ParallelReader(
        reader_class,
        queue,
        get_data_files(data_sources),
        num_readers,
        reader_kwargs,
        num_epochs=num_epochs,
        shuffle=shuffle,
        seed=seed,
    )


def single_pass_read(
    data_sources: DataSources,
    reader_class: ReaderClass = TFRecordFile,
    reader_kwargs: Mapping[str, object] | None = None,
    scope: str | None = None,
) -> ParallelReader:
    """`parallel_read` of each file once, in order, by one thread."""
    return parallel_read(
        data_sources,
        reader_class,
        num_epochs=1,
        num_readers=1,
        reader_kwargs=reader_kwargs,
        shuffle=False,
    )


_tf_slim_names.answer_in(__name__)
