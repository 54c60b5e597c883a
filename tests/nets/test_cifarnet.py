import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest

import jslim as slim
from jslim.nets import cifarnet, nets_factory


def test_cifarnet_equals_tf_slim():
    golden = net_checks.load_values("cifarnet")
    images = net_checks.seeded_input(golden)
    model = slim.Model(nets_factory.get_network_fn("cifarnet", golden["num_classes"]))
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


def test_cifarnet_training_equals_tf_slim():
    golden = net_checks.load_values("cifarnet_train")
    network_fn = nets_factory.get_network_fn("cifarnet", 10, None, is_training=True)
    net_checks.check_training(functools.partial(network_fn, dropout_keep_prob=1.0), golden)


def test_cifarnet_initial_values_are_those_of_its_arg_scope():
    network_fn = nets_factory.get_network_fn("cifarnet", 10)
    found = net_checks.initial_values(network_fn, 1, 8, 8, 3)
    stddevs = {"conv1": 0.05, "conv2": 0.05, "fc3": 0.04, "fc4": 0.04, "logits": 1 / 192}
    for layer, stddev in stddevs.items():
        _, measured = found[f"CifarNet/{layer}/weights"]
        assert measured == pytest.approx(net_checks.CUT_OFF * stddev, rel=0.05), layer
        first, _ = found[f"CifarNet/{layer}/biases"]
        assert first == (float(np.float32(0.1)) if layer in ("fc3", "fc4") else 0), layer


def test_cifarnet_drops_fc3_in_training():
    model = slim.Model(functools.partial(cifarnet.cifarnet, is_training=True))
    images = jnp.ones((2, 8, 8, 3))
    variables = net_checks.seeded_variables(model, images)
    first, second = (net_checks.run(model, variables, images, seed)[1] for seed in (1, 2))
    np.testing.assert_array_equal(first["fc3"], second["fc3"])
    assert not np.array_equal(first["fc4"], second["fc4"])


@pytest.mark.parametrize("num_classes", [None, 0])
def test_cifarnet_without_classes_gives_features(num_classes):
    network = functools.partial(cifarnet.cifarnet, num_classes=num_classes)
    features, end_points = net_checks.shapes(network, 2, 32, 32, 3)
    assert features.shape == (2, 192)
    assert list(end_points) == ["conv1", "pool1", "conv2", "pool2", "Flatten", "fc3", "fc4"]


def test_cifarnet_normalization_is_float32_under_half_precision():
    model = slim.Model(cifarnet.cifarnet)
    # The squares are so large that bfloat16 would lose the sum's small terms.
    images = 30 * jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    variables = net_checks.seeded_variables(model, images)
    wanted, _ = net_checks.run(model, variables, images)
    found, end_points = net_checks.run(model, variables, images.astype(jnp.bfloat16))
    assert {value.dtype for value in end_points.values()} == {jnp.dtype(jnp.bfloat16)}
    scale = float(jnp.std(wanted))
    np.testing.assert_allclose(found.astype(jnp.float32), wanted, rtol=0, atol=0.05 * scale)


def test_cifarnet_refuses_images_too_small():
    with pytest.raises(ValueError, match=r"^cifarnet: images of 2x32 are too small, .* 4x4 or"):
        slim.Model(cifarnet.cifarnet).init(jax.random.key(0), jnp.zeros((1, 2, 32, 3)))
