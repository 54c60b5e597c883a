"""Data sets: labelled images with random access, each with a name and the names of its classes."""

import abc
import functools
import hashlib
import importlib.resources
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np

from jslim.core import checks, reprs
from jslim.core.errors import DataError
from jslim.core.text import as_text, printable, some_of
from jslim.data._errors import check_split
from jslim.data._image_arrays import check_images
from jslim.data.decode import EncodedImage
from jslim.host.limits import numbers_as_names


class Example(TypedDict):
    """One record: its image `[height, width, channels]`, its label, and what errors call it."""

    image: np.ndarray | EncodedImage
    label: int
    record_key: str


def fingerprint_of(parts: Iterable[object]) -> str:
    """A short text that differs for other parts, as a hash does.

    >>> fingerprint_of(["a", 1])
    'cd85a665880b4301'
    """
    return hashlib.blake2b(
        "\0".join(map(str, parts)).encode(errors="surrogateescape"), digest_size=8
    ).hexdigest()


class ImageDataset(abc.ABC):
    """One split of a data set, with a length and a record at every index.

    Reading must be safe in several threads at once.

    Attributes:
      name: What errors and saved positions call it, such as `'digits/train'`.
      class_names: The name of each class, by label.
      is_in_memory: Whether reading a record costs almost nothing, so that threads that read ahead
        gain nothing.
      is_in_store: Whether reading a record waits for an object store, so that many are read at
        once.
      has_labels: Whether `label` reads no record.
    """

    is_in_memory = False
    is_in_store = False
    has_labels = False

    def __init__(self, name: str, class_names: Sequence[str]):
        self.name = name
        self.class_names = [as_text(name) for name in class_names]

    def __repr__(self) -> str:
        images = reprs.counted(len(self), "image")
        classes = reprs.counted(self.num_classes, "class", "classes")
        names = some_of([printable(name) for name in self.class_names], 3)
        return f"<{type(self).__name__} {self.name!r}: {images} of {classes} ({names})>"

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of records."""

    @abc.abstractmethod
    def __getitem__(self, index: int) -> Example:
        """The record at `index`, in `[0, len(self))`."""

    def undecoded(self, index: int) -> Example:
        """The record at `index`, its image an `EncodedImage` where it comes from an image file."""
        return self[index]

    @property
    def fingerprint(self) -> str | None:
        """A short text that differs for other files; None where it is not known.

        Saved positions hold it, since they have no meaning for other files.
        """
        return None

    def record_key(self, index: int) -> str:
        """What errors and lists of predictions call the record, without reading it."""
        return f"{self.name}:{index}"

    def stable_key(self, index: int) -> str:
        """What the record is called wherever the data set lies; `split` goes by it."""
        return self.record_key(index)

    def label(self, index: int) -> int:
        """The label of the record; its image is not decoded.

        Raises:
          DataError: The record cannot be read.
        """
        return self.undecoded(index)["label"]

    @property
    def num_samples(self) -> int:
        """The number of records, under TF-Slim's name."""
        return len(self)

    @property
    def num_classes(self) -> int:
        """The number of classes; every label is smaller."""
        return len(self.class_names)

    @property
    def labels_to_names(self) -> dict[int, str]:
        """The class names by label, as in TF-Slim's data sets."""
        return dict(enumerate(self.class_names))


def check_label(dataset: ImageDataset, label: int, record_key: str) -> int:
    """The label, which must be one of the classes of the data set.

    Raises:
      DataError: It is out of range.
    """
    if not 0 <= label < dataset.num_classes:
        raise DataError(
            f"record {record_key!r} of {dataset.name!r} has label {label}, outside 0 to "
            f"{dataset.num_classes - 1}, the labels of its {dataset.num_classes} classes; correct "
            "the label or num_classes"
        )
    return label


class ArrayDataset(ImageDataset):
    """Images in memory; needs no package but NumPy.

    Args:
      images: `[num_samples, height, width, channels]`, integers or floats; in `[0, 255]` for the
        preprocessing functions.
      labels: Integers `[num_samples]` in `[0, num_classes)`, which are checked batch by batch.
      num_classes: The number of classes.
      class_names: The name of each class; by default the labels as text.
      name: What errors call the data set.

    Raises:
      ValueError: The shapes do not fit each other, there is no image, or images or labels hold
        something else: texts, NaN, channels before the height.

    >>> dataset = ArrayDataset(np.zeros((3, 8, 8, 1)), np.array([0, 1, 0]), num_classes=2)
    >>> len(dataset), dataset[1]["label"], dataset[1]["record_key"]
    (3, 1, 'arrays:1')
    """

    is_in_memory = True
    has_labels = True

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        *,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
    ):
        images, labels = np.asarray(images), np.asarray(labels)
        hint = "add the missing axis, as in images[..., None]"
        layout = "[num_samples, height, width, channels]"
        checks.rank("", f"images of {name!r}", images, layout, hint)
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            accepted = f"integers of shape {images.shape[:1]}, one an image"
            got, hint = f"{labels.dtype} of shape {labels.shape}", ""
            if labels.dtype.kind in "US":
                hint = "number the classes: class_names, labels = np.unique(labels, "
                hint += "return_inverse=True)"
            elif labels.shape == (len(images), num_classes):
                hint = "give the numbers of the classes, labels.argmax(axis=1)"
            elif labels.shape == images.shape[:1]:
                hint = "convert them with labels.astype('int32')"
            raise checks.refusal("", f"labels of {name!r}", accepted, got, hint)
        if not len(images):
            raise ValueError(f"{name!r} has no image; pass at least one")
        check_images(images, repr(name), in_255=False)
        if class_names is None:
            class_names = numbers_as_names(num_classes, repr(name))
        if len(class_names) != num_classes:
            raise ValueError(
                f"class_names of {name!r} must name the {num_classes} classes, got "
                f"{len(class_names)} names"
            )
        super().__init__(name, class_names)
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    def label(self, index: int) -> int:
        return int(self.labels[index])

    def __getitem__(self, index: int) -> Example:
        return {
            "image": self.images[index],
            "label": self.label(index),
            "record_key": self.record_key(index),
        }


@functools.cache
def _load_digits() -> dict[str, np.ndarray]:
    path = importlib.resources.files("jslim.data") / "digits.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


DIGITS_SPLITS = ("train", "test")


def digits(split_name: str) -> ArrayDataset:
    """The 1,797 handwritten digits that come with the package, 8x8 grey uint8.

    The images of scikit-learn's `load_digits`, their 17 grey levels spread over 0 to 255, in the
    split of `train_test_split(test_size=0.2, stratify=labels, random_state=0)`: 1,437 to train on
    and 360 to test on. Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
    Digits", UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, licence CC BY 4.0.

    Args:
      split_name: `'train'` or `'test'`.

    Raises:
      ValueError: There is no such split.

    >>> dataset = digits("test")
    >>> len(dataset), dataset[0]["image"].shape, dataset.num_classes
    (360, (8, 8, 1), 10)
    """
    check_split(split_name, DIGITS_SPLITS, "'digits' has the splits")
    arrays = _load_digits()
    return ArrayDataset(
        arrays[f"{split_name}_images"],
        arrays[f"{split_name}_labels"],
        num_classes=10,
        name=f"digits/{split_name}",
    )
