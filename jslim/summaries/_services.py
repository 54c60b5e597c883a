"""Writers to services that keep the numbers of many runs: Weights & Biases, MLflow."""

import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from jslim.host.packages import needed
from jslim.summaries._protocol import Entry, RowWriter, to_uint8
from jslim.summaries._recording import BUCKET_LIMITS, Histogram

_WANDB_BINS = 512  # as many as wandb.Histogram takes
_STEP = "global_step"


class WandbWriter(RowWriter):
    """Writes to a run of Weights & Biases: numbers, histograms and images.

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
        self._wandb, self._run, self._prefix = wandb, run, prefix
        run.define_metric(_STEP, hidden=True)
        run.define_metric("*", step_metric=_STEP)

    def put(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
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


class MlflowWriter(RowWriter):
    """Writes to a run of MLflow: numbers, and images. Histograms are left out: MLflow has none.

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
        self._metric, self._client, self._prefix = (
            mlflow.entities.Metric,
            mlflow.MlflowClient(),
            prefix,
        )
        if run_id is None:
            run_id = (mlflow.active_run() or mlflow.start_run()).info.run_id
        self.run_id = run_id

    def put(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
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
