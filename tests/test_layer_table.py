"""`summary_table`: exact numbers of each layer, and which scope set which argument."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim import model_analyzer
from jslim.nets import nets_factory

IMAGES = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)


def network_table(name, size=224, classes=1000, **options):
    model = slim.Model(nets_factory.get_network_fn(name, classes, is_training=False))
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return model, images, slim.summary_table(model, images, **options)


def multiply_adds_of_resnet():
    """By hand: ResNet-50 of 224 pixels; TF-Slim's blocks stride in their last unit."""
    total, size, channels = 49 * 3 * 64 * 112**2, 56, 64
    for base, units in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for unit in range(1, units + 1):
            new = size // 2 if unit == units and base != 512 else size
            shortcut = channels * 4 * base * size**2 if unit == 1 else 0
            first = channels * base * size**2
            total += shortcut + first + (9 * base * base + base * 4 * base) * new**2
            size, channels = new, 4 * base
    return total + channels * 1000


# Parameters: torchvision's tables of VGG16 and ResNet-50, Keras' summary of MobileNet. Millions of
# multiply-adds, to the digits given: torchvision's table (15.47e9), by hand, Howard et al. (569e6).
PUBLISHED = [
    ("vgg_16", 138_357_544, 0, 15_470, 5),
    ("resnet_v1_50", 25_557_032, 53_120, multiply_adds_of_resnet() / 1e6, 0),
    ("mobilenet_v1", 4_231_976, 21_888, 569, 0.5),
]


@pytest.mark.parametrize(("name", "parameters", "statistics", "millions", "tolerance"), PUBLISHED)
def test_sums_are_the_published_numbers(name, parameters, statistics, millions, tolerance):
    model, images, table = network_table(name)
    assert (table.parameters, table.statistics) == (parameters, statistics)
    assert table.flops / 2e6 == pytest.approx(millions, abs=tolerance)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    size, size_in_bytes = model_analyzer.analyze_vars(shapes)
    assert size == parameters + statistics
    assert sum(row.size_in_bytes for row in table.rows) == size_in_bytes
    assert table.flops == sum(model_analyzer.count_flops(model.apply, shapes, images).values())
    logits = next(
        row for row in table.rows if row.scope.endswith(("fc8", "logits", "Conv2d_1c_1x1"))
    )
    assert logits.output.shape == (1, 1, 1, 1000)


def net(images, is_training=True):
    with (
        slim.arg_scope([slim.conv2d], padding="VALID", normalizer_fn=slim.batch_norm),
        slim.arg_scope([slim.batch_norm], decay=0.9, is_training=is_training),
    ):
        net = slim.conv2d(images, 4, [3, 3], scope="conv1")
        net = slim.conv2d(net, 4, [3, 3], padding="VALID", normalizer_fn=None, scope="conv2")
        net = slim.max_pool2d(net, [2, 2], scope="pool")
    scale = slim.model_variable("scale", [4], initializer=1.0)
    with slim.variable_scope("head"):
        weights = slim.variable("weights", [4, 5])
        net = slim.dropout(net.mean((1, 2)) * scale[None], is_training=is_training) @ weights
        return slim.linear(slim.linear(net, 5, scope="fc"), 5, scope="fc", reuse=True)


def test_each_row_has_what_its_layer_has_and_does():
    table = slim.summary_table(net, IMAGES)
    rows = [
        (row.scope, row.layer, row.output and row.output.shape, row.parameters, row.statistics,
         row.flops)
        for row in table.rows
    ]  # fmt: skip
    assert rows == [
        # The normalizer counts with the layer: weights and beta, moving mean and variance.
        ("conv1", "conv2d", (2, 6, 6, 4), 3 * 3 * 3 * 4 + 4, 8, 2 * 27 * 2 * 6 * 6 * 4),
        ("conv2", "conv2d", (2, 4, 4, 4), 3 * 3 * 4 * 4 + 4, 0, 2 * 36 * 2 * 4 * 4 * 4),
        ("pool", "max_pool2d", (2, 2, 2, 4), 0, 0, 0),
        ("head/Dropout", "dropout", (2, 4), 0, 0, 0),
        ("head/fc", "fully_connected", (2, 5), 5 * 5 + 5, 0, 2 * 2 * 5 * 5),
        ("head/fc", "fully_connected", (2, 5), 0, 0, 2 * 2 * 5 * 5),  # the same variables
        ("head", "", None, 20, 0, 2 * 2 * 4 * 5),  # outside of layers
        ("", "", None, 4, 0, 0),
    ]
    assert table.parameters == sum(row[3] for row in rows) == 112 + 148 + 30 + 20 + 4
    assert [row.size_in_bytes for row in table.rows] == [480, 592, 0, 0, 120, 0, 80, 16]


