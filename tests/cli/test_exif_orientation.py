"""--apply_exif_orientation: training, evaluation, prediction and export see the same images."""

import csv
import io
import re

import numpy as np
import pytest
from PIL import Image, ImageOps

import jslim as slim
from jslim import checkpoints
from jslim.cli import evaluate, export, predict, train

WARNING = "carry an EXIF orientation that is not applied"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Stripes of two classes, lying and standing, of which half are stored turned."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, axis in (("lying", 0), ("standing", 1)):
        (root / "turned" / name).mkdir(parents=True)
        (root / "upright" / name).mkdir(parents=True)
        for number in range(12):
            size = (40, 34)
            stripes = np.sin(np.indices(size)[axis] * rng.uniform(0.6, 1.0))[..., None]
            pixels = np.clip(128 + 80 * stripes + rng.normal(0, 20, (*size, 3)), 0, 255)
            exif = Image.Exif()
            exif[0x0112] = 8 if number % 2 else 1
            stored = Image.fromarray(pixels.astype(np.uint8))
            if number % 2:
                stored = stored.transpose(Image.Transpose.ROTATE_270)
            stored.save(root / "turned" / name / f"{number}.jpg", exif=exif, quality=95)
            with Image.open(root / "turned" / name / f"{number}.jpg") as image:
                ImageOps.exif_transpose(image).save(root / "upright" / name / f"{number}.png")
    return root


def data_flags(root, split="train"):
    return ["--dataset_name=folder", f"--dataset_dir={root}", f"--dataset_split_name={split}"]


