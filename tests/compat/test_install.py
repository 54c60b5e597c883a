"""Old programs run as they are after `install()`, each in a process of its own."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import jslim as slim
from jslim.compat import _rewriting, networks, rules, tf

OLD_NETWORK = '''
"""A network in the style of 2017."""
from __future__ import absolute_import, division, print_function

import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib import layers as contrib_layers
from tensorflow.contrib.framework import add_arg_scope, arg_scope
from tensorflow.contrib.framework.python.ops import variables as contrib_variables
from tensorflow.contrib.layers.python.layers import utils
from tensorflow.contrib.slim.nets import resnet_v1
from tensorflow.contrib.slim.python.slim.nets import resnet_utils
from tensorflow.python.framework import ops
from tensorflow.python.ops import array_ops, control_flow_ops, nn_ops, variable_scope
from tensorflow.python.training import moving_averages

from helper import scaled


@add_arg_scope
def block(inputs, depth, outputs_collections=None, scope=None):
    with tf.variable_scope(scope, "block", [inputs]) as sc:
        net = slim.conv2d(inputs, depth, 3)
        return utils.collect_named_outputs(outputs_collections, sc.name, net)


def network(images, num_classes=10, is_training=True, scope="old"):
    seen = {"a": 1}
    with variable_scope.variable_scope(scope, "old", [images]) as sc:
        batch, height = images.get_shape()[0].value, images.shape[1].value
        assert images.shape.as_list() == images.get_shape().as_list()
        assert images.get_shape().ndims == images.shape.ndims == 4
        with arg_scope([block], outputs_collections=sc.original_name_scope + "end_points"):
            net = images
            for i in xrange(2):
                net = block(net, 4, scope="block%d" % i)
        end_points = utils.convert_collection_to_dict(sc.original_name_scope + "end_points")
        for name, count in seen.iteritems():
            assert seen.has_key(name) and isinstance(unicode(name), basestring)
        net.set_shape([batch, None, None, 4])
        net = control_flow_ops.with_dependencies([], net)
        size = [np.int(height / 2), height]
        net = tf.image.resize_bilinear(scaled(net), size, align_corners=True)
        net = array_ops.reshape(tf.reduce_mean(net, [1, 2]), [-1, net.get_shape().as_list()[-1]])
        weights = tf.get_variable("w", [4, num_classes], initializer=tf.ones_initializer())
        assert (weights.name, weights.op.name) == (scope + "/w:0", scope + "/w")
        assert weights.dtype.base_dtype == tf.float32
        mean = tf.get_variable(
            "mean", [], initializer=tf.zeros_initializer(), trainable=False,
            collections=["variables", "batch_stats"])
        if is_training:
            moving_averages.assign_moving_average(
                mean, tf.reduce_mean(net), 0.5, zero_debias=False)
        return tf.matmul(net, weights), end_points
'''
HELPER = """
import tensorflow.compat.v1 as tf


def scaled(net):
    return tf.multiply(net, 2.0)
"""
START = """
import logging
import jslim.compat
logging.basicConfig(level=logging.INFO)
jslim.compat.install()
jslim.compat.install()
"""


def ran(folder, program, **files):
    """The output of a program in a folder with other files."""
    for name, text in {"program": program, **files}.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return subprocess.run(
        [sys.executable, "program.py"],
        capture_output=True, text=True, timeout=200, check=False, cwd=folder,
    )  # fmt: skip


def test_an_old_network_builds_and_computes(tmp_path):
    program = f"""{START}
import jax, jax.numpy as jnp
import jslim as slim
from old import network
from nets import vgg, nets_factory
from nets.mobilenet import conv_blocks as ops, mobilenet, mobilenet_v2, mobilenet_v3
from nets.nasnet import nasnet, nasnet_utils, pnasnet
import nets.mobilenet.mobilenet as lib
import nets.nasnet.nasnet
from preprocessing import preprocessing_factory
from datasets import dataset_factory
import tf_slim, tensorflow
from tf_slim.ops import arg_scope as arg_scope_lib
from tf_slim.ops.arg_scope import arg_scope

