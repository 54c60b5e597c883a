"""A training loop by hand: the step, the checkpoints and the resume, without `slim.learning.train`.

    python examples/loop_by_hand.py --number_of_steps=200

Started again with more steps it goes on where it was, and ends with the same parameters to the bit
as a run that was never stopped.
"""

import argparse

import jax
import numpy as np
import optax

import jslim as slim

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--train_dir", default="runs/by_hand", help="where checkpoints go")
parser.add_argument("--number_of_steps", type=int, default=200, help="over all runs")
parser.add_argument("--save_every", type=int, default=50, help="steps between checkpoints")
args = parser.parse_args()


def total_loss(batch):
    net = slim.repeat(batch["image"], 2, slim.conv2d, 16, [3, 3], scope="conv1")
    net = slim.flatten(slim.max_pool2d(net, [2, 2], scope="pool1"))
    net = slim.dropout(net, 0.5, scope="dropout2")
    logits = slim.fully_connected(net, 10, activation_fn=None, scope="logits")
    slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
    return slim.losses.get_total_loss()


def to_unit_range(image):
    return image.astype(np.float32) / 255


digits = slim.data.get_dataset("digits", "train")
batches = slim.data.batches(digits, 64, is_training=True, preprocessing_fn=to_unit_range)
train_op = slim.learning.create_train_op(total_loss, optax.sgd(0.1, momentum=0.9))

# The shapes of a batch are enough to know those of the state, into which a checkpoint is read.
target = train_op.init_shapes(0, batches.element_spec)
restored = slim.checkpoints.restore_latest(args.train_dir, target)
if restored is None:
    state = train_op.init(0, batches.element_spec)
    print("starting at step 0")
else:
    state = restored.state
    batches.set_state(restored.data_state)  # the next batch is the one that was due
    print(f"going on from step {restored.step}")

# Leaving the block waits for the last checkpoint.
with batches, slim.checkpoints.CheckpointManager(args.train_dir) as checkpoints:
    for step in range(int(state.step) + 1, args.number_of_steps + 1):
        # The old state is given up: the new one uses its memory.
        state, outputs = train_op(state, next(batches))
        if step % args.save_every == 0 or step == args.number_of_steps:
            checkpoints.save(step, state, data_state=batches.get_state())
            print(f"step {step}  loss {jax.device_get(outputs['loss']):.4f}")
