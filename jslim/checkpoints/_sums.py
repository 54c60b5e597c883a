"""A checksum of arrays that adds up: the sum of an array is that of its parts, however it is cut.

So each process sums the parts that it writes or has read, whatever the number of processes and
devices, and none of them needs the whole array.

The sum is multilinear (Carter and Wegman, "Universal classes of hash functions", 1979): each word
of 32 bits is multiplied by an odd key for each of its indices, and all are added modulo 2**64. Odd
keys make any change of one word change the sum.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Longer axes are summed in blocks, and shorter ones together: keys take little memory.
_BLOCK = 1 << 16
_TOGETHER = 1 << 13


# The index of the first element of a part in the whole array; `()` for the whole.
Start = tuple[int, ...]


def part_sum(part: np.ndarray, start: Start = ()) -> int:
    """The sum of a part of an array, from 0 to 2**64 - 1.

    Args:
      part: The part: a block of consecutive indices along each axis.
      start: The index of its first element in the whole array; `()` for the whole.

    >>> whole = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> parts = [part_sum(whole[:, :2]), part_sum(whole[:, 2:], (0, 2))]
    >>> whole_sum([part_sum(whole)]) == whole_sum(parts)
    True
    """
    if part.size == 0:
        return 0
    part = np.ascontiguousarray(part)  # with at least one axis
    starts = start or (0,) * part.ndim
    if part.shape[-1] > _BLOCK:
        total = 0
        for at in range(0, part.shape[-1], _BLOCK):
            total += part_sum(part[..., at : at + _BLOCK], (*starts[:-1], starts[-1] + at))
        return total % (1 << 64)
    size = min(part.dtype.itemsize, 4)
    words = part.view(f"u{size}").reshape(*part.shape, -1)
    lengths, starts = words.shape, (*starts, 0)
    # The axes from `joint` on are summed at once: one long row costs less than many short ones.
    joint = part.ndim - 1
    while joint > 0 and math.prod(lengths[joint - 1 :]) <= _TOGETHER:
        joint -= 1
    keys = _joint_keys(joint, starts[joint:], lengths[joint:])
    sums = np.einsum("ri,i->r", words.reshape(-1, keys.size), keys).reshape(lengths[:joint])
    for axis in reversed(range(joint)):
        sums = sums @ _keys(axis, starts[axis], lengths[axis])
    return int(sums)


def start_of(index: tuple[slice, ...]) -> Start:
    """The first indices of a shard."""
    return tuple(part.start or 0 for part in index)


def whole_sums(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The sums of whole arrays, in the texts of `whole_sum`, by several threads."""
    with ThreadPoolExecutor() as pool:
        return {
            name: whole_sum([part])
            for name, part in zip(arrays, pool.map(part_sum, arrays.values()), strict=True)
        }


def whole_sum(parts: Iterable[int]) -> str:
    """The sum of an array of those of its parts, as 16 hexadecimal digits.

    >>> whole_sum([(1 << 64) - 1, 3])
    '0000000000000002'
    """
    return f"{sum(parts) % (1 << 64):016x}"


@functools.lru_cache(256)  # many arrays have axes of the same lengths
def _joint_keys(first: int, starts: tuple[int, ...], lengths: tuple[int, ...]) -> np.ndarray:
    """The products of the keys of consecutive axes, from the axis `first` on, in C order."""
    keys = np.ones(1, np.uint64)
    for axis, (start, number) in enumerate(zip(starts, lengths, strict=True), first):
        keys = np.multiply.outer(keys, _keys(axis, start, number)).reshape(-1)
    return keys


@functools.lru_cache(256)
def _keys(axis: int, start: int, number: int) -> np.ndarray:
    """The keys of consecutive indices of an axis: odd numbers by SplitMix64 (Steele, 2014)."""
    key = np.arange(start, start + number, dtype=np.uint64) + np.uint64((axis + 1) << 56)
    key *= np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (key ^ (key >> np.uint64(31))) | np.uint64(1)
