"""Every public name of TF-Slim is there, or says what takes its place."""

import functools
import importlib
import json
import pathlib

import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.core import tf_slim_names as _tf_slim_names

ROOT = pathlib.Path(__file__).parents[1]
NAMES = json.loads((ROOT / "golden" / "tf_slim_names.json").read_text())
INSTEAD = [(m, name) for m, names in _tf_slim_names.INSTEAD.items() for name in names]


def lacks(module, name):
    if hasattr(module, name):
        return False
    with pytest.raises(AttributeError, match=f" has no '{name}' of TF-Slim's: "):
        getattr(module, name)
    return True


def test_every_public_name_of_tf_slim_is_there_or_says_what_takes_its_place():
    lacking = set()
    for path, names in NAMES.items():
        parts = path.split(".")[1:]
        if "data_provider" in parts:
            assert lacks(slim, "data_provider")
            continue
        module = functools.reduce(getattr, parts, slim)
        lacking |= {name for name in names if lacks(module, name)}
    assert lacking == {name for _, name in INSTEAD}


def test_the_migration_guide_has_each_name_that_is_not_there():
    guide = (ROOT.parent / "docs" / "migration.md").read_text()
    assert [name for _, name in INSTEAD if f"{name}`" not in guide] == []


def test_the_message_says_what_to_do():
    with pytest.raises(AttributeError) as error:
        _ = slim.evaluation.StopAfterNEvalsHook
    assert str(error.value) == (
        "module 'jslim.evaluation' has no 'StopAfterNEvalsHook' of TF-Slim's: give num_evals=n to "
        "evaluate_once or evaluation_loop"
    )


def test_what_is_no_name_of_tf_slim_offers_the_nearest():
    with pytest.raises(AttributeError, match=r"'jslim.metrics' has no .* 'streaming_acuracy'; did"):
        _ = slim.metrics.streaming_acuracy
    assert not hasattr(slim.layers, "__wrapped__")


def test_names_that_lie_elsewhere_are_the_same_objects():
    assert slim.metrics.metric_ops.streaming_mean is slim.metrics.streaming_mean
    assert slim.layers.variables is slim.variables
    assert slim.variables.assign_from_values is slim.assign_from_values
    assert slim.train_eval.evaluate_repeatedly is slim.evaluation.evaluation_loop
    assert slim.rev_block_lib.arg_scope_lib.arg_scope is slim.arg_scope
    assert slim.learning.training is slim.training
    assert slim.optimizers.optimize_loss is slim.optimize_loss


@pytest.mark.parametrize("name", _tf_slim_names.MODULES)
def test_a_module_is_the_same_by_every_name(name):
    module = importlib.import_module(_tf_slim_names.MODULES[name])
    parent, _, last = name.rpartition(".")
    assert importlib.import_module(name) is module
    assert getattr(importlib.import_module(parent), last) is module
    assert module.__name__ == module.__spec__.name == _tf_slim_names.MODULES[name]


@pytest.mark.parametrize(
    ("module", "names"),
    {
        "jslim.model": "Model call_linen",
        "jslim.layers.activations": "relu",
        "jslim.layers.legacy": "legacy_fully_connected legacy_linear legacy_relu",
        "jslim.layers.sequences": "images_to_sequence sequence_to_images",
        "jslim.layers.transposed": "conv2d_transpose conv3d_transpose convolution2d_transpose",
        "jslim.metrics.confusion": "precision streaming_recall streaming_false_negatives",
        "jslim.metrics.thresholds": "EPSILON streaming_precision_at_thresholds",
    }.items(),
)
def test_former_modules_have_their_names(module, names):
    held = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(held, name)] == []


def test_data_formats_are_those_that_layers_take():
    images = jnp.ones((1, 2, 4, 4))
    pool = functools.partial(slim.avg_pool2d, images, [2, 2])
    assert pool(data_format=slim.layers.DATA_FORMAT_NCHW).shape == (1, 2, 2, 2)
    assert pool(data_format=slim.normalization.DATA_FORMAT_NHWC).shape == (1, 1, 2, 4)
    volumes = jnp.ones((1, 2, 4, 4, 4))
    pool = functools.partial(slim.avg_pool3d, volumes, [2, 2, 2])
    assert pool(data_format=slim.layers.DATA_FORMAT_NCDHW).shape == (1, 2, 2, 2, 2)
    assert pool(data_format=slim.layers.DATA_FORMAT_NDHWC).shape == (1, 1, 2, 2, 4)


def test_masked_extremes_are_what_the_message_says():
    module = "jslim.losses.metric_learning"
    data, mask = jnp.array([[1.0, 5.0, 3.0], [2.0, 4.0, 6.0]]), jnp.array([[1, 0, 1], [0, 0, 0]])
    for name, expected in (("masked_maximum", [[3.0], [2.0]]), ("masked_minimum", [[1.0], [6.0]])):
        code = _tf_slim_names.INSTEAD[module][name].removeprefix("write ")
        found = eval(code, {"jnp": jnp, "data": data, "mask": mask, "dim": 1})
        assert found.tolist() == expected
