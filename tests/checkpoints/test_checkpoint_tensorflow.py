"""Variables of TensorFlow's checkpoints in jslim's models."""

import pathlib
import shutil

import jax
import numpy as np
import pytest
from flax import traverse_util

import jslim as slim
from jslim import checkpoints, tf_checkpoint
from jslim.checkpoints import list_variables, load_variables
from jslim.core.errors import RestoreError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "tf_checkpoints"
V1, V2 = GOLDEN / "tf_slim_v1" / "model.ckpt-5", GOLDEN / "tf_slim_v2" / "model.ckpt-5"
OUTPUTS = dict(np.load(GOLDEN / "tf_slim_outputs.npz"))


def network(images, num_classes=5):
    """As in golden/make_tf_slim_training.py."""
    parameters = {"is_training": False, "decay": 0.5}
    scope = slim.arg_scope(
        [slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=parameters
    )
    with scope, slim.variable_scope("Small"):
        net = slim.conv2d(images, 4, [3, 3], scope="conv1")
        net = slim.max_pool2d(net, [2, 2], scope="pool1")
        net = slim.separable_conv2d(net, 6, [3, 3], 1, scope="conv2")
        net = slim.flatten(net)
        return slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")


MODEL = slim.Model(network)


@pytest.fixture(scope="module")
def variables():
    return MODEL.init(jax.random.key(0), OUTPUTS["images"])


def averaged(name):
    return f"{name}/ExponentialMovingAverage"


@pytest.mark.long
@pytest.mark.parametrize("path", [V1, V2, V2.parent, f"{V2}.index"], ids=str)
def test_model_with_the_variables_of_tf_slim_gives_its_logits(variables, path):
    init_fn = slim.assign_from_checkpoint_fn(path, variables)
    logits = MODEL.apply(init_fn(variables), OUTPUTS["images"])
    np.testing.assert_allclose(logits, OUTPUTS["logits"], rtol=1e-5, atol=1e-6)
    assert set(init_fn.report.loaded) == set(slim.get_model_variables(variables))
    assert "global_step" in init_fn.report.unused


@pytest.mark.parametrize("path", [V1, V2], ids=str)
def test_moving_averages_of_tf_slim_go_by_their_names(variables, path):
    init_fn = slim.assign_from_checkpoint_fn(path, variables, name_fn=averaged)
    logits = MODEL.apply(init_fn(variables), OUTPUTS["images"])
    np.testing.assert_allclose(logits, OUTPUTS["logits_of_averages"], rtol=1e-5, atol=1e-6)
    assert "Small/logits/biases" in init_fn.report.unused


def test_variables_that_were_renamed(variables):
    other = {"params": {"Other": variables["params"]["Small"]}}
    named = {name.replace("Other", "Small"): name for name in slim.get_variables(other)}
    found = slim.assign_from_checkpoint_fn(V2, named)(other)
    by_function = slim.assign_from_checkpoint_fn(
        V2, other, name_fn=lambda name: name.replace("Other", "Small")
    )(other)
    wanted = load_variables(V2, ["Small/logits/weights$"])["Small/logits/weights"]
    for tree in (found, by_function):
        np.testing.assert_array_equal(tree["params"]["Other"]["logits"]["weights"], wanted)


def test_lists_and_loads_by_pattern():
    assert ("global_step", (), "int64") in list_variables(V2)
    found = load_variables(V1, ["Small/conv2/.*weights$", "global_step"])
    assert list(found) == [
        "Small/conv2/depthwise_weights", "Small/conv2/pointwise_weights", "global_step"
    ]  # fmt: skip
    assert found["global_step"] == 5


def test_assign_from_checkpoint_reads_tensorflows(variables):
    assign, values = slim.assign_from_checkpoint(V2, ["Small/logits/biases"])
    found = assign(variables, values)["params"]["Small"]["logits"]["biases"]
    np.testing.assert_array_equal(found, values["Small/logits/biases"])


def test_only_the_wanted_bytes_are_read(variables, tmp_path, monkeypatch):
    for file in V2.parent.iterdir():
        shutil.copy(file, tmp_path)
    read = []
    from jslim.tf_checkpoint import _v2

    original = _v2.read_bytes
    monkeypatch.setattr(
        _v2, "read_bytes", lambda path, at, size: read.append(size) or original(path, at, size)
    )
    wanted = slim.get_variables_to_restore(variables, include=["Small/conv1"])
    slim.assign_from_checkpoint_fn(tmp_path, wanted)(variables)
    assert sum(read) == 4 * (3 * 3 * 3 * 4 + 3 * 4)


@pytest.mark.long
def test_all_that_does_not_fit_is_said_at_once():
    model = slim.Model(lambda images: network(slim.conv2d(images, 3, [1, 1], scope="new"), 7))
    variables = model.init(jax.random.key(0), OUTPUTS["images"])
    init_fn = slim.assign_from_checkpoint_fn(V2, variables)
    with pytest.raises(RestoreError) as error:
        init_fn(variables)
    assert str(error.value) == (
        f"{init_fn.report}; leave out what shall not be read, for example with "
        "get_variables_to_restore(exclude=[...]):\n"
        "  new/biases is not in the checkpoint; did you mean 'Small/conv2/biases'?\n"
        "  new/weights is not in the checkpoint; did you mean 'Small/conv1/weights'?\n"
        "  Small/logits/biases is float32 (7,) in the model, float32 (5,) in the checkpoint\n"
        "  Small/logits/weights is float32 (96, 7) in the model, float32 (96, 5) in the checkpoint"
    )
    excused = slim.assign_from_checkpoint_fn(
        V2, variables, allow_missing=["new/"], allow_mismatched=["Small/logits"]
    )
    found = excused(variables)
    assert set(excused.report.mismatched) == {"Small/logits/biases", "Small/logits/weights"}
    assert found["params"]["new"] is not None
    np.testing.assert_array_equal(
        found["params"]["Small"]["conv2"]["biases"], load_variables(V2)["Small/conv2/biases"]
    )
    np.testing.assert_array_equal(
        found["params"]["Small"]["logits"]["biases"],
        variables["params"]["Small"]["logits"]["biases"],
    )


def test_many_that_do_not_fit_are_grouped(tmp_path, caplog):
    path = tf_checkpoint.save_checkpoint(tmp_path / "m", {"net/w": np.ones(1, np.float32)})
    many = [f"net/conv{i}/{name}" for i in range(50) for name in ("weights", "biases")]
    with pytest.raises(RestoreError) as error:
        slim.assign_from_checkpoint(path, many)
    assert str(error.value) == (
        f"checkpoint {path} is missing 100 variables:\n  net/: 100 that are not in the checkpoint: "
        "conv0/weights, conv0/biases, conv1/weights, and 97 more"
    )
    assert slim.assign_from_checkpoint_fn(path, many, ignore_missing_vars=True) is None
    assert caplog.messages[-1].endswith("net/conv4/weights, net/conv4/biases, and 90 more")


@pytest.mark.parametrize(
    ("allowed", "lines"),
    [
        ({"allow_missing": ["conv9"]}, ["allow_missing has 'conv9', and nothing missing starts "
         "like that"]),
        ({"allow_mismatched": ["Small"], "allow_missing": []}, ["allow_mismatched has 'Small', and "
         "nothing mismatched starts like that"]),
        ({"allow_unused": [".*/RMSProp", ".*/ExponentialMovingAverage"]},
         ["global_step is not read"]),
        ({"allow_unused": [".*/RMSProp", ".*/Expo", "global_step", "globl"]},
         ["allow_unused has 'globl', and nothing unused starts like that; did you mean "
          "'global_step'?"]),
    ],
)  # fmt: skip
def test_patterns_that_excuse_nothing_and_what_none_excuses(variables, allowed, lines):
    with pytest.raises(RestoreError) as error:
        slim.assign_from_checkpoint_fn(V2, variables, **allowed)(variables)
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == lines


def test_every_unused_name_can_be_excused(variables):
    allowed = [".*/RMSProp", ".*/ExponentialMovingAverage", "global_step"]
    slim.assign_from_checkpoint_fn(V2, variables, allow_unused=allowed)(variables)


def test_patterns_are_a_list():
    with pytest.raises(TypeError) as error:
        slim.assign_from_checkpoint_fn(V2, ["a"], allow_missing="a")
    assert str(error.value) == "allow_missing must be a list of patterns, got 'a'."


@pytest.fixture
def moved(tmp_path):
    """The directory of TensorFlow's training, elsewhere than its file `checkpoint` says."""
    return pathlib.Path(shutil.copytree(V2.parent, tmp_path / "moved"))


def test_a_directory_of_tensorflow_has_a_latest_checkpoint(moved):
    assert checkpoints.latest_checkpoint(moved) == str(moved / "model.ckpt-5")
    assert checkpoints.latest_checkpoint(str(V1.parent)) == str(V1)
    assert checkpoints.all_checkpoints(moved) == [str(moved / "model.ckpt-5")]
    for path in (moved, moved / "model.ckpt-5", moved / "model.ckpt-5.index"):
        assert checkpoints.exists(path)
        assert checkpoints.latest_checkpoint(path) == str(moved / "model.ckpt-5")
        assert checkpoints.checkpoint_step(path) == 5
        assert checkpoints.read_contract(path) == {}
    found = slim.evaluation.wait_for_new_checkpoint(moved, timeout=0)
    assert found == str(moved / "model.ckpt-5")
    assert slim.evaluation.wait_for_new_checkpoint(moved, found, timeout=0) is None
    (moved / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-9"')
    with pytest.raises(RestoreError, match=r"checkpoint names model.ckpt-9, which is not there"):
        checkpoints.latest_checkpoint(moved)


def test_steps_of_jslim_count_before_checkpoints_of_tensorflow(moved):
    (moved / "7").mkdir()  # as an exported model of TensorFlow is called
    assert checkpoints.latest_checkpoint(moved) == str(moved / "model.ckpt-5")
    with checkpoints.CheckpointManager(moved) as manager:
        manager.save(3, {"params": {"w": np.ones(2, np.float32)}})
    assert checkpoints.latest_checkpoint(moved) == str(moved / "3")
    assert checkpoints.all_checkpoints(moved) == [str(moved / "3")]


@pytest.mark.parametrize("path", [V1, V2, V2.parent], ids=str)
@pytest.mark.parametrize("use_ema", [False, True])
def test_variables_of_tensorflow_without_their_network(variables, path, use_ema):
    found = checkpoints.restore_variables(path, use_ema=use_ema)
    assert jax.tree.structure(found) == jax.tree.structure(jax.tree.map(np.asarray, variables))
    logits = MODEL.apply(found, OUTPUTS["images"])
    wanted = OUTPUTS["logits_of_averages" if use_ema else "logits"]
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-6)


def test_what_optimizers_and_averages_keep_is_told_from_variables(tmp_path):
    value = np.ones(2, np.float32)
    kept = [
        "params/scale", "params/net/weights", "batch_stats/net/BatchNorm/moving_mean",
        "batch_stats/net/BatchNorm/net/BatchNorm/moving_mean/biased",
        "batch_stats/net/BatchNorm/renorm_stddev",
    ]  # fmt: skip
    arrays = {place.partition("/")[2]: value for place in kept} | {"scale": np.float32(2)}
    slots = ["net/weights/Adam", "net/weights/Adam_1", "train/net/weights/Momentum",
             "net/BatchNorm/moving_mean/ExponentialMovingAverage",
             "net/weights/ExponentialMovingAverage/biased"]  # fmt: skip
    numbers = {"beta1_power": np.float32(0.9), "train/beta2_power_1": np.float32(0.9)}
    others = {"global_step": np.int64(7), "names": np.array(["a"]), "flag": np.array(True)}
    averages = {"net/weights/ExponentialMovingAverage": value * 3}
    path = tf_checkpoint.save_checkpoint(
        tmp_path / "m", arrays | dict.fromkeys(slots, value) | numbers | others | averages
    )
    found = traverse_util.flatten_dict(checkpoints.restore_variables(path), sep="/")
    assert sorted(found) == sorted(kept)
    # A variable that has no average comes as it is.
    averaged = checkpoints.restore_variables(path, use_ema=True)["params"]
    assert (averaged["scale"], averaged["net"]["weights"][0]) == (2, 3)


def test_moving_averages_and_steps_that_are_not_there(tmp_path):
    path = tf_checkpoint.save_checkpoint(tmp_path / "vgg.ckpt", {"w": np.ones(2, np.float32)})
    with pytest.raises(RestoreError, match=r"vgg.ckpt holds no NAME/ExponentialMovingAverage; it"):
        checkpoints.restore_variables(path, use_ema=True)
    with pytest.raises(RestoreError, match=r"vgg.ckpt does not say how many training steps are"):
        checkpoints.checkpoint_step(path)
    numbered = tf_checkpoint.save_checkpoint(tmp_path / "vgg.ckpt-7", {"w": np.float32(1)})
    assert checkpoints.checkpoint_step(numbered) == 7


def test_training_does_not_go_on_in_the_directory_of_tensorflow(moved):
    target = {"params": {"w": np.ones(2, np.float32)}}
    for go_on in (lambda: checkpoints.restore_latest(moved, target),
                  lambda: checkpoints.step_to_resume(moved)):  # fmt: skip
        with pytest.raises(RestoreError) as error:
            go_on()
        assert str(error.value) == (
            f"{moved} is the directory of a training of TensorFlow, at {moved}/model.ckpt-5, which "
            "jslim cannot go on from; give another directory, and start there from its variables, "
            "by assign_from_checkpoint_fn or --checkpoint_path."
        )
    (moved / "checkpoint").unlink()  # a checkpoint that was put there is nobody's training
    assert checkpoints.restore_latest(moved, target) is None


def test_a_training_state_is_not_restored_from_tensorflow():
    with pytest.raises(RestoreError, match=r"model.ckpt-5 is a checkpoint of TensorFlow, which ho"):
        checkpoints.restore(V2.parent, {"params": {}})


def test_safetensors_are_found_by_the_same_rule(tmp_path):
    arrays = {"net/weights": np.ones(2, np.float32), "net/moving_mean": np.ones(1, np.float32)}
    path = checkpoints.save_safetensors(tmp_path / "a.safetensors", arrays)
    assert checkpoints.latest_checkpoint(path) == path
    found = checkpoints.restore_variables(path)
    assert sorted(slim.get_variables(found)) == sorted(arrays)
    assert list(found["batch_stats"]["net"]) == ["moving_mean"]


def test_a_file_that_is_no_checkpoint(tmp_path):
    (tmp_path / "vgg_16.ckpt").write_text("<html>not found</html>")
    with pytest.raises(RestoreError) as error:
        slim.assign_from_checkpoint_fn(tmp_path / "vgg_16.ckpt", ["a"])
    assert str(error.value) == (
        f"{tmp_path}/vgg_16.ckpt is not a jslim checkpoint, nor one of TensorFlow; give a training "
        "directory, one of the numbered directories in it, or the prefix of a TensorFlow "
        "checkpoint."
    )
