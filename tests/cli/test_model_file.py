"""`--model_file`: training and evaluation of a network in an old file."""

import subprocess
import sys

import pytest

OLD = """
import tensorflow as tf
import tensorflow.contrib.slim as slim

def network(images, num_classes=10, is_training=True):
    with tf.variable_scope("old"):
        net = slim.conv2d(images, 16, [3, 3], normalizer_fn=slim.batch_norm,
                          normalizer_params={"is_training": is_training})
        net = slim.max_pool2d(net, [2, 2])
        shape = net.get_shape().as_list()
        net = tf.reshape(net, [-1, shape[1] * shape[2] * shape[3]])
        net = slim.dropout(net, 0.8, is_training=is_training)
        return slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")

def facenet(images, keep, phase_train=True):
    return images

def text(images, num_classes):
    return "logits"

def small(images, num_classes, phase_train=True):
    assert not phase_train
    return [tf.zeros([2, num_classes]) + tf.reduce_sum(images), {"a": images, "n": 3}]

def small_arg_scope(weight_decay=0.25):
    with slim.arg_scope([slim.conv2d], stride=2) as scope:
        return scope
"""
DATA = ("--dataset_name=digits", "--model_file=old.py:network")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "old.py").write_text(OLD)
    return tmp_path


def ran(folder, *words):
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True, text=True, timeout=300, check=False, cwd=folder,
    )  # fmt: skip


@pytest.mark.long
def test_train_and_evaluate(folder):
    trained = ran(
        folder, "-m", "jslim", "train", *DATA, "--preprocessing_name=lenet",
        "--train_image_size=8", "--max_number_of_steps=300", "--learning_rate=0.01",
        "--optimizer=adam", "--opt_epsilon=1e-8", "--train_dir=run",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "starting from scratch: old.py:network on digits/train" in trained.stderr
    assert "--checkpoint_path=run --model_file=old.py:network" in trained.stderr
    found = ran(folder, "-m", "jslim", "eval", *DATA, "--checkpoint_path=run")
    assert found.returncode == 0, found.stderr
    accuracy = float((found.stdout + found.stderr).partition("eval/Accuracy[")[2].partition("]")[0])
    assert accuracy > 0.9
    without = ran(folder, "-m", "jslim", "eval", DATA[0], "--checkpoint_path=run")
    assert (
        "'old.py:network' is a network of a file; give it by --model_file=PATH/" in without.stderr
    )


def test_rows_and_mistakes(folder):
    program = """
import jax.numpy as jnp
from jslim.cli import network_files, train
from jslim.compat import networks
from jslim.nets import nets_factory

def refused(call):
    try:
        call()
    except (ValueError, TypeError) as error:
        print(f"{type(error).__name__}: {error}")

name, row = networks.row_of("old.py:small")
nets_factory.add_network(name, row)
logits, points = nets_factory.get_network_fn(name, 4)(jnp.ones([2, 3]))
print(name, logits.shape, list(points), row.image_size, row.weight_decay)
print(networks.row_of("old.py:network")[1].weight_decay)
refused(lambda: networks.row_of("old.py:facenet"))
refused(lambda: networks.row_of("old.py:text")[1].build(jnp.ones([2, 3]), 4, False))
given = frozenset(["model_name"])
both = train.TrainConfig(given=given, model_file="old.py:small")
refused(lambda: network_files.with_network(both))
refused(lambda: network_files.with_network(train.TrainConfig(model_file="no.py:small")))
print(network_files.with_network(train.TrainConfig(model_file="old.py:small")).model_name)
"""
    done = ran(folder, "-c", program)
    assert done.stdout.splitlines() == [
        "old.py:small (2, 4) ['a'] 224 0.25",
        "4e-05",
        "ValueError: old.py:facenet must be a function of images and num_classes, got one of "
        "images, keep, phase_train",
        "ValueError: the result of old.py:text must be logits, or logits and end points, got str",
        "UsageError: --model_file says which network it is; leave --model_name out",
        "UsageError: --model_file: there is no file no.py",
        "old.py:small",
    ], done.stderr
