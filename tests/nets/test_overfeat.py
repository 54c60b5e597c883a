import functools

import net_checks
import pytest

import jslim as slim
from jslim.nets import overfeat

evaluated = functools.partial(overfeat.overfeat, is_training=False)


def shape_of(size, **kwargs):
    return net_checks.shapes(functools.partial(evaluated, **kwargs), 2, *size, 3)[0].shape


@pytest.mark.long
def test_overfeat_equals_tf_slim():
    # Without dropout the outputs in training are those of inference.
    golden = net_checks.load_values("overfeat_train")

    def net(images):
        with slim.arg_scope(overfeat.overfeat_arg_scope()):
            return overfeat.overfeat(images, golden["num_classes"], dropout_keep_prob=1.0)

    net_checks.check_training(net, golden)


def test_overfeat_end_points_are_in_order_with_shapes():
    _, end_points = net_checks.shapes(evaluated, 2, 231, 231, 3)
    assert {name: value.shape[1:] for name, value in end_points.items()} == {
        "overfeat/conv1": (56, 56, 64),
        "overfeat/pool1": (28, 28, 64),
        "overfeat/conv2": (24, 24, 256),
        "overfeat/pool2": (12, 12, 256),
        "overfeat/conv3": (12, 12, 512),
        "overfeat/conv4": (12, 12, 1024),
        "overfeat/conv5": (12, 12, 1024),
        "overfeat/pool5": (6, 6, 1024),
        "overfeat/fc6": (1, 1, 3072),
        "overfeat/fc7": (1, 1, 4096),
        "overfeat/fc8": (1000,),
    }
    assert list(end_points)[:2] == ["overfeat/conv1", "overfeat/pool1"]
    net = functools.partial(evaluated, global_pool=True)
    _, end_points = net_checks.shapes(net, 2, 263, 295, 3)
    assert list(end_points)[-3:] == ["overfeat/fc7", "global_pool", "overfeat/fc8"]


def test_overfeat_initial_values_are_those_of_tf_slim():
    def net(images):
        with slim.arg_scope(overfeat.overfeat_arg_scope()):
            evaluated(images, 3)

    found = net_checks.initial_values(net, 1, 231, 231, 3, pattern=".*biases|.*fc[78]/weights")
    for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"):
        first, _ = found[f"overfeat/{layer}/biases"]
        assert first == pytest.approx(0.1 if layer in ("fc6", "fc7") else 0.0), layer
    for layer in ("fc7", "fc8"):
        _, stddev = found[f"overfeat/{layer}/weights"]
        assert stddev == pytest.approx(net_checks.CUT_OFF * 0.005, rel=0.02)


@pytest.mark.parametrize(
    ("size", "kwargs", "shape"),
    [
        ((231, 262), {}, (2, 1000)),
        ((231, 231), {"spatial_squeeze": False}, (2, 1, 1, 1000)),
        ((263, 295), {"spatial_squeeze": False}, (2, 2, 3, 1000)),
        ((263, 295), {"global_pool": True}, (2, 1000)),
        ((231, 231), {"num_classes": None}, (2, 1, 1, 4096)),
        ((263, 295), {"num_classes": 0}, (2, 2, 3, 4096)),
        ((263, 295), {"num_classes": 0, "global_pool": True}, (2, 1, 1, 4096)),
    ],
)
def test_overfeat_output_shape(size, kwargs, shape):
    assert shape_of(size, **kwargs) == shape


def test_overfeat_in_another_scope_has_its_full_names():
    def net(images):
        with slim.variable_scope("tower"):
            return evaluated(images, scope="fast")

    _, end_points = net_checks.shapes(net, 1, 231, 231, 3)
    assert next(iter(end_points)) == "tower/fast/conv1"
    assert list(end_points)[-1] == "tower/fast/fc8"


def test_overfeat_drops_features_in_training():
    with pytest.raises(slim.ScopeError, match=r"'overfeat.* needs randomness"):
        net_checks.shapes(overfeat.overfeat, 1, 231, 231, 3)


def test_overfeat_refuses_images_too_small():
    with pytest.raises(ValueError) as error:
        shape_of((231, 230))
    assert str(error.value) == (
        "overfeat: images of 231x230 are too small, it takes 231x231 or more; resize them"
    )


def test_overfeat_refuses_to_squeeze_a_map():
    with pytest.raises(ValueError, match=r"^overfeat: images of this size give a 1x2 map of"):
        shape_of((231, 263))


def test_overfeat_refuses_one_image_without_batch_axis():
    with pytest.raises(ValueError, match=r"^overfeat: images must be .* \(231, 231, 3\); add"):
        net_checks.shapes(evaluated, 231, 231, 3)
