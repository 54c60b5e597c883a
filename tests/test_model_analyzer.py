"""model_analyzer: sizes of variables and of what a function computes."""

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim import model_analyzer
from jslim.nets import nets_factory

IMAGES = jnp.ones((1, 8, 8, 3))


def net(images):
    net = slim.conv2d(images, 2, [3, 3])
    return slim.batch_norm(net, is_training=False, scope="bn")


MODEL = slim.Model(net)
SHAPES = jax.eval_shape(MODEL.init, jax.random.key(0), IMAGES)
LINES = """\
---------
Variables: name (type shape) [size]
---------
Conv/weights (float32 3x3x3x2) [54, bytes: 216]
Conv/biases (float32 2) [2, bytes: 8]
Total size of variables: 56
Total bytes of variables: 224
"""


def test_analyze_vars_of_each_kind_of_variables(capsys):
    variables = MODEL.init(jax.random.key(0), IMAGES)
    for given in (variables, SHAPES, slim.get_variables(variables)):
        assert model_analyzer.analyze_vars(given) == (56 + 6, 224 + 24)
    assert model_analyzer.analyze_vars(variables["params"]) == (56 + 2, 224 + 8)
    assert capsys.readouterr().out == ""


def test_analyze_vars_prints_lines_of_tf_slim(capsys):
    conv = slim.get_variables(SHAPES, scope="Conv")
    conv = {name: conv[name] for name in ("Conv/weights", "Conv/biases")}
    assert model_analyzer.analyze_vars(conv, print_info=True) == (56, 224)
    assert capsys.readouterr().out == LINES


def test_analyze_vars_counts_scalars_and_the_size_of_the_type():
    given = {"a": jax.ShapeDtypeStruct((), jnp.bfloat16), "b": jnp.zeros((0, 3)), "c": jnp.ones(2)}
    assert model_analyzer.analyze_vars(given) == (3, 10)


def test_analyze_ops(capsys):
    def function(x):
        with jax.named_scope("outer"):
            y = jax.jit(lambda x: jax.lax.sin(jax.lax.cos(x)))(x)
        return jax.lax.add(y, x)

    x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    assert model_analyzer.analyze_ops(function, x) == 18
    assert capsys.readouterr().out == ""
    model_analyzer.analyze_ops(function, x, print_info=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Operations: name -> (type shapes) [size]"
    assert lines[3:] == [
        "outer/cos \t-> (float32 2x3) [6]",
        "outer/sin \t-> (float32 2x3) [6]",
        "add \t-> (float32 2x3) [6]",
    ]


def test_analyze_ops_of_a_model(capsys):
    total = model_analyzer.analyze_ops(MODEL.apply, SHAPES, IMAGES, print_info=True)
    out = capsys.readouterr().out
    assert "Conv/" in out
    assert "(float32 1x8x8x2)" in out
    assert total > 3 * 128


def test_errors():
    with pytest.raises(TypeError, match="var must have a shape and a dtype, got float"):
        model_analyzer.tensor_description(1.0)
    with pytest.raises(TypeError, match="function must be a function of arrays, got dict"):
        model_analyzer.analyze_ops(SHAPES)
    with pytest.raises(TypeError, match="list"):
        model_analyzer.analyze_vars([1, 2])


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mobilenet_v1", 569),  # table 8 of the paper
        ("mobilenet_v1_050", 149),
        ("mobilenet_v2", 300),  # table 4 of the paper
        ("mobilenet_v3_large", 217),  # this and the next: README of research/slim's mobilenet
        ("mobilenet_v3_large_075", 155),
        ("mobilenet_v3_large_minimalistic", 209),
        ("mobilenet_edgetpu", 990),
        ("mobilenet_edgetpu_075", 624),
    ],
)
def test_multiply_adds_are_those_of_the_papers(name, millions):
    model = slim.Model(nets_factory.get_network_fn(name, 1001))
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    flops = model_analyzer.count_flops(model.apply, shapes, images)
    assert sum(flops.values()) / 2e6 == pytest.approx(millions, abs=1)


def test_flops_go_by_scope_and_do_not_depend_on_the_lowering():
    def net(images):
        with slim.variable_scope("a"):
            images = slim.conv2d(images, 3, [2, 2], stride=2, padding="VALID", scope="conv")
            images = slim.separable_conv2d(images, None, [3, 3], 1, scope="depthwise")
        return slim.fully_connected(slim.flatten(images), 5, scope="fc")

    model = slim.Model(net)
    images = jnp.ones((2, 4, 4, 7))
    variables = model.init(jax.random.key(0), images)
    flops = model_analyzer.count_flops(model.apply, variables, images)
    ends = {name.split("/", 1)[1]: count for name, count in flops.items()}
    assert ends == {
        "a/conv": 2 * (2 * 2 * 2 * 3) * (2 * 2 * 7),
        "a/depthwise": 2 * (2 * 2 * 2 * 3) * 9,
        "fc": 2 * 2 * 12 * 5,
    }
    lines = model_analyzer.summarize_model(model, images).splitlines()
    assert lines[0].split() == ["layer", "variables", "bytes", "FLOPs"]
    assert [line.split() for line in lines[1:]] == [
        ["a/conv", "87", "348", "1,344"],
        ["a/depthwise", "30", "120", "432"],
        ["fc", "65", "260", "240"],
        ["total", "182", "728", "2,016"],
    ]
    assert model_analyzer.summarize_model(model, images, depth=1).splitlines()[1].split() == [
        "a", "117", "468", "1,776"
    ]  # fmt: skip


def test_scopes_that_are_entered_twice_and_statistics_make_one_line():
    def net(images):
        with slim.variable_scope("net") as opened, slim.variable_scope(opened):
            return slim.conv2d(images, 3, [1, 1], normalizer_fn=slim.batch_norm, scope="conv")

    table = model_analyzer.summarize_model(slim.Model(net), jnp.ones((1, 2, 2, 5)))
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        ["net/conv", "24"], ["total", "24"]
    ]  # fmt: skip


def test_count_flops_takes_a_function():
    with pytest.raises(TypeError) as error:
        model_analyzer.count_flops(jnp.ones(2))
    assert str(error.value).startswith("count_flops: function must be a function of arrays, got")


def test_counting_does_not_depend_on_what_was_jitted_before_and_leaves_nothing_behind():
    traces = []

    def depthwise(images):
        traces.append(images)
        return slim.separable_conv2d(images, 4, [3, 3], scope="conv")

    model = slim.Model(depthwise)
    apply = jax.jit(model.apply)
    variables = model.init(jax.random.key(0), IMAGES)
    wanted = {"conv/separable_conv2d": 2 * 9 * 64 * 3 + 2 * 64 * 3 * 4}
    total = sum(model_analyzer.count_flops(model.apply, variables, IMAGES).values())
    assert total == sum(wanted.values())
    before = apply(variables, IMAGES)
    text = apply.lower(variables, IMAGES).as_text()
    assert sum(model_analyzer.count_flops(apply, variables, IMAGES).values()) == total
    num_traces = len(traces)
    apply(variables, IMAGES)
    assert len(traces) == num_traces
    assert apply.lower(variables, IMAGES).as_text() == text
    fresh = jax.jit(model.apply)
    assert sum(model_analyzer.count_flops(fresh, variables, IMAGES).values()) == total
    assert fresh.lower(variables, IMAGES).as_text() == text
    assert (fresh(variables, IMAGES) == before).all()
