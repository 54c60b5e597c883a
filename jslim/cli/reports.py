"""Reports of `eval.py` beside its metrics: classes, the confusion matrix, predictions."""

import contextlib
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

import jax.numpy as jnp
import numpy as np

from jslim import metrics
from jslim.core.text import json_line, printable, unique_names
from jslim.host.files import UnfinishedFile
from jslim.host.paths import as_path, format_of, is_remote

if TYPE_CHECKING:
    from PIL import Image

_TITLE = 24  # pixels of the title of an axis
PICTURE = {".png": "a picture"}
TABLES = {".csv": "a table", ".jsonl": "JSON lines"}


def _shown(class_names: Sequence[str]) -> list[str]:
    """The names for printing: all different, with escapes for what moves the cursor."""
    return unique_names([*map(printable, class_names)])


def per_class_table(matrix: np.ndarray, class_names: list[str]) -> str:
    """Precision, recall, F1 and number of images of every class, and the means.

    Args:
      matrix: The confusion matrix, `[label, prediction]`.
      class_names: The names of its rows.
    """
    class_names = _shown(class_names)
    scores = [np.asarray(column, np.float64) for column in metrics.scores_of(jnp.asarray(matrix))]
    width = max(len("class"), len("mean"), *map(len, class_names))
    lines = [f"{'class':{width}}  precision  recall      F1  images"]
    rows = [*zip(class_names, *scores, strict=True)]
    means = [float(column.mean()) for column in scores[:3]]
    rows.append(("mean", *means, float(scores[3].sum())))
    for name, precision, recall, f1, count in rows:
        lines.append(f"{name:{width}}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {count:6.0f}")
    return "\n".join(lines)


def matrix_table(matrix: np.ndarray, class_names: list[str]) -> str:
    """The confusion matrix as text: a row for each label, a column for each prediction.

    >>> print(matrix_table(np.array([[5, 1], [0, 7]]), ["cat", "dog"]))
           0  1
    0 cat  5  1
    1 dog  0  7
    """
    class_names = _shown(class_names)
    cells = [[f"{value:.0f}" for value in row] for row in np.asarray(matrix)]
    numbers = [str(index) for index in range(len(class_names))]
    width = max(len(cell) for row in [*cells, numbers] for cell in row)
    names = [f"{number} {name}" for number, name in zip(numbers, class_names, strict=True)]
    margin = max(map(len, names))
    lines = [" " * margin + "".join(f"  {number:>{width}}" for number in numbers)]
    for name, row in zip(names, cells, strict=True):
        lines.append(f"{name:{margin}}" + "".join(f"  {cell:>{width}}" for cell in row))
    return "\n".join(lines)


