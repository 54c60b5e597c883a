"""Strict JAX for the whole suite: eight CPU devices, no silent promotion, no warnings.

Silent broadcasting and silent dtype promotion are how wrong numbers get past a test, so both
are errors here; a library function that relies on either fails its own tests.
"""

import os
import pathlib

# Read by XLA when its backend starts, so it must be in place before jax is imported.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

_CACHE = pathlib.Path(__file__).parent.parent / ".jax_cache" / "tests"

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture
def golden():
    """Loads `tests/golden/<name>`: numbers of another implementation, stored with their origin."""
    import numpy as np

    def load(name: str):
        path = pathlib.Path(__file__).parent / "golden" / name
        return dict(np.load(path, allow_pickle=False))

    return load
