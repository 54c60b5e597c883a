"""The Inception networks compute the same values as those of research/slim."""

import jax
import jax.numpy as jnp
import net_checks
import pytest
from inception_checks import base, network

import jslim as slim
from jslim.layers import conv2d
from jslim.nets import inception, inception_resnet_v2, inception_utils, nets_factory

# Batch normalization with a decay that moves the statistics by more than the tolerance, and not
# fused: TensorFlow has no fused one in float64.
TRAINED = {"decay": 0.9, "epsilon": 0.001, "fused": False}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("inception_v1", network("inception_v1", spatial_squeeze=False)),
        (
            "inception_v1_base",
            base("inception_v1", include_root_block=False, final_endpoint="Mixed_4b"),
        ),
        ("inception_v2", network("inception_v2", depth_multiplier=0.3, min_depth=20)),
        ("inception_v2_map", network("inception_v2", spatial_squeeze=False)),
        (
            "inception_v2_base",
            base(
                "inception_v2",
                use_separable_conv=False,
                depth_multiplier=0.5,
                final_endpoint="Mixed_4a",
            ),
        ),
        ("inception_v3", network("inception_v3")),
        (
            "inception_v3_map",
            network("inception_v3", depth_multiplier=0.3, min_depth=20, spatial_squeeze=False),
        ),
        (
            "inception_v3_without_aux",
            network(
                "inception_v3", depth_multiplier=0.1, create_aux_logits=False, global_pool=True
            ),
        ),
        ("inception_v4", network("inception_v4")),
        ("inception_resnet_v2", network("inception_resnet_v2")),
        (
            "inception_resnet_v2_aligned",
            base(
                "inception_resnet_v2",
                output_stride=8,
                align_feature_maps=True,
                activation_fn=jax.nn.relu6,
                final_endpoint="PreAuxLogits",
            ),
        ),
    ],
)
def test_inception_equals_tf_slim(name, net):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(net)
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


def repeat_at_most_twice(inputs, repetitions, *args, **kwargs):
    return slim.repeat(inputs, min(repetitions, 2), *args, **kwargs)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kwargs", "level"),
    [
        ("inception_v1", {"global_pool": True}, 0),
        ("inception_v2", {"depth_multiplier": 0.25, "min_depth": 20, "global_pool": True}, 0),
        pytest.param(
            "inception_v3",
            {"depth_multiplier": 0.5, "min_depth": 24},
            1,
            marks=net_checks.if_every_network,
        ),
        pytest.param("inception_v4", {}, 1, marks=net_checks.if_every_network),
        pytest.param("inception_resnet_v2", {}, 1, marks=net_checks.if_every_network),
    ],
)
def test_inception_training_equals_tf_slim(name, kwargs, level, monkeypatch):
    golden = net_checks.load_values(f"{name}_train")
    build = nets_factory.networks_map[name]
    # Of its 40 blocks the step has two of each kind.
    monkeypatch.setattr(inception_resnet_v2, "repeat", repeat_at_most_twice)

    def net(images):
        with (
            slim.arg_scope(nets_factory.arg_scopes_map[name]()),
            slim.arg_scope([conv2d], normalizer_params=TRAINED),
        ):
            return build(images, golden["num_classes"], dropout_keep_prob=1.0, **kwargs)

    net_checks.check_training_in_float64(net, golden, level)


@pytest.mark.long
def test_inception_initial_values_are_those_of_the_networks():
    def stddevs(net, size, pattern):
        return net_checks.initial_values(net, 1, size, size, 3, pattern=pattern)

    found = stddevs(network("inception_v1"), 193, ".*(Mixed_5c/Branch_1/Conv2d_0b|Logits).*weights")
    normal = net_checks.CUT_OFF * 0.01
    assert found["InceptionV1/Mixed_5c/Branch_1/Conv2d_0b_3x3/weights"][1] == pytest.approx(
        normal, rel=0.02
    )
    # Variance scaling by the number of inputs, as the arg_scope has it.
    scaled = net_checks.CUT_OFF * (1.3 * 2 / 1024) ** 0.5
    assert found["InceptionV1/Logits/Conv2d_0c_1x1/weights"][1] == pytest.approx(scaled, rel=0.05)

    net = base("inception_v2", final_endpoint="Mixed_3b")
    found = stddevs(net, 9, ".*(Conv2d_1a|Mixed_3b).*weights")
    scope = "InceptionV2/Conv2d_1a_7x7"
    for kernel in ("depthwise_weights", "pointwise_weights"):
        assert found[f"{scope}/{kernel}"][1] == pytest.approx(net_checks.CUT_OFF, rel=0.1)
    for layer, wanted in (("Branch_1/Conv2d_0a_1x1", 0.09), ("Branch_3/Conv2d_0b_1x1", 0.1)):
        _, stddev = found[f"InceptionV2/Mixed_3b/{layer}/weights"]
        assert stddev == pytest.approx(net_checks.CUT_OFF * wanted, rel=0.05)

    # The arg_scope of Inception-ResNet leaves conv2d its Xavier uniform initializer.
    net = base("inception_resnet_v2", final_endpoint="Mixed_5b")
    found = stddevs(net, 75, ".*Mixed_5b/Branch_1/Conv2d_0b.*weights")
    _, stddev = found["InceptionResnetV2/Mixed_5b/Branch_1/Conv2d_0b_5x5/weights"]
    assert stddev == pytest.approx((2 / (25 * 48 + 25 * 64)) ** 0.5, rel=0.02)

    found = stddevs(network("inception_v3"), 107, ".*AuxLogits.*weights")
    assert found["InceptionV3/AuxLogits/Conv2d_2a_1x1/weights"][1] == pytest.approx(
        normal, rel=0.02
    )
    assert found["InceptionV3/AuxLogits/Conv2d_2b_1x1/weights"][1] == pytest.approx(
        normal / 10, rel=0.05
    )


