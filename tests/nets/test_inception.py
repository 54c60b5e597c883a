"""What holds for every Inception network, and the numbers of research/slim."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import pytest
from net_checks import shapes

import jslim as slim
from jslim.layers import batch_norm, conv2d, fully_connected, separable_conv2d, softmax
from jslim.nets import inception, inception_utils, nets_factory

NAMES = nets_factory.list_networks("inception*")
# Batch normalization with a decay that moves the statistics by more than the tolerance, and not
# fused: TensorFlow has no fused one in float64.
TRAINED = {"decay": 0.9, "epsilon": 0.001, "fused": False}


def network(name, **kwargs):
    """The network in inference, under the arg_scope of the factory."""
    num_classes = kwargs.pop("num_classes", 11)
    return functools.partial(nets_factory.get_network_fn(name, num_classes), **kwargs)


def base(name, **kwargs):
    """The network without its classifiers, in inference."""

    def net(images):
        with (
            slim.arg_scope(nets_factory.arg_scopes_map[name]()),
            slim.arg_scope([batch_norm], is_training=False),
        ):
            return getattr(inception, f"{name}_base")(images, **kwargs)

    return net


@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("inception_v1", network("inception_v1", spatial_squeeze=False)),
        (
            "inception_v1_base",
            base("inception_v1", include_root_block=False, final_endpoint="Mixed_4b"),
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
    ],
)
def test_inception_equals_tf_slim(name, net):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(net)
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("inception_v1", {"global_pool": True}),
        ("inception_v3", {"depth_multiplier": 0.5, "min_depth": 24}),
    ],
)
def test_inception_training_equals_tf_slim(name, kwargs):
    golden = net_checks.load_values(f"{name}_train")
    build = nets_factory.networks_map[name]

    def net(images):
        with (
            slim.arg_scope(nets_factory.arg_scopes_map[name]()),
            slim.arg_scope([conv2d], normalizer_params=TRAINED),
        ):
            return build(images, golden["num_classes"], dropout_keep_prob=1.0, **kwargs)

    net_checks.check_training_in_float64(net, golden)


def map_sizes(end_points):
    return {name: (value.shape[1], value.shape[-1]) for name, value in end_points.items()}


# Height and channels of the maps at the network's own image size.
END_POINTS = {
    "inception_v1": {
        "Conv2d_1a_7x7": (112, 64),
        "MaxPool_2a_3x3": (56, 64),
        "Conv2d_2b_1x1": (56, 64),
        "Conv2d_2c_3x3": (56, 192),
        "MaxPool_3a_3x3": (28, 192),
        "Mixed_3b": (28, 256),
        "Mixed_3c": (28, 480),
        "MaxPool_4a_3x3": (14, 480),
        "Mixed_4b": (14, 512),
        "Mixed_4c": (14, 512),
        "Mixed_4d": (14, 512),
        "Mixed_4e": (14, 528),
        "Mixed_4f": (14, 832),
        "MaxPool_5a_2x2": (7, 832),
        "Mixed_5b": (7, 832),
        "Mixed_5c": (7, 1024),
    },
    "inception_v3": {
        "Conv2d_1a_3x3": (149, 32),
        "Conv2d_2a_3x3": (147, 32),
        "Conv2d_2b_3x3": (147, 64),
        "MaxPool_3a_3x3": (73, 64),
        "Conv2d_3b_1x1": (73, 80),
        "Conv2d_4a_3x3": (71, 192),
        "MaxPool_5a_3x3": (35, 192),
        "Mixed_5b": (35, 256),
        "Mixed_5c": (35, 288),
        "Mixed_5d": (35, 288),
        "Mixed_6a": (17, 768),
        "Mixed_6b": (17, 768),
        "Mixed_6c": (17, 768),
        "Mixed_6d": (17, 768),
        "Mixed_6e": (17, 768),
        "Mixed_7a": (8, 1280),
        "Mixed_7b": (8, 2048),
        "Mixed_7c": (8, 2048),
    },
}
# What the classifiers add to them: height or the one feature axis, and channels.
CLASSIFIERS = {
    "inception_v1": {
        "AvgPool_0a_7x7": (1, 1024),
        "Logits": (1000, 1000),
        "Predictions": (1000, 1000),
    },
    "inception_v3": {
        "AuxLogits": (1000, 1000),
        "AvgPool_1a": (1, 2048),
        "PreLogits": (1, 2048),
        "Logits": (1000, 1000),
        "Predictions": (1000, 1000),
    },
}


def own_size(name):
    size = nets_factory.get_network(name).image_size
    return 2, size, size, 3


@pytest.mark.parametrize("name", NAMES)
def test_inception_end_points_are_in_order_with_shapes(name):
    logits, end_points = shapes(network(name, num_classes=1000), *own_size(name))
    assert logits.shape == (2, 1000)
    wanted = END_POINTS[name] | CLASSIFIERS[name]
    assert list(map_sizes(end_points).items()) == list(wanted.items())


@pytest.mark.parametrize("name", NAMES)
def test_inception_base_stops_at_its_final_endpoint(name):
    names = list(END_POINTS[name])
    for last in (names[0], names[len(names) // 2], names[-1]):
        net, end_points = shapes(base(name, final_endpoint=last), *own_size(name))
        assert list(end_points) == names[: names.index(last) + 1]
        assert map_sizes({"": net, last: end_points[last]})[""] == END_POINTS[name][last]
        assert net.shape == end_points[last].shape
    assert list(shapes(base(name), *own_size(name))[1]) == names


@pytest.mark.parametrize("name", NAMES)
def test_inception_base_makes_nothing_behind_its_final_endpoint(name):
    last = list(END_POINTS[name])[1]
    variables, _ = net_checks.structure(base(name, final_endpoint=last), own_size(name)[1:])
    assert {row[0].split("/")[1] for row in variables} <= set(list(END_POINTS[name])[:2])
    assert variables


@pytest.mark.parametrize("name", NAMES)
def test_inception_base_refuses_an_unknown_final_endpoint(name):
    names = list(END_POINTS[name])
    with pytest.raises(ValueError) as error:
        shapes(base(name, final_endpoint=names[-1].lower()), *own_size(name))
    message = str(error.value)
    assert message.startswith(
        f"{name}_base: there is no end point {names[-1].lower()!r}; did you mean {names[-1]!r}"
    )
    assert message.endswith(f" (there are {', '.join(names)})")


FEATURES = {
    "inception_v1": "AvgPool_0a_7x7",
    "inception_v3": "AvgPool_1a",
}


@pytest.mark.parametrize("name", NAMES)
def test_inception_without_classes_gives_features(name):
    for num_classes in (None, 0):
        features, end_points = shapes(network(name, num_classes=num_classes), *own_size(name))
        assert features.shape == (2, 1, 1, CLASSIFIERS[name][FEATURES[name]][1])
        assert list(end_points) == [*END_POINTS[name], FEATURES[name]]


@pytest.mark.parametrize("name", NAMES)
def test_inception_shares_its_variables_by_reuse(name):
    build = nets_factory.networks_map[name]
    names = []

    def twice(images):
        build(images, 11)
        once = list(slim.get_model_variables())
        result = build(images, 11, reuse=True)
        names[:] = once, list(slim.get_model_variables())
        return result

    shapes_in_training(twice, own_size(name))
    assert names[0] == names[1]


def shapes_in_training(net, image_shape):
    model = slim.Model(net)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    return jax.eval_shape(model.init, rngs, jax.ShapeDtypeStruct(image_shape, jnp.float32))


@pytest.mark.parametrize("name", NAMES)
def test_inception_twice_without_reuse_names_the_variable(name):
    build = nets_factory.networks_map[name]

    def twice(images):
        build(images, 11, is_training=False)
        return build(images, 11, is_training=False)

    with pytest.raises(slim.ScopeError, match=r"/Conv2d_1a.*weights' already exists"):
        shapes(twice, *own_size(name))


@pytest.mark.parametrize("name", NAMES)
def test_inception_inside_another_scope_has_its_full_names(name):
    def nested(images):
        with slim.variable_scope("tower"):
            return network(name, scope=None)(images)

    variables, _ = net_checks.structure(nested, own_size(name)[1:])
    plain, _ = net_checks.structure(network(name), own_size(name)[1:])
    assert [row[0] for row in variables] == [f"tower/{row[0]}" for row in plain]


@pytest.mark.parametrize("name", NAMES)
def test_inception_drops_features_in_training(name):
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    model = slim.Model(network(name, is_training=True))
    tree = jax.eval_shape(model.init, jax.random.key(0), images)
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    with pytest.raises(slim.ScopeError, match=r"/Logits' needs randomness"):
        jax.eval_shape(apply, tree, images)


@pytest.mark.parametrize("name", NAMES)
def test_inception_in_training_updates_every_moving_statistic(name):
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    model = slim.Model(network(name, is_training=True, dropout_keep_prob=1.0))
    tree = jax.eval_shape(model.init, jax.random.key(0), images)
    with pytest.raises(slim.ScopeError, match="batch_stats"):
        jax.eval_shape(model.apply, tree, images)
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    _, updates = jax.eval_shape(apply, tree, images)
    assert updates["batch_stats"] == tree["batch_stats"]


@pytest.mark.parametrize("name", NAMES)
def test_inception_in_bfloat16_by_arg_scope(name):
    layers = [conv2d, separable_conv2d, fully_connected]
    with slim.arg_scope(layers, dtype=jnp.bfloat16):
        logits, end_points = shapes(network(name), *own_size(name))
        variables, _ = net_checks.structure(network(name), own_size(name)[1:])
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}


@pytest.mark.parametrize("name", ["inception_v1", "inception_v3"])
def test_inception_predictions_are_made_by_prediction_fn(name):
    scopes = []

    def prediction_fn(logits, scope):
        scopes.append(scope)
        return softmax(logits, scope=scope)[..., :1]

    _, end_points = shapes(network(name, prediction_fn=prediction_fn), *own_size(name))
    assert end_points["Predictions"].shape == (2, 1)
    assert set(scopes) == {"Predictions"}


@pytest.mark.parametrize("name", NAMES)
def test_inception_refuses_one_image_without_batch_axis(name):
    with pytest.raises(ValueError, match=rf"^{name}: images must be .* add a batch axis"):
        shapes(network(name), *own_size(name)[1:])


@pytest.mark.parametrize(
    ("name", "kwargs", "smallest", "remedy"),
    [
        ("inception_v1", {}, 193, ", or pass global_pool=True"),
        ("inception_v3", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_v3", {"create_aux_logits": False}, 75, ""),
        ("inception_v3", {"num_classes": None}, 75, ""),
    ],
)
def test_inception_takes_images_of_its_smallest_size(name, kwargs, smallest, remedy):
    shapes(network(name, **kwargs), 1, smallest, smallest, 3)
    with pytest.raises(ValueError) as error:
        shapes(network(name, **kwargs), 1, 300, smallest - 1, 3)
    assert str(error.value) == (
        f"{name}: images of 300x{smallest - 1} are too small, it takes {smallest}x{smallest} or "
        f"more; resize them{remedy}"
    )


def test_inception_v1_with_global_pool_takes_any_image():
    logits, end_points = shapes(network("inception_v1", global_pool=True), 1, 1, 300, 3)
    assert logits.shape == (1, 11)
    assert list(end_points)[-3:] == ["global_pool", "Logits", "Predictions"]


@pytest.mark.parametrize(
    ("name", "largest", "where", "remedy"),
    [
        ("inception_v1", 224, "InceptionV1", "global_pool=True for one prediction per image"),
        ("inception_v3", 346, "InceptionV3/AuxLogits", "create_aux_logits=False"),
    ],
)
def test_inception_refuses_to_squeeze_a_map(name, largest, where, remedy):
    assert shapes(network(name), 1, largest, largest, 3)[0].shape == (1, 11)
    with pytest.raises(ValueError) as error:
        shapes(network(name), 1, largest, largest + 1, 3)
    assert str(error.value) == (
        f"{where}: images of this size give a 1x2 map of logits, and spatial_squeeze can only "
        f"remove a 1x1 one; pass spatial_squeeze=False to have the map, or {remedy}"
    )


def test_inception_v3_without_auxiliary_logits_squeezes_larger_maps():
    net = network("inception_v3", create_aux_logits=False)
    assert shapes(net, 1, 362, 362, 3)[0].shape == (1, 11)
    with pytest.raises(ValueError, match=r"^InceptionV3: images .* 2x1 map .* global_pool=True"):
        shapes(net, 1, 363, 362, 3)
    net = network("inception_v3", create_aux_logits=False, global_pool=True)
    assert shapes(net, 1, 500, 400, 3)[0].shape == (1, 11)


@pytest.mark.parametrize("size", [107, 298, 299])
def test_inception_v3_auxiliary_variables_depend_on_small_sizes(size):
    variables, _ = net_checks.structure(network("inception_v3"), (299, size, 3))
    found = {row[0]: row[1] for row in variables if "/AuxLogits/Conv2d_2a" in row[0]}
    width = 5 if size == 299 else 1 if size == 107 else 4
    name = f"InceptionV3/AuxLogits/Conv2d_2a_5x{width}/weights"
    assert found[name] == [5, width, 128, 768]


@pytest.mark.parametrize("name", ["inception_v3"])
@pytest.mark.parametrize("multiplier", [0, -0.5, float("nan")])
def test_inception_refuses_a_depth_multiplier_that_is_not_positive(name, multiplier):
    message = rf"depth_multiplier must be above 0, got {multiplier}(\n|$)"
    with pytest.raises(ValueError, match=rf"^{name}: {message}"):
        shapes(network(name, depth_multiplier=multiplier), *own_size(name))
    with pytest.raises(ValueError, match=rf"^{name}_base: {message}"):
        shapes(base(name, depth_multiplier=multiplier), *own_size(name))


def test_inception_without_its_root_block_has_no_root_end_points():
    def net(images, final_endpoint):
        return inception.inception_v1_base(
            images, include_root_block=False, final_endpoint=final_endpoint
        )

    _, end_points = shapes(functools.partial(net, final_endpoint="Mixed_3c"), 1, 28, 28, 192)
    assert list(end_points) == ["Mixed_3b", "Mixed_3c"]
    with pytest.raises(ValueError, match="there is no end point 'MaxPool_3a_3x3'"):
        shapes(functools.partial(net, final_endpoint="MaxPool_3a_3x3"), 1, 28, 28, 192)


def test_inception_initial_values_are_those_of_the_networks():
    def stddevs(name, size, pattern):
        return net_checks.initial_values(network(name), 1, size, size, 3, pattern=pattern)

    found = stddevs("inception_v1", 193, ".*(Mixed_5c/Branch_1/Conv2d_0b|Logits).*weights")
    normal = net_checks.CUT_OFF * 0.01
    assert found["InceptionV1/Mixed_5c/Branch_1/Conv2d_0b_3x3/weights"][1] == pytest.approx(
        normal, rel=0.02
    )
    # Variance scaling by the number of inputs, as the arg_scope has it.
    scaled = net_checks.CUT_OFF * (1.3 * 2 / 1024) ** 0.5
    assert found["InceptionV1/Logits/Conv2d_0c_1x1/weights"][1] == pytest.approx(scaled, rel=0.05)

    found = stddevs("inception_v3", 107, ".*AuxLogits.*weights")
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

    variables, _ = net_checks.structure(net, (32, 32, 3))
    assert len(variables) == 2 * 58
    assert {row[0].split("/")[-1] for row in variables} == {"weights", "biases"}
