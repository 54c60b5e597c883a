"""Makes compat_table.npz and compat_signatures.json, with TensorFlow 2.15's `compat.v1`.

    python tests/golden/make_compat.py table            # TensorFlow's Python, in the root
    python -m tests.compat.compat_names | python tests/golden/make_compat.py signatures

The table is tests/compat/compat_cases.py and compat_before_1.py. The signatures are those of the
functions that `jslim.compat.tf` has too: the first Python of the pipe has jslim, the second one
TensorFlow.
"""

import inspect
import json
import pathlib
import sys

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.util import tf_decorator

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "compat"))
from compat_before_1 import TODAY  # noqa: E402
from compat_cases import CASES, INPUTS, draw  # noqa: E402

tf.disable_v2_behavior()


def evaluated(expression):
    """The arrays that an expression gives, as a list."""
    with tf.Graph().as_default(), tf.Session() as session:
        names = {name: tf.constant(value) for name, value in INPUTS.items()}
        result = eval(expression, {"tf": tf, "np": np, "draw": draw, **names})
        session.run(tf.global_variables_initializer())
        leaves = tf.nest.flatten(result)
        return [np.asarray(session.run(leaf)) for leaf in leaves]


def default(value):
    """A default that JSON can hold; of other values the text says that there is one."""
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return list(map(default, value))
    return "object"


def signature(name):
    """`[[name, default], ...]` of the parameters of a function of TensorFlow, or None."""
    held = tf
    for part in name.split("."):
        held = getattr(held, part, None)
    if inspect.isclass(held):
        held = held.__init__
    if not callable(held):
        return None
    parameters = inspect.signature(tf_decorator.unwrap(held)[1]).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [[p.name, default(p.default)] for p in parameters if p.name != "self"]


def make_table():
    arrays, failed = {}, []
    for case, expression in (CASES | TODAY).items():
        try:
            results = evaluated(expression)
        except Exception as error:  # all of them are shown together
            failed.append(f"{case}: {type(error).__name__}: {str(error)[:300]}")
            continue
        for index, array in enumerate(results):
            arrays[f"{case.replace('/', '|')}/{index}"] = array
    if failed:
        sys.exit("\n".join(failed))
    np.savez_compressed(HERE / "compat_table.npz", **arrays)
    print(len(CASES | TODAY), "cases,", len(arrays), "arrays")


def make_signatures(names):
    found = {name: held for name in names if (held := signature(name)) is not None}
    lines = [f"{json.dumps(name)}: {json.dumps(held)}" for name, held in sorted(found.items())]
    (HERE / "compat_signatures.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(len(found), "of", len(names), "names")


if __name__ == "__main__":
    if sys.argv[1] == "table":
        make_table()
    else:
        make_signatures(sys.stdin.read().split())
