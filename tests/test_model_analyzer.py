"""model_analyzer: sizes of variables and of what a function computes."""

import doctest

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim import model_analyzer

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


def test_docstrings():
    assert doctest.testmod(model_analyzer).failed == 0


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
