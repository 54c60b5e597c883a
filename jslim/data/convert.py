"""Writes a folder of images as TFRecord files, with the features of research/slim."""

import concurrent.futures
import hashlib
import io
import json
import logging
import os
import pathlib

import numpy as np

from jslim._errors import DataError
from jslim.data.decode import decode_image
from jslim.data.folder import FolderDataset, split_names
from jslim.data.order import epoch_permutation
from jslim.data.tf_example import make_example
from jslim.data.tfrecord import TFRecordWriter
from jslim.data.tfrecord_datasets import write_label_file
from jslim.data.trees import open_tree

logger = logging.getLogger("jslim")

_WHOLE_SPLIT = "train"  # what a folder without splits is


def convert_folder(
    dataset_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    name: str | None = None,
    num_shards: int = 5,
    num_threads: int = 4,
    seed: int = 0,
) -> list[str]:
    """Writes `NAME_SPLIT_00000-of-0000N.tfrecord` for every split of a folder, and labels.txt.

    Every image is decoded once to see that it is whole. JPEGs and PNGs are written as they are,
    others and JPEGs in CMYK as PNGs. The records are in an order that `seed` gives, spread over the
    shards.

    A file has its name only when it is whole, and what was written before is not written again: the
    same call goes on after it was stopped.

    Args:
      dataset_dir: As of `FolderDataset`, a folder or an archive.
      output_dir: Where the files go; it is made.
      name: What they are called; default the name of `dataset_dir`, without `.zip` or `.tar`.
      num_shards: How many files for each split, at most one an image.
      num_threads: How many are written at once.
      seed: Of the order.

    Returns:
      The paths of all files.

    Raises:
      DataError: An image cannot be read, or `output_dir` has files of the same names that were
        made of other images or by other arguments.
    """
    output = pathlib.Path(output_dir)
    path = pathlib.Path(dataset_dir).resolve()
    name = name or (path.stem if path.is_file() else path.name)
    names = split_names(open_tree(dataset_dir)) or [_WHOLE_SPLIT]
    splits = [FolderDataset(dataset_dir, split) for split in names]
    class_names = splits[0].class_names
    for split in splits:
        if split.class_names != class_names:
            raise DataError(
                f"the classes of {split.name} are not those of {splits[0].name}: "
                f"{sorted(set(split.class_names) ^ set(class_names))} in one of the two only."
            )
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    for split in splits:
        stem = f"{name}_{split.name.partition('/')[2]}"
        paths += _convert_split(split, output / stem, num_shards, num_threads, seed)
    write_label_file(dict(enumerate(class_names)), output)
    return paths


def _convert_split(
    dataset: FolderDataset,
    stem: pathlib.Path,
    num_shards: int,
    num_threads: int,
    seed: int,
) -> list[str]:
    num_shards = min(num_shards, len(dataset))
    order = epoch_permutation(seed, 0, len(dataset))
    _check_plan(dataset, stem, num_shards, seed)
    shards = np.array_split(order, num_shards)
    paths = [
        stem.with_name(f"{stem.name}_{number:05d}-of-{num_shards:05d}.tfrecord")
        for number in range(num_shards)
    ]
    finished = sum(len(shard) for shard, path in zip(shards, paths, strict=True) if path.exists())
    if finished:
        logger.info("%s: %d of %d images were written before", stem.name, finished, len(dataset))
    pool = concurrent.futures.ThreadPoolExecutor(num_threads)
    try:
        tasks = {
            pool.submit(_write_shard, dataset, shard, path): len(shard)
            for shard, path in zip(shards, paths, strict=True)
            if not path.exists()
        }
        for task in concurrent.futures.as_completed(tasks):
            task.result()
            finished += tasks[task]
            logger.info("%s: %d of %d images", stem.name, finished, len(dataset))
    finally:
        pool.shutdown(cancel_futures=True)
    return [str(path) for path in paths]


def _check_plan(dataset: FolderDataset, stem: pathlib.Path, num_shards: int, seed: int) -> None:
    """Notes what the files are made of, or refuses where they were made of something else."""
    paths = map(dataset.path, range(len(dataset)))
    files = [[path, dataset.tree.size(path)] for path in paths]
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    plan = {"num_images": len(files), "num_shards": num_shards, "seed": seed, "images": digest}
    path = stem.with_name(f"{stem.name}.json")
    if path.exists():
        held = json.loads(path.read_text())
        if held != plan:
            changed = [key for key in plan if held.get(key) != plan[key]]
            raise DataError(
                f"{str(path)!r} says that the files there were made with other {', '.join(changed)}"
                "; delete them, or give another directory."
            )
        return
    path.write_text(json.dumps(plan) + "\n")


def _write_shard(dataset: FolderDataset, indices: np.ndarray, path: pathlib.Path) -> None:
    with TFRecordWriter(path) as writer:
        for index in indices:
            source = dataset.path(int(index))
            encoded = dataset.tree.read(source)
            image = decode_image(encoded, dataset.record_key(int(index)))
            kind = _kind(encoded)
            if kind is None:
                kind, encoded = "png", _as_png(image)
            label = dataset.label(int(index))
            writer.write(
                make_example(
                    {
                        "image/encoded": encoded,
                        "image/format": kind,
                        "image/class/label": label,
                        "image/class/text": dataset.class_names[label],
                        "image/height": image.shape[0],
                        "image/width": image.shape[1],
                        "image/filename": source,
                    }
                )
            )


def _kind(encoded: bytes) -> str | None:
    """What TensorFlow calls the format, of those that it reads: JPEGs for print are not."""
    from PIL import Image

    if encoded.startswith(b"\xff\xd8\xff"):
        with Image.open(io.BytesIO(encoded)) as image:
            return "jpeg" if image.mode in ("L", "RGB") else None
    return "png" if encoded.startswith(b"\x89PNG\r\n\x1a\n") else None


def _as_png(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
