"""How a command line program of jslim starts and how it fails."""

import contextlib
import io
import logging
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

import jax
from absl import flags

from jslim.cli import distributed, flagfiles, helping, pipes
from jslim.cli.commands import summary_of
from jslim.cli.flags import DROPPED, C, Config, UsageError, config_of, flag_values
from jslim.core.text import printable
from jslim.data import BadRecordError, OtherDataError
from jslim.host.paths import output_directory
from jslim.learning import keep_freed_memory

# Faults of the input, which their messages explain; other errors keep their traceback.
_USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError, ImportError)

# Far more than cores; JAX takes 1 s to start with 1,000 devices and 17 s with 10,000.
_MOST_CPU_DEVICES = 1000


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
        cache = getattr(config, "compilation_cache_dir", None)
        if cache and "compilation_cache_dir" in config.given:
            cache = output_directory(cache, "--compilation_cache_dir")
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
    if cache:
        jax.config.update("jax_compilation_cache_dir", os.path.expanduser(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    _divide_cpu(getattr(config, "num_clones", 1))
    keep_freed_memory()
    code = _run_program(program, config, argv)
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
        with distributed.joined(config, pathlib.Path(argv[0]).name):
            program(config)
    except (RuntimeError, AssertionError):
        if (message := _missing_platform()) is None:
            raise
        return _fail(argv, message)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # training has saved its step and logged that
    except _USER_ERRORS as error:
        if isinstance(error, BrokenPipeError) and pipes.is_cut():
            return pipes.EXIT_CODE
        if os.environ.get("JSLIM_TRACEBACK"):
            raise
        return _fail(argv, _in_flags(error, config))
    return 0


def _in_flags(error: Exception, config: Config) -> str:
    """The text of an error, with flags in place of what the library has."""
    text = str(error)
    if isinstance(error, BadRecordError):
        text = text.replace("skip_bad_records=", "--skip_bad_records=")
    if isinstance(error, OtherDataError) and hasattr(config, "data_changed"):
        text += "; if images were added or removed on purpose, go on with --data_changed"
    return text


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


def _missing_platform() -> str | None:
    """Why JAX cannot start on the platform that the environment names; None if it can."""
    platforms = os.environ.get("JAX_PLATFORMS")
    try:
        if platforms:
            jax.devices()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0] or "it has no plugin for it, or finds no device"
        return (
            f"JAX_PLATFORMS={platforms} in the environment, where JAX cannot start: {reason}; "
            "install JAX for that platform, or leave the variable out"
        )
    return None


def _fail(argv: Sequence[str], message: str) -> int:
    print(printable(f"{pathlib.Path(argv[0]).name}: {message}", keep="\n\t"), file=sys.stderr)
    return 2


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the `sys.stderr` of the moment, which may have been replaced."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _PrintableFormatter(logging.Formatter):
    """Escapes all that a terminal would take for a command."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def _log_to_stderr() -> None:
    logger = logging.getLogger("jslim")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = _StderrHandler()
        handler.setFormatter(_PrintableFormatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


def _divide_cpu(count: int) -> None:
    """Makes a CPU as many devices as `--num_clones` says, unless the environment says how many."""
    is_given = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    num_devices = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined,unused-ignore]
    if is_given or num_devices >= 0:
        return
    if 1 < count <= _MOST_CPU_DEVICES:
        # If JAX has started already, `data_mesh` says how many devices there are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)
