"""How flags are defined and checked: their kinds, and which go together."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from jslim.host.paths import local_path, output_directory, output_file


class UsageError(ValueError):
    """A flag, or flags together, that make no sense."""


class _Path(flags.ArgumentParser):
    """Takes what `local_path` takes."""

    def parse(self, argument: str) -> str:
        return local_path(argument, "it")

    def flag_type(self) -> str:
        return "a path"


class _Number(flags.FloatParser):
    """A number, neither NaN nor infinite; above `above`, if it is given."""

    def __init__(self, above: float | None, **bounds: Any) -> None:
        super().__init__(**bounds)
        self._above = above
        if above is not None:
            self.syntactic_help = f"a number above {above:g}"

    def convert(self, argument: Any) -> float:
        number = super().convert(argument)
        if not math.isfinite(number):
            raise ValueError(f"it must be a finite number, got {argument}")
        return number

    def is_outside_bounds(self, val: float) -> bool:
        return (self._above is not None and val <= self._above) or super().is_outside_bounds(val)


class Definer:
    """Defines flags among `values`; all from here, since the help puts them under their module."""

    def __init__(self, values: flags.FlagValues):
        self._values = values

    def text(self, name: str, default: str | None, explanation: str) -> None:
        flags.DEFINE_string(name, default, explanation, flag_values=self._values)

    def integer(self, name: str, default: int | None, explanation: str, **bounds: Any) -> None:
        flags.DEFINE_integer(name, default, explanation, flag_values=self._values, **bounds)

    def number(
        self,
        name: str,
        default: float | None,
        explanation: str,
        *,
        above: float | None = None,
        **bounds: Any,
    ) -> None:
        self._define(_Number(above, **bounds), name, default, explanation)

    def share(self, name: str, default: float | None, explanation: str) -> None:
        self.number(name, default, explanation, lower_bound=0.0, upper_bound=1.0)

    def path(self, name: str, default: str | None, explanation: str) -> None:
        """Of what is read."""
        self._define(_Path(), name, default, explanation)

    def directory(self, name: str, default: str | None, explanation: str) -> None:
        """Of one that is written to."""
        self.path(name, default, explanation)
        self._check(name, lambda path: output_directory(path, "it"))

    def file(
        self,
        name: str,
        explanation: str,
        formats: Mapping[str, str] | None = None,
    ) -> None:
        """Of one that is written, if it is given; `formats` as of `output_file`."""
        self.path(name, None, explanation)
        self._check(name, lambda path: output_file(path, "it", formats))

    def _define(
        self, parser: flags.ArgumentParser, name: str, default: Any, explanation: str
    ) -> None:
        serializer: Any = flags.ArgumentSerializer()
        flags.DEFINE(parser, name, default, explanation, self._values, serializer)

    def _check(self, name: str, check: Callable[[str], object]) -> None:
        def is_right(path: str | None) -> bool:
            try:
                if path is not None:
                    check(path)
            except ValueError as error:
                raise flags.ValidationError(str(error)) from error
            return True

        flags.register_validator(name, is_right, flag_values=self._values)

    def boolean(
        self, name: str, default: bool | None, explanation: str, short_name: str | None = None
    ) -> None:
        flags.DEFINE_bool(
            name, default, explanation, flag_values=self._values, short_name=short_name
        )

    def choice(self, name: str, default: str | None, choices: list[str], explanation: str) -> None:
        flags.DEFINE_enum(name, default, choices, explanation, flag_values=self._values)


def refuse_alone(values: flags.FlagValues, needed: Mapping[str, str]) -> None:
    """Refuses flags that would do nothing.

    Args:
      values: The flags.
      needed: For each flag, the one that it goes with.

    Raises:
      UsageError: One is given, and what it goes with is not.
    """
    for name, other in needed.items():
        if values[name].present and not values[other].value:
            raise UsageError(
                f"--{name} goes with --{other}, which is not given; drop it, or give both"
            )


def refuse_idle(values: flags.FlagValues, flag: str, users: Mapping[str, Sequence[str]]) -> None:
    """Refuses flags that would do nothing because `flag` is another one.

    Args:
      values: The flags.
      flag: The flag that decides.
      users: For each flag, the values of `flag` with which it counts.

    Raises:
      UsageError: One is given, and `flag` is none of them.
    """
    for name, names in users.items():
        if values[name].present and values[flag].value not in names:
            raise UsageError(
                f"--{name} goes with --{flag}={' or '.join(names)}, and does nothing with "
                f"--{flag}={values[flag].value}; drop it"
            )
