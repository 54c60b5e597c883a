"""TensorFlow's programs broadcast and mix types, as users' JAX allows."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _jax_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
