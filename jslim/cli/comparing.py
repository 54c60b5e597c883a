"""`jslim inspect A B`: how two checkpoints differ, of whatever formats they are."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jslim.checkpoints import CheckpointReader
from jslim.cli.listing import ListConfig, print_json, shape_text, table, terminal_width
from jslim.core.text import printable


class Difference(NamedTuple):
    """Two arrays of one name and shape.

    Attributes:
      name: Their name.
      largest: The largest absolute difference; NaN if only one of them has NaN in a place, or they
        are no numbers and differ.
      relative: That, by the largest absolute number of the first.
      num_different: How many numbers differ.
    """

    name: str
    largest: float
    relative: float
    num_different: int


def compare(config: ListConfig, first: CheckpointReader, second: CheckpointReader) -> None:
    """Prints the differences: names, shapes and types, and the numbers."""
    ours, theirs = first.get_variable_to_shape_map(), second.get_variable_to_shape_map()
    both = [name for name in ours if name in theirs]
    same_shape = [name for name in both if ours[name] == theirs[name]]
    arrays, others = first.get_tensors(same_shape), second.get_tensors(same_shape)
    found = [difference(name, arrays[name], others[name]) for name in same_shape]
    different = [one for one in found if one.num_different]
    # NaN first: it is no number that is small.
    different.sort(key=lambda one: -math.inf if math.isnan(one.largest) else -one.largest)
    kinds, their_kinds = (r.get_variable_to_dtype_map() for r in (first, second))
    about = {
        "first": first.path,
        "second": second.path,
        "only_in_first": [name for name in ours if name not in theirs],
        "only_in_second": [name for name in theirs if name not in ours],
        "shapes": {n: [ours[n], theirs[n]] for n in both if ours[n] != theirs[n]},
        "dtypes": {n: [kinds[n], their_kinds[n]] for n in both if kinds[n] != their_kinds[n]},
        "num_equal": len(found) - len(different),
        "different": [one._asdict() for one in different],
    }
    if config.json:
        print_json(about)
    else:
        print("\n".join(_lines(about)))


def difference(name: str, first: np.ndarray, second: np.ndarray) -> Difference:
    """Compares two arrays of one shape; NaN equals NaN.

    >>> difference("w", np.array([1.0, np.nan, 4.0]), np.array([1.0, np.nan, 3.0]))
    Difference(name='w', largest=1.0, relative=0.25, num_different=1)
    """
    if "O" in (first.dtype.kind, second.dtype.kind):  # texts
        count = int(np.sum(first != second))
        return Difference(name, math.nan if count else 0.0, math.nan if count else 0.0, count)
    wide = np.complex128 if "c" in (first.dtype.kind, second.dtype.kind) else np.float64
    a, b = first.astype(wide), second.astype(wide)
    is_equal = (a == b) | (np.isnan(a) & np.isnan(b))
    if is_equal.all():
        return Difference(name, 0.0, 0.0, 0)
    with np.errstate(invalid="ignore"):
        largest = float(np.max(np.where(is_equal, 0.0, np.abs(a - b))))
    size = float(np.max(np.abs(a), where=np.isfinite(a), initial=0.0))
    return Difference(name, largest, largest / size if size else math.inf, int(np.sum(~is_equal)))


def _lines(about: dict[str, Any]) -> Iterator[str]:
    yield printable(f"first:  {about['first']}")
    yield printable(f"second: {about['second']}")
    for which in ("first", "second"):
        if names := about[f"only_in_{which}"]:
            yield f"\nonly in the {which}: {len(names)}"
            yield from (printable(f"  {name}") for name in names)
    for what, show in (("shapes", shape_text), ("dtypes", str)):
        if pairs := about[what]:
            yield f"\nof other {what}: {len(pairs)}"
            for name, (a, b) in pairs.items():
                yield printable(f"  {show(a)} and {show(b)}: {name}")
    different = about["different"]
    if different:
        rows = [
            [f"{d['largest']:.4g}", f"{d['relative']:.2g}", f"{d['num_different']:,}", d["name"]]
            for d in different
        ]
        header = ["difference", "relative", "numbers", "name"]
        yield "\n" + table(header, rows, header[:3], terminal_width())
    counts = [f"{about['num_equal']} arrays are equal, {len(different)} differ"]
    for which in ("first", "second"):
        if names := about[f"only_in_{which}"]:
            counts.append(f"{len(names)} are only in the {which}")
    if about["shapes"]:
        counts.append(f"{len(about['shapes'])} have other shapes")
    yield "\n" + ", ".join(counts)
