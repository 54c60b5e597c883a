"""A folder of image files, one sub-folder a class, read in place."""

import os
import pathlib
from collections.abc import Iterable, Sequence

from jslim._errors import DataError, did_you_mean
from jslim.data.decode import decode_image
from jslim.data.sources import Example, ImageDataset

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

# What operating systems leave behind; names that start with a dot are passed over too.
_SYSTEM_NAMES = ("Thumbs.db", "desktop.ini", "__MACOSX")
_TRAIN_SPLIT = "train"


class FolderDataset(ImageDataset):
    """The images in `DIR/SPLIT/CLASS/*`, or in `DIR/CLASS/*` where `DIR` has no splits.

    Labels number the class folders in sorted order, and records come class by class, each class
    in sorted order of its file names. Files are read and decoded when a record is asked for (see
    `jslim.data.decode.decode_image`). Hidden files and what operating systems leave behind
    (`Thumbs.db` and the like) are passed over. Every other thing in a class folder that is no image
    file is an error, since an extension that is passed over is how a part of the data gets lost.

    Args:
      dataset_dir: `DIR`.
      split_name: `SPLIT`. Where `DIR` holds the classes directly, it is one split, whatever the
        name.

    Raises:
      DataError: The directory or the split does not exist, there are no classes, a class has no
        image or something that is none, or the classes are not those of the split `train`.
    """

    def __init__(self, dataset_dir: str | os.PathLike[str], split_name: str):
        directory = _find_split(pathlib.Path(dataset_dir), split_name)
        class_names = _directory_names(directory)
        super().__init__(f"folder/{split_name}", class_names)
        self._paths: list[str] = []
        self._labels: list[int] = []
        empty: list[str] = []
        strays: list[str] = []
        for label, class_name in enumerate(class_names):
            images, others = _list_class(directory / class_name)
            self._paths += images
            self._labels += [label] * len(images)
            strays += others
            if not images:
                empty.append(class_name)
        if strays:
            raise DataError(
                f"{_listing(strays)} in the class folders of {str(directory)!r} cannot be read: a "
                f"class folder holds image files only ({', '.join(IMAGE_EXTENSIONS)}); convert, "
                "move or delete what is none."
            )
        if empty:
            raise DataError(
                f"the class folders {_listing(empty)} of {str(directory)!r} have no image; add "
                "images or delete the folders."
            )

    def __len__(self) -> int:
        return len(self._paths)

    def record_key(self, index: int) -> str:
        """The path of the file."""
        return self._paths[index]

    def label(self, index: int) -> int:
        """The label of the record; nothing is read for it."""
        return self._labels[index]

    def __getitem__(self, index: int) -> Example:
        path = self._paths[index]
        try:
            encoded = pathlib.Path(path).read_bytes()
        except OSError as error:
            raise DataError(
                f"image {path!r} cannot be read ({error.strerror}); the folder must stay as it "
                "was when the data set was opened."
            ) from error
        return {
            "image": decode_image(encoded, path),
            "label": self._labels[index],
            "record_key": path,
        }


def _find_split(root: pathlib.Path, split_name: str) -> pathlib.Path:
    """The directory that holds the class folders of the split."""
    if not root.is_dir():
        what = "is a file, not a directory; unpack it first" if root.exists() else "does not exist"
        raise DataError(f"the data set directory {str(root)!r} {what}.")
    splits = split_names(root)
    if not splits:
        if not _directory_names(root):
            raise DataError(
                f"{str(root)!r} has no class folders; images must lie in one sub-folder a class, "
                f"{root / 'CLASS'} or {root / split_name / 'CLASS'}."
            )
        return root
    if split_name not in splits:
        raise DataError(
            f"split name {split_name} was not recognized: the folders in {str(root)!r} that hold "
            f"class folders are {_listing(splits)}{did_you_mean(split_name, splits)}"
        )
    if _TRAIN_SPLIT in splits:
        ours, trained = (set(_directory_names(root / name)) for name in (split_name, _TRAIN_SPLIT))
        if ours != trained:
            raise DataError(
                f"the classes of {str(root / split_name)!r} are not those of the split "
                f"{_TRAIN_SPLIT!r}: {_listing(sorted(ours ^ trained))} in one of the two only; "
                "labels would not mean the same."
            )
    return root / split_name


def split_names(dataset_dir: str | os.PathLike[str]) -> list[str]:
    """The splits in a folder of images, sorted; none where it holds the classes directly."""
    root = pathlib.Path(dataset_dir)
    if not root.is_dir():
        return []
    # A split is a folder of folders; without one, the folders in DIR are classes themselves.
    return [name for name in _directory_names(root) if _directory_names(root / name)]


def _directory_names(directory: pathlib.Path) -> list[str]:
    """The sorted names of the sub-directories."""
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in _visible(entries) if entry.is_dir())


def _list_class(directory: pathlib.Path) -> tuple[list[str], list[str]]:
    """The sorted paths of the image files in a class folder, and those of everything else."""
    images: list[str] = []
    others: list[str] = []
    with os.scandir(directory) as entries:
        for entry in _visible(entries):
            is_image = entry.name.lower().endswith(IMAGE_EXTENSIONS) and not entry.is_dir()
            (images if is_image else others).append(entry.path)
    return sorted(images), sorted(others)


def _visible(entries: Iterable[os.DirEntry[str]]) -> Iterable[os.DirEntry[str]]:
    return (e for e in entries if not e.name.startswith(".") and e.name not in _SYSTEM_NAMES)


def _listing(names: Sequence[str], limit: int = 5) -> str:
    """The names in quotes, no more than `limit` of them."""
    shown = ", ".join(map(repr, names[:limit]))
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
