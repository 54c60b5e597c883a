"""train.py --eval_every: eval.py's code within training, the best checkpoint, early stopping."""

import json
import re

import pytest

import jslim as slim
from jslim import checkpoints
from jslim.cli import evaluate, train

FLAGS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=16", "--optimizer=momentum", "--save_summaries_secs=0",
    "--log_every_n_steps=100",
]  # fmt: skip


def run(directory, *flags):
    return train.main([*FLAGS, f"--train_dir={directory}", *flags])


def log_of(directory):
    return [json.loads(line) for line in (directory / "evaluations.jsonl").read_text().splitlines()]


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
    assert list((tmp_path / "eval").glob("events*"))


def test_training_does_not_depend_on_evaluations_and_resume_remembers(tmp_path):
    assert run(tmp_path / "plain", "--max_number_of_steps=12") == 0
    for steps in (6, 12):
        assert run(tmp_path / "both", "--eval_every=4", f"--max_number_of_steps={steps}") == 0
    one, other = (checkpoints.load_variables(tmp_path / name) for name in ("plain", "both"))
    assert all((one[name] == other[name]).all() for name in one)
    assert [line["step"] for line in log_of(tmp_path / "both")] == [4, 8, 12]


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


def test_moving_averages_are_evaluated_where_they_are_kept(tmp_path, capfd):
    flags = ["--eval_every=6", "--max_number_of_steps=6", "--moving_average_decay=0.5"]
    assert run(tmp_path, *flags) == 0
    assert "evaluations use the moving averages of the variables\n" in capfd.readouterr().err
    for path in (tmp_path, tmp_path / "best"):
        flags = ["--dataset_name=digits", f"--checkpoint_path={path}"]
        assert evaluate.main(["eval.py", *flags]) == 0
        accuracy = re.search(r"eval/Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1]
        assert float(accuracy) == pytest.approx(log_of(tmp_path)[0]["Accuracy"], abs=1e-4)


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