def test_inception_arg_scope_sets_what_it_is_told():
    def net(images):
        with slim.arg_scope(
            inception_utils.inception_arg_scope(
                weight_decay=0.5,
                batch_norm_decay=0.75,
                batch_norm_epsilon=3.0,
                activation_fn=None,
                batch_norm_scale=True,
            )
        ):
            return conv2d(images, 4, [1, 1], scope="conv"), {}

    model = slim.Model(net)
    images = jnp.asarray([1.0, 3.0]).reshape(2, 1, 1, 1)
    params = {"weights": jnp.ones((1, 1, 1, 4)), "BatchNorm": {"beta": jnp.zeros(4)}}
    params["BatchNorm"]["gamma"] = jnp.full(4, 2.0)
    statistics = {"moving_mean": jnp.ones(4), "moving_variance": jnp.ones(4)}
    (outputs, _), updates = model.apply(
        {"params": {"conv": params}, "batch_stats": {"conv": {"BatchNorm": statistics}}},
        images,
        mutable=["batch_stats", "regularization_losses"],
    )
    # The mean is 2 and the variance 1; negative values are not cut off.
    assert outputs.ravel()[::4].tolist() == [-1.0, 1.0]
    moved = updates["batch_stats"]["conv"]["BatchNorm"]
    assert moved["moving_mean"].tolist() == [1.25] * 4
    assert moved["moving_variance"].tolist() == [1.25] * 4  # of the population: 2
    assert [float(loss) for loss in jax.tree.leaves(updates["regularization_losses"])] == [1.0]


def test_inception_without_batch_norm_has_biases():
    def net(images):
        with slim.arg_scope(inception_utils.inception_arg_scope(use_batch_norm=False)):
            return inception.inception_v1(images, 11, is_training=False, global_pool=True)

    variables = net_checks.structure(net, (32, 32, 3)).variables
    assert len(variables) == 2 * 58
    assert {row[0].split("/")[-1] for row in variables} == {"weights", "biases"}


def test_inception_resnet_v2_arg_scope_sets_what_it_is_told():
    def net(images):
        with slim.arg_scope(
            inception.inception_resnet_v2_arg_scope(
                weight_decay=0.5,
                batch_norm_decay=0.75,
                batch_norm_epsilon=3.0,
                activation_fn=None,
                batch_norm_scale=True,
            )
        ):
            net = conv2d(images, 1, [1, 1], scope="conv")
            return conv2d(net, 1, [1, 1], normalizer_fn=None, scope="linear"), {}

    model = slim.Model(net)
    images = jnp.asarray([1.0, 3.0]).reshape(2, 1, 1, 1)
    one = jnp.ones(1)
    weights = jnp.ones((1, 1, 1, 1))
    params = {
        "conv": {"weights": weights, "BatchNorm": {"beta": 0 * one, "gamma": 2 * one}},
        "linear": {"weights": weights, "biases": 4 * one},
    }
    statistics = {"moving_mean": one, "moving_variance": one}
    (outputs, _), updates = model.apply(
        {"params": params, "batch_stats": {"conv": {"BatchNorm": statistics}}},
        images,
        mutable=["batch_stats", "regularization_losses"],
    )
    # The mean is 2 and the variance 1, so that the first layer gives -1 and 1.
    assert outputs.ravel().tolist() == [3.0, 5.0]
    moved = updates["batch_stats"]["conv"]["BatchNorm"]
    assert moved["moving_mean"].tolist() == [1.25]
    # Half of 0.5 times the squares, of the biases too.
    losses = [float(loss) for loss in jax.tree.leaves(updates["regularization_losses"])]
    assert sorted(losses) == [0.25, 0.25, 4.0]
