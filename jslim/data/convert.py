"""Writes images as TFRecord or ArrayRecord files, with the features of research/slim."""

import concurrent.futures
import hashlib
import io
import json
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from jslim.core.errors import DataError, did_you_mean
from jslim.core.seeds import check_seed
from jslim.data._shards import read_plan
from jslim.data.array_record import ArrayRecordWriter
from jslim.data.dataset_factory import DATASETS
from jslim.data.decode import decode_image, open_image
from jslim.data.folder import FolderDataset
from jslim.data.labels import LABELS_FILENAME, check_label_names, write_label_file
from jslim.data.order import epoch_permutation
from jslim.data.sources import ArrayDataset, ImageDataset
from jslim.data.tf_example import make_example
from jslim.data.tfrecord import TFRecordWriter
from jslim.data.tfrecord_datasets import SCHEMAS
from jslim.host.files import write_text
from jslim.host.paths import local_path, output_directory

logger = logging.getLogger("jslim")

SOURCES = tuple(name for name, row in DATASETS.items() if row.convertible_splits)
_WRITERS = {"tfrecord": TFRecordWriter, "array_record": ArrayRecordWriter}
FILE_FORMATS = tuple(_WRITERS)

_NUM_SHARDS = 5


class _BadRecords:
    """Counts the images that are left out, of all threads."""

    def __init__(self, allowed: int):
        self.allowed = allowed
        self._reasons: list[str] = []
        self._lock = threading.Lock()

    def note(self, error: DataError) -> None:
        """Logs why an image is left out, or raises where that is one too many."""
        with self._lock:
            if len(self._reasons) >= self.allowed:
                raise DataError(
                    f"{error} (this is one bad image more than skip_bad_records={self.allowed} "
                    "allows)"
                ) from error
            self._reasons.append(str(error))
            logger.warning("bad image %d is left out: %s", len(self._reasons), error)


class _Split(NamedTuple):
    """What is to be written under one name.

    Attributes:
      name: Of the split.
      class_names: By label.
      contents: What its images are, for the plan.
      num_images: How many there are.
      features: Those of the image at an index.
      is_shuffled: Whether they are written in another order.
    """

    name: str
    class_names: list[str]
    contents: Iterable[bytes]
    num_images: int
    features: Callable[[int], dict[str, object]]
    is_shuffled: bool


