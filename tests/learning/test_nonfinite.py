"""Numbers that are not finite stop training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_classifier import BATCH, RNG, loss_of, small_net

import jslim as slim
from jslim import data, learning


def poisoned_loss(kind):
    """A loss that makes one kind of quantity infinite or NaN at step 3, and no other before it."""

    def total_loss(batch):
        logits = small_net(batch["image"], with_batch_norm=True)
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        loss = slim.losses.get_total_loss()
        is_due = slim.get_or_create_global_step() == 3
        if kind == "loss":
            return jnp.where(is_due, jnp.nan, loss)
        if kind == "gradient":
            # 0 * sqrt(0): the value is 0, its derivative 0 * infinity.
            scale = slim.model_variable("scale", [1], initializer=slim.ones_initializer())
            zero = jnp.sum(scale) * jnp.where(is_due, 0.0, 1.0)
            return loss + jnp.where(is_due, jnp.sqrt(zero) * 0.0, 0.0)
        statistic = slim.model_variable(
            "count", [2], trainable=False, collections=["batch_stats"],
            initializer=slim.zeros_initializer(),
        )  # fmt: skip
        slim.assign("count", jnp.where(is_due, jnp.inf, statistic + 1))
        return loss

    return total_loss


def images_dataset():
    images = RNG.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    return data.ArrayDataset(images, np.arange(40) % 4, 4, name="noise")


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("loss", r"the loss of step 4 is nan"),
        ("gradient", r"the gradient of 'scale' is not finite in step 4, whose loss is [\d.]+"),
        ("statistic", r"the statistic 'count' is not finite in step 4, whose loss is [\d.]+"),
    ],
)
def test_training_stops_at_the_first_bad_quantity_and_names_its_records(kind, message, tmp_path):
    train_op = learning.create_train_op(
        poisoned_loss(kind), optax.sgd(0.01), check_numerics="everything"
    )
    batches = data.batches(
        images_dataset(), 10, is_training=True, seed=4,
        preprocessing_fn=lambda image: image.astype(np.float32) / 255,
    )  # fmt: skip
    with pytest.raises(FloatingPointError, match=message) as caught:
        learning.train(
            train_op, batches, tmp_path, number_of_steps=20, save_summaries_secs=None,
            log_every_n_steps=10,
        )  # fmt: skip
    text = str(caught.value)
    assert f"the newest checkpoint is {tmp_path / '0'}" in text
    with data.batches(images_dataset(), 10, is_training=True, seed=4) as again:
        for _ in range(4):
            next(again)
        keys = again.record_keys(again.get_state())
    assert f"its batch had the records {', '.join(keys[:8])} and 2 more" in text


def test_an_update_that_overflows_is_named():
    train_op = learning.create_train_op(
        loss_of(False), optax.sgd(1e38), check_numerics="everything"
    )
    state = train_op.init(0, BATCH)
    state, outputs = train_op(state, BATCH)
    place = int(outputs["first_nonfinite"])
    found = [bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(state.params)]
    if all(found):
        assert place == -1
    else:
        assert train_op.quantities[place].startswith("the variable '")
    state, outputs = train_op(state, BATCH)
    assert train_op.quantities[int(outputs["first_nonfinite"])] == "the loss"
