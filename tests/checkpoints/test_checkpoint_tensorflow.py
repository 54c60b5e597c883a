"""Variables of TensorFlow's checkpoints in jslim's models."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

import jslim as slim
from jslim._errors import RestoreError
from jslim.checkpoints import list_variables, load_variables

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
        "  new/weights is not in the checkpoint; did you mean 'Small/conv1/weights' or "
        "'Small/logits/weights'?\n"
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


def test_a_file_that_is_no_checkpoint(tmp_path):
    (tmp_path / "vgg_16.ckpt").write_text("<html>not found</html>")
    with pytest.raises(RestoreError) as error:
        slim.assign_from_checkpoint_fn(tmp_path / "vgg_16.ckpt", ["a"])
    assert str(error.value) == (
        f"{tmp_path}/vgg_16.ckpt is not a jslim checkpoint, nor one of TensorFlow; give a training "
        "directory, one of the numbered directories in it, or the prefix of a TensorFlow "
        "checkpoint."
    )
