"""Networks of the table train: five steps of `create_train_op`, with a falling loss.

One of each kind, as narrow as its arguments make it; with JSLIM_EVERY_NETWORK=1 in the environment
all of them.
"""

import dataclasses
import importlib
import inspect
import os

import jax
import jax.numpy as jnp
import net_checks
import numpy as np
import pytest
from net_checks import FAST_COMPILATION

import jslim as slim
from jslim.nets import nets_factory

BATCH, CLASSES = 2, 3
# The smallest images each takes, with arguments that allow it; others take 33x33.
SIZES = {
    "alexnet_v2": 195,
    "inception_v3": 107,
    "inception_v4": 107,
    "inception_resnet_v2": 107,
    "lenet": 28,
    "nasnet_cifar": 20,
    "nasnet_large": 72,
    "nasnet_mobile": 72,
    "overfeat": 231,
    "pnasnet_large": 72,
    "pnasnet_mobile": 72,
}
ARGUMENTS = {
    "global_pool": True,
    "fc_conv_padding": "SAME",
    "dropout_keep_prob": 1.0,
    "depth_multiplier": 0.125,
}


def small_arguments(name):
    """Arguments that make the network cheap, and that keep the loss free of dropout."""
    build = nets_factory.get_network(name).build
    if "nasnet" in name:
        module = importlib.import_module(build.__module__)
        size = name.split("_")[1]
        defaults = getattr(module, "cifar_config" if size == "cifar" else f"{size}_imagenet_config")
        fewer = {"num_cells": 3, "num_conv_filters": 4, "stem_multiplier": 1.0}
        whole = {"drop_path_keep_prob": 1.0, "dense_dropout_keep_prob": 1.0}
        return {"config": dataclasses.replace(defaults(), **fewer, **whole)}
    parameters = inspect.signature(build).parameters
    arguments = {key: value for key, value in ARGUMENTS.items() if key in parameters}
    if "resnet" in name:  # V1 takes a whole fraction of its least depth
        arguments.pop("depth_multiplier", None)
    return arguments


def trained_losses(name):
    row = nets_factory.get_network(name)
    arguments = small_arguments(name)
    size = SIZES.get(name, 33)
    shape = (size, size, 1 if name == "lenet" else 3)
    if row.takes_videos:
        shape = (8, *shape)
    scope_arguments = {}
    if "dropout_keep_prob" in inspect.signature(row.arg_scope).parameters:
        scope_arguments["dropout_keep_prob"] = 1.0

    def total_loss(batch):
        with slim.arg_scope(row.arg_scope(**scope_arguments)):
            logits, end_points = row.build(
                batch["image"], num_classes=CLASSES, is_training=True, **arguments
            )
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        if "AuxLogits" in end_points:
            slim.losses.sparse_softmax_cross_entropy(
                end_points["AuxLogits"], batch["label"], weights=0.4
            )
        return slim.losses.get_total_loss()

    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.uniform(-1, 1, (BATCH, *shape)), jnp.float32),
        "label": jnp.arange(BATCH),
    }
    # With seeded weights the loss of the deepest is steep.
    is_deep = name in ("inception_v4", "resnet_v1_200", "resnet_v2_200")
    learning_rate = 2e-5 if is_deep else 3e-4
    train_op = slim.learning.create_train_op(
        total_loss, slim.optimizers.sgd(learning_rate), clip_gradient_norm=1.0
    )
    # Seeded values instead of initial ones, which take as long to compile as the step.
    state = train_op.init_shapes(jax.random.key(0), batch)
    state = state.replace(
        step=jnp.zeros((), jnp.int32),
        params=net_checks.filled(state.params),
        batch_stats=net_checks.filled(state.batch_stats),
        opt_state=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state.opt_state),
        rng=jax.random.key(1),
    )
    step = jax.jit(train_op.step, compiler_options=FAST_COMPILATION)
    losses = []
    for _ in range(5):
        state, outputs = step(state, batch)
        losses.append(float(outputs["loss"]))
    finite = jax.tree.map(lambda leaf: bool(jnp.isfinite(leaf).all()), state.params)
    assert all(jax.tree.leaves(finite))
    return losses


KINDS = [
    "alexnet_v2",
    "cifarnet",
    "lenet",
    "mobilenet_v1_025",
    "mobilenet_v3_small_minimalistic",
    "resnet_v1_50",
]
EVERY = nets_factory.list_networks() if os.environ.get("JSLIM_EVERY_NETWORK") else KINDS


@pytest.mark.long
@pytest.mark.parametrize("name", EVERY)
def test_network_trains(name):
    losses = trained_losses(name)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
