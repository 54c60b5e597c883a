"""TF-Slim's side of `benchmarks.nets`, in a process with a Python of its own.

    python benchmarks/_tf_slim_nets.py NETWORK BATCH_SIZE HEIGHT WIDTH CHANNELS

For each line 'forward' or 'train' on the standard input it prints the seconds that took. lenet and
cifarnet are below; other networks come from research/slim, the folder that the environment variable
RESEARCH_SLIM names.
"""

import importlib
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim

NUM_CLASSES = 10
DECAY = slim.l2_regularizer(1e-4)


def lenet(images):
    with slim.arg_scope([slim.conv2d, slim.fully_connected], weights_regularizer=DECAY):
        net = slim.conv2d(images, 32, [5, 5], scope="conv1")
        net = slim.max_pool2d(net, [2, 2], 2, scope="pool1")
        net = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = slim.max_pool2d(net, [2, 2], 2, scope="pool2")
        net = slim.fully_connected(slim.flatten(net), 1024, scope="fc3")
        return slim.fully_connected(net, NUM_CLASSES, activation_fn=None, scope="fc4")


def cifarnet(images):
    def normalized(net):
        return tf.nn.lrn(net, 4, bias=1.0, alpha=0.001 / 9, beta=0.75)

    net = slim.conv2d(images, 64, [5, 5], scope="conv1")
    net = normalized(slim.max_pool2d(net, [2, 2], 2, scope="pool1"))
    net = normalized(slim.conv2d(net, 64, [5, 5], scope="conv2"))
    net = slim.flatten(slim.max_pool2d(net, [2, 2], 2, scope="pool2"))
    net = slim.fully_connected(net, 384, weights_regularizer=DECAY, scope="fc3")
    net = slim.fully_connected(net, 192, weights_regularizer=DECAY, scope="fc4")
    return slim.fully_connected(net, NUM_CLASSES, activation_fn=None, scope="logits")


OWN = {"lenet": lenet, "cifarnet": cifarnet}


def find_legacy_layers():
    """TensorFlow looks for the layers of TensorFlow 1 where tf_keras no longer has them."""
    importlib.import_module("tf_keras")
    for name in ("", ".base", ".convolutional", ".core", ".normalization", ".pooling"):
        module = importlib.import_module(f"tf_keras.src.legacy_tf_layers{name}")
        sys.modules[f"tf_keras.legacy_tf_layers{name}"] = module


def network(name, images, is_training):
    if name in OWN:
        return OWN[name](images)
    sys.path.insert(0, os.environ["RESEARCH_SLIM"])
    from nets import inception_v3, mobilenet_v1, resnet_v1, vgg
    from nets.mobilenet import mobilenet_v2

    build, arg_scope, arguments = {
        "inception_v3": (
            inception_v3.inception_v3,
            inception_v3.inception_v3_arg_scope(),
            {"create_aux_logits": False, "global_pool": True},
        ),
        "mobilenet_v1": (
            mobilenet_v1.mobilenet_v1,
            mobilenet_v1.mobilenet_v1_arg_scope(is_training),
            {},
        ),
        "mobilenet_v2": (
            mobilenet_v2.mobilenet,
            mobilenet_v2.training_scope(is_training=is_training),
            {},
        ),
        "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope(), {}),
        "vgg_16": (
            vgg.vgg_16,
            vgg.vgg_arg_scope(),
            {"fc_conv_padding": "SAME", "global_pool": True},
        ),
    }[name]
    with slim.arg_scope(arg_scope):
        return build(images, NUM_CLASSES, is_training=is_training, **arguments)[0]


def main(name, batch_size, *image_shape):
    find_legacy_layers()
    tf.disable_eager_execution()
    values = np.random.default_rng(0).normal(size=(batch_size, *image_shape))
    images = tf.get_variable(
        "images", initializer=values.astype(np.float32), trainable=False, use_resource=True
    )
    labels = tf.constant(np.arange(batch_size) % NUM_CLASSES)
    with tf.variable_scope("training"):
        logits = network(name, images, True)
        tf.losses.sparse_softmax_cross_entropy(labels, logits)
    optimizer = tf.train.MomentumOptimizer(1e-3, 0.9)
    train = slim.learning.create_train_op(tf.losses.get_total_loss(), optimizer)
    with tf.variable_scope("inference"):
        forward = network(name, images, False)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    runs = {"forward": session.make_callable(forward), "train": session.make_callable(train)}
    for run in runs.values():
        run()
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        runs[line.strip()]()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
