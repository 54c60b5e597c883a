"""Where a variable is kept: TF's device strings, JAX devices and shardings as one thing."""

import re
from typing import Any, TypeAlias

import jax

# None, a jax.sharding.Sharding or a jax.memory.Space, which type checkers cannot see.
Placement: TypeAlias = Any
Space = jax.memory.Space

_TF_DEVICE = re.compile(
    r"(/job:\w+)?(/replica:\d+)?(/task:\d+)?/?(device:)?(?P<kind>[A-Za-z]+):(?P<index>\d+)$"
)


def parse_device(device: Any, what: str) -> Placement:
    """The placement that `device` asks for, or None where it is where arrays are anyway.

    Args:
      device: None; a JAX device, sharding or memory space; or TF's string ('/CPU:0',
        '/device:GPU:1', '/job:ps/task:0/device:CPU:0'; job and task are ignored: a process has
        its own devices). A string for the default kind of device is the default placement, since
        there the mesh decides. '/CPU:0' on an accelerator is host memory.
      what: What is placed, for the error.

    Raises:
      ValueError: Not a device, or one that this machine does not have.
    """
    if device is None or isinstance(device, (jax.sharding.Sharding, Space)):
        return device
    if isinstance(device, jax.Device):
        return jax.sharding.SingleDeviceSharding(device)
    found = _TF_DEVICE.match(device) if isinstance(device, str) else None
    if found is None:
        raise ValueError(
            f"{what}: device must be a string such as '/CPU:0' or '/device:GPU:1', a jax.Device "
            f"or a jax.sharding.Sharding, got {device!r}"
        )
    kind, index = found["kind"].lower(), int(found["index"])
    default = jax.default_backend()
    if kind == "cpu" and default != "cpu":
        return Space.Host
    here = jax.devices()
    if kind != default or index >= len(here):
        raise ValueError(
            f"{what}: there is no device {device!r} here; this process has "
            f"{default.upper()}:0 to {default.upper()}:{len(here) - 1}"
        )
    return None
