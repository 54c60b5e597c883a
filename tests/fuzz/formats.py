"""The formats of data and text: small files of each, how they are read, what is changed in them."""

import functools
import gzip
import io
import json
import os
import pathlib
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import containers
import numpy as np
from mutating import Mutate, mutate_bytes, mutate_json, mutate_message

from jslim import data
from jslim.cli import flagfiles, run_config
from jslim.cli.flags import config_of, flag_values
from jslim.cli.predict import PredictConfig
from jslim.cli.train import TrainConfig
from jslim.cli.validation import read_evaluations
from jslim.data import decode_image, labels
from jslim.data.array_record import ArrayRecordWriter
from jslim.data.convert import convert_dataset
from jslim.data.tf_example import make_example
from jslim.data.tfrecord import TFRecordWriter
from jslim.host.schema import Invalid, read_json
from jslim.summaries import SummaryWriter, read_scalars

Files = dict[str, bytes]


class Format(NamedTuple):
    """A format.

    Attributes:
      make: Gives the small files, each in some variants: sets of files by name.
      read: Reads all that is in the directory of such files.
      changes: What is changed: in a file whose name ends so (or like so), by one of these.
      weight: How often it is chosen where all formats are, in comparison; slow ones are less.
      repair: Makes checksums right that one file has of another.
    """

    make: Callable[[], list[Files]]
    read: Callable[[pathlib.Path], Any]
    changes: dict[str, tuple[Mutate, ...]]
    weight: float = 1.0
    repair: Callable[[Files], Files] = dict


def _pixels(height: int = 6, width: int = 5, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * width + channels)
    return rng.integers(0, 255, (height, width, channels), np.uint8)