assert vgg.vgg_16 is slim.nets.vgg.vgg_16
assert mobilenet.op is lib.op is slim.nets.mobilenet.op
assert ops.expanded_conv is slim.nets.conv_blocks.expanded_conv
assert mobilenet_v3.large is slim.nets.mobilenet_v3.large
assert nets.nasnet.nasnet.build_nasnet_cifar is slim.nets.nasnet.build_nasnet_cifar
assert dataset_factory.get_dataset is slim.data.get_dataset
assert tf_slim.conv2d is tensorflow.contrib.slim.conv2d is slim.conv2d
assert tf_slim.init_ops.zeros_initializer is tensorflow.zeros_initializer
assert arg_scope is arg_scope_lib.arg_scope is slim.arg_scope
assert tensorflow.compat.v1.nn.relu is tensorflow.nn.relu
assert tensorflow.compat.as_bytes("a") == b"a"

model = slim.Model(network)
images = jnp.ones([2, 8, 8, 3])
variables = jax.jit(model.init)(jax.random.key(0), images)
variables["params"] = jax.tree.map(jnp.ones_like, variables["params"])
(logits, end_points), updated = jax.jit(
    lambda v, x: model.apply(v, x, mutable=["batch_stats"]))(variables, images)
# Of each window 3 * 9 + 1 = 28 in the middle, 28 * 4 * 9 + 1 after the second layer.
print(logits.shape, float(end_points["old/block1"][0, 4, 4, 0]))
print(float(updated["batch_stats"]["old"]["mean"]) * 2 * 4 == float(logits[0, 0]))
"""
    done = ran(tmp_path, program, old=OLD_NETWORK, helper=HELPER)
    assert done.stdout == "(2, 10) 1009.0\nTrue\n", done.stderr
    lines = [line for line in done.stderr.splitlines() if "jslim.compat" in line]
    assert lines == [
        "INFO:jslim.compat:jslim.compat: in this process import tensorflow, tf_slim and nets give "
        "jslim's names, and arrays answer get_shape()"
    ]


def test_arrays_and_tracers_answer_get_shape(tmp_path):
    program = f"""{START}
import jax, jax.numpy as jnp, numpy as np

def check(x):
    assert x.get_shape().as_list() == [2, 3]
    assert x.get_shape()[1].value == 3
    x.set_shape([None, 3])
    return x

check(jnp.ones([2, 3]))
jax.jit(jax.grad(lambda x: check(x).sum()))(np.ones([2, 3], np.float32))
assert jax.jit(lambda x: [1.0, 2.0, 3.0] * x + (1, 1, 1) - x / [1, 2, 4])(jnp.ones([2, 3])).shape
try:
    jnp.ones([2, 3]).set_shape([2, 4])
except ValueError as error:
    print(error)
"""
    done = ran(tmp_path, program)
    assert done.stdout == "the shape must be [2, 4], got [2, 3]\n", done.stderr


def test_what_is_not_there_can_be_imported_and_not_used(tmp_path):
    program = f"""{START}
for line in (
    "import tensorflow.contrib.signal as m; m.stft",
    "from tensorflow.python.client import device_lib; device_lib.list_local_devices()",
    "from tensorflow import keras; keras.Model",
    "from tensorflow.keras.layers import Dense; Dense(3)",
    "from tensorflow.contrib.rnn import BasicLSTMCell; BasicLSTMCell(3)",
    "from tensorflow.python.framework.ops import Nothing\\nclass A(Nothing): pass",
    "from nets import no_such_network",
    "import tensorflow as tf; tf.Session()",
):
    try:
        exec(line)
    except (ImportError, AttributeError) as error:
        print(f"{{line.split('; ')[0]!r}} | {{error}}")
"""
    done = ran(tmp_path, program)
    found = [line.split(" | ")[1] for line in done.stdout.splitlines()]
    assert len(found) == 8, done.stdout + done.stderr
    lists = "is not among the modules of TensorFlow that jslim.compat has"
    assert found[0].startswith(f"tensorflow.contrib.signal.stft {lists}")
    assert found[1].startswith(f"tensorflow.python.client.device_lib.list_local_devices {lists}")
    for error in found[2:4]:
        assert error.startswith("tf.keras: Keras and estimators are other libraries")
    assert found[4].startswith("tf.contrib.rnn: TF-Slim has no recurrent cells")
    assert found[5].startswith(f"tensorflow.python.framework.ops.Nothing {lists}")
    assert "no_such_network" in found[6]
    assert "there is no session" in found[7]


def test_a_program_has_its_own_nets(tmp_path):
    program = f"""{START}
