"""`jslim port`: programs for TensorFlow 1 and TF-Slim, rewritten for jslim."""

import collections
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jslim.cli.flags import UsageError, flag
from jslim.cli.listing import ListConfig, print_json, table, terminal_width
from jslim.cli.run import run
from jslim.core.text import printable
from jslim.host.packages import needed
from jslim.host.paths import local_path

if TYPE_CHECKING:
    from jslim.compat.port.files import PortedFile


@dataclass(frozen=True)
class PortConfig(ListConfig):
    """Programs.

    Above a statement that a person has to decide about, such as one of a session, a line # PORT:
    says how jslim does it. A table shows each name of TensorFlow, and what became of it.

    Attributes:
      output: A folder for the new files, or a file for one. Files that are there already are an
        error.
      in_place: Whether the files themselves are changed.
      check: Whether nothing is written; the exit code is 1 if something would change.
    """

    takes_arguments: ClassVar[bool] = True
    uses_jax: ClassVar[bool] = False
    usage: ClassVar[str] = "[flags] FILE|FOLDER ..."
    examples: ClassVar[tuple[str, ...]] = (
        "{program} old_net.py --output=net.py",
        "{program} old_project --output=new_project",
        "{program} old_project --check",
    )

    output: str | None = flag(None, path=local_path)
    in_place: bool = False
    check: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Converts as the command line says; returns the exit code, 1 if --check finds a change."""
    would_change = False

    def program(config: PortConfig) -> None:
        nonlocal would_change
        would_change = port(config)

    return run(program, PortConfig, argv) or int(would_change)


def port(config: PortConfig) -> bool:
    """Converts files, and prints what was found in them.

    Returns:
      Whether there is something that would change, with --check.

    Raises:
      UsageError: It is not said where the new files go, or some are there already.
      FileNotFoundError: There is no such file.
      ValueError: A file is none of Python, or in Python 2's syntax; the others are written.
      ImportError: libcst is not installed.
    """
    if not config.arguments:
        raise UsageError("give files or folders: jslim port [flags] FILE|FOLDER ...")
    if sum((config.output is not None, config.in_place, config.check)) != 1:
        raise UsageError("give one of --output=PATH, --in_place and --check")
    with needed("libcst", "jslim port", "'jslim[port]'"):
        from jslim.compat.port import files
    pairs = files.pairs_of(config.arguments, config.output)
    there = next((str(out) for _, _, out in pairs if config.output and out.exists()), None)
    if there is not None:
        raise UsageError(f"{there} is there already; remove it, or give another --output")
    done = [files.port_file(*pair) for pair in pairs]
    if not config.check:
        for file in done:
            if file.ported and (file.is_changed or config.output):
                files.write(file)
    if config.json:
        print_json([_as_json(file) for file in done])
    else:
        print("\n\n".join([*map(_about, done), _summary(config, done)]))
    refused = [file.refusal for file in done if file.refusal]
    if refused:
        raise ValueError("\n".join(refused))
    return config.check and any(file.is_changed for file in done)


def _about(file: "PortedFile") -> str:
    """The table of a file."""
    from jslim.compat.port import rows_of

    rows = [
        [row.name, row.outcome.value, _numbers(row.lines), row.what]
        for row in rows_of(file.findings)
    ]
    path = printable(str(file.path))
    if not rows:
        what = "refused" if file.refusal else "nothing of TensorFlow"
        return f"{path}: {what}"
    return f"{path}\n{table(['name', '', 'lines', 'how'], rows, width=terminal_width())}"


def _numbers(lines: Sequence[int], most: int = 8) -> str:
    shown = ", ".join(map(str, lines[:most]))
    return shown if len(lines) <= most else f"{shown} and {len(lines) - most} more"


def _summary(config: PortConfig, done: Sequence["PortedFile"]) -> str:
    from jslim.compat.port import Outcome

    counts = collections.Counter(f.outcome for file in done for f in file.findings)
    names = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)
    changed = sum(file.is_changed for file in done)
    files = f"{changed} of {len(done)} files {'would change' if config.check else 'changed'}"
    return f"{sum(counts.values())} places: {names}. {files}."


def _as_json(file: "PortedFile") -> dict[str, object]:
    from jslim.compat.port import rows_of

    return {
        "path": str(file.path),
        "output": str(file.output),
        "is_changed": file.is_changed,
        "refusal": file.refusal,
        "names": [
            {**row._asdict(), "outcome": row.outcome.name.lower()} for row in rows_of(file.findings)
        ],
    }
