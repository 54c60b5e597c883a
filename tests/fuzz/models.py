"""Checkpoints and exported models: small ones, how they are read, and what in them is changed."""

import functools
import json
import pathlib
import tempfile
import zipfile
import zlib
from typing import Any

import containers
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from formats import Files, Format
from mutating import field, mutate_bytes, mutate_json

import jslim as slim
from jslim import checkpoints, export, tf_checkpoint
from jslim.nets import nets_factory
from jslim.tf_checkpoint import _tensors
from jslim.tf_checkpoint._table import Table

CONTRACT = {
    "model_name": "lenet", "num_classes": 3, "class_names": ["a", "b", "c"], "labels_offset": 0,
    "image_size": 4, "num_channels": 1, "preprocessing_name": "lenet", "has_moving_averages": False,
    "started_from": None,
}  # fmt: skip


def _files_in(directory: pathlib.Path) -> Files:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in sorted(paths)}


def _state() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "step": np.int32(3),
        "params": {
            "net": {
                "weights": rng.random((3, 4), np.float32),
                "empty": np.zeros((0, 2), np.float32),
            }
        },
        "batch_stats": {"net": {"mean": jnp.zeros(3, jnp.bfloat16)}},
        "rng": jax.random.key(0),
    }


@functools.cache
def _steps() -> list[Files]:
    with tempfile.TemporaryDirectory() as directory:
        with checkpoints.CheckpointManager(directory) as manager:
            manager.save(3, _state(), contract=CONTRACT, data_state={"position": 3})
        return [_files_in(pathlib.Path(directory))]


def _read_meta(directory: pathlib.Path) -> None:
    checkpoints.latest_checkpoint(directory)
    checkpoints.all_checkpoints(directory)
    checkpoints.read_contract(directory)
    checkpoints.list_variables(directory)


def _read_step(directory: pathlib.Path) -> None:
    found = checkpoints.restore(directory, jax.eval_shape(_state))
    assert found.step == 3
    checkpoints.load_variables(directory, ["net/weights"])
    checkpoints.restore_variables(directory)


def _noted(files: Files) -> Files:
    """The files with their sizes and checksums in meta.json, and its own."""
    document = json.loads(files["3/meta.json"])
    body = document["body"]
    for name in body["files"]:
        content = files[f"3/{name}"]
        body["files"][name] = {"size": len(content), "crc32": zlib.crc32(content)}
    crc = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    return {**files, "3/meta.json": json.dumps({"crc32": crc, "body": body}).encode()}


def _arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "a/weights": rng.random((2, 3), np.float32),
        "a/half": np.ones(3, np.float16),
        "global_step": np.int64(7),
        "names": np.array([b"x", b"", b"abc"], object),
    }


@functools.cache
def _v2() -> Files:
    with tempfile.TemporaryDirectory() as directory:
        tf_checkpoint.save_checkpoint(pathlib.Path(directory, "m.ckpt-7"), _arrays())
        return _files_in(pathlib.Path(directory))


@functools.cache
def _items_of_v2() -> list[tuple[bytes, bytes]]:
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "index")
        path.write_bytes(_v2()["m.ckpt-7.index"])
        return [(bytes(key), bytes(value)) for key, value in Table(path).items()]


def _items_of_v1() -> list[tuple[bytes, bytes]]:
    """A vector of float32 in two slices, integers, halves and strings."""
    of_type = {
        "f": (1, [field(5, np.arange(2, dtype="<f4").tobytes())] * 2, (4,)),
        "i": (9, [field(10, b"\1\2\3")], (3,)),
        "h": (19, [field(13, b"\x80\x78")], (1,)),
        "s": (7, [field(8, b"ab") + field(8, b"")], (2,)),
    }
    listed, items = b"", []
    for name, (kind, values, shape) in of_type.items():
        length = shape[0] // len(values)
        parts = [_tensors.Slice((at * length,), (length,)) for at in range(len(values))]
        slices = b""
        for part, value in zip(parts, values, strict=True):
            extent = field(1, part.starts[0]) + field(2, part.lengths[0])
            message = field(1, extent)
            slices += field(4, message)
            saved = field(1, name.encode()) + field(2, message) + field(3, field(1, kind) + value)
            items.append((_tensors.slice_key(name, part), field(2, saved)))
        shape_message = b"".join(field(2, field(1, size)) for size in shape)
        listed += field(
            1, field(1, name.encode()) + field(2, shape_message) + field(3, kind) + slices
        )
    return [(b"", field(1, listed)), *sorted(items)]


