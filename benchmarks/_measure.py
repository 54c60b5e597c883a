"""Measuring two ways of doing one thing against each other on a machine that is never quiet."""

import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class Cost(NamedTuple):
    """What something took, in seconds: by the clock, and of processor time in all threads."""

    clock: float
    processor: float


class Ratio(NamedTuple):
    """Two costs in seconds, and their ratio over many pairs measured one after the other."""

    first: float  # medians
    second: float
    ratio: float  # the median of the pairs' ratios
    low: float  # its quartiles: half of the pairs lie between them
    high: float


class Timer:
    """Measures what lies between `start` (or its making) and `stop`."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._started = Cost(time.perf_counter(), time.process_time())

    def stop(self) -> Cost:
        now = Cost(time.perf_counter(), time.process_time())
        return Cost(now.clock - self._started.clock, now.processor - self._started.processor)


def trace_cost(function: Callable[..., Any], *args: Any) -> Cost:
    """What it takes to trace and lower `function` as if for the first time in the process."""
    jax.clear_caches()
    gc.collect()
    timer = Timer()
    jax.jit(function).lower(*args)
    return timer.stop()


def compare(
    first: Callable[[], Cost], second: Callable[[], Cost], pairs: int
) -> tuple[Ratio, Ratio]:
    """Measures in turns, so that what else the machine does falls on both.

    Args:
      first: Does its thing once and returns what it took.
      second: The same of the other.
      pairs: How many times; every second pair is in reverse order.

    Returns:
      The ratio by the clock and that of processor time.
    """
    costs: dict[Any, list[Cost]] = {first: [], second: []}
    for index in range(pairs):
        for measure in (first, second)[:: 1 if index % 2 else -1]:
            costs[measure].append(measure())
    clock, processor = zip(*(np.transpose(each) for each in costs.values()), strict=True)
    return _ratio(*clock), _ratio(*processor)


def _ratio(first: np.ndarray, second: np.ndarray) -> Ratio:
    low, middle, high = np.quantile(first / second, (0.25, 0.5, 0.75))
    medians = float(np.median(first)), float(np.median(second))
    return Ratio(*medians, float(middle), float(low), float(high))


def show(what: str, ours: str, theirs: str, ratio: str, target: str = "") -> None:
    """Prints one line of a table; all have the same columns."""
    print(f"{what:<36} {ours:>10} {theirs:>10}  {ratio:<22} {target}".rstrip(), flush=True)


def show_ratio(what: str, measured: Ratio, target: str = "") -> None:
    first, second = (f"{seconds * 1e3:.1f} ms" for seconds in measured[:2])
    show(what, first, second, "{2:.3f} ({3:.3f}..{4:.3f})".format(*measured), target)
