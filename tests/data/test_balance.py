"""Weights of classes against scikit-learn; the order with which each class comes equally often."""

import collections
import json
import pickle

import numpy as np
import pytest
from PIL import Image
from sklearn.utils.class_weight import compute_class_weight

from jslim.core.errors import DataError
from jslim.data import (
    ArrayDataset,
    BadRecordError,
    FolderDataset,
    ImageDataset,
    balanced_class_weights,
    batches,
    digits,
    labels_of,
    split,
)
from jslim.data.balance import BalancedOrder


@pytest.mark.parametrize("seed", range(4))
def test_balanced_weights_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, size=500, p=rng.dirichlet(np.ones(7)))
    present = np.unique(labels)
    expected = compute_class_weight("balanced", classes=present, y=labels)
    found = balanced_class_weights(labels, 7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[present], expected, rtol=1e-6)
    assert found[labels].mean() == pytest.approx(1, rel=1e-5)


def test_classes_without_records_and_records_without_label_do_not_count():
    np.testing.assert_allclose(
        balanced_class_weights([0, 0, 0, 2, -1, -1], 4), [4 / 6, 1, 4 / 2, 1], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ([0, 3], ValueError, "balanced_class_weights: labels must be from 0 to 2, got 0 to 3"),
        ([0, -2], ValueError, "balanced_class_weights: labels must be from 0 to 2, got -2 to 0"),
        (np.array([-1, -1]), ValueError, "balanced_class_weights: there are no labels; pass those "
         "of all records"),
        ([[0]], ValueError, "balanced_class_weights: labels must be [num_samples], got shape "
         "(1, 1)"),
        ([0.5], TypeError, "balanced_class_weights: labels must be integers, got float64"),
    ],
)  # fmt: skip
def test_labels_that_are_none_are_refused(labels, kind, message):
    with pytest.raises(kind) as error:
        balanced_class_weights(labels, 3)
    assert str(error.value) == message


# 50, 5 and 1 records; class 2 has none.
LABELS = np.repeat([0, 1, 3], [50, 5, 1])


def test_each_class_comes_once_in_every_round_and_each_record_of_it_equally_often():
    order = BalancedOrder(3, LABELS)
    drawn = np.array([order(position) for position in range(3 * 100)])
    rounds = LABELS[drawn].reshape(100, 3)
    assert (np.sort(rounds, axis=1) == [0, 1, 3]).all()
    assert len({tuple(one) for one in rounds.tolist()}) == 6  # in every order
    counts = collections.Counter(drawn.tolist())
    assert [counts[record] for record in range(56)] == [2] * 50 + [20] * 5 + [100]
    of_class = drawn[LABELS[drawn] == 1].reshape(20, 5)
    assert (np.sort(of_class, axis=1) == range(50, 55)).all()
    assert len({tuple(one) for one in of_class.tolist()}) > 10


def test_the_balanced_order_is_the_same_for_ever():
    # Written down from the first version: another order would break every saved position.
    order = BalancedOrder(0, LABELS)
    found = [order(position) for position in (*range(8), 10**12)]
    assert found == [55, 54, 5, 55, 43, 50, 55, 53, 55]


def test_the_balanced_order_depends_on_seed_and_position_alone():
    order, again = (pickle.loads(pickle.dumps(BalancedOrder(5, LABELS))) for _ in range(2))
    forwards = [order(position) for position in range(200)]
    backwards = [again(position) for position in reversed(range(200))]
    assert forwards == backwards[::-1]
    other = BalancedOrder(6, LABELS)
    assert forwards != [other(position) for position in range(200)]


def test_a_class_has_its_order_whichever_others_there_are():
    both, alone = BalancedOrder(0, LABELS), BalancedOrder(0, np.where(LABELS == 1, 1, -1))
    drawn = [both(position) for position in range(60)]
    assert [one for one in drawn if LABELS[one] == 1] == [alone(place) for place in range(20)]


def test_records_without_a_label_never_come():
    labels = np.where(np.arange(56) % 2, LABELS, -1)
    order = BalancedOrder(0, labels)
    assert all(order(position) % 2 for position in range(200))
    with pytest.raises(DataError) as error:
        BalancedOrder(0, np.array([-1, -1]))
    assert str(error.value) == "no record of the data set has a label that can be used"


def uneven():
    images = np.arange(56, dtype=np.uint8).reshape(56, 1, 1, 1)
    return ArrayDataset(images, LABELS, 4, name="uneven")


def rows(iterator, count):
    return [next(iterator)["image"].ravel().tolist() for _ in range(count)]


def flat(lists):
    return [row for rows in lists for row in rows]


def make(dataset, size, **options):
    return batches(dataset, size, is_training=True, seed=2, balanced_sampling=True, **options)


