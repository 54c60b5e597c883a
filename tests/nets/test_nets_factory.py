import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest

import jslim as slim
from jslim import nets
from jslim.layers import conv2d, fully_connected
from jslim.nets import lenet, nets_factory, vgg

IMAGES = jnp.ones((2, 8, 8, 1))


def test_table_holds_what_goes_with_each_network():
    rows = {
        name: (row.image_size, row.weight_decay, row.preprocessing, row.label_offset)
        for name, row in nets_factory.NETWORKS.items()
    }
    assert rows == {
        "alexnet_v2": (224, 0.0005, "vgg", 1),
        "cifarnet": (32, 0.004, "cifarnet", 0),
        "i3d": (224, 1e-7, "inception", 0),
        "inception_resnet_v2": (299, 0.00004, "inception", 0),
        "inception_v1": (224, 0.00004, "inception", 0),
        "inception_v2": (224, 0.00004, "inception", 0),
        "inception_v3": (299, 0.00004, "inception", 0),
        "inception_v4": (299, 0.00004, "inception", 0),
        "lenet": (28, 0.0, "lenet", 0),
        "overfeat": (231, 0.0005, "vgg", 1),
        "mobilenet_v1": (224, 0.00004, "inception", 0),
        **{f"mobilenet_v1_{n}": (224, 0.00004, "inception", 0) for n in ("075", "050", "025")},
        "mobilenet_v2": (224, 0.00004, "inception", 0),
        **{f"mobilenet_v2_{n}": (224, 0.00004, "inception", 0) for n in ("140", "050", "035")},
        **{
            f"mobilenet_v3_{size}{variant}": (224, 0.00004, "inception", 0)
            for size in ("large", "small")
            for variant in ("", "_075", "_minimalistic")
        },
        "mobilenet_v3_large_123": (224, 0.00004, "inception", 0),
        **{f"mobilenet_edgetpu{n}": (224, 0.00004, "inception", 0) for n in ("", "_075")},
        "nasnet_cifar": (32, 0.0005, "cifarnet", 0),
        "nasnet_mobile": (224, 0.00004, "inception", 0),
        "nasnet_large": (331, 0.00005, "inception", 0),
        "pnasnet_mobile": (224, 0.00004, "inception", 0),
        "pnasnet_large": (331, 0.00004, "inception", 0),
        **{f"resnet_v1_{n}": (224, 0.0001, "vgg", 1) for n in (50, 101, 152, 200)},
        **{f"resnet_v2_{n}": (299, 0.0001, "inception", 0) for n in (50, 101, 152, 200)},
        "s3dg": (224, 1e-7, "inception", 0),
        "vgg_a": (224, 0.0005, "vgg", 1),
        "vgg_16": (224, 0.0005, "vgg", 1),
        "vgg_19": (224, 0.0005, "vgg", 1),
    }


def test_maps_have_the_names_of_tf_slim():
    assert nets_factory.networks_map["vgg_16"] is vgg.vgg_16
    assert nets_factory.arg_scopes_map["vgg_16"] is vgg.vgg_arg_scope
    assert set(nets_factory.networks_map) == set(nets_factory.arg_scopes_map)


def test_list_networks_takes_a_shell_pattern():
    assert nets_factory.list_networks("vgg*") == ["vgg_16", "vgg_19", "vgg_a"]
    assert nets.list_networks("*net") == ["cifarnet", "lenet"]
    assert nets.list_networks("nothing") == []


def test_unknown_network_offers_the_nearest_names():
    with pytest.raises(ValueError) as error:
        nets_factory.get_network_fn("vgg16", 10)
    assert str(error.value) == (
        "there is no network 'vgg16'; did you mean 'vgg_16' or 'vgg_19' or 'vgg_a'? "
        f"(there are {', '.join(nets.list_networks())})"
    )


def test_network_fn_is_the_network_under_its_arg_scope():
    found = net_checks.initial_values(nets_factory.get_network_fn("lenet", 7), *IMAGES.shape)
    _, stddev = found["LeNet/fc3/weights"]
    assert stddev == pytest.approx(net_checks.CUT_OFF * 0.1, rel=0.02)


