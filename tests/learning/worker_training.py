"""Trains with worker processes until it is ended; prints their ids and where its steps are."""

import multiprocessing
import signal
import sys

import small_training

from jslim import data, learning, optimizers


def main():
    def tell(step, state):
        if step == 2:
            print(*[child.pid for child in multiprocessing.active_children()], flush=True)

    train_op = learning.create_train_op(small_training.loss_fn, optimizers.sgd(0.1))
    dataset = small_training.dataset()
    with data.batches(dataset, 8, is_training=True, num_workers=1, preprocessing_fn=plain) as made:
        learning.train(train_op, made, sys.argv[1], save_summaries_secs=None, after_step=tell)


def plain(image):
    return image.astype("float32")


if __name__ == "__main__":
    # Whether or not the process that runs the tests ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
