"""`jslim runs` and `jslim plot`: the runs in a folder, their best values and their curves."""

import json
import shutil
import sys

import numpy as np
import pytest

from jslim.cli import plot, runs, train
from jslim.summaries import SummaryWriter, read_rows

FLAGS = [
    "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=8",
    "--max_number_of_steps=2", "--optimizer=momentum", "--log_every_n_steps=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with evaluations, one without, and folders that are none."""
    root = tmp_path_factory.mktemp("runs")
    one = ["--eval_every=1", "--metrics=Accuracy,Loss", f"--train_dir={root / 'deep' / 'one'}"]
    assert train.main(["train.py", *FLAGS, *one]) == 0
    assert train.main(["train.py", *FLAGS, f"--train_dir={root / 'two'}"]) == 0
    evaluations = [{"step": step, "Accuracy": a, "Loss": b} for step, a, b in
                   ((1, 0.5, 0.9), (2, 0.75, 0.7), (3, 0.25, 0.8))]  # fmt: skip
    lines = "".join(json.dumps(line) + "\n" for line in evaluations)
    (root / "deep" / "one" / "evaluations.jsonl").write_text(lines)
    (root / "photos" / "cat").mkdir(parents=True)
    return root


def listed(*words, capfd):
    capfd.readouterr()
    assert runs.main(["jslim runs", *map(str, words)]) == 0
    return capfd.readouterr()


def test_runs_are_found_and_their_best_values(folder, capfd):
    rows = json.loads(listed(folder, "--json", capfd=capfd).out)
    assert [row["run"] for row in rows] == [str(folder / "deep" / "one"), str(folder / "two")]
    one, two = rows
    assert (one["step"], one["state"]) == (2, "done")
    assert (one["network"], one["data"]) == ("lenet", "digits")
    assert (one["metric"], one["best"], one["best_step"]) == ("Accuracy", 0.75, 2)
    assert (two["best"], two["best_step"]) == (None, None)
    assert one["saved_at"] > 1e9
    losses = [row["total_loss"] for row in read_rows(folder / "two" / "metrics.jsonl")]
    assert len(losses) == 2
    assert two["loss"] == losses[1]
    lines = listed(folder, capfd=capfd).out.splitlines()
    assert lines[0].split() == ["step", "loss", "best", "network", "data", "saved", "run"]
    assert "Accuracy 0.7500 at 2" in lines[1]
    assert lines[1].endswith(f"  {folder}/deep/one")


def test_the_best_of_another_metric(folder, capfd):
    rows = json.loads(listed(folder / "deep", "--metric=Loss", "--json", capfd=capfd).out)
    assert [(row["best"], row["best_step"]) for row in rows] == [(0.7, 2)]
    assert runs.main(["jslim runs", "--metric=Los", str(folder)]) == 2
    assert "--metric: there is no metric 'Los'; give some of" in capfd.readouterr().err


def test_an_evaluation_that_is_nan_is_not_the_best(folder, tmp_path, capfd):
    run = shutil.copytree(folder / "two", tmp_path / "run")
    lines = ['{"step": 1, "Accuracy": NaN}', '{"step": 2, "Accuracy": 0.5}', '{"step": 3}']
    (run / "evaluations.jsonl").write_text("\n".join(lines))
    (row,) = json.loads(listed(run, "--json", capfd=capfd).out)
    assert (row["best"], row["best_step"]) == (0.5, 2)


def test_a_broken_run_is_listed_as_broken(folder, tmp_path, capfd):
    run = shutil.copytree(folder / "two", tmp_path / "run")
    for step in ("0", "2"):
        (run / step / "meta.json").write_text("{}")
    (run / "training_done.json").unlink()
    (run / "config.json").write_text("[")
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    found = listed(run, "--json", capfd=capfd)
    (row,) = json.loads(found.out)
    assert (row["state"], row["step"], row["network"], row["data"]) == ("broken", 0, "", "")
    assert "config.json' does not hold the flags of a run" in found.err
    assert row["loss"] is None
    assert "metrics.jsonl cannot be read: it is a folder, not a file" in found.err


def test_where_there_is_no_run_that_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert runs.main(["jslim runs"]) == 2
    assert "there is no run in .; give the folder that holds some" in capfd.readouterr().err
    assert runs.main(["jslim runs", "none"]) == 2
    assert "there is no folder 'none'" in capfd.readouterr().err


def draw(*words):
    return plot.main(["jslim plot", *map(str, words)])


def test_curves_are_those_of_metrics_evaluations_and_event_files(tmp_path):
    run = tmp_path / "run"
    with SummaryWriter(run) as writer:
        for step in (1, 2):
            writer.scalar(step, "total_loss", 1 / step)
            writer.scalar(step, "images/sec", 100)
    with SummaryWriter(run / "eval") as writer:
        writer.scalar(2, "Accuracy", 0.5)
    curves: plot.Curves = {}
    plot.add_curves(curves, run, "a")
    assert curves == {
        "total_loss": {"a": [(1, 1.0), (2, 0.5)]},
        "images/sec": {"a": [(1, 100.0), (2, 100.0)]},
        "Accuracy": {"a (evaluation)": [(2, 0.5)]},
    }
    rows = ['{"step": 4, "time": 1.0, "total_loss": 7}', '{"step": 4, "total_loss": 0.25}']
    (run / "metrics.jsonl").write_text("\n".join(rows))
    (run / "evaluations.jsonl").write_text('{"step": 4, "Accuracy": 0.75}\n')
    curves = {}
    plot.add_curves(curves, run, "a")
    assert curves == {
        "total_loss": {"a": [(4, 0.25)]},
        "Accuracy": {"a (evaluation)": [(4, 0.75)]},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give directories of runs: jslim plot [flags] RUN ..."),
        (["none"], "there is no run at 'none'"),
        (["."], "'.' has no numbers: no metrics.jsonl, evaluations.jsonl or event file with some;"),
        (["run", "--tags=loss,Accuracy"], "--tags: no run has 'Accuracy'"),
        (["run", "--output=a.pdf"], "it must end in .png (a picture), got 'a.pdf'"),
    ],
)
def test_what_cannot_be_drawn_is_said(words, message, tmp_path, monkeypatch, capfd):
    pytest.importorskip("matplotlib", reason="`make test-all` installs it")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    assert draw(*words) == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_without_matplotlib_what_to_install_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw(tmp_path) == 2
    assert capfd.readouterr().err == (
        "jslim plot: jslim plot needs Matplotlib, which is not installed; run: pip install "
        "'jslim[plot]'\n"
    )


@pytest.mark.long
def test_a_picture_has_a_chart_for_each_value_and_a_curve_for_each_run(tmp_path, capfd):
    from PIL import Image

    for name, factor in (("a_$x$", 1), ("b", 2)):
        lines = [
            json.dumps({"step": step, "loss": factor / step, "rate": 0.1, "images/sec": 5.0})
            for step in range(1, 100)
        ]
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("\n".join(lines))
    sizes = []
    for words in (["--tags=loss"], [], ["--tags=*"]):
        path = tmp_path / "out" / "curves.png"
        assert draw(tmp_path / "a_$x$", tmp_path / "b", f"--output={path}", *words) == 0
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        sizes.append(pixels.shape[1])
        for colour in ((31, 119, 180), (255, 127, 14)):  # Matplotlib's first two
            assert (pixels == colour).all(axis=-1).sum() > 100
    assert sizes[0] < sizes[1] == sizes[2]
    assert f"drew {path}: 3 charts of a_$x$, b\n" in capfd.readouterr().err
