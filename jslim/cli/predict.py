"""`jslim-predict`: the classes of image files by a checkpoint, as CSV or JSON lines."""

import logging
import pathlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jslim import prediction
from jslim.cli.flags import UsageError, flag
from jslim.cli.loading import LoadConfig, arguments_of, checkpoint_of
from jslim.cli.reports import TABLES, open_table, write_rows
from jslim.cli.run import run
from jslim.core import reprs
from jslim.core.errors import DataError
from jslim.core.text import unique_names
from jslim.host import display
from jslim.host.paths import format_of, output_file

logger = logging.getLogger("jslim")


@dataclass(frozen=True)
class PredictConfig(LoadConfig):
    """What is predicted.

    Attributes:
      batch_size: How many images are computed at once.
      top: How many classes are written for each image, best first.
      output: The file to write. Default: the standard output.
      format: Default: what --output ends in; csv on the standard output.
      skip_bad_records: How many files may be unreadable. Each has a row that says what is wrong,
        and the others are predicted; with more of them the exit code is 2 in the end.
    """

    takes_arguments: ClassVar[bool] = True
    usage: ClassVar[str] = "[flags] PATH ..."
    examples: ClassVar[tuple[str, ...]] = (
        "{program} --checkpoint_path=runs/photos --top=3 holiday.jpg more_photos/",
    )

    batch_size: int = flag(32, least=1)
    top: int = flag(1, least=1)
    output: str | None = flag(None, path=output_file)
    format: str | None = flag(None, choices=("csv", "jsonl"))
    skip_bad_records: int = flag(0, least=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts as the command line says; returns the exit code."""
    return run(predict, PredictConfig, argv)


def predict(config: PredictConfig) -> None:
    """Writes a line for each image file, also for one that cannot be read.

    Raises:
      UsageError: Nothing to predict is given, or flags that make no sense.
      RestoreError: There is no whole checkpoint.
      DataError: In the end: more files than `--skip_bad_records` could not be read.
    """
    if not config.arguments:
        raise UsageError("give image files or folders of them: jslim-predict [flags] PATH ...")
    as_json = _is_json(config)
    files = prediction.list_images(config.arguments)
    classifier = prediction.load(checkpoint_of(config), **arguments_of(config))
    logger.info(
        "%s, %d classes, from %s: %s",
        classifier.contract["model_name"],
        len(classifier.class_names),
        classifier.path,
        reprs.counted(len(files), "image"),
    )
    errors: dict[int, str] = {}
    with display.task("predicting", len(files), "images") as task:
        rows = _rows(config, classifier, files, errors, as_json, task)
        if config.output is None:
            write_rows(sys.stdout, rows, as_json)
        else:
            with open_table(config.output) as file:
                write_rows(file, rows, as_json)
    if len(errors) > config.skip_bad_records:
        raise DataError(
            f"{len(errors)} of {len(files)} images could not be predicted, as their lines say; the "
            f"first: {next(iter(errors.values()))} (--skip_bad_records={len(errors)} makes this no "
            "error)"
        )


def _is_json(config: PredictConfig) -> bool:
    """Whether to write JSON lines, by --format or by the end of the file's name."""
    if config.output is None:
        return bool(config.format == "jsonl")
    suffix = pathlib.PurePath(config.output).suffix.lower()
    if config.format is None:
        suffix = format_of(config.output, "--output without --format", TABLES)
    elif suffix in TABLES and suffix != f".{config.format}":
        raise UsageError(
            f"--format={config.format} contradicts --output={config.output}; drop --format, or "
            f"call the file .{config.format}"
        )
    return ".jsonl" in (suffix, f".{config.format}")


def _rows(
    config: PredictConfig,
    classifier: prediction.Classifier,
    files: list[str],
    errors: dict[int, str],
    as_json: bool,
    task: display.Task,
) -> Iterator[dict[str, object]]:
    """A row for each file: its best classes, or the error in reading it."""
    row_of = _as_object if as_json else _as_cells
    paths = enumerate(files)
    names = unique_names(classifier.class_names)
    for found in classifier.predict_batches(files, config.batch_size, errors=errors):
        for best, (number, path) in zip(
            found._replace(all_class_names=names).top(config.top), paths, strict=False
        ):
            yield row_of(path, best, errors.get(number, ""))
            task.advance()


def _as_cells(path: str, best: list[tuple[str, float]], error: str) -> dict[str, object]:
    """The columns file, class_name, probability, class_name_2 and so on, and error."""
    cells: dict[str, object] = {"file": path}
    for rank, (name, probability) in enumerate(best, 1):
        suffix = f"_{rank}" if rank > 1 else ""
        cells[f"class_name{suffix}"] = "" if error else name
        cells[f"probability{suffix}"] = "" if error else f"{probability:.6f}"
    return {**cells, "error": error}


def _as_object(path: str, best: list[tuple[str, float]], error: str) -> dict[str, object]:
    """The keys file, class_name, probability and, by class, the best probabilities; or error."""
    if error:
        return {"file": path, "error": error}
    probabilities = {name: round(probability, 6) for name, probability in best}
    class_name, probability = next(iter(probabilities.items()))
    return {
        "file": path,
        "class_name": class_name,
        "probability": probability,
        "probabilities": probabilities,
    }
