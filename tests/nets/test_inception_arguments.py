"""The arguments of the Inception networks one by one."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from inception_checks import END_POINTS, base, map_sizes, network, own_size
from net_checks import shapes, structure

import jslim as slim
from jslim.layers import conv2d
from jslim.nets import inception, inception_resnet_v2


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
    variables = structure(network("inception_v3"), (299, size, 3)).variables
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
    variables = structure(network(name), (107, 400, 3)).variables
    found = {row[0]: row[1] for row in variables}
    scope = next(iter(found)).split("/")[0]
    assert found[f"{scope}/AuxLogits/{layer}/weights"] == [1, 7, 128, 768]


@pytest.mark.long
@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v2"])
def test_inception_without_auxiliary_logits_has_no_such_variables(name):
    variables = structure(network(name, create_aux_logits=False), (75, 300, 3)).variables
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
        return {
            row[0].removeprefix("InceptionV2/"): row[1]
            for row in structure(net, (9, 9, 3)).variables
        }

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
    variables = structure(net, (75, 75, 3)).variables
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
    # With relu6 the summand is clipped too.
    wanted = np.clip(images + np.clip(100 * added, -6, 6), 0, 6)
    np.testing.assert_allclose(bounded, wanted, atol=1e-4)
