"""The progress of a training run: its rates, and the parts of its row in the display."""

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from jslim.core.names import LOSS_WITHOUT_REGULARIZATION
from jslim.core.trees import PyTree
from jslim.host.display import Field, duration
from jslim.learning import numerics

NORMS = ("gradient_norm", "parameter_norm")
# What is left out first in a narrow terminal: the highest; 2 is of the outputs of the user.
_RANKS = {"loss": 1, **dict.fromkeys(NORMS, 3), LOSS_WITHOUT_REGULARIZATION: 7}


class Report(NamedTuple):
    """The rates of a progress line.

    Attributes:
      examples_per_sec: Examples per second since the last report.
      steps_per_sec: Steps per second since the last report.
      data_wait: The share of that time spent waiting for data, 0 to 1.
      seconds_left: Seconds until the last step, or None.
    """

    examples_per_sec: float
    steps_per_sec: float
    data_wait: float
    seconds_left: float | None

    def summaries(self, values: Mapping[str, float]) -> dict[str, float]:
        """The scalars that are written for a progress line, from the numbers of its step."""
        return {
            **{name: values[name] for name in NORMS if name in values},
            "total_loss": values["loss"],
            "global_step/sec": self.steps_per_sec,
            "images/sec": self.examples_per_sec,
            "data_wait": self.data_wait,
        }


class Lap(NamedTuple):
    """Counts from one log line to the next."""

    steps: int = 0
    examples: int = 0
    seconds_waited: float = 0.0


class Meter:
    """Counts steps, examples and the time spent waiting for data between two log lines.

    The counts of a line end when its last step is given to the devices (`lap`), its time ends when
    they have computed it (`report`).

    Args:
      last_step: The step at which training ends, or None.
    """

    def __init__(self, last_step: int | None):
        self._last_step = last_step
        self.restart()
        self._started = self._since
        self._lowest = (math.inf, 0)  # of the losses in reports, and its step
        self._total_steps, self._total_seconds = 0, 0.0

    def restart(self) -> None:
        """Discards the counts since the last report."""
        self._since = time.perf_counter()
        self._lap = Lap()

    def leave_out(self, seconds: float) -> None:
        """Leaves out time that has passed, which is not time of training."""
        self._since += seconds

    def count(self, examples: int, seconds_waited: float) -> None:
        steps, more, waited = self._lap
        self._lap = Lap(steps + 1, more + examples, waited + seconds_waited)

    def lap(self) -> Lap:
        """The counts, which start again from 0."""
        lap, self._lap = self._lap, Lap()
        return lap

    def report(self, step: int, loss: float, lap: Lap) -> Report:
        """The report of a lap that has just ended, with the time since the last report."""
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        self._since = now
        self._lowest = min(self._lowest, (loss, step))
        self._total_steps += lap.steps
        self._total_seconds += seconds
        seconds_left = None
        if self._last_step is not None and self._total_steps:
            per_step = self._total_seconds / self._total_steps
            seconds_left = max(self._last_step - step, 0) * per_step
        return Report(
            lap.examples / seconds,
            lap.steps / seconds,
            min(lap.seconds_waited / seconds, 1.0),
            seconds_left,
        )

    def last_line(self, how: str, step: int, values: Mapping[str, float], directory: str) -> str:
        """How training ended: the step, the time it took, and the values of its last step."""
        of = f" of {self._last_step}" if self._last_step else ""
        loss, at = self._lowest
        lowest = f" ({_number(loss)} at step {at})" if loss < values["loss"] else ""
        parts = [in_words(name, value) for name, value in values.items()]
        parts[0] += lowest
        if directory:
            parts.append(f"saved in {directory}")
        took = duration(time.perf_counter() - self._started)
        return f"{how} at step {step}{of} after {took}: {', '.join(parts)}"


def num_examples(batch: PyTree) -> int:
    """The rows of a batch."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
    return next((shape[0] for shape in shapes if shape), 1)


def scalars(outputs: Mapping[str, PyTree]) -> dict[str, float]:
    """The outputs of a step that are single numbers, on the host, losses first.

    >>> scalars({"loss": np.float32(0.5), "logits": np.zeros(3)})
    {'loss': 0.5}
    """
    first = ("loss", LOSS_WITHOUT_REGULARIZATION)
    found = {
        name: outputs[name]
        for name in (*first, *(name for name in outputs if name not in first))
        if name in outputs and name != numerics.FIRST_NONFINITE and not np.ndim(outputs[name])
    }
    values = jax.device_get([*found.values()])  # a dict would come back sorted
    return {name: np.asarray(x).item() for name, x in zip(found, values, strict=True)}


def fields(values: Mapping[str, float], report: Report, epoch: float | None) -> list[Field]:
    """What a progress line says beside the step and the time left.

    Args:
      values: The outputs of the step that are single numbers.
      report: The rates.
      epoch: How often training has gone over the data; None if that is not known.

    >>> values = {"loss": 0.3456, "accuracy": 0.875}
    >>> "  ".join(field.text for field in fields(values, Report(5432.1, 42.4, 0.03, None), 2.25))
    'loss 0.3456  accuracy 0.8750  epoch 2.2  5432 images/s  waiting for data 3%'
    """
    return [
        *(Field(in_words(name, value), _RANKS.get(name, 2)) for name, value in values.items()),
        *([] if epoch is None else [Field(f"epoch {epoch:.1f}", 5)]),
        Field(f"{report.examples_per_sec:.0f} images/s", 4),
        Field(f"waiting for data {report.data_wait:.0%}", 6),
    ]


def in_words(name: str, value: float) -> str:
    """A value with its name.

    >>> in_words("gradient_norm", 1234.5678), in_words("loss", 0.00001234)
    ('gradient norm 1235', 'loss 1.234e-05')
    """
    return f"{name.replace('_', ' ')} {_number(value)}"


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    is_small = value == 0 or 1e-3 <= abs(value) < 1e3
    return f"{value:.4f}" if is_small else f"{value:.4g}"
