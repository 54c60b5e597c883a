"""CycleGAN, DCGAN and pix2pix: the numbers of research/slim, and their arguments."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from net_checks import shapes

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import batch_norm, conv2d, conv2d_transpose
from jslim.nets import _generative, cyclegan, dcgan, pix2pix

TREES = sorted(path.stem for path in (net_checks.GOLDEN / "generative").glob("*.json"))
# As in golden/net_cases/generative.py.
BLOCKS = [pix2pix.Block(6, 1.0), pix2pix.Block(8, 0), pix2pix.Block(10, 0)]
SMALL = {"num_filters": 4, "num_resnet_blocks": 2}


def cyclegan_generator(scope_arguments=(), method=None, **kwargs):
    arg_scope_fn = functools.partial(cyclegan.cyclegan_arg_scope, **dict(scope_arguments))
    if method:
        kwargs["upsample_fn"] = functools.partial(cyclegan.cyclegan_upsample, method=method)
    return functools.partial(
        cyclegan.cyclegan_generator_resnet, arg_scope_fn=arg_scope_fn, **kwargs
    )


def enlarge(stride, **kwargs):
    def net(images):
        with slim.arg_scope(cyclegan.cyclegan_arg_scope()):
            larger = cyclegan.cyclegan_upsample(images, 3, stride, **kwargs)
        return larger, {"upsampled": larger}

    return net


def dcgan_network(name, is_training=False, **kwargs):
    def net(inputs):
        with slim.arg_scope([batch_norm], decay=0.9):
            return getattr(dcgan, name)(inputs, is_training=is_training, **kwargs)

    return net


def pix2pix_network(name, *arguments, **kwargs):
    def net(images):
        with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
            return getattr(pix2pix, f"pix2pix_{name}")(images, *arguments, **kwargs)

    return net


CASES = {
    "cyclegan": cyclegan_generator(**SMALL),
    "cyclegan_nearest": cyclegan_generator(
        {"instance_norm_center": False, "instance_norm_epsilon": 0.1},
        "nn_upsample_conv",
        kernel_size=[4, 1],
        tanh_linear_slope=0.5,
        **SMALL,
    ),
    "cyclegan_upsample": enlarge([3, 2], method="bilinear_upsample_conv", pad_mode="SYMMETRIC"),
    "cyclegan_upsample_aligned": enlarge(
        [2, 3], method="bilinear_upsample_conv", align_corners=True
    ),
    "cyclegan_upsample_constant": enlarge([2, 3], method="nn_upsample_conv", pad_mode="constant"),
    "cyclegan_upsample_transposed": enlarge([3, 2]),
    "dcgan_discriminator": dcgan_network("discriminator", depth=4),
    "dcgan_generator": dcgan_network("generator", depth=4, final_size=8, num_outputs=2),
    "pix2pix_generator": pix2pix_network("generator", 5, BLOCKS),
    "pix2pix_discriminator": pix2pix_network("discriminator", [4, 6, 8]),
    "pix2pix_discriminator_constant": pix2pix_network(
        "discriminator", [4, 6], padding=1, pad_mode="CONSTANT", activation_fn=jax.nn.elu
    ),
    "pix2pix_discriminator_unpadded": pix2pix_network("discriminator", [4, 6], padding=0),
}
TRAINED = {
    "cyclegan_train": cyclegan_generator(
        {"instance_norm_scale": False, "weight_decay": 0.01}, **SMALL
    ),
    "cyclegan_bilinear_train": cyclegan_generator(
        method="bilinear_upsample_conv", num_filters=4, num_resnet_blocks=0
    ),
    "dcgan_discriminator_train": dcgan_network("discriminator", depth=4, is_training=True),
    "dcgan_generator_train": dcgan_network("generator", depth=4, final_size=16, is_training=True),
    "pix2pix_generator_train": pix2pix_network("generator", 2, BLOCKS),
    "pix2pix_generator_transposed_train": pix2pix_network(
        "generator", 2, BLOCKS, "conv2d_transpose"
    ),
    "pix2pix_discriminator_train": pix2pix_network(
        "discriminator", [4, 6, 8], pad_mode="SYMMETRIC"
    ),
}
DEFAULTS = {
    "cyclegan_6": cyclegan_generator({"weight_decay": 0.1}),
    "cyclegan_9": cyclegan_generator({"weight_decay": 0.1}, num_resnet_blocks=9),
    "dcgan_discriminator": dcgan_network("discriminator"),
    "dcgan_generator": dcgan_network("generator"),
    "pix2pix_generator": pix2pix_network("generator", 3),
    "pix2pix_discriminator": pix2pix_network("discriminator", [64, 128, 256, 512]),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_generative_network_equals_tf_slim(name):
    golden = net_checks.load_values(name)
    images = net_checks.seeded_input(golden)
    model = slim.Model(CASES[name])
    variables = net_checks.seeded_variables(model, images)
    net_checks.assert_outputs(*net_checks.run(model, variables, images), golden)


@pytest.mark.long
@pytest.mark.parametrize("name", TRAINED)
def test_generative_network_training_equals_tf_slim(name):
    golden = net_checks.load_values(name)

    def net(inputs):
        with slim.arg_scope(
            [conv2d, conv2d_transpose], weights_regularizer=slim.l2_regularizer(0.01)
        ):
            outputs, end_points = TRAINED[name](inputs)
        return jnp.tanh(outputs).reshape(golden["logits"]["shape"]), end_points

    in_float64 = name != "cyclegan_bilinear_train"  # which TensorFlow resizes in float32
    check = net_checks.check_training_in_float64 if in_float64 else net_checks.check_training
    check(net, golden)


def test_every_generative_network_has_a_golden_tree():
    assert sorted(DEFAULTS) == TREES


@pytest.mark.parametrize("name", TREES)
def test_generative_network_variables_are_those_of_tf_slim(name):
    tree = net_checks.load_tree(f"generative/{name}")
    found = net_checks.structure(DEFAULTS[name], tree["image_shape"])
    assert found.variables == tree["variables"]
    losses = net_checks.num_collected_losses(DEFAULTS[name], found.shapes, tree["image_shape"])
    assert losses == found.num_losses == tree["num_regularization_losses"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["discriminator", "generator"])
def test_dcgan_fused_batch_norm_keeps_the_variance_of_the_population(name):
    shape, path, count = {
        "discriminator": ((2, 8, 8, 3), ("Discriminator", "conv3"), 2),
        "generator": ((2, 5), ("Generator", "deconv1"), 32),
    }[name]
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    moved = []
    for fused in (False, True):
        kwargs = {} if name == "discriminator" else {"final_size": 8}
        network = dcgan_network(name, True, depth=2, fused_batch_norm=fused, **kwargs)
        model = slim.Model(network)
        variables = net_checks.seeded_variables(model, inputs)
        _, updates = model.apply(variables, inputs, mutable=["batch_stats"])
        old, new = (tree["batch_stats"] for tree in (variables, updates))
        for part in (*path, "BatchNorm", "moving_variance"):
            old, new = old[part], new[part]
        moved.append(new - 0.9 * old)
    np.testing.assert_allclose(moved[1], moved[0] * count / (count - 1), rtol=1e-4)


def test_dcgan_shares_its_variables_by_reuse():
    names = []

    def game(noise):
        fakes, _ = dcgan.generator(noise, depth=2, final_size=8, is_training=False)
        first, _ = dcgan.discriminator(fakes, depth=2, is_training=False)
        names[:] = [list(slim.get_model_variables())]
        second, _ = dcgan.discriminator(-fakes, depth=2, is_training=False, reuse=True)
        dcgan.generator(noise, depth=2, final_size=8, is_training=False, reuse=True)
        names.append(list(slim.get_model_variables()))
        return first, {"second": second}

    first, end_points = shapes(game, 2, 5)
    assert first.shape == end_points["second"].shape == (2, 1)
    assert names[0] == names[1]
    with pytest.raises(slim.ScopeError, match="'Generator/deconv1/weights' already exists"):
        shapes(lambda x: (dcgan.generator(x, is_training=False), game(x))[1], 2, 5)


def test_pix2pix_generator_drops_at_inference_too():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 16, 3)), jnp.float32)
    model = slim.Model(pix2pix_network("generator", 2, [(40, 0.25), (8, 0)]))
    variables = net_checks.seeded_variables(model, images)
    first, end_points = net_checks.run(model, variables, images, seed=1)
    again, _ = net_checks.run(model, variables, images, seed=1)
    other, _ = net_checks.run(model, variables, images, seed=2)
    np.testing.assert_array_equal(first, again)
    assert float(jnp.max(jnp.abs(first - other))) > 0.1
    shares = [float(jnp.mean(end_points[f"decoder{i}"] == 0)) for i in (0, 1)]
    assert shares == [0, pytest.approx(0.75, abs=0.02)]
    with pytest.raises(slim.ScopeError, match=r"dropout at 'decoder' needs randomness.*rngs="):
        net_checks.run(model, variables, images)


def test_pix2pix_generator_has_seven_blocks_by_default():
    def net(images):
        wanted = [*zip((64, 128, 256), [0.5] * 3, strict=True), *[(512, 0)] * 4]
        assert list(pix2pix._BLOCKS) == wanted
        return pix2pix.pix2pix_generator(images, 3)

    model = slim.Model(net)
    images = jax.ShapeDtypeStruct((1, 128, 256, 3), jnp.float32)
    (logits, end_points), _ = shapes_of(model.init_with_output, jax.random.key(0), images)
    assert logits.shape == end_points["predictions"].shape == (1, 128, 256, 3)
    found = {name: value.shape[1:] for name, value in end_points.items()}
    assert found["encoder6"] == (1, 2, 512)
    assert found["decoder0"] == (2, 4, 512)
    assert found["decoder6"] == (128, 256, 64)


def test_leaky_relu_slopes_are_those_of_tensorflow():
    inputs = jnp.asarray([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(_generative.leaky_relu(inputs), [-0.4, 0.0, 3.0])
    slopes = jax.vmap(jax.grad(_generative.leaky_relu))(inputs)
    np.testing.assert_allclose(slopes, [0.2, 0.2, 1.0])


@pytest.mark.long
@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (DEFAULTS["cyclegan_6"], (1, 16, 16, 3)),
        (cyclegan_generator(method="nn_upsample_conv"), (1, 16, 16, 3)),
        (cyclegan_generator(method="bilinear_upsample_conv"), (1, 16, 16, 3)),
        (DEFAULTS["dcgan_discriminator"], (1, 16, 16, 3)),
        (DEFAULTS["dcgan_generator"], (1, 5)),
        (pix2pix_network("generator", 3, BLOCKS), (1, 16, 16, 3)),
        (DEFAULTS["pix2pix_discriminator"], (1, 64, 64, 3)),
    ],
)
def test_generative_network_in_bfloat16_by_arg_scope(net, shape):
    with slim.arg_scope([conv2d, conv2d_transpose], dtype=jnp.bfloat16):
        outputs, end_points = shapes(net, *shape)
        variables = net_checks.structure(net, shape[1:]).variables
    assert {value.dtype for value in [outputs, *end_points.values()]} == {jnp.dtype(jnp.bfloat16)}
    assert {row[2] for row in variables} == {"float32"}


def test_arg_scopes_start_from_a_normal_distribution():
    for net, name in (
        (cyclegan_generator({"weights_init_stddev": 0.1}, num_resnet_blocks=0), "encoder/Conv_1"),
        (pix2pix_network("discriminator", [64, 64, 64]), "conv1"),
    ):
        found = net_checks.initial_values(net, 1, 32, 32, 3, pattern=f"{name}/weights")
        wanted = 0.02 if name == "conv1" else 0.1
        assert found[f"{name}/weights"][1] == pytest.approx(wanted, rel=0.02)


DISCRIMINATOR = functools.partial(pix2pix.pix2pix_discriminator, num_filters=[4, 6])


@pytest.mark.parametrize(
    ("net", "shape", "text"),
    [
        (
            cyclegan_generator(),
            (1, 8, 10, 3),
            "cyclegan_generator_resnet: the height and the width of images must be multiples of 4, "
            "got 8x10; resize or crop them",
        ),
        (
            cyclegan_generator(),
            (1, 4, 8, 3),
            "cyclegan_generator_resnet: a map of 1x2 is too small to be continued by 1 pixels with "
            "pad_mode 'REFLECT'; give larger images",
        ),
        (
            cyclegan_generator(),
            (8, 8, 3),
            "cyclegan_generator_resnet: images must be [batch, height, width, channels], got shape "
            "(8, 8, 3); add a batch axis (images[None])",
        ),
        (
            cyclegan_generator(kernel_size=[3, 0]),
            (1, 8, 8, 3),
            "cyclegan_generator_resnet: kernel_size must be one positive integer or 2 of them, got "
            "[3, 0]",
        ),
        (
            cyclegan_generator(upsample_fn=lambda net, num_outputs, stride: net),
            (1, 8, 12, 3),
            "cyclegan_generator_resnet: upsample_fn must make maps twice as large, and after two "
            "of them there are 2x3 pixels in place of 8x12",
        ),
        (
            enlarge([2, 2], method="nn_upsample"),
            (1, 8, 8, 3),
            "cyclegan_upsample: there is no method 'nn_upsample'; did you mean 'nn_upsample_conv'",
        ),
        (
            enlarge([2, 2.5]),
            (1, 8, 8, 3),
            "cyclegan_upsample: stride must be one positive integer or 2 of them, got [2, 2.5]",
        ),
        (
            enlarge([2, 2], method="nn_upsample_conv", pad_mode="EDGE"),
            (1, 8, 8, 3),
            "cyclegan_upsample: pad_mode must be one of CONSTANT, REFLECT, SYMMETRIC, got 'EDGE'",
        ),
        (
            dcgan_network("discriminator"),
            (1, 16, 8, 3),
            "discriminator: the height and the width of images must be the same power of 2, got "
            "16x8; resize or crop them",
        ),
        (
            dcgan_network("discriminator"),
            (1, 12, 12, 3),
            "discriminator: the height and the width of images must be the same power of 2, got "
            "12x12; resize or crop them",
        ),
        (
            dcgan_network("generator"),
            (1, 4, 4, 3),
            "generator: inputs must be [batch, length], got shape (1, 4, 4, 3)",
        ),
        *(
            (
                dcgan_network("generator", final_size=size),
                (1, 5),
                f"generator: final_size must be a power of 2 and 8 or more, got {size}",
            )
            for size in (4, 12)
        ),
        (
            pix2pix_network("generator", 3),
            (1, 128, 64, 3),
            "pix2pix_generator: the height and the width of images must be multiples of 128, as "
            "each of 7 blocks halves them, got 128x64; resize them or pass fewer blocks",
        ),
        (
            pix2pix_network("generator", 3, BLOCKS, "bilinear_upsample_conv"),
            (1, 8, 8, 3),
            "pix2pix_generator: there is no method 'bilinear_upsample_conv'; did you mean "
            "'nn_upsample_conv'",
        ),
        (
            lambda images: pix2pix.upsample(images, 4, [2, 0]),
            (1, 8, 8, 3),
            "upsample: kernel_size must be one positive integer or 2 of them, got [2, 0]",
        ),
        (
            lambda images: pix2pix.upsample(images, 4, [2, 2], "nearest"),
            (1, 8, 8, 3),
            "upsample: there is no method 'nearest' (there are nn_upsample_conv, conv2d_transpose)",
        ),
        (
            pix2pix_network("discriminator", [4]),
            (1, 8, 8, 3),
            "pix2pix_discriminator: num_filters must hold the channels of two or more "
            "convolutions, got [4]",
        ),
        (
            functools.partial(DISCRIMINATOR, padding=-1),
            (1, 8, 8, 3),
            "pix2pix_discriminator: padding must be 0 or more pixels, got -1",
        ),
        (
            DISCRIMINATOR,
            (1, 2, 8, 3),
            "pix2pix_discriminator: a map of 2x8 is too small to be continued by 2 pixels with "
            "pad_mode 'REFLECT'; give larger images",
        ),
    ],
)
def test_generative_network_errors_say_what_to_do(net, shape, text):
    with pytest.raises(ValueError) as error:
        shapes(net, *shape)
    assert str(error.value).startswith(text)
