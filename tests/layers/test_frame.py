"""What the declaration of a layer gives its op: signature, help, types of errors, dtype."""

import inspect
import pickle
import re
import types

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.cli.classifier import network_fn
from jslim.layers import COMPUTING_OPS
from jslim.nets import nets_factory

FAMILIES = {
    "convolution": ["convolution", "conv1d", "conv2d", "conv3d"],
    "transposed": ["conv2d_transpose", "conv3d_transpose"],
    "pool": ["max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d"],
}
# Where the ranks of a family differ.
FORMATS = {"conv2d_transpose": "NHWC", "conv3d_transpose": "NDHWC"}
FORMATS |= {"max_pool2d": "NHWC", "max_pool3d": "NDHWC", "avg_pool2d": "NHWC"}
FORMATS |= {"avg_pool3d": "NDHWC"}
MEMBERS = [op for family in FAMILIES.values() for op in family]
LAYERS = sorted(
    name
    for name, value in vars(slim.layers).items()
    if isinstance(value, types.FunctionType) and "scope" in inspect.signature(value).parameters
)


@pytest.mark.parametrize("family", FAMILIES)
def test_ops_of_a_family_have_one_signature(family):
    shapes = []
    for name in FAMILIES[family]:
        parameters = dict(inspect.signature(getattr(slim, name)).parameters)
        if name == "convolution":
            assert parameters.pop("conv_dims").default is None
        data_format = parameters.pop("data_format")
        assert data_format.default == FORMATS.get(name)
        shapes.append([(p.name, p.kind, p.default, p.annotation) for p in parameters.values()])
    assert all(shape == shapes[0] for shape in shapes)
    assert shapes[0][0][0] == "inputs"


@pytest.mark.parametrize("name", LAYERS)
def test_op_is_found_under_its_name_and_describes_itself(name):
    op = getattr(slim, name)
    assert pickle.loads(pickle.dumps(op)) is op
    assert op.__name__ == op.__qualname__
    assert "call" not in inspect.signature(op).parameters
    assert set(op.__annotations__) == {*inspect.signature(op).parameters, "return"}
    assert "Args:" in op.__doc__
    assert not re.search(r"\{\w+\}", op.__doc__)


@pytest.mark.parametrize("name", MEMBERS)
def test_help_speaks_of_the_rank(name):
    text = getattr(slim, name).__doc__
    spaces = {
        "1": "[batch, width, channels]",
        "2": "[batch, height, width, channels]",
        "3": "[batch, depth, height, width, channels]",
    }
    rank = next((digit for digit in spaces if digit in name), None)
    assert spaces.get(rank, "[batch, *spatial, channels]") in text
    assert f"{rank}D" not in text.replace(f"Pool{rank}D", "")
    data_format = {"1": "NCW", "2": "NCHW", "3": "NCDHW"}.get(rank, "NCW/NCHW/NCDHW")
    assert f"or {data_format}." in text
    assert all(line == "" or len(line) <= 101 for line in text.splitlines())


def test_each_op_of_a_family_has_a_key_of_its_own():
    keys = [slim.arg_scope_func_key(getattr(slim, name)) for name in MEMBERS]
    assert len(set(keys)) == len(MEMBERS)
    with slim.arg_scope([slim.max_pool3d], padding="SAME"):
        assert slim.arg_scope_explain(slim.max_pool3d)["padding"].value == "SAME"
        assert slim.arg_scope_explain(slim.max_pool2d)["padding"].set_by == "default"
        assert slim.arg_scope_explain(slim.max_pool3d)["data_format"].value == "NDHWC"
    assert str(slim.arg_scope_explain(slim.conv1d)).startswith("conv1d\n")


