"""Training some layers, with the batch normalization of the others frozen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim.learning import create_train_op


def _two_convolutions(batch):
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
        net = slim.conv2d(batch["image"], 3, [1, 1], scope="first")
        net = slim.batch_norm(net, scope="between")
        net = slim.conv2d(net, 2, [1, 1], scope="second")
    return jnp.mean(net**2) + jnp.mean(net[..., 0])


@pytest.mark.long
def test_frozen_batch_norm_uses_and_keeps_its_statistics():
    rng = np.random.default_rng(0)
    batch = {"image": jnp.asarray(rng.normal(3.0, 2.0, (4, 2, 2, 3)), jnp.float32)}

    def trained(freeze):
        train_op = create_train_op(
            _two_convolutions, optax.sgd(0.1), variables_to_train=["second"],
            freeze_batch_norm=freeze,
        )  # fmt: skip
        state = train_op.init(0, batch)
        # The step donates what it is given.
        start = jax.tree.map(np.asarray, state.batch_stats)
        variables = jax.tree.map(jnp.copy, state.variables)
        state, outputs = train_op(state, batch)
        return start, variables, state.batch_stats, outputs["loss"]

    start, variables, statistics, loss = trained(True)
    for name in ("first", "between"):
        jax.tree.map(np.testing.assert_array_equal, start[name], dict(statistics[name]))
    assert not np.array_equal(
        start["second"]["BatchNorm"]["moving_mean"],
        statistics["second"]["BatchNorm"]["moving_mean"],
    )

    def with_inference_in_frozen_layers(batch):
        is_frozen = lambda name: not name.startswith("second")  # noqa: E731
        with slim.frozen_batch_norm(is_frozen):
            return _two_convolutions(batch)

    wanted, _ = slim.Model(with_inference_in_frozen_layers).apply(
        variables, batch, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    _, _, moved, other_loss = trained(False)
    assert not np.array_equal(
        start["first"]["BatchNorm"]["moving_mean"], moved["first"]["BatchNorm"]["moving_mean"]
    )
    assert abs(other_loss - loss) > 1e-3


def test_a_jitted_function_is_traced_again_where_other_layers_are_frozen():
    model = slim.Model(lambda x: slim.batch_norm(x, scope="bn"))
    images = jnp.full((2, 1, 1, 1), 3.0)
    variables = model.init(jax.random.key(0), images)
    traces = []

    @jax.jit
    def moving_mean():
        traces.append(None)
        _, updated = model.apply(variables, images, mutable=["batch_stats"])
        return updated["batch_stats"]["bn"]["moving_mean"]

    means = []
    for frozen in ("bn", "other", "bn"):
        with slim.frozen_batch_norm(lambda name, frozen=frozen: name == frozen):
            means.append(float(moving_mean()[0]))
    assert means == [0.0, pytest.approx(0.003), 0.0]
    assert len(traces) == 2
