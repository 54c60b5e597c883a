"""Fine-tuning and evaluation from the files of each source, through the programs."""

import pytest
from PIL import Image

from jslim import checkpoints, weights
from jslim.checkpoints import save_safetensors
from jslim.cli import evaluate, train
from jslim.weights import _translation
from tests.weights.test_resolve import KERAS, TIMM, variables_of, write_archive, write_h5
from tests.weights.test_translation import arrays_of

PHOTOS = [
    "--dataset_name=folder", "--dataset_dir=photos", "--batch_size=8", "--train_image_size=32",
    "--optimizer=momentum",
    "--learning_rate=0", "--weight_decay=0", "--save_summaries_secs=0",
]  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        for name, level in (("day", 200), ("night", 30)):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(8):
                Image.new("RGB", (40, 40), (level, level + number, level)).save(
                    folder / f"{number}.png"
                )


def trained(network, checkpoint, capfd, *more, size=32):
    """The variables after a step at a learning rate of 0, by name; and what the program said."""
    flags = [*PHOTOS, f"--train_image_size={size}", f"--model_name={network}"]
    flags += [f"--checkpoint_path={checkpoint}", "--train_dir=run", "--max_number_of_steps=1"]
    flags += more
    assert train.main(["train.py", *flags]) == 0, capfd.readouterr().err[-2000:]
    return checkpoints.load_variables("run"), capfd.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("source", ["timm", "keras", "tf-slim"])
def test_all_but_the_head_is_taken_and_that_is_said(source, tmp_path, capfd):
    if source == "timm":
        network, path = TIMM.network, save_safetensors("model.safetensors", arrays_of(TIMM))
        expected = _translation.to_tf_slim(TIMM, arrays_of(TIMM), "here")
    elif source == "keras":
        network, path = KERAS.network, "model.h5"
        write_h5(path, arrays_of(KERAS), is_old=True)
        expected = _translation.to_tf_slim(KERAS, arrays_of(KERAS), "here")
    else:
        network = "mobilenet_v1_025"
        expected = variables_of(network, 1001)
        path = write_archive(tmp_path / "published.tar.gz", expected)
    found, said = trained(network, path, capfd)
    classes = 1001 if source == "tf-slim" else 1000
    said = " ".join(said.split())
    assert f"{classes} classes and the data 2: the head of the network is not taken from" in said
    kept = [name for name in expected if "/Logits/" not in name and "moving_" not in name]
    assert len(kept) > 50
    assert all((found[name] == expected[name]).all() for name in kept)


@pytest.mark.long
def test_an_auxiliary_head_that_the_file_lacks_starts_anew(capfd):
    held = variables_of("inception_v3", 2)
    held = {name: array for name, array in held.items() if "/AuxLogits/" not in name}
    path = save_safetensors("v3.safetensors", held)
    # Most of the time goes into compiling: only the gradients of the heads.
    heads = "--trainable_scopes=InceptionV3/AuxLogits,InceptionV3/Logits"
    found, said = trained("inception_v3", path, capfd, heads, size=107)
    said = " ".join(said.split())
    assert "has no InceptionV3/AuxLogits, which training adds: it starts anew" in said
    for name in ("InceptionV3/Conv2d_1a_3x3/weights", "InceptionV3/Logits/Conv2d_1c_1x1/weights"):
        assert (found[name] == held[name]).all()


@pytest.mark.long
def test_a_file_of_timm_is_evaluated_by_its_contract(capfd):
    save_safetensors("model.safetensors", arrays_of(TIMM))
    flags = [*PHOTOS[:2], "--dataset_split_name=test", "--checkpoint_path=model.safetensors"]
    assert evaluate.main(["eval.py", *flags]) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "class_names is ['tench, Tinca tinca'" in said
    assert "of 1000] there" in said


def test_flags_that_exclude_each_other(capfd):
    flags = ["--dataset_name=digits", "--checkpoint_path=x", "--weights=vgg_16"]
    assert evaluate.main(["eval.py", *flags]) == 2
    assert "--weights and --checkpoint_path are both given" in capfd.readouterr().err
    flags = ["--dataset_name=digits", "--weights=vgg_16", "--eval_interval_secs=3"]
    assert evaluate.main(["eval.py", *flags]) == 2
    assert "--weights has one checkpoint" in capfd.readouterr().err


def test_pretrained_without_published_weights(capfd):
    flags = [*PHOTOS, "--model_name=lenet", "--checkpoint_path=pretrained", "--train_dir=run"]
    assert train.main(["train.py", *flags]) == 2
    assert "there are none of lenet that jslim knows" in capfd.readouterr().err


def test_what_a_run_started_from_is_the_name(monkeypatch, tmp_path, capfd):
    """A name is not taken for a path in the working directory."""
    path = save_safetensors("m.safetensors", variables_of("mobilenet_v1_025", 2))
    monkeypatch.setattr(weights, "resolve", lambda given, model_name=None: path)
    flags = [*PHOTOS, "--model_name=mobilenet_v1_025", "--checkpoint_path=pretrained"]
    flags += ["--train_dir=run", "--max_number_of_steps=1"]
    assert train.main(["train.py", *flags]) == 0
    assert checkpoints.read_contract("run")["started_from"] == "pretrained"
