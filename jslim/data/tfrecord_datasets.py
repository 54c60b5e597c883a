"""Data sets in TFRecord files, with the schemas of research/slim.

Source of patterns, keys and splits: research/slim/datasets of tensorflow/models.
"""

import functools
import glob
import os
import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jslim.core.errors import DataError
from jslim.data import array_record
from jslim.data._errors import check_split
from jslim.data._shards import check_count, check_shards, is_of_records
from jslim.data.decode import EncodedImage
from jslim.data.imagenet import imagenet_class_names
from jslim.data.labels import LABELS_FILENAME as LABELS_FILENAME
from jslim.data.labels import read_label_file as read_label_file
from jslim.data.labels import write_label_file as write_label_file
from jslim.data.sources import Example, ImageDataset, fingerprint_of
from jslim.data.tf_example import Feature, FixedLenFeature, VarLenFeature
from jslim.data.tfexample_decoder import BoundingBox, Image, ItemHandler, Tensor, TFExampleDecoder
from jslim.data.tfrecord import TFRecordFiles
from jslim.host.files import exists, is_directory, matching
from jslim.host.limits import numbers_as_names
from jslim.host.paths import AnyPath, Path, as_path, is_remote

_BBOX = "image/object/bbox/"


class _Schema(NamedTuple):
    """The layout of a data set in files.

    Attributes:
      file_pattern: With `%s` for the split.
      splits: The names of the splits; empty where the names of the files decide.
      num_classes: The number of classes; None where the labels file decides.
      image: The handler of the image.
      image_format: The format where an example has none.
      features: Further features, by name.
      items: The handlers of further items, by name.
      class_names: The names of the classes where there is no labels file; None for numbers.
    """

    file_pattern: str
    splits: tuple[str, ...]
    num_classes: int | None
    image: Image = Image()
    image_format: str = "jpeg"
    features: dict[str, Feature] = {}  # noqa: RUF012  # nothing changes them
    items: dict[str, ItemHandler] = {}  # noqa: RUF012
    class_names: Callable[[], list[str]] | None = None


_BOX_FEATURES: dict[str, Feature] = {
    f"{_BBOX}{side}": VarLenFeature(np.float32) for side in ("ymin", "xmin", "ymax", "xmax")
}
_BOX_ITEMS: dict[str, ItemHandler] = {"object/bbox": BoundingBox(prefix=_BBOX)}
_IMAGENET = _Schema(
    "%s-*",
    ("train", "validation"),
    1001,
    features={
        **_BOX_FEATURES,
        "image/class/text": FixedLenFeature([], bytes, ""),
        "image/object/class/label": VarLenFeature(np.int64),
    },
    items={
        **_BOX_ITEMS,
        "label_text": Tensor("image/class/text"),
        "object/label": Tensor("image/object/class/label"),
    },
    class_names=functools.partial(imagenet_class_names, 1001),
)
_VISUAL_WAKE_WORDS = _Schema(
    "%s.record-*", ("train", "val"), 2, features=_BOX_FEATURES, items=_BOX_ITEMS
)
_DIGIT = Image(shape=[28, 28, 1], channels=1)

SCHEMAS = {
    "cifar10": _Schema("cifar10_%s.tfrecord", ("train", "test"), 10, image_format="png"),
    "flowers": _Schema("flowers_%s_*.tfrecord", ("train", "validation"), 5, image_format="png"),
    "imagenet": _IMAGENET,
    "mnist": _Schema("mnist_%s.tfrecord", ("train", "test"), 10, _DIGIT, "raw"),
    "tfrecord": _Schema("*%s*", (), None),
    "visualwakewords": _VISUAL_WAKE_WORDS,
}

_USUAL_SPLITS = ("train", "training", "validation", "valid", "val", "dev", "eval", "test")


