"""Networks of the zoo against Flax Linen's, PyTorch's and TF-Slim's: images a second.

    python -m benchmarks.nets [NETWORK ...] [--batch-size=N] [--image-size=N] [--pairs=9]
        [--tf-python=PYTHON]

Each is timed in inference and in a training step (cross entropy, weight decay, momentum), taking
turns: 64 images of their own size of lenet and cifarnet, 8 of 128 pixels of the others. Linen's
networks are hand-written; PyTorch's are used where it is installed, those of the larger networks
where torchvision and timm are; TF-Slim runs in a process of its own, under the Python that
`--tf-python` names. Without dropout, auxiliary classifiers and preprocessing.

An environment for TF-Slim's side, by one command, and then `--tf-python=tf/bin/python`:

    python3.11 -m venv tf && tf/bin/pip install tensorflow-cpu==2.15.1 tf-keras==2.15.1 \
        tf-slim==1.1.0 setuptools

The larger networks also need research/slim of https://github.com/tensorflow/models, the folder that
the environment variable RESEARCH_SLIM names.
"""

import argparse
import functools
import importlib.util
import pathlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jslim as slim
from benchmarks._linen_nets import LINEN_NETS
from jslim.nets import nets_factory

NUM_CLASSES = 10
WEIGHT_DECAY = 1e-4
OPTIMIZER = functools.partial(optax.sgd, 1e-3, momentum=0.9)
SMALL = {"lenet": (28, 1), "cifarnet": (32, 3)}  # pixels and channels of small images
ARGUMENTS: dict[str, dict[str, Any]] = {
    "lenet": {"dropout_keep_prob": 1.0},
    "cifarnet": {"dropout_keep_prob": 1.0},
    "inception_v3": {"create_aux_logits": False, "global_pool": True, "dropout_keep_prob": 1.0},
    "vgg_16": {"fc_conv_padding": "SAME", "global_pool": True, "dropout_keep_prob": 1.0},
    "mobilenet_v1": {"global_pool": True, "dropout_keep_prob": 1.0},
}
KINDS = ("forward", "train")
Timed = Callable[[str], float]  # seconds of one run of a kind


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def network_fn(
    name: str, is_training: bool, dtype: Any = jnp.float32, num_classes: int = NUM_CLASSES
) -> Callable[..., Any]:
    built = nets_factory.get_network_fn(name, num_classes, WEIGHT_DECAY, is_training)
    built = functools.partial(built, **ARGUMENTS.get(name, {}))
    if dtype == jnp.float32:
        return built

    def in_dtype(images: jax.Array, **options: Any) -> Any:
        ops = [slim.conv2d, slim.separable_conv2d, slim.fully_connected]
        with slim.arg_scope(ops, dtype=dtype):
            logits, end_points = built(images.astype(dtype), **options)
        return logits.astype(jnp.float32), end_points

    return in_dtype


def filled(shapes: Any) -> Any:
    """Values to start from: compiling the initializers would take longer than the rest."""
    rng = np.random.default_rng(0)

    def value(path: Any, like: Any) -> jax.Array:
        name = path[-1].key
        if len(like.shape) > 1:
            deviation = np.sqrt(2 / np.prod(like.shape[:-1]))
            return jnp.asarray(deviation * rng.normal(size=like.shape), like.dtype)
        is_one = name in ("gamma", "scale", "moving_variance", "var")
        return jnp.full(like.shape, float(is_one), like.dtype)

    return jax.tree_util.tree_map_with_path(value, shapes)


class Compiled:
    """A network in JAX, compiled for both; `compile_secs` includes tracing."""

    def __init__(self, forward: Any, variables: Any, step: Any, state: Any, batch: Any):
        start = time.perf_counter()
        self.forward = jax.jit(forward).lower(variables, batch["image"]).compile()
        self.step = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
        self.compile_secs = time.perf_counter() - start
        self.variables, self.state, self.batch = variables, state, batch

    def __call__(self, kind: str) -> float:
        if kind == "forward":
            return seconds(lambda: self.forward(self.variables, self.batch["image"]))
        return seconds(self._train)

    def _train(self) -> Any:
        self.state, outputs = self.step(self.state, self.batch)
        return self.state, outputs


def loss_fn(
    name: str, dtype: Any = jnp.float32, num_classes: int = NUM_CLASSES
) -> Callable[[Any], jax.Array]:
    def total_loss(batch: Any) -> jax.Array:
        logits, _ = network_fn(name, True, dtype, num_classes)(batch["image"])
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss()

    return total_loss


