"""Networks in bfloat16 on the accelerator: images a second, and the share of what it can do.

    python -m benchmarks.accelerator [NETWORK ...] [--batch-sizes=64,256,1024] [--image-size=224]
        [--pairs=5] [--torch-compile]

jslim, hand-written Flax and, where it is installed and has the device, PyTorch (channels_last,
autocast) take turns in one process. The floor of each step is the longer of the times that its
FLOPs and its bytes need, by XLA's count of the program of jslim, at the speeds that a large matrix
product and a large copy reach on the device. It runs anywhere and says where. The lowerings of
single convolutions are compared by `benchmarks.lowerings`.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim
from benchmarks import nets

NETWORKS = ("resnet_v1_50", "inception_v3", "mobilenet_v2", "vgg_16")
DTYPE = jnp.bfloat16
RUNS = 10  # of one measurement, so that starting them does not count


def peak_flops() -> float:
    """FLOP a second of a large matrix product in bfloat16."""
    size = 8192 if jax.default_backend() != "cpu" else 1024
    a = jnp.ones((size, size), DTYPE)
    return 2.0 * size**3 / seconds_of(jax.jit(lambda x: x @ x), a)


def peak_bandwidth() -> float:
    """Bytes a second, read and written, of a large copy."""
    count = 1 << (28 if jax.default_backend() != "cpu" else 24)
    a = jnp.ones((count,), jnp.float32)
    return 2.0 * a.nbytes / seconds_of(jax.jit(lambda x: x + 1), a)


def seconds_of(run: Callable[[Any], Any], argument: Any) -> float:
    jax.block_until_ready(run(argument))
    found = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(RUNS):
            result = run(argument)
        jax.block_until_ready(result)
        found.append((time.perf_counter() - start) / RUNS)
    return min(found)


class Jax:
    """A side in JAX, several runs to a measurement."""

    def __init__(self, compiled: nets.Compiled):
        self.compiled = compiled

    def __call__(self, kind: str) -> float:
        one = self.compiled
        start = time.perf_counter()
        for _ in range(RUNS):
            if kind == "forward":
                result = one.forward(one.variables, one.batch["image"])
            else:
                one.state, result = one.step(one.state, one.batch)
        jax.block_until_ready((result, one.state))
        return (time.perf_counter() - start) / RUNS

    def cost(self, kind: str) -> tuple[float, float]:
        """FLOPs and bytes of a run, by XLA's count."""
        program = self.compiled.forward if kind == "forward" else self.compiled.step
        analysis: Any = program.cost_analysis() or {}
        return analysis.get("flops", 0.0), analysis.get("bytes accessed", 0.0)


def of_torch(name: str, batch: Any, compiles: bool) -> Callable[[str], float] | None:
    """PyTorch's side on CUDA, or None where there is none."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("torchvision") is None:
        return None
    import torch
    import torchvision

    if not torch.cuda.is_available():
        return None
    make, arguments = {
        "resnet_v1_50": (torchvision.models.resnet50, {}),
        "inception_v3": (torchvision.models.inception_v3, {"aux_logits": False}),
        "vgg_16": (torchvision.models.vgg16, {"dropout": 0.0}),
        "mobilenet_v2": (torchvision.models.mobilenet_v2, {"dropout": 0.0}),
    }[name]
    model = make(num_classes=nets.NUM_CLASSES, **arguments).cuda()
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, 0.9, weight_decay=nets.WEIGHT_DECAY)
    run = torch.compile(model) if compiles else model
    images = torch.from_numpy(np.array(batch["image"]).transpose(0, 3, 1, 2)).cuda()
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(np.array(batch["label"], np.int64)).cuda()

    def once(kind: str) -> None:
        if kind == "forward":
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
                run(images)
            return
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()

    def timed(kind: str) -> float:
        model.train(kind == "train")
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(RUNS):
            once(kind)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / RUNS

    return timed


def run(
    name: str, batch_size: int, image_size: int, pairs: int, compiles: bool, peaks: Any
) -> None:
    """Prints the lines of one network and batch size."""
    rng = np.random.default_rng(0)
    shape = (batch_size, image_size, image_size, 3)
    batch = {
        "image": jnp.asarray(rng.normal(size=shape), jnp.float32),
        "label": jnp.asarray(rng.integers(nets.NUM_CLASSES, size=batch_size), jnp.int32),
    }
    ours = Jax(nets.of_jslim(name, batch, DTYPE))
    sides: dict[str, nets.Timed] = {"jslim": ours, "flax": Jax(nets.of_linen(name, batch, DTYPE))}
    torch = of_torch(name, batch, compiles)
    if torch is not None:
        sides["torch"] = torch
    for kind, times in nets.compare(sides, pairs).items():
        flops, size = ours.cost(kind)
        floor = max(flops / peaks[0], size / peaks[1])
        mine = float(np.median(times["jslim"]))
        told = "".join(
            f"{batch_size / float(np.median(times[side])):10.0f} "
            f"({float(np.median(times[side] / times['jslim'])):4.2f})"
            if side in times
            else f"{'-':>17}"
            for side in ("jslim", "flax", "torch")
        )
        bound = "FLOPs" if flops / peaks[0] > size / peaks[1] else "bytes"
        print(
            f"{name} {kind:8} {batch_size:5}{told}   floor {floor * 1e3:.2f} ms ({bound}), "
            f"{floor / mine:.0%} reached",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--batch-sizes", default="64,256,1024")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--torch-compile", action="store_true")
    flags = parser.parse_args([] if arguments is None else arguments)
    slim.learning.keep_freed_memory()
    peaks = peak_flops(), peak_bandwidth()
    print(
        f"{jax.devices()[0].device_kind} with jax {jax.__version__}: {peaks[0] / 1e12:.1f} TFLOP/s "
        f"in bfloat16, {peaks[1] / 1e9:.0f} GB/s; images a second (times as long as jslim)"
    )
    for name in flags.networks or NETWORKS:
        for batch_size in map(int, flags.batch_sizes.split(",")):
            run(name, batch_size, flags.image_size, flags.pairs, flags.torch_compile, peaks)


if __name__ == "__main__":
    main(sys.argv[1:])
