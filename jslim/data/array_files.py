"""Small data sets whole in memory: MNIST's IDX files, CIFAR-10's binary files, NumPy's .npz.

Sources of the formats: http://yann.lecun.com/exdb/mnist and https://www.cs.toronto.edu/~kriz/cifar.
"""

import gzip
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from jslim._errors import DataError, did_you_mean
from jslim.data.sources import ArrayDataset

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
            if paths[0].exists():
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
        content = pathlib.Path(path).read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
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
    if len(content) - start != np.prod(shape, dtype=int):
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
    names = _in_npz(path, lambda file: file.files)
    found = [re.fullmatch(r"(?P<a>.+)_images|x_(?P<b>.+)", name) for name in names]
    return [match["a"] or match["b"] for match in found if match]


def _in_npz(path: str | os.PathLike[str], read: Callable[[Any], Any]) -> Any:
    """What `read` gives of the opened file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return read(file)
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{os.fspath(path)!r} cannot be read as a NumPy .npz file ({error})."
        ) from error


def open_npz(path: str | os.PathLike[str], split_name: str) -> ArrayDataset:
    """One split of a NumPy file, which is read whole.

    Args:
      path: The file, with arrays `SPLIT_images` and `SPLIT_labels`, or `x_SPLIT` and `y_SPLIT` as
        Keras has them. Images are `[n, height, width, channels]` or, grey, `[n, height, width]`;
        labels are integers, and an array `class_names` says what they mean.
      split_name: `SPLIT`.

    Raises:
      DataError: It is no such file, or has not these arrays.
    """
    where = os.fspath(path)
    arrays = _in_npz(path, lambda file: {name: file[name] for name in file.files})
    styles = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
    for style in styles:
        images, labels = (arrays.get(name.format(split_name)) for name in style)
        if images is not None and labels is not None:
            break
    else:
        wanted = [" and ".join(name.format(split_name) for name in style) for style in styles]
        raise DataError(
            f"{where!r} has no arrays {' or '.join(wanted)}; it has {', '.join(sorted(arrays))}"
            f"{did_you_mean(wanted[0].partition(' ')[0], arrays)}"
        )
    labels = labels.reshape(-1) if labels.shape[1:] == (1,) else labels
    names = arrays["class_names"].tolist() if "class_names" in arrays else None
    num_classes = len(names) if names else _num_classes(arrays, style[1])
    images = images[..., None] if images.ndim == 3 else images
    try:
        return ArrayDataset(
            images, labels, num_classes, class_names=names, name=f"npz/{split_name}"
        )
    except ValueError as error:
        raise DataError(f"{where!r}: {error}") from error


def _num_classes(arrays: dict[str, np.ndarray], style: str) -> int:
    """One more than the greatest label of all splits, which so have the same classes."""
    before, after = style.split("{}")
    labels = [a for n, a in arrays.items() if n.startswith(before) and n.endswith(after)]
    return 1 + max((int(array.max()) for array in labels if array.size), default=0)
