"""Makes `tf_checkpoints/tf_slim_v1` and `_v2`: a small network that TF-Slim trained.

Usage, with the Python of an environment that has TF-Slim and its numeric oracle:

    export ORACLE=<folder of oracle.py>
    python tests/golden/make_tf_slim_training.py           makes them
    python tests/golden/make_tf_slim_training.py PREFIX    restores PREFIX into the same network,
                                                           and compares its logits

The checkpoints hold what TF-Slim's scripts save: variables, moving statistics, the slots of
RMSProp, moving averages, the global step. `outputs.npz` has images, the logits of the variables and
those of their moving averages.
"""

import os
import pathlib
import shutil
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
from oracle import slim, tf

FOLDER = pathlib.Path(__file__).parent / "tf_checkpoints"
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)


def network(images, is_training):
    parameters = {"is_training": is_training, "decay": 0.5}
    scope = slim.arg_scope(
        [slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=parameters
    )
    with scope, tf.variable_scope("Small"):
        net = slim.conv2d(images, 4, [3, 3], scope="conv1")
        net = slim.max_pool2d(net, [2, 2], scope="pool1")
        net = slim.separable_conv2d(net, 6, [3, 3], 1, scope="conv2")
        return slim.fully_connected(slim.flatten(net), 5, activation_fn=None, scope="logits")


def inference():
    images = tf.placeholder(tf.float32, IMAGES.shape)
    logits = network(images, False)
    return lambda session: session.run(logits, {images: IMAGES})


def train(version, folder):
    path = FOLDER / folder
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    tf.set_random_seed(0)
    logits = network(tf.constant(IMAGES), True)
    tf.losses.sparse_softmax_cross_entropy([0, 1, 2, 3], logits)
    step = slim.get_or_create_global_step()
    optimizer = tf.train.RMSPropOptimizer(0.05, momentum=0.9, epsilon=1.0)
    averages = tf.train.ExponentialMovingAverage(0.9, step)
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, averages.apply(slim.get_model_variables()))
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    train_op = slim.learning.create_train_op(
        tf.losses.get_total_loss(), optimizer, update_ops=updates
    )
    saver = tf.train.Saver(write_version=version)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(train_op)
        saver.save(session, str(path / "model.ckpt"), global_step=step, write_meta_graph=False)
    state = path / "checkpoint"
    state.write_text(state.read_text().replace(str(FOLDER), "/train_logs"))


def logits_of(prefix, name_in_checkpoint=lambda name: name):
    with tf.Graph().as_default(), tf.Session() as session:
        run = inference()
        names = {name_in_checkpoint(v.op.name): v for v in slim.get_model_variables()}
        slim.assign_from_checkpoint_fn(str(prefix), names)(session)
        return run(session)


def main():
    if len(sys.argv) > 1:
        with np.load(FOLDER / "tf_slim_outputs.npz") as stored:
            np.testing.assert_allclose(logits_of(sys.argv[1]), stored["logits"], rtol=1e-6)
        print(f"{sys.argv[1]}: TF-Slim restores it, and its logits are the same")
        return
    for version, folder in (
        (tf.train.SaverDef.V1, "tf_slim_v1"),
        (tf.train.SaverDef.V2, "tf_slim_v2"),
    ):
        with tf.Graph().as_default():
            train(version, folder)
    prefix = FOLDER / "tf_slim_v2" / "model.ckpt-5"
    np.savez(
        FOLDER / "tf_slim_outputs.npz",
        images=IMAGES,
        logits=logits_of(prefix),
        logits_of_averages=logits_of(prefix, lambda name: f"{name}/ExponentialMovingAverage"),
    )


if __name__ == "__main__":
    main()
