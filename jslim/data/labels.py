"""The names of classes in text files."""

import re
from collections.abc import Iterable

from jslim.core.errors import DataError
from jslim.core.text import is_one_line
from jslim.data._errors import reading
from jslim.host.files import read_regular, write_text
from jslim.host.limits import CLASSES, TEXT_BYTES
from jslim.host.paths import Path, as_path, path_string

LABELS_FILENAME = "labels.txt"


def read_label_file(path: Path) -> dict[int, str]:
    """The names of the classes by label, of a file with a line `LABEL:NAME` for each class.

    Raises:
      DataError: A line is something else, or a label comes twice; the file cannot be read, or is
        not in UTF-8.
    """
    where = path_string(path, "the path of the labels")
    names: dict[int, str] = {}
    for number, line in enumerate(_lines(where), 1):
        if not line.strip():
            continue
        text, colon, name = line.partition(":")
        is_label = colon and re.fullmatch(r"[0-9]{1,18}", text.strip())
        label = int(text) if is_label else -1
        if label < 0 or label in names:
            raise DataError(
                f"line {number} of {where!r} must be LABEL:NAME with a label of its own, got "
                f"{line[:80]!r}"
            )
        names[label] = name.strip()
    if len(names) > CLASSES():
        raise DataError(CLASSES.exceeded(f"{where!r} names {len(names)} classes"))
    return names


def read_class_names(path: Path) -> list[str]:
    """The names of the classes, of a file with a name in each line, or `LABEL:NAME` from 0 on.

    Raises:
      DataError: It has no name; it cannot be read, or is not in UTF-8.
    """
    where = path_string(path, "the path of the labels")
    lines = [line.strip() for line in _lines(where) if line.strip()]
    if not lines:
        raise DataError(f"{where!r} names no class; give a file with a name in each line")
    if len(lines) > CLASSES():
        raise DataError(CLASSES.exceeded(f"{where!r} names {len(lines)} classes"))
    numbered = [line.partition(":") for line in lines]
    if [number.strip() for number, _, _ in numbered] == [str(i) for i in range(len(lines))]:
        return [name.strip() for _, _, name in numbered]
    return lines


def write_label_file(
    labels_to_names: dict[int, str], dataset_dir: Path, filename: str = LABELS_FILENAME
) -> None:
    """Writes a file for `read_label_file`, in TF-Slim's format.

    Args:
      labels_to_names: The names of the classes by label.
      dataset_dir: The directory of the file; it is made.
      filename: The name of the file.

    Raises:
      DataError: A name has an end of line in it.
    """
    path = as_path(dataset_dir, "write_label_file: dataset_dir") / filename
    check_label_names(labels_to_names.values(), str(path))
    write_text(path, "".join(f"{n}:{name}\n" for n, name in labels_to_names.items()))


def check_label_names(names: Iterable[str], where: str) -> None:
    """Refuses names that cannot stand in a file with one name in each line.

    Args:
      names: The names.
      where: The file, for errors.

    Raises:
      DataError: A name has an end of line in it.
    """
    for name in names:
        if not is_one_line(name):
            raise DataError(f"{where!r} cannot hold the class {name!r}, which is two lines")


def _lines(where: str) -> list[str]:
    with reading(repr(where)):
        content = read_regular(where, TEXT_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where!r} is not in UTF-8 ({error.reason} at byte {error.start}); convert it"
        ) from None
    if (count := text.count("\n")) > CLASSES():
        raise DataError(CLASSES.exceeded(f"{where!r} has {count} lines"))
    lines = text.replace("\r\n", "\n").split("\n")
    if len(f"{text}.".splitlines()) == len(lines):
        return lines
    for number, line in enumerate(lines, 1):
        if not is_one_line(line):  # other programs would count other lines from here
            raise DataError(
                f"line {number} of {where!r} must be LABEL:NAME or a name, without other signs "
                f"that end a line, got {line[:80]!r}"
            )
    return lines
