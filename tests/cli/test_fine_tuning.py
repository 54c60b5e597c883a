"""train.py from a checkpoint: what is taken, what is frozen, and that it helps."""

import re
import shutil

import jax
import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

from jslim import checkpoints, data, tf_checkpoint
from jslim.cli import classifier, evaluate, starting, train
from jslim.cli.flags import UsageError
from jslim.nets import nets_factory

QUICK = [
    "train.py", "--batch_size=16", "--optimizer=momentum", "--log_every_n_steps=100",
    "--save_summaries_secs=0", "--preprocessing_name=lenet", "--train_image_size=8",
]  # fmt: skip
LENET = [*QUICK, "--model_name=lenet"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The digits 0 to 8 as nine classes, and 9 against as many others, as folders of PNG files."""
    root = tmp_path_factory.mktemp("digits")
    for split in ("train", "test"):
        digits = data.get_dataset("digits", split)
        examples = [digits[i] for i in range(len(digits))]
        nines = sum(int(example["label"]) == 9 for example in examples)
        others = 0
        for number, example in enumerate(examples):
            label = int(example["label"])
            image = Image.fromarray(np.asarray(example["image"])[..., 0])
            targets = [] if label == 9 else [f"nine_classes/{split}/{label}"]
            if label == 9 or others < nines:
                targets.append(f"nine/{split}/{'nine' if label == 9 else 'other'}")
                others += label != 9
            for target in targets:
                (root / target).mkdir(parents=True, exist_ok=True)
                image.save(root / target / f"{number}.png")
    return root


def folder(folders, name):
    return ["--dataset_name=folder", f"--dataset_dir={folders / name}"]


@pytest.fixture(scope="module")
def nine_classes(folders, tmp_path_factory):
    """LeNet, trained on nine digits."""
    directory = tmp_path_factory.mktemp("nine_classes")
    flags = [*LENET, *folder(folders, "nine_classes"), f"--train_dir={directory}"]
    assert train.main([*flags, "--max_number_of_steps=150"]) == 0
    return directory


def accuracy(folders, train_dir, capfd):
    capfd.readouterr()
    flags = [*folder(folders, "nine"), f"--checkpoint_path={train_dir}"]
    assert evaluate.main(["eval.py", *flags]) == 0
    return float(re.search(r"eval/Accuracy\[([\d.]+)\]", capfd.readouterr().out)[1])


@pytest.mark.long
def test_fine_tuning_on_the_tenth_class_beats_training_from_scratch(
    folders, nine_classes, tmp_path, capfd
):
    flags = [*LENET, *folder(folders, "nine"), "--max_number_of_steps=12"]
    assert train.main([*flags, f"--train_dir={tmp_path / 'scratch'}"]) == 0
    capfd.readouterr()
    tuned = [*flags, f"--train_dir={tmp_path / 'tuned'}", f"--checkpoint_path={nine_classes}"]
    assert train.main(tuned) == 0
    first, *lines = capfd.readouterr().err.splitlines()
    assert first.startswith(f"starting from the variables of {nine_classes}: lenet on ")
    assert (
        f"{nine_classes}/150 has 9 classes and the data 2: the head of the network is not taken "
        "from it, as with --checkpoint_exclude_scopes=LeNet/fc4"
    ) in lines
    assert any(re.match(rf"checkpoint {nine_classes}/150: 6 loaded, 0 missing", x) for x in lines)
    scores = {name: accuracy(folders, tmp_path / name, capfd) for name in ("scratch", "tuned")}
    assert scores["tuned"] > scores["scratch"] + 0.05, scores


def variables(train_dir):
    return checkpoints.load_variables(train_dir)


def test_a_checkpoint_of_tensorflow_as_in_tf_slims_readme(folders, nine_classes, tmp_path, capfd):
    held = {n: v for n, v in variables(nine_classes).items() if n.startswith("LeNet/")}
    path = tf_checkpoint.save_checkpoint(tmp_path / "tf" / "lenet.ckpt", held)
    flags = [
        *LENET, *folder(folders, "nine"), "--max_number_of_steps=2", f"--checkpoint_path={path}",
        "--checkpoint_exclude_scopes=LeNet/fc4", "--trainable_scopes=LeNet/fc4",
        f"--train_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    assert train.main(flags) == 0
    found = variables(tmp_path / "run")
    assert found["LeNet/fc4/weights"].shape == (1024, 2)
    for name, value in held.items():
        if not name.startswith("LeNet/fc4"):
            np.testing.assert_array_equal(found[name], value)
    # Frozen variables take no memory of the optimizer.
    slots = {name for name in found if name.startswith("opt_state/") and "fc" in name}
    assert slots
    assert all("LeNet/fc4" in name for name in slots)


def test_head_that_would_fit_with_an_offset_is_pointed_out(folders, tmp_path, capfd, monkeypatch):
    network = nets_factory.get_network("vgg_16")
    state = type("State", (), {})()
    state.variables = {
        "params": {"vgg_16": {"fc8": {"weights": np.zeros((1, 1, 4096, 10), np.float32)}}}
    }
    arrays = {"vgg_16/fc8/weights": np.zeros((1, 1, 4096, 9), np.float32)}
    path = tf_checkpoint.save_checkpoint(tmp_path / "vgg_16.ckpt", arrays)
    reader = checkpoints.open_checkpoint(path)
    names = [str(number) for number in range(10)]
    messages = []
    monkeypatch.setattr(starting.logger, "info", lambda text, *args: messages.append(text % args))
    found = starting._heads_of_other_classes(reader, network, state, names)
    assert found == ["vgg_16/fc8/"]
    assert messages[-1].endswith("vgg_16/fc8; with --labels_offset=1 it would fit")


ACCENTS = ["caf\u00e9", "tea"], ["cafe\u0301", "tea"]


@pytest.mark.parametrize(
    ("theirs", "ours", "difference"),
    [
        (["a", "b"], ["a", "b"], None),
        (None, ["a", "b"], None),
        (["a", "b"], ["a", "c"], "'b' only there; 'c' only here"),
        (list("abcdef"), list("uvwxyz"), "'a', 'b', 'c', and 3 more only there; 'u', 'v', 'w', and "
         "3 more only here"),
        (["a", "b", "c"], ["a", "c", "b"], "the same 3 in another order, such as 'b' in the place "
         "of 'c'"),
        (*ACCENTS, r"'caf\xe9' only there; 'cafe\u0301' only here"),
        (["a", "a", "b"], ["a", "b", "b"], "some of them more than once"),
    ],
)  # fmt: skip
def test_head_of_as_many_other_classes_starts_anew(theirs, ours, difference, tmp_path, monkeypatch):
    weights = np.zeros((3, len(ours)), np.float32)
    params = {"LeNet": {"fc4": {"weights": weights}}}
    with checkpoints.CheckpointManager(tmp_path) as manager:
        manager.save(3, {"params": params}, contract={"class_names": theirs} if theirs else {})
    state = type("State", (), {"variables": {"params": params}})()
    messages = []
    monkeypatch.setattr(starting.logger, "info", lambda text, *args: messages.append(text % args))
    reader, network = checkpoints.open_checkpoint(tmp_path), nets_factory.get_network("lenet")
    found = starting._heads_of_other_classes(reader, network, state, ours)
    if difference is None:
        assert (found, messages) == ([], [])
        return
    assert found == ["LeNet/fc4/"]
    assert messages == [
        f"{tmp_path}/3 has other classes than the data, {difference}: the head of the network is "
        "not taken from it, as with --checkpoint_exclude_scopes=LeNet/fc4; to take it all the same "
        "give --checkpoint_exclude_scopes=''"
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "text"),
    [
        (*ACCENTS, r"['caf\xe9', 'tea'] there and ['cafe\u0301', 'tea'] here"),
        ([str(i) for i in range(1000)], [*map(str, range(999)), "x"],
         "['999' of 1000] there and ['x' of 1000] here"),
        ([str(i) for i in range(12)], [str(i) for i in range(13)],
         "['0', '1', '2' of 12] there and ['12' of 13] here"),
    ],
)  # fmt: skip
def test_class_names_that_differ_are_shown_apart_and_not_all(theirs, ours, text):
    with pytest.raises(UsageError) as error:
        classifier.check_contract({"class_names": theirs}, {"class_names": ours}, "run/3")
    assert f"the checkpoint in run/3 does not fit: class_names is {text}; give" in str(error.value)


@pytest.mark.long
@pytest.mark.parametrize("takes_head", [False, True])
def test_fine_tuning_to_as_many_other_classes(folders, nine_classes, tmp_path, takes_head):
    held = {n: v for n, v in variables(nine_classes).items() if n.startswith("LeNet/")}
    held |= {
        "LeNet/fc4/weights": np.ones((1024, 2), np.float32),
        "LeNet/fc4/biases": np.float32([3, 4]),
    }
    params = traverse_util.unflatten_dict(held, sep="/")
    with checkpoints.CheckpointManager(tmp_path / "old") as manager:
        manager.save(3, {"params": params}, contract={"class_names": ["cat", "dog"]})
    flags = [*LENET, *folder(folders, "nine"), f"--checkpoint_path={tmp_path / 'old'}",
             "--max_number_of_steps=1", "--learning_rate=1e-9", f"--train_dir={tmp_path / 'new'}",
             *(["--checkpoint_exclude_scopes="] if takes_head else [])]  # fmt: skip
    assert train.main(flags) == 0
    found = variables(tmp_path / "new")
    np.testing.assert_allclose(found["LeNet/fc3/weights"], held["LeNet/fc3/weights"], atol=1e-6)
    np.testing.assert_allclose(
        found["LeNet/fc4/biases"], [3, 4] if takes_head else [0, 0], atol=1e-6
    )


@pytest.mark.long
def test_frozen_batch_norm_keeps_its_first_statistics(folders, tmp_path):
    flags = [
        *QUICK, *folder(folders, "nine"), "--model_name=mobilenet_v1_025", "--train_image_size=32",
        "--batch_size=4", "--max_number_of_steps=1", f"--train_dir={tmp_path}",
        "--trainable_scopes=MobilenetV1/Logits,MobilenetV1/Conv2d_13_pointwise",
        "--freeze_batch_norm",
    ]  # fmt: skip
    assert train.main(flags) == 0
    for name, value in variables(tmp_path).items():
        if name.startswith("Mobile") and "/moving_" in name:
            first = 1.0 if name.endswith("variance") else 0.0
            is_trained = name.startswith("MobilenetV1/Conv2d_13_pointwise/")
            assert np.all(value == first) != is_trained, name


@pytest.mark.long
def test_the_same_command_again_resumes_and_says_what_it_started_from(
    folders, nine_classes, tmp_path, capfd
):
    flags = [*LENET, *folder(folders, "nine"), f"--train_dir={tmp_path / 'run'}"]
    begin = [*flags, f"--checkpoint_path={nine_classes}"]
    assert train.main([*begin, "--max_number_of_steps=1"]) == 0
    capfd.readouterr()
    for again in (begin, flags, [*flags, "--start_from=resume"]):
        assert train.main([*again, "--max_number_of_steps=2"]) == 0
        first = capfd.readouterr().err.splitlines()[0]
        assert re.match(
            rf"resuming {tmp_path}/run/[12] \(which started from {nine_classes}\): lenet on", first
        )
    contradictions = {
        "--start_from=scratch": "--train_dir has the checkpoint .*/run/2, which a new run would "
        "mix with its own; give another directory, or --start_from=resume",
        f"--checkpoint_path={tmp_path}/run": "the run in --train_dir, at .*/2, keeps "
        r"--checkpoint_path=.* \(.*/run is given\); drop this flag to resume it, or give another",
    }
    for flag, message in contradictions.items():
        assert train.main([*flags, "--max_number_of_steps=3", flag]) == 2
        assert re.search(message, capfd.readouterr().err)
    (tmp_path / "run" / "config.json").unlink()
    assert train.main([*flags, f"--checkpoint_path={tmp_path}/run"]) == 2
    assert re.search(
        "--checkpoint_path is .*, but the run in --train_dir, at .*/2, started from .*; give "
        "another --train_dir to start anew, or leave --checkpoint_path out to resume",
        capfd.readouterr().err,
    )
    assert checkpoints.checkpoint_step(tmp_path / "run") == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--start_from=resume"], "--start_from=resume: there is no checkpoint in --train_dir=.*; "
         "give the directory of the run to resume"),
        (["--start_from=checkpoint"], "goes with --checkpoint_path, which is not given"),
        (["--start_from=scratch", "--checkpoint_path=/tmp"], "contradicts --checkpoint_path; drop "
         "one of them"),
        (["--start_from=new"], "start_from"),
        (["--freeze_batch_norm"], "goes with --trainable_scopes, which is not given; drop it"),
        (["--ignore_missing_vars"], "goes with --checkpoint_path, which is not given"),
        (["--checkpoint_path=/no/such.ckpt"], "there is no checkpoint at /no/such.ckpt, and"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(flags, message, folders, tmp_path, capfd):
    run = tmp_path / "run"
    arguments = [*LENET, *folder(folders, "nine"), f"--train_dir={run}"]
    assert train.main([*arguments, "--max_number_of_steps=1", *flags]) == 2
    assert re.search(message, capfd.readouterr().err)
    assert not run.exists()


@pytest.mark.long
def test_names_that_are_not_utf_8(folders, nine_classes, tmp_path, capfd):
    for split in ("train", "test"):
        for name in ("nine", "other"):
            shutil.copytree(
                folders / "nine" / split / name, tmp_path / "d\udce9" / split / f"{name}\udcea"
            )
    old = shutil.copytree(nine_classes, tmp_path / "old\udceb")
    flags = [*LENET, "--dataset_name=folder", f"--dataset_dir={tmp_path}/d\udce9"]
    flags += [f"--checkpoint_path={old}", f"--train_dir={tmp_path / 'run'}"]
    for steps in (1, 2):
        assert train.main([*flags, f"--max_number_of_steps={steps}"]) == 0
    assert r"which started from" in capfd.readouterr().err
    contract = checkpoints.read_contract(tmp_path / "run")
    assert contract["class_names"] == [r"nine\xea", r"other\xea"]
    assert contract["started_from"] == rf"{tmp_path}/old\xeb"
    flags = [*flags[8:10], f"--checkpoint_path={tmp_path / 'run'}"]
    assert evaluate.main(["eval.py", *flags]) == 0


def test_random_state_and_step_start_anew(folders, nine_classes, tmp_path):
    flags = [*LENET, *folder(folders, "nine"), f"--train_dir={tmp_path}"]
    flags += [f"--checkpoint_path={nine_classes}", "--max_number_of_steps=1"]
    assert train.main(flags) == 0
    assert checkpoints.checkpoint_step(tmp_path) == 1
    assert jax.tree.leaves(variables(tmp_path)["step"])[0] == 1


@pytest.mark.long
def test_a_checkpoint_of_tensorflow_is_evaluated(folders, nine_classes, tmp_path, capfd):
    held = {n: v for n, v in variables(nine_classes).items() if n.startswith("LeNet/")}
    averages = {f"{name}/ExponentialMovingAverage": value for name, value in held.items()}
    path = tf_checkpoint.save_checkpoint(tmp_path / "lenet.ckpt", {**held, **averages})
    data_flags = ["eval.py", *folder(folders, "nine_classes")]
    assert evaluate.main([*data_flags, f"--checkpoint_path={nine_classes}"]) == 0
    wanted = capfd.readouterr().out.removeprefix("step 150  ")
    flags = [*data_flags, f"--checkpoint_path={path}", "--eval_image_size=8"]
    for option in ([], ["--moving_average_decay=0.9"]):
        assert evaluate.main([*flags, "--model_name=lenet", *option]) == 0
        assert capfd.readouterr().out == wanted
    assert evaluate.main(flags) == 2
    assert "does not say which network it is of; give --model_name" in capfd.readouterr().err
    other = ["eval.py", *folder(folders, "nine"), *flags[3:], "--model_name=lenet"]
    assert evaluate.main(other) == 2
    message = capfd.readouterr().err
    assert f"the checkpoint {path} has 9 classes, and folder/test has 2" in message