def _tf_checkpoints() -> list[Files]:
    v1 = containers.write_table(_items_of_v1(), bytes, 3, 0)
    return [_v2(), {"model.v1": v1}]


def _read_tf(directory: pathlib.Path) -> None:
    for path in [directory, *(p for p in directory.iterdir() if p.suffix == ".v1")]:
        if path == directory and (directory / "model.v1").exists():
            continue
        reader = tf_checkpoint.load_checkpoint(path)
        reader.debug_string()
        reader.step  # noqa: B018
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)


def _safetensors() -> list[Files]:
    arrays = {name: array for name, array in _arrays().items() if name != "names"}
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "m.safetensors")
        checkpoints.save_safetensors(path, arrays, {"contract": json.dumps(CONTRACT)})
        return [_files_in(pathlib.Path(directory))]


def _read_safetensors(directory: pathlib.Path) -> None:
    reader = checkpoints.open_checkpoint(directory / "m.safetensors")
    reader.get_variable_to_dtype_map()
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


@functools.cache
def _lenet() -> list[Files]:
    model = slim.Model(nets_factory.get_network_fn("lenet", 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    arrays = {
        name: np.zeros(leaf.shape, leaf.dtype)
        for name, leaf in slim.get_variables(variables).items()
    }
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "m.safetensors")
        checkpoints.save_safetensors(path, arrays, {"contract": json.dumps(CONTRACT)})
        return [_files_in(pathlib.Path(directory))]


def _a_contract(rng: Any, content: bytes) -> bytes:
    """The contract in a safetensors file changed."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    held = header["__metadata__"]["contract"].encode()
    changed = mutate_json(rng, held).decode("utf-8", "replace")
    header["__metadata__"]["contract"] = changed
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _read_lenet(directory: pathlib.Path) -> None:
    slim.load(directory / "m.safetensors")


@functools.cache
def _exported() -> list[Files]:
    def logits(images: jax.Array) -> jax.Array:
        flat = images.reshape(images.shape[0], -1).astype(jnp.float32)
        return flat @ jnp.ones((16, 3))

    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, 4, 4, 1), jnp.uint8)
    program = bytes(jax.export.export(jax.jit(logits), platforms=["cpu"])(shape).serialize())
    with tempfile.TemporaryDirectory() as directory:
        with zipfile.ZipFile(pathlib.Path(directory, "m.zip"), "w") as archive:
            archive.writestr(
                "contract.json", json.dumps({**CONTRACT, "jax_version": jax.__version__})
            )
            archive.writestr("model.jaxexport", program)
        return [_files_in(pathlib.Path(directory))]


def _read_exported(directory: pathlib.Path) -> None:
    loaded = export.load_inference_graph(directory / "m.zip")
    loaded.predict(np.zeros((1, 4, 4, 1), np.uint8))


MODELS: dict[str, Format] = {
    "meta": Format(
        _steps,
        _read_meta,
        {"meta.json": (containers.meta, containers.meta, mutate_json, mutate_bytes)},
        0.5,
    ),
    "checkpoint": Format(
        _steps,
        _read_step,
        {"3/state/*": (mutate_bytes,)},
        0.05,
        _noted,
    ),
    "tensorflow": Format(
        _tf_checkpoints,
        _read_tf,
        {
            ".index": (mutate_bytes, *[containers.table(_items_of_v2())] * 3),
            ".v1": (mutate_bytes, *[containers.table(_items_of_v1())] * 3),
            "checkpoint": (mutate_bytes,),
        },
    ),
    "safetensors": Format(
        _safetensors, _read_safetensors, {"tensors": (mutate_bytes, containers.safetensors)}
    ),
    "contract": Format(_lenet, _read_lenet, {"tensors": (_a_contract,)}, 0.02),
    "exported": Format(
        _exported,
        _read_exported,
        {
            ".zip": (
                mutate_bytes,
                containers.zip_member(mutate_json, "contract.json"),
                containers.zip_member(mutate_bytes, "model.jaxexport"),
            )
        },
        0.1,
    ),
}