def test_network_fn_arguments_can_be_given_at_the_call():
    model = slim.Model(nets_factory.get_network_fn("lenet", 7, is_training=True))
    variables = net_checks.seeded_variables(model, IMAGES)
    _, dropped = net_checks.run(model, variables, IMAGES, seed=1)
    assert float(jnp.mean(dropped["dropout3"] == 0)) > 0.4
    _, kept = net_checks.run(model, variables, IMAGES, is_training=False)
    np.testing.assert_array_equal(kept["dropout3"], kept["fc3"])
    _, kept = net_checks.run(model, variables, IMAGES, dropout_keep_prob=1.0)
    np.testing.assert_array_equal(kept["dropout3"], kept["fc3"])
    features, end_points = net_checks.run(model, variables, IMAGES, num_classes=None)
    assert features.shape == (2, 1024)
    assert "Logits" not in end_points


def test_weight_decay_default_switches_off_that_of_the_network():
    images = jnp.ones((1, 8, 8, 3))

    def total(weight_decay):
        model = slim.Model(nets_factory.get_network_fn("cifarnet", 10, weight_decay))
        ones = jax.tree.map(jnp.ones_like, net_checks.seeded_variables(model, images))
        losses = jax.jit(lambda v: model.apply(v, images, mutable=["regularization_losses"])[1])
        return float(sum(jax.tree.leaves(losses(ones)), start=0.0))

    weights = 2 * 2 * 64 * 384 + 384 * 192  # of fc3 and fc4 for 8x8 images, all of them 1
    assert total(0.0) == 0
    assert total(0.5) == pytest.approx(0.5 * weights / 2)
    assert total(None) == pytest.approx(0.004 * weights / 2)


def test_wrong_weight_decay_is_refused_at_once():
    with pytest.raises(ValueError, match=r"scale cannot be an integer, got 1; write it as .* 1\.0"):
        nets_factory.get_network_fn("lenet", 10, weight_decay=1)


def test_arg_scope_around_the_call_reaches_the_layers():
    network_fn = nets_factory.get_network_fn("lenet", 10)
    with slim.arg_scope([conv2d, fully_connected], dtype=jnp.bfloat16):
        logits, end_points = net_checks.shapes(network_fn, *IMAGES.shape)
    assert logits.dtype == end_points["conv1"].dtype == jnp.bfloat16
    assert net_checks.shapes(network_fn, *IMAGES.shape)[0].dtype == jnp.float32


def test_nets_exports_modules():
    assert nets.lenet is lenet
    assert nets.lenet.lenet.default_image_size == 28


QUICK = ("alexnet_v2", "cifarnet", "lenet", "overfeat", "resnet_v1_50", "vgg_a")


@pytest.mark.parametrize("reuse", [True, slim.AUTO_REUSE])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else net_checks.if_every_network)
        for name in nets_factory.NETWORKS
    ],
)
def test_each_of_two_calls_of_a_network_has_its_own_end_points(name, reuse):
    network = nets_factory.get_network_fn(name, 5)
    frames = (16,) if name in ("i3d", "s3dg") else ()
    size, channels = network.default_image_size, 1 if name == "lenet" else 3
    calls = []

    def twice(*inputs):
        for images, shared in zip(inputs, (None if reuse is True else reuse, reuse), strict=True):
            with slim.variable_scope(slim.get_variable_scope(), reuse=shared):
                logits, end_points = network(images)
            calls.append({"logits": logits.shape} | {k: v.shape for k, v in end_points.items()})

    # The batch size of an end point tells its call.
    inputs = [
        jax.ShapeDtypeStruct((count, *frames, size, size, channels), jnp.float32)
        for count in (2, 3)
    ]
    jax.eval_shape(slim.Model(twice).init, jax.random.key(0), *inputs)
    first, second = calls
    assert [(2, *shape[1:]) for shape in second.values()] == list(first.values())
    assert all(shape[0] == 3 for shape in second.values())
    pools = {key for key in first if key.startswith(f"{name}/pool")}
    assert {key.replace(f"{name}_1/", f"{name}/") for key in second} == set(first)
    assert pools.isdisjoint(second)


def test_outputs_of_two_calls_are_those_of_the_network_called_alone():
    network = nets_factory.get_network_fn("lenet", 5)
    images = jnp.stack([IMAGES, -IMAGES])

    def twice(first, second):
        with slim.variable_scope(slim.get_variable_scope(), reuse=slim.AUTO_REUSE) as scope:
            logits = network(first)[0]
            scope.reuse_variables()
            return logits, network(second)[0]

    variables = slim.Model(network).init(jax.random.key(0), IMAGES)
    found = slim.Model(twice).apply(variables, *images)
    wanted = [slim.Model(network).apply(variables, one)[0] for one in images]
    np.testing.assert_array_equal(found, wanted)
