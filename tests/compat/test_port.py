"""`jslim port`: what is converted, what is marked, and that its output stays as it is."""

import ast
import json
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

import jslim as slim
from jslim.cli import port as command
from jslim.compat import tf
from jslim.compat.port import Outcome, port_source, rows_of

TF = "import tensorflow as tf\n"
OURS = "from jslim.compat import tf\n"

# By name: a program, and what it becomes.
IMPORTS = {
    "tf": ("import tensorflow as tf", "from jslim.compat import tf"),
    "tf_v1": ("import tensorflow.compat.v1 as tf", "from jslim.compat import tf"),
    "tf_v1_from": ("from tensorflow.compat import v1 as tf", "from jslim.compat import tf"),
    "tf_bare": ("import tensorflow", "from jslim.compat import tf as tensorflow"),
    "slim": ("import tensorflow.contrib.slim as slim", "import jslim as slim"),
    "slim_from": ("from tensorflow.contrib import slim", "import jslim as slim"),
    "tf_slim": ("import tf_slim as slim", "import jslim as slim"),
    "two": (
        "from tensorflow.contrib import slim, layers",
        "import jslim as slim\nfrom jslim.compat.tf.contrib import layers",
    ),
    "with_others": (
        "import os, tensorflow as tf  # both",
        "import os\nfrom jslim.compat import tf  # both",
    ),
    "members": (
        "from tensorflow.contrib.framework import arg_scope as scope, add_arg_scope",
        "from jslim.compat.tf.contrib.framework import arg_scope as scope, add_arg_scope",
    ),
    "function_before_module": (
        "from tensorflow.contrib.framework.python.ops import arg_scope",
        "from jslim.compat.tf.contrib.framework import arg_scope",
    ),
    "module_before_function": (
        "from tensorflow.python.ops import variable_scope\nwith variable_scope.variable_scope('a'): pass",
        "from jslim.compat import tf as variable_scope\nwith variable_scope.variable_scope('a'): pass",
    ),
    "nets": ("from nets import vgg, lenet", "from jslim.nets import vgg\nfrom jslim.nets import lenet"),
    "slim_nets": (
        "from tensorflow.contrib.slim.nets import resnet_v1",
        "from jslim.nets import resnet_v1",
    ),
    "nets_member": ("from nets.vgg import vgg_16", "from jslim.nets.vgg import vgg_16"),
    "preprocessing": (
        "from preprocessing import preprocessing_factory",
        "from jslim.preprocessing import preprocessing_factory",
    ),
    "datasets": ("from datasets import dataset_factory", "from jslim.data import dataset_factory"),
    "inner": (
        "from tensorflow.python.ops import array_ops\nx = array_ops.reshape(y, [1])",
        "from jslim.compat import tf as array_ops\nx = array_ops.reshape(y, [1])",
    ),
    "try": (
        "try:\n    import tf_slim as slim\nexcept ImportError:\n    slim = None",
        "try:\n    import jslim as slim\nexcept ImportError:\n    slim = None",
    ),
    "six": (TF + "from six.moves import xrange, urllib", OURS + "from six.moves import urllib"),
    "others": ("import numpy as np\nfrom . import x", "import numpy as np\nfrom . import x"),
}  # fmt: skip
# The same, after `import tensorflow as tf`.
REST = {
    "slim_of_tf": ("slim = tf.contrib.slim  # all", "import jslim as slim  # all"),
    "get_shape": ("x.get_shape()", "x.shape"),
    "as_list": ("n, h = x.get_shape().as_list()[:2]", "n, h = list(x.shape)[:2]"),
    "item": ("x.get_shape().as_list()[-1]", "x.shape[-1]"),
    "value": ("x.get_shape()[1].value", "x.shape[1]"),
    "value_of_name": ("s = x.get_shape()\nn = s[0].value", "s = x.shape\nn = s[0]"),
    "value_of_others": ("n = box[0].value", "n = box[0].value"),
    "value_in_loop": (
        "a = [d.value for d in x.get_shape()[1:3]]",
        "a = [d for d in x.shape[1:3]]",
    ),
    "values_of_names": (
        "h, w = x.get_shape()[1], x.get_shape()[2]\nf(h.value, w.value)",
        "h, w = x.shape[1], x.shape[2]\nf(h, w)",
    ),
    "feature": (
        "slim = tf.contrib.slim\nf = tf.FixedLenFeature((), tf.string)",
        "import jslim as slim\nf = slim.data.tf_example.FixedLenFeature((), tf.string)",
    ),
    "reader": ("d = Dataset(reader=tf.TFRecordReader)", "d = Dataset(reader=None)"),
    "reset": ("tf.reset_default_graph()\nx = 1", "x = 1"),
    "dtypes": ("f(x.dtype.base_dtype, x.dtype.as_numpy_dtype)", "f(x.dtype, x.dtype.type)"),
    "ndims": ("x.get_shape().ndims", "x.ndim"),
    "ndims_of_name": ("s = x.get_shape()\nlen_ = s.ndims", "s = x.shape\nlen_ = len(s)"),
    "num_elements": (
        "x.get_shape()[1:].num_elements()",
        "tf.TensorShape(x.shape[1:]).num_elements()",
    ),
    "set_shape": ("def f(x):\n    x.set_shape([1])\n    return x", "def f(x):\n    return x"),
    "set_shape_alone": (
        "if x:\n    # known\n    x.set_shape([1])",
        "if x:\n    # known\n    pass",
    ),
    "is_training": (
        "def f(x):\n    is_training = tf.placeholder(tf.bool)\n    return g(x, is_training)",
        "def f(x, is_training):\n    return g(x, is_training)",
    ),
    "is_training_default": (
        "def f(x, n=1):\n"
        "    is_training = tf.placeholder_with_default(False, [])\n    return g(x, is_training)",
        "def f(x, n=1, *, is_training=False):\n    return g(x, is_training)",
    ),
    "concat": ("tf.concat(3, [a, b])", "tf.concat([a, b], 3)"),
    "concat_today": ("tf.concat([a, b], 3)", "tf.concat([a, b], 3)"),
    "concat_dim": ("tf.concat(concat_dim=1, values=v)", "tf.concat(axis=1, values=v)"),
    "split": ("tf.split(3, 2, x)", "tf.split(x, 2, 3)"),
    "entropy": (
        "tf.nn.sigmoid_cross_entropy_with_logits(a, b)",
        "tf.nn.sigmoid_cross_entropy_with_logits(logits=a, labels=b)",
    ),
    "batch_matmul": ("tf.batch_matmul(a, b, adj_y=True)", "tf.matmul(a, b, adjoint_b=True)"),
    "select": ("tf.select(c, t=a, e=b)", "tf.where(c, x=a, y=b)"),
    "image_summary": (
        "tf.image_summary('a', b, max_images=2)",
        "tf.summary.image('a', b, max_outputs=2)",
    ),
    "mul": ("tf.mul(a, tf.pack([b]))", "tf.multiply(a, tf.stack([b]))"),
    "compat_v1": ("tf.compat.v1.nn.relu(tf.compat.v1.zeros([2]))", "tf.nn.relu(tf.zeros([2]))"),
    "assign": ("op = v.assign(x + 1)", "op = tf.assign(v, x + 1)"),
    "xrange": ("for i in xrange(3): pass", "for i in range(3): pass"),
    "own_xrange": ("def xrange(n): pass\nxrange(2)", "def xrange(n): pass\nxrange(2)"),
    "iteritems": ("for a, b in d.iteritems(): pass", "for a, b in d.items(): pass"),
    "has_key": ("d.has_key(k) and x", "(k in d) and x"),
    "keys": ("d.keys()[0]", "list(d.keys())[0]"),
    "ranges": ("range(2) + range(3)", "list(range(2)) + list(range(3))"),
    "unicode": ("isinstance(x, basestring)", "isinstance(x, str)"),
    "numpy": ("import numpy as np\nx = np.float(2)", "import numpy as np\nx = float(2)"),
    "pickle": ("import cPickle", "import pickle as cPickle"),
    "print": ("print 'a', b  # why", "print('a', b)  # why"),
    "print_to": ("print >>f, 'a',", "print('a', file=f, end=' ')"),
    "print_format": ("print ('a %s') % x", "print ('a %s' % x)"),
    "print_in_line": ("if x: print 'a'", "if x: print('a')"),
    "print_over_lines": ("print 'a %s' % (\n    b)", "print('a %s' % (\n    b))"),
    "except": ("try:\n    f()\nexcept (A, B), e:\n    g(e)", "try:\n    f()\nexcept (A, B) as e:\n    g(e)"),
    "raise": ("raise ValueError, 'no %s' % x", "raise ValueError('no %s' % x)"),
    "long": ("x = 10L + 0777", "x = 10 + 0o777"),
    "not_equal": ("if a <> b: pass", "if a != b: pass"),
    "tabs": ("if a:\n\tif b:\n        \tc()", "if a:\n        if b:\n                c()"),
    "comments": ("x = f(a,  # one\n      b)  # two", "x = f(a,  # one\n      b)  # two"),
}  # fmt: skip
CASES = IMPORTS | {name: (TF + old, OURS + new) for name, (old, new) in REST.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_a_program_becomes(name):
    old, new = CASES[name]
    ported = port_source(f"{old}\n")
    assert ported.source == f"{new}\n"
    ast.parse(ported.source)
    assert port_source(ported.source).source == ported.source
    if old != new:
        assert any(finding.outcome is Outcome.CONVERTED for finding in ported.findings)


# By name: a line, and the sentence above it.
MARKS = {
    "session": ("with tf.Session() as sess: sess.run(x)", "tf.Session: there is no session: a model"),
    "placeholder": ("x = tf.placeholder(tf.float32, [None, 4])", "tf.placeholder: there are no pl"),
    "saver": ("saver = tf.train.Saver()", "tf.train.Saver: train writes checkpoints"),
    "feed": ("r = run(x, feed_dict={a: b})", "feed_dict: what is fed is an argument"),
    "minimize": ("op = tf.train.AdamOptimizer(1e-3).minimize(loss)", ".minimize: an optimizer goes"),
    "queue": ("b = tf.train.batch([x], 8)", "tf.train.batch: write what is done with one record"),
    "held": ("self.sess.run(x)", "tf.Session: there is no session"),
    "train": ("tf.contrib.slim.learning.train(op, d)", "tf.contrib.slim.learning.train: batches come"),
    "variables": ("v = tf.contrib.framework.get_variables()", "within a model function as it stands"),
    "metrics": ("a, b = tf.metrics.accuracy(x, y)", "slim.metrics has it"),
    "op_name": ("n = v.op.name", ".op.name: an array has no name"),
    "reader": ("r = tf.TFRecordReader()", "tf.TFRecordReader: there are no queues and readers"),
    "unknown": ("x = tf.does_not_exist(y)", "tf.does_not_exist: jslim.compat.tf has no such name"),
    "unknown_import": ("from tensorflow.python.client import device_lib", "has no such module"),
    "star": ("from tensorflow.contrib.slim import *", "name what it imports"),
    "reduce": ("x = reduce(f, y)", "reduce: write functools.reduce"),
}  # fmt: skip


@pytest.mark.parametrize("name", MARKS)
def test_what_a_person_must_decide(name):
    line, sentence = MARKS[name]
    ported = port_source(f"{TF}\n\ndef f():\n    # before\n    {line}\n")
    above, kept = ported.source.splitlines()[-2:]
    assert above.startswith("    # PORT: ")
    assert sentence in above
    assert kept.strip() == line
    assert "    # before\n" in ported.source
    assert port_source(ported.source).source == ported.source
    outcomes = {finding.outcome for finding in ported.findings if finding.line == 6}
    assert outcomes & {Outcome.PERSON, Outcome.UNKNOWN}


def test_one_sentence_for_several_names_of_a_statement():
    source = TF + "with tf.Session(config=tf.ConfigProto()) as sess:\n    pass\n"
    (mark,) = [line for line in port_source(source).source.splitlines() if "PORT" in line]
    assert mark.startswith("# PORT: tf.Session, tf.ConfigProto: there is no session")


def test_a_mark_above_the_first_statement_is_not_repeated():
    source = '# of us\n\n"""What it does."""\nfrom tensorflow.python.client import timeline\n'
    first = source.replace('"""What it does."""\n', "")
    for text in (source, first):
        once = port_source(text).source
        assert once.count("# PORT:") == 1
        assert port_source(once).source == once


def test_every_name_of_tensorflow_is_in_the_table():
    source = TF + textwrap.dedent("""
        slim = tf.contrib.slim
        def net(x):
            with tf.variable_scope('a'):
                y = slim.conv2d(x, 4, 3, activation_fn=tf.nn.relu)
            y = tf.nn.relu(y)
            return tf.py_func(y), tf.none, tf.Graph()
    """)
    rows = {row.name: row for row in rows_of(port_source(source).findings)}
    assert {name: (row.outcome.name, row.lines) for name, row in rows.items()} == {
        "tf": ("CONVERTED", (1,)),
        "tf.contrib.slim": ("CONVERTED", (3,)),
        "tf.variable_scope": ("SAME", (5,)),
        "slim.conv2d": ("SAME", (6,)),
        "tf.nn.relu": ("SAME", (6, 7)),
        "tf.py_func": ("SAME", (8,)),
        "tf.none": ("UNKNOWN", (8,)),
        "tf.Graph": ("PERSON", (8,)),
    }


def test_division_of_python_2_is_pointed_out():
    source = TF + "print 'a'\nn = size / 2\nm = size / 2.0\n"
    (row,) = [row for row in rows_of(port_source(source).findings) if row.name == "/"]
    assert (row.outcome, row.lines) == (Outcome.PERSON, (3,))
    assert "rounded down in Python 2: write //" in row.what
    quiet = "from __future__ import division\n" + source
    assert all(f.name != "/" for f in port_source(quiet).findings)


def test_python_2_without_tensorflow_is_converted_too():
    ported = port_source("for a in xrange(3):\n    print d.keys()[0]\n")
    assert ported.source == "for a in range(3):\n    print(list(d.keys())[0])\n"
    assert port_source("x = 1  # plain\n").findings == []


def test_what_is_ported_and_edited_stays():
    source = "import jslim as slim\nfrom jslim.compat import tf\nx = tf.Session\nslim.learning.train(a)\n"
    assert port_source(source).source == source


def test_a_program_computes_what_it_did():
    source = TF + textwrap.dedent("""
        import tensorflow.contrib.slim as slim

        def net(x):
            n, h, w, c = x.get_shape().as_list()
            with slim.arg_scope([slim.conv2d], weights_initializer=tf.constant_initializer(0.1)):
                y = slim.conv2d(x, c * 2, 3, scope='conv1')
            y = tf.concat(3, [y, x])
            y.set_shape([n, h, w, c * 3])
            return tf.reduce_mean(tf.mul(y, 2.0), [i for i in xrange(1, 3)])
    """)
    namespace: dict = {}
    exec(port_source(source).source, namespace)

    def net(x):
        y = slim.conv2d(x, 4, 3, scope="conv1", weights_initializer=slim.constant_initializer(0.1))
        return np.float32(2) * tf.concat([y, x], 3).mean((1, 2))

    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 2))
    results = []
    for function in (namespace["net"], net):
        model = slim.Model(function)
        variables = model.init(jax.random.key(1), images)
        results.append(model.apply(variables, images))
    assert results[0].shape == (2, 6)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_python_2_that_is_not_converted_is_refused():
    message = r"old.py, line 2: the file is in Python 2's syntax, of which only print, .*2to3"
    with pytest.raises(ValueError, match=message):
        port_source("x = 1\nexec 'x = 2' in d\n", "old.py")
    with pytest.raises(SyntaxError, match=r"old.py, line 1: this is no Python: 'x = \('"):
        port_source("x = (\n", "old.py")


