"""`jslim-predict`: the classes of image files by a checkpoint, as CSV or JSON lines."""

import csv
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from jslim import prediction
from jslim.cli import flags
from jslim.cli.run import UsageError, run

logger = logging.getLogger("jslim")


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts as the command line says; returns the exit code."""
    return run(predict, flags.predict_flags(), argv, takes_arguments=True)


def predict(values: Any, paths: Sequence[str]) -> None:
    """Writes a line for each image file.

    Raises:
      UsageError: Nothing to predict is given, or flags that make no sense.
      RestoreError: There is no whole checkpoint.
      DataError: A file cannot be read.
    """
    if not paths:
        raise UsageError("give image files or folders of them: jslim-predict [flags] PATH ...")
    files = prediction.list_images(paths)
    classifier = prediction.load(
        values.checkpoint_path,
        use_moving_averages=values.use_moving_averages,
        **flags.contract_of(values),
    )
    logger.info(
        "%s, %d classes, from %s: %d images",
        classifier.contract["model_name"],
        len(classifier.class_names),
        classifier.path,
        len(files),
    )
    results = _results(classifier, files, values.batch_size, values.top)
    as_json = values.format == "jsonl" or (
        values.format is None and str(values.output).endswith((".jsonl", ".json"))
    )
    write = _write_json_lines if as_json else _write_csv
    if values.output is None:
        write(sys.stdout, results)
        return
    with open(values.output, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        write(file, results)


Result = tuple[str, list[tuple[str, float]]]


def _results(
    classifier: prediction.Classifier, files: list[str], batch_size: int, top: int
) -> Iterator[Result]:
    batches = classifier.predict_batches(files, batch_size)
    return zip(files, (best for found in batches for best in found.top(top)), strict=True)


def _write_csv(file: TextIO, results: Iterator[Result]) -> None:
    """The columns file, class_name, probability, and class_name_2, probability_2 for the next."""
    writer = csv.writer(file, lineterminator="\n")
    for number, (path, best) in enumerate(results):
        if number == 0:
            ranks = ["", *(f"_{rank}" for rank in range(2, len(best) + 1))]
            names = [
                f"{column}{rank}" for rank in ranks for column in ("class_name", "probability")
            ]
            writer.writerow(["file", *names])
        cells = [cell for name, probability in best for cell in (name, f"{probability:.6f}")]
        writer.writerow([path, *cells])


def _write_json_lines(file: TextIO, results: Iterator[Result]) -> None:
    """Objects with file, class_name, probability and, by class, the best probabilities."""
    for path, best in results:
        line = {
            "file": path,
            "class_name": best[0][0],
            "probability": round(best[0][1], 6),
            "probabilities": {name: round(probability, 6) for name, probability in best},
        }
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
