"""Device strings: TF's and JAX's own things as one placement."""

import jax
import pytest
from jax.sharding import SingleDeviceSharding

import jslim as slim
from jslim.core.devices import parse_device


@pytest.mark.parametrize(
    "device",
    [
        "/CPU:0",
        "/cpu:7",
        "cpu:0",
        "/device:CPU:3",
        "/job:ps/replica:0/task:1/device:CPU:0",
        "/device:CPU:*",
    ],
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


@pytest.mark.parametrize(
    ("arguments", "devices"),  # as TF-Slim gives them
    [
        ({}, ["/device:CPU:0"] * 2),
        (
            {"num_tasks": 2},
            [f"/job:ps/task:{task}/device:CPU:0" for task in (0, 1, 0)],
        ),
        ({"device_type": "gpu", "device_index": None}, ["/device:GPU:*"]),
        (
            {"num_tasks": 1, "job_name": "w", "replica": 3},
            ["/job:w/replica:3/task:0/device:CPU:0"] * 2,
        ),
        ({"replica": 1}, ["/replica:1/device:CPU:0"]),
    ],
)
def test_variable_device_chooser(arguments, devices):
    chooser = slim.VariableDeviceChooser(**arguments)
    assert [chooser(None) for _ in devices] == devices


def test_variables_on_devices_that_a_chooser_gives():
    chooser = slim.VariableDeviceChooser(num_tasks=2)

    def net(x):
        with slim.arg_scope([slim.variable], device=chooser):
            return slim.fully_connected(x, 2)

    model = slim.Model(net)
    variables = model.init(jax.random.key(0), jax.numpy.ones((1, 3)))
    assert model.apply(variables, jax.numpy.ones((1, 3))).shape == (1, 2)
    assert chooser() == "/job:ps/task:0/device:CPU:0"  # two variables, made and read


def test_errors_of_choosers():
    with pytest.raises(ValueError, match="num_tasks must be 0 or more, got -1"):
        slim.VariableDeviceChooser(-1)
    gpu = slim.VariableDeviceChooser(device_type="GPU")
    with pytest.raises(ValueError, match="weights: there is no device '/device:GPU:0' here"):
        parse_device(gpu, "weights")
