"""Several real processes that train as one: their numbers, deaths and signals."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from cpu_devices import cpu_devices

from jslim import checkpoints
from jslim.cli import distributed, train
from jslim.cli.distributed import DevicesConfig

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 40
ALL_DEVICES = 4
TRAIN = [
    "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=8",
    "--optimizer=momentum", "--learning_rate=0.05", "--log_every_n_steps=5",
    "--save_interval_secs=0", f"--max_number_of_steps={STEPS}",
]  # fmt: skip
LOST = r"train.py: process {} of 2 (has died|ends): .*start all of them again to go on from"


def start(script, count, *flags):
    """Processes that together have `ALL_DEVICES` devices."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    share = ALL_DEVICES // count
    common = [sys.executable, ROOT / script, *flags, f"--num_clones={share}"]
    if count > 1:
        common += [f"--coordinator_address=localhost:{port}", f"--num_processes={count}"]
    return [
        subprocess.Popen(
            [*common, f"--process_id={index}"] if count > 1 else common,
            env=os.environ | cpu_devices(share),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]


def end(processes, timeout=240):
    """Output, errors and exit code of each, all of which end in time."""
    deadline = time.monotonic() + timeout
    found = []
    try:
        for process in processes:
            texts = process.communicate(timeout=deadline - time.monotonic())
            found.append((*texts, process.returncode))
    finally:
        for process in processes:
            process.kill()
    return found


def run(count, directory, *flags):
    found = end(start("train.py", count, *TRAIN, f"--train_dir={directory}", *flags))
    assert [code for _, _, code in found] == [0] * count, found
    return found


def wait_for_step(processes, directory, step):
    deadline = time.monotonic() + 120
    while max([int(x.name) for x in directory.iterdir() if x.name.isdecimal()], default=0) < step:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)


