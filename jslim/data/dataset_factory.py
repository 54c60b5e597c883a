"""Data sets by name."""

import os
import pathlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from jslim.core.errors import DataError, did_you_mean
from jslim.data.array_files import find_arrays, npz_split_names, open_npz
from jslim.data.folder import FolderDataset, split_names
from jslim.data.random_access import open_tfds
from jslim.data.sources import ImageDataset, digits
from jslim.data.tfrecord_datasets import SCHEMAS, open_tfrecord_dataset
from jslim.data.trees import open_tree
from jslim.host.paths import local_path


class DatasetRow(NamedTuple):
    """What there is to know of a data set.

    Attributes:
      help: What its files are, for the flags.
      directory: What `dataset_dir` is, with {} for the split; None where there is none.
      open: From `dataset_dir` and the split; of TFRecord files also from their pattern.
      convertible_splits: The names of the splits in a directory that `jslim-convert` takes, where
        it takes this data set.
    """

    help: str
    directory: str | None
    open: Callable[..., ImageDataset]
    convertible_splits: Callable[[pathlib.Path], Sequence[str]] | None = None


def _splits_of_folder(path: pathlib.Path) -> list[str]:
    return split_names(open_tree(path)) or ["train"]


def _published_splits(name: str, path: pathlib.Path) -> list[str]:
    found = [split for split in SCHEMAS[name].splits if find_arrays(name, split, path)]
    if not found:
        raise DataError(
            f"{str(path)!r} has none of the files that {name!r} was published in; see "
            "jslim.data.array_files."
        )
    return found


def _open_records(
    name: str, dataset_dir: str, split_name: str, file_pattern: str | None = None
) -> ImageDataset:
    arrays = None
    if file_pattern is None:
        arrays = find_arrays(name, split_name, pathlib.Path(dataset_dir))
    return arrays or open_tfrecord_dataset(name, split_name, dataset_dir, file_pattern)


def _of_records(name: str, help: str = "", is_published: bool = False) -> DatasetRow:
    return DatasetRow(
        f"TFRecord files{help}",
        "the directory that holds its files",
        partial(_open_records, name),
        partial(_published_splits, name) if is_published else None,
    )


DATASETS = {
    "digits": DatasetRow("come with jslim", None, lambda _, split_name: digits(split_name)),
    "folder": DatasetRow(
        "DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that",
        "the directory that holds {}/CLASS/*.jpg or CLASS/*.jpg",
        FolderDataset,
        _splits_of_folder,
    ),
    "npz": DatasetRow("a NumPy file", "the NumPy file", open_npz, npz_split_names),
    "tfds": DatasetRow(
        "the directory of a version that TFDS has prepared",
        "the directory of one of its versions",
        open_tfds,
    ),
    "cifar10": _of_records("cifar10", " or its own files", is_published=True),
    "flowers": _of_records("flowers"),
    "imagenet": _of_records("imagenet"),
    "mnist": _of_records("mnist", " or its own files", is_published=True),
    "tfrecord": _of_records("tfrecord", " of others, with a labels.txt; also ArrayRecord files"),
    "visualwakewords": _of_records("visualwakewords"),
}
DATASET_NAMES = tuple(DATASETS)


def get_dataset(
    name: str,
    split_name: str,
    dataset_dir: str | os.PathLike[str] | None = None,
    file_pattern: str | None = None,
) -> ImageDataset:
    """Opens one split of a data set.

    Args:
      name: `'digits'` (handwritten digits that come with the package); `'folder'` (image files,
        one sub-folder a class: see `FolderDataset`); `'npz'` (a NumPy file: see
        `jslim.data.array_files.open_npz`); `'tfds'` (what TFDS has prepared: see
        `jslim.data.random_access.open_tfds`); or, in TFRecord files as TF-Slim's scripts wrote
        them, `'cifar10'`, `'flowers'`, `'imagenet'`, `'mnist'`, `'visualwakewords'` and, for any
        others with the same features and a labels.txt, `'tfrecord'`, also in ArrayRecord files.
        `'mnist'` and `'cifar10'` are also read from the IDX and binary files that they were
        published in.
      split_name: Such as `'train'` or `'test'`.
      dataset_dir: Where the files are, or the archive or NumPy file; `'digits'` has none.
      file_pattern: The names of the TFRecord files with `%s` for the split, in place of those that
        TF-Slim's scripts gave them.

    Returns:
      The data set, with `num_samples`, `num_classes`, `class_names` and `labels_to_names`.

    Raises:
      ValueError: The name or the split is unknown, or an argument is missing or of no use.
      DataError: The files are not what the data set needs.
    """
    if name not in DATASET_NAMES:
        raise ValueError(
            f"Name of dataset unknown {name}: known are {', '.join(DATASET_NAMES)}"
            f"{did_you_mean(name, DATASET_NAMES)}"
        )
    if file_pattern is not None and name not in SCHEMAS:
        raise ValueError(f"file_pattern is of data sets in TFRecord files; {name!r} has none.")
    if file_pattern is not None and "%s" not in file_pattern:
        raise ValueError(
            f"file_pattern must have %s in place of the split, or every split would be the same "
            f"files, got {file_pattern!r}."
        )
    row = DATASETS[name]
    if row.directory is None:
        if dataset_dir is not None:
            raise ValueError(
                f"the data set {name!r} comes with the package and reads no directory, got "
                f"dataset_dir {os.fspath(dataset_dir)!r}; leave it out, or use the data set "
                "'folder' to read image files."
            )
        return row.open(None, split_name)
    if dataset_dir is None:
        raise ValueError(
            f"the data set {name!r} needs dataset_dir, {row.directory.format(split_name)}."
        )
    pattern = {} if file_pattern is None else {"file_pattern": file_pattern}
    return row.open(local_path(dataset_dir, "get_dataset: dataset_dir"), split_name, **pattern)
