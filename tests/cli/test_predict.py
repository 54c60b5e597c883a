"""jslim-predict on real image files."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import jslim as slim
from jslim import prediction, tf_checkpoint
from jslim.cli import predict, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve images in two classes, and a checkpoint of LeNet that was trained on them."""
    root = tmp_path_factory.mktemp("bars")
    rng = np.random.default_rng(0)
    for name, axis in (("lying", 0), ("standing", 1)):
        (root / "images" / name).mkdir(parents=True)
        for number in range(6):
            bars = np.indices((12, 12))[axis] % 4 // 2 * 200 + rng.integers(0, 50, (12, 12))
            pixels = np.repeat(bars[..., None], 3, 2).astype(np.uint8)
            Image.fromarray(pixels).save(root / "images" / name / f"{number}.jpg")
    flags = [
        "train.py", "--dataset_name=folder", f"--dataset_dir={root / 'images'}",
        "--model_name=lenet", "--train_image_size=12", "--batch_size=12", "--optimizer=momentum",
        f"--train_dir={root / 'run'}", "--max_number_of_steps=20",
    ]  # fmt: skip
    assert train.main(flags) == 0
    return root


def run(folder, *arguments, checkpoint="run"):
    flags = [f"--checkpoint_path={folder / checkpoint}"]
    return predict.main(["jslim-predict", *flags, *map(str, arguments)])


@pytest.mark.long
def test_csv_of_a_folder_and_a_file(folder, capfd):
    file = folder / "images" / "standing" / "3.jpg"
    assert run(folder, folder / "images", file, "--top=2", "--batch_size=5") == 0
    captured = capfd.readouterr()
    rows = list(csv.DictReader(captured.out.splitlines()))
    assert list(rows[0]) == [
        "file", "class_name", "probability", "class_name_2", "probability_2", "error"
    ]  # fmt: skip
    assert len(rows) == 13
    assert [row["file"] for row in rows] == [
        *sorted(str(path) for path in (folder / "images").rglob("*.jpg")), str(file)
    ]  # fmt: skip
    assert all(row["class_name"] in row["file"] for row in rows)
    for row in rows:
        assert float(row["probability"]) + float(row["probability_2"]) == pytest.approx(1, abs=1e-5)
    assert f"lenet, 2 classes, from {folder / 'run' / '20'}: 13 images" in captured.err


def test_json_lines_in_a_file(folder, tmp_path):
    output = tmp_path / "out.jsonl"
    assert run(folder, folder / "images" / "lying", f"--output={output}") == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(lines) == 6
    wanted = slim.load(folder / "run").predict(lines[0]["file"])
    assert lines[0] == {
        "file": str(folder / "images" / "lying" / "0.jpg"),
        "class_name": "lying",
        "probability": pytest.approx(wanted.probabilities.max(), abs=1e-5),
        "probabilities": {"lying": pytest.approx(wanted.probabilities.max(), abs=1e-5)},
    }


def test_checkpoint_of_tensorflow_with_names_from_a_file(folder, tmp_path, capfd):
    held = slim.checkpoints.load_variables(folder / "run")
    arrays = {name: value for name, value in held.items() if name.startswith("LeNet/")}
    path = tf_checkpoint.save_checkpoint(tmp_path / "tf" / "model.ckpt-5", arrays)
    (tmp_path / "labels.txt").write_text("0:flat\n1:upright\n")
    flags = [f"--checkpoint_path={path}", "--model_name=lenet", "--image_size=12",
             f"--labels_file={tmp_path / 'labels.txt'}"]  # fmt: skip
    file = str(folder / "images" / "standing" / "0.jpg")
    assert predict.main(["jslim-predict", *flags, file]) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith(f"{file},upright,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give image files or folders of them"),
        (["/no/such"], "there is no image file or folder '/no/such'"),
        (["--top=0", "x.jpg"], "top"),
        (["--model_name=vgg_16", __file__], "model_name is 'vgg_16', but checkpoint"),
    ],
)
def test_what_is_wrong_is_said(folder, arguments, message, capfd):
    assert run(folder, *arguments) == 2
    error = capfd.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_folder_without_images_and_unreadable_file(folder, tmp_path, capfd):
    assert run(folder, tmp_path) == 2
    assert f"the folder '{tmp_path}' has no image" in capfd.readouterr().err
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert run(folder, tmp_path) == 2
    assert "broken.jpg' cannot be decoded" in capfd.readouterr().err


