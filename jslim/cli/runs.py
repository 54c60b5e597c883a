"""`jslim runs`: the runs in a folder, with their steps, losses and best values."""

import logging
import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict

from jslim import checkpoints
from jslim.cli import run_config, scoring
from jslim.cli.flags import UsageError, flag
from jslim.cli.listing import ListConfig, clock, show
from jslim.cli.run import run
from jslim.cli.validation import read_evaluations
from jslim.core.errors import DataError
from jslim.host.files import is_directory, names_in
from jslim.host.paths import AnyPath, as_path
from jslim.summaries import read_rows

logger = logging.getLogger("jslim")

_DEEPEST = 4  # folders between the one that is given and that of a run


class RunRow(TypedDict):
    """What the list says of a run; the loss and the best value are None where there is none."""

    run: str
    step: int
    state: str
    metric: str
    loss: float | None
    best: float | None
    best_step: int | None
    network: str
    data: str
    saved_at: float


@dataclass(frozen=True)
class RunsConfig(ListConfig):
    """Which runs.

    Attributes:
      metric: Whose best value is shown. Default: that of --best_metric of each run.
    """

    takes_arguments: ClassVar[bool] = True
    usage: ClassVar[str] = "[flags] [DIR ...]"
    examples: ClassVar[tuple[str, ...]] = ("{program} runs", "{program} runs --metric=Loss")

    metric: str | None = flag(None)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the list; returns the exit code."""
    return run(runs, RunsConfig, argv)


def runs(config: RunsConfig) -> None:
    """Prints a line for each run in the folders, by default in the working directory.

    Raises:
      UsageError: There is none, or no such metric.
    """
    if config.metric is not None:
        scoring.find(config.metric, "--metric")
    roots = config.arguments or (".",)
    found = [path for root in roots for path in find_runs(as_path(root, "jslim runs: DIR"))]
    if not found:
        raise UsageError(f"there is no run in {', '.join(roots)}; give the folder that holds some")
    rows = [_row(path, config.metric) for path in found]
    cells = {
        "step": lambda row: str(row["step"]),
        "": lambda row: row["state"],
        "loss": lambda row: "" if row["loss"] is None else f"{row['loss']:.4g}",
        "best": _best_text,
        "network": lambda row: row["network"],
        "data": lambda row: row["data"],
        "saved": lambda row: clock(row["saved_at"]),
        "run": lambda row: row["run"],
    }
    show(config, rows, cells, right=["step", "loss"])


def find_runs(root: AnyPath, depth: int = 0) -> Iterator[AnyPath]:
    """The directories in a folder, itself included, that hold steps of jslim; sorted."""
    if depth == 0 and not is_directory(root):
        raise UsageError(f"there is no folder {str(root)!r}")
    if checkpoints.list_steps(root):
        yield root  # what it has within is its own: steps, the best one, events
    elif depth < _DEEPEST:
        try:
            names = names_in(root)
        except OSError:
            return  # nobody may read it
        for name in sorted(name for name, is_folder in names.items() if is_folder):
            if not os.path.islink(root / name):
                yield from find_runs(root / name, depth + 1)


def _row(path: AnyPath, metric: str | None) -> RunRow:
    steps = [step for step in checkpoints.list_steps(path) if not step.problem]
    newest = steps[-1] if steps else None
    contract = newest.contract if newest else {}
    flags: dict[str, Any] = {}
    try:
        if held := run_config.read(path):
            flags = held.flags
    except UsageError as error:
        logger.warning("%s", error)
    state = "broken" if newest is None else ""
    if checkpoints.has_ended(path):
        state = "done" if checkpoints.is_done(path) else "stopped"
    metric = metric or str(flags.get("best_metric") or "Accuracy")
    best_step, best = _best(path, metric)
    return {
        "run": str(path),
        "step": newest.step if newest else 0,
        "state": state,
        "metric": metric,
        "loss": _newest_loss(path),
        "best": best,
        "best_step": best_step,
        "network": str(contract.get("model_name", "")),
        "data": _data_of(flags),
        "saved_at": newest.saved_at if newest else 0.0,
    }


def _newest_loss(path: AnyPath) -> float | None:
    """The loss of the newest log line; None without one, as of runs of earlier versions."""
    loss = None
    try:
        for row in read_rows(path / "metrics.jsonl"):
            loss = row.get("total_loss", loss)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s cannot be read: %s", path / "metrics.jsonl", error.strerror)
    return loss


def _best(path: AnyPath, metric: str) -> tuple[int | None, float | None]:
    """The step of the best evaluation while training, and its value; None without any."""
    try:
        less_is_better = scoring.find(metric)[0].less_is_better
        lines = read_evaluations(path / "evaluations.jsonl")
    except (DataError, UsageError) as error:
        logger.warning("%s", error)
        return None, None
    lines = [line for line in lines if not math.isnan(line.get(metric, math.nan))]
    if not lines:
        return None, None
    best = (min if less_is_better else max)(lines, key=lambda line: line[metric])
    return int(best["step"]), best[metric]


def _data_of(flags: dict[str, Any]) -> str:
    """The data set of a run: its folder, or its name where it has none."""
    if directory := flags.get("dataset_dir"):
        return pathlib.PurePath(str(directory)).name
    return str(flags.get("dataset_name") or "")


def _best_text(row: RunRow) -> str:
    if row["best"] is None:
        return ""
    return f"{row['metric']} {row['best']:.4f} at {row['best_step']}"
