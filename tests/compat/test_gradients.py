"""Gradients of an old network as it stands are TensorFlow's, and averages after a step."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
GOLDEN = np.load(HERE.parent / "golden" / "gradients.npz")

PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
import jslim as slim
import jslim.compat

jslim.compat.install()
sys.path.insert(0, sys.argv[1])
import gradient_network as old

def flat(tree, kind):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {kind + "/" + "/".join(part.key for part in path): leaf for path, leaf in leaves}

found = {}
images = jnp.asarray(old.IMAGES, jnp.float32)
for mode, is_training in (("train", True), ("eval", False)):
    def model(images):
        end_points = old.network(images, is_training)
        regularization = slim.losses.get_total_loss()
        return old.loss_of(end_points), regularization, end_points

    made = slim.Model(model)
    shapes = jax.eval_shape(made.init, jax.random.key(0), images)
    values = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(
            old.value_of("/".join(part.key for part in path[1:]), leaf.shape), leaf.dtype),
        shapes)

    def total(params):
        given = {**values, "params": params}
        (loss, regularization, end_points), updated = made.apply(
            given, images, mutable=["batch_stats"])
        return loss + regularization, (loss, regularization, end_points, updated)

    (_, aux), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(values["params"])
    loss, regularization, end_points, updated = aux
    moved = {**values["batch_stats"], **updated.get("batch_stats", {})}
    arrays = {**flat(gradients, "grad"), **flat(moved, "moved"), "loss": loss,
              "regularization": regularization,
              **{f"end/{name}": array for name, array in end_points.items()}}
    found |= {f"{mode}/{name}": array for name, array in arrays.items()}
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What jslim computes of the file as it stands, in a process of its own."""
    path = tmp_path_factory.mktemp("gradients") / "found.npz"
    words = [sys.executable, "-c", PROGRAM, str(HERE), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert path.exists(), done.stderr
    return np.load(path)


def test_the_names_are_tensorflows(found):
    assert sorted(found.files) == sorted(GOLDEN.files)


@pytest.mark.parametrize("name", GOLDEN.files)
def test_the_array_is_tensorflows(found, name):
    """Of each array its largest element is the measure."""
    expected = GOLDEN[name]
    np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-4 * np.abs(expected).max())
