"""What one core reads, decodes and preprocesses in a second, and what tf.data does.

    python -m benchmarks.data [FOLDER] [--tf-python=PYTHON] [--pairs=5] [--only=PATTERN]

The folder has JPEG photographs; without one, images of noise are made. tf.data runs in a process of
its own, under the Python that `--tf-python` names, over the same TFRecord files; both sides are
measured in turns, and the fastest of `--pairs` passes counts. Rates are per second of processor
time, of all threads; the ratios are of processor time and of the clock. Preprocessing is
Inception's, to batches of 224x224.
"""

import argparse
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from jslim import data
from jslim.data.tf_example import FixedLenFeature, make_example, parse_example
from jslim.learning import keep_freed_memory
from jslim.preprocessing import _compiled, preprocessing_factory

BATCH, SIZE, SMALL_RECORDS, PHOTOS = 32, 224, 20_000, 192
FEATURES = {
    "image/encoded": FixedLenFeature([], bytes, ""),
    "image/class/label": FixedLenFeature([], np.int64, -1),
}

Seconds = tuple[float, float]  # of processor time, and of the clock


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
    """The records of both sides, and the photographs as three data sets of ours."""
    with data.TFRecordWriter(folder / "small.tfrecord") as writer:
        for number in range(SMALL_RECORDS):
            encoded = number.to_bytes(4, "little") * 130
            features = {"image/encoded": encoded, "image/format": "raw", "image/class/label": 3}
            writer.write(make_example(features))
    for name in ("folder/train/photo", "tfrecord", "array_record"):
        (folder / name).mkdir(parents=True)
    with (
        data.TFRecordWriter(folder / "photos.tfrecord") as photos,
        data.TFRecordWriter(folder / "tfrecord" / "train.tfrecord") as records,
        data.ArrayRecordWriter(folder / "array_record" / "train.array_record") as arrays,
    ):
        for number in range(PHOTOS):
            encoded = images[number % len(images)]
            example = make_example({"image/encoded": encoded, "image/class/label": 0})
            for writer in (photos, records, arrays):
                writer.write(example)
            (folder / "folder" / "train" / "photo" / f"{number}.jpg").write_bytes(encoded)
    for name in ("tfrecord", "array_record"):
        (folder / name / "labels.txt").write_text("0:photo\n")


def timed(results: Iterable[object]) -> Seconds:
    started, clock = time.process_time(), time.perf_counter()
    for _ in results:
        pass
    return time.process_time() - started, time.perf_counter() - clock


