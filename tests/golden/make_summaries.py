"""Makes summaries.json: how TensorFlow's summary operations encode histograms and images.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_summaries.py

The file holds
    histograms  {case: {values, min, max, num, sum, sum_squares, bucket_limit, bucket}}
    images      {case: {shape, dtype, values, max_images, tags, pixels: [[shape, values], ...]}}
with flat lists in the order of rows; what is not finite is a string ("nan", "inf").
"""

import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
from oracle import tf


def histogram_inputs() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(3)
    limit = np.float32(1e-12 * 1.1**40)
    return {
        "normal": rng.normal(size=60).astype(np.float32),
        "wide": (rng.normal(size=40) * 10.0 ** rng.uniform(-14, 21, 40)).astype(np.float32),
        "constant": np.full(5, 0.25, np.float32),
        "zeros": np.zeros(3, np.float32),
        "one": np.array([-3.0], np.float32),
        "near_limits": np.array(
            [limit, np.nextafter(limit, np.float32(1)), -limit, 1e-12, -1e-12, 1e-13, 1e20, -1e20],
            np.float32,
        ),
        "integers": np.arange(-4, 5).astype(np.float32),
    }


def image_inputs() -> dict[str, tuple[np.ndarray, int]]:
    rng = np.random.RandomState(4)
    holes = rng.uniform(-1, 2, (1, 2, 3, 3)).astype(np.float32)
    holes[0, 0, 1, 2] = np.nan
    holes[0, 1, 0] = np.inf
    grey_holes = rng.uniform(0, 2, (1, 2, 2, 1)).astype(np.float32)
    grey_holes[0, 1, 1] = np.nan
    return {
        "positive": (rng.uniform(0, 3, (4, 3, 2, 3)).astype(np.float32), 3),
        "signed": (rng.normal(size=(2, 3, 2, 1)).astype(np.float32), 3),
        "four_channels": (rng.uniform(0, 1, (1, 2, 2, 4)).astype(np.float32), 3),
        "single": (rng.uniform(0, 1, (2, 2, 2, 3)).astype(np.float32), 1),
        "bytes": (rng.randint(0, 256, (2, 2, 3, 3)).astype(np.uint8), 3),
        "black": (np.zeros((1, 2, 2, 3), np.float32), 3),
        "tiny": (np.full((1, 2, 2, 3), 1e-7, np.float32), 3),
        "holes": (holes, 3),
        "grey_holes": (grey_holes, 3),
    }


def flat(array: np.ndarray) -> list:
    return [
        (float(f"{v:.9g}") if np.isfinite(v) else str(v)) if isinstance(v, float) else v
        for v in np.ravel(array).tolist()
    ]


def summary_of(build) -> list:
    with tf.Graph().as_default(), tf.Session() as session:
        text = session.run(build())
    return list(tf.Summary.FromString(text).value)


def main() -> None:
    golden = {"histograms": {}, "images": {}}
    for case, values in histogram_inputs().items():
        (value,) = summary_of(lambda values=values: tf.summary.histogram("x", values))
        histogram = value.histo
        golden["histograms"][case] = {
            "values": flat(values),
            "bucket_limit": list(histogram.bucket_limit),
            "bucket": list(histogram.bucket),
            **{
                name: getattr(histogram, name)
                for name in ("min", "max", "num", "sum", "sum_squares")
            },
        }
    for case, (images, max_images) in image_inputs().items():
        values = summary_of(
            lambda images=images, most=max_images: tf.summary.image("x", images, max_outputs=most)
        )
        with tf.Graph().as_default(), tf.Session() as session:
            pixels = [
                session.run(tf.image.decode_png(value.image.encoded_image_string))
                for value in values
            ]
        golden["images"][case] = {
            "shape": list(images.shape),
            "dtype": str(images.dtype),
            "values": flat(images),
            "max_images": max_images,
            "tags": [value.tag for value in values],
            "pixels": [[list(array.shape), flat(array)] for array in pixels],
        }
    path = pathlib.Path(__file__).with_name("summaries.json")
    path.write_text(json.dumps(golden) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
