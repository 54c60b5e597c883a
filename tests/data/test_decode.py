import io

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import EncodedImage, decode, decode_image


def encode(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["jpeg_rgb", "jpeg_grey", "png_rgba", "png_grey"])
def test_decode_image_equals_tensorflow(golden, name):
    stored = golden("preprocessing.npz")
    pixels = decode_image(stored[f"file/{name}"].tobytes(), name)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, stored[f"pixels/{name}"])


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "WEBP"])
def test_decode_image_reads_lossless_formats(file_format):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    encoded = encode(Image.fromarray(pixels), format=file_format, lossless=True)
    np.testing.assert_array_equal(decode_image(encoded, "x"), pixels)


def test_decode_image_looks_up_palette_colours():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 9, 8, 7])
    expected = [[[255, 0, 0], [0, 255, 0]], [[9, 8, 7], [0, 255, 0]]]
    np.testing.assert_array_equal(decode_image(encode(image, format="PNG"), "x"), expected)
    # One colour half transparent: its colour stays what it was.
    transparent = encode(image, format="PNG", transparency=bytes([255, 128, 255]))
    np.testing.assert_array_equal(decode_image(transparent, "x"), expected)


def test_decode_image_drops_transparency_without_blending():
    pixels = np.array([[[10, 20, 30, 0], [40, 50, 60, 128]]], np.uint8)
    encoded = encode(Image.fromarray(pixels), format="PNG")
    np.testing.assert_array_equal(decode_image(encoded, "x"), pixels[..., :3])


def test_decode_image_converts_cmyk():
    # White less 40 % cyan, less 20 % black of what remains: (255 - 102, 255, 255) * 0.8.
    image = Image.new("CMYK", (16, 16), (102, 0, 0, 51))
    pixels = decode_image(encode(image, format="JPEG", quality=100), "x")
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(0), [122.4, 204, 204], atol=1.5)


def test_decode_image_makes_black_and_white_out_of_one_bit():
    image = Image.fromarray(np.array([[True, False]]))
    pixels = decode_image(encode(image, format="PNG"), "x")
    np.testing.assert_array_equal(pixels, [[[255] * 3, [0] * 3]])


def test_decode_image_ignores_the_orientation_in_exif():
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF: to be turned by a quarter before it is shown.
    encoded = encode(Image.new("RGB", (8, 4)), format="JPEG", exif=exif)
    assert decode_image(encoded, "x").shape == (4, 8, 3)


@pytest.mark.parametrize("num_bytes", [0, 1, 20, 600, -30])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_decode_image_names_a_file_that_is_cut_short(file_format, num_bytes):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    encoded = encode(Image.fromarray(pixels), format=file_format)[:num_bytes]
    with pytest.raises(DataError, match=r"image 'a/b.x' cannot be decoded \(.*replace or delete"):
        decode_image(encoded, "a/b.x")


def test_decode_image_says_that_text_is_no_image():
    with pytest.raises(DataError, match=r"\(not a JPEG, PNG, WebP or BMP file\)"):
        decode_image(b"404: not found", "x")


def test_decode_image_refuses_sixteen_bits():
    encoded = encode(Image.fromarray(np.full((3, 3), 1000, np.uint16)), format="PNG")
    with pytest.raises(DataError, match=r"image 'x' has more than 8 bits a channel .*convert it"):
        decode_image(encoded, "x")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_decode_image_refuses_animations(kind):
    frames = [Image.fromarray(smooth((8, 9, 3), seed)) for seed in range(3)]
    encoded = encode(frames[0], format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"image 'x' cannot be decoded \(it is animated, with 3 fr"):
        decode_image(encoded, "x")
    alone = encode(frames[0], format=kind, save_all=True)
    assert decode_image(alone, "x").shape == (8, 9, 3)


def test_decode_image_without_pillow_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"needs Pillow.*pip install 'jslim\[cli\]'"):
        decode_image(b"", "x")


def smooth(shape, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, shape[-1]), np.uint8)
    image = Image.fromarray(coarse.squeeze()).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(shape)


JPEGS = {
    "colours": lambda: encode(Image.fromarray(smooth((37, 51, 3))), format="JPEG"),
    "full_chroma": lambda: encode(
        Image.fromarray(smooth((37, 51, 3))), format="JPEG", subsampling=0, quality=95
    ),
    "progressive": lambda: encode(
        Image.fromarray(smooth((16, 15, 3))), format="JPEG", progressive=True, quality=30
    ),
    "grey": lambda: encode(Image.fromarray(smooth((9, 33, 1)).squeeze()), format="JPEG"),
    "cmyk": lambda: encode(Image.fromarray(smooth((8, 9, 4)), mode="CMYK"), format="JPEG"),
    "stored_rgb": lambda: encode(Image.fromarray(smooth((8, 9, 3))), format="JPEG", keep_rgb=True),
    "small": lambda: encode(Image.fromarray(smooth((1, 1, 3))), format="JPEG"),
}


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
@pytest.mark.parametrize("kind", JPEGS)
def test_simplejpeg_changes_no_pixel(kind, channels, monkeypatch):
    pytest.importorskip("simplejpeg")
    encoded = JPEGS[kind]()
    found = decode_image(encoded, "x", channels)
    is_fast = decode._decode_jpeg(encoded, channels, np.inf, 1) is not None
    assert is_fast == (channels in (1, 3) and kind not in ("cmyk", "stored_rgb"))
    monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    np.testing.assert_array_equal(found, decode_image(encoded, "x", channels))
    assert found.shape[2] == (channels or (1 if kind == "grey" else 3))


