"""Data sets made of the records of another one: a part of them, such as one held back."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jslim.core import checks
from jslim.core.errors import DataError
from jslim.core.seeds import check_seed
from jslim.data.sources import Example, ImageDataset, fingerprint_of


class View(ImageDataset):
    """The records of another data set under another name, all as they are.

    Args:
      base: The other data set.
      name: What errors and saved positions call this one.

    Attributes:
      base: As given.
    """

    def __init__(self, base: ImageDataset, name: str):
        super().__init__(name, base.class_names)
        self.is_in_memory, self.is_in_store = base.is_in_memory, base.is_in_store
        self.has_labels = base.has_labels
        self.base = base

    def __len__(self) -> int:
        return len(self.base)

    def place(self, index: int) -> int:
        """The index in `base` of a record."""
        return index

    def changed(self, example: Example) -> Example:
        """A record as this data set gives it."""
        return example

    @property
    def fingerprint(self) -> str | None:
        return self.base.fingerprint

    def record_key(self, index: int) -> str:
        return self.base.record_key(self.place(index))

    def stable_key(self, index: int) -> str:
        return self.base.stable_key(self.place(index))

    def label(self, index: int) -> int:
        return self.base.label(self.place(index))

    def undecoded(self, index: int) -> Example:
        return self.changed(self.base.undecoded(self.place(index)))

    def __getitem__(self, index: int) -> Example:
        return self.changed(self.base[self.place(index)])


def whole_of(dataset: ImageDataset) -> ImageDataset:
    """The data set that another one is a view of, or itself."""
    while isinstance(dataset, View):
        dataset = dataset.base
    return dataset


class Subset(View):
    """Some records of a data set.

    Args:
      base: The data set.
      indices: The indices of the records, in the order that they get.
      name: What errors and saved positions call the subset.

    Raises:
      DataError: There is no record.
      ValueError: An index is none of the data set.

    >>> from jslim.data import digits
    >>> subset = Subset(digits("test"), [3, 5], "two digits")
    >>> len(subset), subset.record_key(1)
    (2, 'digits/test:5')
    """

    def __init__(self, base: ImageDataset, indices: ArrayLike, name: str):
        super().__init__(base, name)
        self.indices = np.asarray(indices, np.int64)
        checks.rank("Subset", "indices", self.indices, "[num_samples]")
        if not self.indices.size:
            raise DataError(f"{name!r} has no record; {base.name!r} has {len(base)}")
        if self.indices.min() < 0 or self.indices.max() >= len(base):
            accepted = f"from 0 to {len(base) - 1}, the records of {base.name!r}"
            got = f"{self.indices.min()} to {self.indices.max()}"
            raise checks.refusal("Subset", "indices", accepted, got)

    def __len__(self) -> int:
        return len(self.indices)

    def place(self, index: int) -> int:
        return int(self.indices[index])

    @property
    def fingerprint(self) -> str:
        return fingerprint_of([self.base.fingerprint, self.indices.tobytes().hex()])


class Split(NamedTuple):
    """The two parts of a data set; every record is in one of them."""

    train: Subset
    validation: Subset


def split(dataset: ImageDataset, validation_fraction: float, *, seed: int = 0) -> Split:
    """Divides a data set into a part to train on and one to validate on.

    A record goes to the validation part if the hash of the seed and of its `stable_key`, as a
    number in [0, 1), is below the fraction. The key is the path of an image file in its folder or
    archive, the file and the byte of a record in TFRecord files, and otherwise the number of the
    record. So the same records are held back on every machine; files that are added or deleted move
    no other; and a larger fraction holds back the same records and some more.

    It is not stratified: every record is drawn by itself. Of n records about
    `fraction * n +- sqrt(n * fraction * (1 - fraction))` are held back, and a class of few may have
    none among them. Equal shares of each class would depend on which other files there are.

    Args:
      dataset: The data set.
      validation_fraction: The share of the validation part, between 0 and 1.
      seed: Another seed holds back other records.

    Raises:
      ValueError: An argument is out of range.
      DataError: A part is empty, as can be with few records; another fraction or seed helps.

    >>> from jslim.data import digits
    >>> train, validation = split(digits("train"), 0.1)
    >>> len(train), len(validation)
    (1287, 150)
    """
    checks.number("split", "validation_fraction", validation_fraction, above=0, below=1)
    salt = check_seed(seed).to_bytes(8, "little")
    limit = round(validation_fraction * 2**64)
    is_held_back = np.fromiter(
        (_hash(dataset.stable_key(index), salt) < limit for index in range(len(dataset))),
        bool,
        len(dataset),
    )
    if is_held_back.all() or not is_held_back.any():
        part = "train" if is_held_back.all() else "validation"
        raise DataError(
            f"validation_fraction={validation_fraction:g} leaves the {part} part of "
            f"{dataset.name!r} without any of its {len(dataset)} records; give another fraction, "
            "or another seed"
        )
    return Split(
        Subset(dataset, np.flatnonzero(~is_held_back), f"{dataset.name} (train part)"),
        Subset(dataset, np.flatnonzero(is_held_back), f"{dataset.name} (validation part)"),
    )


def _hash(key: str, salt: bytes) -> int:
    """64 bits of the key."""
    digest = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=8, salt=salt)
    return int.from_bytes(digest.digest(), "big")
