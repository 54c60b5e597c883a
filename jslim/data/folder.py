"""A folder or archive of image files, one sub-folder for each class, read in place."""

import functools
import os
from collections.abc import Sequence

import numpy as np

from jslim.core.errors import DataError
from jslim.core.text import some_of
from jslim.data._errors import check_split
from jslim.data.decode import EncodedImage
from jslim.data.sources import Example, ImageDataset, fingerprint_of
from jslim.data.trees import IMAGE_EXTENSIONS, Tree, below, is_image, log_passed_over, open_tree
from jslim.host import display
from jslim.host.paths import Path, is_remote

# Files that lie beside images and are never images.
_NOTES = (
    ".csv", ".db", ".htm", ".html", ".ini", ".json", ".lnk", ".log", ".md", ".pbtxt", ".txt",
    ".url", ".xml", ".yaml", ".yml",
)  # fmt: skip

_TRAIN_SPLIT = "train"
_ALL = "all"  # of a folder without splits: evaluating on it needs another name than training


class FolderDataset(ImageDataset):
    """The images in `DIR/SPLIT/CLASS/*`, or in `DIR/CLASS/*` where `DIR` has no splits.

    Labels number the class folders in sorted order. Records come class by class, each class in
    sorted order of its file names. A file is read and decoded when its record is asked for (see
    `jslim.data.decode.decode_image`). Links are followed. Hidden files, files of operating systems
    (`Thumbs.db` and so on) and notes (`.txt`, `.json`, `.csv` and so on) are passed over and
    logged. Anything else in a class folder is an error, so that no part of the data is lost by an
    extension that was passed over.

    Args:
      dataset_dir: `DIR`, or a zip or plain tar archive of it, which is read without unpacking. In
        an object store each image is one request; a tar archive is read once from its beginning to
        its end to find them, a zip archive has a list of them.
      split_name: `SPLIT`. Where `DIR` holds the classes directly, there is one split, `'train'`,
        which is also called `'all'`.
      apply_exif_orientation: As of `jslim.data.decode.decode_image`.

    Raises:
      DataError: The directory or the split does not exist, there are no classes, a class has no
        image or holds another file, or the classes differ from those of the split `train`.
    """

    has_labels = True

    def __init__(self, dataset_dir: Path, split_name: str, *, apply_exif_orientation: bool = False):
        self.apply_exif_orientation = apply_exif_orientation
        self.tree = open_tree(dataset_dir)
        self.is_in_store = is_remote(self.tree.root)
        directory = _find_split(self.tree, split_name)
        class_names = self.tree.folders(directory)
        super().__init__(f"folder/{split_name}", class_names)
        self._paths: list[str] = []
        self._labels: list[int] = []
        empty: list[str] = []
        strays: list[str] = []
        passed_over = _beside(self.tree, directory)
        with display.task("listing", len(class_names), "class folders") as task:
            listings = []
            for listing in self.tree.listings([below(directory, name) for name in class_names]):
                listings.append(listing)
                task.advance()
        for label, (class_name, listing) in enumerate(zip(class_names, listings, strict=True)):
            folder = below(directory, class_name)
            images = [name for name in listing.files if is_image(name)]
            notes = [name for name in listing.files if name.lower().endswith(_NOTES)]
            others = sorted({*listing.files, *listing.folders} - {*images, *notes})
            self._paths += [below(folder, name) for name in images]
            self._labels += [label] * len(images)
            strays += [self.tree.name_of(below(folder, name)) for name in others]
            passed_over += [below(folder, name) for name in (*listing.passed_over, *notes)]
            if not images:
                empty.append(class_name)
        where = self.tree.name_of(directory)
        if strays:
            raise DataError(
                f"{_listing(strays)} in the class folders of {where!r} cannot be read: a "
                f"class folder holds image files only ({', '.join(IMAGE_EXTENSIONS)}); convert, "
                "move or delete them"
            )
        if empty:
            raise DataError(
                f"the class folders {_listing(empty)} of {where!r} have no image; add "
                "images or delete the folders"
            )
        log_passed_over(passed_over, self.tree.root)

    def __len__(self) -> int:
        return len(self._paths)

    def record_key(self, index: int) -> str:
        """The path of the file; for an archive, its path and that of the file in it."""
        return self.tree.name_of(self._paths[index])

    @functools.cached_property
    def fingerprint(self) -> str:
        """Made of the names of all files; their content would have to be read."""
        return fingerprint_of(self._paths)

    def path(self, index: int) -> str:
        """The path of the file in `tree`."""
        return self._paths[index]

    def stable_key(self, index: int) -> str:
        """The path of the file in the folder or archive."""
        return self._paths[index]

    def label(self, index: int) -> int:
        return self._labels[index]

    def undecoded(self, index: int) -> Example:
        key = self.record_key(index)
        image = EncodedImage(
            self.tree.read(self._paths[index]),
            key,
            apply_exif_orientation=self.apply_exif_orientation,
        )
        return {"image": image, "label": self._labels[index], "record_key": key}

    def __getitem__(self, index: int) -> Example:
        example = self.undecoded(index)
        return {**example, "image": np.asarray(example["image"])}


def _beside(tree: Tree, directory: str) -> list[str]:
    """The files beside the class folders, and beside the folder that holds them."""
    found = []
    for folder in dict.fromkeys(("", directory)):
        listing = tree.listing(folder)
        found += [below(folder, name) for name in (*listing.passed_over, *listing.files)]
    return found


def split_names(tree: Tree) -> list[str]:
    """The splits in a folder of images, sorted; none where it holds the classes directly."""
    # A split is a folder of folders; without one, the folders in DIR are classes themselves.
    names = tree.folders()
    listings = tree.listings(names)
    return [name for name, listing in zip(names, listings, strict=True) if listing.folders]


def _find_split(tree: Tree, split_name: str) -> str:
    """The folder that holds the class folders of the split."""
    root = tree.name_of("")
    splits = split_names(tree)
    if not splits:
        if not tree.folders():
            raise DataError(
                f"{root!r} has no class folders; images must lie in one sub-folder a class, "
                f"{os.path.join(root, 'CLASS')} or {os.path.join(root, split_name, 'CLASS')}"
            )
        if split_name not in (_TRAIN_SPLIT, _ALL):
            raise DataError(
                f"split name {split_name} was not recognized: {root!r} has no splits, its folders "
                f"are the classes; move some of the images to "
                f"{os.path.join(root, split_name, 'CLASS')} and the others to "
                f"{os.path.join(root, _TRAIN_SPLIT, 'CLASS')}, or give the split {_ALL!r} for all "
                "of them; to hold some back while training, give --validation_fraction or use "
                "slim.data.split"
            )
        return ""
    where = f"the folders in {root!r} that hold class folders are"
    check_split(split_name, splits, where, DataError)
    if _TRAIN_SPLIT in splits:
        ours, trained = (set(tree.folders(name)) for name in (split_name, _TRAIN_SPLIT))
        if ours != trained:
            raise DataError(
                f"the classes of {tree.name_of(split_name)!r} are not those of the split "
                f"{_TRAIN_SPLIT!r}: {_listing(sorted(ours ^ trained))} in one of the two only; "
                "labels would not mean the same"
            )
    return split_name


def _listing(names: Sequence[str]) -> str:
    """The first five names in quotes, each no longer than 200 characters."""
    return some_of([repr(name[-200:]) for name in names], 5)
