"""Starts a training run again and again and kills each one with SIGKILL at a random moment.

Run as `python kill_training.py LOGDIR KILLS SEED`. Each run is a process of its own, forked from
this one: the imports are done once, before the fork, and JAX's backend starts after it. Prints one
JSON line for each kill: how many steps the run took, and what it left in its directory.
"""

import json
import os
import random
import signal
import sys
import time

# More than the runs together take before they are killed.
NUMBER_OF_STEPS = 400


def train_once(logdir: str, step_done: int) -> None:
    import small_training

    def step(train_op, state, batch):
        state, outputs = train_op(state, batch)
        os.write(step_done, b".")
        return state, outputs, False

    small_training.run(
        logdir,
        NUMBER_OF_STEPS,
        train_step_fn=step,
        save_interval_secs=0.0,
        max_to_keep=3,
        log_every_n_steps=1,
    )


def main() -> None:
    logdir, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    import small_training  # noqa: F401 (before the forks, so that they start quickly)

    moments = random.Random(seed)
    for _ in range(kills):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                train_once(logdir, writer)
            finally:
                os._exit(0)
        os.close(writer)
        # Some before the first step, most among the steps, and there mostly within a save.
        steps = moments.choice([0, *range(1, 16)])
        taken = sum(len(os.read(reader, 1)) for _ in range(steps))
        time.sleep(moments.uniform(0.0, 0.05 if steps else 1.0))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(reader)
        assert os.WIFSIGNALED(status), "the run ended before it was killed"
        left = sorted(os.listdir(logdir)) if os.path.isdir(logdir) else []
        print(json.dumps({"steps": taken, "left": left}), flush=True)


if __name__ == "__main__":
    main()
