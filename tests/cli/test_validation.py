"""train.py --eval_every: eval.py's code within training, the best checkpoint, early stopping."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import types

import pytest
from programs import ending
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import checkpoints
from jslim.cli import evaluate, train, validation

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=16", "--optimizer=momentum", "--save_summaries_secs=0",
    "--log_every_n_steps=100",
]  # fmt: skip


def run(directory, *flags):
    return train.main([*FLAGS, f"--train_dir={directory}", *flags])


def log_of(directory):
    return [json.loads(line) for line in (directory / "evaluations.jsonl").read_text().splitlines()]


@pytest.mark.long
def test_evaluations_are_those_of_eval_and_the_best_is_kept(tmp_path, capfd):
    assert run(tmp_path, "--eval_every=5", "--max_number_of_steps=20") == 0
    printed = re.findall(r"^step \d+  eval/.*$", capfd.readouterr().out, re.MULTILINE)
    log = log_of(tmp_path)
    assert [line["step"] for line in log] == [5, 10, 15, 20]
    assert len(printed) == 4
    best = max(log, key=lambda line: line["Accuracy"])
    kept = checkpoints.latest_checkpoint(tmp_path / "best")
    assert checkpoints.checkpoint_step(kept) == best["step"]
    assert checkpoints.read_contract(kept)["best"] == best
    flags = ["--dataset_name=digits", f"--checkpoint_path={kept}"]
    assert evaluate.main(["eval.py", *flags]) == 0
    accuracy = re.search(r"eval/Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1]
    assert float(accuracy) == pytest.approx(best["Accuracy"], abs=1e-4)
    assert slim.load(tmp_path / "best").step == best["step"]
    assert len(list((tmp_path / "eval").glob("events*"))) == 1
    events = EventAccumulator(str(tmp_path / "eval")).Reload()
    assert [event.step for event in events.Scalars("Accuracy")] == [5, 10, 15, 20]


@pytest.mark.long
def test_training_and_evaluation_share_their_tags(tmp_path):
    flags = ["--eval_every=2", "--max_number_of_steps=4", "--log_every_n_steps=1"]
    assert run(tmp_path, *flags, "--save_summaries_secs=600") == 0
    for directory, steps in ((tmp_path, [1, 2, 3, 4]), (tmp_path / "eval", [2, 4])):
        events = EventAccumulator(str(directory)).Reload()
        for tag in ("Accuracy", "Loss"):
            assert [event.step for event in events.Scalars(tag)] == steps


@pytest.mark.long
def test_training_does_not_depend_on_evaluations_and_resume_remembers(tmp_path):
    assert run(tmp_path / "plain", "--max_number_of_steps=12") == 0
    for steps in (6, 12):
        assert run(tmp_path / "both", "--eval_every=4", f"--max_number_of_steps={steps}") == 0
    one, other = (checkpoints.load_variables(tmp_path / name) for name in ("plain", "both"))
    assert all((one[name] == other[name]).all() for name in one)
    assert [line["step"] for line in log_of(tmp_path / "both")] == [4, 8, 12]


@pytest.mark.long
def test_a_kill_between_checkpoint_and_evaluation_loses_neither(tmp_path):
    flags = ["--eval_every=15", "--save_interval_secs=0", "--max_number_of_steps=45"]
    command = [sys.executable, ROOT / "train.py", *FLAGS[1:], *flags]
    with ending(subprocess.Popen([*command, f"--train_dir={tmp_path / 'killed'}"])) as process:
        while not (tmp_path / "killed" / "30").exists():
            assert process.poll() is None
            time.sleep(0.001)
    assert run(tmp_path / "killed", *flags) == 0
    assert run(tmp_path / "unbroken", *flags) == 0
    assert log_of(tmp_path / "killed") == log_of(tmp_path / "unbroken")
    assert step_of_best(tmp_path / "killed") == step_of_best(tmp_path / "unbroken")


def step_of_best(directory):
    return checkpoints.checkpoint_step(directory / "best")


LEFT = {
    "no line": "",
    "half a line": '{"step": 10, "Accu',
    "two halves in one": '{"step": 10, "Acc{"step": 11}',
    "no evaluation": "[1]\n3\n{}",
}


@pytest.mark.long
@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_what_a_kill_left_undone_at_the_step_is_made_up_for(left, tmp_path, capfd):
    flags = ["--eval_every=5", "--best_metric=Loss"]
    assert run(tmp_path, *flags, "--max_number_of_steps=10") == 0
    expected = log_of(tmp_path)
    assert step_of_best(tmp_path) == 10
    first = (tmp_path / "evaluations.jsonl").read_text().splitlines(keepends=True)[0]
    (tmp_path / "evaluations.jsonl").write_text(first + left)
    shutil.rmtree(tmp_path / "best")
    for _ in range(2):
        assert run(tmp_path, *flags, "--max_number_of_steps=10") == 0
        assert log_of(tmp_path) == expected
        assert step_of_best(tmp_path) == 10
    message = f"{tmp_path / 'evaluations.jsonl'}: line 2 is no row of numbers, and is left out"
    assert (message in capfd.readouterr().err) == bool(left)
    events = EventAccumulator(str(tmp_path / "eval")).Reload()
    assert [event.step for event in events.Scalars("Loss")] == [5, 10]


@pytest.mark.long
def test_a_line_without_its_best_checkpoint_brings_that(tmp_path):
    flags = ["--eval_every=5", "--best_metric=Loss"]
    assert run(tmp_path, *flags, "--max_number_of_steps=10") == 0
    log = log_of(tmp_path)
    shutil.rmtree(tmp_path / "best" / "10")
    assert run(tmp_path, *flags, "--max_number_of_steps=11") == 0
    assert step_of_best(tmp_path) == 10
    assert checkpoints.read_contract(tmp_path / "best")["best"] == log[1]


@pytest.mark.long
def test_a_run_that_stopped_early_stops_again_without_a_step(tmp_path, capfd):
    flags = ["--eval_every=2", "--early_stopping_evaluations=2", "--early_stopping_delta=1.0"]
    flags += ["--best_metric=Loss", "--max_number_of_steps=50"]
    assert run(tmp_path, *flags) == 0
    (tmp_path / "training_done.json").unlink()  # killed just before
    capfd.readouterr()
    assert run(tmp_path, *flags) == 0
    assert "stopping at step 6: Loss was not better in 2 evaluations" in capfd.readouterr().err
    assert checkpoints.checkpoint_step(tmp_path) == 6
    assert checkpoints.is_done(tmp_path)
    assert run(tmp_path, *flags[:1], "--early_stopping_evaluations=9", *flags[2:5]) == 0


def test_a_second_run_in_one_directory_is_refused_and_changes_nothing(tmp_path, capfd):
    flags = ["--eval_every=5", "--max_number_of_steps=10"]
    assert run(tmp_path, *flags) == 0
    before = (tmp_path / "evaluations.jsonl").read_text() + "torn"
    (tmp_path / "evaluations.jsonl").write_text(before)
    with checkpoints.CheckpointManager(tmp_path):
        assert run(tmp_path, *flags) == 2
    assert "belongs to a run that has not ended" in capfd.readouterr().err
    assert (tmp_path / "evaluations.jsonl").read_text() == before


def test_early_stopping_ends_training_and_says_where_the_best_is(tmp_path, capfd):
    flags = ["--eval_every=2", "--early_stopping_evaluations=2", "--early_stopping_delta=1.0"]
    assert run(tmp_path, *flags, "--best_metric=Loss", "--max_number_of_steps=50") == 0
    log = log_of(tmp_path)
    assert [line["step"] for line in log] == [2, 4, 6]
    message = capfd.readouterr().err
    assert (
        "stopping at step 6: Loss was not better in 2 evaluations; the best, "
        f"{log[0]['Loss']:.4f}, is in {tmp_path / 'best'}"
    ) in message
    assert checkpoints.checkpoint_step(tmp_path) == 6
    assert checkpoints.checkpoint_step(tmp_path / "best") == 2
    assert checkpoints.is_done(tmp_path)


@pytest.mark.long
def test_moving_averages_are_evaluated_where_they_are_kept(tmp_path, capfd):
    flags = ["--eval_every=6", "--max_number_of_steps=6", "--moving_average_decay=0.5"]
    assert run(tmp_path, *flags) == 0
    assert "evaluations use the moving averages of the variables\n" in capfd.readouterr().err
    for path in (tmp_path, tmp_path / "best"):
        flags = ["--dataset_name=digits", f"--checkpoint_path={path}"]
        assert evaluate.main(["eval.py", *flags]) == 0
        accuracy = re.search(r"eval/Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1]
        assert float(accuracy) == pytest.approx(log_of(tmp_path)[0]["Accuracy"], abs=1e-4)


@pytest.mark.long
def test_any_metric_can_be_evaluated_and_be_the_best(tmp_path):
    flags = ["--eval_every=10", "--metrics=MeanF1,Recall_2", "--best_metric=CohenKappa"]
    assert run(tmp_path, *flags, "--max_number_of_steps=10") == 0
    (line,) = log_of(tmp_path)
    assert list(line) == ["step", "MeanF1", "Recall_2", "CohenKappa"]
    (best,) = (tmp_path / "best").glob("[0-9]*")
    assert checkpoints.read_contract(best)["best"] == line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--eval_every=5", "--best_metric=F1"], "--best_metric: there is no metric 'F1'; give "
         "some of Accuracy, Loss"),
        (["--eval_every=5", "--metrics=AUC"], "--metrics: AUC is of two classes"),
        (["--early_stopping_evaluations=2"], "goes with --eval_every, which is not given"),
        (["--eval_every=5", "--eval_split_name=tset"], "split name tset was not recognized"),
        (["--eval_every=-1"], "eval_every"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(flags, message, tmp_path, capfd):
    assert run(tmp_path / "run", "--max_number_of_steps=1", *flags) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_best_state_that_a_store_does_not_take_is_a_warning(tmp_path, monkeypatch, capfd):
    save = validation.Validation._save_best

    def fail_once(self, step, state):
        if step == 5:
            raise OSError("checkpoint best/5 could not be saved: it is away.")
        save(self, step, state)

    flags = ["--eval_every=5", "--max_number_of_steps=10"]
    monkeypatch.setattr(validation.Validation, "_save_best", fail_once)
    assert run(tmp_path / "disk", *flags) != 0
    monkeypatch.setattr(validation, "was_outage", lambda directory, error: True)
    assert run(tmp_path / "store", *flags) == 0
    said = "best/5 could not be saved: it is away; training goes on, and the next better state is"
    assert said in capfd.readouterr().err
    found = types.SimpleNamespace(
        _best_step=5, _found={5: {"Accuracy": 0.5}}, _metric="Accuracy", _is_kept=False
    )
    in_words = validation.Validation.best_in_words(found)
    assert "Accuracy 0.5000 at step 5, not kept, for the store was away; " in in_words
