"""Data sets of other libraries: a length, and a dict of image and label at every index."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from jslim.core.errors import DataError
from jslim.data._errors import check_split
from jslim.data._image_arrays import check_images
from jslim.data.sources import Example, ImageDataset
from jslim.host.packages import needed
from jslim.host.paths import Path, path_string


class _Source(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


class RandomAccessDataset(ImageDataset):
    """A data set of another library, such as a data source of TFDS or a Grain `MapDataset`.

    Args:
      source: Has a length, and a dict at every index; it is read in several threads at once.
      class_names: The name of each class.
      name: What errors call it.
      image_key: The key of the image in the dict: `[height, width, channels]` or, grey,
        `[height, width]`, an array or anything `np.asarray` takes, such as a Pillow image.
      label_key: The key of the label.

    Raises:
      DataError: There is no record. From indexing: a key is missing, or it is not an image.

    >>> source = [{"image": np.zeros((8, 8, 3), np.uint8), "label": 1}]
    >>> RandomAccessDataset(source, ["cat", "dog"])[0]["label"]
    1
    """

    def __init__(
        self,
        source: _Source,
        class_names: Sequence[str],
        *,
        name: str = "source",
        image_key: str = "image",
        label_key: str = "label",
    ):
        super().__init__(name, class_names)
        self.source = source
        self._keys = (image_key, label_key)
        if not len(source):
            raise DataError(f"{name!r} has no record")

    def __len__(self) -> int:
        return len(self.source)

    def label(self, index: int) -> int:
        return self._label(self._record(index), index)

    def __getitem__(self, index: int) -> Example:
        record, where = self._record(index), self._where(index)
        image = np.asarray(record[self._keys[0]])
        if image.ndim == 2:
            image = image[..., None]
        if image.ndim != 3:
            raise DataError(f"{where} has an image of shape {image.shape}")
        label = self._label(record, index)
        try:
            check_images(image, where, in_255=False)
        except ValueError as error:
            raise DataError(str(error)) from error
        return {"image": image, "label": label, "record_key": self.record_key(index)}

    def _where(self, index: int) -> str:
        return f"record {self.record_key(index)!r}"

    def _record(self, index: int) -> Mapping[str, object]:
        """The dict at an index, which has both keys."""
        record = self.source[index]
        held = record if isinstance(record, Mapping) else {}
        for key in self._keys:
            if key not in held:
                raise DataError(
                    f"{self._where(index)} must be a dict with {key!r}, got "
                    f"{', '.join(held) or type(record).__name__}; say the keys by image_key and "
                    "label_key"
                )
        return held

    def _label(self, record: Mapping[str, object], index: int) -> int:
        label = record[self._keys[1]]
        numbers = np.asarray(label)
        if numbers.size != 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise DataError(
                f"{self._where(index)} must have one integer as its label, got {label!r}"
            )
        return int(numbers.item())


def open_tfds(directory: Path, split_name: str) -> RandomAccessDataset:
    """A split of a data set that TFDS has prepared as ArrayRecord files.

    Args:
      directory: The directory of one version, such as `tensorflow_datasets/mnist/3.0.1`.
      split_name: The split.

    Raises:
      ImportError: The package tensorflow_datasets is not installed.
      DataError: There is no such data set or split, or it has no images with labels.
    """
    package = "tensorflow_datasets"
    with needed(f"the package {package}", "the data set 'tfds'", install=package):
        import tensorflow_datasets as tfds
    where = path_string(directory, "dataset_dir")
    try:
        builder = tfds.builder_from_directory(where)
    except Exception as error:  # of many kinds
        raise DataError(f"{where!r} is no data set prepared by TFDS ({error})") from error
    check_split(split_name, builder.info.splits, f"{where!r} has", DataError)
    features = builder.info.features
    names = getattr(dict(features.items()).get("label"), "names", None)
    if "image" not in features or names is None:
        raise DataError(f"{where!r} has no image and label of classes, got {', '.join(features)}")
    try:
        source = builder.as_data_source(split=split_name)
    except NotImplementedError as error:
        raise DataError(
            f"{where!r} is not in ArrayRecord files; prepare it with file_format='array_record' "
            f"({error})"
        ) from error
    name = f"{builder.info.full_name}/{split_name}"
    return RandomAccessDataset(source, names, name=name)
