"""Files that ask for memory, time or a device without end; run as a program, reads them in limits.

The program prints, for each, the error and the seconds of computing. What waits, never ends.
"""

import json
import os
import pathlib
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import containers
import models
from mutating import varint

import jslim as slim
from jslim import checkpoints, data, export, tf_checkpoint
from jslim.cli import flagfiles, validation
from jslim.data import labels
from jslim.tf_checkpoint import _wire

MOST_BYTES = 200 << 20

Path = pathlib.Path
BOMBS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {}


def sparse(path: Path, size: int, *parts: tuple[int, bytes]) -> None:
    """A file of that size, which takes no space but for the parts."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in parts:
            file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            file.write(content)


def write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda directory: (directory / name).write_bytes(content)


def no_end(name: str) -> dict[str, Callable[[Path], Any]]:
    """What a file can be that has no end, or too much before it."""
    return {
        "pipe": lambda directory: os.mkfifo(directory / name),
        "device": lambda directory: (directory / name).symlink_to("/dev/zero"),
        "sparse": lambda directory: sparse(directory / name, 1 << 40),
    }


def add(name: str, read: Callable[[Path], Any], **made: Callable[[Path], Any]) -> None:
    for kind, make in made.items():
        BOMBS[f"{name}: {kind}"] = (make, read)


# Contracts.
def safetensors(header: dict[str, Any], **contract: Any) -> bytes:
    held = {key: v for key, v in {**models.CONTRACT, **contract}.items() if v is not None}
    document = {**header, "__metadata__": {"contract": json.dumps(held)}}
    text = json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text


def lenet(**contract: Any) -> Callable[[Path], Any]:
    def make(directory: Path) -> None:
        (content,) = models._lenet()[0].values()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        changed = safetensors(header, **contract)
        (directory / "m.safetensors").write_bytes(changed + content[8 + length :])

    return make


def exported(contract: Any, *, model: bytes = b"x", **options: Any) -> Callable[[Path], Any]:
    def make(directory: Path) -> None:
        with zipfile.ZipFile(directory / "m.zip", "w", **options) as archive:
            archive.writestr("contract.json", json.dumps(contract))
            archive.writestr("model.jaxexport", model)

    return make


def unpacking(name: str, segments: int, says: int | None = None) -> Callable[[Path], Any]:
    """A member of zeros, 16 MiB for each segment, which says that it has so many bytes."""

    def make(directory: Path) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        segment = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
        content = segment * segments + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
        size = segments << 24 if says is None else says
        other = {"contract.json": "model.jaxexport"}.get(name, "contract.json")
        with zipfile.ZipFile(directory / "m.zip", "w") as archive:
            archive.writestr(other, json.dumps(models.CONTRACT))
            info = zipfile.ZipInfo(name)
            archive.writestr(info, content)
            info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, size

    return make


add(
    "contract",
    lambda directory: slim.load(directory / "m.safetensors"),
    classes=lenet(num_classes=10**10, class_names=["a"]),
    classes_without_names=lenet(num_classes=10**6, class_names=None),
    image_size=lenet(image_size=1 << 16),
)
add(
    "exported",
    lambda directory: export.load_inference_graph(directory / "m.zip"),
    classes=exported({**models.CONTRACT, "num_classes": 10**10}),
    bzip2=exported({"class_names": ["a" * (1 << 25)]}, compression=zipfile.ZIP_BZIP2),
    contract=unpacking("contract.json", 128),
    program=unpacking("model.jaxexport", 128),
    lying=unpacking("model.jaxexport", 32, says=1000),
    zeros=exported(models.CONTRACT, model=bytes(1 << 20)),
    **no_end("m.zip"),
)

# Safetensors files.
vast = {"a": {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}}
add(
    "safetensors",
    lambda directory: checkpoints.load_variables(directory / "m.safetensors"),
    length=write("m.safetensors", struct.pack("<Q", (1 << 63) + 9) + b"{}"),
    header=lambda d: sparse(d / "m.safetensors", 99 << 20, (0, struct.pack("<Q", (99 << 20) - 8))),
    deep=write("m.safetensors", struct.pack("<Q", 200_000) + b"[" * 200_000),
    many=write("m.safetensors", struct.pack("<Q", 12 << 20) + b"[],[" * (3 << 20)),
    shape=write("m.safetensors", safetensors(vast)),
    array=lambda d: sparse(
        d / "m.safetensors", (1 << 40) + len(safetensors(vast)), (0, safetensors(vast))
    ),
    **no_end("m.safetensors"),
)


# jslim's checkpoints.
def step(**changes: Any) -> Callable[[Path], Any]:
    """A checkpoint whose meta.json has these values in its body, and a right checksum."""

    def make(directory: Path) -> None:
        files = models._steps()[0]
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        body = {**json.loads(files["3/meta.json"])["body"], **changes}
        crc = zlib.crc32(json.dumps(body, sort_keys=True).encode())
        text = json.dumps({"crc32": crc, "body": body})
        (directory / "3/meta.json").write_text(text)

    return make


def in_step(name: str, make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """A checkpoint of which one file is made so."""

    def made(directory: Path) -> None:
        step()(directory)
        (directory / "3" / name).unlink(missing_ok=True)
        make(directory / "3")

    return made


leaf = {
    "name": "params/a",
    "shape": [1 << 47, 0],
    "dtype": "float64",
    "crc32": 0,
    "prng_impl": None,
}
add(
    "checkpoint",
    lambda directory: checkpoints.load_variables(directory / "3"),
    classes=step(contract={"num_classes": 10**10}),
    shape=step(leaves=[leaf, {**leaf, "name": "params/b", "shape": [1 << 40]}]),
    file=step(files={"/dev/zero": {"size": 0, "crc32": 0}}),
    above=step(files={"state/../../../../../../dev/zero": {"size": 0, "crc32": 0}}),
    deep=in_step("meta.json", write("meta.json", b"[" * 100_000 + b"]" * 100_000)),
    many=in_step("meta.json", write("meta.json", b"[" + b"[]," * (5 << 20))),
    pipe_beside=in_step("x", lambda directory: os.mkfifo(directory / "state" / "pipe")),
    **{kind: in_step("meta.json", make) for kind, make in no_end("meta.json").items()},
)


# TensorFlow's checkpoints.
def index(items: list[tuple[bytes, bytes]], kind: int = 0, block: bytes = b"") -> bytes:
    """An index of these entries; or whose block of them is this one, compressed or not."""
    header = (b"", _wire.written("BundleHeaderProto", num_shards=1))
    return containers.write_table([header, *items], lambda b: block or b, 0 if block else 3, kind)


def entry(shape: list[int], size: int, offset: int = 0) -> bytes:
    dims = [{"size": length} for length in shape]
    return _wire.written("BundleEntryProto", dtype=1, shape={"dim": dims}, offset=offset, size=size)


def bundle(content: bytes, size: int = 8) -> Callable[[Path], Any]:
    def make(directory: Path) -> None:
        (directory / "m.index").write_bytes(content)
        sparse(directory / "m.data-00000-of-00001", size)

    return make


table = index([(b"a", entry([1 << 38], 1 << 40))])
copies = b"\x04ab" + b"\xfe\x01\x00" * 3_000_000  # each of 64 bytes
names = [(b"%07d" % number, b"") for number in range(200_000)]
v1 = containers.write_table([(b"", b"x")], bytes, 3, 0)
handles = varint(0) + varint(0) + varint(0) + varint((1 << 31) - 100)


def read_tensors(directory: Path) -> None:
    reader = tf_checkpoint.load_checkpoint(directory)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


add(
    "tensorflow",
    read_tensors,
    declared=bundle(table),
    sparse_data=bundle(table, 1 << 40),
    snappy_declared=bundle(index([], 1, varint(1 << 60) + b"\x04ab")),
    snappy_copies=bundle(index([], 1, varint(192_000_002) + copies)),
    many=bundle(index(names)),
    axes=bundle(index([(b"a", entry([1] * 100_000, 4))])),
    fields=bundle(index([(b"a", b"\x08\1" * 1_000_000)])),
    index=lambda d: bundle(b"")(d) or sparse(d / "m.index", 1 << 40, (-48, v1[-48:])),
    block_of_v1=lambda d: sparse(d / "m", 1 << 31, (-48, handles.ljust(40, b"\0") + v1[-8:])),
    **no_end("checkpoint"),
)

# Text.
for kind, make in no_end("f").items():
    add("labels", lambda d: labels.read_class_names(d / "f"), **{kind: make})
    add("numbered labels", lambda d: labels.read_label_file(d / "f"), **{kind: make})
    add("flagfile", lambda d: flagfiles.expanded([f"--flagfile={d / 'f'}"]), **{kind: make})
    add("evaluations", lambda d: validation.read_evaluations(d / "f"), **{kind: make})
add(
    "labels of records",
    lambda directory: data.get_dataset("tfrecord", "train", directory),
    label=write("labels.txt", b"0:a\n%d:b\n" % (1 << 40)),
    lines=write("labels.txt", b"a\n" * (6 << 20)),
)


def main(root: Path) -> None:
    """Reads them all under a limit of memory."""
    warm = root / "warm"  # imports what reads them
    for kind, known in models.MODELS.items():
        for number, files in enumerate(known.make()):
            directory = warm / f"{kind}{number}"
            for name, content in files.items():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                (directory / name).write_bytes(content)
            known.read(directory)
    for number, (make, _) in enumerate(BOMBS.values()):
        (root / str(number)).mkdir()
        make(root / str(number))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    np.ones(1)
    for number, (what, (_, read)) in enumerate(BOMBS.items()):
        start = time.process_time()
        try:
            read(root / str(number))
            found = "nothing was refused"
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        print(json.dumps([what, found, time.process_time() - start]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
