"""What the programs refuse before they read, write or compute anything."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from jslim.cli import convert, evaluate, export, predict, train

PROGRAMS = {
    "train": (train, ["--dataset_name=digits", "--model_name=lenet", "--max_number_of_steps=1"]),
    "eval": (evaluate, ["--dataset_name=digits"]),
    "predict": (predict, ["image.png"]),
    "export": (export, ["--output_file=model.zip"]),
    "convert": (convert, ["--dataset_dir=images", "--output_dir=out"]),
}
PATHS = {
    "train": ["train_dir", "checkpoint_path", "dataset_dir", "preview_file"],
    "eval": ["checkpoint_path", "eval_dir", "dataset_dir", "predictions_file",
             "confusion_matrix_file"],
    "predict": ["checkpoint_path", "labels_file", "output"],
    "export": ["checkpoint_path", "output_file"],
    "convert": ["dataset_dir", "output_dir"],
}  # fmt: skip


def refused(program, *flags):
    """The one line that the program ends with, in a directory in which it leaves nothing."""
    module, always = PROGRAMS[program]
    here = set(os.listdir())
    assert module.main([f"jslim-{program}", *always, *flags]) == 2
    assert set(os.listdir()) == here
    return flags


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("program", "flag"), [(p, f) for p, fs in PATHS.items() for f in fs])
def test_every_path_is_one_or_is_refused(program, flag, capfd):
    for path, message in (
        (
            "http://host/x",
            "it must be a path on this machine or a URL of gs://, s3://, az:// or hf",
        ),
        ("file:///tmp/x", "gs://, s3://, az:// or hf://, got the URL 'file:///tmp/x'; leave out"),
        ("gs://", "it is 'gs://', which names no bucket"),
        ("", "it is empty; give a path"),
        ("~nobody-here/x", "'~nobody-here' is no home directory"),
    ):
        refused(program, f"--{flag}={path}")
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"jslim-{program}: flag --{flag}={path}: {message}") or (
            message in line
        )


def test_inputs_and_caches_are_paths_too(capfd):
    refused("predict", "ftp://bucket/cat.jpg")
    assert "an image or folder must be a path on this machine or a" in capfd.readouterr().err
    refused("eval", "--compilation_cache_dir=ftp://bucket/x")
    assert "--compilation_cache_dir must be a path on this machine or" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("program", "flag", "message"),
    [
        *(
            ("export", f"--output_file=lenet{end}", "it must end in .zip (an inference graph) or "
             ".safetensors (the variables) or .ckpt (the variables as a checkpoint of TensorFlow, "
             f"as does .ckpt-1000), got 'lenet{end}'")
            for end in ("", ".onnx", ".pb", ".tflite", ".h5", ".pth", ".pt", ".keras", ".ckpts")
        ),
        ("export", "--output_file=/", "it is '/', which is a directory; give the file to write"),
        ("eval", "--predictions_file=a.txt", "it must end in .csv (a table) or .jsonl (JSON lin"),
        ("eval", "--predictions_file=a.json", "it must end in .csv (a table) or .jsonl (JSON lin"),
        ("eval", "--confusion_matrix_file=a.jpg", "it must end in .png (a picture), got 'a.jpg'"),
        ("train", "--preview_file=a.pdf", "it must end in .png (a picture), got 'a.pdf'"),
        ("predict", "--output=a.xlsx", "--output without --format must end in .csv (a table) or "),
        ("eval", "--eval_dir=/dev/null/x", "but '/dev/null' is no directory; give another path"),
        ("train", "--train_dir=/dev/null", "it is '/dev/null', which is a file; give a directory"),
        ("convert", "--output_dir=/dev/null", "which is a file; give a directory"),
        ("train", "--train_image_size=0", "0 is not a positive integer"),
        ("train", "--train_image_size=-8", "-8 is not a positive integer"),
        ("eval", "--eval_image_size=0", "0 is not a positive integer"),
        ("train", "--max_number_of_steps=0", "0 is not a positive integer"),
        ("eval", "--timeout_secs=-1", "-1 is not a non-negative integer"),
        ("train", "--momentum=1.5", "1.5 is not a number in the range [0.0, 1.0]"),
        ("train", "--moving_average_decay=2", "2.0 is not a number in the range [0.0, 1.0]"),
        ("eval", "--moving_average_decay=-1", "-1.0 is not a number in the range [0.0, 1.0]"),
        ("train", "--label_smoothing=1.1", "1.1 is not a number in the range [0.0, 1.0]"),
        ("train", "--num_epochs_per_decay=0", "0.0 is not a number above 0"),
        ("train", "--learning_rate=-1", "-1.0 is not a non-negative number"),
        *(
            ("train", f"--{name}={value}", f"it must be a finite number, got {value}")
            for name, value in [
                ("save_interval_secs", "nan"), ("save_summaries_secs", "inf"),
                ("learning_rate", "nan"), ("weight_decay", "NaN"), ("random_erasing", "nan"),
                ("rmsprop_decay", "-inf"), ("learning_rate_decay_factor", "nan"),
            ]
        ),
        ("train", "--metrics=Acuracy", "--metrics: there is no metric 'Acuracy'; give some of"),
        ("eval", "--metrics=Acuracy", "--metrics: there is no metric 'Acuracy'; give some of"),
        ("train", "--best_metric=F1", "--best_metric: there is no metric 'F1'"),
        ("train", "--metrics=Loss", "--metrics goes with --eval_every, which is not given; drop"),
        ("train", "--eval_split_name=test", "--eval_split_name goes with --eval_every, which is"),
        ("train", "--momentum=0.8", "--momentum goes with --optimizer=momentum, and does nothing "
         "with --optimizer=rmsprop; drop it"),
        ("train", "--end_learning_rate=0", "goes with --learning_rate_decay_type=polynomial or "
         "cosine, and does nothing with --learning_rate_decay_type=exponential; drop it"),
        ("train", "--heartbeat_timeout_secs=3", "--heartbeat_timeout_secs goes with --distributed"),
        ("convert", "--name=../other", "name must be the name of a file, without '/', got"),
        ("eval", "--timeout_secs=3", "--timeout_secs goes with --eval_interval_secs, which is not"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_at_once(program, flag, message, capfd):
    refused(program, flag)
    assert message in capfd.readouterr().err


def test_flags_that_contradict_each_other(capfd):
    refused("export", "--output_file=a.safetensors", "--platforms=cpu")
    assert "--platforms is of an inference graph, a .zip, and does" in capfd.readouterr().err
    refused("predict", "--output=a.csv", "--format=jsonl")
    assert "--format=jsonl contradicts --output=a.csv; drop" in capfd.readouterr().err


@pytest.fixture
def flat(folder):
    """A folder of two classes, without splits."""
    numbers = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (folder / "flat" / name).mkdir(parents=True)
        for index in range(4):
            pixels = numbers.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "flat" / name / f"{index}.png")
    return folder / "flat"


@pytest.mark.long
def test_images_that_are_trained_on_are_evaluated_only_where_that_is_said(flat, tmp_path, capfd):
    data = ["--dataset_name=folder", f"--dataset_dir={flat}"]
    flags = [
        "train.py", *data, "--model_name=lenet", "--train_image_size=8", "--batch_size=4",
        f"--train_dir={tmp_path / 'run'}", "--max_number_of_steps=1", "--eval_every=1",
    ]  # fmt: skip
    assert train.main(flags) == 2
    assert "split name test was not recognized: '" in capfd.readouterr().err
    assert train.main([*flags, "--eval_split_name=anything"]) == 2
    message = capfd.readouterr().err
    assert "has no splits, its folders are the classes; move some of the images to" in message
    assert "or give the split 'all' for all of them" in message
    assert not (tmp_path / "run").exists()
    assert train.main([*flags, "--eval_split_name=all"]) == 0
    assert re.search(
        r"--eval_split_name=all: these are the images that are trained on", capfd.readouterr().err
    )
    program = ["eval.py", *data, f"--checkpoint_path={tmp_path / 'run'}"]
    assert evaluate.main(program) == 2
    assert "split name test was not recognized" in capfd.readouterr().err
    assert evaluate.main([*program, "--dataset_split_name=all"]) == 0
    assert "eval/Accuracy[" in capfd.readouterr().out


def test_training_on_the_split_that_is_evaluated_by_default_is_refused(tmp_path, capfd):
    refused("train", "--dataset_split_name=test", "--eval_every=1", "--train_image_size=8",
            f"--train_dir={tmp_path / 'run'}")  # fmt: skip
    message = "--eval_split_name=test: these are the images that are trained on; give another split"
    assert message in capfd.readouterr().err
