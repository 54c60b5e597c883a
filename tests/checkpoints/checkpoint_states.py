"""A small training state with every kind of leaf that a checkpoint has to bring back."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax

from jslim.checkpoints import CheckpointManager


class State(flax.struct.PyTreeNode):
    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    rng: Any
    ema_params: Any


def make_state(step: int = 3) -> State:
    """A state whose numbers all depend on `step`."""
    numbers = np.random.default_rng(step)

    def array(*shape: int) -> jax.Array:
        return jnp.asarray(numbers.normal(size=shape), jnp.float32)

    params = {
        "lenet": {
            "conv1": {"weights": array(5, 5, 1, 4), "biases": array(4)},
            "fc2": {"weights": array(16, 10), "biases": array(10)},
            "half": {"weights": array(3, 2).astype(jnp.bfloat16)},
        }
    }
    batch_norm = {"moving_mean": array(4), "moving_variance": array(4)}
    optimizer = optax.chain(optax.clip(1.0), optax.adam(1e-3))
    return State(
        step=jnp.asarray(step, jnp.int32),
        params=params,
        batch_stats={"lenet": {"conv1": {"BatchNorm": batch_norm}}},
        opt_state=optimizer.init(params),
        rng=jax.random.key(step),
        ema_params={},
    )


def odd_leaves() -> dict[str, Any]:
    """Leaves that are easily lost, cast or rounded on the way."""
    quiet_nan = np.array([0x7FC01234, 0xFFC00001, 0x80000000], np.uint32).view(np.float32)
    return {
        "zero_d": jnp.float32(1.5),
        "empty": {},
        "none": None,
        "no_elements": np.zeros((0, 3), np.float32),
        "bits": quiet_nan,
        "bool": np.array([True, False]),
        "int8": np.array([-128, 127], np.int8),
        "uint8": np.arange(256, dtype=np.uint8),
        "int64": np.array([2**62 + 1]),
        "float64": np.array([1 / 3]),
        "float16": np.array([1.5], np.float16),
        "float8": np.array([0.5], ml_dtypes.float8_e4m3fn),
        "complex": np.array([1 + 2j], np.complex64),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "number": 7,
        "fraction": 0.1,
        "flag": True,
        "keys": jax.random.split(jax.random.key(1), 3),
        "rbg": jax.random.key(2, impl="rbg"),
        "tuple": (np.ones(1, np.float32), [np.zeros(2, np.int32)]),
    }


def assert_same(found: Any, expected: Any) -> None:
    """The same structure, types and bits."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for f, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert type(f) is type(e)
        if isinstance(e, jax.Array) and jax.dtypes.issubdtype(e.dtype, jax.dtypes.prng_key):
            assert jax.random.key_impl(f) == jax.random.key_impl(e)
            f, e = jax.random.key_data(f), jax.random.key_data(e)
        f, e = np.asarray(f), np.asarray(e)
        assert (f.dtype, f.shape) == (e.dtype, e.shape)
        assert f.tobytes() == e.tobytes()


def save_steps(directory: Any, *steps: int, **options: Any) -> None:
    """Saves `make_state(step)` for each step."""
    with CheckpointManager(directory, **options) as checkpoints:
        for step in steps:
            checkpoints.save(
                step,
                make_state(step),
                data_state={"position": step},
                contract={"network": "lenet", "step": step},
            )
