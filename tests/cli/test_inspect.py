"""`jslim inspect`: what a checkpoint of any format holds, and how two of them differ."""

import json
import pathlib
import re
import shutil

import ml_dtypes
import numpy as np
import pytest

from jslim import checkpoints, tf_checkpoint
from jslim.cli import comparing, inspection, train

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "tf_checkpoints"


def inspect(*words):
    return inspection.main(["jslim inspect", *map(str, words)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two steps of LeNet on the digits, with a checkpoint of its beginning and of its end."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    flags = [
        "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=8",
        "--max_number_of_steps=2", "--optimizer=momentum", f"--train_dir={directory}",
    ]  # fmt: skip
    assert train.main(["train.py", *flags]) == 0
    return directory


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_a_run_shows_steps_contract_flags_and_arrays(run, capfd):
    assert inspect(run) == 0
    text = capfd.readouterr().out
    assert text.startswith(f"{run}/2: a checkpoint of jslim, step 2\n")
    assert re.search(r"\n  step 0: saved 20\d\d-.*, 2\.5 MiB\n  step 2: .* \(this one\)\n", text)
    assert re.search(r"\n  class_names +0, 1, 2, 3, 4, and 5 more\n", text)
    assert re.search(r"\n  started_from +none\n", text)
    assert "\nflags of the run:\n  batch_size           8\n" in text
    assert "\n  204,800  float32  5x5x32x64  LeNet/conv2/weights\n" in text
    assert "\n        4  int32    scalar     step\n" in text
    assert text.endswith(
        "\n\n19 arrays of 651,032 numbers, 2.5 MiB\n\nchecksums: all 19 arrays are as they were "
        "written\n"
    )
    assert inspect(run / "0", "--noverify") == 0
    text = capfd.readouterr().out
    assert "checksums" not in text
    assert "step 0: saved" in text.split("(this one)")[0].splitlines()[-1]


def test_as_json_for_programs(run, capfd):
    assert inspect(run, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["kind"], found["step"], found["path"]) == ("jslim", 2, f"{run}/2")
    assert [step["step"] for step in found["steps"]] == [0, 2]
    assert found["contract"]["model_name"] == "lenet"
    assert found["config"]["batch_size"] == 8
    arrays = {array.pop("name"): array for array in found["arrays"]}
    assert arrays["LeNet/fc4/biases"] == {"shape": [10], "dtype": "float32", "bytes": 40}
    assert found["checksums"] == "all 19 arrays are as they were written"


def test_the_best_checkpoint_has_the_flags_of_its_run(run, capfd):
    shutil.copytree(run / "2", run / "best" / "2")
    assert inspect(run / "best", "--noverify", "--json") == 0
    assert json.loads(capfd.readouterr().out)["config"]["model_name"] == "lenet"


def test_what_is_broken_is_named(run, capfd):
    data = max((run / "2" / "state").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    assert inspect(run) == 2
    out, err = capfd.readouterr()
    assert "LeNet/conv2/weights" in out
    assert re.search(rf"jslim inspect: checkpoint {run}/2 is broken: .* not match its checks", err)
    data.write_bytes(content[:-1])
    assert inspect(run) == 0  # the step before it
    out = capfd.readouterr().out
    assert out.startswith(f"{run}/0: a checkpoint of jslim, step 0\n")
    assert re.search(r"\n  step 2: broken: .* has \d+ bytes where \d+ were written\n", out)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_checkpoints_of_tensorflow(version, capfd):
    assert inspect(GOLDEN / f"tf_slim_{version.lower()}") == 0
    out, err = capfd.readouterr()
    path = GOLDEN / f"tf_slim_{version.lower()}" / "model.ckpt-5"
    assert out.startswith(f"{path}: a checkpoint of TensorFlow {version}, step 5\n")
    assert "\n1,920  float32  96x5     Small/logits/weights\n" in out
    assert "contract" not in out
    assert out.endswith("checksums: all 33 arrays are as they were written\n")
    assert "jslim" not in err.replace(str(GOLDEN), "")


def test_texts_have_no_size(tmp_path, capfd):
    arrays = {"names": np.array([b"a", b"bc"], object), "w": np.ones(2, ml_dtypes.bfloat16)}
    path = tf_checkpoint.save_checkpoint(tmp_path / "model.ckpt-3", arrays)
    assert inspect(path) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "       string    2      names" in lines
    assert "    4  bfloat16  2      w" in lines


def test_safetensors(tmp_path, capfd):
    path = checkpoints.save_safetensors(
        tmp_path / "m.safetensors", {"a\nb": np.ones((2, 3))}, {"contract": '{"num_classes": 2}'}
    )
    assert inspect(path) == 0
    out = capfd.readouterr().out
    assert out.startswith(f"{path}: a checkpoint of safetensors\n")
    assert "\n   48  float64  2x3    a\\nb\n" in out
    assert "\n  num_classes  2\n" in out
    assert out.endswith("checksums: the format has none; all arrays were read\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a checkpoint, or two to compare: jslim inspect [flags] CHECKPOINT [OTHER]"),
        (["a", "b", "c"], "give a checkpoint, or two to compare"),
        (["/no/such"], "there is no checkpoint at /no/such: no such file or directory."),
        ([GOLDEN / "values.npz"], "is not a jslim checkpoint, nor one of TensorFlow; give a train"),
    ],
)
def test_what_is_no_checkpoint_is_said(words, message, capfd):
    assert inspect(*words) == 2
    assert message in capfd.readouterr().err


