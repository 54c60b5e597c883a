"""Makes migration.json: the numbers behind what docs/migration.md says about training.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_migration.py
"""

import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
from oracle import slim, tf

STEPS = 3
RNG = np.random.RandomState(3)
DATA = {
    "x": (5 + 3 * RNG.normal(size=(STEPS, 8, 3))).round(3).tolist(),
    "y": RNG.normal(size=(STEPS, 8, 2)).round(3).tolist(),
    "z": RNG.normal(size=(STEPS, 8, 3)).round(3).tolist(),
    "w": RNG.normal(size=(3, 2)).round(3).tolist(),
}
RATES = [0.1, 0.05, 0.2]


def array(name):
    return np.array(DATA[name], np.float32)


def loss_of(x, y, is_training=True, decay=0.5, regularizer=None):
    net = slim.fully_connected(
        x,
        2,
        activation_fn=None,
        scope="fc",
        biases_initializer=None,
        weights_initializer=tf.constant_initializer(array("w")),
        weights_regularizer=regularizer,
    )
    net = slim.batch_norm(net, decay=decay, is_training=is_training, scope="bn")
    slim.losses.mean_squared_error(net, y)
    return net


def session(build):
    with tf.Graph().as_default(), tf.Session() as opened:
        x, y = (tf.placeholder(tf.float32, array(name).shape[1:]) for name in "xy")
        step = build(opened, x, y)
        opened.run(tf.global_variables_initializer())
        return [step(i, {x: array("x")[i], y: array("y")[i]}) for i in range(STEPS)]


def batch_norm(update_ops, **options):
    def build(opened, x, y):
        loss_of(x, y, **options)
        (mean,) = slim.get_variables_by_suffix("moving_mean")
        op = slim.learning.create_train_op(
            tf.losses.get_total_loss(), tf.train.GradientDescentOptimizer(0.1), **update_ops
        )
        return lambda i, feed: [float(opened.run(op, feed)), opened.run(mean).tolist()]

    return session(build)


def averages(num_updates):
    """The average of one weight after each step, with gradient descent on (w - x)^2."""

    def build(opened, x, y):
        w = tf.get_variable("w", [], initializer=tf.constant_initializer(1.0))
        step = slim.get_or_create_global_step()
        # Fed, since a read of the variable can be moved behind the step.
        count = tf.placeholder_with_default(0.0, [])
        op = tf.train.GradientDescentOptimizer(0.1).minimize(tf.square(w), global_step=step)
        with tf.control_dependencies([op]):
            average = tf.train.ExponentialMovingAverage(
                0.99, num_updates=None if num_updates == "none" else count
            )
            move = average.apply([w])

        def run(i, feed):
            opened.run(move, {count: i + (num_updates == "after")})
            return float(opened.run(average.average(w)))

        return run

    return session(build)


def rates():
    def build(opened, x, y):
        loss_of(x, y)
        rate = tf.placeholder(tf.float32, [])
        op = slim.learning.create_train_op(
            tf.losses.get_total_loss(), tf.train.MomentumOptimizer(rate, 0.9)
        )
        return lambda i, feed: float(opened.run(op, {**feed, rate: RATES[i]}))

    return session(build)


def regularization():
    def build(opened, x, y):
        loss_of(x, y, regularizer=slim.l2_regularizer(0.1))
        losses = tf.losses.get_losses()
        regularizations = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        fetched = [tf.add_n(losses), tf.add_n(regularizations), tf.losses.get_total_loss()]
        return lambda i, feed: [float(value) for value in opened.run(fetched, feed)]

    return session(build)


def two_optimizers():
    """A discriminator and a generator in turns, by two optimizers on one graph."""

    def build(opened, x, y):
        z = tf.placeholder(tf.float32, array("z").shape[1:])
        constant = tf.constant_initializer

        def draw(noise):
            return slim.fully_connected(
                noise, 3, activation_fn=None, scope="generator", weights_initializer=constant(0.3)
            )

        def judge(images, reuse=None):
            return slim.fully_connected(
                images,
                1,
                activation_fn=None,
                scope="discriminator",
                reuse=reuse,
                weights_initializer=constant(0.2),
            )

        def entropy(logits, label):
            labels = tf.fill(tf.shape(logits), label)
            return tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=labels)
            )

        drawn = judge(draw(z))
        of_images = judge(x, reuse=True)
        judging = entropy(of_images, 1.0) + entropy(drawn, 0.0)
        drawing = entropy(drawn, 1.0)
        ops = [
            slim.learning.create_train_op(
                loss,
                tf.train.AdamOptimizer(0.05),
                global_step=None,
                variables_to_train=slim.get_variables(scope),
            )
            for loss, scope in ((judging, "discriminator"), (drawing, "generator"))
        ]

        def run(i, feed):
            feed = {**feed, z: array("z")[i]}
            return [float(opened.run(op, feed)) for op in ops]

        return run

    return session(build)


def main():
    made = {
        "data": DATA,
        "rates": RATES,
        "batch_norm": {
            "all": batch_norm({}),
            "no_update_ops": batch_norm({"update_ops": []}),
            "decay_1": batch_norm({}, decay=1.0),
            "not_training": batch_norm({}, is_training=False),
        },
        "averages": {name: averages(name) for name in ("none", "before", "after")},
        "inject": rates(),
        "regularization": regularization(),
        "two_optimizers": two_optimizers(),
    }
    pathlib.Path(__file__).with_name("migration.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
