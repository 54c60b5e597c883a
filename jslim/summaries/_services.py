"""Writers to services that keep the numbers of many runs: Weights & Biases, MLflow."""

import copy
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from jslim.host.packages import needed
from jslim.summaries._protocol import Entry, RowWriter, to_uint8
from jslim.summaries._recording import BUCKET_LIMITS, Histogram

logger = logging.getLogger("jslim")

_WANDB_BINS = 512  # as many as wandb.Histogram takes
_STEP = "global_step"
_PAUSE = 10  # times as long as a call that failed, until the next one


class _Outage:
    """Whether a service has failed, and until when it is left alone."""

    is_said = False
    until = 0.0


class ServiceWriter(RowWriter):
    """Sends rows to a service, whose errors do not end the training.

    The first error is a warning. After one, rows are lost for ten times as long as the call took:
    a service that does not answer costs at most a tenth of the time.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._outage = _Outage()

    def send(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Sends a row; the arguments are those of `put`."""
        raise NotImplementedError

    def prefixed(self, prefix: str) -> Self:
        """A writer to the same run whose tags have this prefix instead."""
        other = copy.copy(self)
        other._prefix, other._row = prefix, None
        return other

    def put(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Sends a row, unless the service has just failed."""
        started = time.monotonic()
        if started < self._outage.until:
            return
        try:
            self.send(step, row, others)
        except Exception as error:
            now = time.monotonic()
            self._outage.until = now + _PAUSE * (now - started)
            if not self._outage.is_said:
                self._outage.is_said = True
                logger.warning(
                    "%s failed at step %d: %s; what the service lacks from there on is in the "
                    "files of the run",
                    type(self).__name__,
                    step,
                    error,
                )


class WandbWriter(ServiceWriter):
    """Writes to a run of Weights & Biases: numbers, histograms and images.

    An error of wandb is one warning, and what cannot be sent is lost there.

    The step is the value `global_step` of each row, over which the charts are drawn. So rows may
    come in any order of steps; of wandb's own step later ones than the newest would be dropped.

    Args:
      run: From `wandb.init(...)`. It stays open after `close`: its owner finishes it.
      prefix: Goes before each tag, such as `'eval/'`.

    Raises:
      ImportError: The package wandb is not installed.
    """

    def __init__(self, run: Any, prefix: str = "") -> None:
        with needed("wandb", "WandbWriter", "'jslim[wandb]'"):
            import wandb
        super().__init__(prefix)
        self._wandb, self._run = wandb, run
        run.define_metric(_STEP, hidden=True)
        run.define_metric("*", step_metric=_STEP)

    def send(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Logs a row of numbers, histograms and images."""
        found: dict[str, object] = {self._prefix + tag: value for tag, value in row.items()}
        for kind, tag, value in others:
            if kind == "histogram":
                made: object = self._wandb.Histogram(np_histogram=_bins(value, _WANDB_BINS))
            else:
                made = self._wandb.Image(to_uint8(value).squeeze())
            found[self._prefix + tag] = made
        if _STEP in found:
            found[f"{_STEP}_"] = found[_STEP]
        self._run.log({**found, _STEP: step})


def _bins(histogram: Histogram, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges of the buckets that hold something, joined to at most `most`."""
    counts = np.asarray(histogram.counts)
    held = np.flatnonzero(counts)
    if not held.size:
        return np.zeros(1, np.int64), np.array([0.0, 1.0])
    first, last = int(held[0]), int(held[-1])
    starts = np.arange(first, last + 1, -(-(last + 1 - first) // most))
    edges = BUCKET_LIMITS[[*(starts - 1), last]].copy()
    # The outermost buckets reach to the end of all numbers, or far beyond what they hold.
    edges[0], edges[-1] = histogram.minimum, max(float(histogram.maximum), edges[-2])
    return np.add.reduceat(counts[: last + 1], starts), edges


class MlflowWriter(ServiceWriter):
    """Writes to a run of MLflow: numbers, and images. Histograms are left out: MLflow has none.

    An error of MLflow is one warning, and what cannot be sent is lost there.

    MLflow keeps letters, digits and `_-. /:` in a name; other characters of a tag become `_`.

    Args:
      run_id: The run. Default: the active run, or a new one that becomes active. It stays open
        after `close`.
      prefix: Goes before each tag, such as `'eval/'`.

    Raises:
      ImportError: The package mlflow is not installed.
    """

    def __init__(self, run_id: str | None = None, prefix: str = "") -> None:
        with needed("mlflow", "MlflowWriter", "'jslim[mlflow]'"):
            import mlflow
        super().__init__(prefix)
        self._metric, self._client = mlflow.entities.Metric, mlflow.MlflowClient()
        if run_id is None:
            run_id = (mlflow.active_run() or mlflow.start_run()).info.run_id
        self.run_id = run_id

    def send(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Logs a row of numbers, and images."""
        now = int(time.time() * 1000)
        metrics = [self._metric(self._name(tag), value, now, step) for tag, value in row.items()]
        if metrics:
            self._client.log_batch(self.run_id, metrics)
        for kind, tag, value in others:
            if kind == "image":
                self._client.log_image(self.run_id, to_uint8(value), key=self._name(tag), step=step)

    def _name(self, tag: str) -> str:
        return re.sub(r"[^\w\-. /:]", "_", self._prefix + tag, flags=re.ASCII)
