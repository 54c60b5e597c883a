"""A type checker sees the signatures of ops, and what is imported later."""

import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import jax
import jslim as slim
from jslim import nets
from jslim.nets import vgg


def model(images: jax.Array) -> jax.Array:
    with slim.arg_scope([slim.conv2d], padding="VALID"):
        net = slim.conv2d(images, 16, 3)
        net = slim.conv2d(net, 16, [3, 3], scope="conv2")
        net = slim.conv2d(net, "16", 3)  # arg-type
        net = slim.conv2d(net, 16, 3, stide=2)  # call-arg
        net = slim.con2d(net, 16, 3)  # attr-defined
    net = slim.repeat(net, 2, slim.conv2d, 16, 3)
    net = slim.max_pool2d(net, 2, padding=2.5)  # arg-type
    return slim.flatten(net)


def train() -> None:
    train_op = slim.learning.create_train_op(model, slim.optimizers.sgd(0.1))
    slim.learning.train(train_op, [], None, number_of_steps=1)
    slim.learning.train(train_op, [], None, number_of_steps="1")  # arg-type
    slim.learing  # attr-defined
    nets.nets_factory.get_network_fn("vgg_16", 10)
    slim.Model(vgg.vgg_16)
"""


@pytest.mark.long
def test_mistakes_in_a_program_are_found(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # With the configuration of `make check`, whose cache holds what mypy knows of jslim.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(program)],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    wanted = [
        (number, line.partition("  # ")[2])
        for number, line in enumerate(PROGRAM.splitlines(), start=1)
        if "  # " in line
    ]
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    found = [(int(e.split(":")[1]), e.rpartition("[")[2].rstrip("]")) for e in errors]
    assert found == wanted, done.stdout + done.stderr
