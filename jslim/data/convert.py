"""Writes images as TFRecord or ArrayRecord files, with the features of research/slim."""

import concurrent.futures
import hashlib
import io
import json
import logging
import pathlib
import threading

import numpy as np

from jslim.core import checks
from jslim.core.errors import DataError
from jslim.core.seeds import check_seed
from jslim.data._shards import read_plan
from jslim.data.array_record import ArrayRecordWriter
from jslim.data.dataset_factory import DATASETS
from jslim.data.decode import decode_image, open_image
from jslim.data.folder import FolderDataset
from jslim.data.labels import LABELS_FILENAME, check_label_names, write_label_file
from jslim.data.order import epoch_permutation
from jslim.data.orientation import ORIENTATION_TAG, orientation_of
from jslim.data.sources import ArrayDataset, ImageDataset
from jslim.data.tf_example import make_example
from jslim.data.tfrecord import TFRecordWriter
from jslim.data.tfrecord_datasets import SCHEMAS
from jslim.host import display
from jslim.host.files import write_text
from jslim.host.paths import Path, as_path, is_remote, output_directory

logger = logging.getLogger("jslim")

SOURCES = tuple(name for name, row in DATASETS.items() if row.convertible_splits)
_WRITERS = {"tfrecord": TFRecordWriter, "array_record": ArrayRecordWriter}
FILE_FORMATS = tuple(_WRITERS)

_NUM_SHARDS = 5


class _BadRecords:
    """Counts the images that are left out by all threads."""

    def __init__(self, allowed: int):
        self.allowed = allowed
        self._reasons: list[str] = []
        self._lock = threading.Lock()

    def note(self, error: DataError) -> None:
        """Logs why an image is left out, or raises the error where it is one too many."""
        with self._lock:
            if len(self._reasons) >= self.allowed:
                raise DataError(
                    f"{error} (this is one bad image more than skip_bad_records={self.allowed} "
                    "allows)"
                ) from error
            self._reasons.append(str(error))
            logger.warning("bad image %d is left out: %s", len(self._reasons), error)


