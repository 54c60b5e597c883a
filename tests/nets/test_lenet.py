import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest

import jslim as slim
from jslim.nets import lenet, nets_factory


def test_lenet_equals_tf_slim():
    golden = net_checks.load_values("lenet")
    images = net_checks.seeded_input(golden)
    model = slim.Model(nets_factory.get_network_fn("lenet", golden["num_classes"]))
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


def test_lenet_training_equals_tf_slim():
    golden = net_checks.load_values("lenet_train")
    network_fn = nets_factory.get_network_fn("lenet", 10, weight_decay=0.0005, is_training=True)
    net_checks.check_training(functools.partial(network_fn, dropout_keep_prob=1.0), golden)


def test_lenet_scope_and_prediction_fn():
    def net(images):
        return lenet.lenet(images, 3, scope="other", prediction_fn=lambda x, scope: {scope: -x})

    model = slim.Model(net)
    images = jnp.ones((1, 4, 4, 1))
    variables = net_checks.seeded_variables(model, images)
    assert list(variables["params"]) == ["other"]
    logits, end_points = net_checks.run(model, variables, images)
    np.testing.assert_array_equal(end_points["Predictions"]["Predictions"], -logits)


@pytest.mark.parametrize("num_classes", [None, 0])
def test_lenet_without_classes_gives_features(num_classes):
    network = functools.partial(lenet.lenet, num_classes=num_classes, is_training=True)
    model = slim.Model(network)
    images = jnp.ones((2, 8, 8, 1))
    variables = net_checks.seeded_variables(model, images)
    features, end_points = net_checks.run(model, variables, images)
    assert list(end_points) == ["conv1", "pool1", "conv2", "pool2", "Flatten", "fc3"]
    np.testing.assert_array_equal(features, end_points["fc3"])


def test_lenet_takes_4x4_images():
    _, end_points = net_checks.shapes(lenet.lenet, 1, 4, 4, 1)
    assert end_points["Flatten"].shape == (1, 64)


def test_lenet_refuses_one_image_without_batch_axis():
    with pytest.raises(ValueError) as error:
        slim.Model(lenet.lenet).init(jax.random.key(0), jnp.zeros((28, 28, 1)))
    assert str(error.value) == (
        "lenet: images must be [batch, height, width, channels], got shape (28, 28, 1); add a "
        "batch axis (images[None])"
    )


def test_lenet_refuses_images_of_other_rank():
    with pytest.raises(ValueError, match=r"channels\], got shape \(1, 2, 28, 28, 1\)(\n|$)"):
        slim.Model(lenet.lenet).init(jax.random.key(0), jnp.zeros((1, 2, 28, 28, 1)))


def test_lenet_refuses_images_too_small():
    with pytest.raises(ValueError) as error:
        slim.Model(lenet.lenet).init(jax.random.key(0), jnp.zeros((1, 28, 3, 1)))
    assert str(error.value) == (
        "lenet: images of 28x3 are too small, it takes 4x4 or more; resize them"
    )
