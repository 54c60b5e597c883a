"""MODEL.md beside exported models."""

import ast
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jslim as slim
from jslim import checkpoints, prediction
from jslim.cli import export, train
from jslim.cli.model_card import find_run, model_card
from jslim.data import digits
from jslim.nets import nets_factory

BEGIN, END = "<!-- jslim-export: begin -->\n", "<!-- jslim-export: end -->\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of which step 4 was the best of the evaluations 4, 8 and 9."""
    directory = tmp_path_factory.mktemp("a place") / "run"
    flags = [
        "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
        "--batch_size=64", "--optimizer=momentum", "--learning_rate=0.002", "--eval_every=4",
        "--validation_fraction=0.2", "--best_metric=Loss", "--save_summaries_secs=0",
        "--noreport_norms", f"--train_dir={directory}",
    ]  # fmt: skip
    assert train.main([*flags, "--max_number_of_steps=9"]) == 0
    return directory


def exported(checkpoint, output, *flags):
    program = ["jslim-export", f"--checkpoint_path={checkpoint}", f"--output_file={output}"]
    assert export.main([*program, *flags]) == 0
    card = output.parent / "MODEL.md"
    return card.read_text() if card.exists() else None


def section(card, title):
    return card.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text):
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE))


def test_the_card_says_what_the_model_is_and_how_good(trained, tmp_path, capfd):
    card = exported(trained, tmp_path / "digits.safetensors")
    assert f"wrote {tmp_path / 'MODEL.md'}\n" in capfd.readouterr().err
    assert "# lenet, 10 classes\n" in card
    facts = rows(section(card, "The model"))
    sizes = slim.load(trained).variables["params"]
    assert facts["Parameters"] == f"{sum(x.size for x in jax.tree.leaves(sizes)):,}"
    assert facts["Images"] == "8 x 8 pixels, 1 channel, preprocessing `lenet`"
    train_part = len(slim.data.split(digits("train"), 0.2).train)
    assert facts["Trained on"] == f"{train_part:,} images of `digits/train (train part)`"
    assert facts["Weights"] == "after 9 steps"
    assert section(card, "Classes").strip() == ", ".join(f"`{n}`" for n in range(10)) + "."
    figures = section(card, "Figures")
    assert "on the images that were held back (`--validation_fraction=0.2`)" in figures
    assert "These weights were not evaluated then; `eval.py` does that." in figures
    lines = [json.loads(line) for line in (trained / "evaluations.jsonl").read_text().splitlines()]
    last = lines[-1]
    best = min(lines, key=lambda line: line["Loss"])
    assert [line["step"] for line in lines] == [4, 8]
    titles = ["last, step 8"] if best is last else ["last, step 8", f"best, step {best['step']}"]
    assert f"| | {' | '.join(titles)} |\n|---{'|---' * len(titles)}|\n" in figures
    wanted = [last] if best is last else [last, best]
    for name in ("Accuracy", "Loss", "Recall_5"):
        assert rows(figures)[f"`{name}`"] == " | ".join(f"{line[name]:.4f}" for line in wanted)
    contract = checkpoints.read_contract(trained)
    found = rows(section(card, "Contract"))
    assert {
        key.strip("`"): json.loads(value.strip("`")) for key, value in found.items()
    } == contract


def test_the_card_has_the_flags_of_the_training_and_no_paths(trained, tmp_path):
    training = section(exported(trained, tmp_path / "x.ckpt"), "Training")
    assert re.search(r"The flags of the run by jslim \S+, jax \S+:", training)
    assert "python train.py \\\n  --batch_size=64 \\\n  --best_metric=Loss \\\n" in training
    assert "  --noreport_norms \\\n" in training
    assert "train_dir" not in training
    assert str(trained.parent) not in (tmp_path / "MODEL.md").read_text()


def test_the_best_checkpoint_has_its_own_figures(trained, tmp_path):
    figures = section(exported(trained / "best", tmp_path / "x.safetensors"), "Figures")
    step = checkpoints.checkpoint_step(trained / "best")
    assert f"| | these weights, step {step} |\n" in figures
    assert "not evaluated" not in figures


def test_the_card_is_the_same_each_time_and_in_every_place(trained, tmp_path):
    first = exported(trained, tmp_path / "a" / "x.safetensors")
    shutil.copytree(trained, tmp_path / "elsewhere" / "run")
    assert exported(tmp_path / "elsewhere" / "run", tmp_path / "b" / "x.safetensors") == first
    assert exported(trained, tmp_path / "a" / "x.safetensors") == first


