"""Flags: fields of frozen dataclasses, defined for absl and read back into the dataclass.

    @dataclass(frozen=True)
    class ShapeConfig(Config):
        '''The shape of the images.

        Attributes:
          image_size: Image side in pixels.
        '''

        image_size: int | None = flag(None, least=1)

The config of one concern stands beside the code that uses it. The config of a program inherits the
configs that it needs. If it declares an inherited field again, it changes the default and adds
rules. The help of a flag is its text in the docstring. Each program has its own `FlagValues`, so
that importing jslim defines no global flags.
"""

import dataclasses
import inspect
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_type_hints,
)

from absl import flags

T = TypeVar("T")
C = TypeVar("C", bound="Config")

_CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.path.join(
    os.environ.get("XDG_CACHE_HOME", "~/.cache"), "jslim", "xla"
)
# TF-Slim's flags that belong to a session, to parameter servers or to a graph.
_NO_SERVERS = "there are no parameter servers; use --num_clones for several devices; drop it"
DROPPED = {
    "master": "there is no TensorFlow session; with several processes give --coordinator_address",
    "clone_on_cpu": "set JAX_PLATFORMS=cpu in the environment instead",
    "worker_replicas": "give --num_processes, --process_id and --coordinator_address",
    "num_ps_tasks": _NO_SERVERS,
    "task": "give --process_id, with --num_processes and --coordinator_address",
    "sync_replicas": "training is always synchronous; drop it",
    "replicas_to_aggregate": "training is always synchronous; drop it",
    "num_readers": "use --num_preprocessing_threads; drop it",
    "use_grayscale": "images keep the channels that they have; drop it",
    "quantize_delay": "there is no quantization-aware training; drop it",
    "quantize": "there is no quantization-aware training; drop it",
}


class UsageError(ValueError):
    """A flag is wrong, or flags contradict each other."""


class Rules(TypedDict, total=False):
    """Which values a flag accepts, and when it has an effect."""

    help: str  # in place of what the docstring says
    least: float  # of a number
    most: float
    above: float
    choices: Sequence[str]  # of a text
    known: Sequence[str]  # values that shells offer, where others are for the program to refuse
    path: Callable[[str, str], object]  # of a path: a function of `host.paths`
    short_name: str
    alone: str  # the value of a text that stands without one: --help
    goes_with: str  # the flag without which it does nothing
    counts_with: tuple[str, Collection[str]]  # a flag, and the values of it with which it counts
    differs: str  # how it differs from TF-Slim's flag of this name, for docs/migration.md
    instead_of: str  # the flag that says the same in another way; one of them can be given
    # What a run that is started again does with another value. may_change: takes it; not_kept: the
    # flag is of one start and not of the run. Without this rule it refuses the value.
    on_resume: Literal["may_change", "not_kept"]


class Flag(NamedTuple):
    """A flag of a program."""

    name: str
    kind: type
    default: Any
    help: str
    rules: Rules
    field: str  # of the config; if several flags share it, it is a dict of them
    group: str  # the title of its config


def flag(default: T, **rules: Unpack[Rules]) -> T:
    """A field of a config that is a flag with rules; without rules a plain default will do."""
    return dataclasses.field(default=default, metadata=rules)


def not_a_flag(default: T) -> T:
    """A field of a config that no flag sets."""
    return dataclasses.field(default=default, metadata={"is_flag": False})


def several_flags(rows: Mapping[str, tuple[Any, Rules]]) -> Mapping[str, Any]:
    """A field of several flags: the default of each, and its rules with the help."""
    defaults = {name: default for name, (default, _) in rows.items()}
    field: Any = dataclasses.field(default_factory=defaults.copy, metadata={"several": rows})
    return cast(Mapping[str, Any], field)


