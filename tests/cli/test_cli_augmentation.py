"""Augmentation on the device by flags of train.py: resumed exactly, previewed, and checked."""

import numpy as np
import pytest
from PIL import Image

from jslim import checkpoints
from jslim.cli import train

DIGITS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=16",
    "--batch_size=16", "--optimizer=momentum", "--save_interval_secs=0",
    "--preprocessing_name=cifarnet",
]  # fmt: skip
ALL = [
    "--rand_augment_layers=2", "--rand_augment_magnitude=12", "--random_erasing=0.5",
    "--mixup_alpha=0.2", "--cutmix_alpha=1", "--label_smoothing=0.1",
]  # fmt: skip


def parameters(directory):
    return checkpoints.restore_variables(checkpoints.latest_checkpoint(directory))["params"]


def run(directory, *flags):
    assert train.main([*DIGITS, f"--train_dir={directory}", *flags]) == 0
    return parameters(directory)


def flat(tree):
    return {
        f"{layer}/{name}": np.asarray(value)
        for layer, variables in tree["LeNet"].items()
        for name, value in variables.items()
    }


@pytest.mark.long
def test_augmented_training_is_resumed_exactly(tmp_path):
    whole = flat(run(tmp_path / "whole", *ALL, "--max_number_of_steps=4"))
    run(tmp_path / "parts", *ALL, "--max_number_of_steps=2")
    parts = flat(run(tmp_path / "parts", *ALL, "--max_number_of_steps=4"))
    other = flat(run(tmp_path / "other", *ALL[1:], "--max_number_of_steps=4"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name])
        assert np.isfinite(value).all()
    assert any((value != other[name]).any() for name, value in whole.items())


@pytest.mark.long
def test_a_preview_shows_what_is_done_on_the_device(tmp_path):
    def pixels(name, *flags):
        sheet = tmp_path / name
        assert train.main([*DIGITS, f"--preview_file={sheet}", *flags]) == 0
        with Image.open(sheet) as image:
            return np.asarray(image.convert("L"), np.float32)

    plain, again = pixels("plain.png"), pixels("again.png")
    np.testing.assert_array_equal(plain, again)
    # Captions of mixed labels have more lines, so only the first row lies where it was.
    changed = pixels("all.png", *ALL)
    assert changed.shape[0] > plain.shape[0]
    assert np.abs(plain[:150] - changed[:150]).mean() > 2


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--rand_augment_magnitude=31", "--rand_augment_magnitude=31"),
        ("--random_erasing=1.5", "--random_erasing=1.5"),
        ("--mixup_alpha=-1", "--mixup_alpha=-1"),
    ],
)
def test_flags_out_of_range(flag, message, capsys):
    assert train.main([*DIGITS, flag]) == 2
    assert message in capsys.readouterr().err
