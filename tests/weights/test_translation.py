"""Networks of timm and Keras give the same logits here, with their variables translated."""

import functools
import gzip
import json
import pathlib

import jax
import numpy as np
import pytest
from flax import traverse_util

import jslim as slim
from jslim.core.model import shapes_of
from jslim.nets import nets_factory
from jslim.weights import _translation
from tests.weights.random_arrays import images, random_arrays

QUICK = ("timm/tf_mobilenetv3_small_minimal_100", "keras/MobileNetV2")


@functools.cache
def golden():
    file = pathlib.Path(__file__).parent.parent / "golden" / "weights.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


def arrays_of(foreign):
    """Values for all variables of a network of another framework, by its names."""
    shapes = golden()[str(foreign)]["shapes"]
    return random_arrays(shapes, is_torch=foreign.framework == "timm")


def tree_of(variables):
    """Variables by name as a tree for `Model.apply`."""
    parts = {"params": {}, "batch_stats": {}}
    for name, value in variables.items():
        is_statistic = name.rsplit("/", 1)[1].startswith("moving_")
        parts["batch_stats" if is_statistic else "params"][name] = value
    return {kind: traverse_util.unflatten_dict(held, sep="/") for kind, held in parts.items()}


CASES = [
    pytest.param(f, id=str(f), marks=[] if str(f) in QUICK else [pytest.mark.long])
    for f in _translation.foreign_networks()
]


@pytest.mark.parametrize("foreign", CASES)
def test_translated_variables_give_their_logits(foreign):
    expected = golden()[str(foreign)]
    arrays = arrays_of(foreign)
    variables = _translation.to_tf_slim(foreign, arrays, "here")
    model = slim.Model(nets_factory.get_network_fn(foreign.network, 1000))
    batch = images(expected["side"])
    if foreign.model.startswith("VGG"):
        batch = batch[..., ::-1]  # Keras's takes BGR
    # With the auxiliary heads for images of this size, on which the logits do not depend.
    shapes = slim.get_variables(shapes_of(model.init, jax.random.key(0), batch))
    aux = {name: np.zeros(leaf.shape, np.float32) for name, leaf in shapes.items()}
    tree = tree_of({name: variables[name] if name in variables else aux[name] for name in shapes})
    logits = jax.jit(lambda tree, batch: model.apply(tree, batch)[0])(tree, batch)
    scale = np.abs(expected["logits"]).max()
    assert np.abs(logits[:, ::10] - np.array(expected["logits"])).max() <= 1e-4 * scale

    back = _translation.from_tf_slim(foreign.framework, foreign.model, variables)
    # Keras writes scopes before the layers of some networks.
    theirs = {"/".join(name.split("/")[-2:]): array.shape for name, array in arrays.items()}
    assert {name: array.shape for name, array in back.items()} == theirs
    again = _translation.to_tf_slim(foreign, back, "here")
    assert all(np.array_equal(again[name], variables[name]) for name in variables)
