"""Makes `tf_checkpoints/`: checkpoints that TensorFlow wrote, and in `values.npz` what is in them.

Usage, with the Python of an environment that has TensorFlow 2 and cramjam:

    python tests/golden/make_tf_checkpoints.py

    v2/model.ckpt-7           all types, scalars, empty arrays, strings, a tensor in two slices
    v2_shards/model.ckpt      likewise in two data files
    v1/model.ckpt             version 1, in one file; a tensor in two slices
    v1_shards/model.ckpt      likewise in two files
    v2_snappy/model.ckpt-7    the first with the blocks of its index compressed, as older
                              TensorFlow wrote them; TensorFlow reads it back here
"""

import importlib
import os
import pathlib
import shutil
import struct
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import cramjam
import numpy as np
import tensorflow as tf2
import tensorflow.compat.v1 as tf

# jslim without its __init__, which wants JAX.
sys.modules["jslim"] = types.ModuleType("jslim")
sys.modules["jslim"].__path__ = [str(pathlib.Path(__file__).parents[2] / "jslim")]
_crc32c = importlib.import_module("jslim.host.crc32c")
_table = importlib.import_module("jslim.tf_checkpoint._table")
_wire = importlib.import_module("jslim.tf_checkpoint._wire")

FOLDER = pathlib.Path(__file__).parent / "tf_checkpoints"
RNG = np.random.default_rng(0)
SHARED = {
    "LeNet/conv1/weights": RNG.normal(size=(5, 5, 1, 4)).astype(np.float32),
    "LeNet/conv1/biases": RNG.normal(size=4).astype(np.float32),
    "double": RNG.normal(size=(2, 3)),
    "global_step": np.int64(1234567890123),
    "int32": np.array([[-1, 2**31 - 1], [-(2**31), 0]], np.int32),
    "int16": np.array([-300, 5], np.int16),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False, True]),
    "half": np.array([1.5, -2.25, 65504], np.float16),
    "complex": np.array([1 + 2j, -3j], np.complex64),
    "empty": np.zeros((0, 3), np.float32),
    "string": np.array([["one", ""], ["three \0 zeros", "x" * 200]], object),
    "name\u00e9/w": np.array([7.0], np.float32),
}
ONLY_V2 = {
    "bfloat16": tf2.constant([1.0, -2.5, 3e38], tf2.bfloat16).numpy(),
    "uint16": np.array([0, 65535], np.uint16),
    "uint32": np.array([0, 2**32 - 1], np.uint32),
    "uint64": np.array([0, 2**64 - 1], np.uint64),
    "complex128": np.array([1 + 2j], np.complex128),
}
SLICED = RNG.normal(size=(4, 70, 2)).astype(np.float32)


def write(folder, values, version, step=None):
    """Variables of these values, and one in two slices, saved by `tf.train.Saver`."""
    path = FOLDER / folder
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {}
        for key, value in values.items():
            with tf.variable_scope(""):
                variables[key] = tf.Variable(value, name=key.replace("\u00e9", "e"))
        with tf.variable_scope("", use_resource=False):
            partitioner = tf.fixed_size_partitioner(2, axis=1)
            sliced = tf.get_variable(
                "sliced",
                shape=SLICED.shape,
                initializer=tf.zeros_initializer(),
                partitioner=partitioner,
            )
        variables["sliced"] = list(sliced)
        saver = tf.train.Saver(variables, write_version=version)
        session.run(tf.global_variables_initializer())
        halves = np.split(SLICED, 2, axis=1)
        for part, value in zip(sliced, halves, strict=True):
            part.load(value, session)
        saver.save(session, str(path / "model.ckpt"), global_step=step, write_meta_graph=False)


def write_shards(folder, values, version):
    """The same as two data files, of two devices."""
    path = FOLDER / folder
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    config = tf.ConfigProto(device_count={"CPU": 2})
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        variables = {}
        for number, (key, value) in enumerate(values.items()):
            with tf.device(f"/cpu:{number % 2}"):
                variables[key] = tf.Variable(value, name=f"v{number}")
        saver = tf.train.Saver(variables, write_version=version, sharded=True)
        session.run(tf.global_variables_initializer())
        saver.save(session, str(path / "model.ckpt"), write_meta_graph=False)


def compress_index(source, target):
    """Copies an index with its blocks compressed by Snappy."""
    content = source.read_bytes()
    table = _table.Table(source)
    with target.open("wb") as file:

        def block(entries):
            plain, restarts = bytearray(), [0]
            for key, value in entries:
                plain += _wire.varint(0) + _wire.varint(len(key)) + _wire.varint(len(value))
                plain += key + value
            plain += struct.pack("<II", *restarts, 1)
            packed = bytes(cramjam.snappy.compress_raw(bytes(plain))) + b"\1"
            handle = _wire.varint(file.tell()) + _wire.varint(len(packed) - 1)
            file.write(packed + struct.pack("<I", _crc32c.mask(_crc32c.crc32c(packed))))
            return handle

        items = [(key, bytes(value)) for key, value in table.items()]
        half = len(items) // 2
        index = [(part[-1][0], block(part)) for part in (items[:half], items[half:])]
        footer = block([]) + block(index)
        file.write(footer.ljust(40, b"\0") + content[-8:])


def main():
    write("v2", {**SHARED, **ONLY_V2}, tf.train.SaverDef.V2, step=7)
    write("v1", SHARED, tf.train.SaverDef.V1)
    for version, folder in (
        (tf.train.SaverDef.V2, "v2_shards"),
        (tf.train.SaverDef.V1, "v1_shards"),
    ):
        write_shards(folder, {k: SHARED[k] for k in ("double", "int32", "uint8", "half")}, version)
    shutil.rmtree(FOLDER / "v2_snappy", ignore_errors=True)
    shutil.copytree(FOLDER / "v2", FOLDER / "v2_snappy")
    for state in FOLDER.glob("*/checkpoint"):  # as of another machine
        state.write_text(state.read_text().replace(str(FOLDER), "/train_logs"))
    index = "model.ckpt-7.index"
    compress_index(FOLDER / "v2" / index, FOLDER / "v2_snappy" / index)
    reader = tf2.train.load_checkpoint(str(FOLDER / "v2_snappy" / "model.ckpt-7"))
    for name, value in SHARED.items():
        wanted = value if name != "string" else np.char.encode(value.astype(str)).astype(object)
        np.testing.assert_array_equal(reader.get_tensor(name), wanted)
    every = {**SHARED, **ONLY_V2, "sliced": SLICED}
    every["bfloat16"] = every["bfloat16"].view(np.uint16)
    every["string"] = np.array([[s.encode() for s in row] for row in SHARED["string"]], "S200")
    np.savez_compressed(FOLDER / "values.npz", **every)


if __name__ == "__main__":
    main()