def test_a_jpeg_with_flipped_bits_is_the_same_with_and_without_simplejpeg(monkeypatch):
    pytest.importorskip("simplejpeg")
    whole = np.frombuffer(JPEGS["colours"](), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = whole.copy()
        damaged[rng.integers(2, whole.size, 2)] ^= 1 << int(rng.integers(8))
        results = []
        for simplejpeg in (decode._simplejpeg, lambda: None):
            with monkeypatch.context() as patch:
                patch.setattr(decode, "_simplejpeg", simplejpeg)
                try:
                    results.append(decode_image(damaged.tobytes(), "x"))
                except DataError as error:
                    results.append(str(error))
        assert type(results[0]) is type(results[1])
        np.testing.assert_array_equal(*results)


def test_channels_that_an_image_has():
    pixels = smooth((4, 5, 4))
    transparent = encode(Image.fromarray(pixels), format="PNG")
    np.testing.assert_array_equal(decode_image(transparent, "x", 0), pixels)
    np.testing.assert_array_equal(decode_image(transparent, "x", 4), pixels)
    opaque = encode(Image.fromarray(pixels[..., :3]), format="PNG")
    np.testing.assert_array_equal(decode_image(opaque, "x", 0), pixels[..., :3])
    assert (decode_image(opaque, "x", 4)[..., 3] == 255).all()
    with pytest.raises(ValueError, match=r"channels must be 0, 1, 3 or 4, got 2"):
        decode_image(opaque, "x", 2)


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    for file_format in ("JPEG", "PNG"):
        encoded = encode(Image.new("RGB", (40, 40)), format=file_format)
        with pytest.raises(
            DataError, match=r"cannot be decoded \(Image size \(1600 pixels\) exceed"
        ):
            decode_image(encoded, "x")


def encoded_image(kind, channels=3):
    return EncodedImage(JPEGS[kind](), kind, channels)


@pytest.mark.parametrize("with_simplejpeg", [True, False])
@pytest.mark.parametrize("kind", JPEGS)
def test_an_encoded_image_has_the_shape_and_pixels_of_the_decoded_one(
    kind, with_simplejpeg, monkeypatch
):
    if not with_simplejpeg:
        monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    for channels in (0, 1, 3):
        expected = decode_image(JPEGS[kind](), kind, channels)
        image = encoded_image(kind, channels)
        assert image.shape == expected.shape
        assert image.ndim == 3
        np.testing.assert_array_equal(np.asarray(image), expected)
        np.testing.assert_array_equal(image.at_least(*expected.shape[:2]), expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((37, 51), (37, 51)),
        ((20, 26), (37, 51)),  # a half has 19 rows
        ((19, 26), (19, 26)),
        ((19, 1), (19, 26)),
        ((11, 13), (19, 26)),
        ((10, 13), (10, 13)),
        ((5, 7), (5, 7)),
        ((1, 1), (5, 7)),
    ],
)
@pytest.mark.parametrize("with_simplejpeg", [True, False])
def test_a_jpeg_is_decoded_in_the_smallest_size_that_serves(
    size, expected, with_simplejpeg, monkeypatch
):
    if with_simplejpeg:
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    image = encoded_image("full_chroma")
    found = image.at_least(*size)
    assert found.shape == (*expected, 3)
    # Each pixel is about the mean of the pixels that it replaces.
    whole = np.asarray(image).astype(np.float32)
    divisor = {37: 1, 19: 2, 10: 4, 5: 8}[expected[0]]
    rows, columns = 37 // divisor, 51 // divisor
    blocks = whole[: rows * divisor, : columns * divisor]
    means = blocks.reshape(rows, divisor, columns, divisor, 3).mean(axis=(1, 3))
    assert np.abs(found[:rows, :columns] - means).mean() < 2


@pytest.mark.parametrize("kind", [kind for kind in JPEGS if kind != "cmyk"])
@pytest.mark.parametrize("channels", [1, 3])
def test_simplejpeg_changes_no_pixel_of_a_smaller_size(kind, channels, monkeypatch):
    pytest.importorskip("simplejpeg")
    rows, columns, _ = encoded_image(kind).shape
    sizes = [(-(-rows // divisor), -(-columns // divisor)) for divisor in (2, 4, 8)]
    fast = [encoded_image(kind, channels).at_least(*size) for size in sizes]
    monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    for one, size in zip(fast, sizes, strict=True):
        np.testing.assert_array_equal(one, encoded_image(kind, channels).at_least(*size))


def test_what_is_no_jpeg_has_one_size():
    pixels = smooth((40, 30, 3))
    image = EncodedImage(encode(Image.fromarray(pixels), format="PNG"), "x")
    assert image.shape == (40, 30, 3)
    np.testing.assert_array_equal(image.at_least(3, 3), pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_error_of_an_encoded_image_names_the_record(kind):
    encoded = encode(Image.fromarray(smooth((40, 30, 3))), format=kind)[:150]
    for ask in (lambda x: x.shape, np.asarray, lambda x: x.at_least(2, 2)):
        with pytest.raises(DataError, match=r"image 'a/b.x' cannot be decoded"):
            ask(EncodedImage(encoded, "a/b.x"))
