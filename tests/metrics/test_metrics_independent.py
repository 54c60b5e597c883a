"""Metrics against scikit-learn and SciPy, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from jslim import metrics

RNG = np.random.default_rng(3)
LABELS, PREDICTIONS = (RNG.integers(0, 5, 300) for _ in range(2))
PREDICTIONS[::2] = LABELS[::2]
WEIGHTS = RNG.uniform(0.2, 2, 300).astype(np.float32)


def value(metric, *data, **named):
    return metric.finalize(metric.update(metric.init(), *data, **named))


def test_classes_against_scikit_learn():
    given = {"sample_weight": WEIGHTS}
    matrix = sklearn.metrics.confusion_matrix(LABELS, PREDICTIONS, **given)
    found = value(metrics.confusion_matrix(5), PREDICTIONS, LABELS, weights=WEIGHTS)
    np.testing.assert_allclose(found, matrix, rtol=1e-5)
    scores = value(metrics.per_class(5), PREDICTIONS, LABELS, weights=WEIGHTS)
    wanted = sklearn.metrics.precision_recall_fscore_support(LABELS, PREDICTIONS, **given)
    np.testing.assert_allclose(scores[:3], wanted[:3], rtol=1e-5)
    np.testing.assert_allclose(scores.support, np.bincount(LABELS, WEIGHTS), rtol=1e-5)
    kappa = value(metrics.cohen_kappa(5), LABELS, PREDICTIONS, weights=WEIGHTS)
    wanted = sklearn.metrics.cohen_kappa_score(LABELS, PREDICTIONS, **given)
    np.testing.assert_allclose(kappa, wanted, rtol=1e-5)
    iou = value(metrics.streaming_mean_iou(5), PREDICTIONS, LABELS, weights=WEIGHTS)
    wanted = sklearn.metrics.jaccard_score(LABELS, PREDICTIONS, average="macro", **given)
    np.testing.assert_allclose(iou, wanted, rtol=1e-5)


def test_correlation_against_scipy_far_from_zero():
    x = (RNG.normal(size=500) + 1000).astype(np.float32)
    y = (0.5 * x + RNG.normal(size=500)).astype(np.float32)
    metric = metrics.streaming_pearson_correlation()
    state = metric.init()
    for part in np.array_split(np.arange(500), 9):
        state = metric.update(state, x[part], y[part])
    np.testing.assert_allclose(metric.finalize(state), scipy.stats.pearsonr(x, y)[0], rtol=1e-4)
    covariance = value(metrics.streaming_covariance(), x, y)
    np.testing.assert_allclose(covariance, np.cov(x, y)[0, 1], rtol=1e-4)


@pytest.mark.long
def test_area_with_many_thresholds_is_near_the_exact_one():
    labels = RNG.integers(0, 2, 400)
    scores = np.clip(RNG.normal(0.4 + 0.2 * labels, 0.2), 0, 1).astype(np.float32)
    wanted = sklearn.metrics.roc_auc_score(labels, scores)
    np.testing.assert_allclose(
        value(metrics.streaming_auc(2000), scores, labels), wanted, atol=2e-3
    )
    found = value(metrics.auc_using_histogram(nbins=2000), labels, scores)
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    best = max(sklearn.metrics.f1_score(labels, scores > t) for t in np.arange(199) / 199)
    np.testing.assert_allclose(value(metrics.f1_score(200), labels, scores), best, rtol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    "make",
    [
        lambda: metrics.streaming_true_positives_at_thresholds([0.5]),
        lambda: metrics.confusion_matrix(2),
        metrics.count,
        metrics.streaming_true_positives,
        lambda: metrics.precision_recall_at_equal_thresholds(2),
    ],
)
def test_counts_are_exact_past_two_to_the_24(make):
    metric = make()
    ones = jnp.ones(1 << 12, jnp.int32)
    data = [ones] if make is metrics.count else [ones, ones]

    @jax.jit
    def grown(state):
        doubled = lambda _, s: metric.merge(s, s)  # noqa: E731
        return metric.update(jax.lax.fori_loop(0, 13, doubled, state), *(d[:1] for d in data))

    found = metric.finalize(grown(metric.update(metric.init(), *data)))
    wanted = (1 << 25) + 1
    leaves = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])
    # A float32 cannot say it; the state can.
    assert np.float32(wanted) in leaves
    totals = [
        np.asarray(h, np.float64) + np.asarray(low, np.float64)
        for h, low in zip(*[iter(jax.tree.leaves(grown(metric.update(metric.init(), *data))))] * 2,
                          strict=True)
    ]  # fmt: skip
    assert any(np.any(total == wanted) for total in totals)


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(probability):
    metric = metrics.streaming_auc()
    predictions = jnp.asarray([0.5, probability])
    state = metric.update(metric.init(), predictions, jnp.asarray([0, 1]))
    with pytest.raises(ValueError) as error:
        metric.finalize(state)
    assert str(error.value) == (
        "streaming_auc: of the examples given, 1 had a label other than 0 or 1, or a prediction "
        "that is no number in [0, 1]; give probabilities (jax.nn.sigmoid(logits)) and truth values "
        "(labels == class_id)"
    )
    assert np.isnan(jax.jit(metric.finalize)(state))


def test_class_ids_out_of_range_are_refused():
    metric = metrics.confusion_matrix(3)
    for ids in ([0, 3], [0, -1]):
        state = metric.update(metric.init(), jnp.asarray(ids), jnp.asarray([0, 1]))
        with pytest.raises(ValueError) as error:
            metric.finalize(state)
        assert str(error.value) == (
            "confusion_matrix: of the examples given, 1 had a prediction or a label that is no "
            "class id from 0 to 2"
        )


def updated(metric, *data):
    return lambda: metric.update(metric.init(), *data)


THREE, SCORES = jnp.zeros(3, jnp.int32), jnp.zeros((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.streaming_auc(1), ValueError, "streaming_auc: num_thresholds must be at "
         "least 2, got 1"),
        (lambda: metrics.streaming_auc(curve="roc"), ValueError, "streaming_auc: curve must be "
         "'ROC' or 'PR', got 'roc'"),
        (lambda: metrics.streaming_auc(summation_method="simpson"), ValueError, "streaming_auc: "
         "summation_method must be 'trapezoidal', 'careful_interpolation', 'minoring' or 'majoring'"
         ", got 'simpson'"),
        (lambda: metrics.recall_at_precision(1.2), ValueError, "recall_at_precision: precision "
         "must be in [0, 1], got 1.2"),
        (lambda: metrics.precision_at_recall(-1), ValueError, "precision_at_recall: target_recall "
         "must be in [0, 1], got -1"),
        (lambda: metrics.streaming_specificity_at_sensitivity(2), ValueError,
         "streaming_specificity_at_sensitivity: sensitivity must be"),
        (lambda: metrics.streaming_sensitivity_at_specificity(2), ValueError,
         "streaming_sensitivity_at_specificity: specificity must be"),
        (lambda: metrics.auc_using_histogram([1, 0]), ValueError, "auc_using_histogram: "
         "score_range must be two growing numbers, got [1, 0]"),
        (lambda: metrics.confusion_matrix(1), ValueError, "confusion_matrix: num_classes must be "
         "at least 2, got 1"),
        (updated(metrics.streaming_mean_iou(3), SCORES[:, 0], THREE), TypeError,
         "streaming_mean_iou: predictions must be integer class ids, got float32; take "
         "jnp.argmax(scores, -1)"),
        (updated(metrics.streaming_auc(), THREE > 0, THREE), TypeError, "streaming_auc: "
         "predictions must be real numbers, got bool"),
        (lambda: metrics.streaming_sparse_recall_at_k(0), ValueError,
         "streaming_sparse_recall_at_k: k must be at least 1, got 0"),
        (updated(metrics.streaming_sparse_recall_at_k(5), SCORES, THREE), ValueError,
         "streaming_sparse_recall_at_k: predictions must be scores [..., num_classes] of at least "
         "k=5 classes, got shape (3, 4)"),
        (updated(metrics.streaming_sparse_precision_at_k(2), SCORES, SCORES), TypeError,
         "streaming_sparse_precision_at_k: labels must be integer class ids, got float32"),
        (updated(metrics.streaming_sparse_precision_at_k(2), SCORES, THREE[:2]), ValueError,
         "streaming_sparse_precision_at_k: labels of shape (2,) do not fit examples of shape (3,); "
         "give one id for each example, or [..., number of ids]"),
        (updated(metrics.streaming_sparse_precision_at_top_k(), SCORES, THREE), TypeError,
         "streaming_sparse_precision_at_top_k: top_k_predictions must be integer class ids [..., k]"
         ", got float32"),
        (updated(metrics.streaming_mean_tensor((2,)), jnp.ones((3, 4))), ValueError,
         "streaming_mean_tensor: values must be of shape (2,) or ('batch', 2), got (3, 4); give "
         "the shape to streaming_mean_tensor(shape=...)"),
    ],
)  # fmt: skip
def test_bad_input_is_said(call, error, text):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value).startswith(text)


@pytest.mark.long
def test_examples_with_fewer_labels_have_negative_ones():
    scores = jnp.asarray([[3.0, 2, 1, 0], [0.0, 1, 2, 3]])
    labels = jnp.asarray([[0, 3], [3, -1]])
    assert value(metrics.streaming_sparse_recall_at_k(1), scores, labels) == pytest.approx(2 / 3)
    assert value(metrics.streaming_sparse_precision_at_k(2), scores, labels) == 0.5
    average = metrics.streaming_sparse_average_precision_at_k(4)
    assert value(average, scores, labels) == pytest.approx(((1 + 2 / 4) / 2 + 1) / 2)
    assert value(average, scores, jnp.full((2, 1), -1)) == 0


def test_auc_using_histogram_takes_tf_slims_names():
    labels, scores = jnp.array([1, 0, 1, 0]), jnp.array([0.9, 0.1, 0.4, 0.6])
    metric = metrics.auc_using_histogram()
    wanted = metric.finalize(metric.update(metric.init(), labels, scores))
    for data in (
        {"boolean_labels": labels == 1, "scores": scores},
        {"labels": labels, "predictions": scores},
        {"scores": scores, "labels": labels, "weights": jnp.ones(4)},
    ):
        assert metric.finalize(metric.update(metric.init(), **data)) == wanted
    with pytest.raises(TypeError, match="scores is the same as predictions; give one of the two"):
        metric.update(metric.init(), labels, scores=scores, predictions=scores)
