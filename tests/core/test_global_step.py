"""The global step, which the train op counts."""

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.core.global_step import get_or_create_global_step, global_step_is


def test_global_step_is_that_of_the_training_step():
    assert slim.get_global_step() is None
    assert int(get_or_create_global_step()) == 0
    model = slim.Model(get_or_create_global_step)
    with global_step_is(jnp.int32(7)):
        assert int(slim.get_global_step()) == 7
        assert int(model.init_with_output(jax.random.key(0))[0]) == 7
    assert slim.get_global_step() is None


def test_global_step_functions():
    assert slim.create_global_step() == 0
    assert slim.assert_or_get_global_step() is None
    step = jnp.asarray(3, jnp.int32)
    slim.assert_global_step(step)
    assert slim.assert_or_get_global_step(step) is step
    with global_step_is(step):
        assert slim.assert_or_get_global_step(graph=None) is step
        assert slim.get_or_create_global_step(graph=None) is slim.get_global_step(None)
        with pytest.raises(slim.ScopeError, match="the global step exists already"):
            slim.create_global_step()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "must be an integer scalar array, got int"),
        (jnp.zeros(()), r"must be an integer scalar, got shape \(\) and dtype float32"),
        (
            jnp.zeros((1,), jnp.int32),
            r"an integer scalar, got shape \(1,\) and dtype int32",
        ),
    ],
)
def test_what_is_no_global_step(given, message):
    for check in (slim.assert_global_step, slim.assert_or_get_global_step):
        with pytest.raises(TypeError, match=message):
            check(given)