@dataclass(frozen=True)
class Config:
    """Every program.

    Attributes:
      given: The names of the flags that the command line has.
      arguments: What it has that is no flag.
      takes_arguments: Whether it takes some.
      uses_jax: Whether the program needs JAX, which takes seconds to start.
      usage: What follows the name of the program.
      first_flags: Those of the first page of its help; all, if there are none.
      examples: Command lines, with {program} for its name.
      help: Shows the flags that matter most; --help=all shows all of them.
      helpfull: Shows all flags, as --help=all does.
    """

    takes_arguments: ClassVar[bool] = False
    uses_jax: ClassVar[bool] = True
    usage: ClassVar[str] = "[flags]"
    first_flags: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[str, ...]] = ()
    given: frozenset[str] = not_a_flag(frozenset())
    arguments: tuple[str, ...] = not_a_flag(())
    help: str = flag(
        "", short_name="h", choices=("first", "all"), alone="first", on_resume="not_kept"
    )
    helpfull: bool = flag(False, on_resume="not_kept")

    def completed(self, parse: Callable[[Sequence[str]], Self]) -> Self:
        """The config with the flags that it takes from files.

        Args:
          parse: The config of these words and those of the command line, which win.
        """
        return self


@dataclass(frozen=True)
class ComputingConfig(Config):
    """Compiled programs.

    Attributes:
      compilation_cache_dir: Where compiled programs are kept for the next start; '' keeps none.
    """

    compilation_cache_dir: str | None = flag(_CACHE, on_resume="not_kept")


def flags_of(config: type[Config]) -> Iterator[Flag]:
    """The flags of a program."""
    kinds = get_type_hints(config)
    helps: dict[str, str] = {}
    rules: dict[str, Rules] = {}
    groups: dict[str, str] = {}
    for parent in reversed(config.__mro__):
        if issubclass(parent, Config):
            title, attributes = _docs(parent)
            helps |= attributes
            for field in dataclasses.fields(parent):
                rules[field.name] = {**rules.get(field.name, {}), **field.metadata}
                groups.setdefault(field.name, title)
    for field in dataclasses.fields(config):
        kind = kinds[field.name]
        kind = next(iter(get_args(kind)), kind)  # of `int | None`
        if not field.metadata.get("is_flag", True):
            continue
        rows = {field.name: (field.default, rules[field.name])}
        if several := field.metadata.get("several"):
            rows = several
        for name, (default, own) in rows.items():
            help = own.get("help", helps.get(name, ""))
            kind = type(default) if several else kind
            yield Flag(name, kind, default, help, own, field.name, groups[field.name])


def title_of(config: type[Config]) -> str:
    """The title of the flags that a config declares."""
    return _docs(config)[0]


def about_of(config: type[Config]) -> str:
    """What the docstring of a config says between the title and the flags."""
    _, _, rest = inspect.cleandoc(str(config.__doc__)).partition("\n\n")
    return " ".join(re.split(r"(?m)^(?:Args|Attributes):$", rest)[0].split())


def _docs(config: type[Config]) -> tuple[str, dict[str, str]]:
    """The title and the attributes in the docstring."""
    doc = inspect.cleandoc(str(config.__doc__))
    if doc.startswith(f"{config.__name__}("):  # a dataclass's own, under `python -OO`
        doc = config.__name__
    title, _, attributes = doc.partition(".\n\n")
    found = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", attributes, re.MULTILINE)
    return title.rstrip("."), {name: " ".join(text.split()) for name, text in found}


