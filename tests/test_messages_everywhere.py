"""Each layer, loss and metric, called as users of other libraries would, says what is wrong.

The lists of them are the public ones: what is new there is tested here by itself.
"""

import inspect
import re
import traceback
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim.core.other_names import ARGUMENTS

IMAGES, VIDEOS, SEQUENCES = (jnp.ones((2, *size, 3)) for size in ((8, 8), (4, 8, 8), (8,)))
ROWS, LABELS = jnp.ones((2, 5)), jnp.array([0, 1])

# Functions that take no arrays, or other functions, or have no place here.
NO_LAYERS = {"frozen_batch_norm", "recompute_grad", "recompute_scopes", "repeat", "rev_block",
             "scale_gradient", "stack"}  # fmt: skip
NO_LOSSES = {"apply_regularization", "add_loss"}
NO_METRICS = {"aggregate_metric_map", "aggregate_metrics", "scores_of"}

QUICK = {"conv2d", "batch_norm", "dropout", "one_hot_encoding", "softmax_cross_entropy",
         "sparse_softmax_cross_entropy", "mean_squared_error", "streaming_accuracy",
         "streaming_auc"}  # fmt: skip

# What calls that are right have for arguments without a default.
GIVEN = {
    "boundaries": [0.0, 1.0],
    "embeddings": ROWS,
    "embeddings_anchor": ROWS,
    "embeddings_positive": ROWS,
    "feature": ROWS,
    "features": IMAGES,
    "height": 2,
    "inputs": IMAGES,
    "input_tensor": ROWS,
    "kernel_size": 3,
    "dim": 1,
    "labels": LABELS,
    "logits": ROWS,
    "losses": ROWS,
    "margin_multiplier": 1.0,
    "multi_class_labels": ROWS,
    "num_classes": 3,
    "num_output_units": 4,
    "num_outputs": 4,
    "num_units": 1,
    "onehot_labels": ROWS,
    "pooling_type": "MAX",
    "predictions": ROWS,
    "sparse_labels": jnp.ones((2, 3), int),
    "tensor": ROWS,
    "x": ROWS,
}
_ONE_AXIS = ("conv1d", "convolution1d", "sequence_to_images")
_THREE_AXES = ("avg_pool3d", "conv3d", "conv3d_transpose", "convolution3d",
               "convolution3d_transpose", "max_pool3d")  # fmt: skip
_OF_PAIRS = ("absolute_difference", "hinge_loss", "log_loss", "mean_pairwise_squared_error",
             "mean_squared_error", "sum_of_squares")  # fmt: skip
OTHERS = {
    **{name: {"inputs": SEQUENCES} for name in _ONE_AXIS},
    **{name: {"inputs": VIDEOS} for name in _THREE_AXES},
    **{name: {"labels": ROWS} for name in _OF_PAIRS},
    "cosine_distance": {"labels": ROWS, "axis": 1},
    "group_norm": {"groups": 3},
}
SETTINGS = {
    "k": 2, "max_size": 8, "num_classes": 3, "precision": 0.5, "sensitivity": 0.5,
    "specificity": 0.5, "target_recall": 0.5, "threshold": 0.5, "thresholds": [0.2, 0.5],
}  # fmt: skip

# What is no array of numbers.
NO_ARRAYS = {
    "None": None,
    "text": "cat",
    "texts": ["cat", "dog"],
    "texts_of_numpy": np.array(["cat", "dog"]),
    "objects": np.array([None, 1]),
    "ragged": [[1.0, 2.0], [3.0]],
    "what_a_network_returns": (IMAGES, {"logits": IMAGES}),
    "dict": {"logits": IMAGES},
}
# What is no function, of an argument that is one.
NO_FUNCTIONS = {
    "activation_fn": "relu",
    "normalizer_fn": "batch_norm",
    "weights_regularizer": "l2",
    "weights_initializer": "he_normal",
    "biases_initializer": "zeros",
    "activity_regularizer": "l2",
}


def public(module, left_out):
    """The functions of a module, by name."""
    return {
        name: thing
        for name in dir(module)
        if isinstance(thing := getattr(module, name), types.FunctionType)
        and name not in left_out
        and not name.startswith("get_")
    }


