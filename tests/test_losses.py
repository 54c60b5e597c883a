"""Losses: TF-Slim's own values, gradients and names; hand arithmetic; collections; errors."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim import losses

GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden" / "losses.json").read_text())
TWO_LOSSES = ["losses", "regularization_losses"]

LOGITS = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
ONE_HOT = jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
# The squares of PREDICTIONS - 1 are [[0, 1, 4], [9, 16, 25]], with sum 55.
PREDICTIONS = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
ONES = jnp.ones((2, 3))


def run(function, *args, mutable=TWO_LOSSES):
    """What a model function without variables returns, and what it collected."""
    return slim.Model(function).apply({}, *args, mutable=mutable)


# Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda c: f"{c['loss']}-{c['kwargs']}-{c['weights']}"[:90]
)
def test_value_and_gradients_are_those_of_tf_slim(case):
    arrays = {
        name: np.array(values, dtype).reshape(shape)
        for name, (shape, dtype, values) in GOLDEN["inputs"][case["loss"]].items()
    }
    if case["weights"] is not None:
        shape, values = case["weights"]
        arrays["weights"] = np.array(values, np.float32).reshape(shape)
    floating = {k: jnp.asarray(v) for k, v in arrays.items() if v.dtype == np.float32}
    others = {k: v for k, v in arrays.items() if k not in floating}

    def value(floating):
        loss = getattr(losses, case["loss"])(**floating, **others, **case["kwargs"])
        return jnp.sum(loss), loss

    gradients, loss = jax.grad(value, has_aux=True)(floating)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(jnp.ravel(loss), case["value"], rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        expected = np.array(case["grads"].get(name, [0.0] * gradient.size))
        np.testing.assert_allclose(
            jnp.ravel(gradient), expected, rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (1.0, 55 / 6),
        (2.0, 110 / 6),
        (0.0, 0.0),
        ([1.0, 0.0], 5 / 3),
        ([2, 1], 60 / 6),
        ([[2.0], [1.0]], 60 / 6),
        ([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], 32 / 2),
        ([True, False], 5 / 3),
        ([[[1.0]], [[0.0]]], 5 / 3),
        # What TF-Slim counts as fewer elements: a weight that is broadcast along an axis.
        ([1.0], 55 / 6),
        ([2.0], 110 / 6),
        ([[1.0]], 55 / 6),
        ([[0.0, 1.0, 2.0]], (17 + 58) / 4),
    ],
)
def test_weights_divide_by_the_elements_that_count(weights, expected):
    loss = losses.mean_squared_error(PREDICTIONS, ONES, weights=weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    unreduced = losses.compute_weighted_loss(jnp.square(PREDICTIONS - ONES), weights)
    np.testing.assert_allclose(unreduced, expected, rtol=1e-6)


def test_zero_weight_equals_leaving_the_example_out():
    kept = jnp.array([[1.0], [2.0]]) + PREDICTIONS
    padded = jnp.concatenate([kept, jnp.full((2, 3), 1e3)])
    labels = jnp.eye(3)[jnp.array([0, 2, 1, 1])]
    weights = jnp.array([1.0, 1.0, 0.0, 0.0])
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy):
        np.testing.assert_allclose(loss(padded, labels, weights), loss(kept, labels[:2]), rtol=1e-6)


def test_empty_batch_gives_zero():
    assert losses.mean_squared_error(jnp.zeros((0, 3)), jnp.zeros((0, 3))) == 0


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(1.0, 8 / 3), ([1.0, 0.0], 4 / 3), (2.0, 16 / 3), ([[1.0], [0.0]], 4 / 3), ([0.5], 4 / 3)],
)
def test_mean_pairwise_squared_error_sums_examples(weights, expected):
    loss = losses.mean_pairwise_squared_error(PREDICTIONS, ONES, weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    # By its definition: the mean over all ordered pairs, example by example.
    differences = np.asarray(PREDICTIONS)
    pairs = np.square(differences[:, :, None] - differences[:, None, :]).mean(axis=(1, 2))
    np.testing.assert_allclose(
        losses.mean_pairwise_squared_error(PREDICTIONS, ONES), pairs.sum(), rtol=1e-6
    )


def test_sum_of_squares_is_mean_squared_error():
    assert losses.sum_of_squares is losses.mean_squared_error


def test_sparse_labels_agree_with_one_hot_ones_in_every_shape():
    logits = jax.random.normal(jax.random.key(0), (2, 3, 4))
    labels = np.array([[0, 3, 1], [2, 2, 0]])
    expected = losses.softmax_cross_entropy(logits, np.eye(4)[labels])
    for given in (labels, labels[..., None], labels.astype(np.uint8), labels.tolist()):
        loss = losses.sparse_softmax_cross_entropy(logits, given)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    booleans = losses.sparse_softmax_cross_entropy(LOGITS, np.array([True, False]))
    np.testing.assert_array_equal(booleans, losses.sparse_softmax_cross_entropy(LOGITS, [1, 0]))


@pytest.mark.parametrize("dtype", [jnp.int32, bool, jnp.bfloat16, jnp.uint8])
def test_labels_of_any_type_are_cast(dtype):
    labels = ONE_HOT.astype(dtype)
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy, losses.hinge_loss):
        np.testing.assert_array_equal(loss(LOGITS, labels), loss(LOGITS, ONE_HOT))


def test_half_precision_logits_are_computed_in_float32():
    logits = (LOGITS * 7).astype(jnp.bfloat16)
    loss = losses.softmax_cross_entropy(logits, ONE_HOT.astype(jnp.bfloat16))
    assert loss.dtype == jnp.float32
    np.testing.assert_array_equal(
        loss, losses.softmax_cross_entropy(logits.astype(jnp.float32), ONE_HOT)
    )
    assert jax.grad(losses.softmax_cross_entropy)(logits, ONE_HOT).dtype == jnp.bfloat16


def test_gradients_are_finite_at_the_extremes():
    extreme = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy):
        value, gradient = jax.value_and_grad(loss)(extreme, ONE_HOT)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    probabilities = jnp.array([[0.0, 1.0, 1.0]])
    value, gradient = jax.value_and_grad(losses.log_loss)(probabilities, jnp.array([[1, 0, 1]]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_gradients_at_the_kinks_are_those_in_the_middle():
    zeros = jnp.zeros((1, 2))
    labels = jnp.array([[1.0, 0.0]])
    sigmoid = jax.grad(losses.sigmoid_cross_entropy)(zeros, labels)
    np.testing.assert_array_equal(sigmoid, [[(0.5 - 1) / 2, 0.5 / 2]])
    np.testing.assert_array_equal(jax.grad(losses.absolute_difference)(zeros, zeros), zeros)


def test_sigmoid_cross_entropy_keeps_small_losses_of_large_logits():
    # float32 has no number between 20 and 20 + 2e-9: log(1 + e^20) - 20 would be 0.
    loss = losses.sigmoid_cross_entropy(jnp.array([[20.0]]), jnp.array([[1.0]]))
    np.testing.assert_allclose(loss, np.log1p(np.exp(-20.0)), rtol=1e-6)


def test_a_class_that_is_ruled_out_adds_nothing():
    logits = jnp.array([[1.0, 2.0, -jnp.inf]])
    expected = np.log(1 + np.exp(-1.0))
    sparse, gradient = jax.value_and_grad(losses.sparse_softmax_cross_entropy)(logits, [1])
    np.testing.assert_allclose(sparse, expected, rtol=1e-6)
    assert np.isfinite(gradient).all()
    one_hot, gradient = jax.value_and_grad(losses.softmax_cross_entropy)(logits, [[0, 1, 0]])
    np.testing.assert_allclose(one_hot, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[1 - 1 / (1 + np.exp(-1)), -0.26894143, 0]], rtol=1e-6)


def test_label_out_of_range_makes_the_loss_nan_under_jit():
    loss = jax.jit(losses.sparse_softmax_cross_entropy)
    for wrong in (3, -1, 255):
        assert np.isnan(loss(LOGITS, jnp.array([2, wrong])))


def test_label_out_of_range_may_stand_where_the_weight_is_zero():
    labels = jnp.array([2, 255])
    expected, expected_gradient = jax.value_and_grad(losses.sparse_softmax_cross_entropy)(
        LOGITS[:1], labels[:1]
    )
    for transform in (lambda f: f, jax.jit):
        function = transform(jax.value_and_grad(losses.sparse_softmax_cross_entropy))
        loss, gradient = function(LOGITS, labels, labels != 255)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient[:1], expected_gradient, rtol=1e-6)
        np.testing.assert_array_equal(gradient[1], np.zeros(3))


def test_losses_are_the_same_under_jit_and_vmap():
    batches = jnp.stack([LOGITS, LOGITS + PREDICTIONS])
    labels = jnp.array([[2, 0], [1, 1]])
    mapped = jax.jit(jax.vmap(losses.sparse_softmax_cross_entropy))(batches, labels)
    one_by_one = [losses.sparse_softmax_cross_entropy(batches[i], labels[i]) for i in (0, 1)]
    np.testing.assert_allclose(mapped, jnp.stack(one_by_one), rtol=1e-6)


# Collections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", GOLDEN["names"])
def test_names_and_filter_are_those_of_tf_slim(scope):
    kept = {}

    def collect_all(logits, labels):
        losses.softmax_cross_entropy(logits, labels)
        losses.softmax_cross_entropy(logits, labels)
        losses.softmax_cross_entropy(logits, labels, scope="aux")
        losses.sparse_softmax_cross_entropy(logits, [0, 1], scope="aux")
        losses.sigmoid_cross_entropy(logits, labels)
        with slim.variable_scope("task"):
            losses.mean_squared_error(logits, labels)
            losses.absolute_difference(logits, labels)
        losses.sparse_softmax_cross_entropy(logits, [0, 1])
        losses.log_loss(jax.nn.sigmoid(logits), labels)
        losses.cosine_distance(logits, labels, axis=1)
        losses.compute_weighted_loss(logits)
        losses.hinge_loss(logits, labels)  # which is not collected
        pattern = None if scope == "None" else scope
        kept.update(found=losses.get_losses(pattern), named=losses.named_losses(pattern))

    _, collections = run(collect_all, LOGITS, ONE_HOT)
    names = GOLDEN["names"][scope]
    assert list(kept["named"]) == names
    assert list(collections["losses"]) == GOLDEN["names"]["None"]
    assert [float(v) for v in kept["found"]] == [float(collections["losses"][n]) for n in names]


def multi_task(features):
    """The seed's multi-task example: two losses and one of the user's own."""
    with slim.variable_scope("shared"):
        weights = slim.model_variable(
            "weights", [3, 3], initializer=2.0, regularizer=slim.l2_regularizer(0.5)
        )
    outputs = features @ weights
    classification = losses.softmax_cross_entropy(outputs, ONE_HOT)
    depth = losses.sum_of_squares(outputs, features)
    pose = jnp.mean(jnp.abs(outputs))
    losses.add_loss(pose)
    regularization = sum(losses.get_regularization_losses())
    by_hand = classification + depth + pose
    return {
        "by hand": by_hand + regularization,
        "total": losses.get_total_loss(),
        "by hand without": by_hand,
        "total without": losses.get_total_loss(add_regularization_losses=False),
        "regularization": losses.get_regularization_loss(),
    }


def test_total_loss_of_several_tasks_adds_up():
    model = slim.Model(multi_task)
    variables = model.init(jax.random.key(0), PREDICTIONS)
    values, collections = model.apply(variables, PREDICTIONS, mutable=TWO_LOSSES)
    np.testing.assert_allclose(values["regularization"], 0.5 * 9 * 4 / 2)
    np.testing.assert_allclose(values["total"], values["by hand"], rtol=1e-6)
    np.testing.assert_allclose(values["total without"], values["by hand without"], rtol=1e-6)
    assert list(collections["losses"]) == [
        "softmax_cross_entropy_loss/value",
        "mean_squared_error/value",
        "loss/value",
    ]
    assert list(collections["regularization_losses"]) == ["shared/weights/Regularizer"]


def test_collections_that_apply_returned_can_be_asked_outside():
    model = slim.Model(multi_task)
    variables = model.init(jax.random.key(0), PREDICTIONS)
    apply = jax.jit(lambda v, x: model.apply(v, x, mutable=TWO_LOSSES))
    values, collections = apply(variables, PREDICTIONS)
    np.testing.assert_allclose(losses.get_total_loss(collections), values["total"], rtol=1e-6)
    without = losses.get_total_loss(collections, add_regularization_losses=False)
    np.testing.assert_allclose(without, values["total without"], rtol=1e-6)
    np.testing.assert_array_equal(losses.get_total_loss(collections, False), without)
    assert len(losses.get_losses(collections)) == 3
    assert losses.named_losses(collections) == collections["losses"]
    (depth,) = losses.get_losses(collections, "mean_squared")
    np.testing.assert_array_equal(depth, collections["losses"]["mean_squared_error/value"])
    (penalty,) = losses.get_regularization_losses(collections, scope="shared/")
    np.testing.assert_array_equal(penalty, losses.get_regularization_loss(collections))
    np.testing.assert_allclose(penalty, values["regularization"])
    assert losses.get_regularization_loss(collections, "other") == 0


def test_losses_of_a_model_inside_a_linen_module_are_found():
    import flax.linen as nn

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, features):
            return slim.Model(multi_task, name="inner")(features)["total"]

    outer = Outer()
    variables = outer.init(jax.random.key(0), PREDICTIONS)
    total, collections = outer.apply(variables, PREDICTIONS, mutable=TWO_LOSSES)
    np.testing.assert_allclose(losses.get_total_loss(collections), total, rtol=1e-6)
    assert len(losses.get_losses(collections, "inner/soft")) == 1


def test_total_loss_gives_gradients_of_losses_and_regularizers():
    model = slim.Model(multi_task)
    variables = model.init(jax.random.key(0), PREDICTIONS)

    def loss(params, key):
        return model.apply({"params": params}, PREDICTIONS)[key]

    gradient = jax.grad(loss)(variables["params"], "total")
    without = jax.grad(loss)(variables["params"], "total without")
    difference = gradient["shared"]["weights"] - without["shared"]["weights"]
    np.testing.assert_allclose(difference, np.full((3, 3), 0.5 * 2.0), rtol=1e-4)


def test_arg_scope_on_add_loss_diverts_every_loss():
    def model_function(predictions, labels):
        with slim.arg_scope([losses.add_loss], loss_collection="my_losses"):
            losses.mean_squared_error(predictions, labels)
            losses.add_loss(jnp.mean(predictions), scope="mine")
        with slim.arg_scope([losses.add_loss], loss_collection=None):
            losses.mean_squared_error(predictions, labels)
        losses.add_loss(jnp.max(predictions), None)
        assert losses.get_losses() == []
        return losses.get_losses(loss_collection="my_losses")

    found, collections = run(model_function, PREDICTIONS, ONES, mutable=["my_losses", "losses"])
    np.testing.assert_allclose(found, [55 / 6, 3.5], rtol=1e-6)
    assert list(collections) == ["my_losses"]
    assert list(collections["my_losses"]) == ["mean_squared_error/value", "mine/value"]


def test_two_models_do_not_see_each_other():
    def inner(predictions):
        return losses.mean_squared_error(predictions, ONES)

    def outer(predictions):
        run(inner, predictions)
        losses.absolute_difference(predictions, ONES)
        return losses.get_losses()

    found, _ = run(outer, PREDICTIONS)
    np.testing.assert_allclose(found, [15 / 6])
    # A loss outside any model is just its value.
    np.testing.assert_allclose(losses.mean_squared_error(PREDICTIONS, ONES), 55 / 6, rtol=1e-6)


def test_apply_regularization_is_collected_by_the_running_model():
    def model_function():
        first = slim.model_variable("first", [2], initializer=3.0)
        second = slim.model_variable("second", [3], initializer=1.0, collections=["weights"])
        penalty = losses.apply_regularization(slim.l2_regularizer(1.0), [first, second])
        by_collection = losses.apply_regularization(slim.l1_regularizer(1.0))
        return penalty, by_collection, losses.get_regularization_losses()

    model = slim.Model(model_function)
    variables = model.init(jax.random.key(0))
    (penalty, by_collection, found), collections = model.apply(variables, mutable=TWO_LOSSES)
    assert (float(penalty), float(by_collection)) == ((18 + 3) / 2, 3.0)
    assert [float(v) for v in found] == [10.5, 3.0]
    assert list(collections["regularization_losses"]) == [
        "get_regularization_penalty",
        "get_regularization_penalty_1",
    ]
    outside = losses.apply_regularization(slim.l2_regularizer(1.0), variables["params"])
    assert float(outside) == 10.5


# Errors ----------------------------------------------------------------------------------------


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
            r"softmax_cross_entropy: logits must be \[batch, num_classes\], got shape \(3,\); add",
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
            r"predictions must be \[batch, \.\.\.\], got a scalar; add axes",
        ),
        (
            lambda: losses.compute_weighted_loss(ONES, weights=None),
            ValueError,
            "compute_weighted_loss: weights is None; give 1.0 to weigh every element alike",
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
            r"axis must be an axis of the predictions, whose shape is \(2, 3\), got 2",
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