from nets import vgg, mine
import jslim.nets.inception
from nets import inception
same = inception.inception_v3 is jslim.nets.inception.inception_v3
print(vgg.vgg_16, mine.VALUE, same)
"""
    files = {"nets__vgg": "vgg_16 = 'own'", "nets__mine": "VALUE = (1, 2, 3).ndims"}
    done = ran(tmp_path, program, **files)
    assert done.stdout == "own 3 True\n", done.stderr


def test_tensorflow_itself_is_refused(tmp_path):
    (tmp_path / "tensorflow.py").write_text("VERSION = '1.15'")
    program = "import tensorflow, jslim.compat\njslim.compat.install()"
    done = ran(tmp_path, program)
    message = (
        "RuntimeError: jslim.compat.install: tensorflow itself is loaded in this process; call"
    )
    assert message in done.stderr


@pytest.mark.parametrize(
    ("source", "sign"),
    [
        ("print 'a'\n", "the statement print"),
        ("exec 'a'\n", "the statement exec"),
        ("try:\n    pass\nexcept ValueError, e:\n    pass\n", "except KIND, name"),
        ("mode = 0777\n", "octal numbers such as 0777"),
        ("if 1:\n        a = 1\n\tb = 2\n", "tabs mixed with spaces"),
        ("n = 10L\n", "numbers such as 10L"),
    ],
    ids=["print", "exec", "except", "octal", "tabs", "long"],
)
def test_python_2_is_refused_in_so_many_words(source, sign):
    message = rf"old.py, line \d: the file is in Python 2's syntax \({sign}\); make it one for"
    with pytest.raises(SyntaxError, match=message):
        _rewriting.compiled(source, "old.py")


def test_another_error_of_syntax_stays():
    with pytest.raises(SyntaxError, match="was never closed"):
        _rewriting.compiled("a = (\n", "old.py")


def test_only_attributes_that_are_read_are_changed():
    source = "class A: pass\na = A()\na.value = 3\na.op = a.value\ndel a.value\nb = (2, 3).ndims\n"
    names = dict(_rewriting._HELPERS)
    exec(_rewriting.compiled(source, "old.py"), names)
    assert (names["a"].op, hasattr(names["a"], "value"), names["b"]) == (3, False, 2)


def test_views_of_a_dict_can_be_indexed_as_python_2s_lists():
    held = type("Held", (), {"items": lambda self, at: [at]})()
    source = "items = d.items()\nfound = items[0], d.keys()[1], d.values()[:1], held.items(3)[0]"
    names = {**_rewriting._HELPERS, "held": held, "d": {"a": 1, "b": 2}}
    exec(_rewriting.compiled(source, "old.py"), names)
    assert names["found"] == (("a", 1), "b", [1], 3)


def test_views_of_a_dict_are_still_python_3s_sets():
    source = (
        "k, e = d.keys(), o.keys()\nfound = [k & e, k | e, k - e, k ^ e, k == e, k == d.keys()]"
    )
    names = {**_rewriting._HELPERS, "d": {"a": 1, "b": 2}, "o": {"b": 1, "c": 2}}
    exec(_rewriting.compiled(source, "old.py"), names)
    assert names["found"] == [{"b"}, {"a", "b", "c"}, {"a"}, {"a", "c"}, False, True]
    assert rules.listed({"a": 1, "b": 2}.keys()) == rules.listed({"b": 1, "a": 2}.keys())
    assert rules.listed({"a": 1}.keys()) == ["a"]


def test_python_2s_imports_of_files_beside(tmp_path):
    """What is found elsewhere, and what a file with absolute_import imports, is Python 3's."""
    program = f"""{START}
import yolo
print(yolo.net.WIDTH, yolo.n.WIDTH, yolo.LENGTH, yolo.parts.deep.DEPTH, yolo.d.DEPTH)
print(yolo.json.dumps(1), yolo.Queue.__name__, yolo.cPickle.loads(yolo.cPickle.dumps(2)))
from preprocessing.vgg_preprocessing import _R_MEAN
print(_R_MEAN)
try:
    import yolo.absolute
except ModuleNotFoundError as error:
    print(error)
"""
    (tmp_path / "yolo" / "parts").mkdir(parents=True)
    (tmp_path / "yolo" / "parts" / "__init__.py").touch()
    (tmp_path / "yolo" / "__init__.py").write_text("""
import os, net
import net as n, json, parts.deep
import parts.deep as d
import cPickle
from Queue import Queue
from net import LENGTH
""")
    done = ran(
        tmp_path,
        program,
        yolo__net="WIDTH, LENGTH = 3, 4",
        yolo__json="dumps = None",
        yolo__absolute="from __future__ import absolute_import\nimport net",
        yolo__parts__deep="DEPTH = 5",
    )
    lines = "3 3 4 5 5", "1 Queue 2", "123.68", "No module named 'net'"
    assert done.stdout.splitlines() == list(lines), done.stderr


