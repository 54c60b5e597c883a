"""Images a second of `slim.data.batches` from a bucket that answers late, beside those from a disk.

    python -m benchmarks.bucket [--latency=30] [--images=512] [--only=PATTERN]

The store is `_late_store.py` on this machine, which answers each request so many milliseconds late.
Photographs are decoded and cropped to 64x64. The first batch is not counted.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np

from benchmarks.data import jpegs
from jslim import data
from jslim.data.tf_example import make_example
from jslim.preprocessing import preprocessing_factory

BATCH, SIZE = 32, 64
NAMES = ("tfrecord", "folder", "photos.zip")


def write(folder: pathlib.Path, count: int) -> None:
    """The same images as TFRecord files, as a folder and as an archive."""
    images = jpegs(None)
    (folder / "tfrecord").mkdir()
    (folder / "tfrecord" / "labels.txt").write_text("0:photo\n")
    place = folder / "folder" / "train" / "photo"
    place.mkdir(parents=True)
    for shard in range(4):
        name = f"train-{shard:05d}-of-00004.tfrecord"
        with data.TFRecordWriter(folder / "tfrecord" / name) as writer:
            for number in range(shard, count, 4):
                encoded = images[number % len(images)]
                writer.write(make_example({"image/encoded": encoded, "image/class/label": 0}))
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for number in range(count):
            encoded = images[number % len(images)]
            (place / f"{number}.jpg").write_bytes(encoded)
            archive.writestr(f"train/photo/{number}.jpg", encoded)


def rate(where: str, is_training: bool) -> tuple[float, float]:
    """The seconds to open a data set, and its images a second."""
    preprocess = preprocessing_factory.get_preprocessing("inception", is_training)

    def to_row(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        options = {"rng": rng} if is_training else {}
        return np.asarray(preprocess(image, SIZE, SIZE, **options))

    kind = "tfrecord" if where.endswith("tfrecord") else "folder"
    started = time.perf_counter()
    dataset = data.get_dataset(kind, "train", where)
    opened = time.perf_counter() - started
    with data.batches(
        dataset, BATCH, is_training=is_training, num_epochs=1, preprocessing_fn=to_row,
        drop_remainder=True, decode_images=False,
    ) as batches:  # fmt: skip
        next(batches)
        started = time.perf_counter()
        count = sum(len(batch["label"]) for batch in batches)
        return opened, count / (time.perf_counter() - started)


def late_store(folder: pathlib.Path, latency: float) -> subprocess.Popen[str]:
    """A store of these files, which is asked for `gs://` from now on."""
    script = pathlib.Path(__file__).with_name("_late_store.py")
    store = subprocess.Popen(
        [sys.executable, script, folder, str(latency)], stdout=subprocess.PIPE, text=True
    )
    assert store.stdout
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{store.stdout.readline().strip()}"
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    return store


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bucket")
    parser.add_argument("--latency", type=float, default=30.0, help="milliseconds of each request")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--only", default="", help="a pattern of the rows")
    flags = parser.parse_args([] if arguments is None else arguments)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = temporary  # no list of records is there from before
        folder = pathlib.Path(temporary, "data")
        folder.mkdir()
        write(folder, flags.images)
        store = late_store(folder, flags.latency)
        print(f"{'':24} {'open, s':>8} {'images/s':>9} {'of disk':>8}")
        for name in NAMES:
            for is_training in (True, False):
                title = f"{name}, {'training' if is_training else 'evaluation'}"
                if re.search(flags.only, title):
                    _, disk = rate(str(folder / name), is_training)
                    opened, found = rate(f"gs://bucket/{name}", is_training)
                    print(f"{title:24} {opened:8.1f} {found:9.0f} {disk:8.0f}", flush=True)
        store.kill()
        store.communicate()


if __name__ == "__main__":
    main(sys.argv[1:])
