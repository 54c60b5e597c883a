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

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """As TensorFlow held the values before 1.5: `FLAGS.__dict__['__flags']`."""
        return {"__flags": self.__getattr__("__flags")}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__flags":
            raise AttributeError(name)
        self._parse_flags()
        return _held.flag_values_dict() if name == "__flags" else getattr(_held, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._parse_flags()
        setattr(_held, name, value)

    def __call__(self, argv: list[str], known_only: bool = False) -> list[str]:
        """Reads the flags of a command line."""
        return list(_held(argv, known_only=known_only))

    def _parse_flags(self, args: list[str] | None = None) -> None:
        """Reads the flags where they were not read, under its name before TensorFlow 1.5."""
        if args is not None:
            _held(["program", *args], known_only=True)
        elif not _held.is_parsed():
            _held(sys.argv or ["program"], known_only=True)

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