class TFRecordDataset(ImageDataset):
    """Labelled images in TFRecord files, or in ArrayRecord files of the same examples, by number.

    Differs from TF-Slim: the number of records is counted in the files, not declared.

    Args:
      name: What errors call the data set.
      files: The paths; of ArrayRecord files where all end in `.array_record`.
      decoder: Its items `'image'` and `'label'` make the examples; `decode` gives any items.
      class_names: The name of each class.
      lazy_decoder: A decoder for `undecoded`, whose image may be an `EncodedImage`; default
        `decoder`.

    Raises:
      DataError: There is no file, or no record, or a file is broken.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[Path],
        decoder: TFExampleDecoder,
        class_names: Sequence[str],
        *,
        lazy_decoder: TFExampleDecoder | None = None,
    ):
        super().__init__(name, class_names)
        paths = [os.fspath(path) for path in files]
        self.is_in_store = any(map(is_remote, paths))
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
        """Made of the names of the files and the number of records."""
        names = [os.path.basename(path) for path in self.records.paths]
        return fingerprint_of([*names, len(self)])

    def record_key(self, index: int) -> str:
        return self.records.record_key(index)

    def decode(self, index: int, items: Sequence[str] | None = None) -> list[Any]:
        """The asked items of a record, in this order; see `TFExampleDecoder.decode`."""
        return self.decoder.decode(self.records[index], items, self.record_key(index))

    def undecoded(self, index: int) -> Example:
        key = self.record_key(index)
        image, label = self._lazy_decoder.decode(self.records[index], ["image", "label"], key)
        if isinstance(image, EncodedImage):
            image.record_key = key
        return {"image": image, "label": int(label), "record_key": key}

    def label(self, index: int) -> int:
        (label,) = self.decode(index, ["label"])
        return int(label)

    def __getitem__(self, index: int) -> Example:
        image, label = self.decode(index, ["image", "label"])
        return {"image": image, "label": int(label), "record_key": self.record_key(index)}


def open_tfrecord_dataset(
    name: str,
    split_name: str,
    dataset_dir: Path,
    file_pattern: str | None = None,
    *,
    apply_exif_orientation: bool = False,
) -> TFRecordDataset:
    """A split of one of the data sets in `SCHEMAS`.

    Args:
      name: A key of `SCHEMAS`. `'tfrecord'` is for any files with images and labels in
        research/slim's features, and takes the classes from `labels.txt`. The others have one or
        not; without it ImageNet's classes have their names, and other classes their numbers.
      split_name: The split; `'tfrecord'` takes the files with this word in their name.
      dataset_dir: The directory of the files.
      file_pattern: Replaces the pattern of the schema, with `%s` for the split.
      apply_exif_orientation: As of `jslim.data.decode.decode_image`; of no effect on raw images.

    Raises:
      ValueError: There is no such split.
      DataError: Files are missing or broken.
    """
    schema = SCHEMAS[name]
    if schema.splits:
        check_split(split_name, schema.splits, f"{name!r} has the splits")
    directory = as_path(dataset_dir, "dataset_dir")
    if not is_directory(directory):
        raise DataError(f"the data set directory {str(directory)!r} does not exist")
    names = _class_names(directory / LABELS_FILENAME, schema)
    pattern = (file_pattern or schema.file_pattern).replace("%s", glob.escape(split_name))
    is_any = name == "tfrecord" and file_pattern is None
    found = sorted(filter(is_of_records, matching(directory, "*" if is_any else pattern)))
    files = [path for path in found if not is_any or _is_of_split(path, split_name)]
    if not files:
        there = [split for split in _USUAL_SPLITS if any(_is_of_split(x, split) for x in found)]
        hint = f"; the splits there are {', '.join(map(repr, there))}" if there else ""
        raise DataError(f"no file matches the pattern {str(directory / pattern)!r}{hint}")
    paths = [os.fspath(directory / path) for path in files]
    check_shards(paths, pattern)
    features: dict[str, Feature] = {
        **schema.features,
        "image/encoded": FixedLenFeature([], bytes, ""),
        "image/format": FixedLenFeature([], bytes, schema.image_format),
        # A missing label is -1, which is refused. In research/slim's data sets of digits and small
        # images it is class 0, which a network would be trained on.
        "image/class/label": FixedLenFeature([], np.int64, -1),
    }
    image = lazy_image = schema.image
    if image is not _DIGIT:
        image, lazy_image = (
            Image(decode=decode, apply_exif_orientation=apply_exif_orientation)
            for decode in (True, False)
        )
    handlers = {**schema.items, "image": image, "label": Tensor("image/class/label")}
    return TFRecordDataset(
        f"{name}/{split_name}",
        paths,
        TFExampleDecoder(features, handlers),
        names,
        lazy_decoder=TFExampleDecoder(features, handlers | {"image": lazy_image}),
    )


def _is_of_split(filename: str, split_name: str) -> bool:
    """Whether the split is a word of the name.

    Words that usually are splits come first: the file `val_train-00000-of-00005` of a data set
    `val` belongs to `train` and `val`, the file `cats_train` only to `train`.
    """
    words = set(re.split(r"[^A-Za-z0-9]+", filename))
    return split_name in (words.intersection(_USUAL_SPLITS) or words)


def _class_names(path: AnyPath, schema: _Schema) -> list[str]:
    """The names in a labels file; without one those of the schema, or the labels as text."""
    num_classes = schema.num_classes
    if not exists(path):
        if schema.class_names is not None:
            return schema.class_names()
        if num_classes is None:
            raise DataError(
                f"{str(path)!r} is missing: it names the classes, in a line `0:NAME` for each"
            )
        return numbers_as_names(num_classes, str(path.parent))
    names = read_label_file(path)
    count = num_classes or max(names, default=0) + 1
    # One name for each label below `count`; a label in the file can be any number.
    if len(names) != count or max(names) >= count:
        raise DataError(
            f"{str(path)!r} must name the classes 0 to {count - 1}, got "
            f"{reprlib.repr(sorted(names))}"
        )
    return [names[label] for label in range(count)]
