"""What commands print where their reader goes at once, and in a terminal of 80 columns."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import terminal
from PIL import Image
from rich.cells import cell_len

from jslim.cli import train

pytestmark = pytest.mark.long

ROOT = pathlib.Path(__file__).parents[2]
JSLIM = [sys.executable, "-m", "jslim"]
CUT = 141  # what a shell says of a program that SIGPIPE has ended

# The lines about what is waited for; which of them come is a matter of time.
WAITING = r"((compil|evaluat|initializ|look|read|trac|wait|writ)(ing|ed) .*(\d s|left)\n)*"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with evaluations, images, and a network for TF-Slim."""
    folder = tmp_path_factory.mktemp("outputs")
    code = train.main([
        "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
        "--batch_size=8", "--max_number_of_steps=2", "--eval_every=2",
        f"--train_dir={folder / 'runs' / 'one'}",
    ])  # fmt: skip
    assert code == 0
    for number in range(3):
        path = folder / "photos" / "cat" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    (folder / "old.py").write_text(
        "import tf_slim as slim\ndef net(images):\n  return slim.conv2d(images, 4, [3, 3])\n"
    )
    return folder


def environment():
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--help", CUT, ""),
        ("--version", CUT, ""),
        ("train --help=all", CUT, ""),
        ("train --train_dir=runs/one --max_number_of_steps=4 --eval_every=2", CUT,
         r"(?s).*\nafter_step failed after step 4, which is saved\n"),
        ("eval --checkpoint_path=runs/one --dataset_name=digits", CUT,
         r"(?s).*evaluating runs/one/\d: lenet on digits/test \(360 images of 10 classes\)\n.*"),
        ("predict --checkpoint_path=runs/one photos", CUT,
         rf"{WAITING}lenet, 10 classes, from runs/one/\d: 3 images\n{WAITING}"),
        ("export --checkpoint_path=runs/one --output_file=net.zip", 0,
         rf"{WAITING}wrote net.zip\nwrote MODEL.md\n{WAITING}"),
        ("convert --dataset_dir=photos --output_dir=records", 0,
         rf"{WAITING}photos_train: 3 of 3 images\nwrote 3 files; use them by .*\n"),
        ("models", CUT, ""),
        ("datasets", CUT, ""),
        ("datasets --dataset_name=digits", CUT, ""),
        ("inspect runs/one", CUT, ""),
        ("run old.py:net --shape=1,8,8,3", CUT, r"jslim\.compat: in this process .*\n"),
        ("runs runs", CUT, ""),
        ("plot runs/one", 0, r"drew curves\.png: \d charts of one\n"),
        ("completion bash", CUT, ""),
    ],
)  # fmt: skip
def test_a_reader_that_goes_at_once_is_no_error(words, code, said, folder):
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [*JSLIM, *words.split()],
        cwd=folder,
        env=environment(),
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    os.close(writes)
    assert done.returncode == code, done.stderr
    assert re.fullmatch(said, done.stderr), done.stderr
    assert not re.search("Traceback|Broken ?pipe|Exception ignored", done.stderr, re.IGNORECASE)


@pytest.mark.parametrize(
    "words",
    [
        "models", "models --weights", "datasets", "datasets --dataset_name=digits",
        "inspect runs/one", "inspect runs/one/0 runs/one/2", "runs runs",
    ],
)  # fmt: skip
def test_tables_fit_a_terminal_of_80_columns_and_lose_nothing(words, folder):
    command = shlex.join([*JSLIM, *words.split()])
    seen = terminal.run_in_terminal(
        ["bash", "-c", f"cd {folder}; {command}"], 80, PYTHONPATH=environment()["PYTHONPATH"]
    )
    assert seen.code in (0, 1)  # 1: the two differ
    assert [line for line in seen.lines if cell_len(line) > 80] == []
    piped = subprocess.run(
        [*JSLIM, *words.split()], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert piped.returncode == seen.code
    assert "".join("".join(seen.lines).split()) == "".join(piped.stdout.split())