def convert_dataset(
    dataset_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    dataset_name: str = "folder",
    name: str | None = None,
    num_shards: int | None = None,
    num_threads: int = 4,
    seed: int = 0,
    file_format: str = "tfrecord",
    skip_bad_records: int = 0,
) -> list[str]:
    """Writes `NAME_SPLIT_00000-of-0000N.tfrecord` for every split of a data set, and labels.txt.

    Every image is decoded once to see that it is whole. JPEGs and PNGs of a folder are written as
    they are, other files, JPEGs in CMYK and arrays as PNGs. The images of a folder are in an order
    that `seed` gives, spread over the shards; others stay in theirs.

    A file has its name only when it is whole, and what was written before is not written again: the
    same call goes on after it was stopped.

    Args:
      dataset_dir: A folder of images or an archive of one, as of `FolderDataset`; the directory
        with MNIST's or CIFAR-10's own files; or a NumPy file.
      output_dir: Where the files go; it is made.
      dataset_name: Which of these: `'folder'`, `'mnist'`, `'cifar10'` or `'npz'`.
      name: What the files are called; default the data set's name, of a folder its own.
      num_shards: How many files for each split, at most one an image. Default 5, and 1 of MNIST and
        CIFAR-10, called `mnist_train.tfrecord` and the like as TF-Slim's scripts do.
      num_threads: How many are written at once.
      seed: Of the order.
      file_format: `'tfrecord'` or `'array_record'`.
      skip_bad_records: How many images may be left out that cannot be read; each is logged.

    Returns:
      The paths of all files.

    Raises:
      ValueError: There is no such source or format.
      DataError: One more image cannot be read, a class name has a line break, or `output_dir` has
        files of the same names that were made of other images or by other arguments.
    """
    for what, given, known in (
        ("dataset_name", dataset_name, SOURCES),
        ("file_format", file_format, FILE_FORMATS),
    ):
        if given not in known:
            raise ValueError(
                f"{what} must be one of {', '.join(known)}, got {given!r}"
                f"{did_you_mean(given, known)}"
            )
    dataset_dir = local_path(dataset_dir, "convert_dataset: dataset_dir")
    output_dir = output_directory(output_dir, "convert_dataset: output_dir")
    if name is not None and (name in ("", ".", "..") or "/" in name):
        raise ValueError(f"name must be what files can be called, without '/', got {name!r}")
    seed = check_seed(seed)
    path = pathlib.Path(dataset_dir).resolve()
    if name is None:
        own = path.stem if path.is_file() else path.name
        name = own if dataset_name in ("folder", "npz") else dataset_name
    splits = _splits(dataset_name, pathlib.Path(dataset_dir))
    class_names = splits[0].class_names
    for split in splits:
        if split.class_names != class_names:
            raise DataError(
                f"the classes of {split.name} are not those of {splits[0].name}: "
                f"{sorted(set(split.class_names) ^ set(class_names))} in one of the two only."
            )
    check_label_names(class_names, str(pathlib.Path(output_dir, LABELS_FILENAME)))
    output = pathlib.Path(output_dir)
    output.mkdir(parents=True, exist_ok=True)
    bad = _BadRecords(skip_bad_records)
    paths: list[str] = []
    for split in splits:
        stem = output / f"{name}_{split.name}"
        is_one_file = num_shards is None and dataset_name in SCHEMAS
        count = 1 if is_one_file else min(num_shards or _NUM_SHARDS, split.num_images)
        files = [
            stem.with_name(
                f"{stem.name}{'' if is_one_file else f'_{number:05d}-of-{count:05d}'}.{file_format}"
            )
            for number in range(count)
        ]
        _write_split(split, stem, files, num_threads, seed, bad)
        paths += map(str, files)
    write_label_file(dict(enumerate(class_names)), output)
    return paths


def _splits(dataset_name: str, path: pathlib.Path) -> list[_Split]:
    row = DATASETS[dataset_name]
    assert row.convertible_splits is not None
    datasets = [row.open(path, name) for name in row.convertible_splits(path)]
    return [_of_folder(d) if isinstance(d, FolderDataset) else _of_arrays(d) for d in datasets]


def _of_folder(dataset: FolderDataset) -> _Split:
    paths = [dataset.path(index) for index in range(len(dataset))]

    def features(index: int) -> dict[str, object]:
        encoded = dataset.tree.read(paths[index])
        image = decode_image(encoded, dataset.record_key(index))
        kind = _kind(encoded)
        if kind is None:
            kind, encoded = "png", _as_png(image)
        return {
            **_features(encoded, kind, image.shape, dataset.label(index), dataset.class_names),
            "image/filename": paths[index],
        }

    # Not of their content: reading it all once more would take as long as converting.
    files = [[path, dataset.tree.size(path)] for path in paths]
    contents = [json.dumps(files).encode()]
    split = dataset.name.partition("/")[2]
    return _Split(split, dataset.class_names, contents, len(dataset), features, is_shuffled=True)


def _of_arrays(dataset: ImageDataset) -> _Split:
    assert isinstance(dataset, ArrayDataset)

    def features(index: int) -> dict[str, object]:
        example = dataset[index]
        image = np.asarray(example["image"])
        if image.dtype != np.uint8 or image.shape[2] not in (1, 3, 4):
            raise DataError(
                f"image {example['record_key']!r} is {image.dtype} of shape {image.shape}; only "
                "uint8 images of 1, 3 or 4 channels can be written as PNG."
            )
        encoded = _as_png(image)
        return _features(encoded, "png", image.shape, example["label"], dataset.class_names)

    contents = (np.ascontiguousarray(a).tobytes() for a in (dataset.images, dataset.labels))
    split = dataset.name.partition("/")[2]
    return _Split(split, dataset.class_names, contents, len(dataset), features, is_shuffled=False)


