import gc
import json
import subprocess
import sys
import threading
import time
import traceback

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.data import ArrayDataset, batches, digits, prefetch_to_device


@pytest.fixture
def new_threads():
    """Returns the threads that were started since the test began, when it is called."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


def data_sharding(num_devices=8):
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("data",))
    return NamedSharding(mesh, PartitionSpec("data"))


def noisy(image, rng):
    return image + rng.random(image.shape, dtype=np.float32)


def training_batches(batch_size=16, **options):
    return batches(digits("train"), batch_size, is_training=True, preprocessing_fn=noisy, **options)


def assert_same(batch, expected):
    assert batch.keys() == expected.keys()
    for name in batch:
        np.testing.assert_array_equal(np.asarray(batch[name]), np.asarray(expected[name]))


@pytest.mark.parametrize("num_devices", [1, 8])
def test_prefetched_batches_are_the_host_batches_split_by_rows(num_devices):
    host = training_batches()
    with prefetch_to_device(training_batches(), data_sharding(num_devices)) as iterator:
        assert iterator.batch_size == 16
        for _ in range(5):
            batch = next(iterator)
            assert_same(batch, next(host))
            assert all(len(x.addressable_shards) == num_devices for x in batch.values())
            assert batch["image"].addressable_shards[0].data.shape == (16 // num_devices, 8, 8, 1)


def test_prefetched_evaluation_ends_and_stays_ended():
    with prefetch_to_device(batches(digits("test"), 64, is_training=False), data_sharding()) as it:
        assert sum(float(batch["weights"].sum()) for batch in it) == 360
        assert next(it, None) is None


@pytest.mark.parametrize("batch_size", [8, 16, 64])
@pytest.mark.parametrize("num_devices", [1, 8])
def test_sums_over_an_evaluation_depend_on_neither_batch_size_nor_devices(batch_size, num_devices):
    @jax.jit
    def weighted_sum(batch):
        return (batch["label"].astype(np.float32) * batch["weights"]).sum()

    host = batches(digits("test"), batch_size, is_training=False)
    with prefetch_to_device(host, data_sharding(num_devices)) as iterator:
        total = sum(float(weighted_sum(batch)) for batch in iterator)
    assert total == digits("test").labels.sum()


def test_state_is_that_of_the_batches_handed_out():
    with prefetch_to_device(training_batches(), data_sharding(), depth=4) as iterator:
        states, run = [iterator.get_state()], []
        for _ in range(6):
            run.append(next(iterator))
            states.append(json.loads(json.dumps(iterator.get_state())))
    assert [state["position"] for state in states] == [0, 16, 32, 48, 64, 80, 96]
    for index, state in enumerate(states[:-1]):
        with prefetch_to_device(training_batches(), data_sharding(1)) as resumed:
            resumed.set_state(state)
            assert resumed.get_state() == state
            for expected in run[index:]:
                assert_same(next(resumed), expected)


def test_set_state_before_prefetching_counts():
    host = training_batches()
    first = next(host)
    state = host.get_state()
    second = next(host)
    host.set_state(state)
    with prefetch_to_device(host, data_sharding()) as iterator:
        assert iterator.get_state() == state
        assert_same(next(iterator), second)
        iterator.set_state({**state, "position": 0})
        assert_same(next(iterator), first)


def test_error_in_the_thread_reaches_the_caller_with_its_traceback():
    def break_down(image):
        raise KeyError("no such colour")

    host = batches(digits("train"), 8, is_training=True, preprocessing_fn=break_down)
    with prefetch_to_device(host, data_sharding()) as iterator:
        for _ in range(2):
            with pytest.raises(KeyError, match="no such colour") as caught:
                next(iterator)
            names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
            assert "break_down" in names


def test_seconds_waited_is_the_time_that_next_took():
    def slow(image):
        time.sleep(0.1)
        return image

    host = batches(digits("train"), 1, is_training=True, preprocessing_fn=slow)
    with prefetch_to_device(host, data_sharding(1)) as iterator:
        assert iterator.seconds_waited == 0
        for _ in range(6):
            next(iterator)
        # 0.1 s each; the thread may have spent a part of it before the first `next`.
        before = iterator.seconds_waited
        assert 0.2 < before < 0.9
        time.sleep(0.4)
        next(iterator)
        assert iterator.seconds_waited - before < 0.1


def test_close_ends_the_thread(new_threads):
    iterator = prefetch_to_device(training_batches(), data_sharding())
    next(iterator)
    assert len(new_threads()) == 1
    iterator.close()
    assert not new_threads()
    with pytest.raises(ValueError, match="the prefetched batches are closed"):
        next(iterator)
    with pytest.raises(ValueError, match="the batches of 'digits/train' are closed"):
        next(iterator.batches)


def test_close_ends_the_threads_that_read_ahead_too(new_threads):
    iterator = prefetch_to_device(training_batches(num_threads=3), data_sharding())
    next(iterator)
    assert len(new_threads()) == 4
    iterator.close()
    assert not new_threads()


def test_forgotten_iterator_ends_its_thread(new_threads):
    iterator = prefetch_to_device(training_batches(), data_sharding())
    next(iterator)
    del iterator
    gc.collect()
    assert not new_threads()


@pytest.mark.long
def test_program_ends_with_prefetching_left_running():
    program = """
import jax, jslim.data as data
dataset = data.digits('train')
batches = data.batches(dataset, 8, is_training=True, num_threads=2)
sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
batches = data.prefetch_to_device(batches, sharding)
print(next(batches)['image'].shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("(8, 8, 8, 1)\n", "", 0)


def test_element_spec_is_that_of_the_batches():
    with prefetch_to_device(training_batches(), data_sharding()) as iterator:
        spec, batch = iterator.element_spec, next(iterator)
        for name, array in batch.items():
            assert (array.shape, array.dtype) == (spec[name].shape, spec[name].dtype)
            assert array.sharding == spec[name].sharding


@pytest.mark.parametrize(("batch_size", "sizes"), [(12, "8 or 16"), (3, "8")])
def test_rows_that_do_not_split_evenly_are_an_error(batch_size, sizes):
    with pytest.raises(
        ValueError,
        match=f"{batch_size} rows cannot be split evenly over 8 devices; use a batch_size of "
        f"{sizes}$",
    ):
        prefetch_to_device(training_batches(batch_size), data_sharding())


def test_rows_are_split_by_the_data_axis_alone():
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("data", "model"))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    with prefetch_to_device(training_batches(6), sharding) as iterator:
        assert next(iterator)["image"].addressable_shards[0].data.shape == (3, 8, 8, 1)


def test_depth_below_one_is_an_error():
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        prefetch_to_device(training_batches(), data_sharding(), depth=0)


def test_label_out_of_range_is_found_before_the_device():
    dataset = ArrayDataset(np.zeros((3, 1, 1, 1)), np.array([0, 1, 2]), 2, name="pets")
    host = batches(dataset, 3, is_training=False)
    with (
        prefetch_to_device(host, data_sharding(1)) as iterator,
        pytest.raises(ValueError, match="record 'pets:2' of 'pets' has label 2"),
    ):
        next(iterator)
