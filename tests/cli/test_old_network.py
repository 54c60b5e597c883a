"""`jslim run`: a network of an old file, its layers, its outputs, and a checkpoint."""

import subprocess
import sys

import numpy as np
import pytest

from jslim import tf_checkpoint

OLD = """
import tensorflow as tf
import tensorflow.contrib.slim as slim

def net_arg_scope(weight_decay=0.5):
    with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)) as sc:
        return sc

class Net(object):
    @staticmethod
    def build(images, num_classes=3):
        return network(images, num_classes)

def network(images, num_classes=3, is_training=True):
    with tf.variable_scope("net"):
        net = slim.conv2d(images, 4, 3, scope="conv")
        net = slim.dropout(net, 0.5, is_training=is_training)
        size = images.get_shape()[1].value
        net = tf.reduce_mean(tf.image.resize_bilinear(net, [2 * size] * 2), [1, 2])
        return slim.fully_connected(net, num_classes, scope="fc"), {"features": net}
"""


def run(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "jslim", "run", *words],
        capture_output=True, text=True, timeout=200, check=False, cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    (folder / "old.py").write_text(OLD)
    (folder / "two.py").write_text("print 'a'\n")
    shapes = {"conv": ([3, 3, 1, 4], [4]), "fc": ([4, 5], [5])}
    tf_checkpoint.save_checkpoint(
        folder / "net.ckpt",
        {
            f"net/{layer}/{name}": np.zeros(shape, np.float32)
            for layer, (weights, biases) in shapes.items()
            for name, shape in (("weights", weights), ("biases", biases))
        },
    )
    return folder


def test_a_network_its_outputs_and_a_checkpoint(folder):
    done = run(
        folder, "old.py:network", "--shape=2,8,8,1", '--keywords={"num_classes": 5}',
        "--arg_scope=net_arg_scope", "--checkpoint_path=net.ckpt",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["net/conv", "conv2d", "2x8x8x4", "40", "9.22", "k", "a"]
    assert "65 parameters" in done.stdout
    assert lines[-5:] == [
        "outputs",
        "  [0]  2x5 float32",
        "  [1]['features']  2x4 float32",
        "",
        "the 4 variables fit net.ckpt",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one network: jslim run [flags] FILE.py:FUNCTION"),
        (("old.py",), "a network must be given as FILE.py:FUNCTION, got 'old.py'"),
        (("none.py:network",), "there is no file none.py"),
        (("old.py:netwrok",), "old.py has no function 'netwrok'; did you mean 'network'"),
        (("old.py:lon",), "old.py has no function 'lon'; it has Net, "),
        (("two.py:network",), "the file is in Python 2's syntax (the statement print)"),
        (("old.py:network", "--shape=a"), "--shape must be whole numbers such as 1,224,224,3"),
        (("old.py:network", "--keywords=[]"), "--keywords must be JSON such as"),
        (
            ("old.py:Net.build", "--shape=2,8,8,1", "--checkpoint_path=net.ckpt"),
            "net/fc/weights",
        ),
    ],
    ids=[
        "nothing",
        "place",
        "file",
        "function",
        "functions",
        "python2",
        "shape",
        "keywords",
        "checkpoint",
    ],
)
@pytest.mark.long
def test_mistakes(folder, words, message):
    done = run(folder, *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
