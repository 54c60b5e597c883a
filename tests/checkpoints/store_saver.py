"""Saves in a bucket through a proxy that makes it fail: `store_saver.py URL [PATIENCE]`.

Reads `save STEP` from its standard input, and says what came of it.
"""

import logging
import sys
import time

import numpy as np

from jslim.checkpoints import CheckpointManager, restore_latest
from jslim.host import stores


def state_of(step: int) -> dict[str, np.ndarray]:
    return {"w": np.random.default_rng(step).normal(size=(300, 100)), "step": np.asarray(step)}


def main() -> None:
    url = sys.argv[1]
    stores.PATIENCE_SECS = float(sys.argv[2])
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="log: %(message)s")
    try:
        manager = CheckpointManager(url, keep=2)
    except OSError as error:
        print(f"refused: {error}", flush=True)
        manager = None
    else:
        print("open", flush=True)
    for line in sys.stdin:
        task, step = line.split()
        started = time.monotonic()
        try:
            if task == "save":
                manager.save(int(step), state_of(int(step)))
                manager.wait()
            else:
                restored = restore_latest(url, state_of(0))
                np.testing.assert_array_equal(
                    restored.state["w"], state_of(int(restored.state["step"]))["w"]
                )
                step = restored.step
        except OSError as error:
            print(f"failed after {time.monotonic() - started:.0f} s: {error}", flush=True)
        else:
            print(f"{task}d {step}", flush=True)
    if manager is not None:
        manager.close()


if __name__ == "__main__":
    main()
