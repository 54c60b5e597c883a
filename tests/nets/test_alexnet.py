import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest

import jslim as slim
from jslim.nets import alexnet

evaluated = functools.partial(alexnet.alexnet_v2, is_training=False)


@pytest.fixture(scope="module")
def variables():
    model = slim.Model(functools.partial(evaluated, num_classes=11))
    return net_checks.seeded_variables(model, jnp.zeros((1, 224, 224, 3)))


def shape_of(size, **kwargs):
    return net_checks.shapes(functools.partial(evaluated, **kwargs), 2, *size, 3)[0].shape


@pytest.mark.long
def test_alexnet_equals_tf_slim(variables):
    golden = net_checks.load_values("alexnet_v2")

    def net(images):
        with slim.arg_scope(alexnet.alexnet_v2_arg_scope()):
            return evaluated(images, 11)

    images = net_checks.seeded_input(golden)
    net_checks.assert_outputs(*net_checks.run(slim.Model(net), variables, images), golden)


def test_alexnet_global_pool_averages_the_features(variables):
    images = jax.random.normal(jax.random.key(0), (1, 227, 259, 3))
    model = slim.Model(functools.partial(evaluated, num_classes=11, global_pool=True))
    logits, end_points = net_checks.run(model, variables, images)
    features = np.asarray(end_points["alexnet_v2/fc7"])
    assert features.shape == (1, 2, 3, 4096)
    pooled = features.mean((1, 2))
    np.testing.assert_allclose(end_points["global_pool"][:, 0, 0], pooled, rtol=1e-5, atol=1e-6)
    fc8 = variables["params"]["alexnet_v2"]["fc8"]
    wanted = pooled @ np.asarray(fc8["weights"])[0, 0] + np.asarray(fc8["biases"])
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)
    assert list(end_points)[-3:] == ["alexnet_v2/fc7", "global_pool", "alexnet_v2/fc8"]


def test_alexnet_initial_values_are_those_of_its_arg_scope():
    def net(images):
        with slim.arg_scope(alexnet.alexnet_v2_arg_scope()):
            evaluated(images, 3)

    found = net_checks.initial_values(net, 1, 195, 195, 3, pattern=".*biases|.*fc8")
    tenth = float(np.float32(0.1))
    for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"):
        first, _ = found[f"alexnet_v2/{layer}/biases"]
        assert first == (0.0 if layer == "fc8" else tenth), layer
    _, stddev = found["alexnet_v2/fc8/weights"]
    assert stddev == pytest.approx(net_checks.CUT_OFF * 0.005, rel=0.02)


@pytest.mark.parametrize(
    ("size", "kwargs", "shape"),
    [
        ((195, 226), {}, (2, 1000)),
        ((224, 224), {"spatial_squeeze": False}, (2, 1, 1, 1000)),
        ((227, 260), {"spatial_squeeze": False}, (2, 2, 3, 1000)),
        ((227, 260), {"global_pool": True}, (2, 1000)),
        ((224, 224), {"num_classes": None}, (2, 1, 1, 4096)),
        ((227, 260), {"num_classes": 0}, (2, 2, 3, 4096)),
        ((227, 260), {"num_classes": 0, "global_pool": True}, (2, 1, 1, 4096)),
    ],
)
def test_alexnet_output_shape(size, kwargs, shape):
    assert shape_of(size, **kwargs) == shape


def test_alexnet_refuses_images_too_small():
    with pytest.raises(ValueError) as error:
        shape_of((224, 194))
    assert str(error.value) == (
        "alexnet_v2: images of 224x194 are too small, it takes 195x195 or more; resize them"
    )


def test_alexnet_refuses_to_squeeze_a_map():
    with pytest.raises(ValueError, match=r"^alexnet_v2: images of this size give a 1x2 map of"):
        shape_of((224, 227))


def test_alexnet_refuses_one_image_without_batch_axis():
    with pytest.raises(ValueError, match=r"^alexnet_v2: images must be .* \(224, 224, 3\); add"):
        slim.Model(evaluated).init(jax.random.key(0), jnp.zeros((224, 224, 3)))
