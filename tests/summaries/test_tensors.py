"""TF-Slim's `summarize_*`, in a model that runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim

X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)


def recorded(function):
    """The tags and kinds of what `function(x)` records, and the scalars among it."""
    model = slim.Model(lambda x: (function(x), x)[1])
    variables = model.init(jax.random.key(0), X)
    _, updated = jax.jit(lambda v, x: model.apply(v, x, mutable=["summaries"]))(variables, X)
    return updated.get("summaries", {})


def test_a_scalar_a_histogram_and_nothing():
    def net(x):
        slim.summarize_tensor(jnp.mean(x), "mean")
        slim.summarize_tensor(x, "x")
        slim.summarize_tensor(x > 0, "signs")

    found = recorded(net)
    assert sorted(found) == ["histogram/x", "scalar/mean"]
    np.testing.assert_allclose(found["scalar/mean"], X.mean(), rtol=1e-6)


def test_activations_with_shares_of_zeros_and_sixes():
    def net(x):
        slim.summarize_activation(jax.nn.relu(x), "plain")
        slim.summarize_activation(9 * x, "capped", jax.nn.relu6)

    found = recorded(net)
    assert sorted(found) == [
        "histogram/capped/activation",
        "histogram/plain/activation",
        "scalar/capped/sixes",
        "scalar/capped/zeros",
    ]
    np.testing.assert_allclose(found["scalar/capped/zeros"], (X < 0).mean(), rtol=1e-6)
    np.testing.assert_allclose(found["scalar/capped/sixes"], (9 * X > 6).mean(), rtol=1e-6)


def test_collections_by_name():
    def net(x):
        slim.legacy_relu(x, 2, name="first")
        slim.fully_connected(x, 2, scope="second", variables_collections={"weights": ["weights"]})
        slim.summarize_weights()
        slim.summarize_biases("first")
        slim.summarize_activations()
        slim.summarize_variables("second/b")

    assert sorted(recorded(net)) == [
        "histogram/first/activation",
        "histogram/first/bias_summary",
        "histogram/first/weights_summary",
        "histogram/second/biases_summary",
        "histogram/second/weights_summary",
    ]


def test_tensors_by_name_and_with_another_summarizer():
    def net(x):
        slim.summarize_tensors({"a": x, "b": 2 * x})
        slim.summarize_tensors({"c": x}, slim.summarize_activation)

    assert sorted(recorded(net)) == [
        "histogram/a_summary",
        "histogram/b_summary",
        "histogram/c/activation",
    ]


def test_an_array_without_a_name_needs_a_tag():
    with pytest.raises(ValueError, match="summarize_tensor: name is missing, and only a variable"):
        recorded(lambda x: slim.summarize_tensor(2 * x))
