"""Makes `tfrecords/`: files that TensorFlow wrote, and what TF-Slim's decoder reads there.

Usage, with the Python of an environment that has TF-Slim and its numeric oracle:

    ORACLE=<folder of oracle.py> python tests/golden/make_tfrecords.py

`plain`, `gzip` and `zlib.tfrecord` hold the same examples; `decoded.npz` has `CASE/EXAMPLE/ITEM`.
"""

import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle
from tfexample_cases import decoders, sequence_decoders

tf = oracle.tf

FOLDER = pathlib.Path(__file__).parent / "tfrecords"


def run(make, *arguments):
    with tf.Graph().as_default(), oracle.session() as session:
        return session.run(make(*arguments))


def feature(value):
    if isinstance(value[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
    if isinstance(value[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value))


def examples():
    rng = np.random.default_rng(0)
    for number, kind in enumerate(["jpeg", "png", "grey"]):
        shape = (5 + number, 7, 1 if kind == "grey" else 3)
        smooth = np.linspace(0, 200, np.prod(shape)).reshape(shape)
        pixels = np.uint8(smooth + rng.integers(0, 50, shape))
        encode = tf.io.encode_jpeg if kind == "jpeg" else tf.io.encode_png
        count = number + 1
        held = {
            "image/encoded": [run(encode, pixels)],
            "image/format": [b"jpeg" if kind == "jpeg" else b"png"],
            "several": [run(tf.io.encode_png, pixels + i) for i in range(2)],
            "raw": [bytes(rng.integers(0, 255, 6, np.uint8))],
            "raw/format": [b"raw" if number else b"RAW"],
            "image/class/label": [-(number * 10**12)],
            "grid": [float(x) for x in rng.normal(size=6).astype(np.float32)],
            "height": [2],
            "width": [3],
            "ids": sorted(rng.choice(9, count, replace=False).tolist()),
            "weights": [float(x) for x in rng.normal(size=count)],
            "size": [9 + number],
        }
        for side in ("ymin", "xmin", "ymax", "xmax"):
            held[f"image/object/bbox/{side}"] = [float(x) for x in rng.uniform(size=count)]
        features = tf.train.Features(feature={name: feature(v) for name, v in held.items()})
        yield tf.train.Example(features=features).SerializeToString()


def sequence_example():
    rng = np.random.default_rng(1)
    counts = [2, 0, 3]
    lists = {
        f"box/{side}": [[float(x) for x in rng.uniform(size=count)] for count in counts]
        for side in ("ymin", "xmin", "ymax", "xmax")
    }
    lists["ids"] = rng.integers(0, 99, (3, 2)).tolist()
    example = tf.train.SequenceExample()
    example.context.feature["length"].int64_list.value.append(3)
    for name, steps in lists.items():
        for values in steps:
            step = example.feature_lists.feature_list[name].feature.add()
            held = step.int64_list if name == "ids" else step.float_list
            held.value.extend(values)
    return example.SerializeToString()


def main():
    FOLDER.mkdir(exist_ok=True)
    found = {}
    all_examples = list(examples())
    for name in ("plain", "gzip", "zlib"):
        path = FOLDER / f"{name}.tfrecord"
        options = tf.io.TFRecordOptions("" if name == "plain" else name.upper())
        with tf.io.TFRecordWriter(str(path), options) as writer:
            for example in all_examples:
                writer.write(example)
    types = {"bytes": tf.string, "int64": tf.int64, "float32": tf.float32}
    slim = oracle.slim.tfexample_decoder
    for name, (features, handlers) in decoders(slim, tf.io, types).items():
        # TF-Slim decodes JPEGs by the fast transform by default, other libraries by the exact one.
        if "image" in handlers:
            handlers["image"]._dct_method = "INTEGER_ACCURATE"
        decoder = slim.TFExampleDecoder(features, handlers)
        for number, example in enumerate(all_examples):
            items = decoder.list_items()
            values = run(decoder.decode, example, items)
            found |= {f"{name}/{number}/{item}": v for item, v in zip(items, values, strict=True)}
    sequence = sequence_example()
    with tf.io.TFRecordWriter(str(FOLDER / "sequence.tfrecord")) as writer:
        writer.write(sequence)
    for name, arguments in sequence_decoders(slim, tf.io, types).items():
        decoder = slim.TFSequenceExampleDecoder(*arguments)
        items = decoder.list_items()
        values = run(decoder.decode, sequence, items)
        found |= {f"{name}/0/{item}": v for item, v in zip(items, values, strict=True)}
    np.savez_compressed(FOLDER / "decoded.npz", **found)


if __name__ == "__main__":
    main()
