"""The published files of MNIST and CIFAR-10, and NumPy files: all images and labels are read."""

import gzip

import numpy as np
import pytest

from jslim import data
from jslim.core.errors import DataError
from jslim.data.array_files import CIFAR10_CLASSES


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def random(shape, low=0, high=256):
    return np.random.default_rng(0).integers(low, high, shape, np.uint8)


def write_mnist(folder, stem, suffix="", count=5):
    images, labels = random((count, 28, 28)), random((count,), 0, 10)
    pack = gzip.compress if suffix else bytes
    (folder / f"{stem}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(images)))
    (folder / f"{stem}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(labels)))
    return images, labels


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("split", "stem"), [("train", "train"), ("test", "t10k")])
def test_mnist(split, stem, suffix, tmp_path):
    images, labels = write_mnist(tmp_path, stem, suffix)
    dataset = data.get_dataset("mnist", split, tmp_path)
    assert (dataset.name, dataset.num_classes) == (f"mnist/{split}", 10)
    np.testing.assert_array_equal(dataset.images, images[..., None])
    np.testing.assert_array_equal(dataset.labels, labels)


@pytest.mark.parametrize("folder", [".", "cifar-10-batches-bin"])
def test_cifar10(folder, tmp_path):
    where = tmp_path / folder
    where.mkdir(exist_ok=True)
    images, labels = random((12, 32, 32, 3)), random((12,), 0, 10)
    rows = np.concatenate([labels[:, None], images.transpose(0, 3, 1, 2).reshape(12, -1)], 1)
    for number in range(5):
        (where / f"data_batch_{number + 1}.bin").write_bytes(rows[2 * number : 2 * number + 2])
    (where / "test_batch.bin").write_bytes(rows[10:].tobytes())
    for split, part in (("train", slice(10)), ("test", slice(10, 12))):
        dataset = data.get_dataset("cifar10", split, tmp_path)
        np.testing.assert_array_equal(dataset.images, images[part])
        np.testing.assert_array_equal(dataset.labels, labels[part])
        assert dataset.class_names == list(CIFAR10_CLASSES)


@pytest.mark.parametrize("names", ["{}_images {}_labels", "x_{} y_{}"])
def test_npz(names, tmp_path):
    images, labels = random((6, 8, 9, 3)), random((6,), 0, 3)
    labels[0] = 2
    arrays = {}
    for split, part in (("train", slice(4)), ("test", slice(4, 6))):
        for name, array in zip(names.format(split, split).split(), (images, labels), strict=True):
            arrays[name] = array[part]
    np.savez(tmp_path / "x.npz", **arrays)
    for split, part in (("train", slice(4)), ("test", slice(4, 6))):
        dataset = data.get_dataset("npz", split, tmp_path / "x.npz")
        np.testing.assert_array_equal(dataset.images, images[part])
        np.testing.assert_array_equal(dataset.labels, labels[part])
        assert dataset.class_names == ["0", "1", "2"]


def test_npz_of_grey_images_with_names_and_labels_in_a_column(tmp_path):
    labels = np.array([[0], [1]])
    path = tmp_path / "x.npz"
    np.savez(path, x_test=random((2, 4, 4)), y_test=labels, class_names=["a", "b", "c"])
    dataset = data.get_dataset("npz", "test", path)
    assert dataset[1]["image"].shape == (4, 4, 1)
    assert dataset[1]["label"] == 1
    assert dataset.class_names == ["a", "b", "c"]
    batch = next(data.batches(dataset, 2, is_training=False))
    assert batch["label"].tolist() == [0, 1]


def test_what_is_wrong_with_files_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no file matches the pattern '.*mnist_train.tfrecord'"):
        data.get_dataset("mnist", "train", tmp_path)
    write_mnist(tmp_path, "train")
    images, labels = (tmp_path / f"train-{x}-ubyte" for x in ("images-idx3", "labels-idx1"))
    whole = images.read_bytes()
    images.write_bytes(whole[:-1])
    with pytest.raises(
        DataError, match=r"array of shape \(5, 28, 28\), and has 3919 bytes; is it c"
    ):
        data.get_dataset("mnist", "train", tmp_path)
    images.write_bytes(b"\0\0\x0d\3" + whole[4:])
    with pytest.raises(
        DataError, match=r"is no IDX file of bytes with 3 axes: it starts with 00000d"
    ):
        data.get_dataset("mnist", "train", tmp_path)
    images.write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(
        DataError, match=r"images-idx3-ubyte' cannot be read \(Compressed file ended"
    ):
        data.get_dataset("mnist", "train", tmp_path)
    images.write_bytes(whole)
    labels.write_bytes(idx(np.zeros(4)))
    with pytest.raises(DataError, match=r"has 5 images for the 4 labels of"):
        data.get_dataset("mnist", "train", tmp_path)
    labels.unlink()
    with pytest.raises(DataError, match="is there, but its labels are not"):
        data.get_dataset("mnist", "train", tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(
        DataError, match=r"must have a multiple of 3073 bytes.* and has 3072; is it"
    ):
        data.get_dataset("cifar10", "test", tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    with pytest.raises(DataError, match=r"data_batch_2.bin' cannot be read"):
        data.get_dataset("cifar10", "train", tmp_path)


def test_what_is_wrong_with_a_numpy_file_is_said(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(ValueError, match="data set 'npz' needs dataset_dir, the NumPy file"):
        data.get_dataset("npz", "train")
    with pytest.raises(DataError, match=r"cannot be read as a NumPy .npz file \(.*No such file"):
        data.get_dataset("npz", "train", path)
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"cannot be read as a NumPy .npz file"):
        data.get_dataset("npz", "train", path)
    np.savez(path, train_image=random((2, 4, 4, 3)), train_labels=[0, 1])
    with pytest.raises(
        DataError, match=r"has no arrays train_images and train_labels or x_train and"
    ):
        data.get_dataset("npz", "train", path)
    np.savez(path, x_train=random((2, 4, 4, 3)), y_train=[0, 1, 2])
    with pytest.raises(DataError, match=r"x.npz': labels of 'npz/train' must be integers of shape"):
        data.get_dataset("npz", "train", path)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.linspace(0, 1, 96), "must have values from 0 to 255, got 0 to 1; multiply them by 255"),
        (np.linspace(-1, 1, 96), "got -1 to 1; undo the scaling that was made for another network"),
        (np.linspace(-2.1, 2.6, 96), "got -2.1 to 2.6; undo the scaling"),
        (np.arange(96, dtype=np.uint16) * 600, "got 0 to 5.7e.04; scale them to that range"),
        (np.arange(96) - 5, "got -5 to 90; scale them to that range"),
        (np.full(96, np.nan), "have values that are NaN or infinite"),
    ],
)
def test_images_in_another_range_are_refused(images, message, tmp_path):
    np.savez(tmp_path / "x.npz", x_train=images.reshape(2, 4, 4, 3), y_train=[0, 1])
    with pytest.raises(DataError, match=rf"x.npz': '(x_|npz/)train': images .*{message}"):
        data.get_dataset("npz", "train", tmp_path / "x.npz")


@pytest.mark.parametrize(
    "images",
    [
        np.linspace(-20, 280, 96),  # as resizing with overshoot gives
        np.full(96, 0.5),
        np.arange(96, dtype=np.int64) % 2,
    ],
)
def test_images_that_can_be_in_the_range_are_read(images, tmp_path):
    np.savez(tmp_path / "x.npz", x_train=images.reshape(2, 4, 4, 3), y_train=[0, 1])
    assert len(data.get_dataset("npz", "train", tmp_path / "x.npz")) == 2


def test_a_file_of_one_array_is_no_data_set(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"it is a .npy file, with one array; write images and la"):
        data.get_dataset("npz", "train", tmp_path / "x.npy")