IMAGES = jnp.ones((1, 4, 4, 3))
EVERY_POSITION = (IMAGES, 4, 3, 1, "SAME", None, 1, *[None] * 10, True, None)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: slim.conv2d(IMAGES, 4), "conv2d: kernel_size is missing"),
        (
            lambda: slim.conv3d_transpose(),
            "conv3d_transpose: inputs and num_outputs and kernel_size are missing",
        ),
        (
            lambda: slim.max_pool2d(IMAGES, 2, strides=1),
            r"max_pool2d has no argument 'strides'; did you mean 'stride'\? \(it has inputs, ",
        ),
        (lambda: slim.pool(IMAGES, 2), "pool: pooling_type is missing"),
        (
            lambda: slim.conv2d(IMAGES, 4, 3, num_outputs=4),
            "conv2d: num_outputs was given by position and again by name",
        ),
        (lambda: slim.conv2d(IMAGES, 4, 3, conv_dims=2), "conv2d has no argument 'conv_dims' "),
        (
            lambda: slim.conv2d(*EVERY_POSITION, 2),
            r"conv2d takes at most 19 arguments by position \(inputs, .*, scope\), got 20",
        ),
        (
            lambda: slim.convolution(*EVERY_POSITION, 2, 5),
            r"convolution takes at most 20 arguments by position .*, conv_dims\), got 21",
        ),
    ],
)
def test_wrong_call_is_a_type_error_under_the_name_of_the_op(call, text):
    with pytest.raises(TypeError, match=f"^{text}"):
        slim.Model(call).init(jax.random.key(0))


def test_every_position_of_convolution_reaches_it():
    model = slim.Model(lambda: slim.convolution(*EVERY_POSITION, 2))
    output, variables = model.init_with_output(jax.random.key(0))
    assert output.shape == (1, 4, 4, 4)
    assert list(variables["params"]) == ["Conv"]


COMPUTING = {
    **dict.fromkeys(["convolution", "conv2d", "conv2d_transpose"], (IMAGES, 4, 3)),
    "separable_conv2d": (IMAGES, 4, 3),
    "conv2d_in_plane": (IMAGES, 3),
    "bias_add": (IMAGES,),
    "conv1d": (IMAGES[0], 4, 3),
    **dict.fromkeys(["conv3d", "conv3d_transpose"], (IMAGES[None], 4, 3)),
    **dict.fromkeys(["fully_connected", "linear", "relu", "relu6", "elu"], (IMAGES, 4)),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_dtype_for_all_computing_ops_reaches_each_of_them(name):
    def outputs():
        with slim.arg_scope(COMPUTING_OPS, dtype=jnp.bfloat16):
            return getattr(slim, name)(*COMPUTING[name])

    output = jax.eval_shape(slim.Model(outputs).init_with_output, jax.random.key(0))[0]
    assert output.dtype == jnp.bfloat16


def test_half_precision_of_the_commands_reaches_each_of_them(monkeypatch):
    def every(images, num_classes=3, is_training=True):
        ends = {name: getattr(slim, name)(*COMPUTING[name]) for name in COMPUTING}
        return images.mean((1, 2)), ends

    def scope_of_every(weight_decay=0.0):
        with slim.arg_scope([slim.conv2d], padding="SAME") as scope:
            return scope

    network = nets_factory.Network(every, scope_of_every, "lenet", 0, ())
    monkeypatch.setitem(nets_factory.NETWORKS, "every", network)
    contract = {"model_name": "every", "num_classes": 3}
    model = slim.Model(network_fn(contract, types.SimpleNamespace(dtype="bfloat16")))
    (logits, ends), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), IMAGES)
    assert logits.dtype == jnp.float32
    assert {name: end.dtype for name, end in ends.items()} == dict.fromkeys(COMPUTING, jnp.bfloat16)


def test_computing_ops_are_those_whose_dtype_is_what_they_compute_in():
    of_help = {
        value
        for value in vars(slim.layers).values()
        if isinstance(value, types.FunctionType)
        and slim.has_arg_scope(value)
        and "dtype: Dtype of the computation" in value.__doc__
    }
    assert set(COMPUTING_OPS) == of_help
    assert len(COMPUTING_OPS) == len(of_help) == 10