def port(*words):
    return command.main(["jslim port", *map(str, words)])


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "old"
    (folder / "nets").mkdir(parents=True)
    (folder / "nets" / "mine.py").write_text("import tensorflow as tf\nx = tf.nn.relu\n")
    (folder / "train.py").write_text("from nets import mine\nfrom preprocessing import images\n")
    return folder


def test_a_folder_with_modules_of_its_own(project, tmp_path, capfd):
    new = tmp_path / "new"
    assert port(project, f"--output={new}") == 0
    assert (new / "nets" / "mine.py").read_text() == OURS + "x = tf.nn.relu\n"
    assert (new / "train.py").read_text() == (
        "from nets import mine\nfrom jslim.preprocessing import images\n"
    )
    out = capfd.readouterr().out
    assert "mine.py\nname" in out
    assert out.endswith(
        "3 places: 1 the same, 2 converted, 0 left to you, 0 unknown, 0 dropped. 2 of 2 files changed.\n"
    )
    assert port(project, f"--output={new}") == 2
    assert "is there already; remove it, or give another --output" in capfd.readouterr().err


def test_check_and_in_place(project, capfd):
    before = (project / "train.py").read_text()
    assert port(project, "--check") == 1
    assert (project / "train.py").read_text() == before
    assert port(project, "--in_place") == 0
    assert (project / "nets" / "mine.py").read_text().startswith(OURS)
    assert port(project, "--check", "--json") == 0
    rows = json.loads(capfd.readouterr().out.partition("files changed.\n")[2])
    assert [row["is_changed"] for row in rows] == [False, False]


