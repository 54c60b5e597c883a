"""train.py and eval.py as a person runs them: in processes of their own, on real image files."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from programs import ending

from jslim import checkpoints
from jslim.cli import evaluate, train

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = ["--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=16"]
QUICK = ["--optimizer=momentum", "--max_number_of_steps=6", "--log_every_n_steps=2"]


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of real JPEG and PNG files: two splits of the classes lying and standing stripes."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 7)):
        for name, axis in (("lying", 0), ("standing", 1)):
            directory = root / split / name
            directory.mkdir(parents=True)
            for number in range(count):
                size = (int(rng.integers(34, 50)), int(rng.integers(34, 50)))
                stripes = np.sin(np.indices(size)[axis] * rng.uniform(0.8, 1.2))[..., None]
                pixels = np.clip(128 + 80 * stripes + rng.normal(0, 20, (*size, 3)), 0, 255)
                suffix = "png" if number % 4 == 0 else "jpg"
                Image.fromarray(pixels.astype(np.uint8)).save(directory / f"{number}.{suffix}")
    return root


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A directory in which six steps of LeNet on the digits were taken."""
    directory = tmp_path_factory.mktemp("trained")
    assert train.main(["train.py", *DIGITS, *QUICK, f"--train_dir={directory}"]) == 0
    return directory


def files_of(directory):
    return sorted((p, p.stat().st_mtime_ns) for p in directory.rglob("*"))


def folder_flags(photos, train_dir):
    return [
        "--dataset_name=folder", f"--dataset_dir={photos}", "--model_name=cifarnet",
        f"--train_dir={train_dir}", "--batch_size=8", "--optimizer=momentum",
        "--learning_rate=0.01", "--weight_decay=0", "--log_every_n_steps=10",
    ]  # fmt: skip


@pytest.mark.long
def test_a_folder_of_images_is_trained_on_and_evaluated(photos, tmp_path):
    arguments = [*folder_flags(photos, tmp_path / "run"), "--max_number_of_steps=40"]
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *arguments],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "24 images of 2 classes" in done.stderr
    assert "starting from scratch" in done.stderr
    fields = r"loss \S+  accuracy \d\.\d+  epoch 13\.3  \d+ images/s  waiting for data \d+%"
    assert re.search(rf"step 40/40  {fields}  0:00 left", done.stderr)
    contract = checkpoints.read_contract(tmp_path / "run")
    assert contract["class_names"] == ["lying", "standing"]
    assert contract["model_name"] == "cifarnet"
    evaluated = subprocess.run(
        [
            sys.executable, ROOT / "eval.py", "--dataset_name=folder", f"--dataset_dir={photos}",
            f"--checkpoint_path={tmp_path / 'run'}", f"--eval_dir={tmp_path / 'eval'}",
            "--batch_size=5",
        ],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    accuracy = float(re.search(r"step 40  eval/Accuracy\[([\d.]+)\]", evaluated.stdout)[1])
    assert accuracy > 0.9
    assert list((tmp_path / "eval").glob("events*"))


@pytest.mark.long
def test_the_same_command_again_goes_on_where_it_stopped(trained, tmp_path, capfd):
    arguments = ["train.py", *DIGITS, "--optimizer=momentum", f"--train_dir={tmp_path}"]
    assert train.main([*arguments, "--max_number_of_steps=3"]) == 0
    assert train.main([*arguments, "--max_number_of_steps=6"]) == 0
    messages = capfd.readouterr().err
    assert re.search(r"resuming .*/3: lenet on", messages)
    whole, parts = (checkpoints.restore_variables(d)["params"] for d in (trained, tmp_path))
    np.testing.assert_array_equal(
        whole["LeNet"]["conv1"]["weights"], parts["LeNet"]["conv1"]["weights"]
    )


@pytest.mark.parametrize(
    ("flag", "used", "asked"),
    [("optimizer", "momentum", "adam"), ("momentum_dtype", "float32", "bfloat16")],
)
def test_another_state_of_the_optimizer_does_not_resume(
    flag, used, asked, trained, tmp_path, capfd
):
    """Also where no config.json says what the run had."""
    (tmp_path / "6").symlink_to(trained / "6")
    flags = ["train.py", *DIGITS, *QUICK, f"--train_dir={tmp_path}", "--max_number_of_steps=7"]
    assert train.main([*flags, f"--{flag}={asked}"]) == 2
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"train.py: the run in --train_dir, at {tmp_path}/6, used --{flag}={used}, and this start "
        f"asks for {asked}; give --{flag}={used} to resume, or another --train_dir to start anew"
    )


