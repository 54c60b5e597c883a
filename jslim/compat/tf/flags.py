"""`tf.app.flags` and `tf.flags`: flags of a program, by absl, apart from those of jslim.

They are read from the command line when one is first asked for; words that are no flags of the
program are left alone.
"""

import sys
from collections.abc import Callable
from typing import Any

from absl import flags as _absl

_held = _absl.FlagValues()


class _Flags:
    """The values of the flags that a program defined: `FLAGS.learning_rate`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not _held.is_parsed():
            _held(sys.argv or ["program"], known_only=True)
        return getattr(_held, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not _held.is_parsed():
            _held(sys.argv or ["program"], known_only=True)
        setattr(_held, name, value)

    def __contains__(self, name: str) -> bool:
        return name in _held


FLAGS = _Flags()
_Default = Any


def _definer(define: Callable[..., Any], kind: str) -> Callable[..., None]:
    def defined(flag_name: str, default_value: _Default, docstring: str = "") -> None:
        if flag_name in _held:
            held = _held[flag_name]
            if (held.default, held.help) == (default_value, docstring):
                return  # by a module that is imported under two names
        define(flag_name, default_value, docstring, flag_values=_held)
        if _held.is_parsed():  # one that comes later has its value from the command line too
            _held(sys.argv or ["program"], known_only=True)

    defined.__name__ = defined.__qualname__ = f"DEFINE_{kind}"
    defined.__doc__ = f"Defines a flag of the kind {kind}."
    return defined


DEFINE_string = _definer(_absl.DEFINE_string, "string")
DEFINE_integer = _definer(_absl.DEFINE_integer, "integer")
DEFINE_float = _definer(_absl.DEFINE_float, "float")
DEFINE_bool = _definer(_absl.DEFINE_boolean, "bool")
DEFINE_boolean = _definer(_absl.DEFINE_boolean, "boolean")
DEFINE_list = _definer(_absl.DEFINE_list, "list")


def DEFINE_enum(name: str, default: str | None, enum_values: list[str], help: str = "") -> None:
    """Defines a flag with a few values."""
    _absl.DEFINE_enum(name, default, enum_values, help, flag_values=_held)


def mark_flag_as_required(flag_name: str) -> None:
    """Refuses a command line without this flag."""
    _absl.mark_flag_as_required(flag_name, flag_values=_held)


def parsed(argv: list[str]) -> list[str]:
    """Reads the flags of a command line; gives the words that are none, and unknown flags.

    As in TensorFlow 1: a program may read some flags by argparse.
    """
    return list(_held(argv, known_only=True))
