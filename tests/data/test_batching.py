import functools
import json
import sys
import threading
import traceback

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import ArrayDataset, FolderDataset, OtherDataError, batches
from jslim.preprocessing import preprocessing_factory


def numbered(count, num_classes=None):
    """Images of one pixel with their own index; labels repeat from 0."""
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    num_classes = num_classes or count
    return ArrayDataset(images, np.arange(count) % num_classes, num_classes, name="numbers")


def noisy(image, rng):
    return image + rng.random(image.shape, dtype=np.float32)


@pytest.fixture
def new_threads():
    """Returns the threads that were started since the test began, when it is called."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


@pytest.fixture
def folder(tmp_path):
    """Eleven JPEG files of two classes."""
    rng = np.random.default_rng(0)
    for number in range(11):
        path = tmp_path / "train" / ("ant", "bee")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)).save(path)
    return FolderDataset(tmp_path, "train")


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def rows(some_batches):
    """The indices that the images of `numbered` hold, over all batches."""
    return np.concatenate([batch["image"].ravel() for batch in some_batches])


def test_training_goes_through_all_records_in_every_epoch_with_full_batches():
    with batches(numbered(10), 4, is_training=True) as iterator:
        seen = rows(take(iterator, 15)).reshape(6, 10)
    for epoch in seen:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in seen}) == 6


def test_training_order_depends_on_the_seed_alone():
    runs = {
        (seed, size): rows(
            take(batches(numbered(10), size, is_training=True, seed=seed), 60 // size)
        )
        for seed in (0, 1)
        for size in (1, 4, 6)
    }
    np.testing.assert_array_equal(runs[0, 1], runs[0, 4])
    np.testing.assert_array_equal(runs[0, 1], runs[0, 6])
    assert not np.array_equal(runs[0, 1], runs[1, 1])


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_evaluation_counts_every_record_once(batch_size):
    with batches(numbered(20), batch_size, is_training=False) as iterator:
        all_batches = list(iterator)
        assert next(iterator, None) is None
    weights = np.concatenate([batch["weights"] for batch in all_batches])
    assert weights.sum() == 20
    assert all(len(batch["label"]) == batch_size for batch in all_batches)
    np.testing.assert_array_equal(rows(all_batches)[weights == 1], np.arange(20))
    labels = np.concatenate([batch["label"] for batch in all_batches])
    assert (weights * labels).sum() / weights.sum() == np.arange(20).mean()


def test_last_batch_is_filled_up_with_copies_of_a_record():
    last = list(batches(numbered(5), 3, is_training=False))[-1]
    np.testing.assert_array_equal(last["image"].ravel(), [3, 4, 4])
    np.testing.assert_array_equal(last["label"], [3, 4, 4])
    np.testing.assert_array_equal(last["weights"], [1, 1, 0])


def test_num_epochs_and_drop_remainder_say_where_batches_end():
    def weights(**options):
        return [b["weights"].sum() for b in batches(numbered(5), 4, **options)]

    assert weights(is_training=True, num_epochs=2) == [4, 4, 2]
    assert weights(is_training=True, num_epochs=2, drop_remainder=True) == [4, 4]
    assert weights(is_training=False, drop_remainder=True) == [4]


@pytest.mark.parametrize("num_threads", [0, 2])
def test_resume_is_exact_at_every_position(folder, num_threads):
    def new():
        return batches(
            folder, 4, is_training=True, preprocessing_fn=noisy, seed=5, num_threads=num_threads
        )

    with new() as iterator:
        states = [iterator.get_state()]
        run = []
        for _ in range(8):
            run.append(next(iterator))
            states.append(json.loads(json.dumps(iterator.get_state())))
    for index, state in enumerate(states):
        with new() as resumed:
            resumed.set_state(state)
            assert resumed.get_state() == state
            assert_same(take(resumed, len(run) - index), run[index:])


def test_set_state_moves_an_iterator_that_is_running(folder):
    with batches(folder, 4, is_training=True, num_threads=2) as iterator:
        start = iterator.get_state()
        run = take(iterator, 3)
        iterator.set_state(start)
        assert_same(take(iterator, 3), run)


def test_resume_with_another_batch_size_goes_on_at_the_same_record():
    def new(size):
        return batches(numbered(10), size, is_training=True, preprocessing_fn=noisy)

    images = np.concatenate([batch["image"] for batch in take(new(1), 26)])
    first, second = new(4), new(7)
    take(first, 3)
    second.set_state(first.get_state())
    resumed = np.concatenate([batch["image"] for batch in take(second, 2)])
    np.testing.assert_array_equal(resumed, images[12:26])


def test_resume_of_an_evaluation_ends_where_it_ends():
    first, second = (batches(numbered(10), size, is_training=False) for size in (4, 3))
    next(first)
    second.set_state(first.get_state())
    rest = list(second)
    assert [batch["weights"].sum() for batch in rest] == [3, 3]
    np.testing.assert_array_equal(rows(rest), np.arange(4, 10))


@pytest.mark.parametrize("is_training", [True, False])
def test_batches_are_the_same_with_and_without_grain(folder, is_training):
    runs = []
    for num_threads in (0, 1, 3, 16):
        with batches(
            folder,
            4,
            is_training=is_training,
            preprocessing_fn=noisy,
            num_epochs=2,
            num_threads=num_threads,
        ) as iterator:
            runs.append(list(iterator))
    assert len(runs[0]) == 6
    for run in runs[1:]:
        assert_same(run, runs[0])


def test_augmentation_differs_by_record_and_epoch():
    dataset = ArrayDataset(np.zeros((3, 1, 1, 1), np.float32), np.zeros(3, int), 1)
    iterator = batches(dataset, 6, is_training=True, preprocessing_fn=noisy)
    assert len(np.unique(next(iterator)["image"])) == 6


@pytest.mark.parametrize("function", [lambda image: image + np.float32(1), np.negative])
def test_preprocessing_fn_without_rng_is_called_with_the_image(function):
    batch = next(batches(numbered(3), 3, is_training=False, preprocessing_fn=function))
    expected = function(np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1))
    np.testing.assert_array_equal(batch["image"], expected)


def test_element_spec_is_that_of_the_batches(folder):
    for dataset in (folder, numbered(3)):
        with batches(dataset, 4, is_training=False, preprocessing_fn=noisy) as iterator:
            spec = iterator.element_spec
            batch = next(iterator)
            assert {k: (v.shape, v.dtype) for k, v in spec.items()} == {
                k: (v.shape, v.dtype) for k, v in batch.items()
            }


def test_label_out_of_range_names_the_record():
    dataset = ArrayDataset(np.zeros((3, 1, 1, 1)), np.array([0, 1, 2]), 2, name="pets")
    with pytest.raises(
        DataError, match="record 'pets:2' of 'pets' has label 2, outside 0 to 1, the labels of its"
    ):
        next(batches(dataset, 3, is_training=False))


def test_preprocessing_error_names_the_record():
    def refuse(image):
        if image.item() == 2:
            raise ValueError("this one is bad.")
        return image

    with pytest.raises(DataError, match="record 'numbers:2' of 'numbers': this one is bad"):
        next(batches(numbered(3), 3, is_training=False, preprocessing_fn=refuse))


def test_images_of_different_shape_are_named(tmp_path):
    for name, size in (("a.png", (2, 3)), ("b.png", (3, 3))):
        (tmp_path / "ant").mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / "ant" / name)
    with (
        batches(FolderDataset(tmp_path, "train"), 2, is_training=False) as iterator,
        pytest.raises(DataError, match=r"b.png' has \(3, 3, 3\), '.*a.png' has \(3, 2, 3\); pass"),
    ):
        next(iterator)


def test_error_in_a_thread_reaches_the_caller_with_its_traceback(folder, new_threads):
    def break_down(image):
        raise KeyError("no such colour")

    with batches(
        folder, 4, is_training=True, preprocessing_fn=break_down, num_threads=2
    ) as iterator:
        with pytest.raises(KeyError, match="no such colour") as caught:
            next(iterator)
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert "break_down" in names
        assert not new_threads()


def test_batch_that_failed_can_be_asked_for_again(folder):
    path = folder[10]["record_key"]
    with open(path, "rb") as file:
        content = file.read()
    with batches(folder, 4, is_training=False, num_threads=2) as iterator:
        take(iterator, 2)
        with open(path, "wb") as file:
            file.write(content[:50])
        iterator.set_state(iterator.get_state())
        with pytest.raises(DataError, match="cannot be decoded"):
            next(iterator)
        with open(path, "wb") as file:
            file.write(content)
        assert next(iterator)["weights"].sum() == 3


@pytest.mark.parametrize("num_threads", [1, 2, 16])
def test_close_ends_all_threads(folder, num_threads, new_threads):
    iterator = batches(folder, 4, is_training=True, num_threads=num_threads)
    next(iterator)
    assert len(new_threads()) == num_threads
    iterator.close()
    assert not new_threads()
    with pytest.raises(ValueError, match="the batches of 'folder/train' are closed"):
        next(iterator)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "saved with seed 1, these have 0; use the same data and seed"),
        ({"num_samples": 9}, "saved with num_samples 9, these have 10"),
        ({"dataset": "digits/test"}, "saved with dataset 'digits/test', these have 'numbers'"),
        ({"is_shuffled": False}, "saved with is_shuffled False, these have True"),
    ],
)
def test_set_state_refuses_a_position_in_other_data(other, message):
    iterator = batches(numbered(10), 4, is_training=True)
    with pytest.raises(DataError, match=message):
        iterator.set_state(iterator.get_state() | other)


def test_set_state_refuses_what_is_no_position():
    iterator = batches(numbered(10), 4, is_training=True)
    with pytest.raises(DataError, match=r"must have dataset, num_samples, .*got next_index"):
        iterator.set_state({"next_index": 3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"num_threads": -1}, "num_threads must be at least 0, got -1"),
        ({"seed": -1}, "seed must be in"),
    ],
)
def test_batches_refuses_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        batches(numbered(3), **{"batch_size": 1, "is_training": True} | options)


def test_files_without_grain_say_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(ImportError, match=r"needs Grain.*'jslim\[cli\]', or pass num_threads=0"):
        next(batches(folder, 4, is_training=True))
    assert next(batches(folder, 4, is_training=True, num_threads=0))["image"].shape == (4, 6, 6, 3)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("is_training", [True, False])
def test_shards_are_the_parts_of_every_batch(count, is_training):
    dataset = numbered(22)
    options = {"is_training": is_training, "num_epochs": 2 if is_training else 1}
    whole = list(batches(dataset, 8, preprocessing_fn=noisy, **options))
    parts = [
        list(batches(dataset, 8, preprocessing_fn=noisy, shard=(index, count), **options))
        for index in range(count)
    ]
    assert all(len(part) == len(whole) for part in parts)
    for number, batch in enumerate(whole):
        for name in batch:
            joined = np.concatenate([part[number][name] for part in parts])
            if name == "weights":
                np.testing.assert_array_equal(joined, batch[name])
            else:
                is_real = batch["weights"] > 0
                np.testing.assert_array_equal(joined[is_real], batch[name][is_real])
    assert sum(batch["weights"].sum() for part in parts for batch in part) == 22 * (
        2 if is_training else 1
    )


def test_a_shard_without_a_record_in_the_last_batch_is_filled_up():
    last = [list(batches(numbered(9), 8, is_training=False, shard=(i, 2)))[-1] for i in (0, 1)]
    assert [batch["weights"].tolist() for batch in last] == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert last[1]["image"].shape == (4, 1, 1, 1)


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 3)])
def test_shards_out_of_range(shard):
    with pytest.raises(ValueError, match=r"shard must be .*batch_size a multiple of the count"):
        batches(numbered(9), 8, is_training=False, shard=shard)


def test_a_position_of_other_files_is_refused(folder, tmp_path):
    with batches(folder, 2, is_training=True, num_threads=0) as made:
        next(made)
        state = made.get_state()
    path = next((tmp_path / "train" / "bee").iterdir())
    path.rename(path.with_name("other.jpg"))
    changed = FolderDataset(tmp_path, "train")
    with batches(changed, 2, is_training=True, num_threads=0) as made:
        with pytest.raises(DataError, match=r"it was saved with files '.*use the same data"):
            made.set_state(state)
        del state["files"]  # as those of earlier versions
        made.set_state(state)
        assert made.get_state()["position"] == 2


@pytest.mark.parametrize(("taken", "first"), [(0, 0), (2, 14), (4, 14), (5, 14), (6, 28)])
def test_where_other_records_are_taken_a_new_epoch_starts_with_them(taken, first, caplog):
    """Batches of two of ten records, then of the fourteen that the data set has grown to."""
    before = batches(numbered(10), 2, is_training=True)
    take(before, taken)
    grown = numbered(14)
    with pytest.raises(OtherDataError, match="saved with num_samples 10, these have 14"):
        batches(grown, 2, is_training=True).set_state(before.get_state())
    after = batches(grown, 2, is_training=True, takes_other_data=True)
    after.set_state(before.get_state())
    assert after.get_state()["position"] == first
    assert caplog.messages == [
        "the records of 'numbers' are not those of the saved position (10 then, 14 now): epoch "
        f"{first // 14 + 1} starts with them"
    ]
    assert sorted(rows(take(after, 7))) == list(range(14))
    whole = batches(grown, 2, is_training=True)
    take(whole, first // 2 + 7)
    assert_same(take(whole, 3), take(after, 3))


def test_where_other_records_are_taken_the_same_ones_go_on_exactly(caplog):
    before = batches(numbered(10), 2, is_training=True)
    take(before, 3)
    after = batches(numbered(10), 2, is_training=True, takes_other_data=True)
    after.set_state(before.get_state())
    assert caplog.messages == []
    assert_same(take(before, 4), take(after, 4))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "saved with seed 1, these have 0"),
        ({"is_shuffled": False}, "saved with is_shuffled False, these have True"),
        ({"num_samples": "9"}, "must be a number of records, got '9'; start anew"),
        ({"num_samples": 1, "position": 1 << 62}, "must be a number of records, got 46116860184"),
    ],
)
def test_where_other_records_are_taken_the_rest_must_fit(other, message):
    iterator = batches(numbered(10), 4, is_training=True, takes_other_data=True)
    with pytest.raises(DataError, match=message):
        iterator.set_state(iterator.get_state() | other)


def test_images_in_another_range_are_refused_for_the_preprocessing_of_slim():
    images = np.random.default_rng(0).random((4, 8, 8, 3))
    dataset = ArrayDataset(images, np.zeros(4, int), 1, name="small")
    preprocess = functools.partial(
        preprocessing_factory.get_preprocessing("lenet"), output_height=8, output_width=8
    )
    with pytest.raises(ValueError, match=r"'small': images must have values from 0 to 255, got 0"):
        batches(dataset, 2, is_training=False, preprocessing_fn=preprocess)
    batches(dataset, 2, is_training=False, preprocessing_fn=lambda image: image * 2 - 1)


def test_images_of_several_types_are_of_the_type_that_holds_all_of_them():
    def changed(image):
        return image if image[0, 0, 0] < 2 else image + np.float32(0.5)

    with batches(numbered(5), 4, is_training=False, preprocessing_fn=changed) as made:
        first, second = (batch["image"] for batch in made)
    assert first.dtype == second.dtype == np.float32
    assert first.ravel().tolist() == [0, 1, 2.5, 3.5]
    assert second.ravel().tolist() == [4.5] * 4


class InStore(ArrayDataset):
    """Records that are given only when a whole batch is asked for, as of a store that is far."""

    is_in_memory = False
    is_in_store = True

    def __init__(self, *arguments, at_once, bad=(), **options):
        super().__init__(*arguments, **options)
        self.barrier, self.bad = threading.Barrier(at_once, timeout=30), set(bad)

    def __getitem__(self, index):
        self.barrier.wait()
        if index in self.bad:
            raise DataError(f"record {index} is broken")
        return super().__getitem__(index)


@pytest.mark.parametrize("num_threads", [0, 1])
def test_the_records_of_a_batch_in_a_store_are_asked_for_at_once(num_threads):
    arrays = np.arange(24 * 12, dtype=np.uint8).reshape(24, 2, 2, 3), np.arange(24) % 3
    far, near = InStore(*arrays, 3, at_once=8, bad=[5]), ArrayDataset(*arrays, 3)
    options = {"is_training": True, "num_epochs": 2, "skip_bad_records": 1}
    with batches(far, 8, num_threads=num_threads, **options) as found:
        for ours, theirs in zip(found, batches(near, 8, **options), strict=True):
            is_good = ours["weights"] == 1
            assert is_good.sum() >= 7
            for name in ("image", "label"):
                np.testing.assert_array_equal(ours[name][is_good], theirs[name][is_good])
        assert list(found.bad_records) == [5]
