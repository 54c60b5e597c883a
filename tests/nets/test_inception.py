"""What holds for every Inception network, and their arguments one by one."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from inception_checks import CLASSIFIERS, END_POINTS, FEATURES, base, network, own_size
from net_checks import shapes, structure

import jslim as slim
from jslim.layers import conv2d, fully_connected, separable_conv2d, softmax
from jslim.nets import inception, inception_resnet_v2, nets_factory

NAMES = nets_factory.list_networks("inception*")


def map_sizes(end_points):
    return {name: (value.shape[1], value.shape[-1]) for name, value in end_points.items()}


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_end_points_are_in_order_with_shapes(name):
    logits, end_points = shapes(network(name, num_classes=1000), *own_size(name))
    assert logits.shape == (2, 1000)
    wanted = END_POINTS[name] | CLASSIFIERS[name]
    assert list(map_sizes(end_points).items()) == list(wanted.items())


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_base_stops_at_its_final_endpoint(name):
    names = list(END_POINTS[name])
    for last in (names[0], names[len(names) // 2], None):
        kwargs = {"final_endpoint": last} if last else {}
        net, end_points = shapes(base(name, **kwargs), *own_size(name))
        last = last or names[-1]
        assert list(end_points) == names[: names.index(last) + 1]
        assert map_sizes({"": net, last: end_points[last]})[""] == END_POINTS[name][last]
        assert net.shape == end_points[last].shape


@pytest.mark.parametrize("name", NAMES)
def test_inception_base_makes_nothing_behind_its_final_endpoint(name):
    last = list(END_POINTS[name])[1]
    variables, _ = structure(base(name, final_endpoint=last), own_size(name)[1:])
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


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_without_classes_gives_features(name):
    model = slim.Model(network(name, num_classes=None))
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    (features, end_points), tree = jax.eval_shape(model.init_with_output, jax.random.key(0), images)
    assert features.shape == (2, 1, 1, CLASSIFIERS[name][FEATURES[name]][1])
    assert set(end_points) == {*END_POINTS[name], FEATURES[name]}
    again = jax.eval_shape(functools.partial(model.apply, num_classes=0), tree, images)
    assert again == (features, end_points)


@pytest.mark.long
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

    initialized(twice, own_size(name))
    assert names[0] == names[1]


def initialized(net, image_shape):
    model = slim.Model(net)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    return jax.eval_shape(model.init, rngs, jax.ShapeDtypeStruct(image_shape, jnp.float32))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_twice_without_reuse_names_the_variable(name):
    build = nets_factory.networks_map[name]

    def twice(images):
        build(images, 11, is_training=False)
        return build(images, 11, is_training=False)

    with pytest.raises(slim.ScopeError, match=r"/Conv2d_1a.*weights' already exists"):
        shapes(twice, *own_size(name))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_inside_another_scope_has_its_full_names(name):
    def nested(images):
        with slim.variable_scope("tower"):
            return network(name, scope=None)(images)

    variables, _ = structure(nested, own_size(name)[1:])
    plain = net_checks.load_tree(name)["variables"]
    assert [row[0] for row in variables] == [f"tower/{row[0]}" for row in plain]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_in_training_drops_features_and_updates_every_moving_statistic(name):
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    model = slim.Model(network(name, is_training=True))
    tree = jax.eval_shape(model.init, jax.random.key(0), images)
    with pytest.raises(slim.ScopeError, match="batch_stats"):
        jax.eval_shape(model.apply, tree, images)
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    with pytest.raises(slim.ScopeError, match=r"/Logits' needs randomness"):
        jax.eval_shape(apply, tree, images)
    kept = functools.partial(apply, dropout_keep_prob=1.0)
    _, updates = jax.eval_shape(kept, tree, images)
    assert updates["batch_stats"] == tree["batch_stats"]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_in_bfloat16_by_arg_scope(name):
    model = slim.Model(network(name))
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    with slim.arg_scope([conv2d, separable_conv2d, fully_connected], dtype=jnp.bfloat16):
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        outputs = jax.eval_shape(model.apply, variables, images)
    assert {value.dtype for value in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.bfloat16)}
    assert {value.dtype for value in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.long
@pytest.mark.parametrize("name", ["inception_v1", "inception_v2", "inception_v3"])
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


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kwargs", "smallest", "remedy"),
    [
        ("inception_v1", {}, 193, ", or pass global_pool=True"),
        ("inception_v3", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_v3", {"create_aux_logits": False}, 75, ""),
        ("inception_v3", {"num_classes": None}, 75, ""),
        ("inception_v4", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_v4", {"create_aux_logits": False}, 75, ""),
        ("inception_resnet_v2", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_resnet_v2", {"num_classes": 0}, 75, ""),
    ],
)
def test_inception_takes_images_of_its_smallest_size(name, kwargs, smallest, remedy):
    initialized(network(name, **kwargs), (1, smallest, smallest, 3))
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


def test_inception_v2_takes_any_image():
    assert shapes(network("inception_v2"), 1, 1, 100, 3)[0].shape == (1, 11)
    net = network("inception_v2", global_pool=True)
    logits, end_points = shapes(net, 1, 225, 1, 3)
    assert logits.shape == (1, 11)
    assert list(end_points)[-4:] == ["global_pool", "PreLogits", "Logits", "Predictions"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "largest", "where", "remedy"),
    [
        ("inception_v1", 224, "InceptionV1", "global_pool=True for one prediction per image"),
        ("inception_v2", 256, "InceptionV2", "global_pool=True for one prediction per image"),
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


@pytest.mark.long
def test_inception_v3_without_auxiliary_logits_squeezes_larger_maps():
    net = network("inception_v3", create_aux_logits=False)
    assert shapes(net, 1, 362, 362, 3)[0].shape == (1, 11)
    with pytest.raises(ValueError, match=r"^InceptionV3: images .* 2x1 map .* global_pool=True"):
        shapes(net, 1, 363, 362, 3)
    net = network("inception_v3", create_aux_logits=False, global_pool=True)
    assert shapes(net, 1, 500, 400, 3)[0].shape == (1, 11)


@pytest.mark.long
@pytest.mark.parametrize("size", [107, 298, 299])
def test_inception_v3_auxiliary_variables_depend_on_small_sizes(size):
    variables, _ = structure(network("inception_v3"), (299, size, 3))
    found = {row[0]: row[1] for row in variables if "/AuxLogits/Conv2d_2a" in row[0]}
    width = 5 if size == 299 else 1 if size == 107 else 4
    name = f"InceptionV3/AuxLogits/Conv2d_2a_5x{width}/weights"
    assert found[name] == [5, width, 128, 768]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "layer"),
    [("inception_v4", "Conv2d_2a"), ("inception_resnet_v2", "Conv2d_2a_5x5")],
)
def test_inception_auxiliary_variables_are_as_large_as_the_image(name, layer):
    variables, _ = structure(network(name), (107, 400, 3))
    found = {row[0]: row[1] for row in variables}
    scope = next(iter(found)).split("/")[0]
    assert found[f"{scope}/AuxLogits/{layer}/weights"] == [1, 7, 128, 768]


@pytest.mark.long
@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v2"])
def test_inception_without_auxiliary_logits_has_no_such_variables(name):
    variables, _ = structure(network(name, create_aux_logits=False), (75, 300, 3))
    names = [row[0] for row in net_checks.load_tree(name)["variables"]]
    assert [row[0] for row in variables] == [n for n in names if "/AuxLogits/" not in n]


@pytest.mark.parametrize("name", ["inception_v2", "inception_v3"])
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


def test_inception_v2_in_nchw_is_the_same_as_in_nhwc():
    kwargs = {"use_separable_conv": False, "depth_multiplier": 0.2, "final_endpoint": "Mixed_4a"}
    nhwc = slim.Model(base("inception_v2", **kwargs))
    nchw = slim.Model(base("inception_v2", data_format="NCHW", **kwargs))
    images = jax.random.normal(jax.random.key(0), (2, 21, 30, 3))
    variables = net_checks.seeded_variables(nhwc, images)
    net, end_points = net_checks.run(nchw, variables, jnp.transpose(images, (0, 3, 1, 2)))
    _, wanted_points = net_checks.run(nhwc, variables, images)
    assert net.shape == (2, 121, 2, 2)
    assert list(end_points) == list(wanted_points)
    for key, value in wanted_points.items():
        found = jnp.transpose(end_points[key], (0, 2, 3, 1))
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_inception_v2_in_nchw_refuses_the_separable_convolution():
    with pytest.raises(ValueError) as error:
        shapes(base("inception_v2", data_format="NCHW"), 1, 3, 32, 32)
    assert str(error.value) == (
        "inception_v2_base: the separable convolution takes data_format 'NHWC' only, got 'NCHW'; "
        "pass use_separable_conv=False"
    )


def test_inception_v2_refuses_an_unknown_data_format():
    with pytest.raises(ValueError) as error:
        shapes(base("inception_v2", data_format="NHCW"), 1, 32, 32, 3)
    assert str(error.value) == (
        "inception_v2_base: data_format must be 'NHWC' or 'NCHW', got 'NHCW'"
    )


def test_inception_v2_first_layer_has_biases_only_if_separable():
    def first(**kwargs):
        net = base("inception_v2", final_endpoint="Conv2d_1a_7x7", **kwargs)
        return {row[0].removeprefix("InceptionV2/"): row[1] for row in structure(net, (9, 9, 3))[0]}

    scope = "Conv2d_1a_7x7"
    # At most 8 filters a channel, or a third of the number of filters.
    for multiplier, filters, per_channel in ((1.0, 64, 8), (0.25, 16, 5)):
        assert first(depth_multiplier=multiplier) == {
            f"{scope}/depthwise_weights": [7, 7, 3, per_channel],
            f"{scope}/pointwise_weights": [1, 1, 3 * per_channel, filters],
            f"{scope}/biases": [filters],
        }
    assert first(use_separable_conv=False) == {
        f"{scope}/weights": [7, 7, 3, 64],
        f"{scope}/BatchNorm/beta": [64],
        f"{scope}/BatchNorm/moving_mean": [64],
        f"{scope}/BatchNorm/moving_variance": [64],
    }


@pytest.mark.long
def test_inception_resnet_v2_with_stride_8_keeps_the_map_of_mixed_6a():
    net = base("inception_resnet_v2", output_stride=8, final_endpoint="PreAuxLogits")
    _, end_points = shapes(net, *own_size("inception_resnet_v2"))
    assert map_sizes(end_points)["PreAuxLogits"] == (33, 1088)
    net = base("inception_resnet_v2", final_endpoint="Mixed_7a", align_feature_maps=True)
    sizes = [size for size, _ in map_sizes(shapes(net, 1, 299, 299, 3)[1]).values()]
    assert sizes == [150, 150, 150, 75, 75, 75, 38, 38, 19, 19, 10]


def test_inception_resnet_v2_makes_no_blocks_behind_mixed_5b():
    net = base("inception_resnet_v2", final_endpoint="Mixed_5b")
    variables, _ = structure(net, (75, 75, 3))
    assert {row[0].split("/")[1] for row in variables} == {
        name for name in list(END_POINTS["inception_resnet_v2"])[:8] if "MaxPool" not in name
    }


@pytest.mark.parametrize("final_endpoint", ["Mixed_7a", "Conv2d_7b_1x1"])
def test_inception_resnet_v2_with_stride_8_has_nothing_behind_preauxlogits(final_endpoint):
    net = base("inception_resnet_v2", output_stride=8, final_endpoint=final_endpoint)
    with pytest.raises(ValueError) as error:
        shapes(net, 1, 75, 75, 3)
    assert str(error.value) == (
        "inception_resnet_v2_base: with output_stride 8 there is nothing behind 'PreAuxLogits', "
        f"got final_endpoint {final_endpoint!r}"
    )


@pytest.mark.parametrize("output_stride", [4, 32, None])
def test_inception_resnet_v2_refuses_another_output_stride(output_stride):
    with pytest.raises(ValueError) as error:
        shapes(base("inception_resnet_v2", output_stride=output_stride), 1, 75, 75, 3)
    assert str(error.value) == (
        f"inception_resnet_v2_base: output_stride must be 8 or 16, got {output_stride}"
    )


def test_inception_resnet_v2_block_adds_its_scaled_branches():
    def net(images):
        def output(scale, activation_fn):
            return inception_resnet_v2.block8(
                images, scale, activation_fn, scope="block", reuse=slim.AUTO_REUSE
            )

        with slim.arg_scope([conv2d], activation_fn=None):
            relu, relu6 = jax.nn.relu, jax.nn.relu6
            return output(1.0, None), output(0.5, None), output(0.5, relu), output(100.0, relu6)

    images = jax.random.normal(jax.random.key(0), (1, 3, 3, 2))
    outputs, _ = jax.jit(slim.Model(net).init_with_output)(jax.random.key(1), images)
    whole, half, cut, bounded = map(np.asarray, outputs)
    added = whole - images
    assert (abs(100 * added) > 6).any()
    np.testing.assert_allclose(half, images + 0.5 * added, atol=1e-5)
    np.testing.assert_allclose(cut, np.maximum(half, 0), atol=1e-5)
    # With relu6 what is added is cut off, too.
    wanted = np.clip(images + np.clip(100 * added, -6, 6), 0, 6)
    np.testing.assert_allclose(bounded, wanted, atol=1e-4)
