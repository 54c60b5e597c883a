"""Makes `preprocessing.npz`: image files, resizing and preprocessing as TensorFlow does them.

    <python of the oracle> tests/golden/make_preprocessing.py

Needs TensorFlow 2.15 alone. The preprocessing of LeNet, CifarNet, Inception and VGG (evaluation) is
put together from TensorFlow's own operations, with height and width in the order they are called.
"""

import pathlib

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def smallest_size_at_least(height, width, side):
    height, width, side = (tf.cast(x, tf.float32) for x in (height, width, side))
    scale = tf.cond(tf.greater(height, width), lambda: side / width, lambda: side / height)
    return tuple(tf.cast(tf.math.rint(x * scale), tf.int32).numpy() for x in (height, width))


def resize(image, height, width):
    return v1.image.resize_bilinear(image[None], [height, width], align_corners=False)[0].numpy()


def vgg(image, height, width, side):
    new_height, new_width = smallest_size_at_least(image.shape[0], image.shape[1], side)
    resized = resize(image, new_height, new_width)
    top, left = int((new_height - height) / 2), int((new_width - width) / 2)
    crop = resized[top : top + height, left : left + width]
    return crop - np.array([123.68, 116.78, 103.94], np.float32)


def main():
    rng = np.random.default_rng(0)
    photo = np.clip(
        np.add.outer(np.arange(23) * 6, np.arange(37) * 3)[..., None]
        + rng.integers(-40, 40, (23, 37, 3)),
        0,
        255,
    ).astype(np.uint8)
    small = rng.integers(0, 256, (5, 8, 3)).astype(np.uint8)
    out = {"photo": photo, "small": small}

    files = {
        "jpeg_rgb": tf.io.encode_jpeg(photo, quality=80),
        "jpeg_grey": tf.io.encode_jpeg(photo[..., :1], format="grayscale"),
        "png_rgba": tf.io.encode_png(np.concatenate([photo, photo[..., :1]], axis=-1)),
        "png_grey": tf.io.encode_png(photo[..., :1]),
    }
    for name, encoded in files.items():
        out[f"file/{name}"] = np.frombuffer(encoded.numpy(), np.uint8)
        if name.startswith("jpeg"):
            pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
        else:
            pixels = tf.io.decode_png(encoded, channels=3)
        out[f"pixels/{name}"] = pixels.numpy()

    for height, width in ((10, 16), (3, 4), (5, 8), (7, 3), (1, 1), (13, 29)):
        out[f"resize/{height}x{width}"] = resize(small, height, width)
    for height, width in ((9, 12), (2, 3), (8, 5), (4, 11), (5, 8)):
        cropped = tf.image.resize_with_crop_or_pad(small, height, width).numpy()
        out[f"crop_or_pad/{height}x{width}"] = cropped
        as_float = tf.cast(cropped, tf.float32)
        out[f"lenet/{height}x{width}"] = ((as_float - 128.0) / 128.0).numpy()
        out[f"cifarnet/{height}x{width}"] = tf.image.per_image_standardization(as_float).numpy()
    constant = tf.fill([4, 4, 3], 7.0)
    out["standardization/constant"] = tf.image.per_image_standardization(constant).numpy()
    dim = tf.cast(small, tf.float32) * 1e-4
    out["standardization/dim"] = tf.image.per_image_standardization(dim).numpy()
    for factor in (0.2, 1.0, 1.8):
        adjusted = tf.image.adjust_contrast(tf.cast(small, tf.float32), factor)
        out[f"contrast/{factor}"] = adjusted.numpy()
    for height, width, side in ((16, 16, 20), (20, 17, 20), (29, 29, 31), (7, 30, 23)):
        out[f"vgg/{height}x{width}/{side}"] = vgg(photo, height, width, side)
        out[f"vgg_tall/{width}x{height}/{side}"] = vgg(
            photo.transpose(1, 0, 2), width, height, side
        )
    scaled = tf.image.convert_image_dtype(photo, tf.float32)
    for height, width in ((16, 16), (40, 25), (7, 33)):
        cropped = tf.image.central_crop(scaled, 0.875)
        resized = tf.constant(resize(cropped, height, width))
        out[f"inception/{height}x{width}"] = tf.multiply(tf.subtract(resized, 0.5), 2.0).numpy()
    for size in (8, 10, 23, 37):
        square = np.arange(size * size, dtype=np.int32).reshape(size, size, 1)
        out[f"central_crop/{size}"] = tf.image.central_crop(square, 0.875).numpy()
    wide = tf.constant(rng.uniform(-0.15, 1.15, (6, 7, 3)).astype(np.float32))
    out["saturation/image"] = wide.numpy()
    for factor in (0.5, 1.0, 1.5, 0.0):
        out[f"saturation/{factor}"] = tf.image.adjust_saturation(wide, factor).numpy()
    for delta in (-0.2, -0.05, 0.0, 0.1, 0.2, 0.9):
        out[f"hue/{delta}"] = tf.image.adjust_hue(wide, delta).numpy()
    methods = {"nearest": 1, "bicubic": 2, "area": 3}
    for name, method in methods.items():
        for height, width in ((5, 7), (16, 11), (40, 33)):
            resized = v1.image.resize_images(small.astype(np.float32), [height, width], method)
            out[f"resize_{name}/{height}x{width}"] = resized.numpy()
    path = pathlib.Path(__file__).parent / "preprocessing.npz"
    np.savez_compressed(path, **out)
    print(f"{path}: {len(out)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
