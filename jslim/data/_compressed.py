"""Files that are compressed as a whole by gzip or zlib, unpacked in parts and within limits."""

import zlib
from collections.abc import Iterator
from typing import IO

from jslim.host.limits import check_unpacked

# Of zlib: 15 is its own format, 15 + 16 is gzip's.
WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}
_PACKED, _UNPACKED = 1 << 16, 1 << 20  # bytes at once


def decompressed(file: IO[bytes], compression: str) -> Iterator[bytes]:
    """The content of a file in parts; several streams one after the other are all read.

    Args:
      file: The file, at its beginning.
      compression: `'GZIP'` or `'ZLIB'`.

    Raises:
      OSError, EOFError, zlib.error: It is damaged, cut short, followed by something else, or
        unpacks to too much.
    """
    size, packed, is_first = 0, b"", True
    while is_first or packed or (packed := file.read(_PACKED)):
        is_first = False
        decompressor = zlib.decompressobj(WINDOW_BITS[compression])
        while not decompressor.eof:
            if not (packed := packed or file.read(_PACKED)):
                raise EOFError("Compressed file ended before its last byte")
            part = decompressor.decompress(packed, _UNPACKED)
            packed = decompressor.unconsumed_tail
            size += len(part)
            check_unpacked(size, file.tell())
            yield part
        packed = decompressor.unused_data
        if compression == "GZIP":  # zeros may follow
            packed = packed.lstrip(b"\0")
