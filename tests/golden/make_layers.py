"""Makes layers/SUBJECT.npz: what TF-Slim's layers compute, and their gradients.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_layers.py [SUBJECT ...]

A subject is a file of `layer_cases/`; without one all are made. Its `CASES` are pairs of inputs by
name (a shape, to be filled with seeded numbers from -1 to 1, or a list of integers, or an array)
and of cases by name. A case is Python code that means the same in TF-Slim and in jslim, given
`slim`, `tanh` and the inputs: an expression, or statements that set `y`, an array or a tuple of
them; or a pair of such codes, jslim's and what equals it in TF-Slim and `tf`. The file holds
`index`, a JSON text
`{case: {"code": ..., "arrays": {key: [offset, shape, dtype]}}}`, and `data`, one float32 vector
that the offsets point into. The keys of a case:

    in/NAME       inputs
    vars/NAME     every variable, by its TensorFlow name
    output        the result (output/0, ... of a tuple)
    reg_loss      sum of the regularization losses, where there are any
    updated/NAME  the variables that are not trained, after one step
    ct            a cotangent for the output (the first of a tuple), and with it
    grad_in/NAME  the gradient of sum(output * ct) by an input, and
    grad/NAME     by a trained variable
"""

import importlib.util
import json
import os
import pathlib
import sys
from typing import Any

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle
import recipe

HERE = pathlib.Path(__file__).parent


def cases_of(subject: str) -> list[tuple[dict[str, Any], dict[str, str | tuple[str, str]]]]:
    path = HERE / "layer_cases" / f"{subject}.py"
    spec = importlib.util.spec_from_file_location(subject, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASES


def value_of(name: str, given: Any) -> np.ndarray:
    if isinstance(given, tuple):
        return recipe.uniform(0, "in:" + name, given, -1, 1)
    return np.array(given, np.int32) if isinstance(given, list) else given


def compute(subject: str) -> dict[str, tuple[str, dict[str, np.ndarray]]]:
    """`{case: (code, arrays)}` for every case."""
    results = {}
    for given, cases in cases_of(subject):
        inputs = {name: value_of(name, value) for name, value in given.items()}
        for name, codes in cases.items():
            code, original = (codes, codes) if isinstance(codes, str) else codes
            setting = original if "y = " in original else f"y = {original}"
            results[name] = code, oracle.run_layer(f"tanh = tf.tanh\n{setting}", inputs)
    return results


def make(subject: str) -> None:
    index: dict[str, dict] = {}
    pieces: list[np.ndarray] = []
    offsets: dict[bytes, int] = {}  # equal arrays (inputs, cotangents) are stored once
    size = 0
    for name, (code, arrays) in compute(subject).items():
        places = {}
        for key, array in sorted(arrays.items()):
            flat = np.asarray(array, np.float32).ravel()
            if flat.tobytes() not in offsets:
                offsets[flat.tobytes()] = size
                pieces.append(flat)
                size += flat.size
            places[key] = [offsets[flat.tobytes()], list(array.shape), array.dtype.name]
        index[name] = {"code": code, "arrays": places}
    path = HERE / "layers" / f"{subject}.npz"
    np.savez_compressed(path, data=np.concatenate(pieces), index=np.array(json.dumps(index)))
    print(f"{path.name}: {len(index)} cases, {size} numbers, {path.stat().st_size:,} bytes")


def main() -> None:
    every = sorted(path.stem for path in (HERE / "layer_cases").glob("*.py"))
    for subject in sys.argv[1:] or every:
        make(subject)


if __name__ == "__main__":
    main()
