"""What one core reads, decodes and preprocesses in a second, and what tf.data does.

    python -m benchmarks.data [FOLDER] [--tf-python=PYTHON] [--pairs=5]

The folder has JPEG photographs; without one, images of noise are made. tf.data runs in a process of
its own, under the Python that `--tf-python` names, over the same TFRecord files; both sides count
processor time, in turns. Beside decoding stands Pillow alone in a bare loop.
"""

import argparse
import io
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from jslim import data
from jslim.data.tf_example import FixedLenFeature, make_example, parse_example
from jslim.learning import keep_freed_memory
from jslim.preprocessing import inception_preprocessing, preprocessing_factory

BATCH, SMALL_RECORDS, PHOTOS = 32, 20_000, 192
FEATURES = {
    "image/encoded": FixedLenFeature([], bytes, ""),
    "image/class/label": FixedLenFeature([], np.int64, -1),
}
MEASUREMENTS = ("records", "parse", "parse by batches", "decode", "evaluation", "training")
ALONE = ("pillow", "simplejpeg")
OF_PHOTOS = ("decode", "evaluation", "training", *ALONE)


def jpegs(folder: str | None) -> list[bytes]:
    """The JPEG files of a folder, or made ones."""
    if folder:
        paths = sorted(pathlib.Path(folder).rglob("*"))
        found = [path.read_bytes() for path in paths if path.suffix.lower() in (".jpg", ".jpeg")]
        if not found:
            raise SystemExit(f"there is no JPEG file in {folder}")
        return found
    rng = np.random.default_rng(0)
    made = []
    for _ in range(16):
        coarse = Image.fromarray(rng.integers(0, 256, (47, 63, 3), np.uint8))
        file = io.BytesIO()
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def write(folder: pathlib.Path, images: list[bytes]) -> None:
    with data.TFRecordWriter(folder / "small.tfrecord") as writer:
        for number in range(SMALL_RECORDS):
            encoded = number.to_bytes(4, "little") * 130
            features = {"image/encoded": encoded, "image/format": "raw", "image/class/label": 3}
            writer.write(make_example(features))
    with data.TFRecordWriter(folder / "photos.tfrecord") as writer:
        for number in range(PHOTOS):
            encoded = images[number % len(images)]
            writer.write(make_example({"image/encoded": encoded, "image/class/label": 3}))


def ours(name: str, folder: pathlib.Path) -> float:
    """Seconds of processor time, opening the file and its index included."""
    started = time.process_time()
    records = data.TFRecordFile(folder / f"{'photos' if name in OF_PHOTOS else 'small'}.tfrecord")
    train = preprocessing_factory.get_host_preprocessing("inception", is_training=True)
    rng = np.random.default_rng(0)
    batch: list[np.ndarray] = []
    for record in records:
        if name == "records":
            continue
        encoded = parse_example(record, FEATURES)["image/encoded"].item()
        if name == "pillow":
            Image.open(io.BytesIO(encoded)).load()
        elif name == "simplejpeg":
            simplejpeg.decode_jpeg(encoded)
        elif name == "decode":
            data.decode_image(encoded, "a photograph")
        elif name == "evaluation":
            image = data.decode_image(encoded, "a photograph")
            image = inception_preprocessing.crop_and_resize(image, 224, 224)
            batch.append(image.astype(np.uint8))
        elif name == "training":
            batch.append(train(data.EncodedImage(encoded, "a photograph"), 224, 224, rng=rng))
        if len(batch) == BATCH:
            np.stack(batch)
            batch = []
    return time.process_time() - started


def tf_data(python: str, folder: pathlib.Path) -> tuple[Any, Callable[[str], float]]:
    script = pathlib.Path(__file__).with_name("_tf_data.py")
    process = subprocess.Popen(
        [python, script, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def measure(name: str) -> float:
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return process, measure


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--tf-python", help="a Python that has TensorFlow")
    parser.add_argument("--pairs", type=int, default=5)
    flags = parser.parse_args([] if arguments is None else arguments)
    keep_freed_memory()  # as train.py does
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write(folder, jpegs(flags.folder))
        process, theirs = tf_data(flags.tf_python, folder) if flags.tf_python else (None, None)
        print(f"{'':18} {'jslim':>12} {'tf.data':>12}   records or images a second and core; ratio")
        for name in (*MEASUREMENTS, *ALONE):
            count = PHOTOS if name in OF_PHOTOS else SMALL_RECORDS
            pairs = []
            for index in range(flags.pairs + 1):
                other = theirs(name) if theirs and name not in ALONE else float("nan")
                pair = ours(name, folder), other
                if index:  # the first one warms up
                    pairs.append(pair)
            mine, other = np.median(pairs, axis=0)
            line = f"{name:18} {count / mine:12.0f}"
            if theirs and name not in ALONE:
                ratio = np.median([b / a for a, b in pairs])
                line += f" {count / other:12.0f}   {ratio:.2f}"
            print(line, flush=True)
        if process is not None:
            process.communicate()


if __name__ == "__main__":
    main(sys.argv[1:])