@functools.cache
def _image(kind: str, channels: int = 3, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    pixels = _pixels(channels=channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    if kind == "GIF":
        image = image.convert("P")
    image.save(file, kind, **options)
    return file.getvalue()


def _images() -> list[Files]:
    found = [_image(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF")]
    found += [_image("JPEG", progressive=True), _image("JPEG", 1), _image("PNG", 1)]
    found += [_image("PNG", 4), _image("WEBP", lossless=True), _image("BMP", 1)]
    return [{"image.png" if image[:4] == b"\x89PNG" else "image.bin": image} for image in found]


def _read_image(directory: pathlib.Path) -> None:
    (path,) = directory.iterdir()
    content = path.read_bytes()
    for channels in (3, 0, 1):
        decode_image(content, path.name, channels)
    encoded = data.EncodedImage(content, path.name, apply_exif_orientation=True)
    np.asarray(encoded.at_least(2, 2))
    encoded.shape  # noqa: B018


def _all_of(dataset: data.ImageDataset) -> None:
    """The first records, the last one, and a batch."""
    for index in {0, len(dataset) - 1}:
        example = dataset[index]
        np.asarray(example["image"])
        dataset.record_key(index)
    with data.batches(dataset, 1, is_training=False, num_threads=0) as batches:
        next(batches)


def _npz() -> list[Files]:
    grey = _pixels(channels=1)[None, ..., 0]
    arrays = {
        "train_images": np.stack([_pixels(), _pixels()]),
        "train_labels": np.array([0, 1]),
        "class_names": np.array(["a", "b"]),
    }
    keras = {"x_train": grey, "y_train": np.zeros((1, 1), np.uint8), "x_test": grey, "y_test": [1]}
    found = []
    for save, held in ((np.savez, arrays), (np.savez_compressed, arrays), (np.savez, keras)):
        file = io.BytesIO()
        save(file, **held)
        found.append({"set.npz": file.getvalue()})
    return found


def _read_npz(directory: pathlib.Path) -> None:
    _all_of(data.get_dataset("npz", "train", directory / "set.npz"))


def _idx() -> list[Files]:
    files = {
        "train-images-idx3-ubyte": struct.pack(">HBBIII", 0, 8, 3, 2, 4, 3) + bytes(range(24)),
        "train-labels-idx1-ubyte": struct.pack(">HBBI", 0, 8, 1, 2) + b"\1\2",
    }
    return [files, {f"{name}.gz": gzip.compress(content) for name, content in files.items()}]


def _read_idx(directory: pathlib.Path) -> None:
    _all_of(data.get_dataset("mnist", "train", directory))


def _cifar() -> list[Files]:
    record = b"\3" + bytes(3072)
    return [{"test_batch.bin": record}, {"test_batch.bin": gzip.compress(record * 2)}]


def _read_cifar(directory: pathlib.Path) -> None:
    _all_of(data.get_dataset("cifar10", "test", directory))


def _archives() -> list[Files]:
    members = {f"train/{name}/0.png": _image("PNG") for name in "ab"}
    members["train/a/1.jpg"] = _image("JPEG")
    found = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        found.append({"set.zip": file.getvalue()})
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return [*found, {"set.tar": file.getvalue()}, dict(members)]


def _read_archive(directory: pathlib.Path) -> None:
    packed = [path for path in directory.iterdir() if path.is_file()]
    _all_of(data.get_dataset("folder", "train", packed[0] if packed else directory))


def _examples() -> list[bytes]:
    encoded = _image("JPEG")
    boxes = {f"image/object/bbox/{side}": [0.1, 0.2] for side in ("ymin", "xmin", "ymax", "xmax")}
    common = {"image/class/label": 1, "image/class/text": "b", "image/object/class/label": [1, 2]}
    raw = {"image/encoded": bytes(28 * 28), "image/format": "raw", "image/class/label": 2}
    jpeg = {"image/encoded": encoded, "image/format": "jpeg", **common, **boxes}
    png = {"image/encoded": _image("PNG"), "image/format": "png", "image/class/label": 0}
    return [make_example(features) for features in (jpeg, png, raw)]


def _written(writer: Any, suffix: str, **options: Any) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, f"a{suffix}")
        with writer(path, **options) as file:
            for example in _examples()[:2]:
                file.write(example)
        return path.read_bytes()


def _tfrecords() -> list[Files]:
    beside = {"labels.txt": b"0:a\n1:b\n"}
    plain = _written(TFRecordWriter, ".tfrecord")
    return [
        {"set-train-0": plain, **beside},
        {"set-train-0.gzip": _written(TFRecordWriter, "", compression="GZIP"), **beside},
        {"set-train-0.zlib": _written(TFRecordWriter, "", compression="ZLIB"), **beside},
    ]


def _read_tfrecords(directory: pathlib.Path) -> None:
    dataset = data.get_dataset("tfrecord", "train", directory)
    _all_of(dataset)
    # The same records by another schema.
    files = [path for path in directory.iterdir() if path.suffix != ".txt"]
    os.rename(files[0], directory / "train-0")
    (directory / "labels.txt").unlink(missing_ok=True)
    boxes = data.get_dataset("imagenet", "train", directory)
    boxes.decode(0)  # type: ignore[attr-defined]


def _read_raw_record(directory: pathlib.Path) -> None:
    _all_of(data.get_dataset("mnist", "train", directory))


def _read_array_records(directory: pathlib.Path) -> None:
    _all_of(data.get_dataset("tfrecord", "train", directory))


def _raw_record() -> list[Files]:
    return [{"mnist_train.tfrecord": containers.framed(_examples()[2])}]


def _array_records() -> list[Files]:
    content = _written(ArrayRecordWriter, ".array_record")
    return [{"set-train-0.array_record": content, "labels.txt": b"0:a\n1:b\n"}]


def _labels() -> list[Files]:
    return [
        {"labels.txt": text.encode()} for text in ("0:a\n1:b: c\n2:é\n", "a\nb\n", "\ufeff0:a\r\n")
    ]


def _read_labels(directory: pathlib.Path) -> None:
    names = labels.read_class_names(directory / "labels.txt")
    if b":" in (directory / "labels.txt").read_bytes():
        names = list(labels.read_label_file(directory / "labels.txt").values())
    labels.write_label_file(dict(enumerate(names)), directory)


def _plans() -> list[Files]:
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "set.npz").write_bytes(_npz()[0]["set.npz"])
        _read_plan(pathlib.Path(directory))
        plan = pathlib.Path(directory, "out", "set_train.json").read_bytes()
    return [{"out/set_train.json": plan, **_npz()[0]}]


def _read_plan(directory: pathlib.Path) -> None:
    convert_dataset(directory / "set.npz", directory / "out", dataset_name="npz", num_threads=1)


def _evaluations() -> list[Files]:
    lines = [{"step": step, "Accuracy": step / 9, "Loss": 1.0} for step in (1, 2)]
    return [{"evaluations.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode()}]


def _read_evaluations(directory: pathlib.Path) -> None:
    read_evaluations(directory / "evaluations.jsonl")


def _a_line(mutate: Mutate) -> Mutate:
    def change(rng: Any, content: bytes) -> bytes:
        lines = content.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = mutate(rng, lines[at])
        return b"\n".join(lines) + b"\n"

    return change


def _flagfiles() -> list[Files]:
    return [
        {"flags": b"# how\n--batch_size=3\n--model_name=lenet\n--top=2\n--nouse_moving_averages\n"}
    ]


def _read_flagfile(directory: pathlib.Path) -> None:
    flags = ["predict", f"--flagfile={directory / 'flags'}"]
    flagfiles.parse(flag_values(PredictConfig), flags)


def _configs() -> list[Files]:
    with tempfile.TemporaryDirectory() as directory:
        config = TrainConfig(model_name="lenet", given=frozenset({"model_name"}))
        run_config.write(config, directory, 3)
        return [{"config.json": pathlib.Path(directory, "config.json").read_bytes()}]


def _read_config(directory: pathlib.Path) -> None:
    def parse(words: Sequence[str]) -> TrainConfig:
        values = flag_values(TrainConfig)
        flagfiles.parse(values, ["train", *words])
        return config_of(TrainConfig, values)

    run_config.completed(TrainConfig(), parse, str(directory / "new"), str(directory))


def _events() -> list[Files]:
    with tempfile.TemporaryDirectory() as directory:
        with SummaryWriter(directory, purge_step=1) as writer:
            for step in (1, 2, 3):
                writer.write(step, {"loss": 1.0 / step, "rate": 0.1})
        return [{"events.out.tfevents.1": writer.path.read_bytes()}]


def _position() -> list[Files]:
    with data.batches(data.get_dataset("digits", "test"), 2, is_training=False) as batches:
        return [{"state.json": json.dumps(batches.get_state()).encode()}]


def _read_position(directory: pathlib.Path) -> None:
    try:
        state = read_json(directory / "state.json")
    except Invalid as error:
        raise ValueError(f"{directory}: {error}") from error
    if isinstance(state, dict):
        with data.batches(data.get_dataset("digits", "test"), 2, is_training=False) as batches:
            batches.set_state(state)


_IN_NPZ = containers.zip_member(mutate_bytes)
_RECORD = containers.tfrecord(mutate_bytes)
_EXAMPLE = containers.tfrecord(mutate_message)
_TEXT = {"labels.txt": (mutate_bytes,)}

DATA: dict[str, Format] = {
    "image": Format(
        _images,
        _read_image,
        {".bin": (mutate_bytes,), ".png": (containers.png_chunks(mutate_bytes),)},
    ),
    "npz": Format(_npz, _read_npz, {".npz": (mutate_bytes, _IN_NPZ, _IN_NPZ)}),
    "idx": Format(
        _idx,
        _read_idx,
        {
            "ubyte": (mutate_bytes,),
            ".gz": (mutate_bytes, containers.packed(gzip.decompress, gzip.compress, mutate_bytes)),
        },
    ),
    "cifar": Format(_cifar, _read_cifar, {".bin": (mutate_bytes,)}),
    "archive": Format(
        _archives,
        _read_archive,
        {
            ".zip": (mutate_bytes, mutate_bytes, containers.zip_member(mutate_bytes)),
            ".tar": (mutate_bytes, containers.tar_header),
            ".png": (mutate_bytes,),
        },
    ),
    "tfrecord": Format(
        _tfrecords,
        _read_tfrecords,
        {
            "-0": (mutate_bytes, _RECORD, _EXAMPLE, _EXAMPLE, containers.tfrecord_length),
            ".gzip": (mutate_bytes, containers.packed(gzip.decompress, gzip.compress, _EXAMPLE)),
            ".zlib": (mutate_bytes, containers.packed(zlib.decompress, zlib.compress, _EXAMPLE)),
            **_TEXT,
        },
    ),
    "raw record": Format(_raw_record, _read_raw_record, {"record": (_EXAMPLE,)}, 0.3),
    "array_record": Format(_array_records, _read_array_records, {"record": (mutate_bytes,)}, 0.3),
    "labels": Format(_labels, _read_labels, _TEXT),
    "plan": Format(_plans, _read_plan, {".json": (mutate_bytes, mutate_json)}, 0.3),
    "evaluations": Format(
        _evaluations, _read_evaluations, {".jsonl": (mutate_bytes, _a_line(mutate_json))}
    ),
    "flagfile": Format(_flagfiles, _read_flagfile, {"flags": (mutate_bytes,)}),
    "config": Format(_configs, _read_config, {".json": (mutate_bytes, mutate_json)}, 0.3),
    "events": Format(_events, read_scalars, {".1": (mutate_bytes, _RECORD, _RECORD)}),
    "position": Format(_position, _read_position, {".json": (mutate_json,)}, 0.3),
}
