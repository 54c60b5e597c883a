"""MobileNet V2: the numbers of research/slim, and its arguments."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import pytest
from net_checks import shapes

import jslim as slim
from jslim.layers import batch_norm, conv2d, separable_conv2d
from jslim.nets import conv_blocks, mobilenet, mobilenet_v2, nets_factory

# As in golden/net_cases/mobilenet_v2.py.
CONV_DEFS = {
    "defaults": mobilenet_v2.V2_DEF["defaults"],
    "overrides": {(conv2d,): {"activation_fn": jax.nn.relu}},
    "spec": [
        mobilenet.op(conv2d, num_outputs=32, kernel_size=[3, 3], stride=2),
        mobilenet.op(
            conv_blocks.split_separable_conv2d,
            num_outputs=32,
            stride=2,
            normalizer_fn=batch_norm,
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            num_outputs=48,
            split_expansion=3,
            split_projection=2,
            depthwise_activation_fn=jax.nn.elu,
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            num_outputs=24,
            stride=2,
            depthwise_location="input",
            expansion_size=100,
            inner_activation_fn=jax.nn.elu,
            scope="second",
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            num_outputs=24,
            depthwise_location="output",
            kernel_size=(5, 5),
            depthwise_channel_multiplier=1,
            residual=lambda input_tensor, output_tensor: output_tensor - input_tensor,
            expansion_transform=lambda expansion_tensor, input_tensor: conv_blocks.squeeze_excite(
                expansion_tensor, pool=2, squeeze_input_tensor=input_tensor
            ),
        ),
        mobilenet.op(
            conv_blocks.expanded_conv,
            multiplier_func=lambda params, multiplier: None,
            num_outputs=20,
            depthwise_location=None,
            residual=False,
            expansion_transform=lambda expansion_tensor, input_tensor: conv_blocks.squeeze_excite(
                expansion_tensor, pool=9
            ),
        ),
    ],
}


def network(num_classes=11, name="mobilenet_v2", **kwargs):
    return functools.partial(nets_factory.get_network_fn(name, num_classes), **kwargs)


def base(name="mobilenet_base", **kwargs):
    def net(images):
        with slim.arg_scope(mobilenet_v2.training_scope(is_training=False)):
            return getattr(mobilenet_v2, name)(images, **kwargs)

    return net


CASES = {
    "mobilenet_v2": network(),
    "mobilenet_v2_fine": network(
        5,
        depth_multiplier=0.2,
        finegrain_classification_mode=True,
        min_depth=6,
        divisible_by=4,
        activation_fn=jax.nn.elu,
        use_reduce_mean_for_pooling=True,
        prediction_fn=None,
    ),
    "mobilenet_v2_atrous": base(
        depth_multiplier=0.1,
        output_stride=8,
        use_explicit_padding=True,
        final_endpoint="layer_16",
    ),
    "mobilenet_v2_group_norm": base("mobilenet_base_group_norm", depth_multiplier=0.1, groups=4),
    "mobilenet_v2_defined": network(5, conv_defs=CONV_DEFS, depth_multiplier=0.5),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_mobilenet_v2_equals_tf_slim(name):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(CASES[name])
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.long
def test_mobilenet_v2_training_equals_tf_slim():
    scope = mobilenet_v2.training_scope(bn_decay=0.9, weight_decay=0.01, dropout_keep_prob=1.0)

    def net(images):
        # TensorFlow's batch normalization is not fused in float64.
        with slim.arg_scope(scope), slim.arg_scope([batch_norm], fused=False):
            return mobilenet_v2.mobilenet(images, 7, depth_multiplier=0.25)

    net_checks.check_training_in_float64(net, net_checks.load_values("mobilenet_v2_train"))


@pytest.mark.long
@pytest.mark.parametrize(("name", "last"), [("mobilenet_v2_140", 1792), ("mobilenet_v2_035", 1280)])
def test_mobilenet_v2_without_classes_gives_features(name, last):
    for num_classes in (None, 0):
        features, end_points = shapes(network(num_classes, name), 2, 224, 224, 3)
        assert features.shape == (2, 1, 1, last)
        assert list(end_points)[-1] == "global_pool"


@pytest.mark.long
@pytest.mark.parametrize(("stride", "size"), [(4, 56), (8, 28), (16, 14), (32, 7)])
def test_mobilenet_v2_output_stride(stride, size):
    net, end_points = shapes(base(output_stride=stride), 1, 224, 224, 3)
    assert net.shape == end_points["layer_19"].shape == (1, size, size, 1280)


def test_mobilenet_v2_shares_its_variables_by_reuse():
    names = []

    def twice(images):
        mobilenet_v2.mobilenet(images, 5)
        names[:] = [list(slim.get_model_variables())]
        second = mobilenet_v2.mobilenet(images, 5, reuse=True)
        names.append(list(slim.get_model_variables()))
        return second

    shapes(twice, 1, 33, 33, 3)
    assert names[0] == names[1]


def test_mobilenet_v2_in_bfloat16_by_arg_scope():
    with slim.arg_scope([conv2d, separable_conv2d], dtype=jnp.bfloat16):
        logits, end_points = shapes(network(), 1, 33, 33, 3)
        variables = net_checks.structure(network(), (33, 33, 3)).variables
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}


@pytest.mark.parametrize(
    ("net", "error", "text"),
    [
        (network(multiplier=2), ValueError, "mobilenet_v2: there is no argument 'multiplier' (got "
         "2); the numbers of channels are multiplied by depth_multiplier, pass that instead"),
        (network(depth_multiplier=0), ValueError, "mobilenet_base: multiplier must be above 0, got "
         "0"),
        (network(output_stride=3), ValueError, "mobilenet_base: output_stride must be None, 1 or a "
         "multiple of 2, got 3"),
        (network(output_stride=6), ValueError, "mobilenet_base: output_stride 6 cannot be reached, "
         "layer_5 goes from 4 to 8; pass one of these"),
        (network(final_endpoint="layer_20"), ValueError, "mobilenet_base: there is no end point "
         "'layer_20'"),
        (network(conv_defs=[1]), ValueError, "mobilenet_base: conv_defs must be a dict with"),
        (network(final_layer="layer_2"), TypeError, "mobilenet: there is no argument"),
        (base(conv_defs={"spec": [mobilenet.op(conv_blocks.expanded_conv, num_outputs=8,
                                               depthwise_location="middle")]}),
         TypeError, "expanded_conv: depthwise_location must be 'input', 'expansion', 'output' or "
         "None, got 'middle'"),
        (base(conv_defs={"spec": [mobilenet.op(conv_blocks.expanded_conv, num_outputs=8,
                                               use_explicit_padding=True, padding="VALID")]}),
         TypeError, "expanded_conv: use_explicit_padding stands for padding='SAME', got 'VALID'"),
        (lambda x: conv_blocks.split_conv(jnp.ones((1, 2, 2, 20)), 16, 2, "c"), ValueError,
         "split_conv at 'c': 20 channels cannot be split into parts that are multiples of 8"),
    ],
)  # fmt: skip
def test_mobilenet_v2_errors_say_what_to_do(net, error, text):
    with pytest.raises(error) as raised:
        shapes(net, 1, 33, 33, 3)
    assert str(raised.value).startswith(text)
