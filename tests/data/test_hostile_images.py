"""Malicious images: other formats, bombs, pipes and devices, files that are cut short."""

import contextlib
import io
import os
import resource
import socket
import struct
import subprocess
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import FolderDataset, decode
from jslim.data._whole_images import has_too_many_scans, jpeg_end
from jslim.data.decode import EncodedImage, decode_image
from jslim.host import limits as _limits
from jslim.host.files import open_regular, read_regular

PIXELS = np.random.default_rng(0).integers(1, 255, (20, 24, 3), np.uint8)


def encode(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def png(width, height, data, *, bits=8, colours=2, interlaced=0):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rows_of(pixels):
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def shape_or_error(dataset, index):
    try:
        return dataset[index]["image"].shape
    except DataError as error:
        return str(error)


def test_of_all_formats_of_pillow_only_those_named_are_opened(tmp_path, monkeypatch):
    """A file of each other format as .jpg, and a program `gs` that records its calls."""
    calls = tmp_path / "calls"
    script = tmp_path / "bin" / "gs"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho called >> {calls}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    folder = tmp_path / "images" / "things"
    folder.mkdir(parents=True)
    Image.init()
    written = {}
    for name in sorted(Image.SAVE):
        for mode in ("RGB", "L", "1"):
            try:
                content = encode(Image.new(mode, (32, 32), 1), format=name)
            except Exception:
                continue
            (folder / f"{name}.jpg").write_bytes(content)
            written[f"{name}.jpg"] = name
            break
    assert {"EPS", "TIFF", "PDF", "ICO", "PPM", "JPEG2000"} <= set(written.values())
    dataset = FolderDataset(tmp_path / "images", "train")
    read = set()
    for index in range(len(dataset)):
        found = shape_or_error(dataset, index)
        if found == (32, 32, 3):
            read.add(written[os.path.basename(dataset.record_key(index))])
        else:
            assert "not a JPEG, PNG, WebP or BMP file" in found
        with contextlib.suppress(DataError):
            dataset.undecoded(index)["image"].at_least(4, 4)
    assert read - {"SPIDER"} <= {"JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "DIB"}
    assert {"JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF"} <= read
    assert not calls.exists()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("side", "kind"), [(13_000, "PNG"), (9_500, "PNG"), (65_000, "JPEG")])
def test_too_many_pixels_are_refused_before_they_take_memory(side, kind):
    if kind == "PNG":
        encoded = png(side, side, zlib.compress(bytes(side * (3 * side + 1) // 8)))
    else:
        encoded = encode(Image.new("RGB", (8, 8)), format="JPEG")
        at = encoded.index(b"\xff\xc0") + 5
        encoded = encoded[:at] + struct.pack(">HH", side, side) + encoded[at + 4 :]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    with pytest.raises(
        DataError, match=r"pixels, more than the limit of 50331648; JSLIM_MAX_IMAGE_PIXELS raises"
    ):
        decode_image(encoded, "x")
    assert time.monotonic() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_the_limit_of_pixels_is_raised_and_lowered_by_the_environment(monkeypatch):
    encoded = encode(Image.fromarray(PIXELS), format="PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    monkeypatch.setenv("JSLIM_MAX_IMAGE_PIXELS", "100000000")
    np.testing.assert_array_equal(decode_image(encoded, "x"), PIXELS)
    monkeypatch.setenv("JSLIM_MAX_IMAGE_PIXELS", "479")
    for kind in ("PNG", "JPEG"):
        with pytest.raises(DataError, match=r"it has 20 x 24 pixels, more than the limit of 479"):
            decode_image(encode(Image.fromarray(PIXELS), format=kind), "x")
    monkeypatch.setenv("JSLIM_MAX_IMAGE_PIXELS", "480")
    decode_image(encoded, "x")
    monkeypatch.setenv("JSLIM_MAX_IMAGE_PIXELS", "1e9")
    with pytest.raises(ValueError, match=r"JSLIM_MAX_IMAGE_PIXELS must be a whole number above 0"):
        decode_image(encoded, "x")


@pytest.mark.parametrize("rows", [0, 3, 19])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_a_png_with_too_few_rows_in_a_whole_stream_is_refused(mode, rows):
    image = Image.fromarray(PIXELS).convert(mode)
    colours = {"RGB": 2, "RGBA": 6, "L": 0, "LA": 4, "P": 0}[mode]
    pixels = np.asarray(image).reshape(20, -1)
    whole = png(24, 20, zlib.compress(rows_of(pixels)), colours=colours)
    assert decode_image(whole, "x").shape == (20, 24, 3)
    short = png(24, 20, zlib.compress(rows_of(pixels[:rows])), colours=colours)
    with pytest.raises(DataError, match=r"image 'x' cannot be decoded \(.*(cut short|truncated)"):
        decode_image(short, "x")


def test_a_png_that_ends_in_black_is_whole():
    black = np.zeros((20, 24, 3), np.uint8)
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(black), format="PNG"), "x"),
                                  black)  # fmt: skip
    parts = [-(-(20 - t) // d) * (1 + -(-(24 - c) // r) * 3) for t, c, d, r in
             ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))]  # fmt: skip
    interlaced = png(24, 20, zlib.compress(bytes(sum(parts))), interlaced=1)
    np.testing.assert_array_equal(decode_image(interlaced, "x"), black)
    short = png(24, 20, zlib.compress(bytes(sum(parts) - parts[-1])), interlaced=1)
    with pytest.raises(DataError, match="rows are missing at its end"):
        decode_image(short, "x")


@pytest.mark.parametrize("has_simplejpeg", [True, False])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_that_was_cut_and_ended_is_refused(options, has_simplejpeg, monkeypatch):
    if not has_simplejpeg:
        monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    image = Image.fromarray(PIXELS).resize((80, 70))
    encoded = encode(image, format="JPEG", **options)
    start = encoded.index(b"\xff\xda") + 20
    for share in (0.05, 0.4, 0.8):
        at = start + int((len(encoded) - start) * share)
        cut = encoded[:at] + b"\xff\xd9"
        with pytest.raises(DataError, match=r"blocks are missing at its end|truncated"):
            decode_image(cut, "x")
        with pytest.raises(DataError, match=r"blocks are missing at its end|truncated"):
            np.asarray(EncodedImage(cut, "x").at_least(35, 40))


def test_a_jpeg_that_ends_in_grey_is_whole(monkeypatch):
    monkeypatch.setattr(decode, "_simplejpeg", lambda: None)
    grey = encode(Image.new("RGB", (40, 40), (128, 128, 128)), format="JPEG")
    assert (decode_image(grey, "x") == 128).all()
    assert jpeg_end(grey + b"more\xff\xd9") == len(grey) - 2
    assert (decode_image(grey + b"more\xff\xd9", "x") == 128).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_a_file_cut_anywhere_is_whole_or_refused(kind):
    encoded = encode(Image.fromarray(PIXELS), format=kind)
    whole = decode_image(encoded, "x")
    for size in range(1, len(encoded), 7):
        with contextlib.suppress(DataError):
            np.testing.assert_array_equal(decode_image(encoded[:size], "x"), whole)


@pytest.fixture
def odd_things(tmp_path):
    folder = tmp_path / "images" / "things"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "a.png")
    with socket.socket(socket.AF_UNIX) as file:
        file.bind(str(folder / "b.png"))
    (folder / "c.png").symlink_to("/dev/zero")
    (folder / "d.png").symlink_to("nowhere")
    with open(folder / "e.png", "wb") as file:
        file.truncate(10 << 30)
    return tmp_path / "images"


