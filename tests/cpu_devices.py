"""CPU devices of the programs that tests start."""

import os


def cpu_devices(count=None):
    """Variables for a program whose CPU is so many devices; by default as many as JAX makes.

    Its programs are compiled as quickly as those of the tests.
    """
    words = [word for word in os.environ["XLA_FLAGS"].split() if "device_count" not in word]
    if count is not None:
        words.append(f"--xla_force_host_platform_device_count={count}")
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(words)}
