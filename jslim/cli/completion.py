"""`jslim completion`: what a shell needs to complete commands, flags and their values.

The flags are read from completion.json, since JAX would be imported with the classes that declare
them; `python -m jslim.cli.tables` writes it.
"""

import json
import pathlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jslim.cli.commands import COMMANDS
from jslim.cli.flags import Config, Flag, UsageError
from jslim.cli.run import run
from jslim.core.errors import did_you_mean

_SCRIPTS = {
    row.script: name for name, row in COMMANDS.items() if row.script.startswith("jslim-")
} | {"jslim-train": "train", "jslim-eval": "eval"}


@dataclass(frozen=True)
class CompletionConfig(Config):
    """Shells."""

    takes_arguments: ClassVar[bool] = True
    uses_jax: ClassVar[bool] = False
    usage: ClassVar[str] = "bash|zsh|fish"
    examples: ClassVar[tuple[str, ...]] = (
        "{program} bash > ~/.local/share/bash-completion/completions/jslim",
        "{program} fish > ~/.config/fish/completions/jslim.fish",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the completion; returns the exit code."""
    return run(completion, CompletionConfig, argv)


def completion(config: CompletionConfig) -> None:
    """Prints the completion for a shell.

    Raises:
      UsageError: There is none for it.
    """
    if len(config.arguments) != 1:
        raise UsageError(f"give a shell: jslim completion {'|'.join(SHELLS)}")
    (shell,) = config.arguments
    if shell not in SHELLS:
        raise UsageError(
            f"there is no completion for {shell!r}; give one of {', '.join(SHELLS)}"
            f"{did_you_mean(shell, SHELLS)}"
        )
    print(SHELLS[shell](stored_words()))


class Word(NamedTuple):
    """A flag as shells see it.

    Attributes:
      name: Its name.
      text: What it is for.
      takes_value: Whether a value follows.
      values: Those that are known before it is given.
      is_path: Whether the value is a path.
    """

    name: str
    text: str
    takes_value: bool
    values: Sequence[str]
    is_path: bool


Words = Mapping[str, Sequence[Word]]  # by command
FILE = pathlib.Path(__file__).with_suffix(".json")


def word_of(one: Flag) -> Word:
    """What shells see of a flag."""
    takes_value = one.kind is not bool and "alone" not in one.rules
    values = one.rules.get("choices", one.rules.get("known", ())) if takes_value else ()
    text = _first_sentence(one.help)
    return Word(one.name, text, takes_value, list(values), "path" in one.rules)


def stored_words() -> dict[str, list[Word]]:
    """The flags of each command, from the file."""
    stored = json.loads(FILE.read_text("utf-8"))
    return {name: [Word(*row) for row in rows] for name, rows in stored.items()}


def as_text(words: Words) -> str:
    """The flags of each command as the text of the file, a line for each."""
    parts = []
    for name, flags in words.items():
        rows = ",\n".join(f"  {json.dumps(row)}" for row in flags)
        parts.append(f"{json.dumps(name)}: [\n{rows}\n]")
    return "{" + ",\n".join(parts) + "}\n"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:;])\s", text, maxsplit=1)[0].rstrip(".:;")


_BASH = """\
# jslim for bash: source this, or put it where bash-completion looks.
_jslim() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local command=${COMP_WORDS[1]} name="" words=""
  COMPREPLY=()
  case ${1##*/} in
@scripts@
    *)
      if [ "$COMP_CWORD" -lt 2 ]; then
        COMPREPLY=($(compgen -W "@commands@" -- "$current"))
        return
      fi ;;
  esac
  # bash takes = for a word of its own.
  if [ "$current" = "=" ]; then
    name=" $previous" current=""
  elif [ "$previous" = "=" ]; then
    name=" ${COMP_WORDS[COMP_CWORD-2]}"
  fi
  case $command$name in
@words@
  esac
  [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ ${#COMPREPLY[@]} -eq 0 ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$current"))
  elif [[ ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _jslim jslim @names@"""


def _bash(flags: Words) -> str:
    words = {}
    for command, found in flags.items():
        names = (f"--{one.name}{'=' if one.takes_value else ''}" for one in found)
        words[command] = " ".join(names)
        words |= {f"{command} --{one.name}": " ".join(one.values) for one in found}
    parts = {
        "scripts": "\n".join(
            f"    {script}) command={name} ;;" for script, name in _SCRIPTS.items()
        ),
        "commands": " ".join(flags),
        "words": "\n".join(
            f'    "{key}") words="{text}" ;;' for key, text in words.items() if text
        ),
        "names": " ".join(_SCRIPTS),
    }
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], _BASH)


_ZSH = """\
#compdef jslim @names@
_jslim_flags() {
  case $1 in
@flags@
  esac
}
_jslim() {
  case $service in
@scripts@
  esac
  if (( CURRENT == 2 )); then
    local -a commands=(@commands@)
    _describe command commands
  else
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    _jslim_flags $command
  fi
}
if [[ $funcstack[1] == _jslim ]]; then _jslim "$@"; else compdef _jslim jslim @names@; fi"""


def _zsh(flags: Words) -> str:
    def spec(one: Word) -> str:
        text = re.sub(r"([\[\]:\\])", r"\\\1", one.text)
        if not one.takes_value:
            return shlex.quote(f"--{one.name}[{text}]")
        values = "_files" if one.is_path else f"({' '.join(one.values)})"
        return shlex.quote(f"--{one.name}=[{text}]:value:{values}")

    def specs(command: str) -> str:
        lines = [f"    {command}) _arguments -S", *map(spec, flags[command]), "'*:file:_files' ;;"]
        return " \\\n      ".join(lines)

    parts = {
        "names": " ".join(_SCRIPTS),
        "flags": "\n".join(map(specs, flags)),
        "scripts": "\n".join(
            f"    {script}) _jslim_flags {name}; return ;;" for script, name in _SCRIPTS.items()
        ),
        "commands": " ".join(
            shlex.quote(f"{name}:{row.summary}") for name, row in COMMANDS.items()
        ),
    }
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], _ZSH)


def _fish(flags: Words) -> str:
    lines = [
        f"complete -c jslim -f -n __fish_use_subcommand -a {name} -d {_quoted(row.summary)}"
        for name, row in COMMANDS.items()
    ]
    for command, found in flags.items():
        programs = [f"-c jslim -n '__fish_seen_subcommand_from {command}'"]
        programs += [f"-c {script}" for script, name in _SCRIPTS.items() if name == command]
        for one in found:
            how = ""
            if one.takes_value:
                values = f" -x -a {_quoted(' '.join(one.values))}" if one.values else " -x"
                how = " -r -F" if one.is_path else values
            text = _quoted(one.text)
            lines += [f"complete {program} -l {one.name} -d {text}{how}" for program in programs]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """The text in quotes of fish, where a backslash stands before a quote."""
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


SHELLS: dict[str, Callable[[Words], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