@pytest.fixture
def mixed(folder, tmp_path):
    """Twelve good images with three that are none and what file managers leave behind."""
    root = tmp_path / "mixed"
    shutil.copytree(folder / "images", root)
    (root / "lying" / "broken.jpg").write_bytes(b"no image")
    os.mkfifo(root / "pipe.png")
    (root / "gone.png").symlink_to("nowhere.png")
    for name in (".hidden.jpg", "._0.jpg", "@eaDir/0.jpg", ".ipynb_checkpoints/0.jpg",
                 "__MACOSX/0.jpg", "Thumbs.db", "notes.txt", "0.heic"):  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_that_cannot_be_read_costs_one_row(folder, mixed, kind, tmp_path, capfd):
    output = tmp_path / f"out.{kind}"
    assert run(folder, mixed, f"--output={output}", "--batch_size=4", "--top=2") == 2
    with output.open(newline="") as file:
        rows = [*csv.DictReader(file)] if kind == "csv" else [*map(json.loads, file)]
    assert len(rows) == 15
    bad = [row for row in rows if row.get("error")]
    assert [os.path.basename(row["file"]) for row in bad] == ["gone.png", "broken.jpg", "pipe.png"]
    for row, reason in zip(bad, ["No such file", "not a JPEG", "is a named pipe"], strict=True):
        assert reason in row["error"]
        assert not row.get("class_name")
    wanted = slim.load(folder / "run").predict(folder / "images")
    good = [row for row in rows if not row.get("error")]
    assert [row["class_name"] for row in good] == wanted.class_names
    np.testing.assert_allclose(
        [float(row["probability"]) for row in good], wanted.probabilities.max(1), atol=2e-6
    )
    error = capfd.readouterr().err
    assert re.search(
        r"jslim-predict: 3 of 15 images could not be predicted.*the first: image '.*gone.png' "
        r"cannot be read .*\(--skip_bad_records=3 makes this no error\)",
        error,
    )
    assert re.search(r"passed over in .*mixed: 8 that are no image files, the first '\._0", error)
    assert run(folder, mixed, f"--output={output}", "--skip_bad_records=3") == 0
    assert run(folder, mixed, f"--output={output}", "--skip_bad_records=2") == 2


def test_links_are_followed_and_their_loops_are_not(folder, tmp_path):
    root = tmp_path / "links"
    root.mkdir()
    (root / "all").symlink_to(folder / "images")
    (root / "again").symlink_to(folder / "images")
    (root / "loop").symlink_to(root)
    (root / "one.jpg").symlink_to(folder / "images" / "lying" / "0.jpg")
    (root / "folder.jpg").mkdir()
    found = prediction.list_images([root])
    assert len(found) == 13
    assert str(root / "one.jpg") in found


def test_names_that_a_terminal_or_file_cannot_take(folder, tmp_path, capfd):
    root = os.fsencode(tmp_path / "odd")
    os.mkdir(root)
    source = folder / "images" / "lying" / "0.jpg"
    for name in (b"\x1b[31mred.jpg", b"caf\xea.jpg", b"two\nlines.jpg", "\x9b\u2028x.jpg".encode()):
        shutil.copy(source, os.path.join(root, name))
    for arguments in ([], ["--format=jsonl"], [f"--output={tmp_path / 'x.csv'}"]):
        assert run(folder, tmp_path / "odd", *arguments) == 0
        captured = capfd.readouterr()
        assert "\x1b" not in captured.err
        if "--format=jsonl" in arguments:
            assert not set("\x1b\x9b\u2028") & set(captured.out)
            names = [os.path.basename(json.loads(x)["file"]) for x in captured.out.splitlines()]
            assert set(names) == {
                "\x1b[31mred.jpg", "caf\udcea.jpg", "two\nlines.jpg", "\x9b\u2028x.jpg"
            }  # fmt: skip
    with open(tmp_path / "x.csv", newline="", encoding="utf-8") as file:
        rows = [row["file"] for row in csv.DictReader(file)]
    assert str(tmp_path / "odd" / "caf\\udcea.jpg") in rows
    assert str(tmp_path / "odd" / "two\nlines.jpg") in rows


def test_classes_of_one_name_are_told_apart(folder, tmp_path, capfd):
    held = slim.checkpoints.load_variables(folder / "run")
    arrays = {name: value for name, value in held.items() if name.startswith("LeNet/")}
    path = tf_checkpoint.save_checkpoint(tmp_path / "tf" / "model.ckpt-5", arrays)
    (tmp_path / "labels.txt").write_text("0:crane\n1:crane\n")
    flags = ["jslim-predict", f"--checkpoint_path={path}", "--model_name=lenet", "--image_size=12",
             f"--labels_file={tmp_path / 'labels.txt'}", "--top=2"]  # fmt: skip
    file = str(folder / "images" / "standing" / "0.jpg")
    assert predict.main([*flags, "--format=jsonl", file]) == 0
    line = json.loads(capfd.readouterr().out)
    assert line["class_name"] == "crane (1)"
    assert line["probabilities"]["crane (1)"] == line["probability"] > 0.5
    assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert predict.main([*flags, file]) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith(f"{file},crane (1),")
    classifier = prediction.load(path, model_name="lenet", image_size=12,
                                 class_names=["crane", "crane"])  # fmt: skip
    found = classifier.predict(file)
    assert (found.class_names, found.labels.tolist()) == (["crane"], [1])
