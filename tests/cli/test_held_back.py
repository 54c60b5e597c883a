"""--validation_fraction: what train.py trains on and evaluates, and what eval.py then evaluates."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from jslim import checkpoints, data
from jslim.cli import evaluate, train


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """A folder of 80 images of two classes, without splits."""
    root = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 128)):
        (root / name).mkdir()
        for number in range(40):
            pixels = rng.integers(low, low + 128, (28, 28, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def data_flags(root):
    return ["--dataset_name=folder", f"--dataset_dir={root}"]


def run(root, directory, *flags):
    return train.main([
        "train.py", *data_flags(root), "--model_name=lenet", "--batch_size=8",
        "--optimizer=momentum", "--save_summaries_secs=0", f"--train_dir={directory}", *flags,
    ])  # fmt: skip


def evaluated(root, checkpoint, *flags):
    """The files that eval.py evaluates."""
    table = checkpoint.parent / "predictions.csv"
    program = ["eval.py", *data_flags(root), f"--checkpoint_path={checkpoint}", "--batch_size=7"]
    assert evaluate.main([*program, f"--predictions_file={table}", *flags]) == 0
    with table.open() as file:
        return [row["record"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trained(flat, tmp_path_factory):
    """A run of three epochs that evaluates what it holds back."""
    directory = tmp_path_factory.mktemp("held_back") / "run"
    flags = ["--validation_fraction=0.25", "--validation_seed=3", "--num_epochs=1"]
    assert run(flat, directory, *flags, "--eval_every=4") == 0
    return directory


def held_back(root, fraction=0.25, seed=3):
    part = data.split(data.get_dataset("folder", "train", root), fraction, seed=seed).validation
    return [part.record_key(index) for index in range(len(part))]


def test_eval_evaluates_what_training_held_back_and_finds_the_same(flat, trained, capfd):
    (last,) = [
        json.loads(line)
        for line in (trained / "evaluations.jsonl").read_text().splitlines()
        if json.loads(line)["step"] == 8
    ]
    assert checkpoints.checkpoint_step(trained) == 8  # 58 images in batches of 8
    assert evaluated(flat, trained) == held_back(flat)
    captured = capfd.readouterr()
    assert (
        "evaluating folder/train (validation part): 22 of its 80 images; --validation_fraction=0 "
        "evaluates all"
    ) in captured.err
    accuracy = float(re.search(r"eval/Accuracy\[([\d.]+)\]", captured.out)[1])
    assert accuracy == pytest.approx(last["Accuracy"], abs=1e-4)


@pytest.mark.long
def test_eval_evaluates_what_it_is_told_to(flat, trained, capfd):
    everything = [str(path) for path in sorted(flat.rglob("*.png"))]
    split = "--dataset_split_name=train"
    assert evaluated(flat, trained, "--validation_fraction=0.25") == held_back(flat)
    assert evaluated(flat, trained, "--validation_fraction=0.25", split) == held_back(flat)
    assert "most of these images" not in capfd.readouterr().err
    assert evaluated(flat, trained, split) == everything
    assert (
        "--dataset_split_name=train: most of these images were trained on; leave the flag out to "
        "evaluate those that were held back\n"
    ) in capfd.readouterr().err
    assert evaluated(flat, trained, "--validation_fraction=0", "--dataset_split_name=all") == (
        everything
    )
    for flag, values in (
        ("--validation_fraction=0.5", "validation_fraction is 0.25 there and 0.5 here"),
        ("--validation_seed=4", "validation_seed is 3 there and 4 here"),
    ):
        program = ["eval.py", *data_flags(flat), f"--checkpoint_path={trained}"]
        assert evaluate.main([*program, "--validation_fraction=0.25", flag]) == 2
        assert values in capfd.readouterr().err


@pytest.mark.parametrize("fraction", ["0.5", "0.0"])
def test_a_run_goes_on_only_with_the_images_that_it_held_back(fraction, flat, trained, capfd):
    flags = ["--max_number_of_steps=9", f"--validation_fraction={fraction}"]
    assert run(flat, trained, *flags) == 2
    message = f"keeps --validation_fraction=0.25 ({fraction} is given); drop this flag to resume"
    assert message in capfd.readouterr().err


@pytest.mark.long
def test_resume_is_exact(flat, tmp_path):
    flags = ["--validation_fraction=0.1", "--eval_every=3"]
    for steps in (5, 11):
        assert run(flat, tmp_path / "parts", *flags, f"--max_number_of_steps={steps}") == 0
    assert run(flat, tmp_path / "whole", *flags, "--max_number_of_steps=11") == 0
    parts, whole = (checkpoints.load_variables(tmp_path / name) for name in ("parts", "whole"))
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name])
    logs = [(tmp_path / name / "evaluations.jsonl").read_text() for name in ("parts", "whole")]
    assert logs[0] == logs[1]


@pytest.mark.long
def test_a_run_without_the_flag_does_not_go_on_with_it(flat, tmp_path, capfd):
    assert run(flat, tmp_path / "run", "--max_number_of_steps=1") == 0
    assert run(flat, tmp_path / "run", "--max_number_of_steps=2", "--validation_fraction=0.1") == 2
    assert "keeps --validation_fraction=0.0 (0.1 is given)" in capfd.readouterr().err
    (tmp_path / "run" / "config.json").unlink()
    assert run(flat, tmp_path / "run", "--max_number_of_steps=2", "--validation_fraction=0.1") == 2
    assert "validation_fraction is 0.0 there and 0.1 here" in capfd.readouterr().err


@pytest.mark.long
def test_another_split_can_be_evaluated_and_the_same_images_are_not_without_a_word(
    flat, tmp_path, capfd
):
    flags = ["--validation_fraction=0.1", "--eval_every=1", "--max_number_of_steps=1"]
    assert run(flat, tmp_path / "run", *flags, "--eval_split_name=all") == 0
    message = "--eval_split_name=all: these are the images that are trained on"
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--validation_seed=1"], "--validation_seed goes with --validation_fraction, which is not "
         "given"),
        (["--validation_fraction=1"], "split: validation_fraction must be in (0, 1), got 1.0"),
        (["--validation_fraction=-0.1"], "validation_fraction"),
        (["--validation_fraction=0.0001"], "validation_fraction=0.0001 leaves the validation part "
         "of 'folder/train' without any of its 80 records; give another fraction, or another seed"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(flags, message, flat, tmp_path, capfd):
    assert run(flat, tmp_path / "run", "--max_number_of_steps=1", *flags) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_classes_without_a_held_back_image_are_named(flat, tmp_path, capfd):
    held = held_back(flat, 0.03, seed=0)
    assert held == [str(flat / "dark" / name) for name in ("21.png", "28.png", "38.png")]
    preview = f"--preview_file={tmp_path / 'preview.png'}"
    assert run(flat, tmp_path / "run", "--validation_fraction=0.03", preview) == 0
    assert "3 held back for validation, none of them of 'light'\n" in capfd.readouterr().err
