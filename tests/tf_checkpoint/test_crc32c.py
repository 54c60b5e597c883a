"""CRC-32C against the test vectors of RFC 3720 and a bit-by-bit division."""

import numpy as np
import pytest

from jslim.host import crc32c as _crc32c
from jslim.host.crc32c import crc32c, crc32c_of_rows, mask, unmask

LARGE = 4 * 6777 * 16  # above this the message is folded in two steps, above a 16th in one


@pytest.fixture(autouse=True, params=["google-crc32c", "numpy"])
def implementation(request, monkeypatch):
    """Every test with the library and without it."""
    if request.param == "numpy":
        monkeypatch.setattr(_crc32c, "_library", lambda: None)
    else:
        assert pytest.importorskip("google_crc32c").implementation == "c"


def by_division(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_known_checksums(data, crc):
    assert crc32c(data) == crc


@pytest.mark.parametrize("size", [1, 511, 512, 1025, LARGE // 16, LARGE // 16 + 1, 40_000])
def test_equals_division_by_the_polynomial(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == by_division(data)


@pytest.mark.parametrize("size", [LARGE, LARGE + 1, LARGE + 17, 1_500_001])
def test_long_messages_equal_their_parts(size):
    # What is added to a message adds its own remainder, so a long one is known by its bits.
    rng = np.random.default_rng(size)
    data = np.zeros(size, np.uint8)
    places = np.sort(rng.choice(size - 5000, 3, replace=False))
    wanted = crc32c(data)
    for place in places:
        one = np.zeros(size, np.uint8)
        one[place] = 0x5A
        data[place] = 0x5A
        wanted ^= crc32c(one) ^ crc32c(np.zeros(size, np.uint8))
    assert crc32c(data) == wanted
    # And the zeros in front of a message leave a state that can be had in another way.
    tail = rng.integers(0, 256, 1000, dtype=np.uint8)
    data = np.concatenate([np.zeros(size - 1000, np.uint8), tail])
    state = 0xFFFFFFFF
    power, exponent = [1 << i for i in range(32)], (size - 1000) * 8
    squares = [v >> 1 ^ (0x82F63B78 if v & 1 else 0) for v in power]

    def times(matrix, value):
        total = 0
        for i in range(32):
            if value >> i & 1:
                total ^= matrix[i]
        return total

    while exponent:
        if exponent & 1:
            state = times(squares, state)
        squares = [times(squares, column) for column in squares]
        exponent >>= 1
    for byte in tail.tolist():
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(data) == state ^ 0xFFFFFFFF


def test_takes_arrays_and_memory():
    array = np.arange(100, dtype=np.float32)
    assert crc32c(array) == crc32c(array.tobytes()) == crc32c(array.view(np.uint8).data)


def test_many_checksums_at_once():
    lengths = np.array([0, 1, 255, 256, 2**40 + 12345], "<u8")
    wanted = [mask(crc32c(int(length).to_bytes(8, "little"))) for length in lengths]
    assert mask(crc32c_of_rows(lengths.view(np.uint8).reshape(-1, 8))).tolist() == wanted


def test_mask_can_be_undone():
    assert mask(0) == 0xA282EAD8
    for crc in (0, 1, 0xE3069283, 0xFFFFFFFF):
        assert unmask(mask(crc)) == crc