def test_batches_resume_exactly_and_do_not_depend_on_their_size():
    run = flat(rows(make(uneven(), 1), 168))
    iterator = make(uneven(), 8)
    assert flat(rows(iterator, 10)) == run[:80]
    state = json.loads(json.dumps(iterator.get_state()))
    assert (state["is_balanced"], state["num_samples"]) == (True, 56)
    resumed = make(uneven(), 4)
    resumed.set_state(state)
    assert flat(rows(resumed, 22)) == run[80:]
    assert sum(len(batch["label"]) for batch in make(uneven(), 8, num_epochs=2)) == 112


def test_several_processes_draw_the_batches_of_one():
    parts = [make(uneven(), 8, shard=(index, 4)) for index in range(4)]
    together = [flat(of_process) for of_process in zip(*(rows(p, 9) for p in parts), strict=True)]
    assert together == rows(make(uneven(), 8), 9)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_draw_other_records_than_one_another_and_together_are_balanced(count):
    labels = np.repeat([0, 1, 2], [24, 40, 32])
    images = np.arange(96, dtype=np.uint8).reshape(96, 1, 1, 1)
    dataset = ArrayDataset(images, labels, 3)
    # 72 positions, in which the smallest class comes once.
    parts = [flat(rows(make(dataset, 12, shard=(one, count)), 6)) for one in range(count)]
    assert [len(part) for part in parts] == [72 // count] * count
    together = flat(parts)
    assert len(set(together)) == 72
    assert collections.Counter(labels[together].tolist()) == {0: 24, 1: 24, 2: 24}
    # No process has the classes in shares of its own for long.
    for part in parts:
        assert max(collections.Counter(labels[part].tolist()).values()) < 72 // count * 0.6


@pytest.fixture
def folder(tmp_path):
    """Twelve images of one class and two of another."""
    for number in range(14):
        path = tmp_path / ("bee" if number % 7 else "ant") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    return tmp_path


@pytest.mark.parametrize("workers", [{"num_threads": 2}, {"num_workers": 2}])
@pytest.mark.long
def test_threads_and_processes_change_nothing(workers, folder):
    dataset = FolderDataset(folder, "train")
    with make(dataset, 4, num_threads=0) as plain, make(dataset, 4, **workers) as ahead:
        for _ in range(12):
            one, other = next(plain), next(ahead)
            assert sorted(one["label"]) == [0, 0, 1, 1]
            np.testing.assert_array_equal(one["image"], other["image"])


def test_a_position_of_another_order_is_refused_and_of_earlier_versions_is_not_balanced():
    plain = batches(uneven(), 8, is_training=True, seed=2)
    state = plain.get_state()
    for old in (state, {key: value for key, value in state.items() if key != "is_balanced"}):
        plain.set_state(old)
        with pytest.raises(
            DataError, match="it was saved with is_balanced False, these have True; use the same"
        ):
            make(uneven(), 8).set_state(old)


def test_evaluation_is_never_balanced():
    with pytest.raises(ValueError) as error:
        batches(uneven(), 8, is_training=False, balanced_sampling=True)
    assert str(error.value) == (
        "balanced_sampling is for training: in evaluation each record comes once; leave it out"
    )


class Records(ImageDataset):
    """Ten records with labels 0 to 9 of which some cannot be read."""

    unreadable = ()

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index in self.unreadable:
            raise DataError(f"record {index} is damaged")
        image = np.full((1, 1, 1), index, np.uint8)
        return {"image": image, "label": index, "record_key": self.record_key(index)}


def test_labels_are_read_and_those_of_bad_records_left_out(caplog):
    caplog.set_level("INFO", "jslim")
    dataset = Records("records", list("abcdefghi"))
    dataset.unreadable = (3,)
    with pytest.raises(BadRecordError, match="record 3 is damaged"):
        labels_of(dataset)
    with pytest.raises(BadRecordError, match="has label 9, outside 0 to 8"):
        labels_of(dataset, skip_bad_records=1)
    assert labels_of(dataset, skip_bad_records=2).tolist() == [0, 1, 2, -1, 4, 5, 6, 7, 8, -1]
    assert caplog.messages[0] == "reading the labels of the 10 records of records"
    iterator = make(dataset, 8, skip_bad_records=2, num_threads=0)
    assert set(flat(rows(iterator, 20))) == set(range(10)) - {3, 9}
    assert iterator.bad_records == {}


def test_labels_of_parts_and_of_much_data_are_in_order():
    train, _ = split(digits("train"), 0.1)
    np.testing.assert_array_equal(labels_of(train), digits("train").labels[train.indices])
    long = ArrayDataset(np.zeros((5000, 1, 1, 1), np.uint8), np.arange(5000), 5000)
    np.testing.assert_array_equal(labels_of(long), np.arange(5000))
