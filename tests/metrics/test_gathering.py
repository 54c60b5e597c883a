"""Metrics that keep all values: exact areas against scikit-learn, intervals against DeLong's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from jslim import metrics


def examples(size=200, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size)
    predictions = rng.normal(labels * 0.7, 1).astype(np.float32)
    if ties:
        predictions = np.round(predictions, 1)
    return labels, predictions, rng.uniform(0.2, 2, size).astype(np.float32)


def state_of(metric, *data, weights=None, sizes=(7, 1, 0, 50)):
    state, start = metric.init(), 0
    for size in (*sizes, len(data[0]) - sum(sizes)):
        stop = start + size
        part = None if weights is None else weights[start:stop]
        state = metric.update(state, *(array[start:stop] for array in data), weights=part)
        start = stop
    return state


@pytest.mark.long
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_dynamic_auc_equals_scikit_learn(ties, weighted):
    labels, predictions, weights = examples(ties=ties)
    weights = weights if weighted else None
    metric = metrics.streaming_dynamic_auc(300)
    found = metric.finalize(state_of(metric, labels, predictions, weights=weights))
    wanted = sklearn.metrics.roc_auc_score(labels, predictions, sample_weight=weights)
    np.testing.assert_allclose(found, wanted, rtol=2e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_dynamic_area_under_precision_and_recall_equals_scikit_learn(weighted):
    labels, predictions, weights = examples()
    weights = weights if weighted else None
    metric = metrics.streaming_dynamic_auc(300, "PR")
    found = metric.finalize(state_of(metric, labels, predictions, weights=weights))
    precision, recall, _ = sklearn.metrics.precision_recall_curve(
        labels, predictions, sample_weight=weights
    )
    np.testing.assert_allclose(found, sklearn.metrics.auc(recall, precision), rtol=1e-5)


def test_one_class_alone_has_no_area():
    metric = metrics.streaming_dynamic_auc(8)
    for labels in ([1, 1], [0, 0], []):
        labels = jnp.asarray(labels, jnp.int32)
        state = metric.update(metric.init(), labels, jnp.ones(labels.shape))
        assert metric.finalize(state) == 0


def delong(labels, predictions, alpha, logit):
    """Of two groups without weights, by pairs."""
    true, false = predictions[labels == 1], predictions[labels == 0]
    wins = (true[:, None] > false) + 0.5 * (true[:, None] == false)
    auc = wins.mean()
    variance = wins.mean(1).var(ddof=1) / len(true) + wins.mean(0).var(ddof=1) / len(false)
    error, z = np.sqrt(variance), scipy.stats.norm.ppf((1 - alpha) / 2)
    if not logit:
        return auc, auc + z * error, auc - z * error
    estimate, step = np.log(auc / (1 - auc)), z * error / (auc * (1 - auc))
    return auc, *(1 / (1 + np.exp(-x)) for x in (estimate + step, estimate - step))


@pytest.mark.parametrize("alpha", [0.95, 0.5])
@pytest.mark.parametrize("logit", [False, True])
def test_confidence_intervals_are_those_of_delong(alpha, logit):
    labels, predictions, _ = examples()
    metric = metrics.auc_with_confidence_intervals(256, alpha, logit)
    found = metric.finalize(state_of(metric, labels, predictions))
    np.testing.assert_allclose(found, delong(labels, predictions, alpha, logit), rtol=1e-4)


def test_whole_weights_are_repetitions():
    labels, predictions, _ = examples(60)
    times = np.random.default_rng(1).integers(1, 4, 60)
    metric = metrics.auc_with_confidence_intervals(256)
    weighted = metric.update(metric.init(), labels, predictions, weights=times.astype(np.float32))
    repeated = metric.update(metric.init(), np.repeat(labels, times), np.repeat(predictions, times))
    np.testing.assert_allclose(metric.finalize(weighted), metric.finalize(repeated), rtol=1e-5)


def test_extreme_areas_are_their_own_intervals():
    metric = metrics.auc_with_confidence_intervals(8)
    labels = jnp.asarray([0, 0, 1, 1])
    found = metric.finalize(metric.update(metric.init(), labels, labels.astype(jnp.float32)))
    np.testing.assert_allclose(found, [1, 1, 1], rtol=1e-6)
    assert metric.finalize(metric.init()) == (0, 0, 0)


@pytest.mark.long
@pytest.mark.parametrize(
    "make", [metrics.streaming_dynamic_auc, metrics.auc_with_confidence_intervals]
)
def test_algebra(make):
    labels, predictions, weights = examples(48)
    metric = make(64)
    whole = metric.update(metric.init(), labels, predictions, weights=weights)
    parts = [
        metric.update(metric.init(), labels[i:j], predictions[i:j], weights=weights[i:j])
        for i, j in ((0, 10), (10, 11), (11, 48))
    ]
    a, b, c = parts
    merged = metric.merge(metric.merge(a, b), c)
    jax.tree.map(np.testing.assert_array_equal, merged, whole)
    jax.tree.map(np.testing.assert_array_equal, merged, metric.merge(a, metric.merge(b, c)))
    jax.tree.map(np.testing.assert_array_equal, metric.merge(metric.init(), a), a)
    jax.tree.map(np.testing.assert_array_equal, metric.merge(a, metric.init()), a)
    padded = metric.update(whole, jnp.full(5, 255), jnp.full(5, jnp.nan), weights=jnp.zeros(5))
    jax.tree.map(np.testing.assert_array_equal, padded, whole)
    jitted = jax.jit(metric.update)(metric.init(), labels, predictions, weights=weights)
    jax.tree.map(np.testing.assert_array_equal, jitted, whole)
    np.testing.assert_allclose(
        jax.tree.leaves(jax.jit(metric.finalize)(whole)),
        jax.tree.leaves(metric.finalize(whole)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("make", [metrics.streaming_dynamic_auc])
def test_eight_devices_equal_one(make):
    labels, predictions, _ = examples(48)
    metric = make(64)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("data")

    def summed(labels, predictions):
        return metric.psum(metric.update(metric.init(), labels, predictions), "data")

    found = jax.jit(
        jax.shard_map(
            summed, mesh=mesh, in_specs=(spec, spec), out_specs=jax.sharding.PartitionSpec()
        )
    )(labels, predictions)
    whole = metric.update(metric.init(), labels, predictions)
    jax.tree.map(np.testing.assert_array_equal, found, whole)


@pytest.mark.long
def test_concat_keeps_all_in_order():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 2)).astype(np.float32)
    metric = metrics.streaming_concat(32, (2,))
    state = state_of(metric, values, sizes=(3, 0, 9))
    np.testing.assert_array_equal(metric.finalize(state), values)
    mask = (np.arange(20) % 3 > 0).astype(np.float32)
    kept = metric.finalize(metric.update(metric.init(), values, weights=mask))
    np.testing.assert_array_equal(kept, values[mask > 0])
    padded = jax.jit(metric.finalize)(state)
    np.testing.assert_array_equal(padded, np.concatenate([values, np.zeros((12, 2))]))
    assert metric.finalize(metric.init()).shape == (0, 2)
    ids = metrics.streaming_concat(8, dtype=jnp.int32)
    found = ids.finalize(ids.update(ids.init(), jnp.arange(5)))
    np.testing.assert_array_equal(found, np.arange(5))
    assert found.dtype == jnp.int32


def test_concat_joins_along_another_axis():
    values = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    metric = metrics.streaming_concat(max_size=8, shape=(2, 3), axis=1)
    state = metric.update(metric.update(metric.init(), values[:, :4]), values[:, 4:])
    np.testing.assert_array_equal(metric.finalize(state), values)
    assert jax.jit(metric.finalize)(state).shape == (2, 8, 3)
    with pytest.raises(
        ValueError, match=r"values must be of shape \(2, 'batch', 3\), got \(3, 2, 3\)"
    ):
        metric.update(state, jnp.ones((3, 2, 3)))
    with pytest.raises(
        TypeError, match=r"^streaming_concat: max_size must be given, since the state"
    ):
        metrics.streaming_concat(axis=1)


def test_more_than_there_is_room_for_is_an_error():
    metric = metrics.streaming_concat(4)
    state = metric.update(metric.init(), jnp.arange(7.0))
    with pytest.raises(ValueError) as error:
        metric.finalize(state)
    assert str(error.value) == (
        "streaming_concat: there were 3 examples more than the 4 there is room for; give "
        "max_size=7 or more"
    )
    assert np.isnan(jax.jit(metric.finalize)(state)).all()


@pytest.mark.parametrize(
    ("labels", "predictions"), [([0, 2], [0.1, 0.2]), ([0, 1], [0.1, float("nan")])]
)
def test_what_is_no_example_is_an_error(labels, predictions):
    metric = metrics.streaming_dynamic_auc(8)
    state = metric.update(metric.init(), jnp.asarray(labels), jnp.asarray(predictions))
    with pytest.raises(ValueError, match="1 had a label other than 0 or 1, or a prediction that"):
        metric.finalize(state)
    assert np.isnan(jax.jit(metric.finalize)(state))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: metrics.streaming_concat(0), "streaming_concat: max_size must be at least 1, got "
         "0"),
        (lambda: metrics.streaming_concat(4, (2,), axis=2), "streaming_concat: axis must be in "
         "[0, 1], got 2; shape=(2,) is the shape of one value"),
        (lambda: metrics.streaming_dynamic_auc(curve="PRC"), "streaming_dynamic_auc: curve must be "
         "'ROC' or 'PR', got 'PRC'"),
        (lambda: metrics.auc_with_confidence_intervals(alpha=1), "auc_with_confidence_intervals: "
         "alpha must be in (0, 1), got 1"),
        (lambda: metrics.streaming_concat(4).update(metrics.streaming_concat(4).init(),
                                                    jnp.ones((2, 3))),
         "streaming_concat: values must be of shape ('batch',), got (2, 3); give the shape of one"),
    ],
)  # fmt: skip
def test_arguments_are_checked(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(text)