def test_a_file_that_is_refused_leaves_the_others(project, capfd):
    (project / "bad.py").write_text("import tensorflow as tf\nexec 'x'\n")
    (project / "latin.py").write_bytes(b"# caf\xe9\n")
    assert port(project, "--in_place") == 2
    done = capfd.readouterr()
    assert "bad.py, line 2: the file is in Python 2's syntax" in done.err
    assert "invalid or missing encoding declaration" in done.err
    assert (project / "nets" / "mine.py").read_text().startswith(OURS)


def test_a_file_keeps_its_encoding_and_its_ends_of_lines(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(
        "# coding: latin-1\r\nimport tensorflow as tf  # caf\xe9\r\n".encode("latin-1")
    )
    assert port(path, "--in_place") == 0
    assert path.read_bytes() == (
        "# coding: latin-1\r\nfrom jslim.compat import tf  # caf\xe9\r\n".encode("latin-1")
    )


def test_a_notebook(tmp_path, capfd):
    cells = [
        {"cell_type": "markdown", "source": ["import tensorflow as tf"], "metadata": {}},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import tensorflow as tf"],
         "metadata": {}, "outputs": [], "execution_count": 1},
        {"cell_type": "code", "source": "%%bash\nls", "metadata": {}, "outputs": []},
        {"cell_type": "code", "source": "if True:\n    !ls\nsess = tf.Session()\nx.get_shape()",
         "metadata": {}, "outputs": [{"text": ["kept"]}]},
    ]  # fmt: skip
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}, indent=1))
    new = tmp_path / "b.ipynb"
    assert port(path, f"--output={new}") == 0
    sources = ["".join(cell["source"]) for cell in json.loads(new.read_text())["cells"]]
    assert sources[:3] == [
        "import tensorflow as tf", "%matplotlib inline\nfrom jslim.compat import tf", "%%bash\nls",
    ]  # fmt: skip
    lines = sources[3].splitlines()
    assert lines[:2] + lines[3:] == ["if True:", "    !ls", "sess = tf.Session()", "x.shape"]
    assert lines[2].startswith("# PORT: tf.Session")
    assert json.loads(new.read_text())["cells"][3]["outputs"] == [{"text": ["kept"]}]
    before = new.read_text()
    assert port(new, "--in_place") == 0
    assert new.read_text() == before
    new.write_text("[]")
    assert port(new, "--check") == 2
    assert "b.ipynb is no notebook of version 4" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give files or folders: jslim port [flags] FILE|FOLDER ..."),
        (["x.py"], "give one of --output=PATH, --in_place and --check"),
        (["x.py", "--check", "--in_place"], "give one of --output=PATH, --in_place and --check"),
        (["x.py", "--check"], "there is no file x.py"),
        (["x.txt", "--check"], "x.txt is neither a Python file nor a notebook"),
        (["empty", "--check"], "there is no .py or .ipynb file in empty"),
        (["one", "two", "--output=new"], "two files would become new/a.py; port their folders one"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly(words, message, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.txt").touch()
    (tmp_path / "empty").mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").touch()
    assert port(*words) == 2
    assert message in " ".join(capfd.readouterr().err.split())


def test_without_libcst_it_is_said(tmp_path):
    (tmp_path / "a.py").touch()
    code = f"""
import sys
sys.modules["libcst"] = None
from jslim.cli import port
sys.exit(port.main(["jslim port", "{tmp_path / "a.py"}", "--check"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "needs libcst, which is not installed; run: pip install 'jslim[port]'" in done.stderr
