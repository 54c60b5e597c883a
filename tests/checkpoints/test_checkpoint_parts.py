"""States that are spread over processes: saved and restored in parts, on any number of them."""

import functools
import math
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorstore
from checkpoint_states import save_steps
from cpu_devices import cpu_devices
from joint_restore import SHAPES, value

from jslim.checkpoints import CheckpointManager, load_variables, restore_latest
from jslim.checkpoints._sums import part_sum, whole_sum
from jslim.host.paths import as_path

SCRIPT = pathlib.Path(__file__).parent / "joint_restore.py"


def run(task, count, directory):
    """The output of each of several processes, all of which succeed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, task, address, str(count), str(index), str(directory)],
            env=os.environ | cpu_devices(1),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    try:
        found = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * count, found
    return [out for out, _ in found]


def flip_largest(directory):
    """Flips a byte in the largest file of a step, which holds arrays."""

    def files(folder):
        for path in folder.iterdir():
            yield from [path] if path.is_file() else files(path)

    path = max(files(directory), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["disk", "gs", "s3"])
def test_two_processes_save_and_three_restore_together(kind, tmp_path, request):
    directory = tmp_path / "run"
    if kind != "disk":
        directory = as_path(request.getfixturevalue("stores").url(kind, "run"), "test")
    run("save", 2, directory)
    assert sorted(path.name for path in directory.iterdir()) == ["1", "2"]
    for out in run("restore", 3, directory):
        assert out.splitlines()[-1] == "restored 2"
    # One process, with the whole of it.
    like = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    found = load_variables(directory, [*SHAPES])
    for name in like:
        np.testing.assert_array_equal(found[name], value(2, SHAPES[name]))
    flip_largest(directory / "2")
    for out in run("restore", 2, directory):
        assert out.splitlines()[-1] == "restored 1"
        assert f"checkpoint {directory / '2'} is broken: " in out


@pytest.mark.long
def test_processes_that_see_different_steps_say_so(tmp_path):
    save_steps(tmp_path / "run1", 3)
    outs = run("apart", 2, tmp_path / "run")
    for index, (out, seen) in enumerate(zip(outs, ("none", "3"), strict=True)):
        assert f"the 2 processes do not see the same checkpoints in {tmp_path}/run{index}" in out
        assert f"process {index} sees {seen}; give a directory that all share" in out


def bytes_read(kind):
    """What TensorStore has read from a kind of place, by its own count."""
    name = f"/tensorstore/kvstore/{kind}/bytes_read"
    metrics = tensorstore.experimental_collect_matching_metrics(name, True)
    return sum(value["value"] for metric in metrics for value in metric["values"])


@pytest.mark.long
@pytest.mark.parametrize(("kind", "driver"), [("disk", "file"), ("gs", "gcs"), ("s3", "s3")])
def test_a_partial_restore_reads_what_it_needs(kind, driver, tmp_path, request):
    directory = str(tmp_path / "run")
    if kind != "disk":
        directory = request.getfixturevalue("stores").url(kind, "run")
    state = {f"w{index}": np.full((500, 500), index, np.float32) for index in range(20)}
    with CheckpointManager(directory) as checkpoints:
        checkpoints.save(1, {"params": state})
    before = bytes_read(driver)
    found = load_variables(directory, ["w7$"])
    np.testing.assert_array_equal(found["w7"], state["w7"])
    read = bytes_read(driver) - before
    assert state["w7"].nbytes <= read < 1.2 * state["w7"].nbytes
    restore_latest(directory, {"params": state})
    assert bytes_read(driver) - before - read >= 20 * state["w7"].nbytes


def test_sums_add_up_over_any_parts():
    numbers = np.random.default_rng(0)
    for dtype in ("float32", "float64", "complex128", "uint8", "bool", "float16", "int64"):
        whole = (100 * numbers.normal(size=(5, 7, 9))).astype(dtype)
        parts = [
            part_sum(whole[a:b, c:d, e:f], (a, c, e))
            for a, b in ((0, 2), (2, 5))
            for c, d in ((0, 3), (3, 7))
            for e, f in ((0, 4), (4, 9))
        ]
        assert whole_sum(parts) == whole_sum([part_sum(whole)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "uint8", "complex64"])
def test_a_sum_changes_with_any_bit_and_any_exchange(dtype):
    array = (100 * np.random.default_rng(1).normal(size=(4, 6))).astype(dtype)
    expected = part_sum(array)
    as_bytes = array.reshape(-1).view(np.uint8)
    for place in range(as_bytes.size):
        for bit in range(8):
            as_bytes[place] ^= 1 << bit
            assert part_sum(array) != expected
            as_bytes[place] ^= 1 << bit
    array[0], array[1:] = 1, array[1:] * 0
    for other in (array[::-1], array[:, ::-1] * np.arange(6).astype(dtype), array * 0):
        assert part_sum(np.ascontiguousarray(other)) != part_sum(array)


def test_a_sum_of_a_long_axis_is_that_of_its_blocks():
    array = np.random.default_rng(2).normal(size=150_000).astype(np.float32)
    parts = [part_sum(array[start : start + 70_000], (start,)) for start in (0, 70_000, 140_000)]
    assert whole_sum(parts) == whole_sum([part_sum(array)])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((3, 4), "float64"),
        ((7, 3, 2), "float32"),
        ((3, 3, 31, 32), "float16"),
        ((5, 70_000), "bool"),
    ],
)
def test_the_sum_is_the_formula_written_down(shape, dtype):
    """Independent of NumPy: SplitMix64 of each index, one product for each word."""
    mask = (1 << 64) - 1

    @functools.cache
    def key(axis, index):
        x = (((axis + 1) << 56) + index) * 0x9E3779B97F4A7C15 & mask
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
        return (x ^ (x >> 31)) | 1

    array = (10 * np.random.default_rng(3).normal(size=shape)).astype(dtype)
    of_word = min(array.dtype.itemsize, 4)
    total = 0
    for index in np.ndindex(shape):
        element = array[index].tobytes()
        product = math.prod(key(axis, at) for axis, at in enumerate(index)) & mask
        for place in range(len(element) // of_word):
            word = element[place * of_word : (place + 1) * of_word]
            total += int.from_bytes(word, "little") * product * key(len(shape), place)
    assert part_sum(array) == total & mask


def test_without_steps_there_is_nothing_to_restore(tmp_path):
    assert restore_latest(tmp_path, {"w": np.zeros(3)}) is None
