"""How a command line program of jslim starts and how it fails."""

import io
import logging
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from absl import flags

from jslim.cli import flagfiles, helping, pipes
from jslim.cli.commands import summary_of
from jslim.cli.flags import DROPPED, C, UsageError, config_of, flag_values
from jslim.core.text import printable
from jslim.host.terminals import wrapped

# Faults of the input, which their messages explain; other errors keep their traceback.
_USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError, ImportError)


def run(
    program: Callable[[C], None],
    kind: type[C],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the flags, sets up logging, compilation cache and memory, and runs `program`.

    Args:
      program: Is called with the config.
      kind: The class of the config, which declares the flags.
      argv: The command line with the program's name first; default `sys.argv`.

    Returns:
      The exit code: 0; 2 if the input was at fault, after one sentence on stderr (or a traceback,
      with JSLIM_TRACEBACK=1 in the environment); 130 after Ctrl-C; 141 if the reader of the output
      has gone.
    """
    words = list(sys.argv if argv is None else argv)
    return pipes.until_cut(lambda: _run(program, kind, words))


def _run(program: Callable[[C], None], kind: type[C], argv: Sequence[str]) -> int:
    print_whatever_the_encoding()
    try:
        config = _parsed(kind, argv)
        is_help = bool(config.help or config.helpfull)
        if not is_help:
            config = config.completed(lambda words: _parsed(kind, [argv[0], *words, *argv[1:]]))
    except flags.UnrecognizedFlagError as error:
        name = str(error.flagname)
        advice = f"--{name} is TF-Slim's, but not jslim's: {DROPPED.get(name)}"
        return _fail(argv, advice if name in DROPPED else str(error))
    except (flags.Error, ValueError) as error:
        return _fail(argv, str(error))
    if is_help:
        has_all = config.helpfull or config.help == "all"
        name = pathlib.Path(argv[0]).name
        print(helping.help_of(kind, name, summary_of(kind), has_all=has_all))
        return 0
    _log_to_stderr()
    if not kind.uses_jax:
        return _run_program(program, config, argv)
    from jslim.cli import computing, distributed  # which import JAX

    name = pathlib.Path(argv[0]).name
    code = _run_program(lambda config: computing.run(program, config, name), config, argv)
    distributed.leave(code)
    return code


def _parsed(kind: type[C], argv: Sequence[str]) -> C:
    """The config of a command line."""
    values = flag_values(kind)
    _, *rest = flagfiles.parse(values, argv)
    _check_integers(values)
    if rest and not kind.takes_arguments:
        raise UsageError(f"unexpected argument {rest[0]!r}; flags start with --")
    return config_of(kind, values, rest)


def _run_program(program: Callable[[C], None], config: C, argv: Sequence[str]) -> int:
    try:
        program(config)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # training has saved its step and logged that
    except _USER_ERRORS as error:
        if isinstance(error, BrokenPipeError) and pipes.is_cut():
            return pipes.EXIT_CODE
        if os.environ.get("JSLIM_TRACEBACK"):
            raise
        return _fail(argv, str(error))
    return 0


def print_whatever_the_encoding() -> None:
    """Has letters that the terminal lacks, in names of classes and files, printed as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _check_integers(values: flags.FlagValues) -> None:
    for name in values:
        value = values[name].value
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            raise UsageError(f"--{name} must be a number of 64 bits, got {value}")


def _fail(argv: Sequence[str], message: str) -> int:
    sentence = printable(f"{pathlib.Path(argv[0]).name}: {message}", keep="\n\t")
    print(wrapped(sentence, sys.stderr), file=sys.stderr)
    return 2


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the `sys.stderr` of the moment, which may have been replaced."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _PrintableFormatter(logging.Formatter):
    """Escapes all that a terminal would take for a command, and breaks lines between words."""

    def format(self, record: logging.LogRecord) -> str:
        return wrapped(printable(super().format(record), keep="\n\t"), sys.stderr)


def _log_to_stderr() -> None:
    logger = logging.getLogger("jslim")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = _StderrHandler()
        handler.setFormatter(_PrintableFormatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
