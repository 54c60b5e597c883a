"""MobileNet V1: the numbers of research/slim, and its arguments."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import pytest
from net_checks import shapes

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import batch_norm, conv2d, separable_conv2d, softmax
from jslim.nets import mobilenet_v1, nets_factory

# As in golden/net_cases/mobilenet.py.
CONV_DEFS = [
    mobilenet_v1.Conv([5, 3], 2, 6),
    *[mobilenet_v1.DepthSepConv([3, 3], 1 + i % 2, 8 + i) for i in range(12)],
    mobilenet_v1.DepthSepConv([1, 3], 1, 9),
]


def network(num_classes=11, name="mobilenet_v1", **kwargs):
    return functools.partial(nets_factory.get_network_fn(name, num_classes), **kwargs)


def base(**kwargs):
    def net(images):
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=False)):
            return mobilenet_v1.mobilenet_v1_base(images, **kwargs)

    return net


SMALL = {"depth_multiplier": 0.25}
CASES = {
    "mobilenet_v1": network(),
    "mobilenet_v1_025": network(name="mobilenet_v1_025", spatial_squeeze=False),
    "mobilenet_v1_defined": network(
        4, conv_defs=CONV_DEFS, depth_multiplier=0.5, min_depth=5, global_pool=True
    ),
    "mobilenet_v1_atrous": base(output_stride=8, use_explicit_padding=True, **SMALL),
    "mobilenet_v1_explicit": base(
        final_endpoint="Conv2d_6_depthwise",
        depth_multiplier=0.1,
        min_depth=6,
        use_explicit_padding=True,
    ),
    "mobilenet_v1_atrous_16": base(output_stride=16, final_endpoint="Conv2d_12_pointwise", **SMALL),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_mobilenet_v1_equals_tf_slim(name):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(CASES[name])
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.long
def test_mobilenet_v1_training_equals_tf_slim():
    scope = mobilenet_v1.mobilenet_v1_arg_scope(
        weight_decay=0.01, regularize_depthwise=True, batch_norm_decay=0.9
    )

    def net(images):
        # TensorFlow's batch normalization is not fused in float64.
        with slim.arg_scope(scope), slim.arg_scope([batch_norm], fused=False):
            return mobilenet_v1.mobilenet_v1(images, 7, 1.0, min_depth=12, **SMALL)

    net_checks.check_training_in_float64(net, net_checks.load_values("mobilenet_v1_train"))


def test_mobilenet_v1_end_points_are_in_order_with_shapes():
    logits, end_points = shapes(network(1000), 2, 224, 224, 3)
    assert logits.shape == (2, 1000)
    wanted = {"Conv2d_0": (112, 32)}
    size, depth = 112, 32
    for index, layer in enumerate(mobilenet_v1.MOBILENETV1_CONV_DEFS[1:], 1):
        size //= layer.stride
        wanted[f"Conv2d_{index}_depthwise"] = (size, depth)
        depth = layer.depth
        wanted[f"Conv2d_{index}_pointwise"] = (size, depth)
    wanted |= {"AvgPool_1a": (1, 1024), "Logits": (1000, 1000), "Predictions": (1000, 1000)}
    found = {name: (value.shape[1], value.shape[-1]) for name, value in end_points.items()}
    assert list(found.items()) == list(wanted.items())


@pytest.mark.parametrize("num_classes", [None, 0])
def test_mobilenet_v1_without_classes_gives_features(num_classes):
    features, end_points = shapes(network(num_classes), 2, 224, 224, 3)
    assert features.shape == (2, 1, 1, 1024)
    assert list(end_points)[-1] == "AvgPool_1a"


@pytest.mark.parametrize(("stride", "size"), [(8, 28), (16, 14), (32, 7)])
def test_mobilenet_v1_output_stride(stride, size):
    net, _ = shapes(base(output_stride=stride), 1, 224, 224, 3)
    assert net.shape == (1, size, size, 1024)


def test_mobilenet_v1_makes_nothing_behind_its_final_endpoint():
    net = base(final_endpoint="Conv2d_1_depthwise")
    variables = net_checks.structure(net, (32, 32, 3)).variables
    scopes = {row[0].split("/")[1] for row in variables}
    assert scopes == {"Conv2d_0", "Conv2d_1_depthwise"}


def test_mobilenet_v1_predictions_are_made_by_prediction_fn():
    _, end_points = shapes(network(prediction_fn=None), 1, 64, 64, 3)
    assert list(end_points)[-1] == "Logits"

    def first(logits, scope):
        assert scope == "Predictions"
        return softmax(logits)[:, :1]

    _, end_points = shapes(network(prediction_fn=first), 1, 64, 64, 3)
    assert end_points["Predictions"].shape == (1, 1)


def test_mobilenet_v1_scope_without_is_training_leaves_it_as_it_is():
    with (
        slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=None)),
        slim.arg_scope([batch_norm], decay=0.5),
    ):
        found = slim.current_arg_scope()[slim.arg_scope_func_key(batch_norm)]
    assert "is_training" not in found
    assert found["decay"] == 0.5
    assert found["scale"] is True


def test_mobilenet_v1_shares_its_variables_by_reuse():
    names = []

    def twice(images):
        mobilenet_v1.mobilenet_v1(images, 5, is_training=False, **SMALL)
        names[:] = [list(slim.get_model_variables())]
        second = mobilenet_v1.mobilenet_v1(images, 5, is_training=False, reuse=True, **SMALL)
        names.append(list(slim.get_model_variables()))
        return second

    shapes(twice, 1, 33, 33, 3)
    assert names[0] == names[1]


def test_mobilenet_v1_in_bfloat16_by_arg_scope():
    with slim.arg_scope([conv2d, separable_conv2d], dtype=jnp.bfloat16):
        logits, end_points = shapes(network(), 1, 33, 33, 3)
        variables = net_checks.structure(network(), (33, 33, 3)).variables
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}


def test_mobilenet_v1_drops_features_in_training():
    model = slim.Model(functools.partial(mobilenet_v1.mobilenet_v1, **SMALL))
    images = jax.ShapeDtypeStruct((2, 33, 33, 3), jnp.float32)
    tree = shapes_of(model.init, jax.random.key(0), images)
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    with pytest.raises(slim.ScopeError, match="/Logits' needs randomness"):
        jax.eval_shape(apply, tree, images)


@pytest.mark.parametrize(
    ("net", "size", "text"),
    [
        (
            base(final_endpoint="Conv2d_2"),
            33,
            "mobilenet_v1_base: there is no end point 'Conv2d_2'; did you mean 'Conv2d_0'",
        ),
        (
            base(depth_multiplier=0),
            33,
            "mobilenet_v1_base: depth_multiplier must be above 0, got 0",
        ),
        (
            base(output_stride=4),
            33,
            "mobilenet_v1_base: output_stride must be None, 8, 16 or 32, got 4",
        ),
        (
            base(conv_defs=["conv"]),
            33,
            "mobilenet_v1_base: each of conv_defs must be a Conv or a "
            "DepthSepConv, got 'conv' at 0",
        ),
        (
            network(),
            448,
            "MobilenetV1: images of this size give a 4x4 map of logits, and spatial_squeeze can "
            "only remove a 1x1 one",
        ),
    ],
)
def test_mobilenet_v1_errors_say_what_to_do(net, size, text):
    with pytest.raises(ValueError) as error:
        shapes(net, 1, size, size, 3)
    assert str(error.value).startswith(text)


def test_mobilenet_v1_refuses_one_image_without_batch_axis():
    with pytest.raises(ValueError, match=r"^mobilenet_v1: images must be .* add a batch axis"):
        shapes(network(), 64, 64, 3)
