"""`TRAIN_DIR/config.json`: the flags of a run, with which it goes on when it is started again.

    {"format": 1,
     "flags": {"model_name": "lenet", "batch_size": 32, ...},
     "given": ["model_name", ...],
     "starts": [{"step": 0, "time": ..., "given": {...}, "changed": {}, "versions": {...}, ...}]}

`flags` are those in force, defaults too; `given` names those that a command line has ever had;
`starts` has a record of each start. The rule `on_resume` of a flag says what a start with another
value of it does. Files of others become flags of the command line, and pass its checks.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
from absl import flags as absl_flags

from jslim import checkpoints
from jslim.cli.flags import Config, Flag, UsageError, flags_of, not_a_flag, value_of
from jslim.cli.listing import shown
from jslim.core.errors import did_you_mean
from jslim.host.files import is_directory, write_text
from jslim.host.paths import absolute, as_path
from jslim.host.schema import Invalid, conform, read_json

FILE = "config.json"
FORMAT = 1
_BYTES = "jslim/bytes"  # around the bytes, in hexadecimal, of a path that is not UTF-8
_MOST_STARTS = 200  # a run on machines that are taken away is started often
_PACKAGES = ("jslim", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

C = TypeVar("C", bound="RememberedConfig")


class RunConfig(NamedTuple):
    """The content of `config.json`."""

    format: int
    flags: dict[str, Any]
    given: list[str]
    starts: list[dict[str, Any]]


@dataclass(frozen=True)
class RememberedConfig(Config):
    """The flags that a run keeps.

    Attributes:
      run: What `config.json` of the run that goes on says; None if there is none.
      given_before: The flags that were given to this run before, or to that of --config.
    """

    run: RunConfig | None = not_a_flag(None)  # noqa: RUF009 (immutable)
    given_before: frozenset[str] = not_a_flag(frozenset())


def read(path: str | os.PathLike[str]) -> RunConfig | None:
    """The flags in a file, or in that of a directory; None if there is no file.

    Raises:
      UsageError: It is another file, or damaged.
    """
    path = as_path(path, "the directory of a run")
    if is_directory(path):
        path = path / FILE
    try:
        found: RunConfig = conform(read_json(path), RunConfig)
        values = {name: _decoded(name, value) for name, value in found.flags.items()}
    except FileNotFoundError:
        return None
    except (OSError, Invalid) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{str(path)!r} does not hold the flags of a run, or is damaged: {reason}; move it "
            "away, and give all flags of the run"
        ) from error
    if found.format > FORMAT:
        raise UsageError(
            f"{str(path)!r} has format {found.format}, and this jslim reads up to {FORMAT}: "
            "install a newer one"
        )
    return found._replace(flags=values)


def _decoded(name: str, value: Any) -> str | int | float | None:
    """The value of a flag from that of JSON."""
    if isinstance(value, dict) and value.keys() == {_BYTES}:
        try:
            return os.fsdecode(bytes.fromhex(conform(value[_BYTES], str)))
        except ValueError as error:
            raise Invalid(str(error), f"flags.{name}") from None
    if isinstance(value, str | int | float | None):
        return value
    raise Invalid("must be a text, a number, true, false or null", f"flags.{name}")


def _encoded(value: Any) -> Any:
    """The inverse of `_decoded`."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return {_BYTES: os.fsencode(value).hex()}
    return value


def completed(
    config: C, parse: Callable[[Sequence[str]], C], train_dir: str, like: str | None
) -> C:
    """The config with the flags of the run in `train_dir`, if it has one, and of another run.

    The command line wins over the other run, and that over the run that goes on.

    Args:
      config: The command line.
      parse: As of `Config.completed`.
      train_dir: Where the run is, or will be.
      like: `config.json` of another run, or its directory.

    Raises:
      UsageError: A file cannot be used, or the run has another value of a flag that it keeps.
      RestoreError: TensorFlow trains in `train_dir`.
    """
    run = read(train_dir)  # also where there is no checkpoint: another file there is not lost
    resumed_from = checkpoints.step_to_resume(train_dir)
    if resumed_from is None:
        run = None
    files = {} if run is None else {os.path.join(train_dir, FILE): run}
    if like is not None:
        if (other := read(like)) is None:
            raise UsageError(f"--config: there is no {FILE} of a run at {like!r}")
        files[like] = other
    others = _others(type(config))
    words: dict[str, str] = {}
    for path, file in files.items():
        try:
            for name, word in _words(file, type(config)):
                words.pop(others.get(name, ""), None)
                words[name] = word
            parse([*words.values()])
        except (absl_flags.Error, ValueError) as error:
            raise UsageError(f"{path}: {error}") from error
    for name in config.given:
        words.pop(others.get(name, ""), None)
    given_before = frozenset(name for file in files.values() for name in file.given)
    whole = dataclasses.replace(
        parse([*words.values()]), given=config.given, given_before=given_before, run=run
    )
    _refuse_changes(whole, resumed_from)
    return whole