def of_jslim(name: str, batch: Any, dtype: Any = jnp.float32) -> Compiled:
    model = slim.Model(network_fn(name, False, dtype))
    variables = filled(jax.eval_shape(model.init, jax.random.key(0), batch["image"]))
    train_op = slim.learning.create_train_op(loss_fn(name, dtype), OPTIMIZER())
    state = train_op.init_shapes(jax.random.key(0), batch)
    state = state.replace(
        step=jnp.zeros((), jnp.int32),
        params=filled(state.params),
        batch_stats=filled(state.batch_stats),
        opt_state=jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), state.opt_state),
        rng=jax.random.key(1),
    )

    def forward(variables: Any, images: jax.Array) -> jax.Array:
        return model.apply(variables, images)[0]

    return Compiled(forward, variables, train_op.step, state, batch)


def linen_step(
    name: str, dtype: Any = jnp.float32, num_classes: int = NUM_CLASSES
) -> tuple[Any, Callable[[Any, Any], Any]]:
    """The network in training and `step((variables, state of the optimizer), batch)`."""
    make = LINEN_NETS[name]
    model = make(num_classes, True, dtype)
    optimizer = OPTIMIZER()

    def step(state: Any, batch: Any) -> Any:
        variables, opt_state = state

        def loss_of(params: Any) -> Any:
            logits, updated = model.apply(
                {**variables, "params": params}, batch["image"], mutable=["batch_stats"]
            )
            logits = logits.astype(jnp.float32)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            decayed = [params[layer] for layer in getattr(make, "decayed", params)]
            kernels = [leaf for leaf in jax.tree.leaves(decayed) if leaf.ndim > 1]
            penalty = sum(jnp.sum(jnp.square(kernel)) for kernel in kernels)
            return jnp.mean(losses) + 0.5 * WEIGHT_DECAY * penalty, updated

        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, updated), gradients = gradient(variables["params"])
        updates, opt_state = optimizer.update(gradients, opt_state, variables["params"])
        params = optax.apply_updates(variables["params"], updates)
        return ({**updated, "params": params}, opt_state), loss

    return model, step


def of_linen(name: str, batch: Any, dtype: Any = jnp.float32) -> Compiled:
    model = LINEN_NETS[name](NUM_CLASSES, False, dtype)
    variables = filled(jax.eval_shape(model.init, jax.random.key(0), batch["image"]))
    _, step = linen_step(name, dtype)

    def forward(variables: Any, images: jax.Array) -> jax.Array:
        return model.apply(variables, images)

    state = jax.tree.map(jnp.array, variables), OPTIMIZER().init(variables["params"])
    return Compiled(forward, variables, step, state, batch)


def kernels(variables: Any) -> Counter[int]:
    """The sizes of all kernels, by which one network is told to be another."""
    return Counter(leaf.size for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim > 1)