def assert_same_end(directory, expected):
    assert checkpoints.checkpoint_step(directory) == STEPS
    found = checkpoints.restore_variables(directory)["params"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6), found, expected
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The directory of one process with all the devices."""
    directory = tmp_path_factory.mktemp("alone")
    run(1, directory)
    return directory


@pytest.fixture(scope="module")
def expected(alone):
    return checkpoints.restore_variables(alone)["params"]


@pytest.mark.long
def test_two_processes_train_to_the_numbers_of_one_and_only_the_first_speaks(expected, tmp_path):
    directory = tmp_path / "exp [v2]"  # which is no pattern
    first, second = run(2, directory, "--shard_state", f"--eval_every={STEPS}")
    assert_same_end(directory, expected)
    assert re.search(rf"step {STEPS}/{STEPS}  loss", first[1])
    assert "batches of 32 on 4 of 4 devices" in first[1]
    assert f"step {STEPS}  eval/Accuracy" in first[0]
    assert "step" not in second[0] + re.sub(r"\[Gloo\].*", "", second[1])
    assert len(list(directory.glob("events.out.tfevents.*"))) == 1
    assert len((directory / "evaluations.jsonl").read_text().splitlines()) == 1


@pytest.mark.long
def test_after_a_kill_all_end_and_four_processes_go_on(expected, tmp_path):
    processes = start("train.py", 2, *TRAIN, f"--train_dir={tmp_path}")
    wait_for_step(processes, tmp_path, 10)
    processes[1].kill()
    started = time.monotonic()
    (_, first, code), (_, second, _) = end(processes, timeout=60)
    assert time.monotonic() - started < 30
    assert code != 0
    assert len(re.findall(LOST.format(0), first)) == 1
    assert len(re.findall(LOST.format(1), second)) == 1
    assert checkpoints.checkpoint_step(tmp_path) < STEPS
    found = run(4, tmp_path)
    assert re.search(r"going on from step [1-9]\d* of", found[0][1])
    assert_same_end(tmp_path, expected)


@pytest.mark.long
def test_without_the_coordinator_the_other_ends(tmp_path):
    processes = start("train.py", 2, *TRAIN, f"--train_dir={tmp_path}")
    wait_for_step(processes, tmp_path, 5)
    processes[0].kill()
    started = time.monotonic()
    _, (_, second, code) = end(processes, timeout=60)
    assert time.monotonic() - started < 30
    assert code != 0
    assert len(re.findall(LOST.format(1), second)) == 1


@pytest.mark.long
def test_a_signal_to_one_saves_on_all_and_one_process_goes_on(expected, tmp_path):
    processes = start("train.py", 2, *TRAIN, f"--train_dir={tmp_path}")
    wait_for_step(processes, tmp_path, 10)
    processes[1].send_signal(signal.SIGTERM)
    (_, first, code), (_, _, other) = end(processes, timeout=60)
    assert (code, other) == (128 + signal.SIGTERM,) * 2
    step = checkpoints.checkpoint_step(tmp_path)
    assert 10 <= step < STEPS
    assert f"interrupted: step {step} is saved" in first
    run(1, tmp_path)
    assert_same_end(tmp_path, expected)


@pytest.mark.long
def test_evaluation_by_two_processes_is_that_of_one(alone, tmp_path):
    flags = ["--dataset_name=digits", f"--checkpoint_path={alone}", "--batch_size=16"]
    flags += ["--per_class", "--metrics=Accuracy,MeanF1,Recall_3"]
    texts = []
    for count in (1, 2):
        predictions = tmp_path / f"{count}.csv"
        found = end(start("eval.py", count, *flags, f"--predictions_file={predictions}"))
        assert [code for _, _, code in found] == [0] * count
        # Threads of Gloo print before it, into each other's lines.
        table = re.search(r"step \d+  eval/Acc.*", found[0][0], re.DOTALL)[0]
        texts.append((re.sub(r".*(Gloo|peer ranks).*\n", "", table), predictions.read_text()))
    assert "eval/MeanF1" in texts[0][0]
    assert texts[0][0] == texts[1][0]
    first, second = ([line.split(",")[:3] for line in text.splitlines()] for _, text in texts)
    assert first == second
    assert len(first) == 361


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--num_processes=2"],
            "--num_processes goes with --coordinator_address and --process_id, which is not given",
        ),
        (
            ["--num_processes=2", "--process_id=2", "--coordinator_address=localhost:1"],
            "--process_id must be below --num_processes=2, got 2",
        ),
        (
            ["--distributed", "--process_id=0"],
            "--distributed finds out by itself what --process_id says; drop one",
        ),
    ],
)
def test_flags_of_several_processes_that_make_no_sense(flags, message, capsys):
    assert train.main(["train.py", *TRAIN, *flags]) == 2
    assert message in capsys.readouterr().err


def run_on_cpu(script, *flags, **environment):
    """A process whose CPU is one device, unless a flag makes it more."""
    command = [sys.executable, ROOT / script, *flags]
    environment = os.environ | cpu_devices() | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.long
def test_clones_are_devices_of_one_cpu_and_train_to_the_same_numbers(tmp_path):
    losses, parameters, evaluations = [], [], []
    for count in (1, 2):
        flags = [f"--num_clones={count}", f"--batch_size={32 // count}"]
        directory = f"--train_dir={tmp_path / str(count)}"
        done = run_on_cpu("train.py", *TRAIN, "--max_number_of_steps=10", directory, *flags)
        assert done.returncode == 0, done.stderr
        assert f"batches of 32 on {count} of {count} devices (cpu)" in done.stderr
        losses.append([float(x) for x in re.findall(r"step \d+/10  loss (\d+\.\d+)", done.stderr)])
        parameters.append(checkpoints.restore_variables(tmp_path / str(count))["params"])
        trained = f"--checkpoint_path={tmp_path / '1'}"
        done = run_on_cpu("eval.py", "--dataset_name=digits", trained, *flags)
        assert done.returncode == 0, done.stderr
        evaluations.append(done.stdout)
    assert len(losses[0]) == 2
    np.testing.assert_allclose(*losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6), *parameters)
    assert "eval/Accuracy" in evaluations[0]
    assert evaluations[0] == evaluations[1]


@pytest.mark.long
@pytest.mark.parametrize(
    "environment",
    [{"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}, {"JAX_NUM_CPU_DEVICES": "1"}],
)
def test_the_environment_says_how_many_devices_a_cpu_has(environment, tmp_path):
    flags = [*TRAIN, f"--train_dir={tmp_path}", "--num_clones=2"]
    done = run_on_cpu("train.py", *flags, **environment)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "train.py: data_mesh: 2 devices were asked for, but there are 1 (cpu); a CPU has as many "
        "as jax_num_cpu_devices or XLA_FLAGS said when JAX started; ask for 1 to 1"
    )


@pytest.mark.long
def test_distributed_without_a_cluster():
    # In a process of its own: JAX looks for a cluster only where nothing has run on a device.
    command = [sys.executable, ROOT / "train.py", *TRAIN, "--distributed"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--distributed: no cluster that JAX knows has started this process" in done.stderr


@pytest.mark.parametrize(
    ("dtype", "batch_size", "platform", "expected"),
    [
        ("float32", 32, "cpu", []),
        ("bfloat16", 32, "gpu", []),
        ("float32", 32, "gpu", ["--dtype=float32: a step moves about twice the bytes"]),
        ("bfloat16", 256, "tpu", []),
        ("bfloat16", 32, "tpu", ["--batch_size=32: a TPU pads each device's batch"]),
        ("float32", 96, "tpu", ["--dtype=float32: a step", "--batch_size=96: a TPU pads"]),
    ],
)
def test_a_line_says_what_a_flag_costs_on_an_accelerator(dtype, batch_size, platform, expected):
    lines = list(distributed.advice(DevicesConfig(dtype=dtype), batch_size, platform))
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
