"""`jslim plot`: the curves of runs, as a PNG file."""

import fnmatch
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from jslim.cli.flags import Config, UsageError, flag, scopes_of
from jslim.cli.reports import PICTURE
from jslim.cli.run import run
from jslim.core.errors import did_you_mean
from jslim.core.text import printable, some_of
from jslim.host.files import UnfinishedFile
from jslim.host.packages import needed
from jslim.host.paths import AnyPath, as_path, format_of, is_remote, output_file
from jslim.summaries import Scalars, read_rows, read_scalars

logger = logging.getLogger("jslim")

_RATES = ("global_step/sec", "images/sec", "data_wait")
_MOST_CHARTS = 48
_COLUMNS = 3
_WIDTH, _HEIGHT = 4.4, 3.0  # of a chart, in inches

# By tag, the curves: the steps and the values, by the name of the run.
Curves = dict[str, dict[str, list[tuple[int, float]]]]


@dataclass(frozen=True)
class PlotConfig(Config):
    """What is drawn.

    Attributes:
      tags: Comma-separated names of values, or patterns of them such as losses/*. Default: all but
        rates such as images/sec.
      output: The PNG file to write.
    """

    takes_arguments: ClassVar[bool] = True
    usage: ClassVar[str] = "[flags] RUN ..."
    examples: ClassVar[tuple[str, ...]] = (
        "{program} runs/photos",
        "{program} runs/* --tags=total_loss,Accuracy --output=curves.png",
    )

    tags: str | None = None
    output: str = flag("curves.png", path=partial(output_file, formats=PICTURE))


def main(argv: Sequence[str] | None = None) -> int:
    """Draws the curves; returns the exit code."""
    return run(plot, PlotConfig, argv)


def plot(config: PlotConfig) -> None:
    """Draws a chart for each value, with a curve for each run; evaluations are dashed.

    Raises:
      UsageError: No run is given, or none has such values.
      ImportError: Matplotlib is not installed.
    """
    if not config.arguments:
        raise UsageError("give directories of runs: jslim plot [flags] RUN ...")
    with needed("Matplotlib", "jslim plot", "'jslim[plot]'"):
        import matplotlib  # noqa: F401
    curves: Curves = {}
    names = _names(config.arguments)
    for path, name in zip(config.arguments, names, strict=True):
        add_curves(curves, as_path(path, "jslim plot: RUN"), name)
    chosen = _chosen(config, curves)
    draw(config.output, {tag: curves[tag] for tag in chosen})
    logger.info(
        "drew %s: %d charts of %s", config.output, len(chosen), printable(some_of(names, 5))
    )


def _names(paths: Sequence[str]) -> list[str]:
    """What tells the directories apart."""
    whole = [os.path.abspath(f"/{path}" if is_remote(path) else path) for path in paths]
    above = os.path.commonpath([os.path.dirname(path) for path in whole])
    return [os.path.relpath(path, above) for path in whole]


def add_curves(curves: Curves, path: AnyPath, name: str) -> None:
    """Adds the curves of one run: training, and evaluation in a directory within."""
    if not path.is_dir():
        raise UsageError(f"there is no run at {str(path)!r}")
    trained = _by_tag(path / "metrics.jsonl") or read_scalars(path)
    evaluated = _by_tag(path / "evaluations.jsonl") or read_scalars(path / "eval")
    if not trained and not evaluated:
        raise UsageError(
            f"{str(path)!r} has no numbers: no metrics.jsonl, evaluations.jsonl or event file with "
            "some; give the directory of a run that has taken steps"
        )
    for found, label in ((trained, name), (evaluated, f"{name} (evaluation)")):
        for tag, values in found.items():
            curves.setdefault(tag, {})[label] = sorted(values)


def _by_tag(path: AnyPath) -> Scalars:
    """The numbers in a file of JSON lines by their names; none where there is no file."""
    found: dict[str, dict[int, float]] = {}
    if path.exists():
        for row in read_rows(path):
            step = int(row["step"])
            for tag in row.keys() - {"step", "time"}:
                found.setdefault(tag, {})[step] = row[tag]
    return {tag: list(found[tag].items()) for tag in sorted(found)}


def _chosen(config: PlotConfig, curves: Curves) -> list[str]:
    """The tags that are drawn, in the order of the patterns."""
    patterns = scopes_of(config.tags)
    chosen = [tag for tag in curves if tag not in _RATES]
    if patterns:
        chosen = []
        for pattern in patterns:
            found = fnmatch.filter(curves, pattern)
            if not found:
                raise UsageError(f"--tags: no run has {pattern!r}{did_you_mean(pattern, curves)}")
            chosen += [tag for tag in found if tag not in chosen]
    if len(chosen) > _MOST_CHARTS:
        raise UsageError(
            f"there are {len(chosen)} kinds of values, more than the {_MOST_CHARTS} that fit on a "
            "page; choose some with --tags"
        )
    return chosen


def draw(path: str, curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> None:
    """Draws a chart for each tag.

    Args:
      path: The PNG file.
      curves: By tag and by run, pairs of step and value.
    """
    from matplotlib.figure import Figure

    count = len(curves)
    columns = min(_COLUMNS, math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    labels = list(dict.fromkeys(label for by_run in curves.values() for label in by_run))
    runs = list(dict.fromkeys(label.removesuffix(" (evaluation)") for label in labels))
    space = 0.25 * math.ceil(len(labels) / columns) if len(labels) > 1 else 0
    figure = Figure((_WIDTH * columns, _HEIGHT * rows + space), layout="constrained")
    charts = figure.subplots(rows, columns, squeeze=False).ravel()
    handles = {}
    for chart, (tag, by_run) in zip(charts, curves.items(), strict=False):
        for label, values in by_run.items():
            steps, numbers = zip(*values, strict=True)
            run_name = label.removesuffix(" (evaluation)")
            (handles[label],) = chart.plot(
                steps,
                numbers,
                color=f"C{runs.index(run_name) % 10}",
                linestyle="-" if label == run_name else "--",
                marker="." if len(values) < 50 else None,
                linewidth=1.3,
            )
        chart.set_title(printable(tag), fontsize=10)
        chart.set_xlabel("step", fontsize=8)
        chart.tick_params(labelsize=8)
        chart.grid(alpha=0.3)
    for chart in charts[count:]:
        chart.set_axis_off()
    if len(labels) > 1:
        texts = [printable(label).replace("$", r"\$") for label in labels]
        figure.legend(
            [handles[label] for label in labels],
            texts,
            loc="outside lower center",
            ncols=columns,
            fontsize=8,
        )
    with UnfinishedFile(path) as unfinished:
        figure.savefig(unfinished.path, dpi=120, format=format_of(path, "path", PICTURE)[1:])
