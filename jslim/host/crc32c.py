"""CRC-32C, the checksum in TensorFlow's files: by google-crc32c where it is installed, or by NumPy.

Castagnoli's polynomial P, bits reflected (RFC 3720, appendix B.4). A message is a polynomial over
the field of two elements, its first bit the highest power; its checksum is the remainder of the
division by P. P divides `x**A + x**B + x**C + 1` for the numbers below, which were found by a
search for four powers of x whose sum is zero modulo P. Squaring is linear in this field, so P also
divides the polynomial with all exponents times a power of two. Hence a byte with at least A bytes
behind it can be dropped if it is added to the bytes A-B, A-C and A later: three XORs of whole
arrays. The rest goes row by row through a table of the remainder of every byte at every place of a
row.
"""

import functools
import types
from typing import TypeVar

import numpy as np

Checksum = TypeVar("Checksum", int, np.ndarray)  # one, or uint32 of several

_POLYNOMIAL = np.uint32(0x82F63B78)
_A, _B, _C = 6777, 484, 100
_ROW = 512  # bytes of a row of the table
_WINDOW = 1 << 19  # bytes that are folded at once: they stay in a core's cache
_MASK_DELTA = 0xA282EAD8
_CHUNK = 1 << 22


def crc32c(data: bytes | bytearray | memoryview | np.ndarray) -> int:
    """The checksum of bytes, or of the bytes of a contiguous array.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    message = np.frombuffer(data, np.uint8)
    if (library := _library()) is not None:
        crc = 0
        for start in range(0, message.size, _CHUNK):  # it takes only bytes, which are a copy
            crc = library.extend(crc, message[start : start + _CHUNK].tobytes())
        return crc
    return _by_numpy(message)


@functools.cache
def _library() -> types.ModuleType | None:
    """google-crc32c where it uses the processor's instruction, 20 times as fast as NumPy."""
    try:
        import google_crc32c
    except ImportError:
        return None
    return google_crc32c if google_crc32c.implementation == "c" else None


def _by_numpy(message: np.ndarray) -> int:
    state = 0xFFFFFFFF
    for unit in (16, 1):  # large steps first, then small ones, which leave a short rest
        if message.size > 4 * _A * unit:
            message, state = _folded(message, unit, state), 0
    table, after_row, after_byte = _tables()
    whole = message.size // _ROW * _ROW
    if whole:
        rows = message[:whole].reshape(-1, _ROW)
        places = np.arange(_ROW - 1, -1, -1)
        for row in np.bitwise_xor.reduce(table[places, rows], axis=1).tolist():
            # The state counts as four bytes that are added to the first four bytes of the row.
            for place, after in enumerate(after_row):
                row ^= after[state >> 8 * place & 0xFF]
            state = row
    for byte in message[whole:].tolist():
        state = state >> 8 ^ after_byte[(state ^ byte) & 0xFF]
    return state ^ 0xFFFFFFFF


def mask(crc: Checksum) -> Checksum:
    """A checksum as TensorFlow stores it, rotated and with a number added.

    Otherwise all data that ends in its own checksum would have the same checksum.

    >>> hex(mask(0))
    '0xa282ead8'
    """
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The inverse of `mask`.

    >>> unmask(mask(123))
    123
    """
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def crc32c_of_rows(rows: np.ndarray) -> np.ndarray:
    """The checksum of each row of `[n, bytes]` uint8, as uint32 `[n]`; for many short messages.

    >>> rows = np.frombuffer(b"abcdef", np.uint8).reshape(2, 3)
    >>> crc32c_of_rows(rows).tolist() == [crc32c(b"abc"), crc32c(b"def")]
    True
    """
    of_byte = _tables()[0][0]
    state = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        state = state >> 8 ^ of_byte[(state ^ column) & 0xFF]
    return ~state


def _folded(message: np.ndarray, unit: int, state: int) -> np.ndarray:
    """A short message with the same remainder as this long one and its initial state."""
    kept = _A * unit
    steps = [(_A - _B) * unit, (_A - _C) * unit, kept]
    window = np.empty(kept + _WINDOW, np.uint8)
    window[:kept] = message[:kept]
    window[:4] ^= np.frombuffer(state.to_bytes(4, "little"), np.uint8)
    for start in range(kept, message.size, _WINDOW):
        new = message[start : start + _WINDOW]
        window[kept : kept + new.size] = new
        for first in range(0, new.size, steps[0]):
            last = min(first + steps[0], new.size)
            for step in steps:
                window[first + step : last + step] ^= window[first:last]
        window[:kept] = window[new.size : new.size + kept].copy()
    return window[:kept]


@functools.cache
def _tables() -> tuple[np.ndarray, list[list[int]], list[int]]:
    """`[k, byte]`: the remainder of a byte with k bytes behind it; and some rows as lists."""
    one = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        one = np.where(one & 1, one >> 1 ^ _POLYNOMIAL, one >> 1)
    table = np.empty((_ROW, 256), np.uint32)
    table[0] = one
    for k in range(1, _ROW):
        table[k] = table[k - 1] >> 8 ^ one[table[k - 1] & 0xFF]
    return table, [row.tolist() for row in table[:-5:-1]], one.tolist()