def test_what_is_no_file_or_too_large_is_refused_at_once(odd_things):
    reasons = [
        "it is a named pipe, not a file",
        "it is a socket, not a file",
        "it is a device, not a file",
        "No such file or directory",
        r"it has 10737418240 bytes, more than the limit of 134217728; JSLIM_MAX_IMAGE_BYTES raises",
    ]
    dataset = FolderDataset(odd_things, "train")
    assert len(dataset) == len(reasons)
    start = time.monotonic()
    for index, reason in enumerate(reasons):
        with pytest.raises(DataError, match=rf"things/{'abcde'[index]}.png' cannot .*{reason}"):
            dataset[index]
    assert time.monotonic() - start < 1


def test_files_that_are_read_are_files(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="it is a folder, not a file"):
        open_regular(tmp_path)
    (tmp_path / "x").write_bytes(b"1234")
    monkeypatch.setenv("JSLIM_MAX_IMAGE_BYTES", "4")
    assert read_regular(tmp_path / "x", _limits.IMAGE_BYTES) == b"1234"
    monkeypatch.setenv("JSLIM_MAX_IMAGE_BYTES", "3")
    with pytest.raises(OSError, match="it has 4 bytes, more than the limit of 3"):
        read_regular(tmp_path / "x", _limits.IMAGE_BYTES)


def test_a_jpeg_of_hundreds_of_scans_is_refused():
    encoded = encode(Image.fromarray(PIXELS), format="JPEG", progressive=True)
    end = jpeg_end(encoded)
    start = encoded.rindex(b"\xff\xda", 0, end)
    bomb = encoded[:end] + encoded[start:end] * 200 + encoded[end:]
    with pytest.raises(DataError, match="it has hundreds of scans"):
        decode_image(bomb, "x")
    assert decode_image(encoded + b"\xff\xda" * 200, "x").shape == PIXELS.shape


def test_scans_are_counted_unless_the_first_one_has_all_channels():
    def frame(kind):
        return bytes([0xFF, kind, 0, 11, 8, 0, 16, 0, 16, 3, 0, 0, 0])

    def scan(num_channels):
        return bytes([0xFF, 0xDA, 0, 8, num_channels, 1, 0, 0, 63, 0]) + b"data"

    baseline, extended, progressive = 0xC0, 0xC1, 0xC2
    for kind in (baseline, extended):
        assert not has_too_many_scans(b"\xff\xd8" + frame(kind) + scan(3) * 101)
        assert has_too_many_scans(b"\xff\xd8" + frame(kind) + scan(1) * 101)
    assert has_too_many_scans(b"\xff\xd8" + frame(progressive) + scan(3) * 101)
    # The first marker has no length. Whoever takes one for it goes on in the comment.
    start = b"\xff\xd8\xff\x01" + frame(progressive)
    decoy = bytes(0xFFC2 + 4 - len(start) - 4) + frame(baseline) + scan(3)
    comment = b"\xff\xfe\xff\xff" + decoy.ljust(0xFFFF - 2, b"\0")
    assert has_too_many_scans(start + comment + scan(3) * 101)
    assert not has_too_many_scans(b"\xff\xd8\xff\xc0\x00")
