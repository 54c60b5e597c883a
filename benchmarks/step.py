"""A training step in jslim against the same net and step hand-written in Flax Linen.

Both sides get the same parameters and the same batch, and are first checked to compute the same
numbers. Then: the FLOPs of the compiled steps, the time of a step, and the time to trace and lower.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

import jslim as slim
from benchmarks import _measure
from benchmarks._resnet import ResNetLinen, resnet_slim
from benchmarks._vgg import VggLinen, vgg_slim
from jslim.layers._lowering import lowered_for

_CLASSES = 10
_WEIGHT_DECAY = 1e-4
_OPTIMIZER = optax.sgd(1e-3, momentum=0.9)


class Pair(NamedTuple):
    """One net, written twice, and what it is given."""

    name: str
    slim: Callable[[jax.Array], jax.Array]
    linen: nn.Module
    batch_size: int
    image_size: int


def pairs(
    units: tuple[int, ...] = (3, 4, 6, 3),
    repeats: tuple[int, ...] = (2, 2, 3, 3, 3),
    width: int = 32,
    dense: int = 256,
    batch_size: int = 8,
) -> list[Pair]:
    """The two nets; the defaults are ResNet-50 and VGG-16 at half their width."""
    resnet = {"units": units, "width": width, "num_classes": _CLASSES}
    vgg = {"repeats": repeats, "width": width, "dense": dense, "num_classes": _CLASSES}
    return [
        Pair("ResNet", partial(resnet_slim, **resnet), ResNetLinen(**resnet), batch_size, 64),
        Pair("VGG", partial(vgg_slim, **vgg), VggLinen(**vgg), batch_size, 32),
    ]


class LinenState(NamedTuple):
    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any


def linen_step(net: nn.Module) -> Callable[[LinenState, Any], tuple[LinenState, Any]]:
    """The step as the Flax examples write it."""

    def step(state: LinenState, batch: Any) -> tuple[LinenState, Any]:
        def loss_of(params: Any) -> tuple[jax.Array, Any]:
            logits, updated = net.apply(
                {"params": params, "batch_stats": state.batch_stats},
                batch["image"],
                mutable=["batch_stats"],
            )
            labels = jax.nn.one_hot(batch["label"], _CLASSES)
            loss = jnp.mean(optax.softmax_cross_entropy(logits, labels))
            kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
            penalty = sum(jnp.sum(jnp.square(kernel)) for kernel in kernels)
            return loss + _WEIGHT_DECAY * 0.5 * penalty, updated.get("batch_stats", {})

        (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        updates, opt_state = _OPTIMIZER.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return LinenState(state.step + 1, params, batch_stats, opt_state), {"loss": loss}

    return step


def slim_step(net: Callable[[jax.Array], jax.Array]) -> slim.learning.TrainOp:
    """The step as jslim's users write it."""

    def total_loss(batch: Any) -> jax.Array:
        with slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(_WEIGHT_DECAY),
        ):
            logits = net(batch["image"])
        slim.losses.softmax_cross_entropy(logits, slim.one_hot_encoding(batch["label"], _CLASSES))
        return slim.losses.get_total_loss()

    return slim.learning.create_train_op(total_loss, _OPTIMIZER)


def slim_name(name: str) -> str:
    """What jslim calls the variable that Linen calls `name`."""
    path, _, leaf = name.rpartition("/")
    bias = "beta" if path.endswith("BatchNorm") else "biases"
    leaves = {"kernel": "weights", "bias": bias, "scale": "gamma"}
    leaves |= {"mean": "moving_mean", "var": "moving_variance"}
    return f"{path}/{leaves[leaf]}"


def renamed(tree: Any) -> Any:
    """A tree of Linen's with jslim's names."""
    flat = {slim_name(name): value for name, value in flatten_dict(tree, sep="/").items()}
    return unflatten_dict(flat, sep="/")


