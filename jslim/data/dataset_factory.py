"""Data sets by name."""

import os
import pathlib

from jslim.core.errors import did_you_mean
from jslim.data.array_files import find_arrays, open_npz
from jslim.data.folder import FolderDataset
from jslim.data.random_access import open_tfds
from jslim.data.sources import ImageDataset, digits
from jslim.data.tfrecord_datasets import SCHEMAS, open_tfrecord_dataset
from jslim.host.paths import local_path

DATASET_NAMES = ("digits", "folder", "npz", "tfds", *SCHEMAS)


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
    if name == "digits":
        if dataset_dir is not None:
            raise ValueError(
                f"the data set 'digits' comes with the package and reads no directory, got "
                f"dataset_dir {os.fspath(dataset_dir)!r}; leave it out, or use the data set "
                "'folder' to read image files."
            )
        return digits(split_name)
    if dataset_dir is None:
        files = {
            "folder": f"the directory that holds {split_name}/CLASS/*.jpg or CLASS/*.jpg",
            "npz": "the NumPy file",
            "tfds": "the directory of one of its versions",
        }.get(name, "the directory that holds its files")
        raise ValueError(f"the data set {name!r} needs dataset_dir, {files}.")
    dataset_dir = local_path(dataset_dir, "get_dataset: dataset_dir")
    if name == "folder":
        return FolderDataset(dataset_dir, split_name)
    if name == "npz":
        return open_npz(dataset_dir, split_name)
    if name == "tfds":
        return open_tfds(dataset_dir, split_name)
    arrays = None
    if file_pattern is None:
        arrays = find_arrays(name, split_name, pathlib.Path(dataset_dir))
    return arrays or open_tfrecord_dataset(name, split_name, dataset_dir, file_pattern)
