"""Parts of a data set: split by the names of the records, and read like the whole."""

import hashlib
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import (
    ArrayDataset,
    FolderDataset,
    ImageDataset,
    RandomAccessDataset,
    Subset,
    TFRecordWriter,
    batches,
    digits,
    get_dataset,
    split,
)
from jslim.data.tf_example import make_example
from jslim.preprocessing import preprocessing_factory


def numbered(count):
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return ArrayDataset(images, np.arange(count) % 3, 3, name="numbers")


def fill(root, numbers):
    for number in numbers:
        path = root / ("ant", "bee")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    return FolderDataset(root, "train")


def keys(dataset):
    return [dataset.stable_key(index) for index in range(len(dataset))]


def test_a_subset_reads_like_its_records_in_the_whole(tmp_path):
    whole = fill(tmp_path, range(7))
    subset = Subset(whole, [5, 0, 3], "some")
    assert (len(subset), subset.name, subset.class_names) == (3, "some", ["ant", "bee"])
    for index, place in enumerate((5, 0, 3)):
        assert subset.record_key(index) == whole.record_key(place)
        assert subset.label(index) == subset[index]["label"] == whole[place]["label"]
        np.testing.assert_array_equal(subset[index]["image"], whole[place]["image"])
        image = subset.undecoded(index)["image"]
        assert not isinstance(image, np.ndarray)
        np.testing.assert_array_equal(image, whole[place]["image"])
    again = pickle.loads(pickle.dumps(subset))
    assert (again.fingerprint, again.record_key(2)) == (subset.fingerprint, subset.record_key(2))
    assert Subset(whole, [0, 5, 3], "some").fingerprint != subset.fingerprint


@pytest.mark.parametrize(
    ("indices", "kind", "message"),
    [
        ([], DataError, "'part' has no record; 'numbers' has 5"),
        ([0, 5], ValueError, "Subset: indices must be from 0 to 4, the records of 'numbers', got "
         "0 to 5"),
        ([-1, 2], ValueError, "Subset: indices must be from 0 to 4, the records of 'numbers', got "
         "-1 to 2"),
        ([[0]], ValueError, "Subset: indices must be [num_samples], got shape (1, 1)"),
    ],
)  # fmt: skip
def test_a_subset_of_what_is_not_there_is_refused(indices, kind, message):
    with pytest.raises(kind) as error:
        Subset(numbered(5), indices, "part")
    assert str(error.value) == message


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.9])
def test_a_split_has_every_record_once_and_about_the_fraction(fraction):
    whole = numbered(200)
    train, validation = split(whole, fraction, seed=1)
    assert sorted([*train.indices, *validation.indices]) == list(range(200))
    assert (np.diff(train.indices) > 0).all()
    assert len(validation) == pytest.approx(
        200 * fraction, abs=4 * np.sqrt(200 * fraction * (1 - fraction))
    )
    assert (train.name, validation.name) == (
        "numbers (train part)", "numbers (validation part)"
    )  # fmt: skip


def test_the_hash_decides_as_written():
    # Independent of the code: the first 64 bits of BLAKE2b, with the seed as salt.
    whole = digits("test")
    limit = 0.25 * 2**64
    held = []
    for index in range(len(whole)):
        salt = (7).to_bytes(8, "little")
        digest = hashlib.blake2b(f"digits/test:{index}".encode(), digest_size=8, salt=salt)
        if int(digest.hexdigest(), 16) < limit:
            held.append(index)
    assert split(whole, 0.25, seed=7).validation.indices.tolist() == held


def test_a_split_is_the_same_for_ever():
    # Written down from the first version: another one would mix images of training and validation.
    assert split(digits("train"), 0.003).validation.indices.tolist() == [795, 844, 1338]


def test_seeds_and_fractions():
    whole = numbered(300)
    small, large = (set(split(whole, f).validation.indices.tolist()) for f in (0.1, 0.3))
    assert small < large
    assert set(split(whole, 0.1, seed=1).validation.indices.tolist()) != small


def test_images_that_are_added_or_deleted_move_no_other(tmp_path):
    before = split(fill(tmp_path / "a", range(0, 60, 2)), 0.3)
    (tmp_path / "a" / "ant" / "10.png").unlink()
    after = split(fill(tmp_path / "a", range(60)), 0.3)
    for part, more in zip(before, after, strict=True):
        assert set(keys(part)) <= set(keys(more)) | {"ant/10.png"}
        assert len(more) > len(part)


