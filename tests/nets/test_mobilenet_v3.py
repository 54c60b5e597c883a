"""MobileNet V3 and its relative for the Edge TPU: the numbers of research/slim, and arguments."""

import functools
import math

import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from net_checks import shapes

import jslim as slim
from jslim.layers import batch_norm, conv2d, separable_conv2d
from jslim.nets import mobilenet, mobilenet_v3, nets_factory


def network(name="mobilenet_v3_large", num_classes=5, **kwargs):
    return functools.partial(nets_factory.get_network_fn(name, num_classes), **kwargs)


def base(**kwargs):
    def net(images):
        with slim.arg_scope(mobilenet_v3.training_scope(is_training=False)):
            return mobilenet_v3.mobilenet_base(images, **kwargs)

    return net


CASES = {
    "mobilenet_v3_large": network(num_classes=11, depth_multiplier=0.5),
    "mobilenet_v3_small": network("mobilenet_v3_small"),
    "mobilenet_v3_large_minimalistic": network(
        "mobilenet_v3_large_minimalistic", depth_multiplier=1.23
    ),
    "mobilenet_v3_small_minimalistic": network(
        "mobilenet_v3_small_minimalistic",
        finegrain_classification_mode=True,
        prediction_fn=None,
        depth_multiplier=0.2,
    ),
    "mobilenet_v3_group_norm": network(
        "mobilenet_v3_small", use_groupnorm=True, groups=4, depth_multiplier=0.5
    ),
    "mobilenet_v3_detection": base(
        conv_defs=mobilenet_v3.V3_SMALL_DETECTION,
        output_stride=16,
        final_endpoint="layer_13",
    ),
    "mobilenet_edgetpu": network("mobilenet_edgetpu_075"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_mobilenet_v3_equals_tf_slim(name):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(CASES[name])
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "function", "depth_multiplier"),
    [
        ("mobilenet_v3_train", mobilenet_v3.small, 0.5),
        ("mobilenet_edgetpu_train", mobilenet_v3.edge_tpu, 0.25),
    ],
)
def test_mobilenet_v3_training_equals_tf_slim(name, function, depth_multiplier):
    scope = mobilenet_v3.training_scope(bn_decay=0.9, weight_decay=0.01, dropout_keep_prob=1.0)

    def net(images):
        # TensorFlow's batch normalization is not fused in float64.
        with slim.arg_scope(scope), slim.arg_scope([batch_norm], fused=False):
            return function(images, 7, depth_multiplier=depth_multiplier)

    net_checks.check_training_in_float64(net, net_checks.load_values(name))


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mobilenet_v3_large", 5.4),
        ("mobilenet_v3_large_075", 4.0),
        ("mobilenet_v3_small", 2.5),
        ("mobilenet_v3_small_075", 2.0),
    ],
)
def test_mobilenet_v3_has_as_many_parameters_as_in_the_paper(name, millions):
    # Tables 3 and 4 of the paper; these decide that the last layer is not reduced.
    rows = net_checks.load_tree(name)["variables"]
    parameters = sum(math.prod(shape) for _, shape, _, trainable in rows if trainable)
    assert parameters == pytest.approx(millions * 1e6, rel=0.025)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "channels", "layers"),
    [("mobilenet_v3_large", 1280, 19), ("mobilenet_v3_small_075", 1024, 15),
     ("mobilenet_edgetpu", 1280, 24)],
)  # fmt: skip
def test_mobilenet_v3_without_classes_gives_features(name, channels, layers):
    for num_classes in (None, 0):
        features, end_points = shapes(network(name, num_classes), 2, 64, 64, 3)
        assert features.shape == (2, 1, 1, channels)
        assert f"layer_{layers}" in end_points
        assert f"layer_{layers + 1}" not in end_points
        assert list(end_points)[-1] == "global_pool"


