"""Data sets in TFRecord files, with the schemas of research/slim.

Source of patterns, keys and splits: research/slim/datasets of tensorflow/models.
"""

import glob
import os
import pathlib
import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jslim.core.errors import DataError, did_you_mean
from jslim.data import array_record
from jslim.data._shards import check_count, check_shards, is_of_records
from jslim.data.decode import EncodedImage
from jslim.data.labels import LABELS_FILENAME as LABELS_FILENAME
from jslim.data.labels import read_label_file as read_label_file
from jslim.data.labels import write_label_file as write_label_file
from jslim.data.sources import Example, ImageDataset, fingerprint_of
from jslim.data.tf_example import Feature, FixedLenFeature, VarLenFeature
from jslim.data.tfexample_decoder import BoundingBox, Image, ItemHandler, Tensor, TFExampleDecoder
from jslim.data.tfrecord import TFRecordFiles
from jslim.host.limits import numbers_as_names
from jslim.host.paths import local_path

_LABEL = "image/class/label"
_BOXES = "image/object/bbox/"


class _Schema(NamedTuple):
    """How a data set lies in files.

    Attributes:
      file_pattern: With `%s` for the split.
      splits: The names of the splits; none means that the files alone say.
      num_classes: The number of classes; None means that the labels file says.
      image: The handler of the image.
      image_format: What an example that has no format means.
      items: The other items, and their features.
    """

    file_pattern: str
    splits: tuple[str, ...]
    num_classes: int | None
    image: Callable[[], Image] = Image
    image_format: str = "jpeg"
    items: Callable[[], tuple[dict[str, Feature], dict[str, ItemHandler]]] = lambda: ({}, {})


def _boxes() -> tuple[dict[str, Feature], dict[str, ItemHandler]]:
    sides = ("ymin", "xmin", "ymax", "xmax")
    features: dict[str, Feature] = {f"{_BOXES}{side}": VarLenFeature(np.float32) for side in sides}
    return features, {"object/bbox": BoundingBox(prefix=_BOXES)}


def _imagenet_items() -> tuple[dict[str, Feature], dict[str, ItemHandler]]:
    features, handlers = _boxes()
    features["image/class/text"] = FixedLenFeature([], bytes, "")
    features["image/object/class/label"] = VarLenFeature(np.int64)
    handlers["label_text"] = Tensor("image/class/text")
    handlers["object/label"] = Tensor("image/object/class/label")
    return features, handlers


def _mnist_image() -> Image:
    return Image(shape=[28, 28, 1], channels=1)


SCHEMAS = {
    "cifar10": _Schema("cifar10_%s.tfrecord", ("train", "test"), 10, image_format="png"),
    "flowers": _Schema("flowers_%s_*.tfrecord", ("train", "validation"), 5, image_format="png"),
    "imagenet": _Schema("%s-*", ("train", "validation"), 1001, items=_imagenet_items),
    "mnist": _Schema("mnist_%s.tfrecord", ("train", "test"), 10, _mnist_image, "raw"),
    "tfrecord": _Schema("*%s*", (), None),
    "visualwakewords": _Schema("%s.record-*", ("train", "val"), 2, items=_boxes),
}

_USUAL_SPLITS = ("train", "training", "validation", "valid", "val", "dev", "eval", "test")