def _others(kind: type[Config]) -> dict[str, str]:
    """The flags of which one can be given, each with the other one."""
    pairs = [(one.name, one.rules.get("instead_of", "")) for one in flags_of(kind)]
    return {name: other for a, b in pairs if b for name, other in ((a, b), (b, a))}


def _words(file: RunConfig, kind: type[Config]) -> Iterator[tuple[str, str]]:
    """The flags of a file, each with the word of a command line for it."""
    known = [one.name for one in _kept(kind)]
    for name, value in file.flags.items():
        if name not in known:
            raise UsageError(
                f"the flag {name!r} is not one that a run of this jslim has"
                f"{did_you_mean(name, known)}"
            )
        if value is not None:
            yield name, f"--{name}={str(value).lower() if isinstance(value, bool) else value}"


def _kept(kind: type[Config]) -> Iterator[Flag]:
    return (one for one in flags_of(kind) if one.rules.get("on_resume") != "not_kept")


def _value(config: Config, one: Flag) -> Any:
    """The value of a flag; a path means the same from another working directory."""
    value = value_of(config, one)
    return absolute(value) if "path" in one.rules and value is not None else value


def _differences(config: RememberedConfig) -> Iterator[tuple[Flag, Any, Any]]:
    """The flags of which the run had another value: the flag, that value and this one."""
    if config.run is None:
        return
    for one in _kept(type(config)):
        held, value = config.run.flags.get(one.name), _value(config, one)
        if one.name in config.run.flags and held != value:
            yield one, held, value


def _refuse_changes(config: RememberedConfig, resumed_from: str | None) -> None:
    refused = [
        f"{f'no --{one.name}' if held is None else f'--{one.name}={shown(held)}'} "
        f"({shown(value)} is given)"
        for one, held, value in _differences(config)
        if "on_resume" not in one.rules
    ]
    if refused:
        raise UsageError(
            f"the run in --train_dir, at {resumed_from}, keeps {', '.join(refused)}; drop "
            f"{'this flag' if len(refused) == 1 else 'these flags'} to resume it, or give another "
            "--train_dir to start anew"
        )


def changes(config: RememberedConfig) -> str:
    """A sentence on the flags that change in this run; empty if none does."""
    parts = [
        f"--{one.name} from {shown(held)} to {shown(value)}"
        for one, held, value in _differences(config)
    ]
    return f"flags that change in this run: {', '.join(parts)}" if parts else ""


def write(config: RememberedConfig, train_dir: str, step: int) -> None:
    """Writes the flags in force, and adds a record of this start.

    Args:
      config: The flags.
      train_dir: The directory of the run, which this process owns.
      step: The step from which it trains.
    """
    kept = {one.name: _encoded(_value(config, one)) for one in _kept(type(config))}
    starts = [] if config.run is None else config.run.starts
    differences = _differences(config)
    device = jax.devices()[0]
    start = {
        "step": step,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "given": {name: value for name, value in kept.items() if name in config.given},
        "changed": {
            one.name: [_encoded(held), _encoded(value)] for one, held, value in differences
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "system": platform.platform(),
        "devices": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
    }
    given = kept.keys() & (config.given | config.given_before)
    content = RunConfig(
        FORMAT, kept, sorted(given), [*starts[:1], *starts[1:][2 - _MOST_STARTS :], start]
    )
    write_text(
        as_path(train_dir, "train_dir") / FILE, json.dumps(content._asdict(), indent=1) + "\n"
    )


def _versions() -> Mapping[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}
