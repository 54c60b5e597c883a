"""Makes optimize_loss.npz: steps of TF-Slim's optimize_loss, with every option that has numbers.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_optimize_loss.py

The model is `mean((x w + b - y) ** 2)` with a batch a step. `index` is a JSON text, `{case:
arguments}`; the arrays are `x`, `y`, `w`, `b`, and `CASE/loss`, `CASE/w`, `CASE/b` after each
step, for adaptive clipping also `CASE/mean` and `CASE/sq_mean`; and `CASE/summary/TAG` of the
scalars of each step.
"""

import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
from oracle import slim, tf

STEPS = 6
NAMES = ["Adagrad", "Adam", "Ftrl", "Momentum", "RMSProp", "SGD"]
CASES = {name: {"optimizer": name, "learning_rate": 0.1} for name in NAMES} | {
    "clip": {"optimizer": "SGD", "learning_rate": 0.1, "clip_gradients": 0.5},
    "clip_loose": {"optimizer": "Adam", "learning_rate": 0.1, "clip_gradients": 100.0},
    "multipliers": {
        "optimizer": "Momentum",
        "learning_rate": 0.1,
        "gradient_multipliers": {"linear/weights:0": 0.25, "linear/biases:0": 3.0},
        "clip_gradients": 2.0,
    },
    "decay": {"optimizer": "RMSProp", "learning_rate": 0.2, "decay": 0.5},
    "no_noise": {"optimizer": "SGD", "learning_rate": 0.1, "gradient_noise_scale": 0.0},
    "variables": {"optimizer": "SGD", "learning_rate": 0.1, "variables": ["linear/weights"]},
    "adaptive": {"optimizer": "SGD", "learning_rate": 0.1, "adaptive": {}},
    "adaptive_options": {
        "optimizer": "SGD",
        "learning_rate": 0.1,
        "adaptive": {
            "std_factor": 0.1,
            "decay": 0.7,
            "static_max_norm": 1.5,
            "global_step": True,
            "report_summary": True,
            "epsilon": 1e-3,
        },
    },
    "every_summary": {
        "optimizer": "SGD",
        "learning_rate": 0.1,
        "decay": 0.5,
        "clip_gradients": 0.5,
        "name": "mine",
        "summaries": [
            "learning_rate",
            "loss",
            "gradients",
            "gradient_norm",
            "global_gradient_norm",
        ],
    },
}


def run(case, data):
    case = dict(case)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, data["x"].shape[1:])
        y = tf.placeholder(tf.float32, data["y"].shape[1:])
        step = slim.get_or_create_global_step()
        with tf.variable_scope("linear"):
            w = slim.model_variable("weights", initializer=data["w"])
            b = slim.model_variable("biases", initializer=data["b"])
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b - y))
        fetched = {"w": w, "b": b}
        decay = case.pop("decay", None)
        if decay:
            case["learning_rate_decay_fn"] = lambda rate, step: tf.train.exponential_decay(
                rate, step, 2, decay, staircase=True
            )
        adaptive = case.pop("adaptive", None)
        if adaptive is not None:
            adaptive = dict(adaptive)
            if adaptive.get("global_step"):
                adaptive["global_step"] = step
            case["clip_gradients"] = slim.adaptive_clipping_fn(**adaptive)
        if "variables" in case:
            case["variables"] = [w]
        train = slim.optimize_loss(loss, step, **case)
        if adaptive is not None:
            for name in ("mean", "sq_mean"):
                (found,) = [
                    v
                    for v in tf.global_variables()
                    if v.op.name.endswith(f"AdaptiveMaxNorm/{name}")
                ]
                fetched[name] = found
        merged = tf.summary.merge_all()
        session.run(tf.global_variables_initializer())
        trace = {}
        tags = set()
        for i in range(STEPS):
            feed = {x: data["x"][i], y: data["y"][i]}
            value, text = session.run([train, merged], feed)
            values = {"loss": value, **session.run(fetched)}
            assert session.run(step) == i + 1
            for summary in tf.Summary.FromString(text).value:
                # The graph has a variable `learning_rate`, so the summary's name is numbered.
                tag = summary.tag.replace("learning_rate_1", "learning_rate")
                tags.add(tag)
                if summary.HasField("simple_value"):
                    values[f"summary/{tag}"] = np.float32(summary.simple_value)
            for name, array in values.items():
                trace.setdefault(name, []).append(array)
        return {name: np.stack(arrays) for name, arrays in trace.items()}, sorted(tags)


def main():
    rng = np.random.RandomState(5)
    scales = np.array([1.0, 0.5, 3.0, 1.0, 6.0, 1.0])[:, None, None]
    data = {
        "x": (scales * rng.normal(size=(STEPS, 5, 3))).astype(np.float32),
        "y": rng.normal(size=(STEPS, 5, 2)).astype(np.float32),
        "w": rng.normal(size=(3, 2)).astype(np.float32),
        "b": rng.normal(size=(2,)).astype(np.float32),
    }
    arrays, index = dict(data), {}
    for name, case in CASES.items():
        trace, tags = run(case, data)
        index[name] = {"arguments": case, "tags": tags}
        arrays |= {f"{name}/{key}": value for key, value in trace.items()}
        assert np.isfinite(trace["w"]).all(), name
    path = pathlib.Path(__file__).with_name("optimize_loss.npz")
    np.savez_compressed(path, index=json.dumps(index), **arrays)
    print(f"{path.name}: {len(index)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
