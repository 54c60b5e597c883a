"""Mistakes with labels, states and evaluation, and the sentence that each of them gets."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from messages import check_message, updated

import jslim as slim

ROWS = jnp.ones((2, 5))
TEXT = "must be an array of numbers, got the text 'cat'; give a class by its number, "
USED = (
    "the state was given to a step before, which makes the new one in its memory; use the state "
    "that the step returned: state, outputs = train_op(state, batch)"
)


def linear(inputs):
    return slim.linear(inputs, 2)


CAT = ["cat", "dog"]
LABELS = {
    "sparse_loss": (
        lambda: slim.losses.sparse_softmax_cross_entropy(ROWS, np.array(CAT)),
        f"sparse_softmax_cross_entropy: labels {TEXT}class_names.index('cat')",
    ),
    "loss": (
        lambda: slim.losses.softmax_cross_entropy(ROWS, CAT),
        f"softmax_cross_entropy: onehot_labels {TEXT}class_names.index('cat')",
    ),
    "one_hot": (
        lambda: slim.one_hot_encoding(CAT, 2),
        f"one_hot_encoding at 'OneHotEncoding': labels {TEXT}class_names.index('cat')",
    ),
    "metric": (
        lambda: updated(slim.metrics.accuracy(), [0, 1], CAT),
        f"streaming_accuracy().update: labels {TEXT}class_names.index('cat')",
    ),
    "objects": (
        lambda: slim.losses.sparse_softmax_cross_entropy(ROWS, np.array([1, None])),
        "sparse_softmax_cross_entropy: labels must be an array of numbers, got an array of object",
    ),
    "data": (
        lambda: slim.data.ArrayDataset(np.zeros((2, 8, 8, 1)), CAT, 2),
        "labels of 'arrays' must be integers of shape (2,), one an image, got <U3 of shape (2,); "
        "number the classes: class_names, labels = np.unique(labels, return_inverse=True)",
    ),
    "one_hot_data": (
        lambda: slim.data.ArrayDataset(np.zeros((3, 8, 8, 1)), np.eye(3, dtype=int), 3),
        "labels of 'arrays' must be integers of shape (3,), one an image, got int64 of shape "
        "(3, 3); give the numbers of the classes, labels.argmax(axis=1)",
    ),
    "float_data": (
        lambda: slim.data.ArrayDataset(np.zeros((2, 8, 8, 1)), np.array([0.0, 1.0]), 2),
        "labels of 'arrays' must be integers of shape (2,), one an image, got float64 of shape "
        "(2,); convert them with labels.astype('int32')",
    ),
    "float_labels": (
        lambda: slim.losses.sparse_softmax_cross_entropy(ROWS, np.array([0.0, 1.0])),
        "sparse_softmax_cross_entropy: labels must be integers, the numbers of the classes, got "
        "float32; convert them with labels.astype('int32')",
    ),
    "one_hot_of_floats": (
        lambda: slim.one_hot_encoding(np.array([0.0, 1.0]), 2),
        "one_hot_encoding at 'OneHotEncoding': labels must be integers, got float32; they are the "
        "numbers of the classes: convert them with labels.astype('int32')",
    ),
    "one_hot_where_numbers_go": (
        lambda: slim.losses.sparse_softmax_cross_entropy(ROWS, np.eye(5, dtype=int)[:2]),
        "sparse_softmax_cross_entropy: labels must have shape (2,) or (2, 1) for logits of shape "
        "(2, 5), got (2, 5); one-hot labels go to softmax_cross_entropy",
    ),
    "numbers_where_one_hot_goes": (
        lambda: slim.losses.softmax_cross_entropy(ROWS, np.array([1, 2])),
        "softmax_cross_entropy: logits and onehot_labels must have the same shape, got (2, 5) and "
        "(2,); class numbers go to sparse_softmax_cross_entropy, or through one_hot_encoding",
    ),
    "out_of_range": (
        lambda: slim.losses.sparse_softmax_cross_entropy(ROWS, np.array([1, 5])),
        "sparse_softmax_cross_entropy: labels must be in [0, 5), got 5 at [1]; fix the labels, "
        "give the network more classes, or give such examples weight 0",
    ),
    "out_of_range_in_training": (
        lambda: slim.learning.train(train_op(), [batch([1, 3])], number_of_steps=1),
        "train: the loss of step 1 is nan; training stopped, nothing was saved; "
        "sparse_softmax_cross_entropy: labels must be in [0, 3), got 3 at [1]; fix the labels, "
        "give the network more classes, or give such examples weight 0",
    ),
    "changed_before_the_loss": (
        lambda: slim.learning.train(
            train_op(lambda labels: jnp.where(labels == 255, 0, labels) - 1),
            [batch([255, 3])],
            number_of_steps=1,
        ),
        "train: the loss of step 1 is nan; training stopped, nothing was saved; "
        "sparse_softmax_cross_entropy: labels must be in [0, 3), got -1 at [0]; fix the labels, ",
    ),
    "map_in_training": (
        lambda: slim.learning.train(
            train_op(of_maps=True),
            [{"image": np.ones((2, 4, 4, 3)), "label": label_map()}],
            number_of_steps=1,
        ),
        "train: the loss of step 1 is nan; training stopped, nothing was saved; "
        "sparse_softmax_cross_entropy: labels must be in [0, 3), got 7 at [1, 2, 3]; fix the ",
    ),
    "other_nan_in_training": (
        lambda: slim.learning.train(
            train_op(), [batch([1, 2], image=np.full((2, 4), np.nan, np.float32))],
            number_of_steps=1,
        ),
        "train: the loss of step 1 is nan; training stopped, nothing was saved; lower the learning "
        "rate, or clip gradients with clip_gradient_norm",
    ),
    "text_in_training": (
        lambda: slim.learning.train(train_op(), [batch(CAT)], number_of_steps=1),
        f"batch['label'] {TEXT}class_names.index('cat')",
    ),
    "text_in_init": (
        lambda: train_op().init(0, batch(CAT)), f"batch['label'] {TEXT}class_names.index('cat')"
    ),
}  # fmt: skip


def batch(labels, image=None):
    return {
        "image": np.ones((2, 4), np.float32) if image is None else image,
        "label": np.asarray(labels),
    }


def label_map():
    labels = np.zeros((2, 4, 4), int)
    labels[1, 2, 3] = 7
    return labels


def train_op(change=lambda labels: labels, *, of_maps=False):
    def loss(batch):
        images = batch["image"]
        logits = slim.conv2d(images, 3, 1) if of_maps else slim.linear(images, 3)
        return slim.losses.sparse_softmax_cross_entropy(logits, change(batch["label"]))

    return slim.learning.create_train_op(loss, optax.sgd(0.1))


def used(use):
    """Gives a state to a step, and then `use(train_op, state, new state)`."""
    op = train_op()
    state = op.init(0, batch([1, 2]))
    new, _ = op(state, batch([1, 2]))
    return use(op, state, new)


def old_state(op, state, batch):
    _, outputs = op(state, batch)
    return state, outputs, False


STATES = {
    "step": (lambda: used(lambda op, state, _: op(state, batch([1, 2]))), f"train_op: {USED}"),
    "summarize": (
        lambda: used(lambda op, state, _: op.summarize(state, batch([1, 2]))), f"train_op: {USED}"
    ),
    "apply": (
        lambda: used(lambda op, state, _: slim.Model(linear).apply(state.variables, ROWS)),
        f"TrainState.variables: {USED}",
    ),
    "apply_to_params": (
        lambda: used(
            lambda op, state, _: op.model.apply({"params": state.params}, batch([1, 2]))
        ),
        f"Model.apply: {USED}",
    ),
    "evaluation": (
        lambda: used(
            lambda op, state, _: slim.evaluation.evaluate_variables(
                {"params": state.params}, lambda v, b: b, [ROWS], slim.metrics.streaming_mean()
            )
        ),
        f"evaluation: {USED}",
    ),
    "init_fn": (
        lambda: used(
            lambda op, state, _: slim.learning.train(
                op, [batch([1, 2])], number_of_steps=1, init_fn=lambda fresh: state
            )
        ),
        f"train: init_fn: {USED}",
    ),
    "train_step_fn": (
        lambda: slim.learning.train(
            train_op(), [batch([1, 2])] * 2, number_of_steps=2, train_step_fn=old_state
        ),
        f"train_op: {USED}",
    ),
    "variables": (
        lambda: used(lambda op, _, new: op(new.variables, batch([1, 2]))),
        "train_op: state must be a TrainState, as init returns, got dict",
    ),
}  # fmt: skip


def evaluated(returned, metrics=None):
    return slim.evaluation.evaluate_variables(
        {}, lambda variables, batch: returned, [batch([1, 2])],
        slim.metrics.streaming_accuracy() if metrics is None else metrics,
    )  # fmt: skip


EVAL_FN = (
    "evaluation: eval_fn must return what metrics.update takes after the state, such as "
    "(predictions, labels), but it returned "
)
EVALUATION = {
    "logits_only": (
        lambda: evaluated(ROWS),
        f"{EVAL_FN}an array of shape (2, 5); streaming_accuracy().update: labels is missing; ",
    ),
    "list": (lambda: evaluated([ROWS, ROWS]), f"{EVAL_FN}list; streaming_accuracy().update: "),
    "nothing": (lambda: evaluated(None), f"{EVAL_FN}NoneType; streaming_accuracy().update: "),
    "end_points": (
        lambda: evaluated((ROWS, {"logits": ROWS})),
        f"{EVAL_FN}(an array of shape (2, 5), a dict of 'logits'); streaming_accuracy().update: "
        "labels must be one array, got a dict; a network function returns (logits, end_points), ",
    ),
    "by_wrong_name": (
        lambda: evaluated({"preds": ROWS}),
        f"{EVAL_FN}a dict of 'preds'; streaming_accuracy().update has no argument 'preds'; did ",
    ),
    "dict_of_metrics": (
        lambda: evaluated((ROWS, ROWS), {"a": slim.metrics.streaming_accuracy()}),
        "evaluation: metrics must be a metric such as slim.metrics.streaming_accuracy(), got dict; "
        "make one of several by slim.metrics.aggregate_metric_map({name: metric})",
    ),
    "metric_that_was_not_called": (
        lambda: evaluated((ROWS, ROWS), slim.metrics.streaming_accuracy),
        "evaluation: metrics must be a metric such as slim.metrics.streaming_accuracy(), got "
        "function; call it, streaming_accuracy()",
    ),
    "eval_fn": (
        lambda: slim.evaluation.evaluate_variables({}, ROWS, [], slim.metrics.streaming_mean()),
        "evaluation: eval_fn must be a function of variables and a batch, got ArrayImpl",
    ),
}

MISTAKES = [
    pytest.param(*row, id=f"{table}-{name}")
    for table, rows in {"labels": LABELS, "states": STATES, "evaluation": EVALUATION}.items()
    for name, row in rows.items()
]


@pytest.mark.parametrize(("mistake", "text"), MISTAKES)
def test_mistake_gets_a_sentence(mistake, text):
    check_message(mistake, text)
