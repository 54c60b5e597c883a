"""Finds image files that lack rows, where Pillow does not notice."""

import struct
import zlib
from collections.abc import Iterator

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of each pass of Adam7: first row, first column, step between rows, step between columns.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
)  # fmt: skip
_CHUNK = 1 << 20
_MAX_SCANS = 100  # encoders write about ten


def png_is_short(encoded: bytes) -> bool:
    """Whether the data of a PNG that Pillow has read is shorter than its rows need."""
    width, height, bits, colours, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", encoded, 16)
    needed = 0
    for top, left, down, right in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        rows, columns = -(-(height - top) // down), -(-(width - left) // right)
        if rows > 0 and columns > 0:
            needed += rows * (1 + -(-columns * bits * _PNG_CHANNELS[colours] // 8))
    return _inflated_size(_png_data(encoded), needed) < needed


def _png_data(encoded: bytes) -> Iterator[bytes]:
    at = 8
    while len(header := encoded[at : at + 8]) == 8:
        length = int.from_bytes(header[:4], "big")
        if header[4:] == b"IDAT":
            yield encoded[at + 8 : at + 8 + length]
        at += 12 + length


def _inflated_size(parts: Iterator[bytes], enough: int) -> int:
    """The size of a zlib stream, counted no further than `enough`."""
    decompressor, size = zlib.decompressobj(), 0
    try:
        for part in parts:
            while part and size < enough and not decompressor.eof:
                size += len(decompressor.decompress(part, _CHUNK))
                part = decompressor.unconsumed_tail
    except zlib.error:
        pass  # the bytes before the error count
    return size


def _jpeg_markers(encoded: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG, as libjpeg finds them, and their places."""
    at = 2
    # Between markers there is the data of a scan, or something that does not belong there.
    while 0 <= (at := encoded.find(b"\xff", at)) < len(encoded) - 1:
        marker = encoded[at + 1]
        if marker in (0, 0xFF):
            at += 1
            continue
        yield marker, at
        has_length = marker != 0x01 and not 0xD0 <= marker <= 0xD9
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4], "big") if has_length else 2


def jpeg_end(encoded: bytes) -> int:
    r"""The index of the marker that ends a JPEG; its length where there is no such marker.

    >>> jpeg_end(b"\xff\xd8 data \xff\xd9")
    8
    """
    return next((at for marker, at in _jpeg_markers(encoded) if marker == 0xD9), len(encoded))


def has_too_many_scans(encoded: bytes) -> bool:
    """Whether a small JPEG could take minutes: each of its scans goes over all pixels."""
    num_channels = None
    for marker, at in _jpeg_markers(encoded):
        if marker in (0xC0, 0xC1):  # not progressive
            num_channels = encoded[at + 9 : at + 10]
        if marker == 0xDA:
            if encoded[at + 4 : at + 5] == num_channels:
                return False  # of all channels, so libjpeg reads no other one
            break
    scan = b"\xff\xda"
    return encoded.count(scan) > _MAX_SCANS < encoded.count(scan, 0, jpeg_end(encoded))
