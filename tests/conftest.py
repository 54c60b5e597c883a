"""Strict JAX for the whole suite: eight CPU devices, no silent promotion, no warnings.

Silent broadcasting and silent dtype promotion are how wrong numbers get past a test, so both
are errors here; a library function that relies on either fails its own tests.
"""

import ctypes
import gc
import importlib.metadata
import logging
import os
import pathlib

# Read by XLA when its backend starts, so it must be in place before jax is imported. Most of the
# suite's time goes into compiling what runs once; unoptimized it takes half as long.
# XLA_FLAGS=--xla_backend_optimization_level=3 has the last word, and tests what users compile.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false"
        if importlib.metadata.version("jaxlib").startswith("0.10.")
        else "",  # later ones have no others
        os.environ.get("XLA_FLAGS", ""),
    )
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Tests start hundreds of programs; without a cache each compiles the modules of jslim anew.
os.environ["PYTHONDONTWRITEBYTECODE"] = ""

import jax
import pytest
from stores import _stores as _stores
from stores import store as store
from stores import stores as stores

# What JAX keeps is looked through at every full collection, of which there were too many.
gc.set_threshold(100_000, 50, 100)

# Of the GNU C library: gives memory that was freed in small pieces back to the system.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

_CACHE = pathlib.Path(__file__).parent.parent / ".jax_cache"

# Of programs that tests start; some are killed, and may leave half of a file.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE / "programs")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_CACHE / "tests"))
# Small programs too: what one module compiles, the next ones need again.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)


@pytest.fixture(scope="module", autouse=True)
def _compiled_programs_are_dropped():
    """A worker that keeps those of all modules grows to 5 GB."""
    yield
    jax.clear_caches()
    if _trim is not None:
        _trim(0)


@pytest.fixture
def jslim_logger(monkeypatch):
    """The logger of jslim as in a program that has set up no logging."""
    logger = logging.getLogger("jslim")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(before)


@pytest.fixture
def golden():
    """Loads `tests/golden/<name>`: numbers of another implementation, stored with their origin."""
    import numpy as np

    def load(name: str):
        path = pathlib.Path(__file__).parent / "golden" / name
        return dict(np.load(path, allow_pickle=False))

    return load
