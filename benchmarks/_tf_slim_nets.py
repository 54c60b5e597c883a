"""TF-Slim's side of `benchmarks.nets`, in a process with a Python of its own.

    python benchmarks/_tf_slim_nets.py NETWORK BATCH_SIZE IMAGE_SIZE

For each line 'forward' or 'train' on the standard input it prints the seconds that took. Networks
come from research/slim, the folder that the environment variable RESEARCH_SLIM names.
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


def find_legacy_layers():
    """TensorFlow looks for the layers of TensorFlow 1 where tf_keras no longer has them."""
    importlib.import_module("tf_keras")
    for name in ("", ".base", ".convolutional", ".core", ".normalization", ".pooling"):
        module = importlib.import_module(f"tf_keras.src.legacy_tf_layers{name}")
        sys.modules[f"tf_keras.legacy_tf_layers{name}"] = module


def network(name, images, is_training):
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


def main(name, batch_size, image_size):
    find_legacy_layers()
    tf.disable_eager_execution()
    values = np.random.default_rng(0).normal(size=(batch_size, image_size, image_size, 3))
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
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
