"""Every layer against Flax Linen's and, where they are installed, PyTorch's and TF-Slim's.

    python -m benchmarks.layers [PATTERN ...] [--pairs=9]

All sides get the same inputs and variables and are first checked to give the same outputs. A line
is a layer at one shape: milliseconds in jslim, and how many times as long it takes elsewhere,
forward and then forward with all gradients. A group's line is for its layers together, each as
often as it occurs in the network that the shapes are from.
"""

import argparse
import functools
import importlib.util
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

import jslim as slim
from benchmarks._layer_cases import CASES, Case

SHORTEST_SECS = 0.02  # a measurement repeats what is shorter than that
_SLIM_NAMES = {
    "kernel": "weights",
    "bias": "biases",
    "scale": "gamma",
    "mean": "moving_mean",
    "var": "moving_variance",
}
Run = Callable[[], Any]
Sides = dict[str, tuple[Run, Run]]  # for each: forward, and forward with gradients


def seeded_variables(case: Case, x: jax.Array) -> dict[str, Any]:
    model = slim.Model(case.slim)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda s: jnp.asarray(rng.uniform(0.5, 1.5, s.shape), s.dtype), shapes)


def by_last_name(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    flat = flatten_dict(variables, sep="/")
    return {name.rpartition("/")[2]: np.asarray(value) for name, value in flat.items()}


def linen_variables(case: Case, x: jax.Array, values: dict[str, np.ndarray]) -> dict[str, Any]:
    """The same values under Linen's names and, of depthwise kernels, in its shape."""
    shapes = jax.eval_shape(case.linen.init, jax.random.key(0), x)

    def value(path: tuple[str, ...], like: Any) -> jax.Array:
        name = _SLIM_NAMES[path[-1]]
        if name not in values:
            is_pointwise = len(like.shape) == 4 and like.shape[:2] == (1, 1)
            others = {"biases": "beta", "weights": "depthwise_weights"}
            name = "pointwise_weights" if is_pointwise else others[name]
        return jnp.asarray(values[name]).reshape(like.shape)

    flat = flatten_dict(shapes)
    return unflatten_dict({path: value(path, like) for path, like in flat.items()})


def jax_runs(apply: Callable[..., Any], variables: dict[str, Any], x: jax.Array) -> tuple[Run, Run]:
    params = variables.pop("params", {})

    def forward(params: Any, x: jax.Array) -> Any:
        return apply({"params": params, **variables}, x)

    def both(params: Any, x: jax.Array, cotangent: jax.Array) -> Any:
        output, pull, updates = jax.vjp(forward, params, x, has_aux=True)
        return output, updates, pull(cotangent)

    cotangent = jnp.ones(jax.eval_shape(forward, params, x)[0].shape)
    compiled = jax.jit(forward).lower(params, x).compile()
    compiled_both = jax.jit(both).lower(params, x, cotangent).compile()
    return (
        lambda: jax.block_until_ready(compiled(params, x)),
        lambda: jax.block_until_ready(compiled_both(params, x, cotangent)),
    )


def jslim_and_linen(case: Case, x: jax.Array) -> Sides:
    variables = seeded_variables(case, x)
    values = by_last_name(variables)
    model = slim.Model(case.slim)
    mutable = ["batch_stats"]
    return {
        "jslim": jax_runs(functools.partial(model.apply, mutable=mutable), variables, x),
        "linen": jax_runs(
            functools.partial(case.linen.apply, mutable=mutable),
            linen_variables(case, x, values),
            x,
        ),
    }


def torch_side(case: Case, x: jax.Array, values: dict[str, np.ndarray]) -> Sides:
    if case.torch is None or importlib.util.find_spec("torch") is None:
        return {}
    import torch

    def tensor(array: np.ndarray, is_image: bool = False) -> Any:
        found = torch.from_numpy(np.array(array))
        return found.contiguous(memory_format=torch.channels_last) if is_image else found

    def kernel(name: str, value: np.ndarray) -> np.ndarray:
        if value.ndim != 4:
            return value
        return value.transpose((2, 3, 0, 1) if name.startswith("depthwise") else (3, 2, 0, 1))

    is_image = x.ndim == 4
    images = tensor(np.asarray(x).transpose(0, 3, 1, 2) if is_image else x, is_image)
    weights = {
        name: tensor(kernel(name, value), value.ndim == 4).requires_grad_("moving" not in name)
        for name, value in values.items()
    }
    images.requires_grad_()

    def forward() -> Any:
        with torch.no_grad():
            output = case.torch(torch, weights, images)
        return output.numpy().transpose(0, 2, 3, 1) if is_image else output.numpy()

    cotangent = torch.ones_like(case.torch(torch, weights, images))
    leaves = [images, *(w for w in weights.values() if w.requires_grad)]

    def both() -> Any:
        return torch.autograd.grad(case.torch(torch, weights, images), leaves, cotangent)

    return {"torch": (forward, both)}


def tf_slim_side(case: Case, x: jax.Array, values: dict[str, np.ndarray]) -> Sides:
    if case.tf_slim is None or importlib.util.find_spec("tf_slim") is None:
        return {}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    import tensorflow.compat.v1 as tf
    import tf_slim

    graph = tf.Graph()
    with graph.as_default():
        images = tf.get_variable("x", initializer=np.asarray(x), use_resource=True)
        output = case.tf_slim(tf_slim, images)
        weights = {v.op.name.rpartition("/")[2]: v for v in tf_slim.get_model_variables()}
        gradients = tf.gradients(output, [images, *tf.trainable_variables()])
        gradients = [gradient for gradient in gradients if gradient is not None]
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        for name, variable in weights.items():
            variable.load(values[name], session)
        # Operations are run without fetching what they give.
        run_forward = session.make_callable([output.op])
        run_both = session.make_callable([output.op, *(gradient.op for gradient in gradients)])
        fetched = session.run(output)

    def forward() -> Any:
        run_forward()
        return fetched

    return {"tf_slim": (forward, run_both)}


def check_equal(case: Case, sides: Sides) -> None:
    outputs = {name: forward() for name, (forward, _) in sides.items()}
    arrays = {k: np.asarray(v[0] if isinstance(v, tuple) else v) for k, v in outputs.items()}
    for name, array in arrays.items():
        error = np.abs(array - arrays["jslim"]).max() / np.abs(arrays["jslim"]).max()
        if not error < 1e-4:
            raise AssertionError(f"{case.name} {case.shape}: {name} is off by {error:.1e}")


def seconds(run: Run, repetitions: int) -> float:
    start = time.perf_counter()
    for _ in range(repetitions):
        run()
    return (time.perf_counter() - start) / repetitions


def take_turns(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Each side's times; one after another in each round, so that what else runs hits all."""
    repetitions = {}
    for name, run in runs.items():
        run()
        repetitions[name] = max(1, math.ceil(SHORTEST_SECS / max(seconds(run, 1), 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(rounds):
        for name in list(runs)[:: 1 if index % 2 else -1]:
            times[name].append(seconds(runs[name], repetitions[name]))
    return times


def measure(case: Case, rounds: int) -> Iterator[dict[str, list[float]]]:
    """The times of all sides forward, and then with gradients."""
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, case.shape), jnp.float32)
    sides = jslim_and_linen(case, x)
    values = by_last_name(seeded_variables(case, x))
    sides |= torch_side(case, x, values) | tf_slim_side(case, x, values)
    check_equal(case, sides)
    for which in (0, 1):
        yield take_turns({name: side[which] for name, side in sides.items()}, rounds)


OTHERS = ("linen", "torch", "tf_slim")


def columns(times: dict[str, list[float]]) -> str:
    ours = np.array(times["jslim"])
    text = f"{np.median(ours) * 1e3:9.2f}"
    for name in OTHERS:
        ratio = f"{np.median(np.array(times[name]) / ours):.2f}" if name in times else "-"
        text += f"{ratio:>8}"
    return text


def add(total: dict[str, list[float]], times: dict[str, list[float]], count: int) -> None:
    for name, new in times.items():
        old = total.get(name, [0.0] * len(new))
        total[name] = [a + count * b for a, b in zip(old, new, strict=True)]


def main(arguments: list[str] | None = None, cases: list[Case] = CASES) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patterns", nargs="*", help="regular expressions of names or groups")
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args([] if arguments is None else arguments)
    slim.learning.keep_freed_memory()  # for all sides
    wanted = re.compile("|".join(options.patterns))
    print(
        f"on {jax.devices()[0].device_kind}, jax {jax.__version__}: milliseconds, and ratios to it"
    )
    head = "".join(f"{name:>8}" for name in OTHERS)
    print(f"{'':50}{'forward':>9}{head}{'both':>9}{head}")
    chosen = [c for c in cases if wanted.search(c.name) or wanted.search(c.group)]
    for group in dict.fromkeys(case.group for case in chosen):
        totals: list[dict[str, list[float]]] = [{}, {}]
        members = [case for case in chosen if case.group == group]
        for case in members:
            found = list(measure(case, options.pairs))
            for total, times in zip(totals, found, strict=True):
                add(total, times, case.count)
            label = f"{case.name} of {'x'.join(map(str, case.shape))}"
            print(f"{label:50}{columns(found[0])}{columns(found[1])}", flush=True)
        if len(members) > 1:
            print(f"{group + ', together':50}{columns(totals[0])}{columns(totals[1])}", flush=True)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
