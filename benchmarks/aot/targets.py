"""Chips that a step can be compiled for without being there, alone or many of them."""

import dataclasses
import math
import re
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Chip:
    """What a roofline needs to know, from the vendor's data sheet, and how to name the chip."""

    platform: str
    bandwidth: float  # bytes a second of its memory
    peak: float  # FLOP a second in bfloat16
    clock: float = 0.0  # cycles a second, of the compiler's estimates
    memory: int = 0  # bytes; of a GPU, whose compiler asks for it
    description: str = ""


CHIPS = {
    "v4": Chip("tpu", 1228e9, 275e12, 1.05e9),
    "v5e": Chip("tpu", 819e9, 197e12, 1.5e9),
    "v5p": Chip("tpu", 2765e9, 459e12, 1.75e9),
    "v6e": Chip("tpu", 1640e9, 918e12, 1.75e9),
    "h100": Chip("cuda", 3352.32e9, 989e12, 0, 84942979072, "NVIDIA H100 80GB HBM3"),
    "h200": Chip("cuda", 4800e9, 989e12, 0, 151397597184, "NVIDIA H200 141GB HBM3e"),
}
PACKAGES = {"tpu": "libtpu", "cuda": "jax_cuda12_plugin"}  # as they are imported
_THREE_AXES = ("v4", "v5p")  # whose chips are named by three coordinates

# libtpu looks for the machine that it runs on; with these it looks nowhere and takes no lock.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}

# The device that XLA's GPU compiler is to imagine (GpuTargetConfigProto, as text).
_GPU = """
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth:.0f}
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: {memory}
  shared_memory_per_block_optin: 232448
  cuda_compute_capability {{ major: 9 }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
runtime_version {{ major: 12 minor: 9 }}
device_description_str: "{description}"
"""


@dataclasses.dataclass(frozen=True)
class Target:
    """Some chips of a kind: 'v5e:2x2' are four, 'h100:1x1x8' a host of eight."""

    name: str

    def __post_init__(self) -> None:
        kind, _, shape = self.name.partition(":")
        if kind not in CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", shape):
            raise ValueError(
                f"--target must be a chip of {', '.join(CHIPS)} and a shape, as v5e:2x2 or "
                f"h100:1x1x8, got {self.name!r}"
            )

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    @property
    def chip(self) -> Chip:
        return CHIPS[self.kind]

    @property
    def sides(self) -> tuple[int, ...]:
        """Of a TPU's grid; of GPUs the last is how many a host has."""
        return tuple(map(int, self.name.partition(":")[2].split("x")))

    @property
    def count(self) -> int:
        return math.prod(self.sides)

    def devices(self) -> np.ndarray:
        """JAX's devices of it, for a mesh; only in a process with `ENVIRONMENT`."""
        import jax
        from jax.experimental import topologies

        jax.devices()  # which has JAX look for its plugins, CUDA's among them
        arguments: dict[str, Any]
        if self.chip.platform == "cuda":
            shape = self.name.partition(":")[2]
            config = _GPU.format(**dataclasses.asdict(self.chip))
            arguments = {"topology_name": "", "topology": shape, "target_config": config}
        else:
            name = self.name
            if self.kind in _THREE_AXES and name.count("x") == 1:
                name += "x1"
            arguments = {"topology_name": name}
            if self.count == 1:
                arguments["chips_per_host_bounds"] = (1, 1, 1)
        described = topologies.get_topology_desc(platform=self.chip.platform, **arguments)
        return np.array(described.devices)
