"""The benchmarks run, and compare like with like; nothing here looks at a clock."""

import dataclasses
import functools
import importlib
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from benchmarks import __main__ as runner
from benchmarks import bucket, data, layers, loop, nets, step
from benchmarks._layer_cases import CASES

PAIRS = step.pairs(units=(1,), repeats=(2,), width=16, dense=16, batch_size=2)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_step_compares_equal_numbers_and_equal_flops(pair, capsys):
    ratios = step.run(pair, repetitions=1, traces=1)
    assert ratios["difference"] < 1e-4
    assert 0.97 < ratios["flops"] < 1.01
    assert "at most 1.02" in capsys.readouterr().out


def test_loop_takes_the_same_steps_with_and_without_train(capsys):
    loops = loop.Loops(loop.smallest_loss, batch_size=2, steps=3)
    assert min(loops.slim() + loops.bare()) > 0
    loop.run(loop.smallest_loss, batch_size=2, steps=3, pairs=1)
    assert "3 steps of smallest_loss" in capsys.readouterr().out


def test_data_has_a_line_for_every_row(monkeypatch, capsys):
    monkeypatch.setattr(data, "SMALL_RECORDS", 40)
    monkeypatch.setattr(data, "PHOTOS", 33)
    data.main(["--pairs=1"])
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line[:32].rstrip() for line in lines] == [row.title for row in data.ROWS]
    assert all(int(line[32:]) > 0 for line in lines)
    data.main(["--pairs=1", "--only=^records"])
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.long
@pytest.mark.parametrize("pattern", ["depthwise 3x3$", "separable 3x3 to 512", "instance_norm"])
def test_layers_compares_equal_outputs_and_prints_ratios(pattern, capsys):
    small = [
        dataclasses.replace(case, shape=(2, 6, 6, case.shape[-1]))
        for case in CASES
        if re.search(pattern, case.name)
    ][:1]
    layers.main(["--pairs=1"], small)
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{small[0].name} of 2x6x6x")
    assert len(re.findall(r"\d+\.\d\d", line)) >= 4


def test_layers_refuses_to_time_different_outputs():
    case = next(case for case in CASES if case.name == "instance_norm")
    other = functools.partial(slim.instance_norm, epsilon=0.5)
    case = dataclasses.replace(case, shape=(2, 6, 6, 4), slim=other)
    with pytest.raises(AssertionError, match=r"instance_norm .*: linen is off by"):
        layers.main(["--pairs=1"], [case])


@pytest.mark.long
@pytest.mark.parametrize(("name", "shape"), [("lenet", "28x28x1"), ("cifarnet", "32x32x3")])
def test_small_nets_of_linen_are_the_same_functions(name, shape, capsys):
    images = jax.random.normal(jax.random.key(0), nets.shape_of(name, 2, 8))
    batch = {"image": 20 * images, "label": jnp.array([1, 2])}
    ours, linens = nets.of_jslim(name, batch), nets.of_linen(name, batch)
    (layers_of_ours,) = ours.variables["params"].values()
    params = {
        layer: {"kernel": leaves["weights"], "bias": leaves["biases"]}
        for layer, leaves in layers_of_ours.items()
    }
    expected = ours.forward(ours.variables, batch["image"])
    found = linens.forward({"params": params}, batch["image"])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    nets.main([name, "--batch-size=2", "--image-size=8", "--pairs=1"])
    *_, forward, train, last = capsys.readouterr().out.splitlines()
    assert forward.startswith(f"{name} forward")
    assert train.startswith(f"{name} train")
    assert last.startswith(f"  2 images of 8x8x{shape[-1]}; traced and compiled in")
    assert nets.shape_of(name, None, None) == (64, *map(int, shape.split("x")))


def test_the_help_of_nets_says_how_to_make_the_other_sides_environment(capsys):
    with pytest.raises(SystemExit):
        nets.main(["--help"])
    assert "tf/bin/pip install tensorflow-cpu==" in capsys.readouterr().out


def test_every_benchmark_has_a_main_for_the_runner():
    names = runner.names()
    assert {"layers", "loop", "step"} <= set(names)
    for name in names:
        assert callable(importlib.import_module(f"benchmarks.{name}").main)


@pytest.mark.long
def test_a_bucket_has_a_line_for_every_row():
    """In a process of its own, since a process keeps the first store that it opens."""
    pytest.importorskip("gcsfs")
    program = [sys.executable, "-m", "benchmarks.bucket", "--latency=1", "--images=96"]
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, cwd=root)
    assert len(done.stdout.splitlines()) == 1 + 2 * len(bucket.NAMES), done.stderr
