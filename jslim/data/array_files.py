"""Small data sets whole in memory: MNIST's IDX files, CIFAR-10's binary files, NumPy's .npz.

Sources of the formats: http://yann.lecun.com/exdb/mnist and https://www.cs.toronto.edu/~kriz/cifar.
"""

import contextlib
import math
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.lib.npyio import NpzFile

from jslim.core.errors import DataError, did_you_mean
from jslim.data._compressed import decompressed
from jslim.data._image_arrays import check_images
from jslim.data.sources import ArrayDataset
from jslim.host.files import open_regular
from jslim.host.limits import check_unpacked
from jslim.host.paths import local_path

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

_IDX_UINT8 = 8  # the code of the only type that MNIST has
_MNIST_STEMS = {"train": "train", "test": "t10k"}
_CIFAR10_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
_CIFAR_RECORD = 1 + 3 * 32 * 32


def find_arrays(name: str, split_name: str, directory: pathlib.Path) -> ArrayDataset | None:
    """MNIST or CIFAR-10 from their own files, or None where these are not in the directory.

    Args:
      name: `'mnist'` or `'cifar10'`; of others there are none.
      split_name: `'train'` or `'test'`.
      directory: Holds `train-images-idx3-ubyte` and the like, also with `.gz`; or
        `data_batch_1.bin` and the like, also in `cifar-10-batches-bin`.

    Raises:
      DataError: One file of several is missing, or a file is not what it should be.
    """
    if name == "mnist" and split_name in _MNIST_STEMS:
        stem = _MNIST_STEMS[split_name]
        images, labels = (
            _find(directory, f"{stem}-{what}-ubyte") for what in ("images-idx3", "labels-idx1")
        )
        if images is None:
            return None
        if labels is None:
            raise DataError(f"{str(images)!r} is there, but its labels are not.")
        pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
        if len(pixels) != len(numbers):
            raise DataError(
                f"{str(images)!r} has {len(pixels)} images for the {len(numbers)} labels of "
                f"{str(labels)!r}."
            )
        return ArrayDataset(pixels[..., None], numbers, 10, name=f"mnist/{split_name}")
    if name == "cifar10" and split_name in _CIFAR10_FILES:
        for folder in (directory, directory / "cifar-10-batches-bin"):
            paths = [folder / file for file in _CIFAR10_FILES[split_name]]
            if any(path.exists() for path in paths):
                pixels, numbers = map(np.concatenate, zip(*map(_read_cifar, paths), strict=True))
                return ArrayDataset(
                    pixels, numbers, 10, class_names=CIFAR10_CLASSES, name=f"cifar10/{split_name}"
                )
    return None


def _find(directory: pathlib.Path, name: str) -> pathlib.Path | None:
    paths = (directory / name, directory / f"{name}.gz")
    return next((path for path in paths if path.exists()), None)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with open_regular(local_path(path, "path")) as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if is_packed:
                return b"".join(decompressed(file, "GZIP"))
            status = os.fstat(file.fileno())
            check_unpacked(status.st_size, 512 * status.st_blocks)  # of one that is all holes
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{os.fspath(path)!r} cannot be read ({error}).") from error


