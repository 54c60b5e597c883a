"""Data sets by name."""

import os

from jslim._errors import did_you_mean
from jslim.data.folder import FolderDataset
from jslim.data.sources import ImageDataset, digits

DATASET_NAMES = ("digits", "folder")


def get_dataset(
    name: str, split_name: str, dataset_dir: str | os.PathLike[str] | None = None
) -> ImageDataset:
    """Opens one split of a data set.

    Args:
      name: `'digits'` (handwritten digits that come with the package) or `'folder'` (image files,
        one sub-folder a class: see `FolderDataset`).
      split_name: Such as `'train'` or `'test'`.
      dataset_dir: Where the files are; `'digits'` has none.

    Returns:
      The data set, with `num_samples`, `num_classes`, `class_names` and `labels_to_names`.

    Raises:
      ValueError: The name or the split is unknown, or `dataset_dir` is missing or of no use.
      DataError: The files are not what the data set needs.
    """
    if name not in DATASET_NAMES:
        raise ValueError(
            f"Name of dataset unknown {name}: known are {', '.join(DATASET_NAMES)}"
            f"{did_you_mean(name, DATASET_NAMES)}"
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
        raise ValueError(
            "the data set 'folder' needs dataset_dir, the directory that holds "
            f"{split_name}/CLASS/*.jpg or CLASS/*.jpg."
        )
    return FolderDataset(dataset_dir, split_name)
