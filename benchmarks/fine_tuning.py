"""Whether fine-tuning helps: nine classes first, then the tenth against the rest, and from scratch.

    python -m benchmarks.fine_tuning [FOLDER [CLASS [NETWORK]]]

FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg; without it the digits that come with jslim are
used. Everything goes through `train.py` and `eval.py`. Prints accuracies on balanced test images
of the two tasks at equal numbers of steps.
"""

import contextlib
import io
import os
import pathlib
import re
import sys
import tempfile

import numpy as np
from PIL import Image

from jslim import data
from jslim.cli import evaluate, train

FIRST_STEPS, STEPS = 800, (25, 50, 100, 200)


def write_digits(root: pathlib.Path) -> None:
    for split in ("train", "test"):
        digits = data.get_dataset("digits", split)
        for number in range(len(digits)):
            example = digits[number]
            path = root / split / str(example["label"]) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.repeat(example["image"], 3, 2)).save(path)


def split_off(folder: pathlib.Path, chosen: str, root: pathlib.Path) -> None:
    """`root/others`, all classes but one, and `root/one`, that against as many of the others."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        classes = sorted(path for path in (folder / split).iterdir() if path.is_dir())
        others = [file for path in classes if path.name != chosen for file in path.iterdir()]
        (root / "others" / split).mkdir(parents=True)
        for path in classes:
            if path.name != chosen:
                os.symlink(path, root / "others" / split / path.name)
        ones = list((folder / split / chosen).iterdir())
        for name, files in (
            (chosen, ones),
            ("other", rng.choice(sorted(others), len(ones), replace=False)),
        ):
            target = root / "one" / split / name
            target.mkdir(parents=True)
            for number, file in enumerate(files):
                os.symlink(file, target / f"{number}{pathlib.Path(file).suffix}")


def run(program: object, *flags: str) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        if program(["program", *flags]):  # type: ignore[operator]
            raise SystemExit("benchmarks.fine_tuning: a run failed")
    return output.getvalue()


def accuracy(folder: pathlib.Path, checkpoint: pathlib.Path) -> float:
    flags = ["--dataset_name=folder", f"--dataset_dir={folder}", f"--checkpoint_path={checkpoint}"]
    found = re.search(r"Accuracy\[([\d.]+)\]", run(evaluate.main, *flags))
    assert found
    return float(found[1])


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        folder = pathlib.Path(arguments[0]).absolute() if arguments else root / "digits"
        if not arguments:
            write_digits(folder)
        classes = sorted(path.name for path in (folder / "train").iterdir())
        chosen = arguments[1] if len(arguments) > 1 else classes[-1]
        network = arguments[2] if len(arguments) > 2 else "cifarnet"
        split_off(folder, chosen, root)
        common = [
            "--dataset_name=folder", f"--model_name={network}", "--optimizer=momentum",
            "--learning_rate=0.01", "--batch_size=64", "--train_image_size=32",
            "--save_summaries_secs=0", "--log_every_n_steps=500",
            "--learning_rate_decay_type=fixed",
        ]  # fmt: skip
        first = root / "runs" / "others"
        run(train.main, *common, f"--dataset_dir={root / 'others'}", f"--train_dir={first}",
            f"--max_number_of_steps={FIRST_STEPS}")  # fmt: skip
        print(f"{network}, {FIRST_STEPS} steps on the {len(classes) - 1} classes but {chosen}: "
              f"accuracy {accuracy(root / 'others', first):.3f}")  # fmt: skip
        print(f"then {chosen} against the others:\n{'steps':>8}{'fine-tuned':>12}{'scratch':>12}")
        starts = {"tuned": [f"--checkpoint_path={first}"], "scratch": []}
        for steps in STEPS:
            line = f"{steps:8}"
            for kind, flags in starts.items():
                directory = root / "runs" / kind
                run(train.main, *common, *flags, f"--dataset_dir={root / 'one'}",
                    f"--train_dir={directory}", f"--max_number_of_steps={steps}")  # fmt: skip
                line += f"{accuracy(root / 'one', directory):12.3f}"
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