def test_arrays_are_equal_to_themselves_only():
    """As in TensorFlow 1, where a test of a computed length is always False."""
    source = "same = [x == 3, x != 3, x == x, n == 3, n != 4, x is x, 2 < n == 3, x == None]"
    names = {**_rewriting._HELPERS, "x": tf.shape(np.ones([3]))[0], "n": 3}
    exec(_rewriting.compiled(source, "old.py"), names)
    assert names["same"] == [False, True, True, True, True, True, True, False]


VALUES = {
    "shape": ((2, 3), {"ndims": 2, "rank": 2, "dims": [2, 3]}),
    "length": (4, {"value": 4}),
    "unknown length": (None, {"value": None}),
    "dtype": (
        np.dtype("float32"),
        {"base_dtype": np.dtype("float32"), "as_numpy_dtype": np.float32, "is_floating": True,
         "is_integer": False},
    ),
    "numpy": (np, {"int": int, "float": float, "object": object, "Inf": np.inf}),
}  # fmt: skip
METHODS = {
    "as_list": ((2, 3), [2, 3]),
    "num_elements": ((2, 3), 6),
    "is_fully_defined": ((2, 3), True),
}


@pytest.mark.parametrize("kind", VALUES)
def test_attributes_of_tensorflow_and_python_2(kind):
    value, attributes = VALUES[kind]
    for name, expected in attributes.items():
        assert rules.read(value, name) == expected


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_a_shape(name):
    value, expected = METHODS[name]
    assert rules.read(value, name)() == expected


def test_methods_of_dicts_and_arrays():
    held = {"a": 1}
    assert list(rules.read(held, "iteritems")()) == [("a", 1)]
    assert list(rules.read(held, "iterkeys")()) == ["a"]
    assert list(rules.read(held, "itervalues")()) == [1]
    assert rules.read(held, "has_key")("a")
    array = jax.numpy.ones([2, 3])
    assert rules.read(array, "op").name == "array"
    assert rules.read(array, "read_value")() is array
    assert rules.read(array, "initialized_value")() is array
    assert rules.read(array, "value")() is array
    assert rules.read((2, 3), "with_rank")(2) == (2, 3)
    assert rules.read((2, 3), "merge_with")([2, 3]) == (2, 3)
    assert rules.read((2, 3), "is_compatible_with")([None, 3])
    rules.read((2, 3), "assert_has_rank")(2)
    rules.read((2, 3), "assert_is_compatible_with")([2, 3])
    assert rules.read(np.ones([2]), "get_shape")().as_list() == [2]


def test_names_of_the_variables_that_a_loop_over_a_dict_gives():
    source = "found = [(v.name, v.op.name) for v in slim.get_variables()]"

    def fn():
        slim.variable("weights", shape=[2])
        names = {**_rewriting._HELPERS, "slim": slim}
        exec(_rewriting.compiled(source, "old.py"), names)
        return names["found"]

    found, _ = slim.Model(fn).init_with_output(jax.random.key(0))
    assert found == [("weights:0", "weights")]
    with pytest.raises(AttributeError, match="'str' object has no attribute 'name': 'text' is no"):
        rules.read("text", "name")


def test_an_attribute_that_nothing_has_is_pythons_error():
    with pytest.raises(AttributeError, match="'str' object has no attribute 'as_list'"):
        rules.read("text", "as_list")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("model.py", r"a network must be given as FILE.py:FUNCTION, got 'model.py'"),
        ("model:network", r"a network must be given as FILE.py:FUNCTION, got 'model:network'"),
        ("model.py:", r"a network must be given as FILE.py:FUNCTION, got 'model.py:'"),
    ],
)
def test_a_place_that_is_none(place, message):
    with pytest.raises(ValueError, match=message):
        networks.function_of(place)
