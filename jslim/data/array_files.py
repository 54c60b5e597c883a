"""Small data sets whole in memory: MNIST's IDX files, CIFAR-10's binary files, NumPy's .npz.

Sources of the formats: http://yann.lecun.com/exdb/mnist and https://www.cs.toronto.edu/~kriz/cifar.
"""

import contextlib
import math
import os
import re
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.lib.npyio import NpzFile

from jslim.core.errors import DataError, did_you_mean
from jslim.data._compressed import decompressed
from jslim.data._errors import reading
from jslim.data._image_arrays import check_images
from jslim.data.sources import ArrayDataset
from jslim.host.files import check_member, exists, open_regular
from jslim.host.limits import check_unpacked
from jslim.host.paths import AnyPath, Path, is_remote, path_string

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


def find_arrays(name: str, split_name: str, directory: AnyPath) -> ArrayDataset | None:
    """MNIST or CIFAR-10 from the files they were published in, or None without these files.

    Args:
      name: `'mnist'` or `'cifar10'`; any other name gives None.
      split_name: `'train'` or `'test'`.
      directory: Holds `train-images-idx3-ubyte` and so on, also with `.gz`; or `data_batch_1.bin`
        and so on, also in `cifar-10-batches-bin`.

    Raises:
      DataError: One file of several is missing, or a file is damaged.
    """
    if name == "mnist" and split_name in _MNIST_STEMS:
        return _find_mnist(directory, split_name)
    if name == "cifar10" and split_name in _CIFAR10_FILES:
        for folder in (directory, directory / "cifar-10-batches-bin"):
            paths = [folder / file for file in _CIFAR10_FILES[split_name]]
            if any(map(exists, paths)):
                pixels, numbers = map(np.concatenate, zip(*map(_read_cifar, paths), strict=True))
                return ArrayDataset(
                    pixels, numbers, 10, class_names=CIFAR10_CLASSES, name=f"cifar10/{split_name}"
                )
    return None


def _find_mnist(directory: AnyPath, split_name: str) -> ArrayDataset | None:
    paths = []
    for what in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        name = f"{_MNIST_STEMS[split_name]}-{what}"
        found = [path for path in (name, f"{name}.gz") if exists(directory / path)]
        paths += [str(directory / path) for path in found[:1]]
        if not paths:
            return None
    if len(paths) < 2:
        raise DataError(f"{paths[0]!r} is there, but its labels are not")
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise DataError(
            f"{paths[0]!r} has {len(images)} images for the {len(labels)} labels of {paths[1]!r}"
        )
    return ArrayDataset(images[..., None], labels, 10, name=f"mnist/{split_name}")


def _read(path: Path) -> bytes:
    with (
        reading(repr(os.fspath(path)), kinds=(OSError, EOFError, zlib.error)),
        open_regular(path_string(path, "path")) as file,
    ):
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if is_packed:
            return b"".join(decompressed(file, "GZIP"))
        if not is_remote(path):
            status = os.fstat(file.fileno())
            check_unpacked(status.st_size, 512 * status.st_blocks)  # a sparse file may be all holes
        return file.read()


def read_idx(path: Path, num_axes: int) -> np.ndarray:
    """The uint8 array in an IDX file, plain or compressed by gzip.

    Args:
      path: The file.
      num_axes: The number of axes that the array must have.

    Raises:
      DataError: It is not such a file, or is cut short.
    """
    content = _read(path)
    start = 4 + 4 * num_axes
    if content[:4] != bytes([0, 0, _IDX_UINT8, num_axes]) or len(content) < start:
        raise DataError(
            f"{os.fspath(path)!r} is no IDX file of bytes with {num_axes} axes: it starts with "
            f"{content[:4].hex()}"
        )
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{os.fspath(path)!r} should hold an array of shape {shape}, and has "
            f"{len(content) - start} bytes; is it cut short?"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_cifar(path: AnyPath) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 32, 32, 3]` and labels `[n]`; the file has a label and three planes for each."""
    content = np.frombuffer(_read(path), np.uint8)
    if not content.size or content.size % _CIFAR_RECORD:
        raise DataError(
            f"{str(path)!r} must have a multiple of {_CIFAR_RECORD} bytes, an image each, and has "
            f"{content.size}; is it cut short?"
        )
    rows = content.reshape(-1, _CIFAR_RECORD)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64)


def npz_split_names(path: Path) -> list[str]:
    """The splits in a NumPy file, by the names of its arrays; see `open_npz`.

    Raises:
      DataError: It is not a NumPy .npz file.
    """
    with _npz(path) as file:
        found = [re.fullmatch(r"(?P<a>.+)_images|x_(?P<b>.+)", name) for name in file.files]
    return [match["a"] or match["b"] for match in found if match]


@contextlib.contextmanager
def _npz(path: Path) -> Iterator[NpzFile]:
    """The opened file; an error of reading it becomes a DataError that names it."""
    path = path_string(path, "dataset_dir")
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
    except Exception as error:  # zip files, NumPy's headers and dtypes fail in many ways
        raise DataError(
            f"{path!r} cannot be read as a NumPy .npz file ({str(error)[:300]})"
        ) from error


def _array(file: NpzFile, name: str) -> np.ndarray:
    """An array of an opened .npz, refused where it unpacks to far more than it has in the file."""
    assert file.zip is not None  # it is open
    check_member(file.zip.getinfo(f"{name}.npy" if f"{name}.npy" in file.zip.namelist() else name))
    array = file[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is no array")
    return array


def open_npz(path: Path, split_name: str) -> ArrayDataset:
    """One split of a NumPy file, which is read whole.

    Args:
      path: The file, with arrays `SPLIT_images` and `SPLIT_labels`, or `x_SPLIT` and `y_SPLIT` as
        in Keras. Images are `[n, height, width, channels]` or, grey, `[n, height, width]`, with
        values in `[0, 255]`. Labels are integers `[n]` or `[n, 1]`. An array `class_names` of texts
        may name them.
      split_name: `SPLIT`.

    Raises:
      DataError: It is not a NumPy .npz file, lacks these arrays, or they hold something else.
    """
    where = path_string(path, "dataset_dir")
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
    """One more than the greatest label of all splits, so that all have the same classes."""
    before, after = style.split("{}")
    greatest = 0
    for name in file.files:
        if name.startswith(before) and name.endswith(after):
            labels = _array(file, name)
            if labels.size and np.issubdtype(labels.dtype, np.integer):
                greatest = max(greatest, int(labels.max()))
    return greatest + 1
