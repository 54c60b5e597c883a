"""TF-Slim's `parallel_reader`: several threads that read records of several files.

    reader = slim.parallel_reader.parallel_read('flowers_train_*.tfrecord', TFRecordFile, seed=0)
    with slim.queues.QueueRunners([reader]):
        key, value = reader.read()

The order depends on the threads. That of `slim.data.batches` does not.
"""

import collections
import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from jslim.core import checks
from jslim.core.errors import DataError
from jslim.data.tfrecord import DataSources, Records, TFRecordFile, get_data_files
from jslim.tf_queues.queues import FIFOQueue, QueueRunner, RandomShuffleQueue

Record = tuple[str, bytes]
# Opens one file: a sequence of records with `record_key(index)`.
ReaderClass = Callable[..., Records]


class ParallelReader(QueueRunner[Record]):
    """Readers in threads of their own, each with a file at a time, that fill one queue.

    Differs from TF-Slim: it is given the files when it is made, and it is its own queue runner.

    Args:
      reader_class: Opens a file by its path: a sequence of records, such as `TFRecordFile`.
      common_queue: Where the records go, a `FIFOQueue` or a `RandomShuffleQueue`.
      files: The paths.
      num_readers: How many threads.
      reader_kwargs: Keyword arguments of `reader_class`.
      num_epochs: How often each file is read; None means for ever.
      shuffle: Whether the files come in another order in every epoch.
      seed: Of those orders; None draws one.

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
        """Where the records go."""
        return self.queue

    def read(self) -> Record:
        """The key, `FILE:BYTE`, and the bytes of the next record.

        Raises:
          OutOfRangeError: All epochs have been read.
          DataError: A file or a record is broken.
        """
        return self.dequeue()

    def read_up_to(self, num_records: int) -> list[Record]:
        """The next `num_records`, or all that are left where these are fewer.

        Raises:
          OutOfRangeError: All epochs have been read.
        """
        return self.take_up_to(num_records)

    def num_records_produced(self) -> int:
        """How many records all readers have read."""
        return self._counts["records"]

    def num_work_units_completed(self) -> int:
        """How many files have been read to their end."""
        return self._counts["files"]

    def _in_epochs(
        self, files: list[str], num_epochs: int | None, generator: random.Random, shuffle: bool
    ) -> Iterator[str]:
        for epoch in itertools.count() if num_epochs is None else range(num_epochs):
            if epoch and self._counts["files"] >= len(files) and not self._counts["records"]:
                raise DataError(f"there is no record in {files}.")
            yield from generator.sample(files, len(files)) if shuffle else files

    def _next_record(self) -> Record:
        while True:
            records = getattr(self._of_thread, "records", None)
            if records is None:
                with self._files_lock:
                    path = next(self._files)  # its StopIteration ends this thread
                records = self._of_thread.records = self._records_of(path)
            try:
                record = next(records)
            except StopIteration:
                self._of_thread.records = None
                self._count("files")
                continue
            self._count("records")
            return record

    def _records_of(self, path: str) -> Iterator[Record]:
        file = self._reader_class(path, **self._reader_kwargs)
        for index in range(len(file)):
            yield file.record_key(index), file[index]

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

    Differs from TF-Slim: it gives the reader, whose `read()` gives key and value. There is no
    summary of how full the queue is; `reader.size()` says it.

    Args:
      data_sources: The files, as `get_data_files` takes them.
      reader_class: See `ParallelReader`.
      num_epochs: How often each file is read; None means for ever.
      num_readers: How many threads.
      reader_kwargs: Keyword arguments of `reader_class`.
      shuffle: Whether the files come in another order in every epoch, and records through a
        `RandomShuffleQueue`.
      dtypes: Ignored: keys are text, values bytes.
      capacity: The most records that are read ahead.
      min_after_dequeue: Among how many more records each is drawn.
      seed: Of the order; None draws one.
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
        scope=scope,
    )
