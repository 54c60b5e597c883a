"""How a program that computes starts JAX and ends."""

import contextlib
import os
from collections.abc import Callable

import jax

from jslim.cli import distributed
from jslim.cli.flags import C, UsageError
from jslim.data import BadRecordError, OtherDataError
from jslim.host.paths import output_directory
from jslim.learning import keep_freed_memory

# Far more than cores; JAX takes 1 s to start with 1,000 devices and 17 s with 10,000.
_MOST_CPU_DEVICES = 1000


def run(program: Callable[[C], None], config: C, name: str) -> None:
    """Sets up compilation cache, devices and memory, joins other processes and runs `program`.

    Args:
      program: Is called with the config.
      config: The flags.
      name: The name of the program, for messages.

    Raises:
      UsageError: JAX cannot start on the platform that the environment names; or an error of the
        program for which there is a flag.
    """
    cache = getattr(config, "compilation_cache_dir", None)
    if cache and "compilation_cache_dir" in config.given:
        cache = output_directory(cache, "--compilation_cache_dir")
    if cache:
        jax.config.update("jax_compilation_cache_dir", os.path.expanduser(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    _divide_cpu(getattr(config, "num_clones", 1))
    keep_freed_memory()
    try:
        with distributed.joined(config, name):
            program(config)
    except (RuntimeError, AssertionError) as error:
        if (message := _missing_platform()) is None:
            raise
        raise UsageError(message) from error
    except BadRecordError as error:
        text = str(error).replace("skip_bad_records=", "--skip_bad_records=")
        raise UsageError(text) from error
    except OtherDataError as error:
        if not hasattr(config, "data_changed"):
            raise
        advice = "if images were added or removed on purpose, go on with --data_changed"
        raise UsageError(f"{error}; {advice}") from error


def _missing_platform() -> str | None:
    """Why JAX cannot start on the platform that the environment names; None if it can."""
    platforms = os.environ.get("JAX_PLATFORMS")
    try:
        if platforms:
            jax.devices()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0] or "it has no plugin for it, or finds no device"
        return (
            f"JAX_PLATFORMS={platforms} in the environment, where JAX cannot start: {reason}; "
            "install JAX for that platform, or leave the variable out"
        )
    return None


def _divide_cpu(count: int) -> None:
    """Makes a CPU as many devices as `--num_clones` says, unless the environment says how many."""
    is_given = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    num_devices = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined,unused-ignore]
    if is_given or num_devices >= 0:
        return
    if 1 < count <= _MOST_CPU_DEVICES:
        # If JAX has started already, `data_mesh` says how many devices there are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)
