"""What differs between two sets of leaves, in a few lines however many there are."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jslim.core.text import some_of

MAX_LINES = 10


class Difference(NamedTuple):
    """One leaf or variable that is not as it should be."""

    name: str
    kind: str  # what it has in common with others, such as "not in the checkpoint"
    line: Callable[[], str]  # all that is to say of it; hints take time where there are many


def lines_of(differences: Sequence[Difference]) -> list[str]:
    """A line for each; of many, one for those of a kind that lie in the same scope."""
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
    """By the first `depth` parts of the name, and by kind."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        scope = "/".join(difference.name.split("/")[:-1][:depth])
        groups.setdefault((scope, difference.kind), []).append(difference)
    return groups


class RestoreReport(NamedTuple):
    """What became of the variables that were to be read from a checkpoint.

    Attributes:
        path: the checkpoint.
        loaded: the model's variables that it has values for.
        missing: the names that it does not have.
        unused: the names in it that nothing was read from.
        mismatched: for each variable that has another shape or dtype in it, or is not one of the
            model, a line that says so.
    """

    path: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: dict[str, str]

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
