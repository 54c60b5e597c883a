"""Makes `nets/*.json`, the golden trees of the networks, and `nets/values/*.json`, their numbers.

Usage, with the Python of an environment that has TF-Slim and its numeric oracle:

    ORACLE=<folder of oracle.py> python tests/golden/make_nets.py [NAME ...]

The networks are listed in `net_cases/`, a file a family, whose tables hold

    TREES = {name: (builder, input shape, classes)}
    VALUES = {name: (builder, input shape, classes, whether training[, only])}

with builders `(images, num_classes, is_training) -> (logits, end_points)`. Those that are not in
TF-Slim's package come from research/slim of tensorflow/models (tested: July 2020), whose folder
the environment variable RESEARCH_SLIM names.

A tree lists every variable of a network at its default size as `[name, shape, dtype, trainable]`
in creation order, with the number of parameters and of regularization losses. A values file
describes what a network computes when its input and variables are seeded: of each array
its shape, mean, standard deviation, first values and projection on a seeded random direction
(which any two swapped values change). In training these are also the gradients and the moving
statistics after the step, where `only` is given of the variables whose names that regular
expression is found in; nothing may be dropped then.
"""

import importlib.util
import json
import os
import pathlib
import re
import sys
import types

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle
import recipe

tf = oracle.tf

FOLDER = pathlib.Path(__file__).parent / "nets"
SEED = 0


def find_research_slim():
    """Makes `nets` importable from research/slim, which wants TensorFlow 1's contrib."""

    class HParams(types.SimpleNamespace):
        def set_hparam(self, name, value):
            setattr(self, name, value)

    training = types.ModuleType("tensorflow.contrib.training")
    training.HParams = HParams
    contrib = types.ModuleType("tensorflow.contrib")
    contrib.training = training
    sys.modules |= {contrib.__name__: contrib, training.__name__: training}
    np.int = int  # which MobileNet V3 asks for and NumPy has no longer
    if "RESEARCH_SLIM" in os.environ:
        sys.path.insert(0, os.environ["RESEARCH_SLIM"])


def load_cases():
    """All `TREES` and all `VALUES`; of a family whose source is not there, none."""
    trees, values = {}, {}
    for path in sorted((FOLDER.parent / "net_cases").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"net_cases_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as error:
            print(f"{path.name} left out: {error}; set RESEARCH_SLIM")
            continue
        trees |= module.TREES
        values |= module.VALUES
    return trees, values


def tree(build, shape, num_classes):
    with tf.Graph().as_default():
        build(tf.placeholder(tf.float32, shape), num_classes, False)
        trainable = tf.trainable_variables()
        losses = len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        variables = [
            [v.op.name, v.shape.as_list(), v.dtype.base_dtype.name, v in trainable]
            for v in tf.global_variables()
        ]
    sizes = [int(np.prod(shape)) for _, shape, _, _ in variables]
    return {
        "image_shape": shape[1:],
        "num_classes": num_classes,
        "num_variables": len(variables),
        "num_parameters": sum(sizes),
        "num_regularization_losses": losses,
        "variables": variables,
    }


def rounded(number):
    """To the eight digits that float32 numbers may need."""
    return float(f"{number:.8g}")


def describe(array, num_first=8):
    array = np.asarray(array, np.float64)
    direction = recipe.uniform(SEED, "projection", array.shape, -1, 1).astype(np.float64)
    return {
        "shape": list(array.shape),
        "mean": rounded(array.mean()),
        "std": rounded(array.std()),
        "projection": rounded((array * direction).sum() / np.sqrt(array.size)),
        "first": [rounded(value) for value in array.ravel()[:num_first]],
    }


def values(build, shape, num_classes, is_training, only=""):
    out = oracle.run_net(
        lambda images, training: build(images, num_classes, training),
        shape,
        seed=SEED,
        train=is_training,
    )
    described = {
        "input_shape": shape,
        "num_classes": num_classes,
        "seed": SEED,
        "input": describe(out["input"]),
        "end_points": {name: describe(value) for name, value in out["end_points"].items()},
        "logits": describe(out["logits"]),
    }
    if is_training:
        described |= {
            "labels": out["labels"].tolist(),
            "loss": float(out["loss"]),
            "regularization_loss": float(out["reg_loss"]),
        }
        if only:
            described["only"] = only
        for key, group in (("gradients", out["grads"]), ("updated", out["updated"])):
            kept = {k: describe(v, 2) for k, v in group.items() if re.search(only, k)}
            if kept:
                described[key] = kept
    return described


def write(path, content):
    """JSON with one entry of every list of variables and of every table on a line."""
    lines = []
    for key, value in content.items():
        if isinstance(value, dict) and any(isinstance(v, dict) for v in value.values()):
            rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
        elif key == "variables":
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            lines.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(path.relative_to(FOLDER), f"{path.stat().st_size:,} bytes")


def main(wanted):
    find_research_slim()
    trees, values_of = load_cases()
    for name in set(wanted) - trees.keys() - values_of.keys():
        sys.exit(f"there is no case {name!r}: {', '.join([*trees, *values_of])}")
    for name, case in trees.items():
        if not wanted or name in wanted:
            write(FOLDER / f"{name}.json", tree(*case))
    for name, case in values_of.items():
        if not wanted or name in wanted:
            write(FOLDER / "values" / f"{name}.json", values(*case))


if __name__ == "__main__":
    main(sys.argv[1:])
