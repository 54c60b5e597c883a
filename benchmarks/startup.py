"""From the command to the first step, in parts: what `train.py` waits for before it trains.

    python -m benchmarks.startup [NETWORK] [SIZE]

Each part is measured in a process of its own, without and with a filled compilation cache.
"""

import json
import subprocess
import sys
import tempfile

_IMPORTS = "import time; t = time.perf_counter(); import jax, flax; a = time.perf_counter() - t; "
_IMPORTS += "import jslim; print(a, time.perf_counter() - t)"
_RUN = """
import json, sys, time
started = time.perf_counter()
parts = {}
def lap(name):
    global started
    now = time.perf_counter(); parts[name] = now - started; started = now
name, size, cache = sys.argv[1], int(sys.argv[2]), sys.argv[3]
import jax
jax.config.update("jax_compilation_cache_dir", cache)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
import numpy as np
import jslim as slim
from jslim import learning, optimizers
from jslim.nets import nets_factory
lap("import")
images = np.zeros((64, size, size, 3), np.uint8)
dataset = slim.data.ArrayDataset(images, np.arange(64) % 10, 10)
batches = slim.data.batches(dataset, 8, is_training=True)
next(batches)
lap("data")
network = nets_factory.get_network_fn(name, 10, is_training=True)
def total_loss(batch):
    logits, _ = network(batch["image"].astype("float32"))
    slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
    return slim.losses.get_total_loss()
train_op = learning.create_train_op(total_loss, optimizers.momentum(0.1))
state = train_op.init_shapes(0, batches.element_spec)
lap("trace of the variables")
lowered = train_op.lower(state, batches.element_spec)
lap("trace of the step")
compiled = lowered.compile()
lap("compile the step")
state = jax.block_until_ready(train_op.init(0, batches.element_spec))
lap("compile and run init")
jax.block_until_ready(train_op(state, next(batches)))
lap("first step")
print(json.dumps(parts))
"""


def main(arguments: list[str] | None = None) -> None:
    name, size = (arguments or ["resnet_v1_50", "64"])[:2]
    ratios = []
    for _ in range(5):
        text = subprocess.run(
            [sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=True
        ).stdout
        ratios.append([float(part) for part in text.split()])
    jax_flax, jslim = sorted(ratios)[2]
    print(f"import jax, flax: {jax_flax:.2f} s; with jslim {jslim:.2f} s, {jslim / jax_flax:.2f}")
    with tempfile.TemporaryDirectory() as cache:
        for title in ("without a compilation cache", "with one"):
            text = subprocess.run(
                [sys.executable, "-c", _RUN, name, size, cache],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            parts = json.loads(text.splitlines()[-1])
            told = ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items())
            print(f"{name} at {size}, {title}: {told}; {sum(parts.values()):.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
