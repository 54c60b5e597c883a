"""Differences between two sets of arrays, told in a few lines however many there are."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from jslim.core.errors import did_you_mean
from jslim.core.text import some_of

MAX_LINES = 10


class Difference(NamedTuple):
    """An array or variable that is not as expected.

    Attributes:
      name: Its name.
      kind: What it shares with others, such as "not in the checkpoint".
      text: The whole message.
      candidates: Names that may be meant; the nearest are looked for when the line is shown.
    """

    name: str
    kind: str
    text: str
    candidates: Collection[str] = ()

    def line(self) -> str:
        return self.text + did_you_mean(self.name, self.candidates)


def lines_of(differences: Sequence[Difference]) -> list[str]:
    """A line for each difference; above `MAX_LINES`, one for each kind within a scope."""
    if len(differences) <= MAX_LINES:
        return [difference.line() for difference in differences]
    depth = max(difference.name.count("/") for difference in differences)
    while len(groups := _grouped(differences, depth)) > MAX_LINES and depth:
        depth -= 1
    lines = []
    for (scope, kind), members in groups.items():
        if len(members) == 1:
            lines.append(members[0].line())
            continue
        names = [member.name.removeprefix(scope).lstrip("/") for member in members]
        where = f"{scope}/: " if scope else ""
        lines.append(f"{where}{len(members)} {kind}: {some_of(names, 3)}")
    return lines


def _grouped(
    differences: Sequence[Difference], depth: int
) -> dict[tuple[str, str], list[Difference]]:
    """Groups by the first `depth` parts of the name, and by kind."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        scope = "/".join(difference.name.split("/")[:-1][:depth])
        groups.setdefault((scope, difference.kind), []).append(difference)
    return groups


class RestoreReport(NamedTuple):
    """The outcome of reading a model's variables from a checkpoint.

    Attributes:
      path: The checkpoint.
      loaded: Variables of the model that were read.
      missing: Names that the checkpoint lacks.
      unused: Names in the checkpoint that were not read.
      mismatched: For each variable that the model lacks, or has with another shape or dtype, a
        line that says so.
    """

    path: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: dict[str, str]

    def __repr__(self) -> str:
        return f"<RestoreReport: {self}>"

    def __str__(self) -> str:
        """One line with the four counts, and the first names of each."""

        def some(names: tuple[str, ...]) -> str:
            rest = ", ..." if len(names) > 3 else ""
            return f" ({', '.join(names[:3])}{rest})" if names else ""

        return (
            f"checkpoint {self.path}: {len(self.loaded)} loaded, "
            f"{len(self.missing)} missing{some(self.missing)}, "
            f"{len(self.mismatched)} mismatched, {len(self.unused)} unused{some(self.unused)}"
        )