def test_arguments_are_those_that_a_scope_set_and_not_those_of_the_call():
    first, second, *rest = slim.summary_table(net, IMAGES, is_training=False).rows
    assert {name: value.value for name, value in first.arguments.items()} == {
        "padding": "VALID",
        "normalizer_fn": slim.batch_norm,
        "batch_norm.decay": 0.9,
        "batch_norm.is_training": False,
    }
    lines = [value.set_by for value in first.arguments.values()]
    assert lines[0] == lines[1] != lines[2] == lines[3]
    assert all(re.fullmatch(rf"{re.escape(__file__)}:\d+", line) for line in lines)
    assert dict(second.arguments) == {}
    assert all(dict(row.arguments) == {} for row in rest)


def test_arguments_of_an_op_around_are_not_those_of_a_layer():
    @slim.add_arg_scope
    def block(images, rate=1, scope=None):
        return slim.gdn(images)

    def with_block(images):
        with slim.arg_scope([block], rate=2):
            return block(images)

    (row,) = slim.summary_table(with_block, IMAGES).rows
    assert (row.layer, dict(row.arguments)) == ("gdn", {})


def test_depth_sums_up_and_keeps_the_totals():
    *_, table = network_table("resnet_v1_50", 64, depth=2)
    *_, whole = network_table("resnet_v1_50", 64)
    names = [row.scope.removeprefix("resnet_v1_50/") for row in table.rows]
    assert names == [
        "conv1",
        "pool1",
        *(f"block{n}" for n in (1, 2, 3, 4)),
        "logits",
        "predictions",
    ]
    assert table.rows[2].layer == "11 layers"
    assert table.rows[2].output.shape == (1, 8, 8, 256)
    totals = ("parameters", "statistics", "flops")
    assert [getattr(table, name) for name in totals] == [getattr(whole, name) for name in totals]
    with pytest.raises(ValueError, match=r"^summary_table: depth must be at least 1, got 0$"):
        slim.summary_table(net, IMAGES, depth=0)


def test_models_within_count_under_their_own_names():
    def block(inputs):
        return slim.linear(inputs, 4, scope="fc")

    def outer(inputs):
        net = slim.call_linen(nn.remat(slim.Model)(block), inputs, scope="block")
        return slim.call_linen(nn.Dense(3), net, scope="dense")

    table = slim.summary_table(slim.Model(outer), jax.ShapeDtypeStruct((1, 2), jnp.float32))
    assert [(row.scope, row.parameters, row.flops) for row in table.rows] == [
        ("block/fc", 12, 16),
        ("dense", 15, 24),
    ]


def test_nothing_is_computed_and_nothing_is_left_behind():
    traces = []

    def counted(images):
        traces.append(images)
        return slim.conv2d(images, 4, 3)

    model = slim.Model(counted)
    images = jnp.ones(IMAGES.shape)
    variables = model.init(jax.random.key(0), images)
    apply = jax.jit(model.apply)
    apply(variables, images)
    text, count = apply.lower(variables, images).as_text(), len(traces)
    slim.summary_table(model, images)
    assert all(isinstance(seen, jax.core.Tracer) for seen in traces[count:])
    count = len(traces)
    apply(variables, images)
    assert len(traces) == count
    assert apply.lower(variables, images).as_text() == text
    assert "jslim_call" not in text


def test_prints_in_80_columns():
    for name in ("inception_v3", "mobilenet_v3_small", "nasnet_cifar"):
        _, _, table = network_table(name, 128 if name != "nasnet_cifar" else 32)
        lines = str(table).splitlines()
        assert max(map(len, lines)) <= 80, name
        assert lines[0].split() == ["layer", "output", "parameters", "FLOPs", "scopes"]
        assert f"{table.parameters:,} parameters" in str(table)
    assert "InceptionV3/Mixed_5b/Branch_0/\n  Conv2d_0a_1x1 " in str(
        network_table("inception_v3", 128)[2]
    )


def test_letters_stand_for_scopes():
    text = re.sub(r"\S*test_layer_table.py:\d+", "HERE", str(slim.summary_table(net, IMAGES)))
    assert (
        text
        == """\
layer                          output   parameters   FLOPs  scopes
conv1         conv2d           2x6x6x4         112  15.6 k  ab
conv2         conv2d           2x4x4x4         148  9.22 k
pool          max_pool2d       2x2x2x4
head/Dropout  dropout          2x4
head/fc       fully_connected  2x5              30     100
head/fc       fully_connected  2x5                     100
head                                            20      80
(no scope)                                       4
total                                          314    25 k

314 parameters and 8 statistics, 1.29 kB
FLOPs are those of convolutions and matrix products, two for a multiply-add
a  HERE  conv2d: padding, normalizer_fn
b  HERE  batch_norm: decay, is_training"""
    )


def test_notebooks_get_a_table():
    html = slim.summary_table(net, IMAGES)._repr_html_()
    assert html.count("<tr>") == 1 + 8 + 1
    assert re.search(r"padding=&#x27;VALID&#x27; \(\S+:\d+\)", html)
    assert '<td style="text-align:right">15,552</td>' in html


def test_model_must_be_a_function():
    message = "^summary_table: model must be a function of arrays, got dict; give a slim.Model, or "
    with pytest.raises(TypeError, match=message):
        slim.summary_table({}, IMAGES)
