"""`jslim-predict`: the classes of image files by a checkpoint, as CSV or JSON lines."""

import csv
import logging
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TextIO

from jslim import prediction
from jslim.cli.flags import UsageError, flag
from jslim.cli.loading import LoadConfig, arguments_of
from jslim.cli.reports import TABLES
from jslim.cli.run import run
from jslim.core.errors import DataError
from jslim.core.text import json_line, printable, unique_names
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

    batch_size: int = flag(32, least=1)
    top: int = flag(1, least=1)
    output: str | None = flag(None, path=output_file)
    format: str | None = flag(None, choices=("csv", "jsonl"))
    skip_bad_records: int = flag(0, least=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts as the command line says; returns the exit code."""
    return run(predict, PredictConfig, argv)


def predict(config: PredictConfig) -> None:
    """Writes a line for each image file; one that cannot be read has a line that says so.

    Raises:
      UsageError: Nothing to predict is given, or flags that make no sense.
      RestoreError: There is no whole checkpoint.
      DataError: In the end: more files than `--skip_bad_records` could not be read.
    """
    if not config.arguments:
        raise UsageError("give image files or folders of them: jslim-predict [flags] PATH ...")
    as_json = _is_json(config)
    files = prediction.list_images(config.arguments)
    classifier = prediction.load(config.checkpoint_path, **arguments_of(config))
    logger.info(
        "%s, %d classes, from %s: %d images",
        classifier.contract["model_name"],
        len(classifier.class_names),
        classifier.path,
        len(files),
    )
    errors: dict[int, str] = {}
    results = _results(classifier, files, config.batch_size, config.top, errors)
    write = _write_json_lines if as_json else _write_csv
    if config.output is None:
        write(sys.stdout, results)
    else:
        pathlib.Path(config.output).parent.mkdir(parents=True, exist_ok=True)
        # Names that are no UTF-8 have escapes in place of their bytes.
        with open(
            config.output, "w", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file:
            write(file, results)
    if len(errors) > config.skip_bad_records:
        raise DataError(
            f"{len(errors)} of {len(files)} images could not be predicted, as their lines say; the "
            f"first: {next(iter(errors.values()))} (--skip_bad_records={len(errors)} makes this no "
            "error)"
        )


def _is_json(config: PredictConfig) -> bool:
    """What --format says, or what the name of the file ends in."""
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


class Result(NamedTuple):
    """What is written of one file: its best classes, or why there are none."""

    path: str
    best: list[tuple[str, float]]
    error: str = ""


def _results(
    classifier: prediction.Classifier,
    files: list[str],
    batch_size: int,
    top: int,
    errors: dict[int, str],
) -> Iterator[Result]:
    names = unique_names(classifier.class_names)
    number = 0
    for found in classifier.predict_batches(files, batch_size, errors=errors):
        for best in found._replace(all_class_names=names).top(top):
            error = errors.get(number, "")
            yield Result(files[number], [("", math.nan)] * len(best) if error else best, error)
            number += 1


def _write_csv(file: TextIO, results: Iterator[Result]) -> None:
    """The columns file, class_name, probability, class_name_2 and so on, and error."""
    writer = csv.writer(file, lineterminator="\n")
    shown = printable if file.isatty() else _encodable(file)
    for number, (path, best, error) in enumerate(results):
        if number == 0:
            ranks = ["", *(f"_{rank}" for rank in range(2, len(best) + 1))]
            names = [
                f"{column}{rank}" for rank in ranks for column in ("class_name", "probability")
            ]
            writer.writerow(["file", *names, "error"])
        cells = [
            cell
            for name, probability in best
            for cell in (name, "" if error else f"{probability:.6f}")
        ]
        writer.writerow(map(shown, [path, *cells, error]))


def _encodable(file: TextIO) -> Callable[[str], str]:
    """Makes escapes of what the encoding of a file lacks, such as a name that is no UTF-8."""
    encoding = file.encoding or "utf-8"
    return lambda text: text.encode(encoding, "backslashreplace").decode(encoding)


def _write_json_lines(file: TextIO, results: Iterator[Result]) -> None:
    """Objects with file, class_name, probability and, by class, the best probabilities."""
    for path, best, error in results:
        line = {
            "file": path,
            "class_name": best[0][0],
            "probability": round(best[0][1], 6),
            "probabilities": {name: round(probability, 6) for name, probability in best},
        }
        written = {"file": path, "error": error} if error else line
        file.write(json_line(written, file.encoding or "utf-8"))