class Sides:
    """Both steps of a pair: the same variables and batch, compiled."""

    def __init__(self, pair: Pair):
        rng = np.random.default_rng(0)
        shape = (pair.batch_size, pair.image_size, pair.image_size, 3)
        self.batch = {
            "image": jnp.asarray(rng.normal(size=shape), jnp.float32),
            "label": jnp.asarray(rng.integers(_CLASSES, size=pair.batch_size), jnp.int32),
        }
        key = jax.random.key(0)
        shapes = jax.eval_shape(pair.linen.init, key, self.batch["image"])
        filled = jax.tree_util.tree_map_with_path(partial(_filled, rng), shapes)
        params, batch_stats = filled["params"], filled.get("batch_stats", {})
        self.linen_state = LinenState(
            jnp.zeros((), jnp.int32), params, batch_stats, _OPTIMIZER.init(params)
        )
        self.train_op = slim_step(pair.slim)
        expected = self.train_op.init_shapes(key, self.batch)
        # A copy, since both steps donate their states.
        params, batch_stats = jax.tree.map(jnp.array, (renamed(params), renamed(batch_stats)))
        self.slim_state = expected.replace(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=batch_stats,
            opt_state=_OPTIMIZER.init(params),
            rng=key,
        )
        if jax.tree.map(jnp.shape, self.slim_state) != jax.tree.map(jnp.shape, expected):
            raise SystemExit(f"benchmarks.step: the two {pair.name}s have different variables")
        self.linen_step = linen_step(pair.linen)
        self.slim_compiled = _compiled(self.train_op.step, self.slim_state, self.batch)
        self.linen_compiled = _compiled(self.linen_step, self.linen_state, self.batch)

    def flops(self) -> tuple[float, float]:
        """What XLA counts in the compiled steps, both of XLA's operations.

        Of the CPU's own ways it would count the body of a loop once.
        """
        with lowered_for("xla"):
            compiled = _compiled(self.train_op.step, self.slim_state, self.batch)
        ours, theirs = compiled.cost_analysis(), self.linen_compiled.cost_analysis()
        return float(ours["flops"]), float(theirs["flops"])

    def trace_slim(self) -> _measure.Cost:
        return _measure.trace_cost(self.train_op.step, self.slim_state, self.batch)

    def trace_linen(self) -> _measure.Cost:
        return _measure.trace_cost(self.linen_step, self.linen_state, self.batch)

    def run_slim(self) -> _measure.Cost:
        timer = _measure.Timer()
        self.slim_state, outputs = self.slim_compiled(self.slim_state, self.batch)
        jax.block_until_ready((self.slim_state, outputs))
        return timer.stop()

    def run_linen(self) -> _measure.Cost:
        timer = _measure.Timer()
        self.linen_state, outputs = self.linen_compiled(self.linen_state, self.batch)
        jax.block_until_ready((self.linen_state, outputs))
        return timer.stop()

    def difference(self) -> float:
        """The greatest difference of a momentum or moving mean, relative to its variable's size.

        After the first step the momenta are the gradients. Moving variances are left out: TF's
        are estimates for the population, Linen's the variances of the batches.
        """
        ours, theirs = (
            [optax.tree.get(state.opt_state, "trace"), state.batch_stats]
            for state in (self.slim_state, self.linen_state)
        )
        differences = []
        for tree, linen_tree in zip(ours, map(renamed, theirs), strict=True):
            held = flatten_dict(tree, sep="/")
            for name, value in flatten_dict(linen_tree, sep="/").items():
                if not name.endswith("moving_variance"):
                    difference = jnp.max(jnp.abs(held[name] - value))
                    differences.append(difference / jnp.max(jnp.abs(value)))
        return float(jnp.max(jnp.stack(differences)))


def _filled(rng: np.random.Generator, path: Any, like: jax.ShapeDtypeStruct) -> jax.Array:
    """A value to start from, drawn by NumPy: compiling two inits takes longer than the rest."""
    leaf = path[-1].key
    if leaf == "kernel":
        deviation = np.sqrt(2 / np.prod(like.shape[:-1]))
        return jnp.asarray(deviation * rng.normal(size=like.shape), like.dtype)
    return jnp.full(like.shape, float(leaf in ("scale", "var")), like.dtype)


def _compiled(step: Callable[..., Any], state: Any, batch: Any) -> Any:
    return jax.jit(step, donate_argnums=0).lower(state, batch).compile()


def run(pair: Pair, repetitions: int, traces: int) -> dict[str, float]:
    """Prints a pair's lines of the table and returns the ratios."""
    sides = Sides(pair)
    sides.run_slim(), sides.run_linen()
    difference = sides.difference()
    print(f"{pair.name}: gradients and moving means differ by {difference:.1e} at most")
    ours, theirs = sides.flops()
    gigas = [f"{count / 1e9:.3f} G" for count in (ours, theirs)]
    _measure.show(f"{pair.name} FLOPs", *gigas, f"{ours / theirs:.4f}", "at most 1.01")
    clock, processor = _measure.compare(sides.run_slim, sides.run_linen, repetitions)
    _measure.show_ratio(f"{pair.name} step", clock, "at most 1.02")
    _measure.show_ratio("  the same, processor time", processor)
    _, trace = _measure.compare(sides.trace_slim, sides.trace_linen, traces)
    _measure.show_ratio(f"{pair.name} trace and lower, processor time", trace, "at most 0.7")
    ratios = {"flops": ours / theirs, "step": clock.ratio, "trace": trace.ratio}
    return {"difference": difference, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60, help="pairs of steps to time")
    parser.add_argument("--traces", type=int, default=9, help="pairs of traces to time")
    flags = parser.parse_args()
    slim.learning.keep_freed_memory()  # for both sides
    _measure.show("", "jslim", "Linen", "ratio (quartiles)", "target")
    for pair in pairs():
        run(pair, flags.steps, flags.traces)


if __name__ == "__main__":
    main()
