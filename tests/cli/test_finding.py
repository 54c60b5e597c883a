"""train.py --find_learning_rate."""

import re

import numpy as np
import pytest
from PIL import Image

from jslim.cli import train
from jslim.cli.finding import save_plot
from jslim.learning import LearningRateTest

FLAGS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=32", "--optimizer=momentum",
]  # fmt: skip


def test_a_table_a_suggestion_and_a_plot_and_nothing_else(tmp_path, capfd):
    plot = tmp_path / "new" / "plot.png"
    flags = [f"--train_dir={tmp_path / 'run'}", "--learning_rate_decay_type=cosine"]
    flags += ["--find_learning_rate", "--find_learning_rate_steps=40", "--num_clones=2"]
    assert train.main([*FLAGS, *flags, f"--find_learning_rate_plot={plot}"]) == 0
    captured = capfd.readouterr()
    header, *rows, suggestion, why = captured.out.splitlines()
    assert header == "learning rate      loss  smoothed"
    assert 10 < len(rows) <= 20
    rates = [float(row.split()[0]) for row in rows]
    assert rates[0] == 1e-6
    assert rates == sorted(rates)
    low = float(re.fullmatch(r"suggestion: --learning_rate=(\S+)", suggestion)[1])
    why = re.fullmatch(r"There the loss has fallen half of the way; it is least at (\S+)\.", why)
    high = float(why[1])
    assert 1e-5 < low < high < 1
    assert f"drew {plot}\n" in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    with Image.open(plot) as image:
        assert image.size == (720, 440)
        colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert (200, 40, 40) in colours  # the line of the suggestion


@pytest.mark.long
def test_fine_tuning_starts_from_the_checkpoint(tmp_path, capfd):
    flags = [f"--train_dir={tmp_path / 'run'}", "--learning_rate=0.001"]
    assert train.main([*FLAGS, *flags, "--num_epochs=2", "--batch_size=16"]) == 0
    found = []
    for start in ([], [f"--checkpoint_path={tmp_path / 'run'}"]):
        capfd.readouterr()
        steps = ["--find_learning_rate", "--find_learning_rate_steps=10"]
        assert train.main([*FLAGS, f"--train_dir={tmp_path / 'none'}", *start, *steps]) == 0
        found.append(float(capfd.readouterr().out.splitlines()[1].split()[1]))
    assert found[1] < found[0] / 2
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--find_learning_rate_steps=50"], "--find_learning_rate_steps goes with "
         "--find_learning_rate, which is not given"),
        (["--find_learning_rate", "--find_learning_rate_steps=3"], "find_learning_rate_steps"),
        (["--find_learning_rate", "--find_learning_rate_plot=x.jpg"], "x.jpg"),
        (["--find_learning_rate", "--checkpoint_path=/no/such"], "/no/such"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(flags, message, capfd):
    assert train.main([*FLAGS, *flags]) == 2
    assert message in capfd.readouterr().err


def test_a_plot_of_losses_that_do_not_fall_and_of_one_step(tmp_path):
    for count in (1, 2, 30):
        rates = np.geomspace(1e-6, 1e-3, count)
        flat = np.ones(count)
        save_plot(str(tmp_path / "x.png"), LearningRateTest(rates, flat, flat, None, 1e-6))
        with Image.open(tmp_path / "x.png") as image:
            assert image.getbbox() == (0, 0, 720, 440)