def in_batches(images: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """Batches as the loader of `slim.data.batches` makes them."""
    for number, image in enumerate(images):
        row = number % BATCH
        if not row:
            batch = np.empty((BATCH, *image.shape), image.dtype)
        batch[row] = image
        if row == BATCH - 1:
            yield batch


class Records:
    """What is measured of jslim: methods make the results of one pass over a file."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.preprocess = {
            is_training: preprocessing_factory.get_preprocessing("inception", is_training)
            for is_training in (False, True)
        }
        self.host_half = preprocessing_factory.get_host_preprocessing("inception", True)

    def small(self) -> Iterable[bytes]:
        return data.TFRecordFile(self.folder / "small.tfrecord")

    def parsed(self) -> Iterable[object]:
        return (parse_example(record, FEATURES) for record in self.small())

    def encoded(self) -> Iterable[bytes]:
        for record in data.TFRecordFile(self.folder / "photos.tfrecord"):
            yield parse_example(record, FEATURES)["image/encoded"].item()

    def decoded(self) -> Iterable[np.ndarray]:
        return (data.decode_image(encoded, "a photograph") for encoded in self.encoded())

    def by_simplejpeg(self) -> Iterable[np.ndarray]:
        return map(simplejpeg.decode_jpeg, self.encoded())

    def by_pillow(self) -> Iterable[object]:
        return (Image.open(io.BytesIO(encoded)).load() for encoded in self.encoded())

    def evaluation(self) -> Iterable[np.ndarray]:
        return in_batches(self.preprocess[False](image, SIZE, SIZE) for image in self.decoded())

    def training(self) -> Iterable[np.ndarray]:
        rng = np.random.default_rng(0)
        return in_batches(
            self.preprocess[True](image, SIZE, SIZE, rng=rng) for image in self.decoded()
        )

    def first_half(self) -> Iterable[np.ndarray]:
        rng = np.random.default_rng(0)
        images = (data.EncodedImage(encoded, "a photograph") for encoded in self.encoded())
        return in_batches(self.host_half(image, SIZE, SIZE, rng=rng) for image in images)

    def read(self, name: str) -> Iterable[object]:
        dataset = data.get_dataset(name.replace("array_", "tf"), "train", self.folder / name)
        return (dataset.undecoded(index) for index in range(len(dataset)))

    def batches(self, name: str) -> Iterable[object]:
        def preprocess(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return self.host_half(image, SIZE, SIZE, rng=rng)

        dataset = data.get_dataset(name.replace("array_", "tf"), "train", self.folder / name)
        with data.batches(
            dataset, BATCH, is_training=True, num_epochs=1, preprocessing_fn=preprocess,
            num_threads=1, decode_images=False,
        ) as batches:  # fmt: skip
            yield from batches


class Row(NamedTuple):
    """What is compared: the results of jslim, and the pipeline of `_tf_data.py`."""

    title: str
    ours: Callable[[Records], Iterable[object]]
    theirs: str | None = None
    count: int = PHOTOS


ROWS = (
    Row("records, read and checked", Records.small, "records", SMALL_RECORDS),
    Row("and two features parsed", Records.parsed, "parse", SMALL_RECORDS),
    Row("tf.data by batches of 128", Records.parsed, "parse by batches", SMALL_RECORDS),
    Row("JPEGs decoded", Records.decoded, "decode"),
    Row("simplejpeg alone", Records.by_simplejpeg),
    Row("Pillow alone", Records.by_pillow),
    Row("evaluation", Records.evaluation, "evaluate"),
    Row("training", Records.training, "train"),
    Row("tf.data decodes the crop alone", Records.training, "train_fused"),
    Row("training, colours on device", Records.first_half, "train"),
    Row("tf.data decodes the crop alone", Records.first_half, "train_fused"),
    Row("and on device too", Records.first_half, "first_half_fused"),
    Row("colours on device on both sides", Records.first_half, "first_half"),
    *(
        Row(f"{title}, {name}", lambda records, of=of, name=name: of(records, name))
        for of, title in ((Records.read, "read"), (Records.batches, "batches"))
        for name in ("folder", "tfrecord", "array_record")
    ),
)


class TfData:
    """tf.data's side, in a process of its own."""

    def __init__(self, python: str, folder: pathlib.Path):
        script = pathlib.Path(__file__).with_name("_tf_data.py")
        self.process = subprocess.Popen(
            [python, script, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, name: str) -> Seconds:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        processor, clock = map(float, self.process.stdout.readline().split())
        return processor, clock


def measure(row: Row, records: Records, theirs: TfData | None, num_pairs: int) -> str:
    """A line of the table, from the fastest pass of each side, which was disturbed least."""
    of_ours, of_theirs = [], []
    for _ in range(num_pairs):
        of_ours.append(timed(row.ours(records)))
        if theirs is not None and row.theirs is not None:
            of_theirs.append(theirs.seconds(row.theirs))
    processor, clock = np.min(of_ours, axis=0)
    line = f"{row.title:32} {row.count / processor:10.0f}"
    if of_theirs:
        other, other_clock = np.min(of_theirs, axis=0)
        line += f" {row.count / other:10.0f} {other / processor:9.2f} {other_clock / clock:9.2f}"
    return line


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--tf-python", help="a Python that has TensorFlow")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="", help="a pattern of the rows")
    flags = parser.parse_args([] if arguments is None else arguments)
    keep_freed_memory()  # as train.py does
    _compiled.IMAGES_BEFORE = 0  # as in a long run
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write(folder, jpegs(flags.folder))
        theirs = TfData(flags.tf_python, folder) if flags.tf_python else None
        print(
            f"{'a second and core':32} {'jslim':>10} {'tf.data':>10} {'ratio':>9} {'of clock':>9}"
        )
        for row in ROWS:
            if re.search(flags.only, row.title):
                print(measure(row, Records(folder), theirs, flags.pairs), flush=True)
        if theirs is not None:
            theirs.process.communicate()


if __name__ == "__main__":
    main(sys.argv[1:])
