"""Reads TensorFlow checkpoints of 100 MB, verified, and the bare bytes of their files, in turns.

    python -m benchmarks.tf_checkpoint [PATH ...]

Without paths it writes a checkpoint of version V2 with the shapes of ResNet-50's variables, four
times over. Prints megabytes a second of both and their ratio; to reach: 0.5 and more.
"""

import pathlib
import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim
from jslim import tf_checkpoint
from jslim.nets import nets_factory

PAIRS = 7


def resnet_50() -> dict[str, np.ndarray]:
    """Random values for the variables of the network."""
    model = slim.Model(nets_factory.get_network_fn("resnet_v1_50", 1000))
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    rng = np.random.default_rng(0)
    named = slim.get_variables(shapes)
    return {name: rng.normal(size=leaf.shape).astype(np.float32) for name, leaf in named.items()}


def seconds_of_bytes(files: list[pathlib.Path]) -> float:
    start = time.perf_counter()
    for file in files:
        file.read_bytes()
    return time.perf_counter() - start


def seconds_of_tensors(path: pathlib.Path) -> float:
    start = time.perf_counter()
    reader = tf_checkpoint.load_checkpoint(path)
    reader.get_tensors(reader.get_variable_to_shape_map())
    return time.perf_counter() - start


def measure(path: pathlib.Path) -> None:
    files = [path] if path.is_file() else list(path.parent.glob(f"{path.name}*"))
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    bare, ours = [], []
    for _ in range(PAIRS):
        bare.append(seconds_of_bytes(files))
        ours.append(seconds_of_tensors(path))
    ratio = statistics.median(b / o for b, o in zip(bare, ours, strict=True))
    print(
        f"{path.name}: {megabytes:.0f} MB, bytes {megabytes / statistics.median(bare):.0f} MB/s, "
        f"tensors {megabytes / statistics.median(ours):.0f} MB/s, ratio {ratio:.2f}"
    )


def main(arguments: list[str]) -> None:
    for argument in arguments:
        measure(pathlib.Path(argument))
    if not arguments:
        with tempfile.TemporaryDirectory() as folder:
            path = tf_checkpoint.save_checkpoint(f"{folder}/resnet_v1_50.ckpt", resnet_50())
            measure(pathlib.Path(path))


if __name__ == "__main__":
    main(sys.argv[1:])