LAYERS = public(slim.layers, NO_LAYERS)
LOSSES = {
    name: loss
    for name, loss in public(slim.losses, NO_LOSSES).items()
    if "collections" not in inspect.signature(loss).parameters
}
OF_IMAGES = [
    name for name, op in LAYERS.items() if "data_format" in inspect.signature(op).parameters
]
METRICS = public(slim.metrics, NO_METRICS)
OPS = LAYERS | LOSSES


def needed(function):
    """The names of arguments without a default."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def right(name):
    """The arguments of a call that is right."""
    return {argument: GIVEN[argument] for argument in needed(OPS[name])} | OTHERS.get(name, {})


def called(name, arguments):
    return slim.Model(lambda: OPS[name](**arguments)).init_with_output(jax.random.key(0))


def said(mistake):
    """The message of an error, which jslim raises and not Python or JAX."""
    with pytest.raises((TypeError, ValueError)) as caught:
        mistake()
    *_, last = traceback.extract_tb(caught.value.__traceback__)
    text = str(caught.value)
    assert "/jslim/" in last.filename, f"{last.filename}: {text}"
    return text


def check(mistake, *names):
    """Checks that a message names the op, the argument, and what is accepted."""
    text = said(mistake)
    # Aliases have the name of the op that they are, such as fully_connected for linear.
    where, _, what = text.partition(": ")
    assert re.match(r"[a-z]\w+", where), text
    assert re.search(r"must|is missing|need|do not|not both|has no|gave", text), text
    assert any(re.search(rf"\b{name}\b", what or text) for name in names), text
    return text


def each(names):
    """One parameter for each name; those of the first of a kind are tested always."""
    marks = {name: [] if name in QUICK else [pytest.mark.long] for name in names}
    return [pytest.param(name, id=name, marks=marks[name]) for name in names]


def arrays_of(arguments):
    return [name for name, value in arguments.items() if isinstance(value, jax.Array)]


@pytest.mark.parametrize("name", each(OPS))
def test_a_right_call_is_right(name):
    called(name, right(name))


@pytest.mark.parametrize("name", each(OPS))
def test_arrays_that_are_none(name):
    arguments = right(name)
    for argument in arrays_of(arguments):
        for value in NO_ARRAYS.values():
            wrong = {**arguments, argument: value}
            check(lambda wrong=wrong: called(name, wrong), argument, "inputs")


@pytest.mark.parametrize("name", each(OPS))
def test_arguments_of_other_libraries(name):
    parameters = inspect.signature(OPS[name]).parameters
    others = [*ARGUMENTS, "from_logits", "reduction", "in_channels", "return_sequences"]
    for argument in others:
        if argument in parameters:
            continue
        text = said(lambda argument=argument: called(name, {**right(name), argument: "mean"}))
        op = text.partition(" ")[0]
        assert text.startswith(f"{op} has no argument '{argument}'"), text
        meant = [one for one in ARGUMENTS.get(argument, ()) if one in parameters]
        assert not meant or f"did you mean '{meant[0]}'" in text


@pytest.mark.parametrize("name", each(OPS))
def test_arguments_that_are_left_out(name):
    arguments = right(name)
    for argument in needed(OPS[name]):
        rest = {key: value for key, value in arguments.items() if key != argument}
        text = said(lambda rest=rest: called(name, rest))
        assert re.match(rf"\w+: {argument} is missing; call it as \w+\(", text), text


@pytest.mark.parametrize("name", each(LAYERS))
def test_functions_that_are_texts(name):
    for argument, text in NO_FUNCTIONS.items():
        if argument in inspect.signature(LAYERS[name]).parameters:
            wrong = {**right(name), argument: text}
            message = check(lambda wrong=wrong: called(name, wrong), argument)
            assert f"got '{text}'; give " in message


@pytest.mark.parametrize("name", each(OPS))
def test_values_of_a_wrong_type(name):
    for argument, parameter in inspect.signature(OPS[name]).parameters.items():
        kinds = str(parameter.annotation)
        if "Collections" in kinds or argument in right(name) or argument == "axis_name":
            continue
        numbers = parameter.annotation in (bool, float, int)
        wrong = ["yes", None, [1, "two"], ROWS] if numbers else []
        if argument in ("scope", "name"):
            wrong = [3, ["a"], ROWS]
        if argument.endswith("dtype"):
            wrong = ["half a float", -1, ROWS]
        if argument.endswith("collections") and argument != "updates_collections":
            wrong = [-1, ROWS, [1]]
        for value in wrong:
            arguments = {**right(name), argument: value}
            check(lambda arguments=arguments: called(name, arguments), argument)


@pytest.mark.parametrize("name", each(OF_IMAGES))
def test_images_of_a_wrong_type_or_rank(name):
    arguments = right(name)
    (argument,) = arrays_of(arguments)
    images = arguments[argument]
    wrong = {
        "integers": images.astype(jnp.uint8),
        "one": images[0],
        "number": 3,
        "scalar": jnp.float32(1),
        "more": images[None, None, None],
    }
    if name in ("images_to_sequence", "sequence_to_images"):  # which move numbers of any type
        del wrong["integers"]
    open_rank = ("batch_norm", "instance_norm", "bias_add", "gdn", "convolution", "pool")
    for kind, value in wrong.items():
        if kind in ("one", "more") and name in open_rank:
            continue
        text = check(lambda value=value: called(name, {**arguments, argument: value}), "inputs")
        if kind == "integers":
            assert "must be floating point, got uint8; convert them first" in text


@pytest.mark.parametrize("name", each(LOSSES))
def test_losses_of_shapes_that_do_not_match(name):
    arguments = right(name)
    arrays = arrays_of(arguments)
    for argument in arrays:
        longer = jnp.concatenate([arguments[argument]] * 2)
        if len(arrays) > 1:
            wrong = {**arguments, argument: longer}
            check(lambda wrong=wrong: called(name, wrong), *arrays, "labels")
    if "weights" in inspect.signature(LOSSES[name]).parameters:
        for weights in ("balanced", jnp.ones(7), [1, "two"], None):
            wrong = {**arguments, "weights": weights}
            check(lambda wrong=wrong: called(name, wrong), "weights")


def made(name):
    return METRICS[name](**settings_of(name))


def settings_of(name):
    names = [*needed(METRICS[name]), *(["max_size"] if name == "streaming_concat" else [])]
    return {key: SETTINGS[key] for key in names}


def data_of(metric):
    """The names of the arguments that `update` takes for its data."""
    names = needed(metric.update)[1:]
    return names or ["labels", "predictions"]  # of a function that takes them under two names


@pytest.mark.parametrize("name", each(METRICS))
def test_metrics_of_settings_of_a_wrong_type(name):
    settings = settings_of(name)
    for argument, parameter in inspect.signature(METRICS[name]).parameters.items():
        if parameter.annotation in (bool, float, int):
            for value in ("many", None, [1, "two"]):
                wrong = {**settings, argument: value}
                check(lambda wrong=wrong: METRICS[name](**wrong), argument)
    for argument in ("from_logits", "num_class", "labels"):
        text = said(lambda argument=argument: METRICS[name](**settings, **{argument: 3}))
        assert re.match(rf"\w+ has no argument '{argument}'", text), text


@pytest.mark.parametrize("name", each(METRICS))
def test_metrics_of_data_that_are_none(name):
    metric = made(name)
    names = data_of(metric)
    for argument in names:
        data = dict.fromkeys(names, jnp.ones(4))
        rest = {key: value for key, value in data.items() if key != argument}
        text = said(lambda rest=rest: metric.update(metric.init(), **rest))
        assert f".update: {argument} is missing" in text
        for value in NO_ARRAYS.values():
            wrong = {**data, argument: value}
            if name == "count":  # only the shape counts
                continue
            check(lambda wrong=wrong: metric.update(metric.init(), **wrong), *names)
    for argument in ("y_true", "y_pred", "sample_weight", "preds", "target"):
        wrong = dict.fromkeys([*names, argument], jnp.ones(4))
        text = said(lambda wrong=wrong: metric.update(metric.init(), **wrong))
        assert f".update has no argument '{argument}'" in text