def _features(
    encoded: bytes, kind: str, shape: tuple[int, ...], label: int, class_names: list[str]
) -> dict[str, object]:
    if not 0 <= label < len(class_names):
        raise DataError(f"label {label} is outside 0 to {len(class_names) - 1}.")
    return {
        "image/encoded": encoded,
        "image/format": kind,
        "image/class/label": label,
        "image/class/text": class_names[label],
        "image/height": shape[0],
        "image/width": shape[1],
    }


def _write_split(
    split: _Split,
    stem: pathlib.Path,
    paths: list[pathlib.Path],
    num_threads: int,
    seed: int,
    bad: _BadRecords,
) -> None:
    count = split.num_images
    order = epoch_permutation(seed, 0, count) if split.is_shuffled else np.arange(count)
    _check_plan(split, stem, paths, seed, bad.allowed)
    shards = np.array_split(order, len(paths))
    finished = sum(len(shard) for shard, path in zip(shards, paths, strict=True) if path.exists())
    if finished:
        logger.info("%s: %d of %d images were written before", stem.name, finished, count)
    pool = concurrent.futures.ThreadPoolExecutor(num_threads)
    try:
        tasks = {
            pool.submit(_write_shard, split, shard, path, bad): len(shard)
            for shard, path in zip(shards, paths, strict=True)
            if not path.exists()
        }
        for task in concurrent.futures.as_completed(tasks):
            task.result()
            finished += tasks[task]
            logger.info("%s: %d of %d images", stem.name, finished, count)
    finally:
        pool.shutdown(cancel_futures=True)


def _check_plan(
    split: _Split, stem: pathlib.Path, paths: list[pathlib.Path], seed: int, skip_bad_records: int
) -> None:
    """Notes what the files are made of, or refuses where they were made of something else."""
    digest = hashlib.sha256()
    for part in split.contents:
        digest.update(part)
    plan: dict[str, object] = {
        "num_images": split.num_images,
        "num_shards": len(paths),
        "seed": seed,
        "images": digest.hexdigest(),
    }
    if skip_bad_records:
        plan["skip_bad_records"] = skip_bad_records
    path = stem.with_name(f"{stem.name}.json")
    held = read_plan(path)
    if held is None and path.exists() and any(map(os.path.exists, paths)):
        raise DataError(
            f"{str(path)!r} does not say what the files there were made of; delete them and it, "
            "or give another directory."
        )
    if held is None:
        write_text(path, json.dumps(plan) + "\n")
    elif held != plan:
        changed = [key for key in {**plan, **held} if held.get(key) != plan.get(key)]
        raise DataError(
            f"{str(path)!r} says that the files there were made with other {', '.join(changed)}"
            "; delete them, or give another directory."
        )


def _write_shard(split: _Split, indices: np.ndarray, path: pathlib.Path, bad: _BadRecords) -> None:
    with _WRITERS[path.suffix[1:]](path) as writer:
        for index in indices:
            try:
                features = split.features(int(index))
            except DataError as error:
                bad.note(error)
            else:
                writer.write(make_example(features))


def _kind(encoded: bytes) -> str | None:
    """What TensorFlow calls the format, of those that it reads: JPEGs for print are not."""
    if encoded.startswith(b"\xff\xd8\xff"):
        with open_image(encoded) as image:
            return "jpeg" if image.mode in ("L", "RGB") else None
    return "png" if encoded.startswith(b"\x89PNG\r\n\x1a\n") else None


def _as_png(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()
