"""The chain from gradients to updates, and the one program of a step with its summaries."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import learning
from jslim.learning import chain

BATCH = {"x": np.ones((4, 2), np.float32)}


def loss_with_summaries(batch):
    w = slim.model_variable("w", [2, 1], initializer=1.0)
    slim.summary.scalar("three", 3.0)
    slim.summary.histogram("inputs", batch["x"])
    slim.summary.image("pixels", batch["x"].reshape(2, 2, 2, 1))
    return jnp.mean(batch["x"] @ w)


def compiled_steps(caplog):
    found = [re.match(r"Compiling jit\((\w*step)\)", message) for message in caplog.messages]
    return [match[1] for match in found if match]


@pytest.mark.parametrize("statistics", ["global", "replica"])
def test_a_run_with_summaries_compiles_one_step(statistics, tmp_path, caplog):
    train_op = learning.create_train_op(
        loss_with_summaries,
        optax.sgd(0.1),
        summarize_gradients=True,
        batch_norm_statistics=statistics,
    )
    with jax.log_compiles(), caplog.at_level("WARNING", "jax"):
        learning.train(
            train_op, [BATCH] * 9, tmp_path, number_of_steps=6, save_summaries_secs=None,
            save_summaries_steps=4,
        )  # fmt: skip
    assert len(compiled_steps(caplog)) == 1
    events = EventAccumulator(str(tmp_path), {"histograms": 0, "images": 0, "scalars": 0}).Reload()
    assert [(event.step, event.value) for event in events.Scalars("three")] == [(1, 3.0), (5, 3.0)]
    assert [event.step for event in events.Histograms("w/gradient")] == [1, 5]
    for event in events.Histograms("inputs"):
        assert (event.histogram_value.num, event.histogram_value.sum) == (8, 8)
    assert [event.step for event in events.Images("pixels/image/0")] == [1, 5]


def test_histograms_and_images_are_computed_where_they_are_due_and_scalars_always(capfd):
    def loss(batch):
        slim.summaries.add_scalar_summary(batch["x"][0, 0], "printed", print_summary=True)
        return loss_with_summaries(batch)

    train_op = learning.create_train_op(loss, optax.sgd(0.0))
    state = train_op.init(0, BATCH)
    for is_due in (False, True, False):
        state, _, found = train_op._run(state, BATCH, is_due=is_due)
        jax.effects_barrier()
        assert float(found["scalar/three"]) == 3.0
        assert int(found["histogram/inputs"].counts.sum()) == (8 if is_due else 0)
        assert bool(found["image/pixels/image/0"].any()) == is_due
        assert capfd.readouterr().out.count("printed = 1.0") == is_due


def test_a_multiplier_without_a_variable_is_refused_before_the_first_step():
    for make in (
        lambda **options: learning.create_train_op(loss_with_summaries, optax.sgd(0.1), **options),
        lambda **options: slim.optimize_loss(loss_with_summaries, None, 0.1, "SGD", **options),
    ):
        with pytest.raises(slim.ScopeError, match="gradient_multipliers: 'v' matches none of the"):
            make(gradient_multipliers={"v": 2.0}).init(0, BATCH)


def test_a_part_of_a_tree_and_the_tree_with_another_part():
    tree = {"a": {"b": 1, "c/d": 2}, "e": {"f": 3}}
    mask = {"a": {"b": False, "c/d": True}, "e": {"f": False}}
    part = chain.part(tree, mask)
    assert part == {"a": {"c/d": 2}}
    assert chain.merged(tree, {"a": {"c/d": 5}}) == {"a": {"b": 1, "c/d": 5}, "e": {"f": 3}}
    double = chain.by_name(lambda named: {name: (name, 2 * x) for name, x in named.items()})
    assert double(part) == {"a": {"c/d": ("a/c/d", 4)}}


def test_before_an_optimizer_changes_keep_no_state():
    momentum = optax.sgd(0.1, 0.9)
    optimizer = chain.before(momentum, chain.stateless(lambda tree: {"w": 2 * tree["w"]}))
    params = {"w": jnp.ones(2)}
    state = optimizer.init(params)
    assert jax.tree.structure(state) == jax.tree.structure(momentum.init(params))
    _, state = optimizer.update(params, state, params)
    np.testing.assert_array_equal(state[0].trace["w"], [2.0, 2.0])