def small_torch_net(name: str, pixels: int, channels: int) -> Any:
    from torch import nn

    def normalized() -> Any:
        return [nn.LocalResponseNorm(9, alpha=0.001, k=1.0)] if name == "cifarnet" else []

    first, hidden = (64, (384, 192)) if name == "cifarnet" else (32, (1024,))
    layers = [nn.Conv2d(channels, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), *normalized()]
    layers += [nn.Conv2d(first, 64, 5, padding=2), nn.ReLU(), *normalized(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    features = 64 * (pixels // 4) ** 2
    for size in hidden:
        layers += [nn.Linear(features, size), nn.ReLU()]
        features = size
    return nn.Sequential(*layers, nn.Linear(features, NUM_CLASSES))


def make_torch_net(name: str, pixels: int, channels: int) -> Any:
    """None where a package is not installed."""
    if name in SMALL:
        has_torch = importlib.util.find_spec("torch") is not None
        return small_torch_net(name, pixels, channels) if has_torch else None
    found = {
        "resnet_v1_50": ("torchvision.models", "resnet50", {}),
        "inception_v3": ("torchvision.models", "inception_v3", {"aux_logits": False}),
        "vgg_16": ("torchvision.models", "vgg16", {"dropout": 0.0}),
        "mobilenet_v1": ("timm.models.mobilenetv3", "mobilenetv1_100", {}),
        "mobilenet_v2": ("torchvision.models", "mobilenet_v2", {"dropout": 0.0}),
    }
    if name not in found or importlib.util.find_spec(found[name][0].partition(".")[0]) is None:
        return None
    module, function, arguments = found[name]
    make = getattr(importlib.import_module(module), function)
    return make(num_classes=NUM_CLASSES, **arguments)


def of_torch(name: str, batch: Any) -> Timed | None:
    model = make_torch_net(name, *batch["image"].shape[2:])
    if model is None:
        return None
    import torch

    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, 0.9, weight_decay=WEIGHT_DECAY)
    images = torch.from_numpy(np.array(batch["image"]).transpose(0, 3, 1, 2))
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(np.array(batch["label"], np.int64))

    def timed(kind: str) -> float:
        model.train(kind == "train")
        start = time.perf_counter()
        if kind == "forward":
            with torch.no_grad():
                model(images)
        else:
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        return time.perf_counter() - start

    return timed


class TfSlim:
    """TF-Slim in a process of its own."""

    def __init__(self, python: str, name: str, shape: tuple[int, ...]):
        script = pathlib.Path(__file__).with_name("_tf_slim_nets.py")
        self.process = subprocess.Popen(
            [python, script, name, *map(str, shape)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read_until_ready()

    def _read_until_ready(self) -> None:
        for line in self.process.stdout or ():
            if line.strip() == "ready":
                return
        raise SystemExit("benchmarks.nets: TF-Slim's process ended; run _tf_slim_nets.py alone")

    def __call__(self, kind: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(kind, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def compare(sides: dict[str, Timed], pairs: int) -> dict[str, dict[str, np.ndarray]]:
    """Seconds of all sides of each kind, taking turns."""
    times: dict[str, dict[str, list[float]]] = {k: {name: [] for name in sides} for k in KINDS}
    for kind in KINDS:
        for timed in sides.values():
            timed(kind)
        for index in range(pairs):
            for name in list(sides)[:: 1 if index % 2 else -1]:
                times[kind][name].append(sides[name](kind))
    return {k: {name: np.array(t) for name, t in by.items()} for k, by in times.items()}


def shape_of(name: str, batch_size: int | None, image_size: int | None) -> tuple[int, ...]:
    """The shape of a batch of a network, by default its own."""
    pixels, channels = SMALL.get(name, (128, 3))
    side = image_size or pixels
    return (batch_size or (64 if name in SMALL else 8), side, side, channels)


def run(name: str, shape: tuple[int, ...], pairs: int, tf_python: str | None) -> None:
    """Prints the lines of one network."""
    rng = np.random.default_rng(0)
    batch_size = shape[0]
    batch = {
        "image": jnp.asarray(rng.normal(size=shape), jnp.float32),
        "label": jnp.asarray(rng.integers(NUM_CLASSES, size=batch_size), jnp.int32),
    }
    ours, linens = of_jslim(name, batch), of_linen(name, batch)
    if kernels(ours.variables) != kernels(linens.variables):
        raise SystemExit(f"benchmarks.nets: Linen's {name} is another network")
    sides: dict[str, Timed] = {"jslim": ours, "linen": linens}
    torch = of_torch(name, batch)
    if torch is not None:
        sides["torch"] = torch
    tf_slim = TfSlim(tf_python, name, shape) if tf_python else None
    if tf_slim is not None:
        sides["tf_slim"] = tf_slim
    for kind, times in compare(sides, pairs).items():
        line = f"{name + ' ' + kind:24}"
        for side in ("jslim", "linen", "torch", "tf_slim"):
            if side not in times:
                line += f"{'-':>18}"
                continue
            rate = batch_size / float(np.median(times[side]))
            ratio = float(np.median(times[side] / times["jslim"]))
            line += f"{rate:10.1f}" + (f" ({ratio:5.2f})" if side != "jslim" else " " * 8)
        print(line, flush=True)
    compiled = f"{ours.compile_secs:.1f} s, Linen's in {linens.compile_secs:.1f} s"
    size = "x".join(map(str, shape[1:]))
    print(f"  {batch_size} images of {size}; traced and compiled in {compiled}")
    if tf_slim is not None:
        tf_slim.close()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(LINEN_NETS))
    parser.add_argument("--batch-size", type=int, help="default: the network's")
    parser.add_argument("--image-size", type=int, help="default: the network's")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--tf-python", help="a Python that has TensorFlow and tf_slim")
    flags = parser.parse_args([] if arguments is None else arguments)
    slim.learning.keep_freed_memory()  # for all sides in this process
    device = jax.devices()[0].device_kind
    print(f"On {device}: images a second, and how many times as long it takes as jslim")
    print(f"{'':24}{'jslim':>10}{'':8}{'linen':>10}{'':8}{'torch':>10}{'':8}{'tf_slim':>10}")
    known = [name for name in LINEN_NETS if name in nets_factory.NETWORKS]
    for name in flags.networks or known:
        shape = shape_of(name, flags.batch_size, flags.image_size)
        run(name, shape, flags.pairs, flags.tf_python)


if __name__ == "__main__":
    main(sys.argv[1:])
