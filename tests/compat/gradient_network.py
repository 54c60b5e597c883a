"""A network in TF-Slim's style, as an old file has it, and what its gradients are taken of.

`tests/golden/make_gradients.py` runs this very file with TensorFlow, and `test_gradients.py` after
`jslim.compat.install()`. Its variables start from `value_of` their names on both sides.
"""

import zlib

import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim

IMAGES = np.random.RandomState(1).uniform(-1, 1, [4, 12, 10, 3])


def value_of(name, shape):
    """The value that a variable starts from."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith(("moving_variance", "gamma")):
        return random.uniform(0.5, 1.5, shape)
    return random.uniform(-0.5, 0.5, shape)


def unit(net, depth, stride, scope=None):
    with tf.variable_scope(scope, "unit", [net]):
        shortcut = net
        if stride > 1 or net.get_shape()[3].value != depth:
            shortcut = slim.conv2d(net, depth, 1, stride=stride, activation_fn=None, scope="short")
        net = slim.conv2d(net, depth, 3, stride=stride, scope="conv1")
        net = slim.separable_conv2d(net, depth, 3, 1, activation_fn=None, scope="conv2")
        return tf.nn.relu(net + shortcut)


def network(images, is_training):
    end_points = {}
    batch_norm = {"is_training": is_training, "decay": 0.9, "scale": True}
    layers = [slim.conv2d, slim.separable_conv2d, slim.fully_connected, slim.conv2d_transpose]
    with (
        tf.variable_scope("net"),
        slim.arg_scope(layers, weights_regularizer=slim.l2_regularizer(0.01)),
        slim.arg_scope(layers[:2], normalizer_fn=slim.batch_norm, normalizer_params=batch_norm),
    ):
        net = slim.conv2d(images, 8, [3, 3], activation_fn=tf.nn.relu6, scope="conv")
        low = end_points["low"] = slim.max_pool2d(net, 3, stride=2, padding="SAME")
        net = unit(low, 8, 1)
        net = end_points["high"] = unit(net, 12, 2)
        size = low.shape.as_list()[1:3]
        up = tf.image.resize_bilinear(net, size, align_corners=True)
        shifted = tf.pad(low, [[0, 0], [1, 0], [0, 1], [0, 0]])[:, :-1, 1:]
        up = tf.concat([up, low[:, :, ::-1, :4], shifted], 3)
        left, right = tf.split(up, 2, 3)
        net = tf.multiply(tf.sigmoid(left), right)
        net = tf.image.resize_nearest_neighbor(net, [size[0] * 2, size[1] * 2])
        net = slim.avg_pool2d(net, [2, 3], stride=[2, 1], scope="pool")
        net = slim.conv2d_transpose(net, 6, 3, stride=2, activation_fn=None, scope="up")
        net = end_points["up"] = tf.nn.l2_normalize(net, 3, epsilon=1e-3)
        weights = tf.get_variable("mix", [6, 5], initializer=tf.zeros_initializer())
        mixed = tf.matmul(tf.reshape(net, [-1, 6]), weights)
        net = tf.reshape(mixed, [tf.shape(net)[0], -1, 5])
        net = tf.reduce_max(net, 1) + tf.reduce_mean(net, axis=[1], keepdims=False)
        net = slim.dropout(net, 0.5, is_training=False)
        logits = slim.fully_connected(slim.flatten(net), 3, activation_fn=None, scope="logits")
    end_points["logits"] = logits
    return end_points


def loss_of(end_points):
    """Squares of all end points, each with a weight of its own."""
    losses = []
    for name in sorted(end_points):
        array = end_points[name]
        weights = value_of(name, array.get_shape().as_list())
        losses.append(tf.reduce_mean(tf.square(array) * tf.constant(weights, array.dtype)))
    return tf.add_n(losses)