@pytest.mark.long
def test_num_clones_splits_the_batch_over_devices(trained, tmp_path):
    arguments = ["train.py", *DIGITS, *QUICK, f"--train_dir={tmp_path}"]
    assert train.main([*arguments, "--num_clones=4", "--batch_size=4"]) == 0
    one, four = (checkpoints.restore_variables(d)["params"] for d in (trained, tmp_path))
    np.testing.assert_allclose(
        one["LeNet"]["conv1"]["weights"], four["LeNet"]["conv1"]["weights"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.long
def test_fine_tuning_takes_all_but_the_excluded_scopes_and_trains_the_named_ones(
    trained, tmp_path, capfd, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    typed = os.path.relpath(trained)
    arguments = [
        "train.py", *DIGITS, *QUICK, f"--train_dir={tmp_path}", f"--checkpoint_path={typed}",
        "--checkpoint_exclude_scopes=LeNet/fc4", "--trainable_scopes=LeNet/fc4, LeNet/fc3",
    ]  # fmt: skip
    assert train.main(arguments) == 0
    assert capfd.readouterr().err.startswith(f"starting from the variables of {typed}: lenet on ")
    old, new = (checkpoints.restore_variables(d)["params"]["LeNet"] for d in (trained, tmp_path))
    np.testing.assert_array_equal(old["conv1"]["weights"], new["conv1"]["weights"])
    assert not np.array_equal(old["fc3"]["weights"], new["fc3"]["weights"])
    assert not np.allclose(old["fc4"]["weights"], new["fc4"]["weights"], atol=1e-2)


@pytest.mark.long
def test_moving_averages_are_kept_and_evaluated(tmp_path, capfd):
    arguments = ["train.py", *DIGITS, *QUICK, f"--train_dir={tmp_path}"]
    assert train.main([*arguments, "--moving_average_decay=0.9"]) == 0
    raw, averaged = (checkpoints.restore_variables(tmp_path, use_ema=ema) for ema in (False, True))
    kernels = [v["params"]["LeNet"]["fc3"]["weights"] for v in (raw, averaged)]
    assert not np.array_equal(*kernels)
    flags = ["eval.py", "--dataset_name=digits", f"--checkpoint_path={tmp_path}"]
    averages, left = "the moving averages of its", "its variables are used as training left them"
    outputs = set()
    for option, which in (
        ([], averages),
        (["--moving_average_decay=0.9"], averages),
        (["--use_moving_averages"], averages),
        (["--eval_interval_secs=1"], averages),
        (["--nouse_moving_averages"], left),
        (["--nouse_moving_averages", "--eval_interval_secs=1"], left),
    ):
        capfd.readouterr()
        assert evaluate.main([*flags, *option]) == 0
        captured = capfd.readouterr()
        assert captured.err.count(f"checkpoint {tmp_path}/6: {which}") == 1
        assert ": its variables" not in captured.err or which == left
        outputs.add((which, captured.out))
    assert len(outputs) == 2
    assert evaluate.main([*flags, "--moving_average_decay=0.9", "--nouse_moving_averages"]) == 2
    assert (
        "--moving_average_decay, which evaluates moving averages, contradicts "
        "--nouse_moving_averages; drop one of them"
    ) in capfd.readouterr().err


@pytest.mark.long
def test_evaluation_reads_one_checkpoint_even_where_training_deletes_it(
    trained, tmp_path, capfd, monkeypatch
):
    flags = ["eval.py", "--dataset_name=digits", f"--checkpoint_path={tmp_path / 'run'}"]
    real = evaluate.image_classifier.open_dataset

    def deleting(*args):
        (tmp_path / "run" / "6").rename(tmp_path / "deleted")
        return real(*args)

    outputs = set()
    for is_deleted in (False, True):
        shutil.copytree(trained, tmp_path / "run", dirs_exist_ok=True)
        if is_deleted:
            monkeypatch.setattr(evaluate.image_classifier, "open_dataset", deleting)
        assert evaluate.main(flags) == 0
        outputs.add(capfd.readouterr().out)
    assert len(outputs) == 1


@pytest.mark.long
def test_evaluation_does_not_depend_on_batch_size_or_devices(trained, capfd):
    flags = ["eval.py", "--dataset_name=digits", f"--checkpoint_path={trained}"]
    lines = []
    for options in (["--batch_size=1"], ["--batch_size=7"],
                    ["--batch_size=64"], ["--batch_size=8", "--num_clones=8"]):  # fmt: skip
        assert evaluate.main([*flags, *options]) == 0
        lines.append(capfd.readouterr().out)
    assert len(set(lines)) == 1
    assert re.match(
        r"step 6  eval/Accuracy\[0\.\d{4}\]  eval/Loss\[\d\.\d{4}\]  eval/Recall_5\[0\.\d{4}\]\n",
        lines[0],
    )


def test_the_evaluation_loop_ends_when_training_has_ended(trained, capfd):
    flags = ["eval.py", "--dataset_name=digits", f"--checkpoint_path={trained}"]
    assert evaluate.main([*flags, "--eval_interval_secs=1"]) == 0
    captured = capfd.readouterr()
    assert captured.out.count("step 6  eval/Accuracy[") == 1
    assert "has ended" in captured.err


def test_the_evaluation_loop_gives_up_after_the_timeout(tmp_path, capfd):
    flags = ["eval.py", "--dataset_name=digits", f"--checkpoint_path={tmp_path}"]
    assert evaluate.main([*flags, "--eval_interval_secs=1", "--timeout_secs=1"]) == 2
    messages = capfd.readouterr().err
    assert "waiting for a checkpoint in" in messages
    assert "no checkpoint came to" in messages


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning_rat=1"], "Unknown command line flag 'learning_rat'. Did you mean: learning"),
        (["--learning_rate=fast"], "flag --learning_rate=fast: could not convert string to float"),
        (["--batch_size=0"], "batch_size"),
        (["--num_ps_tasks=1"], "--num_ps_tasks is TF-Slim's, .*: there are no parameter servers"),
        (["digits"], "unexpected argument 'digits'; flags start with --"),
        (["--dataset_name=digit"], "Name of dataset unknown digit.*did you mean 'digits'"),
        (["--dataset_split_name=tran"], "split name tran was not recognized.*did you mean 'train'"),
        (["--model_name=i3d"], "--model_name: 'i3d' takes videos, and every data set here is one"),
        (["--model_name=lenett"], "there is no network 'lenett'; did you mean 'lenet'"),
        (["--optimizer=adm"], "adm.*adam"),
        (["--learning_rate_decay_type=linear"], "one of .*'polynomial', 'step', got 'linear'"),
        (["--preprocessing_name=lenett"], "lenett.*lenet"),
        (["--num_clones=9"], "9 devices were asked for, but there are 8"),
        (["--dataset_name=folder", "--dataset_dir=/no/such"], "/no/such"),
        (["--dataset_name=folder"], "needs dataset_dir"),
        (["--checkpoint_path=/no/such"], "--checkpoint_path: there is no checkpoint at /no/such, "),
        (["--checkpoint_exclude_scopes=a"], "goes with --checkpoint_path, which is not given"),
        (["--trainable_scopes=fc4"], "'fc4' matches none of the 8 variables.*'LeNet/fc4'"),
        (["--labels_offset=10"], "--labels_offset=10 leaves no class"),
        (["--labels_offset=1"], r"record 'digits/train:\d+'.* has label -1, outside 0 to 8"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence_with_exit_code_2(
    arguments, message, tmp_path, capfd
):
    code = train.main(["train.py", *DIGITS, *QUICK, f"--train_dir={tmp_path / 'run'}", *arguments])
    captured = capfd.readouterr()
    assert code == 2
    assert re.search(message, captured.err), captured.err
    assert "Traceback" not in captured.err
    assert captured.err.splitlines()[-1].startswith("train.py: ")


@pytest.mark.long
def test_ctrl_c_saves_the_step_and_ends_without_a_traceback(tmp_path):
    arguments = [*DIGITS, f"--train_dir={tmp_path}", "--log_every_n_steps=1"]
    # A process that ignores SIGINT, such as one in the background, gives that to its children.
    script = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    training = subprocess.Popen(
        [sys.executable, "-c", script, ROOT / "train.py", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    with ending(training):
        lines = iter(training.stderr.readline, "")
        next(line for line in lines if line.startswith("step "))
        training.send_signal(signal.SIGINT)
        rest = training.communicate(timeout=120)[1]
    assert training.returncode == 130
    saved = int(re.search(r"interrupted: step (\d+) is saved", rest)[1])
    assert checkpoints.checkpoint_step(tmp_path) == saved
    assert f"interrupted by SIGINT at step {saved}" in rest
    assert f"newest checkpoint: {tmp_path}/{saved}" in rest
    assert "Traceback" not in rest


@pytest.mark.long
def test_a_traceback_free_exit_code_2_from_a_real_process(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "eval.py", "--dataset_name=digits",
         f"--checkpoint_path={tmp_path}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(tmp_path) in done.stderr


@pytest.mark.long
def test_an_unreadable_image_is_named(photos, tmp_path, capfd):
    copy = tmp_path / "photos"
    for path in photos.rglob("*.*g"):
        target = copy / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (copy / "train" / "lying" / "3.jpg").write_bytes(b"\xff\xd8 this is no JPEG")
    flags = [*folder_flags(copy, tmp_path / "run"), "--max_number_of_steps=20"]
    assert train.main(["train.py", *flags]) == 2
    messages = capfd.readouterr().err
    assert "3.jpg" in messages
    assert "; or give --skip_bad_records=N to leave out as many as N records like it" in messages
    assert re.search(r"the data failed after step \d, which is saved", messages)
    assert "Traceback" not in messages
    flags += ["--skip_bad_records=1", "--batch_size=2", "--max_number_of_steps=20"]
    assert train.main(["train.py", *flags]) == 0
    assert re.search(r"bad record 1 is left out: image '.*3\.jpg' cannot", capfd.readouterr().err)
    table = tmp_path / "x.csv"
    flags = [
        "eval.py", "--dataset_name=folder", f"--dataset_dir={copy}", "--dataset_split_name=train",
        f"--checkpoint_path={tmp_path / 'run'}", "--skip_bad_records=3", "--batch_size=3",
        f"--predictions_file={table}",
    ]  # fmt: skip
    assert evaluate.main(flags) == 0
    assert "were left out: 1" in capfd.readouterr().err
    lines = table.read_text().splitlines()[1:]
    images = sorted(str(path) for path in (copy / "train").rglob("*.*g"))
    images.remove(str(copy / "train" / "lying" / "3.jpg"))
    assert [line.partition(",")[0] for line in lines] == images


def test_a_train_dir_of_another_model_is_refused_and_left_alone(photos, trained, capfd):
    before = files_of(trained)
    code = train.main(["train.py", *folder_flags(photos, trained), "--max_number_of_steps=9"])
    assert code == 2
    assert capfd.readouterr().err == (
        f"train.py: the run in --train_dir, at {trained}/6, keeps --model_name=lenet (cifarnet is "
        "given); drop this flag to resume it, or give another --train_dir to start anew\n"
    )
    assert files_of(trained) == before


def test_evaluating_data_of_other_classes_is_refused(photos, trained, capfd):
    flags = ["--dataset_name=folder", f"--dataset_dir={photos}", f"--checkpoint_path={trained}"]
    assert evaluate.main(["eval.py", *flags]) == 2
    assert "class_names is ['0', '1'" in capfd.readouterr().err


def test_averages_that_were_not_kept_cannot_be_evaluated(trained, capfd):
    flags = ["--dataset_name=digits", f"--checkpoint_path={trained}", "--moving_average_decay=0.9"]
    assert evaluate.main(["eval.py", *flags]) == 2
    assert "has_moving_averages is False there and True here" in capfd.readouterr().err


@pytest.mark.long
def test_a_checkpoint_that_lacks_a_variable_is_refused_unless_that_is_allowed(
    trained, tmp_path, capfd
):
    arguments = [
        "train.py", "--dataset_name=digits", "--train_image_size=8", "--batch_size=16", *QUICK,
        "--model_name=cifarnet", "--preprocessing_name=lenet", f"--checkpoint_path={trained}",
    ]  # fmt: skip
    assert train.main([*arguments, f"--train_dir={tmp_path / 'a'}"]) == 2
    assert "CifarNet/conv1/weights" in capfd.readouterr().err
    assert not list((tmp_path / "a").glob("[0-9]*"))
    code = train.main([*arguments, f"--train_dir={tmp_path / 'b'}", "--ignore_missing_vars"])
    assert code == 0


@pytest.mark.long
def test_a_second_start_compiles_nothing_big(tmp_path):
    cache = tmp_path / "cache"
    arguments = [*DIGITS, *QUICK, "--save_summaries_secs=0", f"--compilation_cache_dir={cache}"]

    def start(name):
        subprocess.run(
            [sys.executable, ROOT / "train.py", *arguments, f"--train_dir={tmp_path / name}"],
            capture_output=True, timeout=300, check=True,
            env={**os.environ, "XLA_FLAGS": ""},  # as users compile, which takes longer
        )  # fmt: skip
        return {path.name for path in cache.rglob("*-cache")}

    first = start("a")
    assert first
    assert start("b") == first


def test_a_preview_shows_the_first_batch_and_trains_nothing(photos, tmp_path, capfd):
    sheet = tmp_path / "sheets" / "preview.png"
    flags = [*folder_flags(photos, tmp_path / "run"), f"--preview_file={sheet}", "--batch_size=5"]
    assert train.main(["train.py", *flags]) == 0
    assert f"drew {sheet}: 5 images of folder/train" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (2 * 184, 3 * 168)
    cells = [
        pixels[r * 184 : r * 184 + 164, c * 168 : (c + 1) * 168] for r in (0, 1) for c in range(3)
    ]
    # Each image from black to white, and the last place empty.
    assert [(int(cell.max()) - int(cell.min())) > 200 for cell in cells] == [True] * 5 + [False]


def test_a_preview_of_grey_images(tmp_path):
    sheet = tmp_path / "preview.png"
    flags = [*DIGITS, *QUICK, f"--train_dir={tmp_path / 'run'}", f"--preview_file={sheet}"]
    assert train.main(["train.py", *flags]) == 0
    assert sheet.stat().st_size > 1000
