"""tf.data's side of `benchmarks.data`, in a process with a Python of its own.

    python benchmarks/_tf_data.py FOLDER

The folder has `small.tfrecord` and `photos.tfrecord`. For each line with a name of a measurement on
the standard input it prints the seconds of processor time that took.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string, ""),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64, -1),
}
BATCH = 32


def parse(record):
    return tf.io.parse_single_example(record, FEATURES)


def decode(record):
    return tf.io.decode_jpeg(parse(record)["image/encoded"], channels=3)


def preprocess(record):
    """research/slim's Inception preprocessing of evaluation, with whole numbers at the end."""
    image = tf.image.convert_image_dtype(decode(record), tf.float32)
    image = tf.image.central_crop(image, 0.875)
    image = tf.compat.v1.image.resize_bilinear(image[None], [224, 224], align_corners=False)[0]
    return tf.cast(image * 255, tf.uint8)


def train(record):
    """Its crop and resize of training, whose distortion of colours is left to the device."""
    image = decode(record)
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(image),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=(0.75, 1.33),
        area_range=(0.05, 1.0),
        max_attempts=100,
    )
    image = tf.slice(image, begin, size)
    image = tf.compat.v1.image.resize_bilinear(image[None], [224, 224], align_corners=False)[0]
    return tf.ensure_shape(tf.cast(image + 0.5, tf.uint8), [224, 224, 3])


def run(name, folder):
    file = "photos" if name in ("decode", "evaluation", "training") else "small"
    records = tf.data.TFRecordDataset(f"{folder}/{file}.tfrecord")
    data = {
        "records": lambda: records,
        "parse": lambda: records.map(parse),
        "parse by batches": lambda: records.batch(128).map(
            lambda batch: tf.io.parse_example(batch, FEATURES)
        ),
        "decode": lambda: records.map(decode),
        "evaluation": lambda: records.map(preprocess).batch(BATCH),
        "training": lambda: records.map(train).batch(BATCH),
    }[name]()
    started = time.process_time()
    for _ in data.as_numpy_iterator():
        pass
    return time.process_time() - started


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for line in sys.stdin:
        print(run(line.strip(), sys.argv[1]), flush=True)


if __name__ == "__main__":
    main()