def worst_pairs(matrix: np.ndarray, class_names: Sequence[str], most: int = 5) -> list[str]:
    """The classes that are most often taken for another one, in words, the worst first.

    Args:
      matrix: `[label, prediction]`.
      class_names: The names of its rows.
      most: How many pairs.

    >>> worst_pairs(np.array([[5, 1], [0, 7]]), ["cat", "dog"])
    ['cat taken for dog: 1 of 6 (17%)']
    """
    names = _shown(class_names)
    wrong = np.asarray(matrix, np.float64) * (1 - np.eye(len(names)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    totals = np.asarray(matrix).sum(1)
    pairs = [divmod(int(index), len(names)) for index in order]
    return [
        f"{names[i]} taken for {names[j]}: {wrong[i, j]:.0f} of {totals[i]:.0f} "
        f"({wrong[i, j] / totals[i]:.0%})"
        for i, j in pairs
        if wrong[i, j]
    ]


def save_matrix_image(path: str, matrix: np.ndarray, class_names: list[str]) -> None:
    """Draws the confusion matrix: rows are labels, columns predictions, dark is a large share.

    Args:
      path: The PNG file.
      matrix: `[label, prediction]`.
      class_names: The names of its rows.
    """
    from PIL import Image, ImageDraw

    class_names = _shown(class_names)
    count = len(class_names)
    cell = max(4, min(48, 960 // count))
    font_size = max(8, min(14, cell // 3))
    has_names = cell >= font_size
    margin = 8 + (max(map(len, class_names)) * font_size * 2 // 3 if has_names else 0)
    totals = matrix.sum(1, keepdims=True)
    shares = matrix / np.where(totals == 0, 1, totals)
    side = margin + count * cell + 8
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for i in range(count):
        for j in range(count):
            left, top = margin + j * cell, margin + i * cell
            dark = float(shares[i, j])
            fill = (int(255 - 225 * dark), int(255 - 180 * dark), int(255 - 105 * dark))
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), fill, (220, 220, 220))
            if cell >= 24 and matrix[i, j]:
                ink = "white" if dark > 0.5 else "black"
                centre = (left + cell // 2, top + cell // 2)
                draw.text(centre, f"{matrix[i, j]:.0f}", ink, anchor="mm", font_size=font_size)
        if has_names:
            middle = margin + i * cell + cell // 2
            name = class_names[i]
            draw.text((margin - 4, middle), name, "black", anchor="rm", font_size=font_size)
            upright = Image.new("RGB", (margin, font_size * 3 // 2), "white")
            ImageDraw.Draw(upright).text((4, 0), name, "black", font_size=font_size)
            turned = upright.rotate(90, expand=True)
            image.paste(turned, (middle - turned.width // 2, margin - turned.height))
    with UnfinishedFile(path) as unfinished:
        _with_titles(image, margin).save(unfinished.path, "PNG")


def _with_titles(image: "Image.Image", margin: int) -> "Image.Image":
    """The picture of a matrix with titles of its axes, above and at the left."""
    from PIL import Image, ImageDraw

    whole = Image.new("RGB", (image.width + _TITLE, image.height + _TITLE), "white")
    middle = (margin + image.width) // 2
    title = Image.new("RGB", (image.height, _TITLE), "white")
    for drawn, text, x in ((whole, "prediction", _TITLE + middle), (title, "label", None)):
        centre = (image.height - (margin + image.height) // 2 if x is None else x, _TITLE // 2)
        ImageDraw.Draw(drawn).text(centre, text, "black", anchor="mm", font_size=14)
    whole.paste(title.rotate(90, expand=True), (0, _TITLE))
    whole.paste(image, (_TITLE, _TITLE))
    return whole


def write_predictions(
    path: str,
    record_keys: Sequence[str],
    class_names: Sequence[str],
    logits: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Writes a line for each example: as JSON lines, or as CSV.

    Args:
      path: The file, .jsonl or .csv.
      record_keys: The name of each example.
      class_names: The names of the classes; equal ones get their labels added.
      logits: `[examples, classes]`.
      labels: The right classes, `[examples]`.
    """
    class_names = unique_names(class_names)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)

    def rows() -> Iterator[dict[str, object]]:
        for key, row, label in zip(record_keys, probabilities, labels, strict=True):
            best = int(row.argmax())
            yield {
                "record": key,
                "label": class_names[int(label)],
                "prediction": class_names[best],
                "is_right": bool(best == label),
                "probability": round(float(row[best]), 6),
                "probability_of_label": round(float(row[int(label)]), 6),
            }

    with open_table(path) as file:
        as_json = format_of(path, "--predictions_file", TABLES) == ".jsonl"
        write_rows(file, rows(), as_json)


@contextlib.contextmanager
def open_table(path: str) -> Iterator[TextIO]:
    """Opens a text file for `write_rows`, in a folder that is made if it is missing.

    One on this machine grows; one in an object store is there when the body has ended.
    """
    with contextlib.ExitStack() as stack:
        place = as_path(path, "the table")
        if is_remote(path):
            place = stack.enter_context(UnfinishedFile(path)).path
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
        # Names that are not UTF-8 have escapes in place of their bytes.
        with place.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            yield file


def write_rows(file: TextIO, rows: Iterable[Mapping[str, object]], as_json: bool) -> None:
    """Writes rows as JSON lines or as CSV; escapes stand for letters that the file cannot hold."""
    encoding, is_seen = file.encoding or "utf-8", file.isatty()
    if as_json:
        file.writelines(json_line(row, encoding) for row in rows)
        return
    writer = csv.writer(file, lineterminator="\n")

    def cell(value: object) -> str:
        text = str(int(value) if isinstance(value, bool) else value)
        if is_seen:
            return printable(text)
        return text.encode(encoding, "backslashreplace").decode(encoding)

    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow(map(cell, row.values()))
