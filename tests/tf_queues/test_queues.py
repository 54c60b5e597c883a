"""Queues and the threads that fill them: order, ends, errors, and no thread is left."""

import collections
import itertools
import threading
import time
import traceback

import pytest

from jslim import queues
from jslim.queues import FIFOQueue, QueueRunner, QueueRunners, RandomShuffleQueue


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def wait_until(holds):
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)


def filled(queue, items):
    for item in items:
        queue.enqueue(item)
    return queue


def all_of(queue):
    found = []
    while queue.size():
        found.append(queue.dequeue())
    with pytest.raises(queues.OutOfRangeError, match="closed and has no more items"):
        queue.dequeue()
    return found


def test_items_come_out_in_order_and_then_the_end():
    queue = filled(FIFOQueue(5), range(5))
    assert queue.size() == 5
    queue.close()
    assert all_of(queue) == [0, 1, 2, 3, 4]
    assert queue.size() == 0
    with pytest.raises(queues.QueueClosedError, match="closed and takes no item"):
        queue.enqueue(5)


def test_an_error_comes_after_the_items_before_it():
    queue = filled(FIFOQueue(5), range(2))
    queue.close(ValueError("broken"))
    queue.close(KeyError("a later one"))
    assert [queue.dequeue(), queue.dequeue()] == [0, 1]
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            queue.dequeue()


def test_shuffled_items_are_drawn_among_those_that_stay():
    def order(seed):
        queue = filled(RandomShuffleQueue(100, 50, seed=seed), range(100))
        first = [queue.dequeue() for _ in range(50)]
        assert queue.size() == 50
        queue.close()
        return first + all_of(queue)

    assert sorted(order(1)) == list(range(100))
    assert order(1) == order(1) != order(2)
    assert order(1) != list(range(100))


def test_every_place_of_a_shuffled_item_is_equally_likely():
    count = 6000
    places = collections.Counter()
    for seed in range(count):
        queue = filled(RandomShuffleQueue(6, seed=seed), range(6))
        queue.close()
        places[all_of(queue).index(2)] += 1
    # The standard deviation of each count is sqrt(6000 * 1/6 * 5/6) = 29.
    assert all(abs(places[place] - count / 6) < 5 * 29 for place in range(6))


def test_a_full_queue_waits_for_room():
    numbers = itertools.count()
    runner = QueueRunner(FIFOQueue(3), lambda: next(numbers))
    with QueueRunners([runner]):
        assert runner.dequeue() == 0
        wait_until(lambda: runner.size() == 3)
        time.sleep(0.05)
        assert runner.size() == 3
        assert [runner.dequeue() for _ in range(10)] == list(range(1, 11))


def test_several_threads_make_every_item_once():
    lock, numbers = threading.Lock(), iter(range(200))

    def make():
        with lock:
            number = next(numbers)
        time.sleep(0.0002)
        return number

    runner = QueueRunner(FIFOQueue(4), make, num_threads=4)
    with QueueRunners([runner]):
        assert sorted(runner) == list(range(200))
        with pytest.raises(queues.OutOfRangeError):
            runner.dequeue()


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_error_of_a_thread_has_its_traceback_and_ends_all(num_threads):
    numbers = itertools.count()

    def break_down():
        if next(numbers) >= 4:
            raise KeyError("no such record")
        return 1

    runner = QueueRunner(FIFOQueue(2), break_down, num_threads)
    with pytest.raises(KeyError, match="no such record") as caught, QueueRunners([runner]):
        list(itertools.islice(runner, 20))
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "break_down" in names


def test_an_error_that_nobody_asked_for_is_raised_at_the_end():
    def fail():
        raise OSError("disk gone")

    runner = QueueRunner(FIFOQueue(1), fail)
    with pytest.raises(OSError, match="disk gone"), QueueRunners([runner]):
        wait_until(lambda: runner.error)


def test_the_error_of_the_statement_comes_first():
    def fail():
        raise OSError("disk gone")

    with pytest.raises(ZeroDivisionError), QueueRunners([QueueRunner(FIFOQueue(1), fail)]):
        raise ZeroDivisionError


def test_leaving_ends_threads_that_wait_for_room():
    runners = [QueueRunner(FIFOQueue(1), lambda: 0, num_threads=2) for _ in range(2)]
    with QueueRunners(runners):
        time.sleep(0.05)
    assert [runner.size() for runner in runners] == [0, 0]
    with pytest.raises(RuntimeError, match="the threads that fill this queue have ended"):
        runners[0].dequeue()


def test_items_before_the_start_are_an_error_not_a_wait():
    with pytest.raises(RuntimeError, match="have not been started; ask for items within"):
        QueueRunner(FIFOQueue(1), lambda: 0).dequeue()


def test_a_runner_that_runs_is_not_started_again():
    runner, other = QueueRunner(FIFOQueue(1), lambda: 0), QueueRunner(FIFOQueue(1), lambda: 0)
    with QueueRunners([runner]):
        with (
            pytest.raises(queues.NestedQueueRunnerError, match="can be started once"),
            QueueRunners([other, runner]),
        ):
            pass
        assert runner.dequeue() == 0  # and the one that runs goes on
    with pytest.raises(RuntimeError, match="have ended"):
        other.dequeue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FIFOQueue(0), "capacity of a queue must be at least 1, got 0"),
        (lambda: RandomShuffleQueue(4, 4), "must be at least 0 and below 4, got 4"),
        (lambda: QueueRunner(FIFOQueue(1), int, 0), "num_threads must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
