"""NASNet and PNASNet: the numbers of research/slim, dropped paths, and their arguments."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import optax
import pytest
from net_checks import shapes

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import batch_norm, conv2d, fully_connected, separable_conv2d
from jslim.nets import nasnet, nasnet_utils, nets_factory, pnasnet

NAMES = [name for name in nets_factory.list_networks() if "nasnet" in name]
SMALL = {"num_cells": 2, "num_conv_filters": 8}
TRAINED = {**SMALL, "drop_path_keep_prob": 1.0, "dense_dropout_keep_prob": 1.0}
BOUNDED = {**SMALL, "num_conv_filters": 12, "use_bounded_activation": True}
DEFAULTS = {
    "nasnet_cifar": nasnet.cifar_config(),
    "nasnet_mobile": nasnet.mobile_imagenet_config(),
    "nasnet_large": nasnet.large_imagenet_config(),
    "pnasnet_mobile": pnasnet.mobile_imagenet_config(),
    "pnasnet_large": pnasnet.large_imagenet_config(),
}


def network(name, fields=None, num_classes=11, **kwargs):
    """The network with other fields in its configuration, in inference."""
    if fields is None:
        # Where the first cell skips a reduction, that may not come first.
        fields = {**SMALL, "num_cells": 3} if name == "nasnet_large" else SMALL
    config = dataclasses.replace(DEFAULTS[name], **fields)
    network_fn = nets_factory.get_network_fn(name, num_classes)
    return functools.partial(network_fn, config=config, **kwargs)


CASES = {
    "nasnet_mobile": network("nasnet_mobile"),
    "nasnet_large": network(
        "nasnet_large", {**BOUNDED, "num_cells": 3, "filter_scaling_rate": 1.5}
    ),
    "nasnet_mobile_stopped": network(
        "nasnet_mobile",
        {**SMALL, "num_cells": 3, "stem_multiplier": 0.5, "skip_reduction_layer_input": True},
        num_classes=None,
        final_endpoint="Reduction_Cell_1",
    ),
    "pnasnet_mobile": network("pnasnet_mobile"),
    "pnasnet_mobile_far": network(
        "pnasnet_mobile",
        {**BOUNDED, "num_cells": 5, "skip_reduction_layer_input": False},
        num_classes=None,
        final_endpoint="Cell_3",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_nasnet_equals_tf_slim(name):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(CASES[name])
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["nasnet_cifar", pytest.param("pnasnet_large", marks=net_checks.if_every_network)],
)
def test_nasnet_training_equals_tf_slim(name):
    build = network(name, TRAINED, num_classes=7, is_training=True).keywords
    row = nets_factory.get_network(name)

    def net(images):
        # TensorFlow's batch normalization is not fused in float64.
        with (
            slim.arg_scope(row.arg_scope(batch_norm_decay=0.9)),
            slim.arg_scope([batch_norm], fused=False),
        ):
            return row.build(images, 7, **build)

    net_checks.check_training_in_float64(net, net_checks.load_values(f"{name}_train"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["nasnet_mobile", "pnasnet_mobile"])
def test_nasnet_with_channels_first_is_the_same(name):
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 40, 33, 3)), jnp.float32)
    model = slim.Model(network(name))
    variables = net_checks.seeded_variables(model, images)
    expected, _ = net_checks.run(model, variables, images)
    other = slim.Model(network(name, {**SMALL, "data_format": "NCHW"}))
    logits, end_points = net_checks.run(other, variables, images)
    assert end_points["Stem"].shape[2:] == (5, 4)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * float(jnp.std(expected)))


@pytest.mark.long
def test_nasnet_end_points_are_in_order_with_shapes():
    cells = {6: "Reduction_Cell_0", 12: "Reduction_Cell_1"}
    wanted, size, filters = {"Stem": (42, 336)}, 42, 168
    for index in range(18):
        if index in cells:
            size, filters = -(-size // 2), filters * 2
            wanted[cells[index]] = (size, filters * 4)
        wanted[f"Cell_{index}"] = (size, filters * 6)
    wanted |= {"global_pool": (4032, 4032), "Logits": (1001, 1001), "Predictions": (1001, 1001)}
    logits, end_points = shapes(nets_factory.get_network_fn("nasnet_large", 1001), 2, 331, 331, 3)
    assert logits.shape == (2, 1001)
    found = {name: (value.shape[1], value.shape[-1]) for name, value in end_points.items()}
    assert list(found.items()) == list(wanted.items())


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "aux", "count"),
    [
        # Counted in research/slim: trainable parameters and moving statistics in training.
        ("nasnet_cifar", "aux_11", 4_978_036 + 39_040),
        ("nasnet_mobile", "aux_7", 7_703_044 + 38_530),
        ("pnasnet_mobile", "aux_5", 7_479_113 + 35_456),
    ],
)
def test_nasnet_has_an_auxiliary_head_in_training_alone(name, aux, count):
    row = nets_factory.get_network(name)
    classes = 10 if name == "nasnet_cifar" else 1001
    network_fn = nets_factory.get_network_fn(name, classes, is_training=True)
    shape = (1, row.image_size, row.image_size, 3)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    model = slim.Model(network_fn)
    tree = shapes_of(model.init, rngs, jax.ShapeDtypeStruct(shape, jnp.float32))
    assert sum(leaf.size for leaf in jax.tree.leaves(tree)) == count
    assert aux in tree["params"]
    variables = net_checks.structure(
        functools.partial(network_fn, is_training=False), shape[1:]
    ).variables
    assert not any(row[0].startswith(aux) for row in variables)


def test_nasnet_without_aux_head_or_classes_has_none():
    for fields, classes in (({"use_aux_head": False}, 5), ({}, None)):
        net = network("nasnet_cifar", {**TRAINED, **fields}, num_classes=classes, is_training=True)
        model = slim.Model(net)
        images = jax.ShapeDtypeStruct((2, 24, 24, 3), jnp.float32)
        tree = shapes_of(model.init, jax.random.key(0), images)
        assert not any(name.startswith("aux") for name in tree["params"])


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_classes", [None, 0])
def test_nasnet_without_classes_gives_features(name, num_classes):
    features, end_points = shapes(network(name, num_classes=num_classes), 2, 33, 33, 3)
    # Five or six joined arrays of the last cell's filters.
    assert features.ndim == 2
    assert features.shape[1] in (8 * 4 * 6, 8 * 4 * 5)
    assert list(end_points)[-1] == "global_pool"


@pytest.mark.long
def test_nasnet_stops_at_its_final_endpoint():
    for last in ("Stem", "Reduction_Cell_0", "Cell_1", "global_pool", "Logits", "Predictions"):
        net, end_points = shapes(network("nasnet_mobile", final_endpoint=last), 1, 33, 33, 3)
        assert list(end_points)[-1] == last
        assert net.shape == end_points[last].shape
    with pytest.raises(ValueError) as error:
        shapes(network("pnasnet_mobile", final_endpoint="Cell_2"), 1, 33, 33, 3)
    assert str(error.value) == (
        "build_pnasnet_mobile: there is no end point 'Cell_2'; did you mean 'Cell_1' or 'Cell_0'? "
        "(there are Stem, Cell_0, Cell_1, global_pool, Logits, Predictions)"
    )


KEEP = dataclasses.replace(nasnet.cifar_config(), drop_path_keep_prob=0.6)


@pytest.mark.parametrize(
    ("version", "ratio", "step", "expected"),
    [
        ("v1", 0.5, 0, 1.0),
        ("v1", 0.5, 937500 // 2, 0.8),
        ("v1", 0.5, 10**7, 0.6),
        ("v2", 0.25, 0, 0.9),
        ("v2", 1.0, 5, 0.6),
        ("v3", 0.5, 0, 1.0),
        ("v3", 0.5, 937500 // 4, 0.95),
        ("v3", 0.5, 937500, 0.8),
        ("v3", 1.0, 2 * 937500, 0.6),
    ],
)
def test_paths_are_kept_by_cell_and_step(version, ratio, step, expected):
    keep = nasnet_utils.path_keep_prob(KEEP, ratio, step, version)
    np.testing.assert_allclose(keep, expected, rtol=1e-6)


def dropped(net, x, key=0):
    return slim.Model(net).apply({}, x, rngs={"dropout": jax.random.key(key)})


def test_whole_examples_are_dropped_and_the_others_scaled_up():
    x = jnp.ones((4000, 2, 3, 4))
    output = np.asarray(dropped(lambda x: nasnet_utils.drop_path(x, 0.8), x))
    of_example = output.reshape(4000, -1)
    assert set(np.unique(of_example)) == {0.0, np.float32(1 / np.float32(0.8))}
    assert (of_example == of_example[:, :1]).all()
    deviation = np.sqrt(0.8 * 0.2 / 4000)
    assert abs((of_example[:, 0] > 0).mean() - 0.8) < 4 * deviation
    again = dropped(lambda x: nasnet_utils.drop_path(x, 0.8), x, key=1)
    assert (np.asarray(again) != output).any()
    same = dropped(lambda x: nasnet_utils.drop_path(x, 0.8, is_training=False), x)
    np.testing.assert_array_equal(same, x)


def test_dropped_paths_follow_the_step_of_the_train_op():
    """At step 0 nothing is dropped; after all steps of a network that keeps little, most is."""
    config = dataclasses.replace(KEEP, drop_path_keep_prob=0.05, total_training_steps=2)

    def total_loss(batch):
        net = nasnet_utils.apply_drop_path(batch["x"], config, 1.0)
        weight = slim.model_variable("w", shape=[], initializer=slim.ones_initializer())
        slim.losses.add_loss(weight * jnp.mean(net))
        return slim.losses.get_total_loss()

    train_op = slim.learning.create_train_op(total_loss, optax.sgd(0.0))
    batch = {"x": jnp.ones((1000, 2, 2, 1))}
    state = train_op.init(jax.random.key(0), batch)
    losses, kept = [], []
    for _ in range(4):
        state, outputs = train_op(state, batch)
        losses.append(float(outputs["loss"]))
        kept.append(losses[-1])
    assert losses[0] == 1.0
    assert losses[1] != 1.0
    # The mean stays 1, with a deviation of sqrt((1 - 0.05) / 0.05 / 1000) at the end.
    assert all(0 < abs(loss - 1) < 4 * np.sqrt(0.95 / 0.05 / 1000) for loss in losses[1:])


@pytest.mark.long
def test_current_step_decides_which_paths_are_dropped():
    fields = {**SMALL, "drop_path_keep_prob": 0.3, "total_training_steps": 10}
    images = jnp.ones((8, 24, 24, 3))
    net = network("nasnet_cifar", fields, is_training=True)
    model = slim.Model(net)
    variables = net_checks.seeded_variables(model, images)
    apply = functools.partial(model.apply, variables, images, mutable=["batch_stats"])
    apply = jax.jit(apply, compiler_options={"xla_backend_optimization_level": 0})

    def first_cell(step, key):
        rngs = {"dropout": jax.random.key(key)}
        (_, end_points), _ = apply(rngs=rngs, current_step=jnp.asarray(step))
        return end_points["Cell_0"]

    np.testing.assert_array_equal(first_cell(0, 0), first_cell(0, 1))
    assert (first_cell(10, 0) != first_cell(10, 1)).any()


def test_nasnet_refuses_what_it_cannot_be_built_of():
    with pytest.raises(ValueError) as error:
        dataclasses.replace(KEEP, data_format="CHWN")
    assert str(error.value) == "Config: data_format must be 'NHWC' or 'NCHW', got 'CHWN'"
    with pytest.raises(ValueError) as error:
        dataclasses.replace(KEEP, drop_path_keep_prob=0.0)
    assert str(error.value) == (
        "Config: drop_path_keep_prob must be above 0 and at most 1, got 0.0"
    )
    with pytest.raises(ValueError, match=r"^drop_connect_version must be .*, got 'v4'$"):
        nasnet_utils.path_keep_prob(KEEP, 1.0, 0, "v4")
    with pytest.raises(ValueError, match=r"^build_nasnet_cifar: images must be .* add a batch"):
        shapes(network("nasnet_cifar"), 32, 32, 3)


@pytest.mark.long
def test_nasnet_in_bfloat16_by_arg_scope():
    net = network("nasnet_mobile")
    with slim.arg_scope([conv2d, separable_conv2d, fully_connected], dtype=jnp.bfloat16):
        logits, end_points = shapes(net, 1, 33, 33, 3)
        variables = net_checks.structure(net, (33, 33, 3)).variables
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}
