import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import net_checks
import pytest
from net_checks import shapes

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import conv2d
from jslim.nets import vgg


def evaluated(network, **kwargs):
    return functools.partial(network, is_training=False, **kwargs)


@pytest.fixture(scope="module")
def vgg_a_variables():
    model = slim.Model(evaluated(vgg.vgg_a, num_classes=11))
    return net_checks.seeded_variables(model, jnp.zeros((1, 224, 224, 3)))


@pytest.mark.long
def test_vgg_a_equals_tf_slim(vgg_a_variables):
    golden = net_checks.load_values("vgg_a")
    model = slim.Model(evaluated(vgg.vgg_a, num_classes=11))
    images = net_checks.seeded_input(golden)
    net_checks.assert_outputs(*net_checks.run(model, vgg_a_variables, images), golden)


def test_vgg_a_with_same_padding_and_global_pool_equals_tf_slim(vgg_a_variables):
    golden = net_checks.load_values("vgg_a_any_size")
    network = evaluated(vgg.vgg_a, num_classes=11, fc_conv_padding="SAME", global_pool=True)
    images = net_checks.seeded_input(golden)
    outputs = net_checks.run(slim.Model(network), vgg_a_variables, images)
    net_checks.assert_outputs(*outputs, golden)


@pytest.mark.long
@pytest.mark.parametrize("name", ["vgg_16", "vgg_19"])
def test_vgg_blocks_equal_tf_slim(name):
    golden = net_checks.load_values(f"{name}_blocks")
    network = getattr(vgg, name)
    model = slim.Model(evaluated(network, num_classes=None, fc_conv_padding="SAME"))
    images = net_checks.seeded_input(golden)
    tree = shapes_of(model.init, jax.random.key(0), images)["params"]
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    weights = {
        key: jnp.asarray(net_checks.seeded_value(golden["seed"], key, value.shape))
        for key, value in flat.items()
        if "/conv" in key
    }

    @jax.jit
    def blocks(weights):
        # The 119 million other weights are zeros that the compiler sees nobody look at.
        rest = {key: jnp.zeros(v.shape) for key, v in flat.items() if key not in weights}
        params = flax.traverse_util.unflatten_dict({**weights, **rest}, sep="/")
        _, end_points = model.apply({"params": params}, images)
        return {key: end_points[key] for key in golden["end_points"]}

    for key, value in blocks(weights).items():
        net_checks.assert_described(value, golden["end_points"][key], key)


def test_vgg_has_the_letters_of_the_paper():
    assert vgg.vgg_d is vgg.vgg_16
    assert vgg.vgg_e is vgg.vgg_19


