"""A run whose data, checkpoints and tables are in a bucket, by commands; killed, it goes on.

The servers are real ones on loopback: see `stores.py`.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import time
import zipfile
from contextlib import chdir, redirect_stderr, redirect_stdout

import numpy as np
import pytest
from PIL import Image
from programs import ending
from standing import SAVED
from test_distributed import TRAIN, end, start

from jslim import checkpoints, data, export
from jslim.cli import main
from jslim.host import files
from jslim.host.paths import as_path
from jslim.summaries import read_rows

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROOT = pathlib.Path(__file__).parents[2]
STANDING = "tests/cli/standing.py"
STEPS = 24


def command(*words, cwd, program=("-m", "jslim")):
    """A command of jslim that is under way."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *program, *map(str, words)],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(*words, cwd):
    """The standard output of a command that succeeds, and leaves nothing on this machine."""
    output, errors = io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(output), redirect_stderr(errors):
        code = main.main(["jslim", *map(str, words)])
    assert code == 0, errors.getvalue()
    assert os.listdir(cwd) == []
    return output.getvalue()


def archive_of_digits():
    """A zip archive of images: 64 to train on and 32 to test, in splits and classes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for split, count in (("train", 64), ("test", 32)):
            digits = data.get_dataset("digits", split)
            for index in range(count):
                image = io.BytesIO()
                Image.fromarray(digits[index]["image"][..., 0].astype(np.uint8)).save(image, "PNG")
                archive.writestr(f"{split}/{digits.label(index)}/{index}.png", image.getvalue())
    return content.getvalue()


def wait_for_step(process, directory, step):
    """Waits until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + 200
    while (newest := checkpoints.latest_checkpoint(directory)) is None or (
        checkpoints.checkpoint_step(newest) < step
    ):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def arrays_of(directory):
    reader = checkpoints.open_checkpoint(directory)
    return reader.step, reader.get_tensors(reader.get_variable_to_shape_map())


def assert_same_run(one, other):
    """Two runs ended with the same arrays, bit for bit, and logged the same losses."""
    (step, ours), (other_step, theirs) = arrays_of(one), arrays_of(other)
    assert step == other_step
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    losses = [
        [(row["step"], row["total_loss"]) for row in read_rows(f"{run}/metrics.jsonl")]
        for run in (one, other)
    ]
    assert losses[0] == losses[1]
    assert [step for step, _ in losses[0]] == sorted({step for step, _ in losses[0]})


def test_a_run_in_a_bucket(store, tmp_path, tmp_path_factory):
    here = tmp_path_factory.mktemp("empty")
    files.write_bytes(store("digits.zip"), archive_of_digits())
    of_data = ["--dataset_name=folder", f"--dataset_dir={store('digits.zip')}"]
    training = [
        "train", *of_data, "--model_name=lenet", "--train_image_size=8", "--batch_size=16",
        "--log_every_n_steps=5", "--save_interval_secs=0", "--eval_every=12",
        f"--max_number_of_steps={STEPS}", "--optimizer=adam", "--learning_rate=0.002",
    ]  # fmt: skip
    local = tmp_path / "whole"
    process = command(*training, f"--train_dir={local}", cwd=here)
    assert process.communicate(timeout=300) is not None
    assert process.returncode == 0

    # It is killed, goes on, and an evaluation follows it meanwhile.
    killed = command(*training, f"--train_dir={store('run')}", cwd=here, program=[ROOT / STANDING])
    with ending(killed):
        wait_for_step(killed, store("run"), SAVED)
    follower = command(
        "eval", *of_data, f"--checkpoint_path={store('run')}", f"--eval_dir={store('eval')}",
        "--eval_interval_secs=1", f"--predictions_file={store('predictions.csv')}", cwd=here,
    )  # fmt: skip
    with ending(follower):
        done("train", f"--train_dir={store('run')}", cwd=here)
        output, errors = follower.communicate(timeout=200)
    assert follower.returncode == 0, errors
    assert f"step {STEPS}  eval/Accuracy[" in output
    assert_same_run(local, store("run"))
    config = json.loads(as_path(store("run/config.json"), "it").read_bytes())
    assert config["flags"]["dataset_dir"] == store("digits.zip")
    assert config["starts"][0]["step"] == 0
    assert len(config["starts"]) == 2
    assert checkpoints.is_done(store("run"))
    assert checkpoints.checkpoint_step(store("run/best")) in (12, 24)
    assert [row["step"] for row in read_rows(store("run/evaluations.jsonl"))] == [12, 24]
    assert files.matching(as_path(store("eval"), "it"), "events.out.tfevents.*")

    # What is made of it goes to the bucket and comes from there.
    exported = store("exported/lenet.zip")
    done("export", f"--checkpoint_path={store('run')}", f"--output_file={exported}", cwd=here)
    assert files.exists(store("exported/MODEL.md"))
    model = export.load_inference_graph(exported)
    assert model.contract["model_name"] == "lenet"
    digit = Image.fromarray(data.get_dataset("digits", "test")[0]["image"][..., 0].astype(np.uint8))
    with files.UnfinishedFile(store("images/one.png")) as unfinished:
        digit.save(unfinished.path, "PNG")
    done(
        "predict", f"--checkpoint_path={store('run')}", f"--output={store('out.jsonl')}",
        store("images"), cwd=here,
    )  # fmt: skip
    image = files.open_regular(store("images/one.png")).read()
    (row,) = map(json.loads, files.open_regular(store("out.jsonl")))
    assert row["file"] == store("images/one.png")
    assert row["class_name"] == model.predict(image).top(1)[0][0][0]
    weights = store("exported/lenet.safetensors")
    done("export", f"--checkpoint_path={store('run')}", f"--output_file={weights}", cwd=here)
    done("plot", store("run"), f"--output={store('curves.png')}", cwd=here)
    assert files.open_regular(store("curves.png")).read(4) == b"\x89PNG"
    assert store("run") in done("runs", store(), cwd=here)
    assert f"{store('run')}/{STEPS}: a checkpoint of jslim" in done(
        "inspect", store("run"), "--verify", cwd=here
    )

    # Another run starts from its weights, from the checkpoint and from the file.
    start_of = {}
    for name, path in (("tuned", store("run")), ("tuned2", weights)):
        words = [f"--train_dir={store(name)}", f"--checkpoint_path={path}"]
        done(*training[:-4], *training[-2:], *words, "--max_number_of_steps=1", cwd=here)
        start_of[name] = arrays_of(f"{store(name)}/0")[1]
    _, ours = arrays_of(store("run"))
    for arrays in start_of.values():
        for name in ("LeNet/conv1/weights", "LeNet/fc4/biases"):
            np.testing.assert_array_equal(arrays[name], ours[name])


def test_two_processes_train_into_a_bucket(store, tmp_path):
    words = [*TRAIN, f"--train_dir={tmp_path / 'whole'}"]
    found = end(start("train.py", 2, *words))
    assert [code for _, _, code in found] == [0, 0], found
    words[-1] = f"--train_dir={store('run')}"
    first, second = start(STANDING, 2, "train", *words)
    with ending(first), ending(second):
        wait_for_step(first, store("run"), SAVED)
    found = end(start("train.py", 2, *words), timeout=400)
    assert [code for _, _, code in found] == [0, 0], found
    assert_same_run(tmp_path / "whole", store("run"))
