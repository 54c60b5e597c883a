"""Seeds are taken whole, those below 2**32 as ever."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim import learning, optimizers
from jslim.cli import convert, train
from jslim.core.seeds import key_of
from jslim.data.order import Order

SEEDS = (0, 1, 2**31, 2**32 - 1)
BATCH = {"x": np.ones((4, 2), np.float32)}


def data_of(key):
    return jax.random.key_data(key).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_below_32_bits_give_the_keys_of_jax(seed):
    assert data_of(key_of(seed)) == [0, seed] == data_of(key_of(np.uint64(seed)))


def test_no_two_seeds_give_one_key():
    seeds = [base + high for base in SEEDS for high in (0, 2**32, 2**33, 2**63)]
    assert len({tuple(data_of(key_of(seed))) for seed in seeds}) == len(seeds)


def test_a_train_op_takes_seeds_whole_and_keys_as_they_are():
    op = learning.create_train_op(
        lambda batch: jnp.mean(batch["x"] @ slim.model_variable("w", [2, 1])), optimizers.sgd(0.1)
    )
    weights = {
        rng: np.asarray(op.init(rng, BATCH).params["w"]) for rng in (5, np.int64(5), 2**32 + 5)
    }
    np.testing.assert_array_equal(weights[5], op.init(jax.random.key(5), BATCH).params["w"])
    assert (weights[2**32 + 5] != weights[5]).all()
    with pytest.raises(ValueError, match=r"rng must be in \[0, 2\*\*64\), got -1; pass a non-neg"):
        op.init(-1, BATCH)
    with pytest.raises(TypeError, match=r"rng must be a whole number, got 0\.5"):
        op.init(0.5, BATCH)


def test_orders_take_seeds_whole_too():
    orders = [
        [Order(seed, 20, shuffle=True)(index) for index in range(20)] for seed in (3, 2**32 + 3)
    ]
    assert orders[0] != orders[1]
    with pytest.raises(TypeError, match=r"seed must be a whole number, got 1\.5"):
        Order(1.5, 20, shuffle=True)


@pytest.mark.parametrize("main", [train.main, convert.main])
@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_of_the_commands_are_checked(main, seed, capsys):
    assert main(["program", f"--seed={seed}"]) == 2
    assert "is not an integer in the range [0, 18446744073709551615]" in capsys.readouterr().err
