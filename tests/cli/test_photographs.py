"""LeNet and CifarNet crop photographs to few pixels of them; training and prediction say so."""

import numpy as np
import pytest
from PIL import Image

from jslim.cli import main as command
from jslim.cli import predict, train
from jslim.preprocessing import images

PROGRAMS = {
    "train.py": (
        lambda *flags: train.main(["train.py", *flags]),
        lambda *words: predict.main(["jslim-predict", *words]),
    ),
    "jslim": (
        lambda *flags: command.main(["jslim", "train", *flags]),
        lambda *words: command.main(["jslim", "predict", *words]),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "model", "side"),
    [("train.py", "lenet", 28), ("jslim", "cifarnet", 32)],
    ids=["lenet", "cifarnet"],
)
def test_photographs_that_are_cropped(program, model, side, tmp_path, monkeypatch, capfd):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (150, 200, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.jpg")
    training, predicting = PROGRAMS[program]
    warning = f"the preprocessing of {model} crops images and "
    warning += f"does not resize them: {side} x {side} of 200 x 150 pixels are left, "

    monkeypatch.setattr(images, "_CROPPED", {})
    flags = [f"--model_name={model}", "--dataset_name=folder", "--batch_size=2"]
    flags += [f"--dataset_dir={tmp_path / 'photos'}", "--max_number_of_steps=2"]
    assert training(*flags, "--save_summaries_secs=0", f"--train_dir={tmp_path / 'run'}") == 0
    assert capfd.readouterr().err.count(warning) == 1

    monkeypatch.setattr(images, "_CROPPED", {})
    assert predicting(f"--checkpoint_path={tmp_path / 'run'}", str(tmp_path / "photos/cat")) == 0
    assert capfd.readouterr().err.count(warning) == 1
