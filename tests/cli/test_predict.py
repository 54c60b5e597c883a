"""jslim-predict on real image files."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import jslim as slim
from jslim import tf_checkpoint
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


def test_csv_of_a_folder_and_a_file(folder, capfd):
    file = folder / "images" / "standing" / "3.jpg"
    assert run(folder, folder / "images", file, "--top=2", "--batch_size=5") == 0
    captured = capfd.readouterr()
    rows = list(csv.DictReader(captured.out.splitlines()))
    assert list(rows[0]) == [
        "file", "class_name", "probability", "class_name_2", "probability_2"
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
