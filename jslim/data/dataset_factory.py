"""Data sets by name."""

import os
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
from jslim.host.paths import AnyPath, Path, as_path, path_string


class DatasetRow(NamedTuple):
    """A kind of data set.

    Attributes:
      help: Its files, for the help of the flags.
      directory: The words for its `dataset_dir`, with {} for the split; None if it has none.
      open: Opens a split: takes `dataset_dir`, the split and, for TFRecord files, `file_pattern`.
      convertible_splits: The splits in a directory that `jslim-convert` takes; None if it does not
        take this kind.
      has_photographs: Whether its images may be photographs, and `open` takes
        `apply_exif_orientation`.
    """

    help: str
    directory: str | None
    open: Callable[..., ImageDataset]
    convertible_splits: Callable[[AnyPath], Sequence[str]] | None = None
    has_photographs: bool = False


def _splits_of_folder(path: AnyPath) -> list[str]:
    return split_names(open_tree(path)) or ["train"]


def _published_splits(name: str, path: AnyPath) -> list[str]:
    found = [split for split in SCHEMAS[name].splits if find_arrays(name, split, path)]
    if not found:
        raise DataError(
            f"{str(path)!r} has none of the files that {name!r} was published in; see "
            "jslim.data.array_files"
        )
    return found


def _open_records(
    name: str,
    dataset_dir: str,
    split_name: str,
    file_pattern: str | None = None,
    apply_exif_orientation: bool = False,
) -> ImageDataset:
    arrays = None
    if file_pattern is None:
        arrays = find_arrays(name, split_name, as_path(dataset_dir, "dataset_dir"))
    return arrays or open_tfrecord_dataset(
        name,
        split_name,
        dataset_dir,
        file_pattern,
        apply_exif_orientation=apply_exif_orientation,
    )


def _of_records(name: str, help: str = "", is_published: bool = False) -> DatasetRow:
    return DatasetRow(
        f"TFRecord files{help}",
        "the directory that holds its files",
        partial(_open_records, name),
        partial(_published_splits, name) if is_published else None,
        has_photographs=not is_published,
    )


DATASETS = {
    "digits": DatasetRow("come with jslim", None, lambda _, split_name: digits(split_name)),
    "folder": DatasetRow(
        "DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that",
        "the directory that holds {}/CLASS/*.jpg or CLASS/*.jpg",
        FolderDataset,
        _splits_of_folder,
        has_photographs=True,
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
# The names for `get_dataset`.
DATASET_NAMES = tuple(DATASETS)


def get_dataset(
    name: str,
    split_name: str,
    dataset_dir: Path | None = None,
    file_pattern: str | None = None,
    *,
    apply_exif_orientation: bool = False,
) -> ImageDataset:
    """Opens one split of a data set.

    Args:
      name: The kind of data set: `'digits'` (handwritten digits that come with the package);
        `'folder'` (image files, one sub-folder for each class: see `FolderDataset`); `'npz'` (a
        NumPy file: see `jslim.data.array_files.open_npz`); `'tfds'` (a data set prepared by TFDS:
        see `jslim.data.random_access.open_tfds`); `'cifar10'`, `'flowers'`, `'imagenet'`, `'mnist'`
        or `'visualwakewords'` (the TFRecord files of TF-Slim's scripts); or `'tfrecord'` (any
        TFRecord or ArrayRecord files with the same features and a labels.txt). `'mnist'` and
        `'cifar10'` are also read from the IDX and binary files that they were published in.
      split_name: The split, such as `'train'` or `'test'`.
      dataset_dir: The directory of the files, or the archive or NumPy file, here or in an object
        store; `'digits'` has none.
      file_pattern: The names of the TFRecord files with `%s` for the split, in place of the names
        of TF-Slim's scripts.
      apply_exif_orientation: Whether to turn photographs upright; see
        `jslim.data.decode.decode_image`.

    Returns:
      The data set, with `num_samples`, `num_classes`, `class_names` and `labels_to_names`.

    Raises:
      ValueError: The name or the split is unknown, or an argument is missing or not used.
      DataError: Files are missing or broken.

    >>> dataset = get_dataset("digits", "train")
    >>> dataset.num_samples, dataset.num_classes, dataset[0]["image"].shape
    (1437, 10, (8, 8, 1))
    """
    if name not in DATASET_NAMES:
        raise ValueError(
            f"Name of dataset unknown {name}: known are {', '.join(DATASET_NAMES)}"
            f"{did_you_mean(name, DATASET_NAMES)}"
        )
    row = DATASETS[name]
    options: dict[str, object] = {}
    if file_pattern is not None:
        options["file_pattern"] = file_pattern
        if name not in SCHEMAS:
            raise ValueError(f"file_pattern is of data sets in TFRecord files; {name!r} has none")
    if apply_exif_orientation:
        options["apply_exif_orientation"] = True
        if not row.has_photographs:
            kinds = ", ".join(repr(kind) for kind in DATASETS if DATASETS[kind].has_photographs)
            raise ValueError(
                f"apply_exif_orientation is of photographs in files, as in {kinds}; {name!r} has "
                "none: leave it out"
            )
    if file_pattern is not None and "%s" not in file_pattern:
        raise ValueError(
            "file_pattern must have %s in place of the split, or every split would be the same "
            f"files, got {file_pattern!r}"
        )
    if row.directory is None:
        if dataset_dir is not None:
            raise ValueError(
                f"the data set {name!r} comes with the package and reads no directory, got "
                f"dataset_dir {os.fspath(dataset_dir)!r}; leave it out, or use the data set "
                "'folder' to read image files"
            )
        return row.open(None, split_name)
    if dataset_dir is None:
        raise ValueError(
            f"the data set {name!r} needs dataset_dir, {row.directory.format(split_name)}"
        )
    return row.open(path_string(dataset_dir, "get_dataset: dataset_dir"), split_name, **options)
