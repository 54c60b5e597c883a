"""The benchmarks run, and compare like with like; nothing here looks at a clock."""

import importlib

import pytest

from benchmarks import __main__ as runner
from benchmarks import loop, step

PAIRS = step.pairs(units=(1,), repeats=(2,), width=16, dense=16, batch_size=2)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_step_compares_equal_numbers_and_equal_flops(pair, capsys):
    ratios = step.run(pair, repetitions=1, traces=1)
    assert ratios["difference"] < 1e-4
    assert ratios["flops"] == pytest.approx(1, abs=0.01)
    assert "at most 1.02" in capsys.readouterr().out


def test_loop_takes_the_same_steps_with_and_without_train(capsys):
    loops = loop.Loops(loop.smallest_loss, batch_size=2, steps=3)
    assert min(loops.slim() + loops.bare()) > 0
    loop.run(loop.smallest_loss, batch_size=2, steps=3, pairs=1)
    assert "3 steps of smallest_loss" in capsys.readouterr().out


def test_every_benchmark_has_a_main_for_the_runner():
    names = runner.names()
    assert {"loop", "step"} <= set(names)
    for name in names:
        assert callable(importlib.import_module(f"benchmarks.{name}").main)
