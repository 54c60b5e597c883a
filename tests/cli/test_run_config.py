"""train.py remembers the flags of a run, in `TRAIN_DIR/config.json`."""

import importlib.metadata
import json
import os
import pathlib
import re
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from jslim import checkpoints
from jslim.cli import flagfiles, run_config, train
from jslim.cli.flags import UsageError, config_of, flag_values, flags_of
from jslim.cli.train import TrainConfig

DIGITS = [
    "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=16",
    "--optimizer=momentum", "--momentum=0.8", "--save_summaries_secs=0",
]  # fmt: skip


def main(*words):
    return train.main(["train.py", *map(str, words)])


def parsed(*words):
    values = flag_values(TrainConfig)
    return config_of(TrainConfig, values, flagfiles.parse(values, ["train.py", *words])[1:])


def completed(*words):
    return parsed(*words).completed(lambda more: parsed(*more, *words))


def held(directory):
    return json.loads((directory / "config.json").read_text())


def weights(directory):
    return checkpoints.restore_variables(directory)["params"]["LeNet"]["fc3"]["weights"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three steps of LeNet on the digits."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    assert main(*DIGITS, "--max_number_of_steps=3", f"--train_dir={directory}") == 0
    return directory


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def files_of(directory):
    return {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_the_file_holds_flags_versions_and_devices(trained):
    config = held(trained)
    assert config["format"] == 1
    kept = {one.name for one in flags_of(TrainConfig) if one.rules.get("on_resume") != "not_kept"}
    assert config["flags"].keys() == kept
    assert config["flags"]["momentum"] == 0.8
    assert config["flags"]["weight_decay"] == TrainConfig.weight_decay
    given = [re.match(r"--(\w+)", word)[1] for word in DIGITS]
    assert config["given"] == sorted([*given, "max_number_of_steps"])
    (start,) = config["starts"]
    assert start["step"] == 0
    assert start["given"].keys() == {*config["given"]}
    assert start["changed"] == {}
    assert start["versions"]["jax"] == jax.__version__
    assert start["versions"]["jslim"] == importlib.metadata.version("jslim")
    assert start["devices"]["count"] == jax.device_count()


def test_which_flags_a_run_keeps_takes_anew_or_forgets():
    """A run refuses another value of these: its variables, optimizer and labels depend on them."""
    by_rule: dict[str | None, set[str]] = {}
    for one in flags_of(TrainConfig):
        by_rule.setdefault(one.rules.get("on_resume"), set()).add(one.name)
    optimizer = {one.name for one in flags_of(TrainConfig) if one.group == "The optimizer"}
    assert by_rule[None] == optimizer | {
        "model_name", "model_file", "train_image_size", "preprocessing_name", "labels_offset",
        "seed",
        "checkpoint_path", "checkpoint_exclude_scopes", "ignore_missing_vars", "trainable_scopes",
        "freeze_batch_norm", "moving_average_decay", "dataset_split_name", "validation_fraction",
        "validation_seed", "balanced_sampling", "apply_exif_orientation",
    }  # fmt: skip
    assert by_rule["not_kept"] == {
        "help", "helpfull", "compilation_cache_dir", "train_dir", "config", "start_from",
        "data_changed", "dry_run", "preview_file",
        "profile_steps", "distributed", "coordinator_address",
        "num_processes", "process_id", "heartbeat_timeout_secs", "find_learning_rate",
        "find_learning_rate_steps", "find_learning_rate_plot",
    }  # fmt: skip
    assert {"max_number_of_steps", "learning_rate", "batch_size", "num_clones"} <= by_rule[
        "may_change"
    ]


@pytest.mark.long
def test_the_directory_alone_goes_on_with_the_flags_of_the_run(trained, tmp_path, capfd):
    assert main(*DIGITS, "--max_number_of_steps=2", f"--train_dir={tmp_path}") == 0
    assert main("--max_number_of_steps=3", f"--train_dir={tmp_path}") == 0
    messages = capfd.readouterr().err
    assert "flags that change in this run: --max_number_of_steps from 2 to 3\n" in messages
    np.testing.assert_array_equal(weights(tmp_path), weights(trained))
    config = held(tmp_path)
    assert config["flags"] == held(trained)["flags"]
    assert [start["step"] for start in config["starts"]] == [0, 2]
    assert config["starts"][1]["given"] == {"max_number_of_steps": 3}
    assert config["starts"][1]["changed"] == {"max_number_of_steps": [2, 3]}
    before = files_of(tmp_path)
    assert main(f"--train_dir={tmp_path}") == 0
    assert "has step 3 of 3 already" in capfd.readouterr().err
    assert files_of(tmp_path)[tmp_path / "config.json"] == before[tmp_path / "config.json"]


def test_what_may_not_change_is_refused_with_both_values(run, capfd):
    before = files_of(run)
    flags = ["--optimizer=adam", "--learning_rate=0.5", "--seed=7", "--checkpoint_path=/x"]
    assert main(f"--train_dir={run}", *flags) == 2
    assert capfd.readouterr().err == (
        f"train.py: the run in --train_dir, at {run}/3, keeps no --checkpoint_path (/x is given), "
        "--optimizer=momentum (adam is given), --seed=0 (7 is given); drop these flags to resume "
        "it, or give another --train_dir to start anew\n"
    )
    assert main(f"--train_dir={run}", "--nouse_nesterov", "--momentum=0.9") == 2
    assert capfd.readouterr().err == (
        f"train.py: the run in --train_dir, at {run}/3, keeps --momentum=0.8 (0.9 is given); drop "
        "this flag to resume it, or give another --train_dir to start anew\n"
    )
    assert files_of(run) == before


def test_what_may_change_is_taken_and_named_with_both_values(run):
    words = ["--batch_size=64", "--recompute_scopes=LeNet/fc3", "--report_norms"]
    config = completed(f"--train_dir={run}", *words)
    assert (config.batch_size, config.report_norms, config.model_name) == (64, True, "lenet")
    assert config.optimizer_arguments["momentum"] == 0.8
    assert config.given == {"train_dir", "batch_size", "recompute_scopes", "report_norms"}
    assert run_config.changes(config) == (
        "flags that change in this run: --batch_size from 16 to 64, --recompute_scopes from none "
        "to LeNet/fc3, --report_norms from false to true"
    )
    assert run_config.changes(completed(f"--train_dir={run}", "--batch_size=16")) == ""


def test_of_two_flags_that_say_the_same_the_one_that_is_given_counts(run, tmp_path):
    config = completed(f"--train_dir={run}", "--num_epochs=5")
    assert (config.num_epochs, config.max_number_of_steps) == (5, None)
    assert run_config.changes(config) == (
        "flags that change in this run: --max_number_of_steps from 3 to none, --num_epochs from "
        "none to 5.0"
    )
    run_config.write(config, tmp_path / "other", 3)
    again = completed(
        f"--config={tmp_path / 'other'}", "--train_dir=new", "--max_number_of_steps=9"
    )
    assert (again.num_epochs, again.max_number_of_steps) == (None, 9)
    both = completed(f"--train_dir={run}", f"--config={tmp_path / 'other'}")
    assert (both.num_epochs, both.max_number_of_steps) == (5, None)


def test_a_run_like_another_one_takes_its_flags_and_those_that_are_given(trained, tmp_path):
    for path in (trained, trained / "config.json"):
        config = completed(f"--config={path}", f"--train_dir={tmp_path}/new", "--optimizer=adam")
        assert (config.optimizer, config.model_name, config.batch_size) == ("adam", "lenet", 16)
        assert config.run is None
        assert "model_name" in config.given_before
        assert run_config.changes(config) == ""


@pytest.mark.long
def test_the_same_command_like_another_one_goes_on(trained, tmp_path, capfd):
    words = [f"--config={trained}", f"--train_dir={tmp_path}", "--batch_size=8"]
    for steps in (1, 2):
        assert main(*words, f"--max_number_of_steps={steps}") == 0
    assert "--max_number_of_steps from 1 to 2\n" in capfd.readouterr().err
    config = held(tmp_path)
    assert config["given"] == held(trained)["given"]
    assert config["flags"] == held(trained)["flags"] | {"batch_size": 8, "max_number_of_steps": 2}
    assert main(*words, f"--config={tmp_path}", "--seed=1") == 2


@pytest.mark.long
def test_a_run_of_before_there_was_such_a_file_goes_on_as_it_did(run, capfd):
    (run / "config.json").unlink()
    assert main(f"--train_dir={run}") == 2
    assert "--dataset_name is missing" in capfd.readouterr().err
    assert main(f"--train_dir={run}", *DIGITS, "--optimizer=adam", "--momentum=0.9") == 2
    assert "goes with --optimizer=momentum" in capfd.readouterr().err
    flags = [f"--train_dir={run}", *DIGITS, "--max_number_of_steps=4"]
    assert main(*flags, "--model_name=cifarnet") == 2
    assert "model_name is 'lenet' there and 'cifarnet' here" in capfd.readouterr().err
    assert main(*flags) == 0
    assert [start["step"] for start in held(run)["starts"]] == [3]
    assert main(f"--train_dir={run}", "--max_number_of_steps=5") == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "does not hold the flags of a run, or is damaged: format is missing; move it away"),
        ('{"model_type": "bert"}', "format is missing; move it away, and give all flags of the"),
        ("[1", "it is no JSON"),
        (None, "it is a named pipe, not a file; move it away"),
        ({"format": 2}, "has format 2, and this jslim reads up to 1: install a newer one"),
        ({"flags": {"batch_size": 0}}, "config.json: flag --batch_size=0: 0 is not a positive"),
        ({"flags": {"batch_size": True}}, "config.json: flag --batch_size=true: invalid literal"),
        ({"flags": {"learning_rate": float("nan")}}, "it must be a finite number, got nan"),
        ({"flags": {"batch_sizes": 3}}, "the flag 'batch_sizes' is not one that a run of this "
         "jslim has; did you mean 'batch_size'"),
        ({"flags": {"flagfile": "/etc/passwd"}}, "the flag 'flagfile' is not one that a run of"),
        ({"flags": {"train_dir": "/tmp"}}, "the flag 'train_dir' is not one that a run of this"),
        ({"flags": {"seed": [1]}}, "flags.seed must be a text, a number, true, false or null"),
        ({"flags": {"seed": {"jslim/bytes": "x"}}}, "flags.seed non-hexadecimal number found"),
        ({"given": 3}, "given must be a list, got 3"),
    ],
)  # fmt: skip
def test_another_file_or_a_damaged_one_is_named_and_left_alone(content, message, run, capfd):
    path = run / "config.json"
    if isinstance(content, dict):
        content = json.dumps(held(run) | content)
    path.unlink()
    os.mkfifo(path) if content is None else path.write_text(content)
    before = path.stat().st_mtime_ns
    assert main(f"--train_dir={run}", *DIGITS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("train.py: ")
    assert message in line
    assert str(run) in line
    assert path.stat().st_mtime_ns == before


def test_a_new_run_does_not_replace_the_file_of_another_program(tmp_path, capfd):
    (tmp_path / "config.json").write_text('{"architectures": ["Bert"]}')
    assert main(f"--train_dir={tmp_path}", *DIGITS, "--max_number_of_steps=1") == 2
    assert "does not hold the flags of a run" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_run_like_none_is_refused(tmp_path, capfd):
    assert main(f"--train_dir={tmp_path}/a", f"--config={tmp_path}/b") == 2
    assert capfd.readouterr().err == (
        f"train.py: --config: there is no config.json of a run at '{tmp_path}/b'\n"
    )


def test_paths_mean_the_same_from_another_directory_whatever_their_letters(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    config = parsed("--dataset_dir=../d\udce9", "--checkpoint_path=~/c", "--train_dir=run")
    run_config.write(config, "run", 5)
    monkeypatch.chdir(tmp_path)
    found = run_config.read("a/run")
    assert found.flags["dataset_dir"] == f"{tmp_path}/d\udce9"
    assert found.flags["checkpoint_path"] == str(pathlib.Path.home() / "c")
    again = completed("--config=a/run", "--train_dir=b")
    assert again.dataset_dir == f"{tmp_path}/d\udce9"


def test_a_run_that_is_started_often_keeps_the_first_start_and_the_last_ones(trained, tmp_path):
    starts = [{"step": step} for step in range(300)]
    run = run_config.read(trained)._replace(starts=starts)
    run_config.write(TrainConfig(run=run), tmp_path, 300)
    assert [start["step"] for start in held(tmp_path)["starts"]] == [0, *range(102, 301)]


@pytest.mark.long
def test_the_evaluated_split_that_was_said_once_need_not_be_said_again(run, capfd):
    words = [f"--train_dir={run}", "--eval_every=1"]
    same = ["--eval_split_name=train"]
    assert main(*words, *same, "--max_number_of_steps=4") == 0
    assert main(*words, "--max_number_of_steps=5") == 0
    assert "are the images that are trained on; their metrics do" in capfd.readouterr().err


@pytest.fixture
def photos(tmp_path):
    """Six images of two classes."""
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / "photos" / "train" / ("ant", "bee")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.mark.long
def test_images_may_be_added_to_the_data_set_where_that_is_said(photos, tmp_path, capfd):
    words = [
        "--dataset_name=folder", f"--dataset_dir={photos}", "--model_name=lenet",
        "--train_image_size=8", "--batch_size=2", f"--train_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    assert main(*words, "--max_number_of_steps=2") == 0
    image = photos / "train" / "ant" / "0.png"
    for number in (7, 8):
        shutil.copy(image, image.with_name(f"{number}.png"))
    capfd.readouterr()
    again = [f"--train_dir={tmp_path / 'run'}", "--max_number_of_steps=3"]
    assert main(*again) == 2
    assert re.search(
        r"it was saved with num_samples 6, these have 8; .*, go on with --data_changed$",
        capfd.readouterr().err.strip(),
    )
    assert main(*again, "--data_changed") == 0
    assert (
        "the records of 'folder/train' are not those of the saved position (6 then, 8 now): epoch "
        "2 starts with them\n"
    ) in capfd.readouterr().err
    # At the third step the second epoch of eight images began, and one batch of it was taken.
    meta = json.loads((tmp_path / "run" / "3" / "meta.json").read_text())
    assert meta["body"]["data_state"] == {
        "dataset": "folder/train", "num_samples": 8, "is_shuffled": True, "seed": 0,
        "is_balanced": False,
        "position": 10, "files": train.data.get_dataset("folder", "train", photos).fingerprint,
    }  # fmt: skip
    assert main(*again, "--max_number_of_steps=4") == 0
    image.rename(photos / "train" / "bee" / "9.png")
    assert main(*again, "--max_number_of_steps=5") == 2
    assert "it was saved with files '" in capfd.readouterr().err


def test_a_dry_run_takes_a_step_and_writes_nothing(photos, tmp_path, capfd):
    before = files_of(tmp_path)
    words = [
        "--dataset_name=folder", f"--dataset_dir={photos}", "--model_name=lenet", "--dry_run",
        "--train_image_size=8", "--batch_size=2", f"--train_dir={tmp_path / 'run'}",
        "--max_number_of_steps=9", "--profile_steps=1,2",
    ]  # fmt: skip
    assert main(*words, "--eval_every=1", "--eval_split_name=train") == 0
    messages = capfd.readouterr().err
    assert "starting from scratch: lenet on folder/train\n" in messages
    assert "folder/train: 6 images of 2 classes" in messages
    assert re.search(
        r"dry run: step 1 of 2 images and the evaluation of a batch of folder/train took [\d.]+ s",
        messages,
    )
    assert messages.endswith("dry run: nothing was written; leave out --dry_run to train\n")
    assert files_of(tmp_path) == before
    (photos / "train" / "ant" / "0.png").write_bytes(b"no image")
    assert main(*words, "--batch_size=6") == 2
    assert "0.png" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_dry_run_of_a_run_that_would_go_on(run, capfd):
    before = files_of(run)
    assert main(f"--train_dir={run}", "--max_number_of_steps=5", "--dry_run") == 0
    assert "dry run: step 4 of 16 images took" in capfd.readouterr().err
    assert main(f"--train_dir={run}", "--dataset_split_name=test", "--dry_run") == 2
    assert "keeps --dataset_split_name=train (test is given)" in capfd.readouterr().err
    assert files_of(run) == before


def test_words_of_a_file_are_not_taken_for_other_flags(trained, tmp_path):
    content = held(trained)
    content["flags"]["recompute_scopes"] = "--seed=9"
    content["flags"]["dataset_split_name"] = ""
    (tmp_path / "config.json").write_text(json.dumps(content))
    config = completed(f"--config={tmp_path}", f"--train_dir={tmp_path / 'new'}")
    assert (config.recompute_scopes, config.seed, config.dataset_split_name) == ("--seed=9", 0, "")


def test_reading_names_the_file(tmp_path):
    assert run_config.read(tmp_path) is None
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match=r"x\.json' does not hold the flags of a run"):
        run_config.read(tmp_path / "x.json")
