"""I3D and S3D-G: Inception V1 for videos."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from net_checks import shapes, structure

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import batch_norm, conv3d, softmax
from jslim.nets import i3d, nets_factory, s3dg

NAMES = ("i3d", "s3dg")
MODULES = {"i3d": i3d, "s3dg": s3dg}
# As the golden networks: see tests/golden/net_cases/video.py.
TRAINED = {"batch_norm_epsilon": 0.01, "batch_norm_decay": 0.9, "weight_decay": 0.01}
VIDEOS = (2, 64, 224, 224, 3)


def network(name, scope_arguments=None, **kwargs):
    """The network in inference, under its arg_scope."""
    module = MODULES[name]
    arguments = {"num_classes": 11, "is_training": False, **kwargs}

    def net(videos, **more):
        with slim.arg_scope(getattr(module, f"{name}_arg_scope")(**scope_arguments or {})):
            return getattr(module, name)(videos, **arguments, **more)

    return net


def base(name, **kwargs):
    """The network without its classifier, in inference."""
    module = MODULES[name]

    def net(videos):
        with (
            slim.arg_scope(getattr(module, f"{name}_arg_scope")()),
            slim.arg_scope([batch_norm], is_training=False),
        ):
            return getattr(module, f"{name}_base")(videos, **kwargs)

    return net


ARGUMENTS = {
    "first_temporal_kernel_size": 5,
    "temporal_conv_startat": "Mixed_3c",
    "gating_startat": "Mixed_4b",
    "final_endpoint": "Mixed_4c",
    "depth_multiplier": 0.25,
    "min_depth": 10,
    "spatial_squeeze": False,
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("i3d", network("i3d")),
        ("i3d_separable", network("i3d", {"separable_conv3d": True})),
        ("s3dg", network("s3dg")),
        ("s3dg_arguments", network("s3dg", num_classes=5, **ARGUMENTS)),
    ],
)
def test_video_network_equals_tf_slim(name, net):
    golden = net_checks.load_values(name)
    videos = net_checks.seeded_input(golden)
    model = slim.Model(net)
    variables = net_checks.seeded_variables(model, videos)
    net_checks.assert_outputs(*net_checks.run(model, variables, videos), golden)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kwargs", "level"),
    [
        pytest.param("i3d", {}, 1, marks=net_checks.if_every_network),
        ("s3dg", {"depth_multiplier": 0.25, "min_depth": 20}, 0),
    ],
)
def test_video_network_training_equals_tf_slim(name, kwargs, level):
    golden = net_checks.load_values(f"{name}_train")
    net = network(name, TRAINED, num_classes=7, is_training=True, dropout_keep_prob=1.0, **kwargs)
    net_checks.check_training_in_float64(net, golden, level)


# Frames, height and channels of the maps of 64 frames of 224x224 pixels.
END_POINTS = {
    "Conv2d_1a_7x7": (32, 112, 64),
    "MaxPool_2a_3x3": (32, 56, 64),
    "Conv2d_2b_1x1": (32, 56, 64),
    "Conv2d_2c_3x3": (32, 56, 192),
    "MaxPool_3a_3x3": (32, 28, 192),
    "Mixed_3b": (32, 28, 256),
    "Mixed_3c": (32, 28, 480),
    "MaxPool_4a_3x3": (16, 14, 480),
    "Mixed_4b": (16, 14, 512),
    "Mixed_4c": (16, 14, 512),
    "Mixed_4d": (16, 14, 512),
    "Mixed_4e": (16, 14, 528),
    "Mixed_4f": (16, 14, 832),
    "MaxPool_5a_2x2": (8, 7, 832),
    "Mixed_5b": (8, 7, 832),
    "Mixed_5c": (8, 7, 1024),
}


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_network_end_points_are_in_order_with_shapes(name):
    logits, end_points = shapes(network(name), *VIDEOS)
    assert logits.shape == end_points["Logits"].shape == end_points["Predictions"].shape == (2, 11)
    assert list(end_points) == [*END_POINTS, "Logits", "Predictions"]
    for key, (frames, size, channels) in END_POINTS.items():
        assert end_points[key].shape == (2, frames, size, size, channels), key


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_base_stops_at_its_final_endpoint(name):
    names = list(END_POINTS)
    for last in ("Conv2d_1a_7x7", "Conv2d_2c_3x3", "Mixed_4b", None):
        kwargs = {"final_endpoint": last} if last else {}
        net, end_points = shapes(base(name, **kwargs), 1, 9, 33, 47, 3)
        last = last or names[-1]
        assert list(end_points) == names[: names.index(last) + 1]
        assert net.shape == end_points[last].shape
    assert net.shape == (1, 2, 2, 2, 1024)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_network_without_classes_gives_features(name):
    model = slim.Model(network(name, num_classes=None))
    videos = jax.ShapeDtypeStruct(VIDEOS, jnp.float32)
    tree = shapes_of(model.init, jax.random.key(0), videos)
    for num_classes in (None, 0):
        model = slim.Model(network(name, num_classes=num_classes))
        features, end_points = jax.eval_shape(model.apply, tree, videos)
        assert features.shape == (2, 7, 1, 1, 1024)
        assert set(end_points) == set(END_POINTS)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_network_shares_its_variables_by_reuse(name):
    names = []

    def twice(videos):
        network(name)(videos)
        once = list(slim.get_model_variables())
        result = network(name, reuse=True)(videos)
        names[:] = once, list(slim.get_model_variables())
        return result

    structure(twice, (4, 32, 32, 3))
    assert names[0] == names[1]


@pytest.mark.parametrize("name", NAMES)
def test_video_network_inside_another_scope_has_its_full_names(name):
    def nested(videos):
        with slim.variable_scope("tower"):
            return network(name, scope=None)(videos)

    variables = structure(nested, (4, 32, 32, 3)).variables
    plain = net_checks.load_tree(name)["variables"]
    assert [row[0] for row in variables] == [f"tower/{row[0]}" for row in plain]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_network_in_training_drops_features_and_updates_every_moving_statistic(name):
    videos = jax.ShapeDtypeStruct((1, 4, 32, 32, 3), jnp.float32)
    model = slim.Model(network(name, is_training=True))
    tree = shapes_of(model.init, jax.random.key(0), videos)
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    with pytest.raises(slim.ScopeError, match=r"/Logits' needs randomness"):
        jax.eval_shape(apply, tree, videos)
    _, updates = jax.eval_shape(
        lambda tree, videos: apply(tree, videos, rngs={"dropout": jax.random.key(0)}), tree, videos
    )
    assert updates["batch_stats"] == tree["batch_stats"]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_network_in_bfloat16_by_arg_scope(name):
    model = slim.Model(nets_factory.get_network_fn(name, 11))
    videos = jax.ShapeDtypeStruct(VIDEOS, jnp.float32)
    with slim.arg_scope([conv3d], dtype=jnp.bfloat16):
        variables = shapes_of(model.init, jax.random.key(0), videos)
        outputs = jax.eval_shape(model.apply, variables, videos)
    assert {value.dtype for value in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.bfloat16)}
    assert {value.dtype for value in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_video_network_predictions_are_made_by_prediction_fn(name):
    def prediction_fn(logits, scope):
        assert scope == "Predictions"
        return softmax(logits, scope=scope)[..., :1]

    net = network(name, prediction_fn=prediction_fn, spatial_squeeze=False)
    logits, end_points = shapes(net, 1, 3, 225, 224, 3)
    assert logits.shape == (1, 2, 1, 11)
    assert end_points["Predictions"].shape == (1, 2, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_video_network_refuses_to_squeeze_a_map(name):
    with pytest.raises(ValueError) as error:
        shapes(network(name), 1, 3, 224, 225, 3)
    assert str(error.value) == (
        "InceptionV1: images of this size give a 1x2 map of logits, and spatial_squeeze can only "
        "remove a 1x1 one; pass spatial_squeeze=False to have the map, or videos of at most "
        "224x224 pixels for one prediction per video"
    )


@pytest.mark.parametrize("name", NAMES)
def test_video_network_refuses_one_video_without_batch_axis(name):
    with pytest.raises(ValueError) as error:
        shapes(network(name), *VIDEOS[1:])
    assert str(error.value) == (
        f"{name}: videos must be [batch, frames, height, width, channels], got shape "
        "(64, 224, 224, 3); add a batch axis to one video (videos[None]), or a frames axis to "
        "images (images[:, None])"
    )


def test_s3dg_in_ncdhw_refuses_images():
    with pytest.raises(ValueError) as error:
        shapes(network("s3dg", data_format="NCDHW"), 2, 3, 224, 224)
    assert str(error.value) == (
        "s3dg: videos must be [batch, channels, frames, height, width], got shape "
        "(2, 3, 224, 224); add a batch axis to one video (videos[None]), or a frames axis to "
        "images (images[:, :, None])"
    )


def gates_and_time(kwargs):
    """Which layers have gates, and which look at more than one frame."""
    net = base("s3dg", min_depth=1, depth_multiplier=0.02, **kwargs)
    variables = structure(net, (2, 8, 8, 3)).variables
    scopes = [row[0].removeprefix("InceptionV1/") for row in variables]
    return [
        sorted({scope.split("/")[0] for scope in scopes if marker in scope})
        for marker in ("/self_gating/", "/temporal/")
    ]


WITH_3X3 = sorted(key for key in END_POINTS if "Mixed" in key or key == "Conv2d_2c_3x3")


@pytest.mark.long
@pytest.mark.parametrize(
    ("gates", "times"), [("Mixed_4e", "Mixed_3b"), ("Conv2d_2c_3x3", None), (None, "Mixed_5c")]
)
def test_s3dg_starts_gates_and_time_where_it_is_told(gates, times):
    found = gates_and_time({"gating_startat": gates, "temporal_conv_startat": times})
    assert found == [WITH_3X3[WITH_3X3.index(start) :] if start else [] for start in (gates, times)]


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_s3dg_first_kernel_has_its_size_in_time(size):
    net = base("s3dg", first_temporal_kernel_size=size, final_endpoint="Conv2d_1a_7x7")
    variables = structure(net, (4, 8, 8, 3)).variables
    assert variables[0][:2] == ["InceptionV1/Conv2d_1a_7x7/weights", [size, 7, 7, 3, 64]]
    assert not any("temporal" in row[0] for row in variables)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"first_temporal_kernel_size": 2},
            "s3dg_base: first_temporal_kernel_size must be 1, 3, 5 or 7, got 2",
        ),
        ({"depth_multiplier": 0.0}, "s3dg_base: depth_multiplier must be above 0, got 0.0"),
        (
            {"data_format": "NHWC"},
            "s3dg_base: data_format must be 'NDHWC' or 'NCDHW', got 'NHWC'",
        ),
        (
            {"final_endpoint": "Mixed_4g"},
            "s3dg_base: final_endpoint cannot be 'Mixed_4g'; did you mean 'Mixed_4f' or "
            f"'Mixed_4e' or 'Mixed_4d'? (there are {', '.join(END_POINTS)})",
        ),
        (
            {"gating_startat": "Conv2d_1a_7x7"},
            "s3dg_base: gating_startat cannot be 'Conv2d_1a_7x7'; did you mean 'Conv2d_2c_3x3'? "
            f"(there are {', '.join(WITH_3X3)})",
        ),
        (
            {"temporal_conv_startat": "MaxPool"},
            f"s3dg_base: temporal_conv_startat cannot be 'MaxPool' (there are "
            f"{', '.join(WITH_3X3)})",
        ),
    ],
)
def test_s3dg_refuses_arguments_that_are_not_there(kwargs, message):
    with pytest.raises(ValueError) as error:
        shapes(base("s3dg", **kwargs), 1, 2, 8, 8, 3)
    assert str(error.value) == message


@pytest.mark.long
def test_s3dg_in_ncdhw_is_the_same_as_in_ndhwc():
    kwargs = {"depth_multiplier": 0.1, "min_depth": 4, "final_endpoint": "Mixed_4b"}
    videos = jax.random.normal(jax.random.key(0), (2, 4, 24, 40, 3))
    model = slim.Model(network("s3dg", **kwargs))
    variables = net_checks.seeded_variables(model, videos)
    logits, end_points = net_checks.run(model, variables, videos)
    other = slim.Model(network("s3dg", data_format="NCDHW", **kwargs))
    found, others = net_checks.run(other, variables, jnp.transpose(videos, (0, 4, 1, 2, 3)))
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    assert list(others) == list(end_points)
    for key in list(end_points)[:-2]:
        moved = jnp.transpose(others[key], (0, 2, 3, 4, 1))
        np.testing.assert_allclose(moved, end_points[key], rtol=1e-4, atol=1e-5, err_msg=key)


def test_i3d_arg_scope_normalizes_by_renorm_where_told():
    net = network("i3d", {"use_renorm": True})
    variables = structure(net, (1, 8, 8, 3)).variables
    assert any(row[0].endswith("BatchNorm/renorm_mean") for row in variables)
    assert not any("renorm" in row[0] for row in net_checks.load_tree("i3d")["variables"])


def test_video_network_initial_values_are_those_of_the_networks():
    net = base("s3dg", final_endpoint="Conv2d_2c_3x3")
    found = net_checks.initial_values(net, 1, 2, 8, 8, 3, pattern=".*weights")
    for layer in ("1a_7x7", "2b_1x1", "2c_3x3", "2c_3x3/self_gating/transformer_W"):
        _, stddev = found[f"InceptionV1/Conv2d_{layer}/weights"]
        assert stddev == pytest.approx(net_checks.CUT_OFF * 0.01, rel=0.05), layer
    # The identity of 192 channels, in one of three frames.
    share = 1 / (3 * 192)
    _, stddev = found["InceptionV1/Conv2d_2c_3x3/temporal/weights"]
    assert stddev == pytest.approx((share * (1 - share)) ** 0.5, rel=1e-4)