def flag_values(config: type[Config]) -> flags.FlagValues:
    """The flags of a program, for absl."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow arguments
    for one in flags_of(config):
        flags.DEFINE_flag(_absl_flag(one), values, one.group)
        if "path" in one.rules:
            flags.register_validator(one.name, _path_check(one.rules["path"]), flag_values=values)
    return values


def config_of(config: type[C], values: flags.FlagValues, arguments: Sequence[str] = ()) -> C:
    """The config of parsed flags."""
    found: dict[str, Any] = {}
    for one in flags_of(config):
        value = values[one.name].value
        if one.name == one.field:
            found[one.field] = value
        else:
            found.setdefault(one.field, {})[one.name] = value
    given = frozenset(name for name in values if values[name].present)
    return config(given=given, arguments=tuple(arguments), **found)


def value_of(config: Config, one: Flag) -> Any:
    """The value of a flag in a config."""
    value = getattr(config, one.field)
    return value if one.name == one.field else value[one.name]


def refuse_idle(config: Config) -> None:
    """Refuses flags that have no effect without others, by their rules.

    Raises:
      UsageError: A flag is given without the flag that it goes with.
    """
    for one in flags_of(type(config)):
        if one.name not in config.given or getattr(config, one.name, None) is False:
            continue  # such as --nofreeze_batch_norm, which asks for nothing
        other = one.rules.get("goes_with")
        if other is not None and not getattr(config, other):
            raise UsageError(
                f"--{one.name} goes with --{other}, which is not given; drop it, or give both"
            )
        other, accepted = one.rules.get("counts_with", (None, ()))
        if other is not None and (value := getattr(config, other)) not in accepted:
            raise UsageError(
                f"--{one.name} goes with --{other}={' or '.join(accepted)}, and does nothing with "
                f"--{other}={value}; drop it"
            )


def scopes_of(text: str | None) -> list[str]:
    """The parts of a comma-separated list, stripped; empty ones are left out.

    >>> scopes_of("conv1, fc8,")
    ['conv1', 'fc8']
    """
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _absl_flag(one: Flag) -> flags.Flag[Any]:
    rules = one.rules
    short_name = rules.get("short_name")
    parser: flags.ArgumentParser[Any]
    if one.kind is bool:
        return flags.BooleanFlag(one.name, one.default, one.help, short_name)
    if "alone" in rules:
        values = flags.EnumParser(["", *rules["choices"]])
        parser = _Alone(values, rules["alone"])
        text: flags.ArgumentSerializer[str] = flags.ArgumentSerializer()
        return flags.Flag(parser, text, one.name, one.default, one.help, short_name, boolean=True)
    if "choices" in rules:
        return flags.EnumFlag(one.name, one.default, one.help, list(rules["choices"]))
    parser = flags.ArgumentParser()
    if "path" in rules:
        parser = _Path()
    elif one.kind is not str:
        least, most = (
            None if (bound := rules.get(side)) is None else one.kind(bound)
            for side in ("least", "most")
        )
        if one.kind is int:
            parser = flags.IntegerParser(least, most)
        else:
            parser = _Number(rules.get("above"), least, most)
    return flags.Flag(parser, flags.ArgumentSerializer(), one.name, one.default, one.help)


def _path_check(check: Callable[[str, str], object]) -> Callable[[str | None], bool]:
    def is_right(path: str | None) -> bool:
        try:
            if path is not None:
                check(path, "it")
        except (ValueError, ImportError, OSError) as error:
            text = getattr(error, "strerror", None) or str(error)
            raise flags.ValidationError(text) from error
        return True

    return is_right


class _Alone(flags.ArgumentParser[str]):
    """A text, or 'true' where the flag stands alone and 'false' where `no` is before its name."""

    def __init__(self, values: flags.EnumParser, alone: str) -> None:
        self._values, self._alone = values, alone

    def parse(self, argument: str) -> str:
        argument = {"true": self._alone, "false": ""}.get(argument, argument)
        return self._values.parse(argument)


class _Path(flags.ArgumentParser[str]):
    """Parses a path by `path_string`."""

    def parse(self, argument: str) -> str:
        from jslim.host.paths import path_string  # whose checks import JAX

        try:
            return path_string(argument, "it")
        except ImportError as error:
            raise ValueError(str(error)) from error


class _Number(flags.FloatParser):
    """A number, neither NaN nor infinite; above `above`, if it is given."""

    def __init__(self, above: float | None, least: float | None, most: float | None) -> None:
        super().__init__(least, most)
        self._above = above
        if above is not None:
            self.syntactic_help = f"a number above {above:g}"

    def convert(self, argument: str | float) -> float:
        number = super().convert(argument)
        if not math.isfinite(number):
            raise ValueError(f"it must be a finite number, got {argument}")
        return number

    def is_outside_bounds(self, val: float) -> bool:
        return (self._above is not None and val <= self._above) or super().is_outside_bounds(val)