def test_what_a_person_has_written_stays(trained, tmp_path):
    card = exported(trained, tmp_path / "x.safetensors")
    assert card.startswith(BEGIN)
    assert "\n## Licence\n" in card.partition(END)[2]
    assert card.endswith("\nTo be filled in.\n")
    path = tmp_path / "MODEL.md"
    path.write_text("Ours.\n\n" + card.replace("To be filled in.", "CC BY 4.0."))
    card = exported(trained / "best", tmp_path / "y.safetensors")
    assert card.startswith(f"Ours.\n\n{BEGIN}")
    assert card.endswith("\nCC BY 4.0.\n")
    assert "slim.load('y.safetensors')" in card
    assert "x.safetensors" not in card
    assert card.count(BEGIN) == card.count(END) == 1
    path.write_bytes(card.replace("\n", "\r\n").encode())  # by an editor of another system
    exported(trained, tmp_path / "z.safetensors")
    assert b"CC BY 4.0.\r\n" in path.read_bytes()
    assert b"slim.load('z.safetensors')" in path.read_bytes()


def test_a_card_of_others_stays_and_none_is_written_where_none_is_wanted(trained, tmp_path, capfd):
    assert exported(trained, tmp_path / "none" / "x.safetensors", "--nomodel_card") is None
    path = tmp_path / "MODEL.md"
    for content in (b"# Not of jslim\n", f"{BEGIN}caf\xe9{END}".encode("latin-1")):
        path.write_bytes(content)
        program = ["jslim-export", f"--checkpoint_path={trained}"]
        assert export.main([*program, f"--output_file={tmp_path / 'x.safetensors'}"]) == 0
        assert path.read_bytes() == content
        assert (
            f"{path} is there and no card of jslim-export: it stays as it is; move it away to have "
            "one written\n"
        ) in capfd.readouterr().err
    assert (tmp_path / "x.safetensors").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["digits.zip", "digits.safetensors", "it's.ckpt"])
def test_the_code_of_the_card_runs(name, trained, tmp_path, monkeypatch, capfd):
    flags = ["--platforms=cpu"] if name.endswith(".zip") else []
    card = exported(trained, tmp_path / name, *flags)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    Image.fromarray(digits("test").images[3, ..., 0]).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    exec(compile(code, "MODEL.md", "exec"), {})
    (((first, probability), *_),) = ast.literal_eval(capfd.readouterr().out)
    expected = slim.load(trained).predict("photo.jpg").top(1)[0][0]
    assert first == expected[0]
    assert probability == pytest.approx(expected[1], abs=1e-5)


NAMES = ["a|b", "`tick` ``two``", END.strip(), "two\nlines", "<b>&amp;", "plain"]


def classifier(path="memory", **contract):
    contract = {
        "model_name": "lenet", "num_classes": len(NAMES), "class_names": NAMES, "image_size": 8,
        "num_channels": 3, "preprocessing_name": "lenet", "labels_offset": 0, **contract,
    }  # fmt: skip
    model = prediction.Model(nets_factory.get_network_fn("lenet", len(NAMES)))
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables)
    return prediction.Classifier(path, contract, variables, None)


def test_names_cannot_break_the_card():
    run = find_run("memory")
    card = model_card(classifier(note={"x": ["`|` <!-- "] * 99}), "x.zip", run)
    assert "<!--" not in card
    assert section(card, "Classes").strip() == (
        "`a\\|b`, ``` `tick` ``two`` ```, `<! -- jslim-export: end -->`, `two\\nlines`, "
        "`<b>&amp;`, `plain`."
    )
    for line in section(card, "Contract").strip().splitlines()[2:]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert not any(title in card for title in ("## Figures", "## Training"))
    assert "Weights" not in card


def test_many_classes_are_cut_and_the_orientation_is_named():
    names = [f"class {number}" for number in range(50)]
    contract = {"class_names": names, "apply_exif_orientation": True, "started_from": "/home/me/w"}
    card = model_card(classifier(**contract), "x.zip", find_run("memory"))
    assert section(card, "Classes").strip().endswith("`class 19`, and 30 more.")
    facts = rows(section(card, "The model"))
    assert facts["Images"].endswith(
        "3 channels, preprocessing `lenet`, turned upright by their EXIF orientation"
    )
    assert facts["Started from"] == "`w`"
    assert "/home/me" not in card


def test_a_run_whose_files_are_damaged_still_has_a_card(trained, tmp_path, capfd):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{")
    card = exported(tmp_path / "run", tmp_path / "x.safetensors")
    assert "the model card does not have all of the run: " in capfd.readouterr().err
    assert "## Training" not in card
    assert "# lenet, 10 classes" in card


def test_a_checkpoint_of_tensorflow_has_a_card_without_a_run(trained, tmp_path):
    variables = slim.get_variables(slim.load(trained).variables)
    (trained.parent / "tf").mkdir()
    path = slim.tf_checkpoint.save_checkpoint(trained.parent / "tf" / "model.ckpt", variables)
    (trained.parent / "tf" / "config.json").write_text("{}")  # of another program
    flags = ["--model_name=lenet", "--image_size=8"]
    card = exported(path, tmp_path / "x.safetensors", *flags)
    assert "## Training" not in card
    assert "## Figures" not in card
    assert rows(section(card, "The model"))["Images"].startswith("8 x 8 pixels, 1 channel")
