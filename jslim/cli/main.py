"""`jslim COMMAND`, also as `python -m jslim COMMAND`."""

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Sequence

from jslim.cli import pipes
from jslim.cli.commands import COMMANDS
from jslim.core.errors import did_you_mean

_HELP = ("help", "-h", "--help", "-help", "--helpfull", "--help=all")
_VERSION = ("--version", "-version", "version")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code, which is 2 if there is no such command.

    Args:
      argv: The command line with the program's name first; default `sys.argv`.
    """
    _, *words = sys.argv if argv is None else argv
    return pipes.until_cut(lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    if not words or (words[0] in _HELP and len(words) == 1):
        print(_page())
        return 0 if words else 2
    name, *rest = words
    if name in _HELP:  # `jslim help train`
        name, rest = words[1], ["--help"]
    if name in _VERSION:
        version = importlib.metadata.version
        jaxes = f"jax {version('jax')}, Python {platform.python_version()}"
        print(f"jslim {version('jslim')} ({jaxes})")
        return 0
    if name not in COMMANDS:
        what = f"there is no command {name!r}; give one of {', '.join(COMMANDS)}"
        if name.startswith("-"):
            what = f"the command comes first: jslim COMMAND {name}"
        print(f"jslim: {what}{did_you_mean(name, COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"jslim.cli.{COMMANDS[name].module}")
    code: int = module.main([f"jslim {name}", *rest])
    return code


def _page() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {row.summary}" for name, row in COMMANDS.items()]
    return "\n".join(
        [
            "usage: jslim COMMAND [flags]",
            "",
            *rows,
            "",
            "jslim COMMAND --help shows its flags, jslim --version the versions.",
        ]
    )
