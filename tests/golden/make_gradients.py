"""Makes gradients.npz: gradients of tests/compat/gradient_network.py, by TensorFlow.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_gradients.py

The moving averages are those after one step.
"""

import os
import pathlib
import sys
import types

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [os.environ["ORACLE"], str(HERE.parent / "compat")]
import oracle  # noqa: E402

tf = oracle.tf


def use_old_names():
    """Puts TensorFlow's old names where an old file looks for them."""
    tf.contrib = types.ModuleType("tensorflow.contrib")
    tf.contrib.slim = oracle.slim
    old = {"": tf, ".contrib": tf.contrib, ".contrib.slim": oracle.slim}
    sys.modules.update({f"tensorflow{name}": module for name, module in old.items()})


def computed(is_training):
    """`{name: array}`: gradients, end points, the losses and the moving averages after a step."""
    import gradient_network as old

    with tf.Graph().as_default(), tf.Session() as session:
        end_points = old.network(tf.constant(old.IMAGES, tf.float32), is_training)
        regularization = tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        loss = old.loss_of(end_points)
        variables = tf.trainable_variables()
        gradients = tf.gradients(loss + regularization, variables)
        found = {f"grad/{v.op.name}": g for v, g in zip(variables, gradients, strict=True)}
        found |= {f"end/{name}": array for name, array in end_points.items()}
        found |= {"loss": loss, "regularization": regularization}
        for v in tf.global_variables():
            v.load(old.value_of(v.op.name, v.shape.as_list()), session)
        arrays = session.run(found)
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        moving = [v for v in tf.global_variables() if v not in variables]
        return arrays | {f"moved/{v.op.name}": v.eval() for v in moving}


def make():
    use_old_names()
    arrays = {}
    for mode, is_training in (("train", True), ("eval", False)):
        arrays |= {f"{mode}/{name}": value for name, value in computed(is_training).items()}
    np.savez_compressed(HERE / "gradients.npz", **arrays)
    print(len(arrays), "arrays")


if __name__ == "__main__":
    make()