@pytest.mark.long
@pytest.mark.parametrize(("stride", "size"), [(4, 56), (8, 28), (16, 14), (32, 7)])
def test_mobilenet_v3_output_stride(stride, size):
    net, _ = shapes(base(output_stride=stride, final_endpoint="layer_17"), 1, 224, 224, 3)
    assert net.shape == (1, size, size, 960)
    edge_tpu = functools.partial(mobilenet_v3.edge_tpu, base_only=True, output_stride=stride)
    net, end_points = shapes(edge_tpu, 1, 224, 224, 3)
    assert net.shape == end_points["layer_24"].shape == (1, size, size, 1280)


def test_fused_block_pads_by_its_kernel_alone():
    block = mobilenet_v3.mbv3_fused(ef=4, n=8, k=3, s=2)

    def net(images):
        return block.op(images, **block.params, use_explicit_padding=True), {}

    images = jnp.asarray(net_checks.uniform(0, "images", (1, 8, 8, 4), -1, 1))
    padded = jnp.pad(images, ((0, 0), (2, 0), (2, 0), (0, 0)))
    model = slim.Model(net)
    variables = net_checks.seeded_variables(model, images)
    alone, _ = model.apply(variables, images)
    inside, _ = model.apply(variables, padded)
    np.testing.assert_allclose(inside[:, 1:, 1:], alone, rtol=1e-5, atol=1e-6)


def test_mobilenet_v3_detection_is_half_as_wide_at_the_end():
    for whole, half, layers in [
        (mobilenet_v3.V3_LARGE, mobilenet_v3.V3_LARGE_DETECTION, range(13, 17)),
        (mobilenet_v3.V3_SMALL, mobilenet_v3.V3_SMALL_DETECTION, range(9, 13)),
    ]:
        for i, (a, b) in enumerate(zip(whole["spec"], half["spec"], strict=True)):
            factor = 2 if i in layers else 1
            assert a.params.get("num_outputs", 0) == factor * b.params.get("num_outputs", 0)


def test_mobilenet_v3_shares_its_variables_by_reuse():
    names = []

    def twice(images):
        mobilenet_v3.small(images, 5)
        names[:] = [list(slim.get_model_variables())]
        second = mobilenet_v3.small(images, 5, reuse=True)
        names.append(list(slim.get_model_variables()))
        return second

    shapes(twice, 1, 33, 33, 3)
    assert names[0] == names[1]


@pytest.mark.long
def test_mobilenet_v3_in_bfloat16_by_arg_scope():
    with slim.arg_scope([conv2d, separable_conv2d], dtype=jnp.bfloat16):
        logits, end_points = shapes(network(), 1, 33, 33, 3)
        variables = net_checks.structure(network(), (33, 33, 3)).variables
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}


def test_mobilenet_v3_has_the_scope_it_is_given():
    variables = net_checks.structure(
        network("mobilenet_edgetpu", scope="Other"), (33, 33, 3)
    ).variables
    assert {row[0].split("/")[0] for row in variables} == {"Other"}


@pytest.mark.parametrize(
    ("net", "error", "text"),
    [
        (network(multiplier=2), ValueError, "mobilenet_v3: there is no argument 'multiplier' (got "
         "2); the numbers of channels are multiplied by depth_multiplier, pass that instead"),
        (network(final_endpoint="layer_20"), ValueError, "mobilenet_base: there is no end point "
         "'layer_20'"),
        (network(), ValueError, "reduce_to_1x1: a map of 2x3 is not square, and smaller than the "
         "window of 7x7; use square images, larger ones, or stop before this layer by "
         "final_endpoint"),
    ],
)  # fmt: skip
def test_mobilenet_v3_errors_say_what_to_do(net, error, text):
    with pytest.raises(error) as raised:
        shapes(net, 1, 33, 65, 3)
    assert str(raised.value).startswith(text)


def test_reduce_to_1x1_takes_windows_of_a_map_that_is_not_square():
    images = jnp.ones((2, 14, 21, 3))
    assert mobilenet_v3.reduce_to_1x1(images, stride=7).shape == (2, 2, 3, 3)
    assert mobilenet_v3.reduce_to_1x1(images[:, :, :14]).shape == (2, 1, 1, 3)
    assert mobilenet_v3.op is mobilenet.op
