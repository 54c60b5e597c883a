"""tf.data's side of `benchmarks.data`, in a process with a Python of its own.

    python benchmarks/_tf_data.py FOLDER

The folder has `small.tfrecord` and `photos.tfrecord`. For each line with a name of `PIPELINES` on
the standard input it prints the seconds of processor time and of the clock that it took.
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
BATCH, SIZE = 32, 224


def parse(record):
    return tf.io.parse_single_example(record, FEATURES)


def decode(record):
    return tf.io.decode_jpeg(parse(record)["image/encoded"], channels=3)


def resize(image):
    image = tf.compat.v1.image.resize_bilinear(image[None], [SIZE, SIZE], align_corners=False)[0]
    return tf.ensure_shape(image, [SIZE, SIZE, 3])


def to_signed(image):
    return (image - 0.5) * 2


def window(shape):
    """Where research/slim crops in training."""
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        shape,
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=(0.75, 1.33),
        area_range=(0.05, 1.0),
        max_attempts=100,
    )
    return begin, size


def crop(record):
    image = decode(record)
    return resize(tf.slice(image, *window(tf.shape(image))))


def decode_and_crop(record):
    """`crop` by the kernel that leaves out blocks outside of the window."""
    encoded = parse(record)["image/encoded"]
    begin, size = window(tf.io.extract_jpeg_shape(encoded))
    place = tf.concat([begin[:2], size[:2]], 0)
    return resize(tf.io.decode_and_crop_jpeg(encoded, place, channels=3))


def distort(image):
    """research/slim's distortions of colours, to `[-1, 1]`."""
    image = tf.image.random_flip_left_right(image * (1 / 255))
    image = tf.image.random_brightness(image, 32 / 255)
    image = tf.image.random_saturation(image, 0.5, 1.5)
    return to_signed(tf.clip_by_value(image, 0, 1))


def rounded(image):
    return tf.cast(image + 0.5, tf.uint8)


def evaluate(record):
    return to_signed(resize(tf.image.central_crop(decode(record), 0.875)) * (1 / 255))


def train(record):
    return distort(crop(record))


def train_fused(record):
    return distort(decode_and_crop(record))


def first_half(record):
    return rounded(crop(record))


def first_half_fused(record):
    return rounded(decode_and_crop(record))


# The file, the function of a record, and whether its results are put into batches.
PIPELINES = {
    "records": ("small", None, False),
    "parse": ("small", parse, False),
    "decode": ("photos", decode, False),
    "evaluate": ("photos", evaluate, True),
    "train": ("photos", train, True),
    "train_fused": ("photos", train_fused, True),
    "first_half": ("photos", first_half, True),
    "first_half_fused": ("photos", first_half_fused, True),
}


def run(name, folder):
    if name == "parse by batches":
        records = tf.data.TFRecordDataset(f"{folder}/small.tfrecord").batch(128)
        data = records.map(lambda batch: tf.io.parse_example(batch, FEATURES))
    else:
        file, function, is_batched = PIPELINES[name]
        data = tf.data.TFRecordDataset(f"{folder}/{file}.tfrecord")
        data = data.map(function) if function else data
        data = data.batch(BATCH) if is_batched else data
    started, clock = time.process_time(), time.perf_counter()
    for _ in data.as_numpy_iterator():
        pass
    return time.process_time() - started, time.perf_counter() - clock


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for line in sys.stdin:
        print(*run(line.strip(), sys.argv[1]), flush=True)


if __name__ == "__main__":
    main()
