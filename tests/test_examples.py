"""The scripts in `examples/` run as their users run them, and do what they say."""

import ast
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from cpu_devices import cpu_devices
from PIL import Image

import jslim as slim
from tests.links import ROOT

EXAMPLES = sorted(ROOT.glob("examples/*.py"))


def run(directory, script, *arguments, **variables):
    """What a script prints that is run in a directory."""
    program = [sys.executable, ROOT / "examples" / script, *arguments]
    variables = {"PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        program, cwd=directory, env=os.environ | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern, text):
    return [float(number) for number in re.findall(pattern, text)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_docstring_gives_a_command_with_flags_that_exist(path):
    source = path.read_text()
    docstring = ast.get_docstring(ast.parse(source))
    commands = re.findall(rf"^    .*python examples/{path.name}.*(?:\\\n.*)*", docstring, re.M)
    assert commands
    if "argparse" in source:
        flags = set(re.findall(r" --(\w+)", " ".join(commands)))
        assert flags <= set(re.findall(r'"--(\w+)"', source))


@pytest.mark.long
def test_a_loop_by_hand_that_was_stopped_ends_like_one_that_was_not(tmp_path):
    def train(directory, steps):
        flags = [f"--train_dir={directory}", f"--number_of_steps={steps}", "--save_every=10"]
        return run(tmp_path, "loop_by_hand.py", *flags)

    losses = numbers(r"loss (\S+)", train("unbroken", 40))
    assert losses[-1] < losses[0] < 2.3
    assert train("stopped", 25).startswith("starting at step 0\n")
    assert train("stopped", 40).startswith("going on from step 25\n")
    unbroken, stopped = (
        slim.checkpoints.load_variables(tmp_path / name) for name in ("unbroken", "stopped")
    )
    assert len(unbroken) > 8
    assert unbroken.keys() == stopped.keys()
    for name, value in unbroken.items():
        np.testing.assert_array_equal(value, stopped[name], err_msg=name)


@pytest.mark.long
def test_the_drawings_of_the_gan_come_closer_to_digits(tmp_path):
    printed = run(tmp_path, "gan.py", "--number_of_steps=120")
    before, after = numbers(r"the average drawing is (\S+) off", printed)
    assert after < 0.6 * before
    with Image.open(tmp_path / "digits.png") as image:
        assert image.size == (640, 640)
        assert np.asarray(image).std() > 20


@pytest.mark.long
def test_both_of_several_losses_fall(tmp_path):
    def measured(steps):
        printed = run(tmp_path, "several_losses.py", f"--number_of_steps={steps}")
        (accuracy,), (error,) = (
            numbers(rf"(?m)^{name}.*: (\S+)", printed) for name in ("acc", "mean")
        )
        return accuracy, error

    (accuracy_before, error_before), (accuracy, error) = measured(1), measured(80)
    assert accuracy > 0.8 > 0.4 > accuracy_before
    assert error < 0.5 * error_before


@pytest.mark.long
def test_jit_over_a_mesh_and_pmap_give_what_one_device_gives(tmp_path):
    variables = cpu_devices(4)
    printed = run(tmp_path, "several_devices.py", "--number_of_steps=5", **variables)
    assert "jit over 4 devices" in printed
    assert "pmap over 4 devices" in printed
    assert len(set(re.findall(r"loss (\d\.\d{4})", printed))) == 1
    differences = numbers(r"within (\S+) of those", printed)
    assert len(differences) == 2
    assert max(differences) < 1e-6


@pytest.mark.long
def test_a_network_of_ones_own_is_trained_evaluated_and_predicted_by(tmp_path):
    train = "train --model_name=digit_net --dataset_name=digits --train_dir=runs/own"
    options = "--batch_size=64 --learning_rate=0.05 --max_number_of_steps=60"
    run(tmp_path, "own_network.py", *train.split(), *options.split())
    evaluate = "eval --dataset_name=digits --checkpoint_path=runs/own --batch_size=60"
    printed = run(tmp_path, "own_network.py", *evaluate.split())
    assert numbers(r"Accuracy\[(\S+?)\]", printed)[0] > 0.8
    digit = slim.data.get_dataset("digits", "test")[0]
    Image.fromarray(digit["image"][..., 0]).save(tmp_path / "digit.png")
    printed = run(tmp_path, "own_network.py", "predict", "--checkpoint_path=runs/own", "digit.png")
    assert f"digit.png,{digit['label']}," in printed
