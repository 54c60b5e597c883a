import numpy as np
import pytest
from sklearn.datasets import load_digits

from jslim.data import ArrayDataset, digits


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
