"""train.py --class_weights and --balanced_sampling."""

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from jslim import checkpoints, learning
from jslim.cli import train
from jslim.cli.balance import BalanceConfig, class_weights
from jslim.cli.flags import UsageError
from jslim.data import ArrayDataset, digits


def dataset(*names):
    images = np.zeros((4, 1, 1, 1), np.uint8)
    return ArrayDataset(images, np.array([0, 0, 0, 1]), len(names), class_names=names)


def weights(text, *names, **flags):
    config = BalanceConfig(class_weights=text, **flags)
    found = class_weights(config, dataset(*names), 0)
    return None if found is None else found.tolist()


def test_weights_are_given_by_the_names_of_the_classes(caplog):
    caplog.set_level("INFO", "jslim")
    assert weights(None, "cat", "dog") is None
    assert weights("dog=2.5", "cat", "dog", "owl") == [1, 2.5, 1]
    assert weights("dog=2, cat=0", "cat", "dog") == [0, 2]
    assert caplog.messages[-1] == "weights of the classes: cat 0, dog 2"
    names = ("tench, Tinca tinca", "a=b", "crane", "crane")
    assert weights("tench, Tinca tinca=3,a=b=4,crane (3)=5", *names) == [3, 4, 1, 5]
    assert weights("cat=1", "cat", "dog") == [1, 1]
    assert caplog.messages[-1] == "weights of the classes: all 1"


def test_balanced_weights_are_those_of_the_data(caplog):
    caplog.set_level("INFO", "jslim")
    assert weights("balanced", "cat", "dog") == pytest.approx([4 / 6, 2])
    assert caplog.messages == ["weights of the classes: cat 0.6667, dog 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("balance", "--class_weights must be balanced or CLASS=WEIGHT,..., got 'balance'"),
        ("", "--class_weights must be balanced or CLASS=WEIGHT,..., got ''"),
        ("cat=1,,dog", "--class_weights must be balanced or CLASS=WEIGHT,..., got 'cat=1,,dog'"),
        ("cta=2", "--class_weights: there is no class 'cta'; did you mean 'cat'? (there are cat, "
         "dog)"),
        ("cat=two", "--class_weights: the weight of 'cat' must be 0 or more, got 'two'"),
        ("cat=-1", "--class_weights: the weight of 'cat' must be 0 or more, got '-1'"),
        ("cat=inf", "--class_weights: the weight of 'cat' must be 0 or more, got 'inf'"),
        ("cat=", "--class_weights: the weight of 'cat' must be 0 or more, got ''"),
        ("cat=1,cat=2", "--class_weights: 'cat' has two weights; drop one of them"),
        ("cat=0,dog=0", "--class_weights gives no class a weight above 0; nothing would be learnt"),
    ],
)  # fmt: skip
def test_weights_that_are_none_are_refused(text, message):
    with pytest.raises(ValueError) as error:
        weights(text, "cat", "dog")
    assert str(error.value) == message


def test_balancing_twice_is_refused():
    with pytest.raises(UsageError) as error:
        weights("balanced", "cat", "dog", balanced_sampling=True)
    assert str(error.value) == (
        "--class_weights=balanced and --balanced_sampling each make all classes count the same; "
        "drop one of them"
    )
    assert weights("cat=2", "cat", "dog", balanced_sampling=True) == [2, 1]


CONTRACT = {"model_name": "lenet", "num_classes": 10, "preprocessing_name": "lenet"}


def loss(of_classes, rows, **flags):
    """The loss of two images of classes 7 and 2, of which some rows count."""
    config = train.TrainConfig(weight_decay=0.0, **flags)
    schedule = optax.constant_schedule(0.1)
    loss_fn = train._loss_function(config, CONTRACT, schedule, of_classes)
    train_op = learning.create_train_op(loss_fn, optax.sgd(schedule), mesh=learning.data_mesh(1))
    batch = {
        "image": digits("test").images[:2],
        "label": np.array([7, 2], np.int32),
        "weights": np.array(rows, np.float32),
    }
    _, outputs = train_op(train_op.init(jax.random.key(0), batch), batch)
    return float(outputs["loss"])


@pytest.mark.long
def test_the_loss_of_an_image_is_multiplied_by_the_weight_of_its_class():
    of_classes = np.arange(10, dtype=np.float32)
    first, second = loss(None, [1, 0]), loss(None, [0, 1])
    assert loss(None, [1, 1]) == pytest.approx((first + second) / 2, rel=1e-6)
    assert loss(of_classes, [1, 0]) == pytest.approx(7 * first, rel=1e-6)
    assert loss(of_classes, [1, 1]) == pytest.approx((7 * first + 2 * second) / 2, rel=1e-6)


@pytest.mark.long
def test_mixed_labels_have_a_mixed_weight():
    mixed = loss(None, [1, 1], mixup_alpha=1.0)
    threes = np.full(10, 3, np.float32)
    assert loss(threes, [1, 1], mixup_alpha=1.0) == pytest.approx(3 * mixed, rel=1e-6)
    of_classes = np.ones(10, np.float32)
    of_classes[7] = 3
    # Half an image of class 7 counts half of what it would: between those of no and of all of it.
    assert mixed < loss(of_classes, [1, 1], mixup_alpha=1.0) < 3 * mixed


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """60 dark images, and 4 light ones."""
    root = tmp_path_factory.mktemp("uneven")
    rng = np.random.default_rng(0)
    for name, low, count in (("dark", 0, 60), ("light", 100, 4)):
        (root / name).mkdir()
        for number in range(count):
            pixels = rng.integers(low, low + 150, (28, 28, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def run(root, directory, *flags):
    return train.main([
        "train.py", "--dataset_name=folder", f"--dataset_dir={root}", "--model_name=lenet",
        "--batch_size=8", "--optimizer=momentum", "--learning_rate=0.001",
        "--save_summaries_secs=0", f"--train_dir={directory}", *flags,
    ])  # fmt: skip


@pytest.mark.long
def test_balanced_training_resumes_exactly_and_only_as_balanced(uneven, tmp_path, capfd):
    flags = ["--balanced_sampling", "--class_weights=light=2"]
    for steps in (4, 9):
        assert run(uneven, tmp_path / "parts", *flags, f"--max_number_of_steps={steps}") == 0
    assert "weights of the classes: light 2\n" in capfd.readouterr().err
    assert run(uneven, tmp_path / "whole", *flags, "--max_number_of_steps=9") == 0
    parts, whole = (checkpoints.load_variables(tmp_path / name) for name in ("parts", "whole"))
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name])
    other = ["--nobalanced_sampling", "--max_number_of_steps=10"]
    assert run(uneven, tmp_path / "parts", *other) == 2
    assert "keeps --balanced_sampling=true (false is given)" in capfd.readouterr().err
    (tmp_path / "parts" / "config.json").unlink()
    assert run(uneven, tmp_path / "parts", *other) == 2
    assert "it was saved with is_balanced True, these have False" in capfd.readouterr().err


def test_what_makes_no_sense_is_said_before_anything_is_written(uneven, tmp_path, capfd):
    for flag, message in (
        ("--class_weights=lihgt=2", "there is no class 'lihgt'; did you mean 'light'?"),
        ("--class_weights=balanced", "--class_weights=balanced and --balanced_sampling each"),
    ):
        assert run(uneven, tmp_path / "run", flag, "--balanced_sampling") == 2
        assert message in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
