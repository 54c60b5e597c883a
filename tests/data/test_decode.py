import io

import numpy as np
import pytest
from PIL import Image

from jslim._errors import DataError
from jslim.data import decode_image


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
    exif[0x0112] = 6  # To be turned by a quarter before it is shown.
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


def test_decode_image_without_pillow_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"needs Pillow.*pip install 'jslim\[cli\]'"):
        decode_image(b"", "x")
