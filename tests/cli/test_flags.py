"""Flags as fields of dataclasses, and the tables in the documents that are made of them."""

import dataclasses
import inspect
import pathlib
import re
from dataclasses import dataclass

import pytest
from absl import flags as absl_flags

from jslim import data, optimizers
from jslim.cli import convert, evaluate, export, flagfiles, predict, tables, train
from jslim.cli.flags import (
    DROPPED,
    Config,
    UsageError,
    config_of,
    flag,
    flag_values,
    flags_of,
    refuse_idle,
)
from jslim.cli.train import TrainConfig

ROOT = pathlib.Path(__file__).parents[2]


@dataclass(frozen=True)
class SizeConfig(Config):
    """The size of the images.

    Attributes:
      size: Their side
        in pixels.
      kind: What they are.
      crop: How much is left of them.
      fast: Whether they are cropped fast.
    """

    size: int | None = flag(None, least=1)
    kind: str = flag("photo", choices=("photo", "drawing"))
    crop: float = flag(1.0, above=0, most=1, goes_with="size")
    fast: bool = flag(False, counts_with=("kind", ("photo",)))


@dataclass(frozen=True)
class DrawingConfig(SizeConfig):
    """Drawings."""

    kind: str = "drawing"
    size: int | None = flag(5, most=9)


def parsed(kind, *words):
    values = flag_values(kind)
    return config_of(kind, values, flagfiles.parse(values, ["x.py", *words])[1:])


def test_a_field_is_a_flag_with_the_help_of_the_docstring():
    found = {one.name: one for one in flags_of(SizeConfig)}
    assert list(found) == ["help", "helpfull", "size", "kind", "crop", "fast"]
    size = found["size"]
    assert (size.kind, size.default, size.group) == (int, None, "The size of the images")
    assert size.help == "Their side in pixels."
    assert "\nThe size of the images:\n" in flag_values(SizeConfig).get_help()


def test_what_is_parsed_is_a_config_that_knows_what_was_given():
    config = parsed(SizeConfig, "--size=3", "--nofast", "a.jpg")
    assert config == SizeConfig(size=3, given=frozenset({"size", "fast"}), arguments=("a.jpg",))
    assert parsed(SizeConfig) == SizeConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.size = 4


def test_a_config_below_changes_defaults_and_adds_rules():
    found = {one.name: one for one in flags_of(DrawingConfig)}
    assert found["kind"].default == "drawing"
    assert found["kind"].group == "The size of the images"
    assert found["size"].rules == {"least": 1, "most": 9}
    assert parsed(DrawingConfig).kind == "drawing"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--size=0", "flag --size=0: 0 is not an integer in the range [1, 9]"),
        ("--size=10", "flag --size=10: 10 is not an integer in the range [1, 9]"),
        ("--kind=map", "flag --kind=map: value should be one of <photo|drawing>"),
        ("--crop=0", "flag --crop=0: 0.0 is not a number above 0"),
        ("--crop=nan", "flag --crop=nan: it must be a finite number, got nan"),
    ],
)
def test_values_out_of_the_rules_are_refused(word, message):
    with pytest.raises(absl_flags.IllegalFlagValueError, match=re.escape(message)):
        parsed(DrawingConfig, word)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--crop=0.5"], "--crop goes with --size, which is not given; drop it, or give both"),
        (["--kind=drawing", "--fast"],
         "--fast goes with --kind=photo, and does nothing with --kind=drawing; drop it"),
    ],
)  # fmt: skip
def test_flags_that_would_do_nothing_are_refused(words, message):
    with pytest.raises(UsageError) as error:
        refuse_idle(parsed(SizeConfig, *words))
    assert str(error.value) == message
    refuse_idle(parsed(SizeConfig, "--crop=0.5", "--size=3", "--fast"))
    refuse_idle(parsed(SizeConfig, "--kind=drawing", "--nofast"))


def test_every_flag_has_a_help_and_no_dropped_one_is_there():
    for kind in tables.PROGRAMS.values():
        for one in flags_of(kind):
            assert one.help.endswith((".", "`", "*")), one.name
            assert one.name not in DROPPED


def test_the_flags_of_the_optimizers_are_the_arguments_of_get_optimizer():
    parameters = inspect.signature(optimizers.get_optimizer).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    config = parsed(TrainConfig, "--adam_beta1=0.5", "--use_nesterov")
    assert config.optimizer_arguments == {**defaults, "adam_beta1": 0.5, "use_nesterov": True}
    assert TrainConfig().optimizer_arguments == defaults
    rules = {one.name: one.rules for one in flags_of(TrainConfig)}
    assert list(rules["adam_beta2"]["counts_with"][1]) == ["adam", "adamw", "lamb"]
    assert list(rules["opt_epsilon"]["counts_with"][1]) == ["adadelta", "adam", "rmsprop"]
    assert list(rules["use_nesterov"]["counts_with"][1]) == ["momentum"]
    of_momentum = ["adam", "adamw", "lamb", "momentum", "rmsprop"]
    assert list(rules["momentum_dtype"]["counts_with"][1]) == of_momentum


def test_the_help_of_dataset_name_names_every_data_set():
    (help,) = [one.help for one in flags_of(TrainConfig) if one.name == "dataset_name"]
    assert all(f"{name}: " in help for name in data.DATASET_NAMES)


@pytest.mark.parametrize("document", tables.DOCUMENTS)
def test_the_tables_of_the_documents_are_those_of_the_flags(document):
    text = (ROOT / document).read_text()
    assert "<!-- flags: " in text
    assert tables.with_tables(text) == text, "run python -m jslim.cli.tables"


def test_the_examples_of_the_readme_are_accepted():
    rows = re.findall(r"^\|[^|]*\|(.*`--.*)\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    examples = [code for row in rows for code in re.findall(r"`(--\w+[= ][^`]*)`", row)]
    assert len(examples) > 15
    for example in examples:
        kinds = tables.PROGRAMS["train.py"], tables.PROGRAMS["eval.py"]
        names = re.findall(r"--(\w+)", example)
        known = [k for k in kinds if {*names} <= {one.name for one in flags_of(k)}]
        assert known, example
        parsed(known[0], *example.split())


@pytest.mark.parametrize("program", [train, evaluate, export, predict, convert])
def test_every_program_gives_advice_on_flags_of_tf_slim_that_are_dropped(program, capfd):
    assert program.main(["program.py", "--clone_on_cpu"]) == 2
    assert capfd.readouterr().err == (
        "program.py: --clone_on_cpu is TF-Slim's, but not jslim's: set JAX_PLATFORMS=cpu in the "
        "environment instead\n"
    )
