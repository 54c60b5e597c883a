"""Metrics as values: aggregates, selections, and the advice given to people from TF-Slim."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim import metrics

PREDICTIONS, LABELS = jnp.array([0, 1, 1, 1]), jnp.array([0, 0, 1, 1])


def test_aggregate_metric_map_gives_values_by_name_in_its_order():
    both = metrics.aggregate_metric_map(
        {
            "eval/recall": metrics.streaming_recall(),
            "eval/accuracy": metrics.streaming_accuracy(),
        }
    )
    state = jax.jit(both.update)(both.init(), PREDICTIONS, LABELS)
    values = both.finalize(state)
    assert list(values) == ["eval/recall", "eval/accuracy"]
    assert {name: float(value) for name, value in values.items()} == {
        "eval/recall": 1,
        "eval/accuracy": 0.75,
    }


def test_aggregate_metrics_gives_a_list():
    both = metrics.aggregate_metrics(
        metrics.streaming_mean_absolute_error(), metrics.streaming_accuracy()
    )
    weights = jnp.array([1, 1, 0, 0])
    state = both.update(both.init(), PREDICTIONS, labels=LABELS, weights=weights)
    state = both.merge(state, both.update(both.init(), PREDICTIONS, LABELS))
    values = both.finalize(state)
    assert isinstance(values, list)
    np.testing.assert_allclose(values, [2 / 6, 4 / 6], rtol=1e-6)


def test_aggregates_of_nothing_are_an_error():
    with pytest.raises(ValueError, match=r"^aggregate_metrics: no metrics were given; give one"):
        metrics.aggregate_metrics()
    with pytest.raises(ValueError, match=r"^aggregate_metric_map: the dict holds no metrics; give"):
        metrics.aggregate_metric_map(names_to_tuples={})


def test_aggregate_says_which_metric_does_not_take_the_data():
    both = metrics.aggregate_metric_map(
        {"accuracy": metrics.streaming_accuracy(), "mean": metrics.streaming_mean()}
    )
    with pytest.raises(TypeError, match="takes at most 2 arguments by position") as info:
        both.update(both.init(), PREDICTIONS, LABELS)
    assert info.value.__notes__ == [
        "In an aggregate, by metric 'mean', which was given the same data as the others; "
        "metric.on(select) gives it data of its own."
    ]


def test_on_selects_one_array_a_tuple_or_arguments_by_name():
    data = {"logits": jnp.eye(4, 3), "labels": jnp.array([0, 1, 0, 0]), "loss": jnp.arange(4.0)}
    aggregate = metrics.aggregate_metrics(
        metrics.streaming_mean().on(lambda logits, labels, loss: loss),
        metrics.streaming_accuracy().on(
            lambda logits, labels, loss: (jnp.argmax(logits, -1), labels)
        ),
        metrics.streaming_recall_at_k(1).on(
            lambda logits, labels, loss: {"labels": labels, "predictions": logits}
        ),
    )
    for state in (
        aggregate.update(aggregate.init(), *data.values()),
        aggregate.update(aggregate.init(), **data),
    ):
        np.testing.assert_array_equal(aggregate.finalize(state), [1.5, 0.75, 0.75])


def test_on_multiplies_own_weights_with_those_of_the_update():
    mean = metrics.streaming_mean().on(lambda x, own: {"values": x, "weights": own})
    values = jnp.array([[1.0, 2.0], [3.0, 100.0], [jnp.nan, jnp.nan]])
    own = jnp.array([[1.0, 1.0], [4.0, 0.0], [1.0, 1.0]])
    state = mean.update(mean.init(), values, own, weights=jnp.array([1, 2, 0]))
    assert float(mean.finalize(state)) == pytest.approx((1 + 2 + 8 * 3) / 10)
    state = mean.update(mean.init(), values[:2], own[:2])
    assert float(mean.finalize(state)) == 15 / 6
    state = mean.update(mean.init(), values[:2], jnp.float32(0.5), weights=jnp.array([1, 0]))
    assert float(mean.finalize(state)) == 1.5


def test_on_refuses_own_weights_that_do_not_fit_the_given_ones():
    mean = metrics.streaming_mean().on(lambda x: {"values": x, "weights": jnp.ones(3)})
    message = (
        r"^Metric\.on: the weights given to update\(\), of shape \(4,\), and the selected ones, of "
        r"shape \(3,\), do not broadcast to each other; give both one entry for each entry of the "
        r"leading axes$"
    )
    with pytest.raises(ValueError, match=message):
        mean.update(mean.init(), jnp.ones(4), weights=jnp.ones(4))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: metrics.accuracy(PREDICTIONS, LABELS), "streaming_accuracy"),
        (lambda: metrics.streaming_mean(values=np.ones(4)), "streaming_mean"),
        (lambda: metrics.percentage_less(PREDICTIONS, 0.3), "streaming_percentage_less"),
        (lambda: metrics.streaming_recall_at_k(PREDICTIONS, LABELS, 5), "streaming_recall_at_k"),
        (lambda: metrics.recall(predictions=PREDICTIONS, labels=LABELS), "streaming_recall"),
    ],
)
def test_data_given_to_a_constructor_is_an_error_that_shows_the_way(call, name):
    message = (
        rf"^{name}\(\) was given data, an array of shape \(4,\), but takes configuration only; "
        rf"give the data to update\(\): metric = {name}\(\.\.\.\), state = "
        r"metric\.update\(metric\.init\(\), \.\.\.\), value = metric\.finalize\(state\)$"
    )
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: metrics.streaming_mean(1), "streaming_mean takes no arguments by position"),
        (
            lambda: metrics.streaming_recall_at_k(),
            "streaming_recall_at_k: k is missing; call ",
        ),
        (lambda: metrics.streaming_auc(bins=3), "streaming_auc has no argument 'bins' "),
    ],
)
def test_configuration_that_a_metric_does_not_take_is_an_error_with_its_name(call, text):
    with pytest.raises(TypeError, match=text):
        call()


def test_signature_of_a_metric_is_its_configuration():
    assert list(inspect.signature(metrics.streaming_recall_at_k).parameters) == ["k"]
    assert not inspect.signature(metrics.streaming_mean).parameters


def test_weights_go_by_name_so_that_labels_cannot_be_taken_for_them():
    mean = metrics.streaming_mean()
    message = r"takes at most 2 arguments by position \(state, values\), got 3"
    with pytest.raises(TypeError, match=message):
        mean.update(mean.init(), PREDICTIONS, LABELS)


def test_a_selector_of_code_that_has_no_module_is_taken():
    namespace = {}
    exec("def second(predictions, labels):\n  return labels", namespace)
    assert namespace["second"].__module__ in (None, "builtins")
    metric = metrics.streaming_mean().on(namespace["second"])
    state = metric.update(metric.init(), jnp.zeros(2), jnp.array([1.0, 3.0]))
    assert float(metric.finalize(state)) == 2
