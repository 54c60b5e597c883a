"""TF-Slim's prefetch_queue and parallel_reader, over files that TensorFlow wrote."""

import itertools
import pathlib
import threading

import numpy as np
import pytest

import jslim as slim
from jslim.core.errors import DataError
from jslim.data import TFRecordFile, TFRecordFiles, TFRecordWriter
from jslim.queues import OutOfRangeError, QueueRunners

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "tfrecords"
SOURCES = [GOLDEN / "plain.tfrecord", GOLDEN / "gzip.tfrecord", GOLDEN / "zlib.tfrecord"]
EXPECTED = TFRecordFiles(SOURCES)
RECORDS = [(EXPECTED.record_key(index), EXPECTED[index]) for index in range(len(EXPECTED))]

prefetch_queue = slim.prefetch_queue.prefetch_queue
parallel_read = slim.parallel_reader.parallel_read


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def items(count):
    return [[np.full((2,), number), number] for number in range(count)]


def test_lists_keep_their_order():
    queue = prefetch_queue(items(3))
    with QueueRunners([queue]):
        for number in range(3):
            array, label = queue.dequeue()
            np.testing.assert_array_equal(array, [number, number])
            assert label == number
        with pytest.raises(OutOfRangeError):
            queue.dequeue()


def test_batches_of_items():
    queue = prefetch_queue(({"b": x, "a": y} for x, y in items(7)), capacity=2)
    with QueueRunners([queue]):
        batch = queue.dequeue_many(3)
        assert list(batch) == ["a", "b"]
        np.testing.assert_array_equal(batch["a"], [0, 1, 2])
        np.testing.assert_array_equal(batch["b"], [[0, 0], [1, 1], [2, 2]])
        np.testing.assert_array_equal(queue.dequeue_up_to(3)["a"], [3, 4, 5])
        np.testing.assert_array_equal(queue.dequeue_up_to(3)["a"], [6])
        with pytest.raises(OutOfRangeError):
            queue.dequeue_up_to(3)


def test_a_function_is_called_in_every_thread():
    numbers = itertools.count()
    queue = prefetch_queue(lambda: [next(numbers)], capacity=3, num_threads=3)
    with QueueRunners([queue]):
        found = sorted(queue.dequeue()[0] for _ in range(50))
    assert len(set(found)) == 50
    assert found[-1] < 60


def test_dynamic_pad_fills_up_with_zeros():
    arrays = [np.ones((2, 1)), np.ones((1, 3)), np.ones((2, 2))]
    queue = prefetch_queue(([array] for array in arrays), dynamic_pad=True)
    with QueueRunners([queue]):
        (batch,) = queue.dequeue_many(3)
    expected = [
        [[1, 0, 0], [1, 0, 0]],
        [[1, 1, 1], [0, 0, 0]],
        [[1, 1, 0], [1, 1, 0]],
    ]
    np.testing.assert_array_equal(batch, expected)


@pytest.mark.parametrize(
    ("shapes", "options"), [([(2,), (3,)], {}), ([(2,), (2, 2)], {"dynamic_pad": True})]
)
def test_items_of_other_shapes_are_an_error(shapes, options):
    queue = prefetch_queue(({"x": np.ones(shape)} for shape in shapes), **options)
    with (
        pytest.raises(
            ValueError, match=r"'x' of a batch has the shapes .* or one rank and dynamic"
        ),
        QueueRunners([queue]),
    ):
        queue.dequeue_many(2)


def test_bad_numbers_of_prefetch_queue():
    with pytest.raises(ValueError, match="an iterable cannot be read by 2 threads at once"):
        prefetch_queue(items(1), num_threads=2)
    with pytest.raises(ValueError, match="capacity of a queue must be at least 1, got 0"):
        prefetch_queue(items(1), capacity=0)
    queue = prefetch_queue(items(1))
    with QueueRunners([queue]), pytest.raises(ValueError, match="n must be at least 1, got 0"):
        queue.dequeue_many(0)


def test_single_pass_read_is_the_files_in_order():
    reader = slim.parallel_reader.single_pass_read(SOURCES)
    with QueueRunners([reader]):
        assert list(reader) == RECORDS
    assert reader.num_records_produced() == len(RECORDS)
    assert reader.num_work_units_completed() == 3
    assert reader.num_readers == 1


@pytest.mark.parametrize("num_readers", [1, 4])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_record_comes_once_in_every_epoch(num_readers, shuffle):
    reader = parallel_read(
        SOURCES,
        num_epochs=3,
        num_readers=num_readers,
        shuffle=shuffle,
        capacity=8,
        min_after_dequeue=4,
        seed=1,
    )
    with QueueRunners([reader]):
        found = reader.read_up_to(5)
        assert len(found) == 5
        found += reader.read_up_to(1000)
        with pytest.raises(OutOfRangeError):
            reader.read()
    assert sorted(found) == sorted(RECORDS * 3)
    if shuffle:
        assert found != RECORDS * 3


def test_reading_for_ever():
    reader = parallel_read(SOURCES[0], capacity=4, min_after_dequeue=2)
    with QueueRunners([reader]):
        keys = {reader.read()[0] for _ in range(100)}
    assert keys == {key for key, _ in RECORDS[:3]}
    assert reader.common_queue.size() == 0


def test_a_broken_file_is_the_error_of_read(tmp_path):
    path = tmp_path / "broken.tfrecord"
    content = bytearray((GOLDEN / "plain.tfrecord").read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    reader = parallel_read(path, num_readers=2)
    with (
        pytest.raises(DataError, match=r"record 0 of .*broken.* is damaged"),
        QueueRunners([reader]),
    ):
        reader.read()


@pytest.mark.parametrize("num_epochs", [None, 2])
def test_files_without_any_record_end(tmp_path, num_epochs):
    with TFRecordWriter(tmp_path / "empty.tfrecord"):
        pass
    assert len(TFRecordFile(tmp_path / "empty.tfrecord")) == 0
    reader = parallel_read(tmp_path / "empty.tfrecord", num_epochs=num_epochs, num_readers=1)
    with pytest.raises(DataError, match="there is no record in"), QueueRunners([reader]):
        reader.read()


def test_bad_arguments_of_parallel_read():
    with pytest.raises(ValueError, match="num_epochs must be at least 1, got 0"):
        parallel_read(SOURCES, num_epochs=0)
    with pytest.raises(ValueError, match="num_threads must be at least 1, got 0"):
        parallel_read(SOURCES, num_readers=0)
    with pytest.raises(ValueError, match="min_after_dequeue must be at least 0 and below 8"):
        parallel_read(SOURCES, capacity=8)
    with pytest.raises(DataError, match="no file matches the pattern"):
        parallel_read("no/such/*.tfrecord")