def test_the_place_of_the_folder_does_not_matter_nor_whether_it_is_packed(tmp_path):
    fill(tmp_path / "a", range(40))
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "b")
    archive = shutil.make_archive(str(tmp_path / "c"), "zip", tmp_path / "a")
    found = [
        keys(split(FolderDataset(path, name), 0.3).validation)
        for path in (tmp_path / "a", tmp_path / "elsewhere" / "b", archive)
        for name in ("train", "all")
    ]
    assert all(one == found[0] for one in found)
    assert 0 < len(found[0]) < 40


def write_records(path, numbers):
    with TFRecordWriter(path) as writer:
        for number in numbers:
            pixels = np.full((28, 28), number, np.uint8)
            writer.write(
                make_example(
                    {
                        "image/encoded": pixels.tobytes(),
                        "image/format": "raw",
                        "image/class/label": number % 10,
                    }
                )
            )


def test_records_are_split_by_their_place_in_the_file(tmp_path):
    write_records(tmp_path / "mnist_train.tfrecord", range(50))
    (tmp_path / "labels.txt").write_text("".join(f"{n}:{n}\n" for n in range(10)))
    before = split(get_dataset("mnist", "train", tmp_path), 0.3)
    assert [before.train.label(i) for i in range(4)] == [before.train[i]["label"] for i in range(4)]
    write_records(tmp_path / "mnist_train.tfrecord", range(80))
    after = split(get_dataset("mnist", "train", tmp_path), 0.3)
    count = len(before.validation)
    assert after.validation.indices[:count].tolist() == before.validation.indices.tolist()
    assert len(after.validation) > count


@pytest.mark.parametrize(
    ("fraction", "count", "kind", "message"),
    [
        (0, 9, ValueError, "split: validation_fraction must be in (0, 1), got 0"),
        (1.0, 9, ValueError, "split: validation_fraction must be in (0, 1), got 1.0"),
        (1e-9, 9, DataError, "validation_fraction=1e-09 leaves the validation part of 'numbers' "
         "without any of its 9 records; give another fraction, or another seed"),
        (1 - 1e-9, 9, DataError, "validation_fraction=1 leaves the train part of 'numbers' "
         "without any of its 9 records; give another fraction, or another seed"),
    ],
)  # fmt: skip
def test_a_split_without_two_parts_is_refused(fraction, count, kind, message):
    with pytest.raises(kind) as error:
        split(numbered(count), fraction)
    assert str(error.value) == message


def test_batches_of_the_parts_never_overlap_and_resume_exactly():
    train, validation = split(numbered(100), 0.2)
    with batches(train, 8, is_training=True, seed=3) as iterator:
        run = [next(iterator)["image"].ravel().tolist() for _ in range(30)]
        state = {**iterator.get_state(), "position": 80}
    with batches(train, 8, is_training=True, seed=3) as resumed:
        resumed.set_state(state)
        assert [next(resumed)["image"].ravel().tolist() for _ in range(20)] == run[10:]
    with batches(validation, 8, is_training=False) as iterator:
        held = [row for batch in iterator for row in batch["image"].ravel().tolist()]
    assert {row for batch in run for row in batch} | set(held) == set(range(100))
    assert not {row for batch in run for row in batch} & set(held)
    with (
        batches(split(numbered(100), 0.2, seed=1).train, 8, is_training=True, seed=3) as other,
        pytest.raises(DataError, match="it was saved with"),
    ):
        other.set_state(state)


def test_images_in_memory_are_checked_in_a_part_too():
    images = np.linspace(0, 1, 40, dtype=np.float32).reshape(10, 2, 2, 1)
    part = Subset(ArrayDataset(images, np.zeros(10, int), 1), [1, 2], "part")
    preprocess = preprocessing_factory.get_host_preprocessing("lenet")
    with pytest.raises(ValueError, match="'arrays': images must have values from 0 to 255"):
        batches(part, 2, is_training=False, preprocessing_fn=preprocess)


def test_labels_are_known_of_any_data_set():
    class Own(ImageDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return {"image": np.zeros((1, 1, 1)), "label": index, "record_key": str(index)}

    own = Own("own", ["a", "b"])
    source = [{"image": None, "label": np.int64(1)}]  # the image is not looked at
    foreign = RandomAccessDataset(source, ["a", "b"])
    assert [own.label(1), foreign.label(0), digits("test").label(3)] == [1, 1, 7]
    assert [own.has_labels, foreign.has_labels, digits("test").has_labels] == [False, False, True]
    source[0]["label"] = "cat"
    with pytest.raises(DataError, match="must have one integer as its label, got 'cat'"):
        foreign.label(0)
