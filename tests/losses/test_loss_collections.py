"""Losses that a model collects: names, totals, regularization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_checks import GOLDEN, LOGITS, ONE_HOT, ONES, PREDICTIONS, TWO_LOSSES, run

import jslim as slim
from jslim import losses


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