@pytest.mark.parametrize(
    ("name", "convolutions"),
    [("vgg_a", (1, 1, 2, 2, 2)), ("vgg_16", (2, 2, 3, 3, 3)), ("vgg_19", (2, 2, 4, 4, 4))],
)
def test_vgg_end_points_are_in_order_with_shapes(name, convolutions):
    _, end_points = shapes(evaluated(getattr(vgg, name)), 2, 224, 224, 3)
    wanted = {}
    for block, (count, depth) in enumerate(
        zip(convolutions, (64, 128, 256, 512, 512), strict=True), 1
    ):
        size = 448 >> block
        for index in range(1, count + 1):
            wanted[f"{name}/conv{block}/conv{block}_{index}"] = (2, size, size, depth)
        wanted[f"{name}/pool{block}"] = (2, size // 2, size // 2, depth)
    wanted[f"{name}/fc6"] = wanted[f"{name}/fc7"] = (2, 1, 1, 4096)
    wanted[f"{name}/fc8"] = (2, 1000)
    assert [(key, value.shape) for key, value in end_points.items()] == list(wanted.items())


@pytest.mark.parametrize("num_classes", [None, 0])
def test_vgg_without_classes_gives_features(num_classes):
    features, end_points = shapes(evaluated(vgg.vgg_16, num_classes=num_classes), 2, 224, 224, 3)
    assert features.shape == (2, 1, 1, 4096)
    assert list(end_points)[-1] == "vgg_16/fc7"


def test_vgg_on_larger_images_gives_a_map():
    logits, _ = shapes(evaluated(vgg.vgg_a, spatial_squeeze=False), 2, 256, 320, 3)
    assert logits.shape == (2, 2, 4, 1000)
    logits, end_points = shapes(evaluated(vgg.vgg_a, global_pool=True), 2, 256, 320, 3)
    assert logits.shape == (2, 1000)
    assert list(end_points)[-3:] == ["vgg_a/fc7", "global_pool", "vgg_a/fc8"]
    network = evaluated(vgg.vgg_a, fc_conv_padding="SAME", spatial_squeeze=False)
    assert shapes(network, 2, 256, 320, 3)[0].shape == (2, 8, 10, 1000)


def test_vgg_refuses_to_squeeze_a_map():
    with pytest.raises(ValueError) as error:
        shapes(evaluated(vgg.vgg_16), 2, 256, 320, 3)
    assert str(error.value) == (
        "vgg_16: images of this size give a 2x4 map of logits, and spatial_squeeze can only "
        "remove a 1x1 one; pass spatial_squeeze=False to have the map, or global_pool=True for "
        "one prediction per image"
    )


def test_vgg_refuses_images_too_small():
    with pytest.raises(ValueError) as error:
        shapes(evaluated(vgg.vgg_19), 2, 256, 223, 3)
    assert str(error.value) == (
        "vgg_19: images of 256x223 are too small, it takes 224x224 or more; resize them, or pass "
        "fc_conv_padding='SAME'"
    )
    with pytest.raises(ValueError) as error:
        shapes(evaluated(vgg.vgg_19, fc_conv_padding="SAME"), 2, 31, 64, 3)
    assert str(error.value) == (
        "vgg_19: images of 31x64 are too small, it takes 32x32 or more; resize them"
    )


def test_vgg_refuses_an_unknown_padding():
    with pytest.raises(ValueError, match=r"^conv2d at 'vgg_a/fc6': padding must be .* got 3"):
        shapes(evaluated(vgg.vgg_a, fc_conv_padding=3), 1, 224, 224, 3)


def test_vgg_refuses_one_image_without_batch_axis():
    with pytest.raises(ValueError, match=r"^vgg_a: images must be .* \(224, 224, 3\); add a"):
        shapes(evaluated(vgg.vgg_a), 224, 224, 3)


def test_vgg_shares_its_variables_by_reuse():
    names, losses = [], []

    def twice(images):
        with slim.arg_scope(vgg.vgg_arg_scope()):
            first = vgg.vgg_a(images, 10, is_training=False)
            second = vgg.vgg_a(images, 10, is_training=False, reuse=True)
        names[:] = slim.get_model_variables()
        losses.append((list(first[1]), list(second[1])))
        return second

    logits, end_points = shapes(twice, 1, 224, 224, 3)
    assert logits.shape == (1, 10)
    assert len(names) == 22
    once, again = losses[-1]
    # As in TF-Slim 1.1: a convolution is named by its variables, a pool by the call.
    assert again == [name.replace("vgg_a/pool", "vgg_a_1/pool") for name in once]
    assert again == list(end_points)


def test_vgg_twice_without_reuse_names_the_variable():
    def twice(images):
        vgg.vgg_a(images, is_training=False)
        return vgg.vgg_a(images, is_training=False)

    with pytest.raises(slim.ScopeError, match="'vgg_a/conv1/conv1_1/weights' already exists"):
        shapes(twice, 1, 224, 224, 3)


def test_vgg_inside_another_scope_has_its_full_names():
    def nested(images):
        with slim.variable_scope("tower"):
            return vgg.vgg_a(images, is_training=False, scope=None)

    _, end_points = shapes(nested, 1, 224, 224, 3)
    assert next(iter(end_points)) == "tower/vgg_a/conv1/conv1_1"
    assert list(end_points)[-1] == "tower/vgg_a/fc8"


def test_vgg_drops_features_in_training():
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    model = slim.Model(vgg.vgg_a)
    tree = shapes_of(model.init, jax.random.key(0), images)
    with pytest.raises(slim.ScopeError, match=r"'vgg_a.*' needs randomness"):
        jax.eval_shape(model.apply, tree, images)


def test_vgg_in_bfloat16_by_arg_scope():
    with slim.arg_scope([conv2d], dtype=jnp.bfloat16):
        logits, end_points = shapes(evaluated(vgg.vgg_a, global_pool=True), 1, 224, 224, 3)
    assert {value.dtype for value in [logits, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
