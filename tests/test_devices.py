"""Device strings: TF's and JAX's own things as one placement."""

import jax
import pytest
from jax.sharding import SingleDeviceSharding

from jslim._devices import parse_device


@pytest.mark.parametrize(
    "device",
    ["/CPU:0", "/cpu:7", "cpu:0", "/device:CPU:3", "/job:ps/replica:0/task:1/device:CPU:0"],
)
def test_string_for_the_default_kind_is_the_default_placement(device):
    assert parse_device(device, "x") is None


def test_what_is_of_jax_passes():
    device = jax.devices()[1]
    sharding = SingleDeviceSharding(device)
    assert parse_device(None, "x") is None
    assert parse_device(sharding, "x") is sharding
    assert parse_device(jax.memory.Space.Host, "x") is jax.memory.Space.Host
    assert parse_device(device, "x") == sharding


@pytest.mark.parametrize("device", ["/GPU:0", "/device:TPU:0", "/CPU:8", "/gpu:0"])
def test_device_that_is_not_here(device):
    message = f"weights: there is no device '{device}' here; this process has CPU:0 to CPU:7"
    with pytest.raises(ValueError, match=message):
        parse_device(device, "weights")


@pytest.mark.parametrize("device", ["CPU", "/CPU:0/GPU:0", "nonsense:0:0", 3, ""])
def test_what_is_no_device(device):
    message = "weights: device must be a string such as '/CPU:0' or '/device:GPU:1', a jax.Device"
    with pytest.raises(ValueError, match=message):
        parse_device(device, "weights")
