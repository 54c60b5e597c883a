"""Trains in a bucket: `store_training.py URL STEPS SAVE_INTERVAL_SECS PATIENCE [ADDRESS INDEX]`.

Says `step N SECONDS` after each step, with the seconds since the one before, what is logged as
`log: ...`, and in the end `done` or the error. It ends early when the standard input of the first
process does. With an address and an index it is one of two processes.
"""

import logging
import sys
import threading
import time

import jax
import small_training

from jslim import data, learning, optimizers
from jslim.host import stores
from jslim.host.processes import any_of

PACE_SECS = 0.2


def main() -> None:
    url, steps, interval, patience, *joint = sys.argv[1:]
    stores.PATIENCE_SECS = float(patience)
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="log: %(message)s")
    if joint:
        jax.distributed.initialize(joint[0], 2, int(joint[1]))
    last = time.monotonic()
    input_ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), input_ended.set()), daemon=True).start()

    def after_step(step, state):
        nonlocal last
        print(f"step {step} {time.monotonic() - last:.1f}", flush=True)
        time.sleep(PACE_SECS)
        last = time.monotonic()
        return any_of([input_ended.is_set()])[0]

    mesh = learning.data_mesh(len(jax.devices()))
    optimizer = optimizers.momentum(0.1, 0.9)
    train_op = learning.create_train_op(small_training.loss_fn, optimizer, mesh=mesh)
    shard = jax.process_index(), jax.process_count()
    with data.batches(
        small_training.dataset(),
        8,
        is_training=True,
        preprocessing_fn=small_training.preprocess,
        shard=shard,
    ) as batches:
        try:
            learning.train(
                train_op,
                batches,
                url,
                number_of_steps=int(steps),
                save_interval_secs=float(interval),
                save_summaries_secs=None,
                log_every_n_steps=1,
                after_step=after_step,
            )
        except OSError as error:
            print(f"failed: {error}", flush=True)
        else:
            print("done", flush=True)


if __name__ == "__main__":
    main()
