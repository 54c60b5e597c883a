import numpy as np
import pytest
from sklearn.datasets import load_digits

from jslim.core.errors import DataError
from jslim.data import ArrayDataset, RandomAccessDataset, digits


def test_digits_are_those_of_scikit_learn():
    bunch = load_digits()
    expected = np.c_[np.rint(bunch.images * 255 / 16).reshape(-1, 64), bunch.target]
    splits = [digits("train"), digits("test")]
    assert [len(split) for split in splits] == [1437, 360]
    ours = np.concatenate([np.c_[s.images.reshape(-1, 64), s.labels] for s in splits])
    assert splits[0].images.dtype == np.uint8
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], expected[np.lexsort(expected.T)])


def test_digits_splits_hold_each_class_in_equal_parts():
    train, test = (np.bincount(digits(name).labels) for name in ("train", "test"))
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.004)


def test_digits_refuses_an_unknown_split():
    with pytest.raises(
        ValueError, match=r"split name tets was not recognized.*did you mean 'test'"
    ):
        digits("tets")


def test_array_dataset_gives_records():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
    dataset = ArrayDataset(images, np.array([1, 0]), 2, class_names=["cat", "dog"], name="pets")
    assert (dataset.num_samples, dataset.num_classes) == (2, 2)
    assert dataset.labels_to_names == {0: "cat", 1: "dog"}
    record = dataset[1]
    np.testing.assert_array_equal(record["image"], images[1])
    assert (record["label"], record["record_key"]) == (0, "pets:1")


def test_array_dataset_names_classes_by_their_labels():
    dataset = ArrayDataset(np.zeros((1, 2, 2, 1)), np.array([0]), 3)
    assert dataset.class_names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("images", "labels", "class_names", "message"),
    [
        (np.zeros((2, 8, 8)), [0, 1], None, r"must be \[num_samples, .*got shape \(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 1)), [0], None, r"integers of shape \(2,\).*int64 of shape \(1,\)"),
        (np.zeros((2, 8, 8, 1)), [0.0, 1.0], None, r"integers of shape \(2,\).*got float64"),
        (np.zeros((0, 8, 8, 1)), np.zeros(0, int), None, "'arrays' has no image"),
        (np.zeros((1, 8, 8, 1)), [0], ["a"], "must name the 2 classes, got 1 names"),
    ],
)
def test_array_dataset_refuses_what_does_not_fit(images, labels, class_names, message):
    with pytest.raises(ValueError, match=message):
        ArrayDataset(images, labels, 2, class_names=class_names)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((2, 8, 8, 3), np.nan), "'arrays': images have values that are NaN or infinite"),
        (np.full((2, 8, 8, 3), np.inf, np.float32), "have values that are NaN or infinite"),
        (np.full((2, 8, 8, 1), "a"), "images must be integers or floats, got <U1; convert them"),
        (np.full((2, 8, 8, 1), None), "images must be integers or floats, got object"),
        (np.zeros((2, 8, 8, 1), bool), "images must be integers or floats, got bool"),
        (np.zeros((2, 3, 32, 32)), r"got \(3, 32, 32\), where the channels seem to come first; mo"),
        (np.zeros((2, 1, 28, 28)), r"got \(1, 28, 28\), where the channels seem to come first"),
    ],
)
def test_array_dataset_refuses_what_would_be_taken_for_something_else(images, message):
    with pytest.raises(ValueError, match=message):
        ArrayDataset(images, np.zeros(2, int), 2)


def test_array_dataset_takes_what_only_looks_odd():
    for shape in ((2, 3, 4, 3), (2, 1, 50, 1), (2, 4, 4, 13), (2, 3, 3, 5)):
        assert len(ArrayDataset(np.zeros(shape), np.zeros(2, int), 2)) == 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"image": np.zeros((4, 4, 3)), "label": 1.5}, "must have one integer as its label, got 1"),
        ({"image": np.zeros((4, 4, 3)), "label": "cat"}, "one integer as its label, got 'cat'"),
        (
            {"image": np.full((4, 4, 3), np.nan), "label": 1},
            "'source:0': images have values",
        ),
        ({"image": np.zeros((3, 9, 9)), "label": 1}, "the channels seem to come first"),
    ],
)
def test_records_of_other_libraries_are_checked(record, message):
    with pytest.raises(DataError, match=message):
        RandomAccessDataset([record], ["a", "b"])[0]