class TFRecordDataset(ImageDataset):
    """Labelled images in TFRecord files, or in ArrayRecord files of the same examples, at random.

    Differs from TF-Slim: the number of records is that of the files, not one that is declared.

    Args:
      name: What errors call it.
      files: Their paths; ArrayRecord files where all end in `.array_record`.
      decoder: Has the items `'image'` and `'label'`; `decode` gives others.
      class_names: The name of each class.
      lazy_decoder: One whose image may be an `EncodedImage`, for `undecoded`; default `decoder`.

    Raises:
      DataError: There is no file, or no record, or a file is broken.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[str | os.PathLike[str]],
        decoder: TFExampleDecoder,
        class_names: Sequence[str],
        *,
        lazy_decoder: TFExampleDecoder | None = None,
    ):
        super().__init__(name, class_names)
        paths = [os.fspath(path) for path in files]
        is_of_arrays = all(str(path).endswith(array_record.EXTENSIONS) for path in paths)
        self.records: TFRecordFiles | array_record.ArrayRecordFiles = (
            array_record.ArrayRecordFiles(paths) if is_of_arrays else TFRecordFiles(paths)
        )
        check_count(paths, len(self.records))
        self.decoder = decoder
        self._lazy_decoder = lazy_decoder or decoder

    def __len__(self) -> int:
        return len(self.records)

    @property
    def fingerprint(self) -> str:
        """Of the names of the files and the number of records."""
        names = [os.path.basename(path) for path in self.records.paths]
        return fingerprint_of([*names, len(self)])

    def record_key(self, index: int) -> str:
        return self.records.record_key(index)

    def decode(self, index: int, items: Sequence[str] | None = None) -> list[Any]:
        """The items of a record, in their order; see `TFExampleDecoder.decode`."""
        return self.decoder.decode(self.records[index], items, self.record_key(index))

    def undecoded(self, index: int) -> Example:
        key = self.record_key(index)
        image, label = self._lazy_decoder.decode(self.records[index], ["image", "label"], key)
        if isinstance(image, EncodedImage):
            image.record_key = key
        return {"image": image, "label": int(label), "record_key": key}

    def __getitem__(self, index: int) -> Example:
        image, label = self.decode(index, ["image", "label"])
        return {"image": image, "label": int(label), "record_key": self.record_key(index)}


def open_tfrecord_dataset(
    name: str,
    split_name: str,
    dataset_dir: str | os.PathLike[str],
    file_pattern: str | None = None,
) -> TFRecordDataset:
    """A split of one of the data sets in `SCHEMAS`.

    Args:
      name: One of `SCHEMAS`. `'tfrecord'` means any files with images and labels in research/slim's
        features, and takes the classes from `labels.txt`.
      split_name: The split; `'tfrecord'` takes the files that have it in their name as a word.
      dataset_dir: Where the files are.
      file_pattern: In place of the schema's, with `%s` for the split.

    Raises:
      ValueError: There is no such split.
      DataError: The files are not there or not what they should be.
    """
    schema = SCHEMAS[name]
    if schema.splits and split_name not in schema.splits:
        raise ValueError(
            f"split name {split_name} was not recognized: {name!r} has the splits "
            f"{' and '.join(schema.splits)}{did_you_mean(split_name, schema.splits)}"
        )
    directory = pathlib.Path(local_path(dataset_dir, "dataset_dir"))
    if not directory.is_dir():
        raise DataError(f"the data set directory {str(directory)!r} does not exist.")
    names = _class_names(directory / LABELS_FILENAME, schema.num_classes)
    pattern = (file_pattern or schema.file_pattern).replace("%s", glob.escape(split_name))
    is_any = name == "tfrecord" and file_pattern is None
    found = sorted(glob.glob("*" if is_any else pattern, root_dir=directory))
    found = [path for path in found if (directory / path).is_file() and is_of_records(path)]
    files = [path for path in found if not is_any or _is_of_split(path, split_name)]
    if not files:
        there = [split for split in _USUAL_SPLITS if any(_is_of_split(x, split) for x in found)]
        hint = f"; the splits there are {', '.join(map(repr, there))}" if there else ""
        raise DataError(f"no file matches the pattern {str(directory / pattern)!r}{hint}.")
    paths = [str(directory / path) for path in files]
    check_shards(paths, pattern)
    features, handlers = schema.items()
    features |= {
        "image/encoded": FixedLenFeature([], bytes, ""),
        "image/format": FixedLenFeature([], bytes, schema.image_format),
        # One that is missing is -1, which is no class: research/slim's data sets of digits and
        # small images call it class 0, and would train on it.
        _LABEL: FixedLenFeature([], np.int64, -1),
    }
    handlers |= {"image": schema.image(), "label": Tensor(_LABEL)}
    lazy_handlers = handlers | {"image": Image(decode=False)} if schema.image is Image else handlers
    return TFRecordDataset(
        f"{name}/{split_name}",
        paths,
        TFExampleDecoder(features, handlers),
        names,
        lazy_decoder=TFExampleDecoder(features, lazy_handlers),
    )


def _is_of_split(filename: str, split_name: str) -> bool:
    """Whether the split is a word of the name.

    What every file is called, NAME of NAME_train-00000-of-00005, is no split: a word that usually
    is one says which the file belongs to.
    """
    words = set(re.split(r"[^A-Za-z0-9]+", filename))
    return split_name in (words.intersection(_USUAL_SPLITS) or words)


def _class_names(path: pathlib.Path, num_classes: int | None) -> list[str]:
    """The names in a labels file, or numbers where there is none."""
    if not path.exists():
        if num_classes is None:
            raise DataError(
                f"{str(path)!r} is missing: it says which classes there are, a line `0:NAME` for "
                "each."
            )
        return numbers_as_names(num_classes, str(path.parent))
    names = read_label_file(path)
    count = num_classes or max(names, default=0) + 1
    # As many labels as there are classes, none of them twice; a label can be any number.
    if len(names) != count or max(names) >= count:
        raise DataError(
            f"{str(path)!r} must name the classes 0 to {count - 1}, got "
            f"{reprlib.repr(sorted(names))}"
        )
    return [names[label] for label in range(count)]
