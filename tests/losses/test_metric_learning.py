"""Losses of metric learning: TF-Slim's values and gradients, scikit-learn's scores, errors."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

import jslim as slim
from jslim import losses
from jslim.losses import _cluster_scores as scores
from jslim.losses import metric_learning

GOLDEN = dict(np.load(pathlib.Path(__file__).parents[1] / "golden" / "metric_learning.npz"))
CASES = json.loads(str(GOLDEN["index"]))
NAMES = [
    "cluster_loss",
    "contrastive_loss",
    "lifted_struct_loss",
    "npairs_loss",
    "npairs_loss_multilabel",
    "pairwise_distance",
    "triplet_semihard_loss",
]
POINTS = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]])
LABELS = jnp.array([0, 0, 1, 1])


def name_of(case):
    return f"{case['loss']}-{'-'.join(case['inputs'].values())}-{case['kwargs']}"


def split(case):
    """The floating inputs of a case, and the loss as a function of them."""
    given = {name: GOLDEN[held] for name, held in case["inputs"].items()}
    given = {k: v.astype(np.int32) if v.dtype == np.int64 else v for k, v in given.items()}
    floating = {k: jnp.asarray(v) for k, v in given.items() if v.dtype == np.float32}
    others = {k: v for k, v in given.items() if k not in floating}
    function = getattr(losses, case["loss"])
    return floating, lambda arrays: function(**arrays, **others, **case["kwargs"])


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: name_of(CASES[i]))
def test_value_and_gradients_are_those_of_tf_slim(number):
    case = CASES[number]
    floating, function = split(case)

    @jax.jit
    def run(arrays):
        def total(arrays):
            value = function(arrays)
            return jnp.sum(value), value

        return jax.grad(total, has_aux=True)(arrays)

    gradients, value = run(floating)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, GOLDEN[f"{number}/value"], rtol=1e-5, atol=1e-6)
    assert sorted(gradients) == sorted(case["grads"])
    for name, gradient in gradients.items():
        expected = GOLDEN[f"{number}/grad/{name}"]
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=2e-6, err_msg=name)


def test_the_cases_cover_every_function():
    assert sorted({case["loss"] for case in CASES}) == NAMES
    for name in NAMES:
        assert getattr(losses, name) is getattr(metric_learning, name)


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in NAMES if n != "pairwise_distance"])
def test_eager_and_mapped_equal_jitted(name):
    case = next(case for case in CASES if case["loss"] == name)
    floating, function = split(case)
    batches = {k: jnp.stack([v, v[::-1], 2 * v]) for k, v in floating.items()}
    with_gradient = jax.value_and_grad(function)
    mapped, gradients = jax.jit(jax.vmap(with_gradient))(batches)
    jitted = jax.jit(with_gradient)
    for i in range(3):
        one = {k: v[i] for k, v in batches.items()}
        value, gradient = jitted(one)
        np.testing.assert_allclose(mapped[i], value, rtol=1e-5, atol=1e-6)
        for k in gradient:
            np.testing.assert_allclose(gradients[k][i], gradient[k], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(function(floating), mapped[0], rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_equal_points_have_finite_gradients():
    same = jnp.ones((4, 2))
    functions = {
        "contrastive": lambda x: losses.contrastive_loss([1, 0, 1, 0], x, same),
        "triplet": lambda x: losses.triplet_semihard_loss(LABELS, x),
        "lifted": lambda x: losses.lifted_struct_loss(LABELS, x),
        "cluster": lambda x: losses.cluster_loss(LABELS, x, 1.0),
        "distance": lambda x: jnp.sum(losses.pairwise_distance(x)),
    }
    for name, function in functions.items():
        value, gradient = jax.value_and_grad(function)(same)
        assert np.isfinite(value), name
        assert np.isfinite(gradient).all(), name


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [5, 5, 5, 5]], ids=["no pair", "one class"])
def test_nothing_to_learn_from_gives_a_finite_loss(labels):
    for loss in (losses.triplet_semihard_loss, losses.lifted_struct_loss):
        value, gradient = jax.value_and_grad(lambda x, loss=loss: loss(labels, x))(POINTS)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert losses.lifted_struct_loss(labels, POINTS) == 0
    assert losses.triplet_semihard_loss([0, 1, 2, 3], POINTS) == 0


def test_half_precision_is_computed_in_float32():
    half = POINTS.astype(jnp.bfloat16)
    for loss in (losses.triplet_semihard_loss, losses.lifted_struct_loss):
        expected = loss(LABELS, half.astype(jnp.float32))
        np.testing.assert_array_equal(loss(LABELS, half), expected)
        gradient = jax.grad(lambda x, loss=loss: loss(LABELS, x))(half)
        assert gradient.dtype == jnp.bfloat16


def test_multilabel_lists_are_multi_hot_arrays():
    hot = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    expected = losses.npairs_loss_multilabel(hot, POINTS, POINTS)
    lists = [[2, 0], [1], [0, 1, 2, 1], [3]]
    for given in (
        hot.astype(bool),
        jnp.asarray(hot, jnp.float32),
        lists,
        [np.array(row) for row in lists],
        tuple(jnp.array(row) for row in lists),
    ):
        loss = losses.npairs_loss_multilabel(given, POINTS, POINTS)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    jitted = jax.jit(losses.npairs_loss_multilabel)
    rows = [jnp.array(row) for row in lists]
    np.testing.assert_allclose(jitted(rows, POINTS, POINTS), expected, rtol=1e-6)
    np.testing.assert_allclose(jitted(jnp.asarray(hot), POINTS, POINTS), expected, rtol=1e-6)
    assert np.isnan(jitted(jnp.zeros((4, 3)), POINTS, POINTS))


def test_losses_are_not_collected_but_cluster_loss_is_summarized():
    def function(x):
        losses.triplet_semihard_loss(LABELS, x)
        losses.cluster_loss(LABELS, x, 1.0, margin_type="ari")
        return losses.get_losses()

    found, updated = slim.Model(function).apply({}, POINTS, mutable=["summaries"])
    assert found == []
    assert sorted(updated["summaries"]) == [
        "scalar/losses/ari",
        "scalar/losses/score_gt",
        "scalar/losses/score_pred",
    ]


def test_losses_can_be_printed(capfd):
    losses.cluster_loss(LABELS, POINTS, 1.0, print_losses=True)
    losses.npairs_loss(LABELS, POINTS, POINTS, print_losses=True)
    losses.npairs_loss_multilabel([[0]] * 4, POINTS, POINTS, print_losses=True)
    jax.effects_barrier()
    printed = capfd.readouterr().out
    assert "cluster_loss: 1.176" in printed
    assert "npairs_loss: cross entropy 1.1" in printed
    assert "npairs_loss_multilabel: cross entropy" in printed


# Scores ----------------------------------------------------------------------------------------

SKLEARN = {
    "normalized_mutual_information": [
        sklearn.metrics.normalized_mutual_info_score,
        sklearn.metrics.v_measure_score,
    ],
    "adjusted_mutual_information": [sklearn.metrics.adjusted_mutual_info_score],
    "adjusted_rand_index": [sklearn.metrics.adjusted_rand_score],
}


@pytest.mark.parametrize("name", SKLEARN)
def test_scores_are_those_of_scikit_learn(name):
    score = jax.jit(lambda a, b: getattr(scores, name)(scores.contingency_table(a, b)))
    rng = np.random.default_rng(0)
    pairs = [
        (rng.integers(0, k, 24), rng.integers(0, m, 24)) for k in (2, 5, 23) for m in (2, 3, 9)
    ]
    one, all_of_them = np.zeros(24, int), np.arange(24)
    halves = all_of_them // 12
    pairs += itertools.product([one, all_of_them, halves, pairs[0][0]], repeat=2)
    for first, second in pairs:
        got = score(jnp.asarray(first, jnp.int32), jnp.asarray(second, jnp.int32))
        for reference in SKLEARN[name]:
            np.testing.assert_allclose(got, reference(first, second), rtol=1e-5, atol=1e-5)


# Errors ----------------------------------------------------------------------------------------

ERRORS = [
    (lambda: losses.contrastive_loss([[1], [0], [1], [0]], POINTS, POINTS), ValueError,
     r"contrastive_loss: labels must have shape \(4,\), one for each row of the embeddings, got "
     r"\(4, 1\); reshape them"),
    (lambda: losses.contrastive_loss([1, 0, 1, 0], POINTS, POINTS[:1]), ValueError,
     r"contrastive_loss: embeddings_anchor and embeddings_positive must have the same shape, got "
     r"\(4, 2\) and \(1, 2\); row i of both is one pair"),
    (lambda: losses.triplet_semihard_loss([0.0, 1.0, 0.0, 1.0], POINTS), TypeError,
     "triplet_semihard_loss: labels must be integers, the classes, got float32"),
    (lambda: losses.lifted_struct_loss([0, 1], POINTS), ValueError,
     r"lifted_struct_loss: labels must have shape \(4,\)"),
    (lambda: losses.lifted_struct_loss([0, 1], POINTS[0]), ValueError,
     r"embeddings must be \[batch, size\], got shape \(2,\); flatten each example"),
    (lambda: losses.npairs_loss([0], (POINTS, {}), POINTS), TypeError,
     "npairs_loss: embeddings_anchor must be one array, got a tuple"),
    (lambda: losses.triplet_semihard_loss([], jnp.zeros((0, 2))), ValueError,
     r"embeddings must hold at least one example, got shape \(0, 2\)"),
    (lambda: losses.npairs_loss_multilabel("ab", POINTS, POINTS), TypeError,
     "sparse_labels must be a multi-hot array .* or a list of 1-D integer arrays of class numbers, "
     "got str"),
    (lambda: losses.npairs_loss_multilabel(LABELS, POINTS, POINTS), ValueError,
     r"multi-hot labels must be \[batch, num_classes\] with a batch of 4, got shape \(4,\); class "
     "numbers go into a list"),
    (lambda: losses.npairs_loss_multilabel(np.full((4, 2), 3), POINTS, POINTS), ValueError,
     "multi-hot labels must be 0 or 1, got 3"),
    (lambda: losses.npairs_loss_multilabel(np.eye(4, 3), POINTS, POINTS), ValueError,
     "each pair needs at least one class, and 3 has none; leave it out"),
    (lambda: losses.npairs_loss_multilabel([[0], [], [1], [2]], POINTS, POINTS), ValueError,
     "each pair needs at least one class, and 1 has none"),
    (lambda: losses.npairs_loss_multilabel([[0]], POINTS, POINTS), ValueError,
     "sparse_labels must be one array of class numbers for each of the 4 pairs, got 1"),
    (lambda: losses.npairs_loss_multilabel([[0.5]] * 4, POINTS, POINTS), TypeError,
     r"must hold 1-D integer arrays of class numbers, got float32 of shape \(1,\) at 0; multi-hot"),
    (lambda: losses.cluster_loss(LABELS, POINTS, 1.0, margin_type="mni"), ValueError,
     "cluster_loss: margin_type must be one of 'nmi', 'ami', 'ari', 'vmeasure', 'const', got 'm"),
    (lambda: losses.cluster_loss(LABELS[None], POINTS, 1.0), ValueError,
     r"cluster_loss: labels must have shape \(4,\) or \(4, 1\), .* got \(1, 4\); reshape them"),
    (lambda: losses.cluster_loss(LABELS.astype(bool), POINTS, 1.0), TypeError,
     "cluster_loss: labels must be integers, the classes, got bool"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors_say_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()
