"""ResNet V1 and V2: the numbers of research/slim, and all arguments on small networks."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from net_checks import shapes

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import batch_norm, conv2d
from jslim.nets import nets_factory, resnet_utils, resnet_v1, resnet_v2

MODULES = {1: resnet_v1, 2: resnet_v2}
VERSIONS = pytest.mark.parametrize("version", [1, 2])
# (base depth, units, stride) of each block, as in golden/net_cases/resnet.py.
SMALL = ((1, 3, 2), (2, 2, 2), (3, 2, 2), (4, 2, 1))
DENSE = {"global_pool": False, "spatial_squeeze": False}


def small(version, num_classes=5, is_training=False, is_bounded=False, scopes=(), **kwargs):
    """A network of four small blocks under its arg_scope, and further scopes."""
    module = MODULES[version]

    def net(images):
        block = getattr(module, f"resnet_v{version}_block")
        blocks = [block(f"block{i}", *sizes) for i, sizes in enumerate(SMALL, 1)]
        bounded = {"use_bounded_activations": True} if is_bounded else {}
        function = getattr(module, f"resnet_v{version}")
        with (
            slim.arg_scope(resnet_utils.resnet_arg_scope(batch_norm_decay=0.9)),
            slim.arg_scope([module.bottleneck], **bounded),
            contextlib.ExitStack() as stack,
        ):
            for layers, arguments in scopes:
                stack.enter_context(slim.arg_scope(layers, **arguments))
            return function(images, blocks, num_classes, is_training, **kwargs)

    return net


ROOTLESS = {"include_root_block": False}
CASES = {
    "resnet_v1_50": nets_factory.get_network_fn("resnet_v1_50", 11),
    "resnet_v2_50": nets_factory.get_network_fn("resnet_v2_50", 11),
    "resnet_v1_stored": small(1, output_stride=16, store_non_strided_activations=True, **DENSE),
    "resnet_v1_bounded": small(1, is_bounded=True),
}
for number in MODULES:
    CASES |= {
        f"resnet_v{number}_atrous": small(number, output_stride=8, **DENSE),
        f"resnet_v{number}_atrous_all": small(number, None, output_stride=4, **DENSE),
        f"resnet_v{number}_rootless": small(number, None, **ROOTLESS),
        f"resnet_v{number}_rootless_atrous": small(number, 3, output_stride=2, **ROOTLESS, **DENSE),
    }


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_resnet_equals_tf_slim(name):
    net = CASES[name]
    if name == "resnet_v1_50":
        net = functools.partial(net, depth_multiplier=0.3, min_base_depth=24)
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(net)
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.long
@VERSIONS
def test_resnet_training_equals_tf_slim(version):
    # TensorFlow's batch normalization is not fused in float64.
    params = {"decay": 0.9, "epsilon": 1e-5, "scale": True, "fused": False}
    scopes = [([conv2d], {"normalizer_params": params}), ([batch_norm], params)]
    net = small(version, 7, is_training=True, scopes=scopes)
    golden = net_checks.load_values(f"resnet_v{version}_small_train")
    net_checks.check_training_in_float64(net, golden)


@pytest.mark.parametrize("kernel_size", [3, 7])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("size", [(5, 6), (6, 9)])
def test_conv2d_same_is_the_convolution_without_stride_subsampled(kernel_size, stride, size):
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, *size, 3)), jnp.float32)

    def both(images):
        strided = resnet_utils.conv2d_same(images, 4, kernel_size, stride, scope="conv")
        with slim.variable_scope(slim.get_variable_scope(), reuse=True):
            whole = conv2d(images, 4, kernel_size, scope="conv")
        return strided, resnet_utils.subsample(whole, stride)

    (strided, subsampled), _ = slim.Model(both).init_with_output(jax.random.key(0), images)
    assert strided.shape == (2, *(-(-side // stride) for side in size), 4)
    np.testing.assert_allclose(strided, subsampled, rtol=1e-5, atol=1e-5)


@pytest.mark.long
@VERSIONS
def test_dilated_resnet_subsampled_is_the_strided_one(version):
    """The features for output_stride 32, which atrous convolution computes more of."""
    images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 65, 97, 3)), jnp.float32)
    model = slim.Model(small(version, None, **DENSE))
    variables = net_checks.seeded_variables(model, images)
    expected, _ = model.apply(variables, images)
    assert expected.shape[1:3] == (3, 4)
    for stride in (4, 8, 16):
        dense = slim.Model(small(version, None, output_stride=stride, **DENSE))
        features, _ = net_checks.run(dense, variables, images)
        assert features.shape[1:3] == (64 // stride + 1, 96 // stride + 1)
        found = features[:, :: 32 // stride, :: 32 // stride]
        scale = float(jnp.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


def map_sizes(end_points):
    return {name: (value.shape[1], value.shape[-1]) for name, value in end_points.items()}


@VERSIONS
def test_resnet_50_end_points_are_in_order_with_shapes(version):
    name, unit = f"resnet_v{version}_50", f"bottleneck_v{version}"
    network = nets_factory.get_network_fn(name, 1001)
    logits, end_points = shapes(network, 2, 224, 224, 3)
    assert logits.shape == (2, 1001)
    wanted = {f"{name}/conv1": (112, 64)}
    size = 56
    for block, (units, stride) in enumerate(zip((3, 4, 6, 3), (2, 2, 2, 1), strict=True), 1):
        depth = 64 << (block - 1)
        for index in range(1, units + 1):
            scope = f"{name}/block{block}/unit_{index}/{unit}"
            after = size // stride if index == units else size
            if index == 1:
                wanted[f"{scope}/shortcut"] = (after, depth * 4)
            wanted[f"{scope}/conv1"] = (size, depth)
            wanted[f"{scope}/conv2"] = (after, depth)
            wanted[f"{scope}/conv3"] = (after, depth * 4)
            wanted[scope] = (after, depth * 4)
        size = after
        wanted[f"{name}/block{block}"] = (size, depth * 4)
    wanted["global_pool"] = (1, 2048)
    wanted[f"{name}/logits"] = (1, 1001)
    wanted |= {f"{name}/spatial_squeeze": (1001, 1001), "predictions": (1001, 1001)}
    assert list(map_sizes(end_points).items()) == list(wanted.items())


@pytest.mark.long
@VERSIONS
@pytest.mark.parametrize("num_classes", [None, 0])
def test_resnet_without_classes_gives_features(version, num_classes):
    network = nets_factory.get_network_fn(f"resnet_v{version}_50", num_classes)
    features, end_points = shapes(network, 2, 65, 65, 3)
    assert features.shape == (2, 1, 1, 2048)
    assert list(end_points)[-1] == "global_pool"
    features, _ = shapes(functools.partial(network, output_stride=16, **DENSE), 2, 321, 321, 3)
    assert features.shape == (2, 21, 21, 2048)


@VERSIONS
def test_resnet_refuses_to_squeeze_a_map(version):
    with pytest.raises(ValueError) as error:
        shapes(small(version, global_pool=False), 1, 65, 96, 3)
    assert str(error.value) == (
        f"resnet_v{version}: images of this size give a 3x3 map of logits, and spatial_squeeze "
        "can only remove a 1x1 one; pass spatial_squeeze=False to have the map, or "
        "global_pool=True for one prediction per image"
    )


@VERSIONS
def test_resnet_refuses_an_output_stride_that_it_cannot_have(version):
    with pytest.raises(ValueError) as error:
        shapes(small(version, output_stride=6), 1, 65, 65, 3)
    assert str(error.value) == (
        f"resnet_v{version}: output_stride must be a multiple of 4, by which the root block makes "
        "the map smaller, got 6"
    )
    for stride in (12, 64):
        with pytest.raises(ValueError) as error:
            shapes(small(version, output_stride=stride), 1, 65, 65, 3)
        assert str(error.value) == (
            f"stack_blocks_dense: an output_stride of {stride // 4} cannot be reached: the strides "
            "of the units are 2, 2, 2, and it must be a product of the first of them"
        )


@VERSIONS
def test_resnet_refuses_one_image_without_batch_axis(version):
    with pytest.raises(ValueError, match=rf"^resnet_v{version}: images must be .* add a batch"):
        shapes(small(version), 65, 65, 3)


@pytest.mark.long
@VERSIONS
def test_resnet_shares_its_variables_by_reuse(version):
    names = []
    name = f"resnet_v{version}_50"
    build = nets_factory.networks_map[name]

    def twice(images):
        first = build(images, 5, is_training=False)
        names[:] = [list(slim.get_model_variables())]
        second = build(images, 5, is_training=False, reuse=True)
        names.append(list(slim.get_model_variables()))
        assert list(first[1]) == list(second[1])
        return second

    shapes(twice, 1, 33, 33, 3)
    assert names[0] == names[1]
    with pytest.raises(slim.ScopeError, match=f"'{name}/conv1/weights' already exists"):
        shapes(lambda x: (build(x, 5, False), build(x, 5, False))[1], 1, 33, 33, 3)


@VERSIONS
def test_resnet_inside_another_scope_has_its_full_names(version):
    def nested(images):
        with slim.variable_scope("tower"):
            return small(version)(images)

    _, end_points = shapes(nested, 1, 33, 33, 3)
    assert next(iter(end_points)) == f"tower/resnet_v{version}/conv1"


@pytest.mark.long
@VERSIONS
def test_resnet_leaves_training_to_a_scope_on_request(version):
    def evaluate(**is_training):
        net = small(version, is_training=None, scopes=[([batch_norm], is_training)])
        model = slim.Model(net)
        images = jax.ShapeDtypeStruct((2, 33, 33, 3), jnp.float32)
        tree = shapes_of(model.init, jax.random.key(0), images)
        return jax.eval_shape(model.apply, tree, images)

    assert evaluate(is_training=False)[0].shape == (2, 5)
    with pytest.raises(slim.ScopeError, match="batch_stats"):
        evaluate(is_training=True)


def test_resnet_without_batch_norm_has_biases():
    def net(images):
        with slim.arg_scope(resnet_utils.resnet_arg_scope(use_batch_norm=False)):
            return resnet_v1.resnet_v1_50(images, 5)

    variables = net_checks.structure(net, (33, 33, 3)).variables
    leaves = {row[0].rpartition("/")[2] for row in variables}
    assert leaves == {"weights", "biases"}


@pytest.mark.long
@VERSIONS
def test_resnet_in_bfloat16_by_arg_scope(version):
    network = nets_factory.get_network_fn(f"resnet_v{version}_50", 11)
    with slim.arg_scope([conv2d], dtype=jnp.bfloat16):
        logits, end_points = shapes(network, 1, 33, 33, 3)
        variables = net_checks.structure(network, (33, 33, 3)).variables
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}
