"""Every layer against TF-Slim's own numbers, stored by `golden/make_layers.py`."""

import json
import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layer_checks import jit

import jslim as slim

RELATIVE = 1e-5
GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "layers"
DATA = {}  # {case: the numbers of its file}
INDEX = {}  # {case: its code, and where in them its arrays are}
for path in sorted(GOLDEN.glob("*.npz")):
    file = dict(np.load(path))
    cases = json.loads(str(file["index"]))
    assert not INDEX.keys() & cases.keys(), f"{path} has cases of another file"
    INDEX |= cases
    DATA |= dict.fromkeys(cases, file["data"])


def arrays_of(case):
    """`{key: array}` of a case, as the script's docstring lists them."""

    def unpack(offset, shape, dtype):
        flat = DATA[case][offset : offset + int(np.prod(shape))]
        return flat.reshape(shape).astype(dtype)

    return {key: unpack(*place) for key, place in INDEX[case]["arrays"].items()}


def part(arrays, prefix):
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def model_of(case):
    """The code of a case as a model function of its inputs by name."""
    code = INDEX[case]["code"]
    compiled = compile(code if "y = " in code else f"y = {code}", case, "exec")

    def run(**inputs):
        names = dict(inputs, slim=slim, tanh=jnp.tanh)
        exec(compiled, names)
        return names["y"]

    return slim.Model(run)


def assert_close(actual, expected, what, terms=()):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    # Relative to the largest number of the array, or of the terms of its sums where these cancel.
    largest = max(np.abs(array).max(initial=0.0) for array in (expected, *terms))
    np.testing.assert_allclose(actual, expected, RELATIVE, RELATIVE * largest, err_msg=what)


@pytest.mark.long
@pytest.mark.parametrize("case", INDEX)
def test_layer_equals_tf_slim(case):
    arrays = arrays_of(case)
    model = model_of(case)
    inputs = part(arrays, "in/")
    expected = part(arrays, "vars/")
    made = jax.eval_shape(model.init, jax.random.key(0), **inputs)
    names = {c: flax.traverse_util.flatten_dict(tree, sep="/") for c, tree in made.items()}
    shapes = {name: leaf.shape for leaves in names.values() for name, leaf in leaves.items()}
    assert shapes == {name: array.shape for name, array in expected.items()}

    variables = {
        collection: flax.traverse_util.unflatten_dict(
            {name: jnp.asarray(expected[name]) for name in leaves}, sep="/"
        )
        for collection, leaves in names.items()
    }
    floating = {k: v for k, v in inputs.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    ct = arrays.get("ct")
    wanted = [v for k, v in arrays.items() if k == "output" or k.startswith("output/")]

    def objective(params, floating):
        output, updates = model.apply(
            {**variables, "params": params},
            **{**inputs, **floating},
            mutable=["batch_stats", "regularization_losses"],
        )
        outputs = output if isinstance(output, tuple) else (output,)
        return (0.0 if ct is None else jnp.sum(outputs[0] * ct)), (outputs, updates)

    gradient = jit(jax.grad(objective, argnums=(0, 1), has_aux=True))
    (by_params, by_inputs), (outputs, updates) = gradient(variables.get("params", {}), floating)
    for output, array in zip(outputs, wanted, strict=True):
        assert output.dtype == array.dtype
        assert_close(output, array, "output")
    penalties = jax.tree.leaves(updates.get("regularization_losses", {}))
    assert ("reg_loss" in arrays) == bool(penalties)
    if penalties:
        assert_close(sum(penalties), arrays["reg_loss"], "reg_loss")

    moving = flax.traverse_util.flatten_dict(updates.get("batch_stats", {}), sep="/")
    for name, array in part(arrays, "updated/").items():
        if name in names.get("batch_stats", {}):
            assert_close(moving[name], array, f"updated {name}")
    trained = part(arrays, "grad/")
    for name, array in flax.traverse_util.flatten_dict(by_params, sep="/").items():
        # What is not trainable has no gradient there, and a gradient of zero here.
        assert_close(array, trained.get(name, np.zeros(array.shape)), f"gradient by {name}", [ct])
    for name, array in part(arrays, "grad_in/").items():
        assert_close(by_inputs[name], array, f"gradient by input {name}", [ct])