def run(root, directory, *flags):
    return train.main([
        "train.py", *data_flags(root), "--model_name=lenet", "--batch_size=8",
        "--optimizer=momentum", "--learning_rate=0.001", "--num_preprocessing_threads=1",
        "--save_summaries_secs=0", "--max_number_of_steps=3", f"--train_dir={directory}", *flags,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """A run with the flag."""
    directory = tmp_path_factory.mktemp("trained")
    assert run(photos / "turned", directory, "--apply_exif_orientation") == 0
    return directory


def predictions(root, checkpoint, table, *flags):
    program = ["eval.py", *data_flags(root, "all"), f"--checkpoint_path={checkpoint}"]
    assert evaluate.main([*program, f"--predictions_file={table}", *flags]) == 0
    with table.open() as file:
        return [row["probability_of_label"] for row in csv.DictReader(file)]


def test_evaluation_and_prediction_follow_the_checkpoint(photos, trained, tmp_path, capfd):
    assert checkpoints.read_contract(trained)["apply_exif_orientation"] is True
    table = tmp_path / "x.csv"
    turned, upright = (predictions(photos / n, trained, table) for n in ("turned", "upright"))
    # Upright ones come in the order of their names too, and are the same pixels.
    assert turned == upright
    assert predictions(photos / "turned", trained, table, "--apply_exif_orientation") == turned
    classifier = slim.load(trained)
    folders = [photos / name / "lying" for name in ("turned", "upright")]
    first, second = (classifier.predict(folder).probabilities for folder in folders)
    np.testing.assert_array_equal(first, second)
    assert WARNING not in capfd.readouterr().err
    program = ["eval.py", *data_flags(photos / "turned", "all"), f"--checkpoint_path={trained}"]
    assert evaluate.main([*program, "--noapply_exif_orientation"]) == 2
    assert "apply_exif_orientation is True there and False here" in capfd.readouterr().err


@pytest.mark.long
def test_an_exported_model_follows_its_contract(photos, trained, tmp_path):
    paths = photos / "turned" / "lying" / "1.jpg", photos / "upright" / "lying" / "1.png"
    flags = [f"--checkpoint_path={trained}", f"--output_file={tmp_path / 'x.zip'}"]
    assert export.main(["jslim-export", *flags, "--platforms=cpu"]) == 0
    exported = slim.export.load_inference_graph(tmp_path / "x.zip")
    first, second = (exported.predict(path.read_bytes()).probabilities for path in paths)
    np.testing.assert_array_equal(first, second)
    export.main(["jslim-export", flags[0], f"--output_file={tmp_path / 'x.safetensors'}"])
    loaded = slim.load(tmp_path / "x.safetensors")
    assert loaded.contract["apply_exif_orientation"] is True


@pytest.mark.long
def test_without_the_flag_training_evaluation_and_prediction_warn_once(
    photos, trained, tmp_path, capfd
):
    plain = tmp_path / "plain"
    assert run(photos / "turned", plain) == 0
    (line,) = [line for line in capfd.readouterr().err.splitlines() if WARNING in line]
    assert re.match(r"folder/train: [1-8] of the first 8 images carry", line)
    table = tmp_path / "x.csv"
    turned, upright = (predictions(photos / n, plain, table) for n in ("turned", "upright"))
    assert turned != upright
    assert capfd.readouterr().err.count(WARNING) == 1
    program = ["jslim-predict", f"--checkpoint_path={plain}", "--batch_size=4"]
    assert predict.main([*program, str(photos / "turned"), f"--output={table}"]) == 0
    (line,) = [line for line in capfd.readouterr().err.splitlines() if WARNING in line]
    assert line.startswith("predict: 2 of the first 4 images carry")
    assert predict.main([*program, "--apply_exif_orientation", str(photos / "upright")]) == 2
    message = "apply_exif_orientation is True, but checkpoint"
    assert message in capfd.readouterr().err
    # Neither goes on as the other.
    for directory, flag, there in ((plain, "", "false"), (trained, "no", "true")):
        flag, here = f"--{flag}apply_exif_orientation", "true" if there == "false" else "false"
        assert run(photos / "turned", directory, flag) == 2
        kept = f"keeps --apply_exif_orientation={there} ({here} is given)"
        assert kept in capfd.readouterr().err
    (plain / "config.json").unlink()
    assert run(photos / "turned", plain, "--apply_exif_orientation") == 2
    assert "apply_exif_orientation is False there and True here" in capfd.readouterr().err


@pytest.mark.long
def test_a_checkpoint_of_others_is_used_as_the_flag_says(photos, trained, tmp_path, capfd):
    path = slim.tf_checkpoint.save_checkpoint(
        tmp_path / "model.ckpt", slim.get_variables(slim.load(trained).variables)
    )
    flags = [f"--checkpoint_path={path}", "--model_name=lenet", "--format=csv"]
    outputs = []
    for folder, option in (
        ("turned", ["--apply_exif_orientation"]),
        ("upright", []),
        ("turned", []),
    ):
        assert predict.main(["jslim-predict", *flags, *option, str(photos / folder)]) == 0
        rows = csv.DictReader(io.StringIO(capfd.readouterr().out))
        outputs.append([row["probability"] for row in rows])
    assert outputs[0] == outputs[1] != outputs[2]
    program = ["eval.py", *flags[:2], *data_flags(photos / "turned", "all")]
    values = []
    for option in (["--apply_exif_orientation"], []):
        assert evaluate.main([*program, *option]) == 0
        values.append(capfd.readouterr().out)
    assert values[0] != values[1]


def test_the_flag_is_of_photographs(tmp_path, capfd):
    flags = ["--dataset_name=digits", "--model_name=lenet", f"--train_dir={tmp_path / 'run'}"]
    assert train.main(["train.py", *flags, "--apply_exif_orientation"]) == 2
    message = "apply_exif_orientation is of photographs in files, as in 'folder', 'flowers'"
    assert message in capfd.readouterr().err


def test_a_checkpoint_that_turns_photographs_evaluates_arrays(photos, trained, tmp_path, capfd):
    images = np.zeros((4, 40, 40, 3), np.uint8)
    np.savez(
        tmp_path / "x.npz", test_images=images, test_labels=np.array([0, 1, 0, 1]),
        class_names=np.array(["lying", "standing"]),
    )  # fmt: skip
    flags = ["--dataset_name=npz", f"--dataset_dir={tmp_path / 'x.npz'}"]
    assert evaluate.main(["eval.py", *flags, f"--checkpoint_path={trained}"]) == 0
    assert "eval/Accuracy[0.5000]" in capfd.readouterr().out
