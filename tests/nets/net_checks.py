"""Shared by the tests of the networks: seeded values, golden files, and their comparison."""

import functools
import hashlib
import json
import math
import os
import pathlib
import re
from typing import NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim.core.model import shapes_of

# Most of the time of a test goes into compiling a network that runs once.
FAST_COMPILATION = {"xla_backend_optimization_level": 0}
# For the training of a network of which another test compares the forward values: it takes half a
# minute to compile.
if_every_network = pytest.mark.skipif(
    not os.environ.get("JSLIM_EVERY_NETWORK"), reason="JSLIM_EVERY_NETWORK is not set"
)
GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "nets"
# Standard deviation times root of fan-in of weights that keep the scale of values under relu.
_GAIN = math.sqrt(2.0)
# The standard deviation of a normal distribution that is cut off at 2 standard deviations.
CUT_OFF = 0.8796


def uniform(seed, name, shape, low, high):
    """Float32 values in [low, high) that depend on the seed and the name alone."""
    key = np.frombuffer(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "<u4")
    random = np.random.RandomState(key)
    result = np.empty(math.prod(shape), np.float32)
    for part in np.array_split(result, 1 + result.size // 1_000_000):  # spares a copy in float64
        part[:] = random.random_sample(part.size) * (high - low) + low
    return result.reshape(shape)


def seeded_value(seed, name, shape):
    """The value of a variable: near one or near zero by its last name, weights by fan-in."""
    leaf = name.split("/")[-1]
    if leaf == "moving_variance":
        return uniform(seed, name, shape, 0.5, 1.5)
    if leaf == "gamma":
        return uniform(seed, name, shape, 0.7, 1.3)
    if leaf in ("beta", "biases", "moving_mean"):
        return uniform(seed, name, shape, -0.2, 0.2)
    if len(shape) < 2:
        return uniform(seed, name, shape, -0.5, 0.5)
    taps = shape[:-2] if leaf == "depthwise_weights" else shape[:-1]
    limit = _GAIN * math.sqrt(3.0 / math.prod(taps))
    return uniform(seed, name, shape, -limit, limit)


def load_tree(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def load_values(name):
    return json.loads((GOLDEN / "values" / f"{name}.json").read_text())


def seeded_input(golden):
    images = uniform(golden["seed"], "input", golden["input_shape"], -1.0, 1.0)
    assert_described(images, golden["input"], "input")  # the recipe is the golden file's
    return jnp.asarray(images)


def seeded_variables(model, images, seed=0):
    """The variables of a model with seeded values, and no work spent on initial ones."""
    shapes = shapes_of(model.init, jax.random.key(0), images)
    return {collection: filled(tree, seed) for collection, tree in shapes.items()}


def filled(tree, seed=0):
    """Seeded values for a tree of shapes."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    values = {
        name: jnp.asarray(seeded_value(seed, name, v.shape), v.dtype) for name, v in flat.items()
    }
    return flax.traverse_util.unflatten_dict(values, sep="/")


def assert_described(array, expected, what, times=1.0):
    """Compares an array with its golden description, to 1e-4 of its root mean square."""
    array = np.asarray(array, np.float64)
    assert list(array.shape) == expected["shape"], what
    direction = uniform(0, "projection", array.shape, -1, 1).astype(np.float64)
    found = [
        array.mean(),
        array.std(),
        (array * direction).sum() / np.sqrt(array.size),
        *array.ravel()[: len(expected["first"])],
    ]
    wanted = [expected[key] for key in ("mean", "std", "projection")] + expected["first"]
    tolerance = 1e-4 * times * root_mean_square(expected)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance, err_msg=what)


def root_mean_square(expected):
    return math.hypot(expected["mean"], expected["std"])


def assert_outputs(logits, end_points, golden):
    """The logits and every end point, in order, are the golden ones."""
    assert list(end_points) == list(golden["end_points"])
    for name, value in end_points.items():
        # A softmax makes of an error of the logits a relative one of the probabilities, so it
        # grows with the size of the logits: float32 rounds those of 24 by 7e-5 on some processors.
        times = max(1.0, root_mean_square(golden["logits"])) if name == "Predictions" else 1.0
        assert_described(value, golden["end_points"][name], name, times)
    assert_described(logits, golden["logits"], "logits")


def run(model, variables, images, seed=None, **kwargs):
    """The outputs of the compiled model, with end points in their order (jit sorts a dict)."""
    names = []
    rngs = None if seed is None else {"dropout": jax.random.key(seed)}

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def compiled(variables, images, rngs):
        logits, end_points = model.apply(variables, images, rngs=rngs, **kwargs)
        names[:] = end_points
        return logits, list(end_points.values())

    logits, values = compiled(variables, images, rngs)
    return logits, dict(zip(names, values, strict=True))


def shapes(fn, *image_shape):
    """`fn(images)` of images of that shape, as shapes and types alone."""
    model = slim.Model(fn)
    images = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    tree = shapes_of(model.init, jax.random.key(0), images)
    names = []

    def apply(variables, images):
        logits, end_points = model.apply(variables, images)
        names[:] = end_points
        return logits, end_points

    logits, end_points = jax.eval_shape(apply, tree, images)
    return logits, {name: end_points[name] for name in names}


def initial_values(fn, *image_shape, pattern=""):
    """`{name: (first value, standard deviation)}` of the variables as `fn` makes them."""

    def recording(images):
        fn(images)
        return slim.get_model_variables(pattern)

    @jax.jit  # so that nothing but those variables is computed
    def summary(images):
        values, _ = slim.Model(recording).init_with_output(jax.random.key(0), images)
        return {name: (value.ravel()[0], jnp.std(value)) for name, value in values.items()}

    found = summary(jnp.zeros(image_shape))
    return {name: (float(first), float(stddev)) for name, (first, stddev) in found.items()}


class Structure(NamedTuple):
    """What a network makes, found without computing anything."""

    variables: list[list[object]]  # `[name, shape, dtype, trainable]` in creation order
    num_losses: int  # the regularization losses within the network
    shapes: dict[str, object]  # the tree of the variables


def structure(network_fn, image_shape):
    """The `Structure` of a network, by its initialization alone."""
    variables, num_losses = [], []

    def recording(images):
        network_fn(images)
        trainable = slim.get_trainable_variables()
        variables[:] = [
            [name, list(v.shape), v.dtype.name, name in trainable]
            for name, v in slim.get_model_variables().items()
        ]
        num_losses[:] = [len(slim.losses.get_regularization_losses())]

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = shapes_of(slim.Model(recording).init, jax.random.key(0), images)
    return Structure(variables, num_losses[0], shapes)


def num_collected_losses(network_fn, shapes, image_shape):
    """How many regularization losses a network collects that is applied to variables."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    model = slim.Model(network_fn)

    def losses(tree, images):
        rngs = {"dropout": jax.random.key(0)}  # where there is dropout at inference too
        return model.apply(tree, images, mutable=["regularization_losses"], rngs=rngs)[1]

    collected = jax.eval_shape(losses, shapes, images).get("regularization_losses", {})
    return len(jax.tree.leaves(collected))


def check_training_in_float64(network_fn, golden, level=0):
    """`check_training`, for deep networks with batch normalization.

    Random weights make chaotic networks of these: a rounding error of float32 in the first layer
    flips activations in the later ones, and the gradients of the first layers have no digit left.
    TensorFlow's batch normalization is not fused in float64: pass `fused=False` here. Convolutions
    of float64 take ten times as long at the `level` 0 of optimization: pass 1 where they are wide.
    """
    with jax.enable_x64(True):
        check_training(lambda images: network_fn(images.astype(jnp.float64)), golden, level)


def check_training(network_fn, golden, level=0):
    """A training step's outputs, losses, gradients and moving statistics are the golden ones.

    The loss is the mean cross entropy of the logits and 0.4 times that of auxiliary ones.
    """
    images = seeded_input(golden)
    model = slim.Model(network_fn)
    variables = seeded_variables(model, images)
    labels = jnp.asarray(golden["labels"])
    names = []
    params = flax.traverse_util.flatten_dict(variables["params"], sep="/")

    def cross_entropy(logits):
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -jnp.mean(chosen)

    def compared(values):
        return {n: v for n, v in values.items() if re.search(golden.get("only", ""), n)}

    def total(changed, rest):
        params = flax.traverse_util.unflatten_dict({**rest, **changed}, sep="/")
        (logits, end_points), updates = model.apply(
            {**variables, "params": params},
            images,
            mutable=["regularization_losses", "batch_stats"],
        )
        names[:] = end_points
        loss = cross_entropy(logits)
        if "AuxLogits" in end_points:
            loss += 0.4 * cross_entropy(end_points["AuxLogits"])
        penalties = updates.pop("regularization_losses", {})
        penalty = sum(jax.tree.leaves(penalties), start=jnp.zeros(()))
        moved = flax.traverse_util.flatten_dict(updates.get("batch_stats", {}), sep="/")
        outputs = logits, list(end_points.values()), loss, penalty, compared(moved)
        return loss + penalty, outputs

    # Most of the time of such a test goes into compiling: no gradients that are not compared.
    changed = compared(params)
    rest = {name: value for name, value in params.items() if name not in changed}
    options = {"xla_backend_optimization_level": level}
    gradient = jax.jit(jax.grad(total, has_aux=True), compiler_options=options)
    gradients, (logits, values, loss, penalty, updated) = gradient(changed, rest)
    assert_outputs(logits, dict(zip(names, values, strict=True)), golden)
    np.testing.assert_allclose(loss, golden["loss"], rtol=1e-4)
    np.testing.assert_allclose(penalty, golden["regularization_loss"], rtol=1e-4)
    for found, key in ((gradients, "gradients"), (updated, "updated")):
        assert set(found) == set(golden.get(key, ()))
        for name, value in found.items():
            assert_described(value, golden[key][name], f"{key}: {name}")