def convert_dataset(
    dataset_dir: Path,
    output_dir: Path,
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

    Every image is decoded once to see that it is whole. JPEGs and PNGs of a folder are copied;
    other files, JPEGs in CMYK and arrays become PNGs. The images of a folder are written in an
    order drawn from `seed`, those of other data sets in their own order.

    A file gets its name only when it is whole, and existing files are not written again: after an
    interruption the same call goes on.

    Args:
      dataset_dir: A folder of images or an archive of one, as of `FolderDataset`; the directory
        with the published files of MNIST or CIFAR-10; or a NumPy file.
      output_dir: The directory of the new files; it is made.
      dataset_name: The kind of data set: `'folder'`, `'mnist'`, `'cifar10'` or `'npz'`.
      name: The first part of the names of the new files; default the data set's name, or that of
        the folder or NumPy file.
      num_shards: The number of files for each split, at most one for each image. Default 5; for
        MNIST and CIFAR-10 a single file, such as `mnist_train.tfrecord`, as in TF-Slim's scripts.
      num_threads: The number of files that are written at once.
      seed: The seed of the order.
      file_format: `'tfrecord'` or `'array_record'`.
      skip_bad_records: The number of images that may be left out because they cannot be read; each
        is logged.

    Returns:
      The paths of all files.

    Raises:
      ValueError: There is no such data set or format.
      DataError: One more image cannot be read, a class name has a line break, or `output_dir` has
        files of the same names that were made of other images or by other arguments.
    """
    checks.one_of("", "dataset_name", dataset_name, SOURCES)
    checks.one_of("", "file_format", file_format, FILE_FORMATS)
    source = as_path(dataset_dir, "convert_dataset: dataset_dir")
    output = as_path(output_directory(output_dir, "convert_dataset: output_dir"), "output_dir")
    if name is not None and (name in ("", ".", "..") or "/" in name):
        raise ValueError(f"name must be the name of a file, without '/', got {name!r}")
    seed = check_seed(seed)
    if name is None:
        path = source if is_remote(source) else source.resolve()
        own = path.stem if path.is_file() else path.name
        name = own if dataset_name in ("folder", "npz") else dataset_name
    row = DATASETS[dataset_name]
    assert row.convertible_splits is not None
    splits = [row.open(source, split) for split in row.convertible_splits(source)]
    class_names = splits[0].class_names
    for split in splits:
        if split.class_names != class_names:
            raise DataError(
                f"the classes of {_name(split)} are not those of {_name(splits[0])}: "
                f"{sorted(set(split.class_names) ^ set(class_names))} in one of the two only"
            )
    check_label_names(class_names, str(output / LABELS_FILENAME))
    output.mkdir(parents=True, exist_ok=True)
    bad = _BadRecords(skip_bad_records)
    paths: list[str] = []
    for split in splits:
        stem = output / f"{name}_{_name(split)}"
        is_one_file = num_shards is None and dataset_name in SCHEMAS
        count = 1 if is_one_file else min(num_shards or _NUM_SHARDS, len(split))
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


def _name(split: ImageDataset) -> str:
    return split.name.partition("/")[2]


def _features(dataset: ImageDataset, index: int) -> dict[str, object]:
    """The features of the example that is written for a record."""
    more: dict[str, object] = {}
    encoded, kind, orientation = b"", None, 1
    if isinstance(dataset, FolderDataset):
        path, label = dataset.path(index), dataset.label(index)
        encoded = dataset.tree.read(path)
        image = decode_image(encoded, dataset.record_key(index))
        kind, orientation = _kind(encoded), orientation_of(encoded)
        more["image/filename"] = path
    else:
        example = dataset[index]
        image, label = np.asarray(example["image"]), example["label"]
        if image.dtype != np.uint8 or image.shape[2] not in (1, 3, 4):
            raise DataError(
                f"image {example['record_key']!r} is {image.dtype} of shape {image.shape}; only "
                "uint8 images of 1, 3 or 4 channels can be written as PNG"
            )
    if not 0 <= label < dataset.num_classes:
        raise DataError(f"label {label} is outside 0 to {dataset.num_classes - 1}")
    return {
        "image/encoded": encoded if kind else _as_png(image, orientation),
        "image/format": kind or "png",
        "image/class/label": label,
        "image/class/text": dataset.class_names[label],
        "image/height": image.shape[0],
        "image/width": image.shape[1],
        **more,
    }


def _write_split(
    split: ImageDataset,
    stem: pathlib.Path,
    paths: list[pathlib.Path],
    num_threads: int,
    seed: int,
    bad: _BadRecords,
) -> None:
    count = len(split)
    is_shuffled = isinstance(split, FolderDataset)
    order = epoch_permutation(seed, 0, count) if is_shuffled else np.arange(count)
    _check_plan(split, stem, paths, seed, bad.allowed)
    shards = dict(zip(paths, np.array_split(order, len(paths)), strict=True))
    missing = {path: part for path, part in shards.items() if not path.exists()}
    finished = count - sum(map(len, missing.values()))
    if finished:
        logger.info("%s: %d of %d images were written before", stem.name, finished, count)
    pool = concurrent.futures.ThreadPoolExecutor(num_threads)
    with display.task(f"writing {stem.name}", count, "images", done=finished) as task:
        try:
            shards_written = [
                pool.submit(_write_shard, split, part, path, bad, task)
                for path, part in missing.items()
            ]
            for written in concurrent.futures.as_completed(shards_written):
                written.result()
        finally:
            pool.shutdown(cancel_futures=True)
    if missing:
        logger.info("%s: %d of %d images", stem.name, count, count)


def _check_plan(
    split: ImageDataset,
    stem: pathlib.Path,
    paths: list[pathlib.Path],
    seed: int,
    skip_bad_records: int,
) -> None:
    """Writes down what the files are made of, or refuses files that were made of something else."""
    digest = hashlib.sha256()
    if isinstance(split, FolderDataset):
        # The sizes, not the contents: reading them would take as long as converting.
        names = [split.path(index) for index in range(len(split))]
        sizes = split.tree.sizes(names)
        digest.update(json.dumps([*zip(names, sizes, strict=True)]).encode())
    else:
        assert isinstance(split, ArrayDataset)
        for array in (split.images, split.labels):
            digest.update(np.ascontiguousarray(array).tobytes())
    plan: dict[str, object] = {
        "num_images": len(split),
        "num_shards": len(paths),
        "seed": seed,
        "images": digest.hexdigest(),
    }
    if skip_bad_records:
        plan["skip_bad_records"] = skip_bad_records
    path = stem.with_name(f"{stem.name}.json")
    held = read_plan(path)
    if held is None and path.exists() and any(path.exists() for path in paths):
        raise DataError(
            f"{str(path)!r} does not say what the files there were made of; delete them and it, "
            "or give another directory"
        )
    if held is None:
        write_text(path, json.dumps(plan) + "\n")
    elif held != plan:
        changed = [key for key in {**plan, **held} if held.get(key) != plan.get(key)]
        raise DataError(
            f"{str(path)!r} says that the files there were made with other {', '.join(changed)}"
            "; delete them, or give another directory"
        )


def _write_shard(
    split: ImageDataset,
    indices: np.ndarray,
    path: pathlib.Path,
    bad: _BadRecords,
    task: display.Task,
) -> None:
    with _WRITERS[path.suffix[1:]](path) as writer:
        for index in indices.tolist():
            try:
                features = _features(split, index)
            except DataError as error:
                bad.note(error)
            else:
                writer.write(make_example(features))
            task.advance()


def _kind(encoded: bytes) -> str | None:
    """TensorFlow's name of a format that it reads; None for others, such as JPEGs in CMYK."""
    if encoded.startswith(b"\xff\xd8\xff"):
        with open_image(encoded) as image:
            return "jpeg" if image.mode in ("L", "RGB") else None
    return "png" if encoded.startswith(b"\x89PNG\r\n\x1a\n") else None


def _as_png(image: np.ndarray, orientation: int) -> bytes:
    """The image as a PNG that carries the same EXIF orientation."""
    from PIL import Image

    file, options = io.BytesIO(), {}
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][ORIENTATION_TAG] = orientation
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG", **options)
    return file.getvalue()
