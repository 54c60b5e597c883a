"""Placements of variables, from TF's device strings, JAX devices and shardings."""

import re
from typing import Any, TypeAlias

import jax

from jslim.core import checks

# None, a jax.sharding.Sharding or a jax.memory.Space, which has no type for checkers.
Placement: TypeAlias = Any
Space = jax.memory.Space

_TF_DEVICE = re.compile(
    r"(/job:\w+)?(/replica:\d+)?(/task:\d+)?/?(device:)?(?P<kind>[A-Za-z]+):(?P<index>\d+|\*)$"
)


def parse_device(device: object, what: str) -> Placement:
    """The placement that `device` asks for; None is JAX's default placement.

    Args:
      device: None; a JAX device, sharding or memory space; a string of TF ('/CPU:0',
        '/device:GPU:1', '/job:ps/task:0/device:CPU:0'); or a function that returns one of these,
        such as a `VariableDeviceChooser`, which is called with `what`. Job and task of a string
        are ignored: a process has its own devices. A string for the default kind of device gives
        None, since the mesh decides there. '/CPU:0' on an accelerator is host memory.
      what: The variable that is placed, for the error.

    Raises:
      ValueError: `device` is not a device, or this machine does not have it.
    """
    if callable(device):
        device = device(what)
    if device is None or isinstance(device, (jax.sharding.Sharding, Space)):
        return device
    if isinstance(device, jax.Device):
        return jax.sharding.SingleDeviceSharding(device)
    found = _TF_DEVICE.match(device) if isinstance(device, str) else None
    if found is None:
        accepted = (
            "a string such as '/CPU:0' or '/device:GPU:1', a jax.Device or a jax.sharding.Sharding"
        )
        raise checks.refusal(what, "device", accepted, repr(device))
    kind = found["kind"].lower()
    index = 0 if found["index"] == "*" else int(found["index"])
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


class VariableDeviceChooser:
    """Gives TF's device strings, for `slim.variable(..., device=chooser)`.

    Programs with parameter servers run unchanged: jslim ignores job, replica and task, since a
    process has its own devices, and the mesh spreads variables over them.

    Args:
      num_tasks: Number of parameter servers, taken in turn; 0 if there are none.
      job_name: The name of their job.
      device_type: 'CPU' or 'GPU'.
      device_index: Number of the device; None for any.
      replica: Number of the replica.

    Raises:
      ValueError: `num_tasks` is negative.

    >>> chooser = VariableDeviceChooser(num_tasks=2)
    >>> chooser(), chooser(), chooser()
    ('/job:ps/task:0/device:CPU:0', '/job:ps/task:1/device:CPU:0', '/job:ps/task:0/device:CPU:0')
    """

    def __init__(
        self,
        num_tasks: int = 0,
        job_name: str = "ps",
        device_type: str = "CPU",
        device_index: int | None = 0,
        replica: int | None = None,
    ):
        checks.count("VariableDeviceChooser", "num_tasks", num_tasks, least=0)
        index = "*" if device_index is None else device_index
        self._device = f"/device:{device_type.upper()}:{index}"
        self._replica = "" if replica is None else f"/replica:{replica}"
        self._job_name = job_name
        self._num_tasks = num_tasks
        self._next_task = 0

    def __call__(self, op: object = None) -> str:
        """The device of the next variable; `op` is ignored."""
        del op
        if not self._num_tasks:
            return self._replica + self._device
        task = self._next_task
        self._next_task = (task + 1) % self._num_tasks
        return f"/job:{self._job_name}{self._replica}/task:{task}{self._device}"
