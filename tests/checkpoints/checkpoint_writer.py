"""A process that trains, in a way: it saves a state for every step until it is killed."""

from multiprocessing.connection import Connection

import numpy as np

from jslim.checkpoints import CheckpointManager, restore_latest


def state_after(step: int) -> dict[str, np.ndarray]:
    """Numbers that only this step has, in several files' worth of bytes."""
    numbers = np.random.default_rng(step)
    return {
        "step": np.asarray(step),
        "weights": numbers.normal(size=(300, 100)),
        "biases": numbers.normal(size=10),
    }


def save_until_killed(directory: str, acknowledge: Connection) -> None:
    """Continues from the newest checkpoint; sends each step that is on the disk for certain."""
    with CheckpointManager(directory, keep=2) as checkpoints:
        restored = restore_latest(directory, state_after(0))
        step = 0 if restored is None else restored.step
        while True:
            step += 1
            checkpoints.save(step, state_after(step), data_state={"position": 10 * step})
            checkpoints.wait()
            acknowledge.send(step)
