"""The first and the last lines of train.py, and what it shows in a terminal."""

import os
import pathlib
import re
import subprocess
import sys
import types

import numpy as np
import pytest
import terminal
from PIL import Image

from jslim import data
from jslim.cli import outline, train
from jslim.host.paths import as_typed

ROOT = pathlib.Path(__file__).parents[2]
PLAN = {
    "decay_type": "fixed",
    "learning_rate": 0.02,
    "decay_steps": 1481,
    "decay_factor": 0.94,
    "end_learning_rate": 0.0001,
    "warmup_steps": 0.0,
    "boundaries": [],
}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({}, "0.02, fixed"),
        ({"decay_type": "exponential"}, "0.02, times 0.94 every 1,481 steps"),
        ({"decay_type": "polynomial"}, "0.02, polynomial to 0.0001 over 1,481 steps"),
        (
            {"decay_type": "cosine", "warmup_steps": 224.53},
            "0.02, cosine to 0.0001 over 1,481 steps, after a warm-up of 224.5 steps",
        ),
        (
            {"decay_type": "step", "boundaries": [90.0, 1350.5]},
            "0.02, times 0.94 at step 90 and 1,350.5",
        ),
    ],
)
def test_the_plan_of_the_learning_rate_is_said_in_words(plan, words):
    assert outline.learning_rate_in_words(**{**PLAN, **plan}) == words


DIGITS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=16", "--optimizer=momentum", "--max_number_of_steps=2",
]  # fmt: skip


def test_the_first_lines_say_what_starts_and_the_last_what_is_kept(tmp_path, capfd):
    flags = ["--eval_every=1", "--trainable_scopes=LeNet/fc4", f"--train_dir={tmp_path}/a run"]
    assert train.main([*DIGITS, *flags, "--metrics=Accuracy"]) == 0
    captured = capfd.readouterr()
    # What a slow machine waits for has lines in between.
    waits = re.compile(r"(waiting|tracing|initializing|writing|looking|compil|evaluating)")
    lines = [line for line in captured.err.splitlines() if not waits.match(line)]
    accuracies = [float(x) for x in re.findall(r"eval/Accuracy\[([\d.]+)\]", captured.out)]
    assert lines[:9] == [
        "starting from scratch: lenet on digits/train",
        "  data           digits/train: 1437 images of 10 classes, 89.8 steps an epoch",
        "  evaluation     digits/test: 360 images of 10 classes, every 1 steps",
        "  devices        batches of 16 on 1 of 8 devices (cpu), in float32",
        "  optimizer      momentum, momentum 0.9",
        "  learning rate  0.01, times 0.94 every 179 steps",
        "  length         2 steps, 0.022 epochs",
        f"  output         {tmp_path}/a run, with a checkpoint every 10:00 min",
        "  network        325,514 parameters, 10,250 of them (3.15%) trained; images of 8x8x1",
    ]
    done, best, newest, *commands = lines[-7:]
    assert re.match(r"done at step 2 of 2 after .*accuracy [\d.]+, saved in ", done)
    assert best == (
        f"best Accuracy {max(accuracies):.4f} at step {1 + int(np.argmax(accuracies))}, kept in "
        f"{tmp_path}/a run/best; {accuracies[-1]:.4f} at step 2"
    )
    assert newest == f"newest checkpoint: {tmp_path}/a run/2"
    programs = pathlib.Path(sys.executable).parent
    where = f"'--checkpoint_path={tmp_path}/a run'"
    assert [line.replace(as_typed(programs), str(programs)) for line in commands] == [
        "to evaluate it, to predict by it, and to see its curves:",
        f"  {programs}/jslim eval --dataset_name=digits {where}",
        f"  {programs}/jslim predict {where} --top=3 IMAGE.png",
        f"  {programs}/tensorboard '--logdir={tmp_path}/a run'",
    ]


def write_photos(folder):
    rng = np.random.default_rng(0)
    for class_name in ("cat", "a dog"):
        path = folder / class_name
        path.mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(path / f"{number}.png")


@pytest.mark.parametrize(
    ("split", "flags", "words"),
    [
        ("", {}, ["--dataset_split_name=all"]),
        ("", {"validation_fraction": 0.5}, []),
        ("train", {}, []),
        ("train", {"given": frozenset({"eval_split_name"})}, ["--dataset_split_name=holdout"]),
    ],
)
def test_the_next_commands_name_images_that_are_there(split, flags, words, tmp_path):
    write_photos(tmp_path / split)
    config = types.SimpleNamespace(
        train_dir="runs/it's", dataset_name="folder", dataset_dir=str(tmp_path), given=frozenset(),
        given_before=frozenset(), model_file=None,
        eval_split_name="holdout", validation_fraction=0.0,
    )  # fmt: skip
    config.__dict__.update(flags)
    dataset = data.get_dataset("folder", "train", tmp_path)
    evaluate, predict, tensorboard = outline.next_commands(config, dataset)
    assert evaluate[1:] == [
        "eval", "--dataset_name=folder", f"--dataset_dir={tmp_path}", *words,
        "--checkpoint_path=runs/it's",
    ]  # fmt: skip
    assert predict[1:] == ["predict", "--checkpoint_path=runs/it's", "--top=3", str(tmp_path)]
    assert tensorboard[1:] == ["--logdir=runs/it's"]


@pytest.mark.parametrize("word", ["", "a b", "it's", "$HOME", "caf\udce9 *", "a\n'b", "日本"])
def test_a_shell_gives_the_program_the_word(word):
    command = f"printf %s {outline.shell_word(word)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout == os.fsencode(word)


@pytest.mark.long
def test_a_run_in_a_terminal_ends_with_commands_that_work(tmp_path):
    write_photos(tmp_path / "it's mine" / "train")
    write_photos(tmp_path / "it's mine" / "test")
    train_dir = tmp_path / "a run"
    command = [
        sys.executable, "train.py", "--dataset_name=folder", "--model_name=cifarnet",
        f"--dataset_dir={tmp_path}/it's mine", "--batch_size=8", "--max_number_of_steps=30",
        f"--train_dir={train_dir}", "--eval_every=10", "--log_every_n_steps=5",
    ]  # fmt: skip
    seen = terminal.run_in_terminal(command, 80)
    assert seen.code == 0, seen.raw
    assert not seen.has_wrapped
    assert {"compiling the training step", "step 0/30"} <= {
        row.partition("  ")[0] for row in seen.rows
    }
    evaluated = [line for line in seen.lines if re.match(r"step \d+  eval/Accuracy\[", line)]
    assert [line.split()[1] for line in evaluated] == ["10", "20", "30"]
    left = [line for line in seen.lines if re.match(r"step 30/30  loss .*  0:00 left$", line)]
    assert len(left) == 1
    assert len(left[0]) < 80
    commands = [line.strip() for line in seen.lines[-3:]]
    assert commands[0].split()[1] == "eval"
    for line, expected in zip(commands, (evaluated[-1], "class_name_2", None), strict=True):
        line = line if expected else f"{line} --version_tb"
        done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (expected or "2.") in done.stdout
