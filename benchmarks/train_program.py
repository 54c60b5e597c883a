"""`train.py` end to end on folders of small JPEGs, against its bare training step.

    python -m benchmarks.train_program [NETWORK ...] [--batch-size=64] [--steps=200]

Makes 2,000 JPEGs of 32x32 pixels in ten folders, as CIFAR-10's are. Prints images a second of the
program's log lines (median of those after the first), the share of the time that it waited for
data, and the rate of the step alone on one batch that stays in memory, as `benchmarks.nets` times
it. The difference is reading, decoding, preprocessing and what the program writes.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import jax.numpy as jnp
import numpy as np
from PIL import Image

import jslim as slim
from benchmarks.nets import of_jslim

NETWORKS = {"lenet": (28, 1), "cifarnet": (32, 3)}
NUM_IMAGES, NUM_CLASSES = 2000, 10
PROGRAM = pathlib.Path(__file__).parent.parent / "train.py"
LINE = re.compile(r"([\d.]+) images/s\s+waiting for data (\d+)%")


def write_images(folder: pathlib.Path) -> None:
    """JPEGs of smooth noise, about as many bytes as a photograph of that size has."""
    rng = np.random.default_rng(0)
    for index in range(NUM_IMAGES):
        small = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)
        path = folder / str(index % NUM_CLASSES) / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=90)


def program_rate(name: str, images: pathlib.Path, batch_size: int, steps: int) -> tuple[float, int]:
    """Images a second of the program, and the per cent of its time that it waits for data."""
    with tempfile.TemporaryDirectory() as train_dir:
        command = [
            *(sys.executable, str(PROGRAM), f"--train_dir={train_dir}", f"--dataset_dir={images}"),
            *("--dataset_name=folder", f"--model_name={name}", f"--batch_size={batch_size}"),
            *(f"--max_number_of_steps={steps}", f"--log_every_n_steps={max(steps // 10, 1)}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [tuple(map(float, pair)) for pair in LINE.findall(done.stdout + done.stderr)]
    if done.returncode or len(found) < 3:
        raise SystemExit(f"benchmarks.train_program: train.py ended without rates\n{done.stderr}")
    rate, wait = np.median(np.array(found[1:]), axis=0)
    return float(rate), int(wait)


def step_rate(name: str, batch_size: int, steps: int) -> float:
    side, channels = NETWORKS[name]
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.normal(size=(batch_size, side, side, channels)), jnp.float32),
        "label": jnp.asarray(rng.integers(NUM_CLASSES, size=batch_size), jnp.int32),
    }
    timed = of_jslim(name, batch)
    return batch_size / float(np.median([timed("train") for _ in range(max(steps // 4, 4))][2:]))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    flags = parser.parse_args([] if arguments is None else arguments)
    slim.learning.keep_freed_memory()
    print(f"{'images a second':20}{'train.py':>10}{'waits':>8}{'step alone':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        write_images(pathlib.Path(folder))
        for name in flags.networks or NETWORKS:
            rate, wait = program_rate(name, pathlib.Path(folder), flags.batch_size, flags.steps)
            alone = step_rate(name, flags.batch_size, flags.steps)
            print(f"{name:20}{rate:10.0f}{wait:7}%{alone:12.0f}{rate / alone:8.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