def test_differences_of_two_steps_are_sorted_by_size(trained, capfd):
    assert inspect(trained / "0", trained / "2", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    first, second = (checkpoints.load_variables(trained / step) for step in ("0", "2"))
    assert found["only_in_first"] == found["only_in_second"] == []
    assert found["num_equal"] + len(found["different"]) == len(first)
    sizes = [one["largest"] for one in found["different"]]
    assert sizes == sorted(sizes, reverse=True)
    by_name = {one["name"]: one for one in found["different"]}
    name = "LeNet/fc3/weights"
    largest = np.abs(first[name].astype(np.float64) - second[name]).max()
    assert by_name[name]["largest"] == largest
    assert by_name[name]["relative"] == largest / np.abs(first[name]).max()
    assert by_name["step"]["num_different"] == 1
    assert inspect(trained / "0", trained / "2") == 0
    out = capfd.readouterr().out
    assert re.search(r"\n +2 +inf +1  step\n", out)
    assert f"{len(by_name)} differ\n" in out
    assert inspect(trained, trained) == 0
    assert capfd.readouterr().out.endswith("\n19 arrays are equal, 0 differ\n")


def test_differences_between_formats_of_names_shapes_and_types(trained, tmp_path, capfd):
    held = checkpoints.load_variables(trained, ["LeNet/"])
    other = {
        **{name: array for name, array in held.items() if "conv1" not in name},
        "LeNet/fc3/biases": held["LeNet/fc3/biases"][:5],
        "LeNet/fc4/biases": held["LeNet/fc4/biases"].astype(ml_dtypes.bfloat16),
        "new\x1b[31m": np.zeros(3),
    }
    path = tf_checkpoint.save_checkpoint(tmp_path / "m.ckpt", other)
    assert inspect(trained, path) == 0
    out = capfd.readouterr().out
    assert "\nonly in the second: 1\n  new\\x1b[31m\n" in out
    assert "\n  LeNet/conv1/weights\n" in out.partition("only in the second")[0]
    assert "\nof other shapes: 1\n  1024 and 5: LeNet/fc3/biases\n" in out
    assert "\nof other dtypes: 1\n  float32 and bfloat16: LeNet/fc4/biases\n" in out
    assert "  LeNet/fc4/biases\n" in out.partition("difference  relative")[2]
    assert out.endswith(
        "\n4 arrays are equal, 1 differ, 13 are only in the first, 1 are only in the second, "
        "1 have other shapes\n"
    )


@pytest.mark.parametrize(
    ("first", "second", "largest", "count"),
    [
        ([1.0, np.nan], [1.0, np.nan], 0.0, 0),
        ([1.0, np.nan], [1.0, 2.0], np.nan, 1),
        ([np.inf, 1.0], [np.inf, 0.5], 0.5, 1),
        ([np.inf, 1.0], [-np.inf, 1.0], np.inf, 1),
        ([1 + 1j], [1 - 1j], 2.0, 1),
        ([True, False], [True, True], 1.0, 1),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), np.nan, 1),
        (np.zeros((0, 3)), np.zeros((0, 3)), 0.0, 0),
    ],
)
def test_numbers_of_every_kind_are_compared(first, second, largest, count):
    found = comparing.difference("x", np.asarray(first), np.asarray(second))
    np.testing.assert_equal(found.largest, largest)
    assert found.num_different == count


def test_numbers_that_are_none_are_null_in_json(tmp_path, capfd):
    paths = [
        checkpoints.save_safetensors(tmp_path / f"{k}.safetensors", {"w": np.array([1.0, value])})
        for k, value in enumerate((np.nan, 2.0))
    ]
    assert inspect(*paths, "--json") == 0
    (one,) = json.loads(capfd.readouterr().out)["different"]
    assert (one["largest"], one["num_different"]) == (None, 1)
