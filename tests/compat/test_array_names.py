"""Arrays of a model function have TensorFlow's names, and `tensor.graph` finds them."""

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.compat import rules, tf

# Each in a model function of its own: what TensorFlow 2.15's compat.v1 names the first result.
NAMES = {
    "tf.nn.relu(x)": "Relu",
    "tf.identity(x, 'foo')": "foo",
    "tf.reduce_mean(x, [1, 2])": "Mean",
    "tf.concat([x, x], 3)": "concat",
    "tf.concat([x, x], 3, name='joined')": "joined",
    "[tf.nn.relu(x), tf.nn.relu(x)][1]": "Relu_1",
    "[tf.nn.relu(x, 'a'), tf.nn.relu(x, name='a')][1]": "a_1",
    "tf.nn.softmax(x)": "Softmax",
    "tf.nn.lrn(x)": "LRN",
    "tf.nn.leaky_relu(x)": "LeakyRelu",
    "tf.image.resize_images(x, [8, 8])": "resize/ResizeBilinear",
    "tf.image.resize_bilinear(x, [8, 8])": "ResizeBilinear",
    "tf.multiply(x, x)": "Mul",
    "tf.matmul(x, x, transpose_b=True)": "MatMul",
    "tf.add_n([x, x])": "AddN",
    "tf.where(x > 0, x, x)": "Select",
    "tf.zeros_like(x)": "zeros_like",
    "tf.nn.max_pool(x, [1, 2, 2, 1], [1, 1, 1, 1], 'SAME')": "MaxPool",
    "slim.conv2d(x, 2, 1)": "Conv/Relu",
    "slim.conv2d(x, 2, 1, scope='c', activation_fn=tf.nn.relu6)": "c/Relu6",
    "slim.conv2d(x, 2, 1, scope='c', activation_fn=None)": "c/BiasAdd",
    "slim.conv2d(x, 2, 1, activation_fn=None, biases_initializer=None)": "Conv/Conv2D",
    "slim.conv2d(x, 2, 1, scope='c', normalizer_fn=slim.batch_norm)": "c/Relu",
    "slim.conv2d(x, 2, 1, scope='c', normalizer_fn=slim.batch_norm, activation_fn=None)": (
        "c/BatchNorm/FusedBatchNormV3"
    ),
    "slim.separable_conv2d(x, 2, 1)": "SeparableConv2d/Relu",
    "slim.conv2d_transpose(x, 2, 1)": "Conv2d_transpose/Relu",
    "slim.max_pool2d(x, 2)": "MaxPool2D/MaxPool",
    "slim.avg_pool2d(x, 2, scope='p')": "p/AvgPool",
    "slim.flatten(x)": "Flatten/flatten/Reshape",
    "slim.fully_connected(x, 3)": "fully_connected/Relu",
    "slim.dropout(x, is_training=False)": "Dropout/Identity",
    "tf.layers.conv2d(x, 2, 1)": "conv2d/BiasAdd",
    "tf.layers.dense(x, 2)": "dense/BiasAdd",
}
X = jnp.ones([2, 4, 4, 3])


def in_model(fn):
    return slim.Model(lambda x: (fn(x), jnp.zeros(()))[1]).init(jax.random.key(0), X)


@pytest.mark.parametrize("expression", NAMES)
def test_the_name_is_tensorflows(expression):
    def fn(x):
        array = eval(expression, {"tf": tf, "slim": slim, "x": x})
        assert rules.read(array, "op").name == NAMES[expression]
        assert rules.read(array, "name") == f"{NAMES[expression]}:0"

    in_model(fn)


def test_names_lie_in_scopes_and_results_are_numbered():
    def fn(x):
        with tf.variable_scope("net"):
            parts = tf.split(x, 3, 3)
            assert [rules.read(p, "name") for p in parts] == [f"net/split:{i}" for i in range(3)]
            with tf.name_scope("in"):
                assert rules.read(tf.nn.relu(x), "op").name == "net/in/Relu"
            sums = [x + 1.0, x + 2.0]
            # What operators of Python make has the name of the scope it is asked in.
            assert [rules.read(s, "op").name for s in sums] == ["net/array", "net/array_1"]
            assert rules.read(sums[0], "op").name == "net/array"
            tf.identity(x, "block")
            with tf.variable_scope("block") as scope:
                assert scope.original_name_scope == "net/block_1/"
            w = tf.get_variable("w", [1])
            assert rules.read(w, "op").name == "net/w"

    in_model(fn)


def test_a_graph_finds_operations_by_name():
    def fn(x):
        net = slim.conv2d(x, 4, 1, scope="conv")
        tf.identity(net * 2.0, name="output")
        first, second = tf.split(net, 2, 3, name="halves")
        graph = rules.read(net, "graph")
        names = [operation.name for operation in graph.get_operations()]
        assert names == ["conv/Relu", "output", "halves"]
        assert graph.get_operation_by_name("halves").outputs == (first, second)
        assert graph.get_operation_by_name("halves").type == "split"
        assert graph.get_tensor_by_name("halves:1") is second
        assert graph.get_operations()[0].values() == (net,)
        with pytest.raises(KeyError, match=r"no operation 'outptu'.*did you mean 'output'"):
            graph.get_tensor_by_name("outptu:0")

    in_model(fn)


def test_outside_of_a_model_function_there_are_no_names():
    assert rules.read(tf.nn.relu(X), "op").name == "array"
    with pytest.raises(slim.ScopeError, match=r"tensor\.graph only works inside a model function"):
        rules.read(X, "graph").get_operations()
