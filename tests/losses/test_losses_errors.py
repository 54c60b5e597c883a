"""Errors of losses say what was given, what is accepted and what to do."""

import jax
import pytest
from loss_checks import LOGITS, ONE_HOT, ONES, PREDICTIONS, run

import jslim as slim
from jslim import losses


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: losses.softmax_cross_entropy((LOGITS, {"fc8": LOGITS}), ONE_HOT),
            TypeError,
            r"softmax_cross_entropy: logits must be one array, got a tuple; a network function "
            r"returns \(logits, end_points\), so unpack it: logits, end_points = vgg.vgg_16",
        ),
        (
            lambda: losses.mean_squared_error({"fc8": LOGITS}, ONES),
            TypeError,
            "mean_squared_error: predictions must be one array, got a dict; .* unpack it",
        ),
        (
            lambda: losses.absolute_difference(ONES),
            ValueError,
            "absolute_difference: labels is missing; give an array",
        ),
        (
            lambda: losses.hinge_loss(LOGITS),
            ValueError,
            "hinge_loss: labels is missing; give an array",
        ),
        (
            lambda: losses.mean_squared_error(ONES, ONES[0]),
            ValueError,
            r"mean_squared_error: predictions and labels must have the same shape, got \(2, 3\) "
            r"and \(3,\); reshape one of them",
        ),
        (
            lambda: losses.softmax_cross_entropy(LOGITS, [2, 0]),
            ValueError,
            r"logits and onehot_labels must have the same shape, got \(2, 3\) and \(2,\); class "
            "numbers go to sparse_softmax_cross_entropy, or through one_hot_encoding",
        ),
        (
            lambda: losses.softmax_cross_entropy(LOGITS[0], ONE_HOT[0]),
            ValueError,
            r"softmax_cross_entropy: logits must be \[batch, \.\.\., num_classes\], got shape "
            r"\(3,\); add a batch axis",
        ),
        (
            lambda: losses.softmax_cross_entropy(LOGITS, ONE_HOT, label_smoothing=1.5),
            ValueError,
            r"softmax_cross_entropy: label_smoothing must be in \[0, 1\], got 1.5; 0 turns it off",
        ),
        (
            lambda: losses.sigmoid_cross_entropy(LOGITS, ONE_HOT, label_smoothing=-0.1),
            ValueError,
            r"sigmoid_cross_entropy: label_smoothing must be in \[0, 1\], got -0.1",
        ),
        (
            lambda: losses.sparse_softmax_cross_entropy(LOGITS, ONE_HOT),
            TypeError,
            "labels must be integers, the numbers of the classes, got float32; one-hot or soft "
            "labels go to softmax_cross_entropy",
        ),
        (
            lambda: losses.sparse_softmax_cross_entropy(LOGITS, [[0, 0, 1], [1, 0, 0]]),
            ValueError,
            r"labels must have shape \(2,\) or \(2, 1\) for logits of shape \(2, 3\), got "
            r"\(2, 3\); one-hot labels go to softmax_cross_entropy",
        ),
        (
            lambda: losses.sparse_softmax_cross_entropy(LOGITS, [2, 3]),
            ValueError,
            r"labels must be in \[0, 3\), got 3 at \[1\]; fix the labels, give the network more "
            "classes, or give such examples weight 0",
        ),
        (
            lambda: jax.grad(losses.sparse_softmax_cross_entropy)(LOGITS, [-1, 3], [0.0, 1.0]),
            ValueError,
            r"labels must be in \[0, 3\), got 3 at \[1\]",
        ),
        (
            lambda: losses.mean_squared_error(PREDICTIONS, ONES, weights=[1.0, 2.0, 3.0]),
            ValueError,
            r"mean_squared_error: weights must be a scalar or of shape \(2,\) or of shape "
            r"\(2, 3\) \(or have length 1 along some of those axes\), got shape \(3,\); weights "
            "line up with the first axes",
        ),
        (
            lambda: losses.softmax_cross_entropy(LOGITS, ONE_HOT, weights=ONES),
            ValueError,
            r"softmax_cross_entropy: weights must be a scalar or of shape \(2,\) \(or .*, got "
            r"shape \(2, 3\)",
        ),
        (
            lambda: losses.mean_pairwise_squared_error(PREDICTIONS, ONES, weights=ONES),
            ValueError,
            r"mean_pairwise_squared_error: weights must be a scalar or of shape \(2,\)",
        ),
        (
            lambda: losses.mean_pairwise_squared_error(1.0, 2.0),
            ValueError,
            r"predictions must be \[batch, \.\.\.\], got shape \(\); add axes",
        ),
        (
            lambda: losses.compute_weighted_loss(ONES, weights=None),
            ValueError,
            "compute_weighted_loss: weights is missing; give 1.0 to weigh every element alike",
        ),
        (
            lambda: losses.cosine_distance(ONES, ONES),
            ValueError,
            "cosine_distance: give axis, along which the vectors lie, or its old name dim "
            r"\(one of the two\), got axis=None and dim=None",
        ),
        (
            lambda: losses.cosine_distance(ONES, ONES, axis=0, dim=1),
            ValueError,
            "got axis=0 and dim=1",
        ),
        (
            lambda: losses.cosine_distance(ONES, ONES, axis=2),
            ValueError,
            r"axis must be from -2 to 1 for inputs of shape \(2, 3\), got 2",
        ),
        (
            lambda: losses.add_loss(1.0),
            slim.ScopeError,
            "add_loss only works inside a model function; wrap the function",
        ),
        (
            lambda: run(lambda: losses.add_loss(ONES)),
            ValueError,
            r"add_loss: a loss must be a scalar, got shape \(2, 3\); average it, or use "
            "compute_weighted_loss",
        ),
        (
            lambda: run(losses.get_total_loss),
            ValueError,
            "get_total_loss: no loss was collected; call a loss function such as "
            "softmax_cross_entropy, or add_loss, in this model function first",
        ),
        (lambda: losses.get_total_loss({}), ValueError, "get_total_loss: no loss was collected"),
        (
            losses.get_total_loss,
            slim.ScopeError,
            r"get_total_loss: outside a model function the collections come first: "
            r"get_total_loss\(collections\), where _, collections = model.apply\(\.\.\., "
            r"mutable=\['losses', 'regularization_losses'\]\)",
        ),
        (losses.get_losses, slim.ScopeError, r"get_losses: outside a model function"),
        (
            lambda: losses.get_regularization_losses("conv1"),
            slim.ScopeError,
            r"get_regularization_losses: outside a model function",
        ),
        (
            lambda: losses.get_losses({}, "a", "b", "c"),
            TypeError,
            "get_losses takes at most 2 positional arguments after the collections, got 3",
        ),
        (
            lambda: losses.get_total_loss({}, False, add_regularization_losses=True),
            TypeError,
            r"^get_total_loss takes \(\[collections,\] add_regularization_losses, name\), each of "
            "them once, got 1 by position and add_regularization_losses by name as well$",
        ),
        (
            lambda: losses.get_losses("a", "losses", scope="a", loss_collection="losses"),
            TypeError,
            r"^get_losses takes .* got 2 by position and scope, loss_collection by name as well$",
        ),
        (
            lambda: losses.get_regularization_loss({}, "a", scope=None),
            TypeError,
            r"^get_regularization_loss takes .* and scope by name as well$",
        ),
        (
            lambda: losses.get_losses({}, collections={}),
            TypeError,
            "collections",
        ),
        (
            lambda: losses.apply_regularization(slim.l2_regularizer(1.0)),
            slim.ScopeError,
            "get_variables: outside a model function the variables tree comes first",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_loss_inside_an_inner_transformation_is_refused():
    def model_function(predictions):
        return jax.grad(lambda p: losses.mean_squared_error(p, ONES))(predictions)

    with pytest.raises(slim.ScopeError, match=r"'mean_squared_error/value' is added to .*'losses'"):
        run(model_function, PREDICTIONS)
