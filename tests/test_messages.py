"""Mistakes in models, layers and calls, and the sentence that each of them gets."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from messages import check_message, updated

import jslim as slim
from jslim.nets import vgg

IMAGES = jnp.ones((2, 8, 8, 3))
ROWS = jnp.ones((2, 5))
KEY = jax.random.key(0)
ONLY_INSIDE = (
    "only works inside a model function; wrap the function that calls it in slim.Model(fn) and "
    "call .init and .apply"
)
NO_VARIABLES = "Model.apply: variables must be the tree {'params': ..., 'batch_stats': ...} that "
FUNCTION = "must be a function of an array, or None, got"
INITIALIZER = "must be an initializer, a number or an array, got"


def linear(inputs):
    return slim.linear(inputs, 2)


def conv(**arguments):
    """Makes a model of one convolution."""
    return slim.Model(lambda: slim.conv2d(IMAGES, 4, 3, **arguments)).init(KEY)


def made(function, *inputs):
    return slim.Model(lambda *args: function(*args)).init(KEY, *inputs)


class Module(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return slim.conv2d(inputs, 4, 3)


def in_scope(op, **defaults):
    with slim.arg_scope([op], **defaults):
        return slim.conv2d(IMAGES, 4, 3)


def variable_scope(**options):
    with slim.variable_scope("net", **options):
        return slim.variable("w", [3])


MODELS = {
    "apply_without_variables": (
        lambda: slim.Model(linear).apply(ROWS),
        f"{NO_VARIABLES}init returned, got an array of shape (2, 5); call it as "
        "model.apply(variables, inputs)",
    ),
    "apply_to_a_state": (
        lambda: slim.Model(linear).apply(slim.learning.TrainState(0, {}, {}, (), KEY), ROWS),
        f"{NO_VARIABLES}init returned, got TrainState; give state.variables",
    ),
    "apply_to_a_collection": (
        lambda: slim.Model(linear).apply(slim.Model(linear).init(KEY, ROWS)["params"], ROWS),
        "variable 'fully_connected/weights' is in collection 'params', which was not given to "
        "apply (it was given 'fully_connected'); pass all that init returned",
    ),
    "init_without_key": (
        lambda: slim.Model(linear).init(ROWS),
        "Model.init: rngs must be a random key, got an array of shape (2, 5); call it as "
        "model.init(jax.random.key(0), inputs)",
    ),
    "init_with_a_seed": (
        lambda: slim.Model(linear).init_with_output(0, ROWS),
        "Model.init_with_output: rngs must be a random key, got 0; call it as ",
    ),
    "model_called": (
        lambda: slim.Model(linear)(ROWS),
        "Model: a model is called with arrays, but it holds no variables; make them by variables "
        "= model.init(jax.random.key(0), inputs), and compute by model.apply(variables, inputs)",
    ),
    "model_of_an_array": (
        lambda: slim.Model(ROWS),
        "Model: fn must be a function of arrays, got ArrayImpl; give the function itself, and its "
        "arguments to init and apply",
    ),
    "layer_outside": (lambda: slim.conv2d(IMAGES, 4, 3), f"conv2d {ONLY_INSIDE}"),
    "network_outside": (
        lambda: vgg.vgg_16(jnp.ones((1, 224, 224, 3))), f"variable_scope 'vgg_16' {ONLY_INSIDE}"
    ),
    "repeat_outside": (lambda: slim.repeat(ROWS, 2, slim.linear, 4), f"repeat {ONLY_INSIDE}"),
    "stack_outside": (lambda: slim.stack(ROWS, slim.linear, [4]), f"stack {ONLY_INSIDE}"),
    "layer_in_a_linen_module": (
        lambda: Module().init(KEY, IMAGES),
        "conv2d only works inside a model function; Module is a Linen module: write a model "
        "function fn, and call slim.Model(fn)(inputs) in the module's @nn.compact method",
    ),
    "linen_class": (
        lambda: made(lambda: slim.call_linen(nn.Dense, ROWS)),
        "call_linen: module must be a Linen module such as nn.Dense(7), got the class Dense; give "
        "an object of it, Dense(...)",
    ),
    "linen_function": (
        lambda: made(lambda: slim.call_linen(linear, ROWS)),
        "call_linen: module must be a Linen module such as nn.Dense(7), got linear; a function of "
        "arrays becomes one by slim.Model(fn)",
    ),
}  # fmt: skip

FUNCTIONS = {
    "activation": (
        lambda: conv(activation_fn="relu"),
        f"conv2d at 'Conv': activation_fn {FUNCTION} 'relu'; give jax.nn.relu",
    ),
    "no_activation": (
        lambda: conv(activation_fn="linear"),
        f"conv2d at 'Conv': activation_fn {FUNCTION} 'linear'; give None for a linear layer",
    ),
    "activation_of_a_scope": (
        lambda: made(lambda: in_scope(slim.conv2d, activation_fn="tanh")),
        re.compile(
            r"conv2d at 'Conv': activation_fn, set by the arg_scope at \S*test_messages.py:\d+, "
            r"must be a function of an array, or None, got 'tanh'; give jax.nn.tanh"
        ),
    ),
    "regularizer": (
        lambda: conv(weights_regularizer="l2"),
        f"conv2d at 'Conv': weights_regularizer {FUNCTION} 'l2'; give slim.l2_regularizer(scale)",
    ),
    "weight_decay": (
        lambda: conv(biases_regularizer=0.01),
        f"conv2d at 'Conv': biases_regularizer {FUNCTION} 0.01; give slim.l2_regularizer(0.01)",
    ),
    "regularizer_class": (
        lambda: conv(weights_regularizer=slim.l2_regularizer),
        f"conv2d at 'Conv': weights_regularizer {FUNCTION} the class l2_regularizer; give an "
        "object of it, l2_regularizer(...)",
    ),
    "initializer": (
        lambda: conv(weights_initializer="xavier"),
        f"conv2d at 'Conv': weights_initializer {INITIALIZER} 'xavier'; give "
        "slim.xavier_initializer()",
    ),
    "keras_initializer": (
        lambda: conv(weights_initializer="he_normal"),
        f"conv2d at 'Conv': weights_initializer {INITIALIZER} 'he_normal'; give "
        "jax.nn.initializers.he_normal()",
    ),
    "initializer_that_was_not_called": (
        lambda: conv(weights_initializer=jax.nn.initializers.he_normal),
        "variable 'Conv/weights': its initializer he_normal gave a function and not an array; give "
        "the function that it makes, he_normal()",
    ),
    "biases": (
        lambda: conv(biases_initializer=True),
        f"conv2d at 'Conv': biases_initializer {INITIALIZER} True; give one such as ",
    ),
    "normalizer": (
        lambda: conv(normalizer_fn="batchnorm"),
        f"conv2d at 'Conv': normalizer_fn {FUNCTION} 'batchnorm'; give slim.batch_norm",
    ),
    "normalizer_that_was_called": (
        lambda: made(lambda: conv(normalizer_fn=slim.batch_norm(IMAGES))),
        f"conv2d at 'Conv': normalizer_fn {FUNCTION} an array of shape (2, 8, 8, 3); give the "
        "function itself, and not its result",
    ),
    "normalizer_class": (
        lambda: conv(normalizer_fn=nn.BatchNorm),
        f"conv2d at 'Conv': normalizer_fn {FUNCTION} the class BatchNorm; give an object of it, ",
    ),
    "normalizer_params": (
        lambda: conv(normalizer_params=[0.9]),
        "conv2d at 'Conv': normalizer_params must be a dict {argument: value}, got list",
    ),
    "param_initializers": (
        lambda: made(lambda: slim.batch_norm(ROWS, param_initializers={"gamma": "ones"})),
        f"batch_norm at 'BatchNorm': param_initializers['gamma'] {INITIALIZER} 'ones'; give "
        "slim.ones_initializer()",
    ),
    "param_regularizers": (
        lambda: made(lambda: slim.batch_norm(ROWS, param_regularizers={"gamma": "l1"})),
        f"batch_norm at 'BatchNorm': param_regularizers['gamma'] {FUNCTION} 'l1'; give "
        "slim.l1_regularizer(scale)",
    ),
    "bias_add": (
        lambda: made(lambda: slim.bias_add(ROWS, initializer="zeros")),
        f"bias_add at 'BiasAdd': initializer {INITIALIZER} 'zeros'; give slim.zeros_initializer()",
    ),
    "legacy": (
        lambda: made(lambda: slim.legacy_fully_connected(ROWS, 3, weight_init="ones")),
        f"legacy_fully_connected at 'fully_connected': weight_init {INITIALIZER} 'ones'; give ",
    ),
    "variable": (
        lambda: made(lambda: slim.variable("w", [3], initializer="ones")),
        f"variable 'w': initializer {INITIALIZER} 'ones'; give slim.ones_initializer()",
    ),
    "variable_regularizer": (
        lambda: made(lambda: slim.variable("w", [3], regularizer="l2")),
        f"variable 'w': regularizer {FUNCTION} 'l2'; give slim.l2_regularizer(scale)",
    ),
    "variable_scope": (
        lambda: made(lambda: variable_scope(regularizer="l2")),
        f"variable_scope: regularizer {FUNCTION} 'l2'; give slim.l2_regularizer(scale)",
    ),
    "sum_regularizer": (
        lambda: slim.sum_regularizer(["l2"]),
        f"sum_regularizer: regularizer_list[0] {FUNCTION} 'l2'; give slim.l2_regularizer(scale)",
    ),
    "apply_regularization": (
        lambda: slim.apply_regularization("l2", [ROWS]),
        f"apply_regularization: regularizer {FUNCTION} 'l2'; give slim.l2_regularizer(scale)",
    ),
    "repeat": (
        lambda: made(lambda: slim.repeat(ROWS, 2, linear(ROWS))),
        "repeat: layer must be a function such as slim.conv2d, got ",
    ),
    "trainable": (
        lambda: conv(trainable="False"),
        "conv2d at 'Conv': trainable must be True or False, got 'False'",
    ),
    "is_training": (
        lambda: slim.dropout(ROWS, is_training="no"),
        "dropout at 'Dropout': is_training must be True or False, got 'no'",
    ),
    "dtype": (
        lambda: conv(dtype="bf16"),
        "conv2d at 'Conv': dtype must be a floating point type such as jnp.bfloat16, got 'bf16'",
    ),
    "data_format": (
        lambda: conv(data_format="channels_last"),
        "conv2d at 'Conv': data_format must be 'NHWC' or 'NCHW', got 'channels_last'; Keras's "
        "'channels_last' is 'NHWC'",
    ),
    "inputs_last": (
        lambda: made(lambda: slim.conv2d(32, 3, IMAGES)),
        "conv2d at 'Conv': inputs must be an array, got 32; they are the first argument",
    ),
    "end_points": (
        lambda: made(lambda: slim.flatten((IMAGES, {"logits": IMAGES}))),
        "flatten at 'Flatten': inputs must be one array, got a tuple; a network function returns "
        "(logits, end_points), so unpack it: logits, end_points = ...",
    ),
}

CALLS = {
    "strides": (
        lambda: conv(strides=2),
        "conv2d has no argument 'strides'; did you mean 'stride'? (it has inputs, num_outputs, "
        "kernel_size, stride, ",
    ),
    "kernel_size_missing": (
        lambda: made(lambda: slim.conv2d(IMAGES, 4)),
        "conv2d: kernel_size is missing; call it as conv2d(inputs, num_outputs, kernel_size, ...)",
    ),
    "units": (
        lambda: made(lambda: slim.linear(ROWS, units=4)),
        "fully_connected has no argument 'units'; did you mean 'num_outputs'? (it has ",
    ),
    "dropout_rate": (
        lambda: slim.dropout(ROWS, rate=0.1),
        "dropout has no argument 'rate'; did you mean 'keep_prob' (it is 1 minus that)? (it has ",
    ),
    "deterministic": (
        lambda: slim.dropout(ROWS, deterministic=True),
        "dropout has no argument 'deterministic'; did you mean 'is_training' (it is the opposite)?",
    ),
    "use_bias": (
        lambda: conv(use_bias=False),
        "conv2d has no argument 'use_bias'; did you mean 'biases_initializer' (None leaves the "
        "biases out)? (it has ",
    ),
    "groups": (lambda: conv(groups=3), "conv2d has no argument 'groups' (it has inputs, "),
    "scope_of_strides": (
        lambda: in_scope(slim.conv2d, strides=2),
        "arg_scope: conv2d has no argument 'strides'; did you mean 'stride'? (it has inputs, ",
    ),
    "legacy": (
        lambda: made(lambda: slim.legacy_linear(ROWS, units=3)),
        "legacy_fully_connected has no argument 'units'; did you mean 'num_output_units'? (it has ",
    ),
    "op_of_ones_own": (
        lambda: slim.add_arg_scope(linear)(inputs=ROWS, scop="a"),
        "linear has no argument 'scop' (it has inputs)",
    ),
    "loss_of_labels": (
        lambda: slim.losses.softmax_cross_entropy(ROWS, labels=ROWS),
        "softmax_cross_entropy has no argument 'labels'; did you mean 'onehot_labels'? (it has "
        "logits, onehot_labels, weights, label_smoothing, scope)",
    ),
    "loss_without_labels": (
        lambda: slim.losses.softmax_cross_entropy(ROWS),
        "softmax_cross_entropy: onehot_labels is missing; call it as "
        "softmax_cross_entropy(logits, onehot_labels, ...)",
    ),
    "keras_loss": (
        lambda: slim.losses.mean_squared_error(y_pred=ROWS, y_true=ROWS),
        "mean_squared_error has no argument 'y_pred'; did you mean 'predictions'? (it has ",
    ),
    "total_loss": (
        lambda: slim.losses.get_total_loss({}, add_regularisation_losses=False),
        "get_total_loss has no argument 'add_regularisation_losses'; did you mean "
        "'add_regularization_losses'? (it has collections, add_regularization_losses, name)",
    ),
    "metric": (
        lambda: slim.metrics.streaming_auc(thresholds=100),
        "streaming_auc has no argument 'thresholds'; did you mean 'num_thresholds'? (it has "
        "num_thresholds, curve, summation_method)",
    ),
    "metric_of_lists": (
        lambda: slim.metrics.accuracy([1, 2], [1, 2]),
        "streaming_accuracy() was given data, a list, but takes configuration only; give the data "
        "to update(): metric = streaming_accuracy(...), state = ",
    ),
    "update": (
        lambda: updated(slim.metrics.streaming_accuracy(), preds=[1], labels=[1]),
        "streaming_accuracy().update has no argument 'preds'; did you mean 'predictions'? (it has "
        "state, predictions, labels, weights)",
    ),
    "update_without_labels": (
        lambda: updated(slim.metrics.streaming_recall_at_k(5), [1]),
        "streaming_recall_at_k(k=5).update: labels is missing; call it as "
        "streaming_recall_at_k(k=5).update(state, predictions, labels, ...)",
    ),
    "metric_in_a_map_not_called": (
        lambda: slim.metrics.aggregate_metric_map({"a": slim.metrics.accuracy}),
        "aggregate_metric_map: 'a' must be a metric, got the function streaming_accuracy; call it, "
        "streaming_accuracy()",
    ),
    "metrics_in_a_list": (
        lambda: slim.metrics.aggregate_metric_map([slim.metrics.accuracy()]),
        "aggregate_metric_map: names_to_tuples must be a dict {name: metric}, got list",
    ),
}


MISTAKES = [
    pytest.param(*row, id=f"{table}-{name}")
    for table, rows in {"models": MODELS, "functions": FUNCTIONS, "calls": CALLS}.items()
    for name, row in rows.items()
]


@pytest.mark.parametrize(("mistake", "text"), MISTAKES)
def test_mistake_gets_a_sentence(mistake, text):
    check_message(mistake, text)