def read_idx(path: str | os.PathLike[str], num_axes: int) -> np.ndarray:
    """The uint8 array in an IDX file, plain or compressed by gzip.

    Args:
      path: The file.
      num_axes: How many axes it must have.

    Raises:
      DataError: It is no such file, or is cut short.
    """
    content = _read(path)
    start = 4 + 4 * num_axes
    if content[:4] != bytes([0, 0, _IDX_UINT8, num_axes]) or len(content) < start:
        raise DataError(
            f"{os.fspath(path)!r} is no IDX file of bytes with {num_axes} axes: it starts with "
            f"{content[:4].hex()}."
        )
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{os.fspath(path)!r} should hold an array of shape {shape}, and has "
            f"{len(content) - start} bytes; is it cut short?"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_cifar(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 32, 32, 3]` and labels of a file of a label and three planes for each."""
    content = np.frombuffer(_read(path), np.uint8)
    if not content.size or content.size % _CIFAR_RECORD:
        raise DataError(
            f"{str(path)!r} must have a multiple of {_CIFAR_RECORD} bytes, an image each, and has "
            f"{content.size}; is it cut short?"
        )
    rows = content.reshape(-1, _CIFAR_RECORD)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64)


def npz_split_names(path: str | os.PathLike[str]) -> list[str]:
    """The splits in a NumPy file, as its arrays are called; see `open_npz`.

    Raises:
      DataError: It is no such file.
    """
    with _npz(path) as file:
        found = [re.fullmatch(r"(?P<a>.+)_images|x_(?P<b>.+)", name) for name in file.files]
    return [match["a"] or match["b"] for match in found if match]


@contextlib.contextmanager
def _npz(path: str | os.PathLike[str]) -> Iterator[NpzFile]:
    """The opened file; what goes wrong in reading it is a DataError that names it."""
    path = local_path(path, "dataset_dir")
    try:
        with open_regular(path) as raw:
            if raw.read(6) == b"\x93NUMPY":
                raise ValueError(
                    "it is a .npy file, with one array; write images and labels by np.savez"
                )
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                if not isinstance(file, NpzFile):
                    raise ValueError("it is something else")
                yield file
    except DataError:
        raise
    except Exception as error:  # zip files, NumPy's headers and their types fail in many ways
        raise DataError(
            f"{os.fspath(path)!r} cannot be read as a NumPy .npz file ({str(error)[:300]})."
        ) from error


def _array(file: NpzFile, name: str) -> np.ndarray:
    """An array of an opened .npz, whose size in memory is in proportion to that in the file."""
    assert file.zip is not None  # it is open
    member = file.zip.getinfo(f"{name}.npy" if f"{name}.npy" in file.zip.namelist() else name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"array {name} is compressed in a way that NumPy does not write")
    check_unpacked(member.file_size, member.compress_size)
    array = file[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is no array")
    return array


def open_npz(path: str | os.PathLike[str], split_name: str) -> ArrayDataset:
    """One split of a NumPy file, which is read whole.

    Args:
      path: The file, with arrays `SPLIT_images` and `SPLIT_labels`, or `x_SPLIT` and `y_SPLIT` as
        Keras has them. Images are `[n, height, width, channels]` or, grey, `[n, height, width]`,
        with values from 0 to 255; labels are integers, and an array `class_names` says what they
        mean.
      split_name: `SPLIT`.

    Raises:
      DataError: It is no such file, lacks these arrays, or they hold no images and labels.
    """
    where = local_path(path, "dataset_dir")
    styles = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
    with _npz(path) as file:
        for style in styles:
            wanted = [name.format(split_name) for name in style]
            if set(wanted) <= set(file.files):
                break
        else:
            lists = [" and ".join(name.format(split_name) for name in style) for style in styles]
            raise DataError(
                f"{where!r} has no arrays {' or '.join(lists)}; it has "
                f"{', '.join(name[:40] for name in sorted(file.files)[:20])}"
                f"{did_you_mean(lists[0].partition(' ')[0], file.files)}"
            )
        images, labels = (_array(file, name) for name in wanted)
        names = _class_names(file)
        num_classes = len(names) if names else _num_classes(file, style[1])
        labels = labels.reshape(-1) if labels.shape[1:] == (1,) else labels
        images = images[..., None] if images.ndim == 3 else images
    try:
        dataset = ArrayDataset(
            images, labels, num_classes, class_names=names, name=f"npz/{split_name}"
        )
        check_images(dataset.images, f"{wanted[0]!r}", in_255=True)
    except ValueError as error:
        raise DataError(f"{where!r}: {error}") from error
    return dataset


def _class_names(file: NpzFile) -> list[str] | None:
    """The names of the classes in an opened .npz, if it has them."""
    if "class_names" not in file.files:
        return None
    names = _array(file, "class_names")
    if names.ndim != 1 or names.dtype.kind != "U" or not names.size:
        raise ValueError(
            f"class_names must be a row of texts, got {names.dtype} of shape {names.shape}"
        )
    return names.tolist()


def _num_classes(file: NpzFile, style: str) -> int:
    """One more than the greatest label of all splits, which so have the same classes."""
    before, after = style.split("{}")
    greatest = 0
    for name in file.files:
        if name.startswith(before) and name.endswith(after):
            labels = _array(file, name)
            if labels.size and np.issubdtype(labels.dtype, np.integer):
                greatest = max(greatest, int(labels.max()))
    return greatest + 1
