"""train.py and eval.py --report_to, by the services' own packages, offline."""

import json
import sys

import pytest

from jslim import checkpoints
from jslim.cli import evaluate, train

FLAGS = [
    "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
    "--batch_size=8", "--log_every_n_steps=1", "--eval_every=2",
]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--report_to=mlfow", "--report_to: there is no service 'mlfow'; give some of wandb, "
         "mlflow; did you mean 'mlflow'?"),
        ("--report_to=mlflow", "--report_to=mlflow needs mlflow, which is not installed; run: pip "
         "install 'jslim[mlflow]'"),
        ("--report_to=wandb", "--report_to=wandb needs wandb, which is not installed; run: pip "
         "install 'jslim[wandb]'"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_to_is_said(flags, message, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert train.main([*FLAGS, f"--train_dir={tmp_path / 'run'}", flags]) == 2
    assert message in capfd.readouterr().err
    assert evaluate.main(["eval.py", f"--checkpoint_path={tmp_path}", flags]) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_mlflow_has_training_and_evaluations_in_one_run_that_goes_on(tmp_path, monkeypatch, capfd):
    mlflow = pytest.importorskip("mlflow", reason="`make test-all` installs it")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'runs'}")
    mlflow.set_experiment("digits")  # another test may have set one of another store
    run = tmp_path / "digits"
    for steps in (2, 4):
        flags = [f"--max_number_of_steps={steps}", f"--train_dir={run}", "--report_to=mlflow"]
        assert train.main([*FLAGS, *flags]) == 0
    run_id = json.loads((run / "reports.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    found = client.get_run(run_id)
    assert (found.info.run_name, found.info.status) == ("digits", "FINISHED")
    assert found.data.params["model_name"] == "lenet"
    for tag, steps in (("Accuracy", [1, 2, 3, 4]), ("eval/Accuracy", [2, 4])):
        assert [one.step for one in client.get_metric_history(run_id, tag)] == steps
    flags = [f"--checkpoint_path={run}", "--dataset_name=digits", "--report_to=mlflow"]
    assert evaluate.main(["eval.py", *flags, f"--eval_dir={tmp_path / 'again'}"]) == 0
    run_id = json.loads((tmp_path / "again" / "reports.json").read_text())["mlflow"]
    assert [one.step for one in client.get_metric_history(run_id, "eval/Loss")] == [4]
    (run / "reports.json").write_text("[")
    assert train.main([*FLAGS, "--max_number_of_steps=5", f"--train_dir={run}",
                       "--report_to=mlflow"]) == 2  # fmt: skip
    assert "reports.json' does not hold the ids of runs: it is no JSON" in capfd.readouterr().err


@pytest.mark.long
def test_a_run_that_is_refused_leaves_nothing_at_the_service(tmp_path, monkeypatch, capfd):
    mlflow = pytest.importorskip("mlflow", reason="`make test-all` installs it")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'runs'}")
    mlflow.set_experiment("digits")
    flags = ["--max_number_of_steps=2", f"--train_dir={tmp_path / 'run'}", "--report_to=mlflow"]
    with checkpoints.CheckpointManager(tmp_path / "run"):
        assert train.main([*FLAGS, *flags]) == 2
    assert "belongs to a run that has not ended" in capfd.readouterr().err
    assert mlflow.search_runs(output_format="list") == []
    assert not (tmp_path / "run" / "reports.json").exists()


@pytest.mark.long
def test_training_goes_on_without_its_service(tmp_path, monkeypatch, capfd):
    mlflow = pytest.importorskip("mlflow", reason="`make test-all` installs it")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'runs'}")
    mlflow.set_experiment("digits")
    run = tmp_path / "run"

    log_batch = mlflow.MlflowClient.log_batch

    def fail(client, run_id, metrics=(), **others):
        if metrics:
            raise mlflow.exceptions.MlflowException("the service is gone")
        log_batch(client, run_id, **others)  # of the flags

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", fail)
    flags = ["--max_number_of_steps=4", f"--train_dir={run}", "--report_to=mlflow"]
    assert train.main([*FLAGS, *flags]) == 0
    assert capfd.readouterr().err.count("the service is gone") == 1
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "total_loss" in row] == [1, 2, 3, 4]


@pytest.mark.long
def test_weights_and_biases_has_training_and_evaluations(tmp_path, monkeypatch, capfd):
    wandb = pytest.importorskip("wandb", reason="`make test-all` installs it")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged = []
    log = wandb.Run.log
    monkeypatch.setattr(wandb.Run, "log", lambda run, row: (logged.append(row), log(run, row))[1])
    run = tmp_path / "digits"
    flags = ["--max_number_of_steps=2", f"--train_dir={run}", "--report_to=wandb"]
    assert train.main([*FLAGS, *flags, "--save_summaries_secs=1e-9"]) == 0
    wandb.teardown()
    run_id = json.loads((run / "reports.json").read_text())["wandb"]
    (folder,) = (run / "wandb").glob(f"offline-run-*-{run_id}")
    assert list(folder.glob("*.wandb"))
    steps = {
        tag: [row["global_step"] for row in logged if tag in row]
        for tag in ("Accuracy", "eval/Accuracy", "LeNet/conv1/weights", "input_images/image/0")
    }
    assert steps == {
        "Accuracy": [1, 2], "eval/Accuracy": [2], "LeNet/conv1/weights": [1, 2],
        "input_images/image/0": [1, 2],
    }  # fmt: skip
