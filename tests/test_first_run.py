"""`docs/first-run.md` shows what `make train` prints today, but for times and other numbers."""

import re
import shlex

from documents import blocks

from jslim.cli import train
from tests.links import ROOT

PAGE = "docs/first-run.md"
# What stands on the screen for moments, or only where the machine is slow.
PASSING = re.compile(
    r"(waiting|tracing|initializing|writing|looking|compil|evaluating|step [N/]+  (?!eval))"
)


def fixed(text):
    """The lines of a run without what differs from one run to the next."""
    # In the terminal of the page it is too long.
    text = re.sub(r"^(done at .*)\n {2}(?=\S)", r"\1 ", text, flags=re.MULTILINE)
    text = re.sub(r" \([\d.]+ at step \d+\)", "", text)  # the lowest loss, if it is not the last
    text = re.sub(r"; [\d.]+ at step \d+", "", text)  # and so with the accuracy
    text = re.sub(r"\S*/(jslim|tensorboard) ", r"\1 ", text)
    lines = re.sub(r"\d[\d.,:]*( (s|min)\b)?", "N", text).splitlines()
    return [line.rstrip() for line in lines if not PASSING.match(line.lstrip())]


def recording():
    """The recording, in three parts: what make says, the command of the training, and the run."""
    text = next(block.text for block in blocks(PAGE) if block.text.startswith("$ make train\n"))
    said, start, command_and_run = text.partition(".venv/bin/python train.py")
    command, _, run = command_and_run.partition("\nstarting from scratch")
    return said, start + command, "starting from scratch" + run


def recipes():
    """The recipes of the Makefile, as make prints them."""
    makefile = (ROOT / "Makefile").read_text()
    for name, value in {"BIN": "$(VENV)/bin", "VENV": ".venv", "RUNS": "runs"}.items():
        makefile = makefile.replace(f"$({name})", value)
    found = re.findall(r"^([\w-]+):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    return {name: recipe.replace("\t", "").rstrip() for name, recipe in found}


def test_the_page_shows_what_make_says():
    said, command, _ = recording()
    announced = re.findall(r'@echo "(.*)"', recipes()["announce-train"])
    assert len(announced) == 2
    assert said.splitlines()[1:3] == announced
    assert command == recipes()["train"]


def test_the_page_shows_what_the_training_prints(tmp_path, monkeypatch, capfd):
    _, command, shown = recording()
    monkeypatch.chdir(tmp_path)
    flags = shlex.split(command.replace("\\\n", " "))[2:]
    fewer = ["--max_number_of_steps=4", "--eval_every=2", "--num_epochs_per_decay=0.05"]
    assert train.main(["train.py", *flags, *fewer]) == 0
    captured = capfd.readouterr()
    printed = fixed(captured.err)
    assert [line for line in fixed(shown) if "eval/" not in line] == printed
    evaluations = fixed(captured.out)
    assert len(evaluations) == 2
    assert {line for line in fixed(shown) if "eval/" in line} == set(evaluations)


def test_the_recording_fits_a_terminal_of_80_columns():
    text = "".join(block.text for block in blocks(PAGE) if block.language != "console")
    assert max(map(len, text.splitlines())) <= 80
